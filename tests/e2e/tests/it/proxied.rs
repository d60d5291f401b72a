//! haproxy in front of the server: what it reports in the PROXY protocol is believed, if it may
//! report at all.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::pki::Authority;
use crate::process::{Process, finish, line_by_line, python, run};
use crate::server::Server;

/// One listener behind a proxy; `tables` are the rest of the file.
fn server(folder: tempfile::TempDir, listener: &str, tables: &str) -> Server {
    let shards = std::env::var("MANIFOLD_SHARDS").unwrap_or_else(|_| "1".into());
    let text = format!(
        "shards = {shards}\ndrain_timeout = \"1s\"\n[[listener]]\nname = \"mqtt\"\n\
         bind = \"127.0.0.1:0\"\n{listener}\n{tables}"
    );
    Server::start_in(folder, &text)
}

/// A running haproxy, and its port.
struct Haproxy {
    _process: Process,
    port: String,
}

/// haproxy whose frontend has the options `front` and which reports to the server as `back` says.
fn haproxy(server: &Server, front: &str, back: &str) -> Haproxy {
    let file = server.folder().join("haproxy.cfg");
    let text = format!(
        "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n\
         frontend front\n  bind \"fd@${{FD}}\" {front}\n  default_backend back\n\
         backend back\n  server manifold {} {back}\n",
        server.address()
    );
    std::fs::write(&file, text).expect("the folder is ours");
    let mut process = Process::start(python("run_haproxy.py").arg(&file));
    process.wait_for_line("\n");
    let port = process.stdout().trim().to_owned();
    Haproxy { _process: process, port }
}

/// `mosquitto_pub` from a source address; whether the message was taken.
fn publish(port: &str, from: &str, client: &str, topic: &str, more: &[&str]) -> (bool, String) {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", port, "-A", from, "-i", client, "-V", "5", "-q", "1"]);
    let (status, said) = finish(command.args(["-t", topic, "-m", "x"]).args(more));
    // An unsuccessful PUBACK is a warning of a program that ends well.
    (status.success() && !said.contains("failed"), said)
}

/// `mosquitto_sub` that stays connected through the proxy, and what the operator sees of it.
fn shown(server: &Server, port: &str, from: &str, more: &[&str]) -> Value {
    let mut command = line_by_line("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", port, "-A", from, "-i", "watcher", "-V", "5", "-d"]);
    let mut subscriber = Process::start(command.args(["-t", "city/#"]).args(more));
    subscriber.wait_for_line("Subscribed");
    serde_json::from_str(&server.operate(&["show", "watcher", "--json"])).expect("JSON")
}

fn text(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[test]
fn the_reported_address_counts() {
    for (version, back) in [("v1", "send-proxy"), ("v2", "send-proxy-v2"), ("any", "send-proxy")] {
        let listener = format!(
            "proxy_protocol = \"{version}\"\nproxy_protocol_from = [\"127.0.0.1/32\"]\n\
             allow_anonymous = true"
        );
        let rules = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\n\
                     address = [\"127.0.0.2/32\"]\ntopics = [\"city/#\"]\n";
        let server = server(tempfile::tempdir().expect("a folder"), &listener, rules);
        let proxy = haproxy(&server, "", back);
        let (taken, said) = publish(&proxy.port, "127.0.0.2", "near", "city/a", &[]);
        assert!(taken, "{version}: {said}");
        let (taken, said) = publish(&proxy.port, "127.0.0.3", "far", "city/a", &[]);
        assert!(!taken, "{version}: {said}");
        let shown = shown(&server, &proxy.port, "127.0.0.2", &[]);
        let address = shown["address"].as_str().expect("an address");
        assert!(address.starts_with("127.0.0.2:"), "{version}: {shown}");
    }
}

#[test]
fn the_certificate_that_a_proxy_has_seen_is_evidence() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    authority.server("server", &["localhost", "127.0.0.1"]);
    authority.client("meter-7", 7);
    let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("it was written");
    let both = read("server.pem") + &read("server.key");
    std::fs::write(folder.path().join("front.pem"), both).expect("the folder is ours");
    let path = |name| text(folder.path(), name);
    let front = format!("ssl crt {} ca-file {} verify optional", path("front.pem"), path("ca.pem"));
    let back = "send-proxy-v2 proxy-v2-options \
                ssl,cert-cn,cert-key,cert-sig,ssl-cipher,authority,crc32c,unique-id";
    let tls = ["--cafile", &path("ca.pem")].map(str::to_owned);
    let certificate = ["--cert", &path("meter-7.pem"), "--key", &path("meter-7.key")];
    let with: Vec<String> =
        tls.iter().cloned().chain(certificate.iter().map(ToString::to_string)).collect();
    let listener = "proxy_protocol = \"v2\"\nproxy_protocol_from = [\"127.0.0.0/8\"]\n\
                    authentication = [\"certificates\"]";
    let tables = "[authentication.certificates]\ntype = \"certificate\"\n\
                  [[acl]]\nallow = [\"publish\", \"subscribe\"]\ncertificate.common_name = \"meter-*\"\n\
                  topics = [\"city/%u/#\", \"city/#\"]\n";
    let server = server(folder, listener, tables);
    let proxy = haproxy(&server, &front, back);
    let with: Vec<&str> = with.iter().map(String::as_str).collect();
    let (taken, said) = publish(&proxy.port, "127.0.0.1", "m", "city/meter-7/a", &with);
    assert!(taken, "{said}");
    let without: Vec<&str> = tls.iter().map(String::as_str).collect();
    let (taken, said) = publish(&proxy.port, "127.0.0.1", "m", "city/meter-7/a", &without);
    assert!(!taken, "a client without a certificate was let in: {said}");
    let shown = shown(&server, &proxy.port, "127.0.0.1", &with).to_string();
    for fact in ["meter-7", "TLSv1.3", "localhost"] {
        let known = shown.contains(fact);
        // mosquitto_sub names the server by its address, which is no server name.
        assert!(known || fact == "localhost", "{fact} is missing in {shown}");
    }
}

#[test]
fn nobody_else_may_report_and_nobody_may_be_silent() {
    let listener = "proxy_protocol = \"any\"\nproxy_protocol_from = [\"127.0.0.9/32\"]\n\
                    allow_anonymous = true";
    let server = server(tempfile::tempdir().expect("a folder"), listener, "");
    for back in ["send-proxy", "send-proxy-v2"] {
        let proxy = haproxy(&server, "", back);
        assert!(!publish(&proxy.port, "127.0.0.1", "m", "t", &[]).0, "{back}: not trusted");
    }
    let (taken, said) = publish(&server.port(), "127.0.0.9", "m", "t", &[]);
    assert!(!taken, "a trusted source without the header was let in: {said}");
    let trusted = run(python("proxy_header.py").args([&server.port(), "127.0.0.9"]));
    assert!(trusted.contains("CONNACK 0"), "{trusted}");
}
