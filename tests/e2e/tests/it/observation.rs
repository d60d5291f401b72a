//! What a server tells of itself: metrics, health, logs and traces.

use std::process::Command;

use serde_json::Value as Json;

use crate::access::{self, Outcome, folder, publish, write};
use crate::operation::{ask, subscriber};
use crate::process::{Process, finish, python, run, wait_for};
use crate::server::{Server, assert_no_secret, executable};

/// The URL of a page of the HTTP listener.
fn url(server: &Server, page: &str) -> String {
    let stats = &ask(server, &["stats"])[0];
    format!("http://{}{page}", stats["http"].as_str().expect("it is open"))
}

/// The status and the body of a page, by curl.
fn fetch(server: &Server, page: &str, options: &[&str]) -> (String, String) {
    fetch_url(&url(server, page), options)
}

fn fetch_url(url: &str, options: &[&str]) -> (String, String) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--write-out", "\n%{http_code} %{content_type}"]);
    let said = run(command.args(options).arg(url));
    let (body, status) = said.rsplit_once('\n').expect("the last line is ours");
    (status.to_owned(), body.to_owned())
}

/// All samples by name and labels, as prometheus_client reads them.
fn metrics(server: &Server) -> Json {
    let (status, body) = fetch(server, "/metrics", &[]);
    assert!(status.starts_with("200 application/openmetrics-text"), "{status}");
    let file = server.folder().join("metrics.txt");
    std::fs::write(&file, body).expect("the folder is ours");
    serde_json::from_str(&run(python("read_metrics.py").arg(file))).expect("it is JSON")
}

const HTTP: &str = "[http]\nbind = \"127.0.0.1:0\"\n";

#[test]
fn metrics_count_what_happened() {
    let tables = format!("[[listener]]\nname = \"west\"\nbind = \"127.0.0.1:0\"\n{HTTP}");
    let server = access::server(folder(), "max_connections = 7", &tables);
    let _client = subscriber(&server, "west", &["-i", "one", "-t", "t/#", "-t", "u"]);
    for topic in ["t/1", "t/2", "t/3", "nobody"] {
        publish(&server, topic, &["-i", "publisher", "-r"]);
    }
    server.operate(&["ban", "outcast"]);
    assert!(matches!(publish(&server, "t/1", &["-i", "outcast"]), Outcome::Refused(_)));
    let mqtt = "gateway=mqtt,listener=mqtt,transport=tcp";
    let west = "gateway=mqtt,listener=west,transport=tcp";
    let wanted = [
        ("manifold_clients_connected".to_owned(), 1.0),
        ("manifold_sessions".to_owned(), 1.0),
        ("manifold_subscriptions".to_owned(), 2.0),
        ("manifold_connects_refused_total".to_owned(), 1.0),
        ("manifold_messages_received_total".to_owned(), 4.0),
        ("manifold_payload_received_bytes_total".to_owned(), 4.0),
        ("manifold_messages_sent_total".to_owned(), 3.0),
        ("manifold_payload_sent_bytes_total".to_owned(), 3.0),
        ("manifold_bans".to_owned(), 1.0),
        ("manifold_ready".to_owned(), 1.0),
        ("manifold_links".to_owned(), 1.0),
        ("manifold_reloads_total{result=applied}".to_owned(), 0.0),
        (format!("manifold_listener_connections{{{mqtt}}}"), 0.0),
        (format!("manifold_listener_connections{{{west}}}"), 1.0),
        (format!("manifold_listener_connections_limit{{{mqtt}}}"), 7.0),
        (format!("manifold_listener_accepted_total{{{mqtt}}}"), 5.0),
        (format!("manifold_listener_accepted_total{{{west}}}"), 1.0),
        (format!("manifold_listener_publishes_total{{{mqtt}}}"), 4.0),
        (format!("manifold_listener_publishes_total{{{west}}}"), 0.0),
        (format!("manifold_listener_deliveries_total{{{mqtt}}}"), 0.0),
        (format!("manifold_listener_deliveries_total{{{west}}}"), 3.0),
        ("manifold_gateway_publishes_total{gateway=mqtt}".to_owned(), 4.0),
        ("manifold_gateway_connections{gateway=mqtt}".to_owned(), 1.0),
    ];
    let mut found = Json::Null;
    let mut tries = 0;
    wait_for("the counters, which are a second old at most", || {
        found = metrics(&server);
        let differ: Vec<_> =
            wanted.iter().filter(|(name, value)| found[name.as_str()] != *value).collect();
        tries += 1;
        assert!(tries < 100, "not so: {differ:?} in {found:#}");
        differ.is_empty().then_some(())
    });
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("no {name}: {found}"));
    assert!(number("manifold_messages_retained") >= 4.0, "those of $SYS are counted too");
    assert!(number("process_resident_memory_bytes") > 1e6);
    assert!(number("manifold_uptime_seconds") > 0.0);
    assert!(number("manifold_read_bytes_total") > 100.0);
    assert!(number("manifold_written_bytes_total") > 50.0);
    assert!(!found.to_string().contains("t/1"), "topics are no labels");
}

