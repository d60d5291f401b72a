//! Commands against a running server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::server::{Client, Server, listener, wait_for};

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
        let expected = format!("no server runs with data directory {}\n", folder.path().display());
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
fn rules_and_users_count_at_once_when_reloaded() {
    let users = "[authentication.a]\ntype = \"file\"\npath = \"users.txt\"\n";
    let listeners = listener("a") + &listener("b") + "authentication = [\"a\"]\n";
    let rule = |topics: &str| {
        format!("[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"{topics}\"]\n")
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("users.txt"), "").unwrap();
    let server = Server::start_in(folder, &(rule("#") + users + &listeners));
    let mut client = server.connect("one");
    assert_eq!(client.subscribe("city/+"), 0);
    assert_eq!(client.subscribe("sea/+"), 0);
    let address = server.address("b");
    let login = |password| Client::begin(address, "two", Some(("meter", password))).packet();
    let (refused, connected) = (Some((0x20, vec![0, 4])), Some((0x20, vec![0, 0])));
    assert_eq!(login("open sesame"), refused);

    server.configure(&(rule("sea/#") + users + &listeners));
    add_user(&server, "meter", "open sesame");
    let [done] = server.json(&["reload"]).try_into().unwrap();
    assert_eq!(done["changes"]["settings"], Json::from(vec!["acl.0.topics"]));
    assert_eq!(done["changes"]["files"].as_array().unwrap().len(), 1);
    assert_eq!(done["disconnects"], 0);
    assert_eq!(login("sesame"), refused);
    assert_eq!(login("open sesame"), connected);
    let left = wait_for("the end of a subscription", || {
        let left = server.json(&["subscriptions"]);
        (left.len() == 1).then_some(left)
    });
    assert_eq!(left[0]["filter"], "sea/+");
    assert_eq!(client.subscribe("city/+"), 0x80);
    assert!(!server.log().contains("sesame"));
}

