//! MQTT over WebSocket: MQTT.js, websocat, and the frames of `py/websocket_client.py`.

use std::process::Command;

use crate::process::{finish, node, python, run};
use crate::server::Server;

/// A server with a listener over WebSocket whose own table is `websocket`.
fn server(websocket: &str) -> Server {
    let shards = std::env::var("MANIFOLD_SHARDS").unwrap_or_else(|_| "1".into());
    let text = format!(
        "shards = {shards}\ndrain_timeout = \"1s\"\n[[listener]]\nname = \"mqtt\"\n\
         transport = \"ws\"\nbind = \"127.0.0.1:0\"\n[listener.limits]\n\
         max_packet_size = \"2MiB\"\n[listener.websocket]\n{websocket}\n"
    );
    Server::start_in(tempfile::tempdir().expect("a folder"), &text)
}

fn case(server: &Server, name: &str) {
    run(python("websocket_client.py").args([&server.port(), name]));
}

/// The cases that MQTT.js runs over TCP, over WebSocket.
//= mqtt5:6.0.0-3
//= mqtt5:6.0.0-4
//= mqtt311:6.0.0-3
//= mqtt311:6.0.0-4
#[test]
fn mqttjs_does_over_websocket_what_it_does_over_tcp() {
    let server = server("");
    for (case, versions) in [
        ("qos_both_ways", &["3", "4", "5"][..]),
        ("many_in_order", &["4", "5"]),
        ("large_payload", &["4", "5"]),
        ("will", &["4", "5"]),
        ("take_over", &["4", "5"]),
        ("alias_both_ways", &["5"]),
    ] {
        for version in versions {
            let host = "ws://127.0.0.1";
            run(node("mqttjs_client.js").args([host, &server.port(), *version, case]));
        }
    }
}

#[test]
fn websocat_gets_a_connack() {
    let server = server("");
    let url = format!("ws://{}/mqtt", server.address());
    let said = run(python("run_websocat.py").arg(url));
    assert_eq!(said.trim(), "20020000", "CONNACK in hexadecimal");
}

//= mqtt5:6.0.0-2
//= mqtt311:6.0.0-2
#[test]
fn packets_need_not_be_messages() {
    let server = server("");
    for name in ["split_packets", "merged_packets", "fragments", "pings_between_fragments"] {
        case(&server, name);
    }
}

//= mqtt5:6.0.0-1
//= mqtt311:6.0.0-1
#[test]
fn broken_frames_are_answered_by_their_code() {
    let server = server("");
    for name in ["text", "unmasked", "reserved_bits", "unknown_opcode", "long_control", "lone_end"]
    {
        case(&server, name);
    }
}

#[test]
fn the_closing_handshake_is_done() {
    let server = server("");
    for name in ["close", "close_codes", "malformed_mqtt", "vanish"] {
        case(&server, name);
    }
}

//= mqtt5:6.0.0-3
//= mqtt5:6.0.0-4
//= mqtt311:6.0.0-3
//= mqtt311:6.0.0-4
#[test]
fn the_subprotocol_is_agreed_on() {
    case(&server(""), "subprotocols");
}

#[test]
fn the_path_and_the_origin_are_checked() {
    let server = server("path = \"/here\"\norigins = [\"https://good.example\"]");
    for name in ["paths", "origins", "not_a_websocket"] {
        case(&server, name);
    }
    let url = format!("http://{}/here", server.address());
    let mut curl = Command::new("curl");
    let (_, said) = finish(curl.args(["-sS", "-i", "--max-time", "10", &url]));
    assert!(said.starts_with("HTTP/1.1 4"), "{said}");
}