#[test]
fn health_is_told() {
    let mut server = access::server(folder(), "", HTTP);
    assert!(fetch(&server, "/healthz", &[]).0.starts_with("200"));
    assert!(fetch(&server, "/readyz", &[]).0.starts_with("200"));
    assert!(fetch(&server, "/other", &[]).0.starts_with("404"));
    assert!(fetch(&server, "/metrics", &["-X", "POST"]).0.starts_with("405"));
    // Its settings can change, and it can go.
    let file = server.folder().join("manifold.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, text.replace(HTTP, "")).expect("the folder is ours");
    let url = url(&server, "/healthz");
    server.operate(&["reload"]);
    let (status, said) = finish(Command::new("curl").args(["--silent", "--show-error", &url]));
    assert!(!status.success(), "{said}");
    assert!(ask(&server, &["stats"])[0]["http"].is_null());
    assert!(server.process().ended().is_none());
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let mut server = access::server(folder(), "", HTTP);
    let file = server.folder().join("manifold.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let text = text.replace("drain_timeout = \"1s\"", "drain_timeout = \"20s\"");
    std::fs::write(&file, text).expect("the folder is ours");
    server.operate(&["reload"]);
    // A client that takes nothing keeps the server waiting at its end.
    let mut client = subscriber(&server, "mqtt", &["-t", "t"]);
    client.signal("STOP");
    let payload = server.folder().join("payload");
    std::fs::write(&payload, vec![b'x'; 1_000_000]).expect("the folder is ours");
    let waits = || ask(&server, &["clients"])[0]["link"]["output_bytes"].as_u64() > Some(0);
    wait_for("output that nobody takes", || {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &server.port(), "-q", "1", "-t", "t", "-f"]);
        run(command.arg(&payload));
        waits().then_some(())
    });
    let [ready, alive] = ["/readyz", "/healthz"].map(|page| url(&server, page));
    server.process().signal("TERM");
    wait_for("the server not to be ready", || {
        let (status, why) = fetch_url(&ready, &[]);
        (status.starts_with("503") && why.contains("about to stop")).then_some(())
    });
    assert!(fetch_url(&alive, &[]).0.starts_with("200"));
    client.kill();
    assert!(server.process().wait().success());
    server.ended();
}

#[test]
fn a_token_is_asked_for() {
    let folder = folder();
    write(&folder, "metrics.token", "a bearer token\n");
    write(&folder, "other.token", "any password\n");
    let server = access::server(folder, "", &format!("{HTTP}token_file = \"metrics.token\"\n"));
    let with = |header: &str, page: &str| {
        let (status, body) = fetch(&server, page, &["--header", header]);
        assert_no_secret(&body);
        status[..3].to_owned()
    };
    let good = "Authorization: Bearer a bearer token";
    for page in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(fetch(&server, page, &[]).0[..3], *"401", "{page}");
        assert_eq!(with("Authorization: Bearer any password", page), "401", "{page}");
        assert_eq!(with("Authorization: Basic a bearer token", page), "401", "{page}");
        assert_eq!(with(good, page), "200", "{page}");
    }
    let file = server.folder().join("manifold.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, text.replace("metrics.token", "other.token")).expect("it is ours");
    server.operate(&["reload"]);
    assert_eq!(with(good, "/metrics"), "401");
    assert_eq!(with("Authorization: Bearer any password", "/metrics"), "200");
}