/// Puts a user into the file `users.txt` of a server.
fn add_user(server: &Server, name: &str, password: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_manifold"))
        .args(["users", "add"])
        .arg(server.folder().join("users.txt"))
        .args([name, "--hash", "pbkdf2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    command.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    assert!(command.wait().unwrap().success());
}

#[test]
fn a_trace_shows_frames_and_no_secret() {
    let server = Server::start(&listener("a"));
    let address = server.address("a");
    let mut command = server.spawn(&["trace", "--client", "one", "--json"]);
    let mut lines = BufReader::new(command.stdout.take().unwrap()).lines();
    let mut next = || -> Json { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["what"], "trace begins");
    let mut client = Client::begin(address, "one", Some(("user", "open sesame")));
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

#[test]
fn clients_are_listed_by_client_id() {
    let server = Server::start(&("shards = 2\n".to_owned() + &listener("a")));
    let _clients: Vec<_> = ["b-2", "b-1", "a-1"].map(|id| server.connect(id)).into();
    let ids = |arguments: &[&str]| -> Vec<String> {
        let clients = server.json(arguments);
        clients.iter().map(|client| client["client"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&["clients"]), ["a-1", "b-1", "b-2"]);
    assert_eq!(ids(&["clients", "--prefix", "b"]), ["b-1", "b-2"]);
    assert_eq!(ids(&["clients", "--limit", "2"]), ["a-1", "b-1"]);
    assert_eq!(ids(&["clients", "--address", "127.0.0.0/8", "--listener", "a"]).len(), 3);
    assert_eq!(ids(&["clients", "--address", "10.0.0.0/8"]), [""; 0]);
    assert_eq!(ids(&["clients", "--listener", "b"]), [""; 0]);
    assert_eq!(ids(&["clients", "--away"]), [""; 0]);
    assert_eq!(ids(&["clients", "--connected"]).len(), 3);
    let client = &server.json(&["clients", "--limit", "1"])[0];
    assert_eq!(client["gateway"], "mqtt");
    assert_eq!(client["connected"], true);
    assert_eq!(client["listener"], "a");
    assert_eq!(client["subscriptions"], 0);
    assert_eq!(client["link"]["transport"], "tcp");
    let text = server.text(&["clients", "--limit", "2"]);
    assert!(text.starts_with("CLIENT  GATEWAY  CONNECTED "), "{text}");
    assert!(text.ends_with("there are more than these 2\n"), "{text}");
    assert_eq!(server.text(&["clients", "--user", "nobody"]), "no clients\n");
    let (code, said) = server.refusal(&["clients", "--address", "home"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("neither an address nor a network"), "{said}");
}

#[test]
fn many_clients_come_in_pages() {
    const MANY: usize = 2_500;
    let server = Server::start(&("shards = 2\n".to_owned() + &listener("a")));
    let address = server.address("a");
    // Sessions that stay are enough, so that no test needs so many descriptors.
    for number in 0..MANY {
        let id = format!("{number:05}");
        drop(Client::connect(address, &id));
    }
    let clients = server.json(&["clients"]);
    let ids: Vec<_> = clients.iter().map(|client| client["client"].as_str().unwrap()).collect();
    let expected: Vec<_> = (0..MANY).map(|number| format!("{number:05}")).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_client_is_shown_with_its_subscriptions() {
    let server = Server::start(&listener("a"));
    let mut client = server.connect("one");
    client.subscribe("city/+");
    client.subscribe("$share/group/lamps");
    let [shown] = server.json(&["show", "one"]).try_into().unwrap();
    assert_eq!(shown["client"], "one");
    assert_eq!(shown["subscriptions"], 2);
    assert_eq!(shown["subscriptions_shared"], 1);
    assert_eq!(shown["link"]["transport"], "tcp");
    let of = |filter: &str| {
        let list = shown["subscribed"].as_array().unwrap();
        list.iter().find(|one| one["filter"] == filter).cloned().expect(filter)
    };
    assert_eq!(of("city/+")["share"], Json::Null);
    assert_eq!(of("lamps")["share"], "group");
    let text = server.text(&["show", "one", "--gateway", "mqtt"]);
    assert!(text.lines().any(|line| line.split_whitespace().eq(["client", "one"])), "{text}");
    let (code, said) = server.refusal(&["show", "two"]);
    assert_eq!((code, said.as_str()), (Some(1), "no client two\n"));
    let (code, said) = server.refusal(&["show", "one", "--gateway", "smoke"]);
    assert_eq!((code, said.as_str()), (Some(1), "no gateway smoke\n"));
}

#[test]
fn subscriptions_are_listed_by_client_and_topic() {
    let server = Server::start(&("shards = 2\n".to_owned() + &listener("a")));
    let mut one = server.connect("one");
    one.subscribe("city/+");
    let mut two = server.connect("two");
    two.subscribe("city/lamps");
    two.subscribe("sea/#");
    let found = |arguments: &[&str]| -> Vec<(String, String)> {
        let list = server.json(arguments);
        let text = |one: &Json, key: &str| one[key].as_str().unwrap().to_owned();
        list.iter().map(|one| (text(one, "client"), text(one, "filter"))).collect()
    };
    let pair = |client: &str, filter: &str| (client.to_owned(), filter.to_owned());
    assert_eq!(
        found(&["subscriptions"]),
        [pair("one", "city/+"), pair("two", "city/lamps"), pair("two", "sea/#")]
    );
    assert_eq!(found(&["subscriptions", "--client", "one"]), [pair("one", "city/+")]);
    assert_eq!(
        found(&["subscriptions", "--topic", "city/lamps"]),
        [pair("one", "city/+"), pair("two", "city/lamps")]
    );
    assert_eq!(found(&["subscriptions", "--limit", "1"]).len(), 1);
    assert_eq!(server.text(&["subscriptions", "--client", "x"]), "no subscriptions\n");
}

#[test]
fn retained_messages_are_listed_by_topic() {
    let server = Server::start(&("shards = 2\n".to_owned() + &listener("a")));
    let mut client = server.connect("one");
    client.publish("city/b", "bright", true);
    client.publish("city/a", "\u{1}", true);
    client.publish("sea", "blue", true);
    client.ping();
    let list = wait_for("the retained messages", || {
        let list = server.json(&["retained", "--payload"]);
        (list.len() == 3).then_some(list)
    });
    let topics: Vec<_> = list.iter().map(|message| message["topic"].as_str().unwrap()).collect();
    assert_eq!(topics, ["city/a", "city/b", "sea"]);
    assert_eq!(list[1]["payload"], "bright");
    assert_eq!(list[1]["payload_bytes"], 6);
    assert_eq!(list[0]["payload"]["hex"], "01");
    let list = server.json(&["retained", "city/#"]);
    assert_eq!(list.len(), 2);
    assert_eq!(list[0].get("payload"), None);
    assert!(server.text(&["retained", "sea"]).starts_with("TOPIC  QOS  SIZE\nsea      0   4 B\n"));
    assert_eq!(server.text(&["retained", "none"]), "no retained messages\n");
    let (code, said) = server.refusal(&["retained", "a/#/b"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("filter: "), "{said}");
}

#[test]
fn a_kick_disconnects_and_lets_come_back() {
    let server = Server::start(&listener("a"));
    let mut one = server.connect("one");
    let mut two = server.connect("two");
    assert_eq!(server.text(&["kick", "one"]), "1 client disconnected\n");
    assert_eq!(one.packet(), None);
    two.ping();
    let (code, said) = server.refusal(&["kick", "--client", "one"]);
    assert_eq!((code, said.as_str()), (Some(1), "no such client is connected\n"));
    let _again = server.connect("one");
    let [kicked] = server.json(&["kick", "--address", "127.0.0.1"]).try_into().unwrap();
    assert_eq!(kicked["kicked"], 2);
    assert_eq!(two.packet(), None);
    let _three = server.connect("three");
    assert_eq!(server.text(&["kick", "--listener", "a"]), "1 client disconnected\n");
    let code = server.run(&["kick"]).status.code();
    assert_eq!(code, Some(2));
    assert_eq!(server.run(&["kick", "one", "--user", "two"]).status.code(), Some(2));
}

#[test]
fn a_ban_disconnects_and_keeps_out_until_it_is_lifted() {
    let server = Server::start(&listener("a"));
    let address = server.address("a");
    let mut one = server.connect("one");
    let text = server.text(&["ban", "one", "--for", "10m", "--reason", "too loud"]);
    assert_eq!(text, "banned; 1 client disconnected\n");
    assert_eq!(one.packet(), None);
    let answer = Client::begin(address, "one", None).packet();
    assert_eq!(answer, Some((0x20, vec![0, 5])), "not authorized");
    let [ban] = server.json(&["bans"]).try_into().unwrap();
    assert_eq!((&ban["kind"], &ban["value"]), (&"client".into(), &"one".into()));
    assert_eq!(ban["reason"], "too loud");
    let left = ban["remaining_ms"].as_u64().unwrap();
    assert!((500_000..=600_000).contains(&left), "{left}");
    assert!(server.text(&["bans"]).starts_with("WHAT    VALUE "), "{}", server.text(&["bans"]));
    assert_eq!(server.text(&["unban", "one"]), "no longer banned\n");
    server.connect("one");
    let (code, said) = server.refusal(&["unban", "one"]);
    assert_eq!((code, said.as_str()), (Some(1), "client one is not banned\n"));
    assert_eq!(server.text(&["bans"]), "nothing is banned\n");
    let log = server.log();
    assert!(log.contains("connect refused") && log.contains("too loud"), "{log}");
}

#[test]
fn bans_of_addresses_and_users_can_be_lifted_as_they_were_made() {
    let server = Server::start(&listener("a"));
    server.text(&["ban", "--address", "10.1.2.3/8"]);
    server.text(&["ban", "--user", "meter"]);
    let values: Vec<_> = server.json(&["bans"]).iter().map(|ban| ban["value"].clone()).collect();
    assert_eq!(values, ["meter", "10.0.0.0/8"]);
    server.connect("one");
    server.text(&["ban", "--address", "127.0.0.1"]);
    let address = server.address("a");
    let refused = Client::begin(address, "one", None).packet();
    assert_eq!(refused, Some((0x20, vec![0, 5])));
    server.text(&["unban", "--address", "127.0.0.1"]);
    server.text(&["unban", "--address", "10.0.0.0/8"]);
    server.text(&["unban", "--user", "meter"]);
    assert_eq!(server.json(&["bans"]).len(), 0);
}

#[test]
fn bans_outlive_the_server() {
    let mut server = Server::start(&listener("a"));
    server.text(&["ban", "one"]);
    server.signal("TERM");
    server.wait();
    server.restart();
    assert_eq!(server.json(&["bans"])[0]["value"], "one");
}

#[test]
fn a_trace_of_a_topic_shows_its_messages() {
    let server = Server::start(&listener("a"));
    let mut client = server.connect("one");
    let mut command = server.spawn(&["trace", "--topic", "city/+"]);
    let mut lines = BufReader::new(command.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "trace begins");
    client.publish("sea", "unseen", false);
    client.publish("city/lamp", "on", false);
    let message = lines.next().unwrap().unwrap();
    assert!(message.contains(" one -> message {"), "{message}");
    assert!(message.contains(r#""payload":"on""#), "{message}");
    assert!(message.contains(r#""topic":"city/lamp""#), "{message}");
    command.kill().unwrap();
    command.wait().unwrap();
}

#[test]
fn a_trace_ends_after_its_time() {
    let server = Server::start(&listener("a"));
    assert_eq!(server.text(&["trace", "--client", "nobody", "--for", "1s"]), "trace begins\n");
    let (code, said) = server.refusal(&["trace", "--topic", "a/#/b"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("topic: "), "{said}");
}

#[test]
fn a_trace_ends_when_nobody_reads_it() {
    let server = Server::start(&listener("a"));
    let mut client = server.connect("one");
    let mut command = server.spawn(&["trace", "--topic", "t"]);
    let mut lines = BufReader::new(command.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    let status = wait_for("the end of the trace", || {
        client.publish("t", "1", false);
        command.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
}
