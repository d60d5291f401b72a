//! What every road to the server has in common: the same refusals, whatever carries MQTT.
//!
//! The client is paho-mqtt, which speaks all five: `py/roads_client.py`.

use std::process::Command;

use tempfile::TempDir;

use crate::pki::Authority;
use crate::process::{python, run};
use crate::server::Server;

/// The user of the tests' clients.
pub(crate) const USER: &str = "ann";
/// Its password, which must not appear in any log.
pub(crate) const PASSWORD: &str = "ann's secret";

/// What carries MQTT; also the name of the listener.
pub(crate) const ROADS: [&str; 5] = ["tcp", "tls", "ws", "wss", "unix"];

/// A server with a listener for each road, the same policy on all of them, and `more` at the end of
/// each listener's table.
pub(crate) fn server(more: &str, tables: &str) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new(folder.path());
    authority.server("server", &["localhost", "127.0.0.1"]);
    let users = folder.path().join("users.txt");
    run(Command::new("mosquitto_passwd").arg("-c").arg("-b").arg(&users).args([USER, PASSWORD]));
    let text = configuration(&folder, more, tables);
    Server::start_in(folder, &text)
}

fn configuration(folder: &TempDir, more: &str, tables: &str) -> String {
    let shards = std::env::var("MANIFOLD_SHARDS").unwrap_or_else(|_| "1".into());
    let mut text = format!("shards = {shards}\nsys_interval = \"1s\"\ndrain_timeout = \"1s\"\n");
    for road in ROADS {
        let bind = match road {
            "unix" => format!("unix:{}", folder.path().join("mqtt.sock").display()),
            _ => "127.0.0.1:0".to_owned(),
        };
        text += &format!(
            "\n[[listener]]\nname = \"{road}\"\ntransport = \"{road}\"\nbind = \"{bind}\"\n{more}\n"
        );
        if road == "tls" || road == "wss" {
            text += "[listener.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
        }
    }
    text + "\n[authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n" + tables
}

/// The script with a case, for one road.
pub(crate) fn script(server: &Server, road: &str, version: &str, case: &str) -> Command {
    let address = match road {
        "unix" => server.folder().join("mqtt.sock").display().to_string(),
        _ => server.address_of(road).to_string(),
    };
    let mut command = python("roads_client.py");
    command.args([road, &address]).arg(server.folder().join("ca.pem")).args([version, case]);
    command
}

/// A server that lets only the user in, and its file's rules.
pub(crate) fn guarded(more: &str, tables: &str) -> Server {
    server(&format!("authentication = [\"users\"]\n{more}"), tables)
}

/// Runs a case on all roads, with both versions that answer differently.
fn everywhere(server: &Server, case: &str) {
    for road in ROADS {
        for version in ["4", "5"] {
            run(&mut script(server, road, version, case));
        }
    }
}

#[test]
fn messages_pass_over_every_road() {
    everywhere(&guarded("", ""), "works");
}

#[test]
fn a_bad_password_is_refused() {
    let mut server = guarded("", "[log]\nlevel = \"trace\"\n");
    everywhere(&server, "bad_password");
    let log = server.process().stderr();
    assert!(log.contains("DEBUG"), "everything is in the log, and no secret, as each test checks");
}

#[test]
fn a_banned_client_is_refused() {
    let server = guarded("", "");
    server.operate(&["ban", "--client", "outcast", "--for", "1h"]);
    everywhere(&server, "banned");
}

#[test]
fn rules_on_topics_bind() {
    let tables = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\nuser = \"ann\"\n\
                  topics = [\"free/#\"]\n";
    everywhere(&guarded("", tables), "acl_deny");
}

#[test]
fn a_packet_too_large_is_refused() {
    everywhere(&guarded("", ""), "over_size");
}

#[test]
fn a_sender_too_fast_is_slowed() {
    let limits = "limits.message_rate = \"20/s, burst 20\"";
    let server = guarded(limits, "");
    for road in ROADS {
        run(&mut script(&server, road, "5", "over_rate"));
    }
}

#[test]
fn no_more_connections_than_allowed() {
    everywhere(&guarded("max_connections = 2", ""), "connection_limit");
}

#[test]
fn a_session_is_taken_over() {
    everywhere(&guarded("", ""), "take_over");
}
