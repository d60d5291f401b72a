//! Commands against a running server.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use serde_json::Value as Json;

use crate::server::{Server, listener, wait_for};

#[test]
fn without_a_server_a_command_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["clients", "stats", "bans", "listeners", "reload"] {
        let output = Command::new(env!("CARGO_BIN_EXE_manifold"))
            .args([command, "--data-dir"])
            .arg(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        let expected =
            format!("no server runs with data directory {}\n", folder.path().display());
        assert_eq!(said, expected);
    }
}

#[test]
fn the_socket_of_a_server_that_was_killed_is_no_server() {
    let mut server = Server::start(&listener("a"));
    server.signal("KILL");
    server.wait();
    assert!(server.data_dir().join("control.sock").exists());
    let (code, said) = server.refusal(&["stats"]);
    assert_eq!(code, Some(3));
    assert!(said.starts_with("no server runs with data directory "), "{said}");
}

#[test]
fn a_server_that_ends_takes_its_socket_along() {
    let mut server = Server::start(&listener("a"));
    assert!(server.data_dir().join("control.sock").exists());
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(!server.data_dir().join("control.sock").exists());
    assert!(!server.data_dir().join("listeners.json").exists());
}

#[test]
fn the_server_is_found_by_its_configuration() {
    let server = Server::start(&listener("a"));
    let other = server.folder().join("other.toml");
    let data_dir = server.data_dir();
    // Bad beside that, as a file can be that is being edited.
    let text = format!("data_dir = {:?}\nshards = \"many\"\n", data_dir.to_str().unwrap());
    std::fs::write(&other, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_manifold"))
        .args(["listeners", "--config"])
        .arg(&other)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn listeners_are_shown_with_their_connections() {
    let server = Server::start(&(listener("a") + "max_connections = 7\n" + &listener("b")));
    let _one = server.connect("one");
    let listeners = server.json(&["listeners"]);
    assert_eq!(listeners.len(), 2);
    assert_eq!(listeners[0]["name"], "a");
    assert_eq!(listeners[0]["gateway"], "mqtt");
    assert_eq!(listeners[0]["transport"], "tcp");
    assert_eq!(listeners[0]["connections"], 1);
    assert_eq!(listeners[0]["max_connections"], 7);
    assert_eq!(listeners[1]["connections"], 0);
    let text = server.text(&["listeners"]);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("LISTENER  GATEWAY  TRANSPORT  ADDRESS "), "{text}");
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("a         mqtt     tcp        127.0.0.1:"), "{text}");
}

#[test]
fn stats_count_what_has_happened() {
    let server = Server::start(&listener("a"));
    let mut client = server.connect("one");
    client.publish("t", "payload", false);
    client.ping();
    let stats = wait_for("counters", || {
        let [stats] = server.json(&["stats"]).try_into().unwrap();
        (stats["messages"]["received"] == 1).then_some(stats)
    });
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(stats["clients"]["connected"], 1);
    assert_eq!(stats["messages"]["received_bytes"], 7);
    assert_eq!(stats["ready"], true);
    assert!(stats["process"]["resident_bytes"].as_u64().unwrap() > 1_000_000);
    assert!(server.text(&["stats"]).contains("resident bytes"));
}

#[test]
fn reload_opens_and_closes_listeners() {
    let server = Server::start(&listener("a"));
    let before = server.address("a");
    let mut client = server.connect("one");
    server.configure(&(listener("a") + &listener("b")));
    let [plan] = server.json(&["reload", "--dry-run"]).try_into().unwrap();
    assert_eq!(plan["applied"], false);
    assert_eq!(plan["changes"]["listeners"]["opened"], Json::from(vec!["b"]));
    assert_eq!(server.json(&["listeners"]).len(), 1);
    let text = server.text(&["reload"]);
    assert!(text.contains("listeners opened: b\n") && text.ends_with("applied\n"), "{text}");
    assert_eq!(server.address("a"), before);
    let file = std::fs::read_to_string(server.data_dir().join("listeners.json")).unwrap();
    assert!(file.contains(&server.address("b").to_string()), "{file}");
    client.ping();

    server.configure(&listener("b"));
    let (code, said) = server.refusal(&["reload"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("would disconnect 1 client"), "{said}");
    assert!(said.contains("listener a"), "{said}");
    client.ping();
    let text = server.text(&["reload", "--yes"]);
    assert!(text.contains("listeners closed: a (1 client disconnected)"), "{text}");
    assert_eq!(client.packet(), None);
    assert_eq!(server.json(&["listeners"]).len(), 1);
}

#[test]
fn a_bad_file_changes_nothing_and_is_complained_about() {
    let server = Server::start(&listener("a"));
    let mut client = server.connect("one");
    server.configure(&(listener("b") + "max_conections = 3\n"));
    let (code, said) = server.refusal(&["reload"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("did you mean `max_connections`?"), "{said}");
    assert!(said.ends_with("city.toml: 1 error\n"), "{said}");
    assert_eq!(server.json(&["listeners"])[0]["name"], "a");
    client.ping();
    assert!(server.log().contains("the configuration stays as it was"));
}

#[test]
fn an_address_that_is_taken_changes_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(&listener("a"));
    let before = server.address("a");
    let bind = format!("[[listener]]\nname = \"b\"\nbind = \"{}\"\n", taken.local_addr().unwrap());
    server.configure(&bind);
    let (code, said) = server.refusal(&["reload"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("listener b: cannot listen on"), "{said}");
    assert_eq!(server.address("a"), before);
    server.connect("one");
}

#[test]
fn a_hangup_reloads() {
    let server = Server::start(&listener("a"));
    let mut client = server.connect("one");
    server.configure(&("shards = 3\n".to_owned() + &listener("b")));
    server.signal("HUP");
    wait_for("the reload", || server.log().contains("reload applied").then_some(()));
    assert_eq!(server.json(&["listeners"])[0]["name"], "b");
    assert_eq!(client.packet(), None);
    let log = server.log();
    assert!(log.contains("disconnects=1"), "{log}");
    assert!(log.contains("count from the next start on only"), "{log}");
}

#[test]
fn a_trace_shows_frames_and_no_secret() {
    let server = Server::start(&listener("a"));
    let address = server.address("a");
    let mut command = server.spawn(&["trace", "--client", "one", "--json"]);
    let mut lines = BufReader::new(command.stdout.take().unwrap()).lines();
    let mut next = || -> Json { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["what"], "trace begins");
    let mut client =
        crate::server::Client::begin(address, "one", Some(("user", "open sesame")));
    client.packet().unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|item: &Json| item["what"] != "PINGRESP") {
        let item = next();
        if item["what"] == "CONNACK" {
            client.send(0xC0, &[]);
        }
        seen.push(item);
    }
    let of = |what: &str| seen.iter().find(|item| item["what"] == what).expect(what);
    assert_eq!(of("CONNECT")["direction"], "received");
    assert_eq!(of("CONNECT")["client"], "one");
    assert_eq!(of("CONNECT")["frame"]["user_name"], "user");
    assert_eq!(of("PINGRESP")["direction"], "sent");
    assert!(!format!("{seen:?}").contains("sesame"));
    command.kill().unwrap();
    command.wait().unwrap();
}