#[test]
fn every_line_of_a_log_is_an_object() {
    let folder = folder();
    let users = folder.path().join("users.txt");
    let mut command = Command::new("mosquitto_passwd");
    run(command.arg("-c").arg("-b").arg(users).args(["ann", "first password"]));
    let tables = "[log]\nlevel = \"trace\"\nformat = \"json\"\n[[acl]]\nallow = [\"all\"]\n\
                  topics = [\"free/#\"]\n[authentication.users]\ntype = \"file\"\n\
                  path = \"users.txt\"\n";
    let shards = std::env::var("MANIFOLD_SHARDS").unwrap_or_else(|_| "1".into());
    let text = format!(
        "shards = {shards}\ndrain_timeout = \"1s\"\n[[listener]]\nname = \"mqtt\"\n\
         bind = \"127.0.0.1:0\"\nauthentication = [\"users\"]\n{tables}"
    );
    let mut server = Server::start_in(folder, &text);
    let user = ["-u", "ann", "-P", "first password", "-i", "lamp and \"quote\""];
    assert_eq!(publish(&server, "free/a", &user), Outcome::Taken);
    assert_eq!(publish(&server, "secret/a", &user), Outcome::Denied);
    let stranger = ["-u", "ann", "-P", "any password", "-i", "stranger"];
    assert!(matches!(publish(&server, "free/a", &stranger), Outcome::Refused(_)));
    server.operate(&["reload"]);
    server.operate_in_vain(&["kick", "nobody"]);
    wait_for("the line about the client that goes", || {
        server.process().stderr().contains("\"client disconnected\"").then_some(())
    });
    server.process().signal("TERM");
    assert!(server.process().wait().success());
    let file = server.folder().join("log.jsonl");
    std::fs::write(&file, server.process().stderr()).expect("the folder is ours");
    server.ended();
    let lines: Json = serde_json::from_str(&run(python("read_lines.py").arg(file))).expect("JSON");
    let lines = lines.as_array().expect("a list");
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no line {message:?}"))
    };
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()));
    assert_eq!(line("client connected")["user"], "ann");
    assert_eq!(line("client connected")["client_id"], "lamp and \"quote\"");
    assert_eq!(line("client was denied")["topic"], "secret/a");
    assert_eq!(line("connect refused")["client_id"], "stranger");
    assert_eq!(line("reload applied")["level"], "INFO");
}

/// A trace that has begun.
fn trace(server: &Server, options: &[&str]) -> Process {
    let mut command = Command::new(executable());
    command.arg("trace").args(options).arg("--data-dir").arg(server.data_dir());
    let mut trace = Process::start(&mut command);
    trace.wait_for_line("trace begins");
    trace
}

#[test]
fn frames_of_one_client_are_shown() {
    let folder = folder();
    let users = folder.path().join("users.txt");
    let mut command = Command::new("mosquitto_passwd");
    run(command.arg("-c").arg("-b").arg(users).args(["ann", "first password"]));
    let listener = "authentication = [\"users\"]\nallow_anonymous = true";
    let tables = "[authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n";
    let server = access::server(folder, listener, tables);
    let mut people = trace(&server, &["--client", "lamp-1"]);
    let mut programs = trace(&server, &["--client", "lamp-1", "--json"]);
    let mut network = trace(&server, &["--address", "127.0.0.9", "--json"]);
    let mut topics = trace(&server, &["--topic", "city/+/a", "--json"]);
    let user = ["-u", "ann", "-P", "first password", "-i", "lamp-1"];
    publish(&server, "city/1/a", &user);
    publish(&server, "city/1/b", &["-i", "lamp-2"]);
    publish(&server, "city/2/a", &["-i", "lamp-3", "-A", "127.0.0.9"]);
    people.wait_for_line("closed");
    let said = people.stdout();
    let mut from = 0;
    for frame in ["lamp-1 -> CONNECT", "lamp-1 <- CONNACK", "lamp-1 -> PUBLISH", "lamp-1 <- PUBACK"]
    {
        let found = said[from..].find(frame);
        from += found.unwrap_or_else(|| panic!("{frame} is not there in its order:\n{said}"));
    }
    assert!(said.contains("\"ann\"") && said.contains("city/1/a"), "{said}");
    assert!(!said.contains("lamp-2") && !said.contains("city/2"), "{said}");
    programs.wait_for_line("\"closed\"");
    let items: Vec<Json> = programs
        .stdout()
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let published = items.iter().find(|item| item["what"] == "PUBLISH").expect("it is shown");
    assert_eq!(published["direction"], "received");
    assert_eq!(published["frame"]["topic"], "city/1/a", "{published}");
    assert_eq!(published["client"], "lamp-1");
    network.wait_for_line("\"closed\"");
    assert!(network.stdout().contains("lamp-3") && !network.stdout().contains("lamp-1"));
    topics.wait_for_line("city/2/a");
    assert!(topics.stdout().contains("city/1/a") && !topics.stdout().contains("city/1/b"));
    for trace in [people, programs, network, topics] {
        assert_no_secret(&(trace.stdout() + &trace.stderr()));
    }
    let mut short = trace(&server, &["--client", "nobody", "--for", "1s"]);
    assert!(short.wait().success(), "it ends by itself");
}
