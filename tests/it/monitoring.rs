//! The HTTP listener of a running server, and the lines of its log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::server::{Client, Server, http_get, listener, wait_for};

/// Where the server answers over HTTP.
fn http_address(server: &Server) -> String {
    server.json(&["stats"])[0]["http"].as_str().expect("HTTP is on").to_owned()
}

const HTTP: &str = "[http]\nbind = \"127.0.0.1:0\"\n";

/// A page of metrics: the value of each sample by its name and labels as written.
struct Page {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Page {
    /// Reads OpenMetrics text and refuses what its specification forbids, as far as counters and
    /// gauges go.
    fn parse(text: &str) -> Page {
        let body = text.strip_suffix("# EOF\n").expect("the page ends with # EOF");
        let mut page = Page { samples: BTreeMap::new(), types: BTreeMap::new() };
        let (mut helped, mut units) = (BTreeSet::new(), BTreeMap::new());
        let mut family = String::new();
        for line in body.lines() {
            assert!(!line.is_empty() && line.trim() == line, "{line:?}");
            if let Some(meta) = line.strip_prefix("# ") {
                let mut words = meta.splitn(3, ' ');
                let mut word = || words.next().expect("a keyword, a name and a text");
                let (keyword, name, text) = (word(), word(), word());
                check_name(name);
                if name != family {
                    assert!(!page.types.contains_key(name), "{name} is there twice");
                    name.clone_into(&mut family);
                }
                let is_new = match keyword {
                    "HELP" => !text.is_empty() && helped.insert(name.to_owned()),
                    "TYPE" => {
                        assert!(["counter", "gauge"].contains(&text), "{line}");
                        page.types.insert(name.to_owned(), text.to_owned()).is_none()
                    }
                    "UNIT" => {
                        assert!(name.ends_with(&format!("_{text}")), "{line}");
                        units.insert(name.to_owned(), text.to_owned()).is_none()
                    }
                    _ => panic!("{line}"),
                };
                assert!(is_new, "{line}");
                continue;
            }
            page.add_sample(line, &family);
        }
        assert_eq!(helped, page.types.keys().cloned().collect(), "each has help and type");
        page
    }

    fn add_sample(&mut self, line: &str, family: &str) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let value: f64 = value.parse().expect("a number");
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let bare = name.split('{').next().unwrap();
        check_name(bare);
        let kind = self.types.get(family).expect("samples follow their type");
        let expected = if kind == "counter" { format!("{family}_total") } else { family.into() };
        assert_eq!(bare, expected, "{line}");
        if let Some(labels) = name.strip_prefix(bare).filter(|labels| !labels.is_empty()) {
            let labels = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            for label in labels.expect("labels stand in braces").split("\",") {
                let (key, value) = label.split_once("=\"").expect("a label and its value");
                check_name(key);
                assert!(!value.trim_end_matches('"').contains('\n'));
            }
        }
        assert!(self.samples.insert(name.to_owned(), value).is_none(), "{line} is there twice");
    }

    fn value(&self, name: &str) -> f64 {
        *self.samples.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.samples.keys()))
    }
}

fn check_name(name: &str) {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(name.chars().all(is_good) && !name.starts_with(|c: char| c.is_ascii_digit()), "{name}");
}

fn scrape(address: &str) -> Page {
    let (status, head, body) = http_get(address, "/metrics", "");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    Page::parse(&body)
}

