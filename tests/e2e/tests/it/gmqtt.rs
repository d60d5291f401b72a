//! gmqtt: `py/gmqtt_client.py`.

use crate::process::{python, run};
use crate::server::Server;

/// Runs one case of the script for each protocol version, against one server.
fn case(name: &str, versions: &[&str]) {
    let server = Server::start();
    for version in versions {
        let host = server.address().ip().to_string();
        run(python("gmqtt_client.py").args([&host, &server.port(), *version, name]));
    }
}

const V5: &[&str] = &["5"];

//= mqtt5:3.8.4-8
#[test]
fn qos_both_ways() {
    case("qos_both_ways", V5);
}

//= mqtt5:3.3.1-5
//= mqtt5:3.3.1-6
#[test]
fn retained() {
    case("retained", V5);
}

//= mqtt5:3.1.2-8
//= mqtt5:3.1.3-10
#[test]
fn will_delay() {
    case("will_delay", V5);
}

#[test]
fn shared() {
    case("shared", V5);
}

//= mqtt5:3.1.2-5
#[test]
fn offline_queue() {
    case("offline_queue", V5);
}

//= mqtt5:3.1.4-3
#[test]
fn take_over() {
    case("take_over", V5);
}

#[test]
fn large_payload() {
    case("large_payload", V5);
}

//= mqtt5:3.1.2-26
//= mqtt5:3.3.2-11
#[test]
fn alias_to_client() {
    case("alias_to_client", V5);
}

//= mqtt5:3.3.2-12
//= mqtt5:3.1.2-27
#[test]
fn alias_to_server() {
    case("alias_to_server", V5);
}

//= mqtt5:3.3.4-3
#[test]
fn subscription_identifiers() {
    case("subscription_identifiers", V5);
}

//= mqtt5:3.3.2-17
//= mqtt5:3.3.2-18
//= mqtt5:3.3.2-20
#[test]
fn message_properties() {
    case("message_properties", V5);
}

//= mqtt5:3.8.3-3
//= mqtt5:3.3.1-11
//= mqtt5:3.3.1-13
#[test]
fn subscription_options() {
    case("subscription_options", V5);
}

//= mqtt5:3.10.4-2
//= mqtt5:3.11.3-1
#[test]
fn unsubscribe() {
    case("unsubscribe", V5);
}
