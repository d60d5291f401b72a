//! aiomqtt: `py/aiomqtt_client.py`.

use crate::process::{python, run};
use crate::server::Server;

/// Runs one case of the script for each protocol version, against one server.
fn case(name: &str, versions: &[&str]) {
    let server = Server::start();
    for version in versions {
        let host = server.address().ip().to_string();
        run(python("aiomqtt_client.py").args([&host, &server.port(), *version, name]));
    }
}

/// 3.1.1 and 5.
const BOTH: &[&str] = &["4", "5"];

//= mqtt5:3.8.4-8
#[test]
fn qos_both_ways() {
    case("qos_both_ways", BOTH);
}

//= mqtt5:4.6.0-6
#[test]
fn concurrent_publishers() {
    case("concurrent_publishers", BOTH);
}

//= mqtt5:3.3.1-5
//= mqtt5:3.3.1-6
#[test]
fn retained() {
    case("retained", BOTH);
}

//= mqtt5:3.1.2-8
#[test]
fn will() {
    case("will", BOTH);
}

#[test]
fn shared() {
    case("shared", BOTH);
}

//= mqtt5:3.1.2-5
#[test]
fn offline_queue() {
    case("offline_queue", BOTH);
}

#[test]
fn large_payload() {
    case("large_payload", BOTH);
}