#[test]
fn metrics_count_what_has_happened() {
    let config = "sys_interval = \"never\"\n".to_owned() + HTTP + &listener("a") + &listener("b");
    let server = Server::start(&config);
    let address = http_address(&server);
    let mut client = server.connect("one");
    client.publish("t", "12345", false);
    client.publish("t", "12345", true);
    client.ping();
    server.text(&["ban", "two"]);
    // Each shard shows its counters at its own time: one has accepted, another has the session.
    let accepted =
        "manifold_listener_accepted_total{listener=\"a\",gateway=\"mqtt\",transport=\"tcp\"}";
    let counts = [
        ("manifold_messages_received_total", 2.0),
        ("manifold_clients_connected", 1.0),
        ("manifold_messages_retained", 1.0),
        (accepted, 1.0),
    ];
    let page = wait_for("the counters", || {
        let page = scrape(&address);
        counts.iter().all(|(name, count)| page.value(name) == *count).then_some(page)
    });
    assert_eq!(page.value("manifold_payload_received_bytes_total"), 10.0);
    assert_eq!(page.value("manifold_bans"), 1.0);
    assert_eq!(page.value("manifold_ready"), 1.0);
    let labels = "{listener=\"a\",gateway=\"mqtt\",transport=\"tcp\"}";
    assert_eq!(page.value(&format!("manifold_listener_connections{labels}")), 1.0);
    assert_eq!(page.value("manifold_gateway_connections{gateway=\"mqtt\"}"), 1.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(page.value(&format!("manifold_build_info{{version=\"{version}\"}}")), 1.0);
    assert!(page.value("process_resident_memory_bytes") > 1_000_000.0);
    assert!(page.value("process_open_fds") > 5.0);
}

#[test]
fn health_is_told() {
    let mut server = Server::start(&(HTTP.to_owned() + &listener("a")));
    let address = http_address(&server);
    let health = |path| {
        let (status, _, body) = http_get(&address, path, "");
        (status, body)
    };
    assert_eq!(health("/healthz"), ("HTTP/1.1 200 OK".into(), "alive\n".into()));
    assert_eq!(health("/readyz"), ("HTTP/1.1 200 OK".into(), "ready\n".into()));
    assert_eq!(http_get(&address, "/", "").0, "HTTP/1.1 404 Not Found");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn the_token_is_asked_for_and_may_change_at_a_reload() {
    let config = HTTP.to_owned() + "token_file = \"token\"\n" + &listener("a");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "open sesame\n").unwrap();
    let server = Server::start_in(folder, &config);
    let address = http_address(&server);
    let status = |token: &str| {
        http_get(&address, "/metrics", &format!("Authorization: Bearer {token}\r\n")).0
    };
    assert_eq!(http_get(&address, "/metrics", "").0, "HTTP/1.1 401 Unauthorized");
    assert_eq!(status("open"), "HTTP/1.1 401 Unauthorized");
    assert_eq!(status("open sesame"), "HTTP/1.1 200 OK");
    std::fs::write(server.folder().join("token"), "other").unwrap();
    let [done] = server.json(&["reload"]).try_into().unwrap();
    assert_eq!(done["changes"]["files"].as_array().unwrap().len(), 1);
    assert_eq!(status("open sesame"), "HTTP/1.1 401 Unauthorized");
    assert_eq!(status("other"), "HTTP/1.1 200 OK");
    std::fs::write(server.folder().join("token"), " ").unwrap();
    let (code, said) = server.refusal(&["reload"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no token in it"), "{said}");
    assert_eq!(status("other"), "HTTP/1.1 200 OK");
    let log = server.log();
    assert!(!log.contains("sesame") && !log.contains("other"), "{log}");
}

#[test]
fn http_comes_and_goes_with_a_reload() {
    let server = Server::start(&listener("a"));
    assert_eq!(server.json(&["stats"])[0]["http"], Json::Null);
    server.configure(&(HTTP.to_owned() + &listener("a")));
    server.text(&["reload"]);
    let address = http_address(&server);
    assert_eq!(http_get(&address, "/healthz", "").2, "alive\n");
    let page = scrape(&address);
    assert_eq!(page.value("manifold_reloads_total{result=\"applied\"}"), 1.0);
    server.configure(&listener("a"));
    server.text(&["reload"]);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn the_log_can_be_json() {
    let config = "[log]\nformat = \"json\"\nlevel = \"debug\"\n".to_owned() + &listener("a");
    let server = Server::start(&config);
    let address = server.address("a");
    server.text(&["ban", "two"]);
    drop(server.connect("one"));
    let refused = Client::begin(address, "two\n", Some(("user", "open sesame"))).packet();
    assert!(refused.is_some());
    drop(Client::begin(address, "two", Some(("user", "open sesame"))).packet());
    let lines = wait_for("the lines of the log", || {
        let log = server.log();
        let lines: Vec<Json> = log
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect();
        let has = |message: &str| lines.iter().any(|line| line["message"] == message);
        (has("connect refused") && has("client disconnected")).then_some(lines)
    });
    let find = |message: &str| lines.iter().find(|line| line["message"] == message).expect(message);
    assert_eq!(find("client connected")["client_id"], "one");
    assert_eq!(find("client connected")["level"], "DEBUG");
    assert_eq!(find("connect refused")["level"], "INFO");
    assert_eq!(find("connect refused")["user"], "user");
    assert!(!server.log().contains("sesame"));
}
