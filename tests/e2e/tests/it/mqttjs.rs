//! MQTT.js: `js/mqttjs_client.js`.

use crate::process::{node, run};
use crate::server::Server;

/// Runs one case of the script for each protocol version, against one server.
fn case(name: &str, versions: &[&str]) {
    let server = Server::start();
    for version in versions {
        let host = server.address().ip().to_string();
        run(node("mqttjs_client.js").args([&host, &server.port(), *version, name]));
    }
}

/// 3.1, 3.1.1 and 5.
const ALL: &[&str] = &["3", "4", "5"];
const V5: &[&str] = &["5"];

//= mqtt5:3.8.4-8
//= mqtt311:4.3.1-1
#[test]
fn qos_both_ways() {
    case("qos_both_ways", ALL);
}

//= mqtt5:4.6.0-6
//= mqtt311:4.6.0-6
#[test]
fn many_in_order() {
    case("many_in_order", ALL);
}

//= mqtt5:3.3.1-5
//= mqtt5:3.3.1-6
//= mqtt311:3.3.1-5
//= mqtt311:3.3.1-10
#[test]
fn retained() {
    case("retained", ALL);
}

//= mqtt5:3.1.2-8
//= mqtt311:3.1.2-8
//= mqtt311:3.14.4-3
#[test]
fn will() {
    case("will", ALL);
}

#[test]
fn shared() {
    case("shared", ALL);
}

//= mqtt5:3.1.2-5
//= mqtt311:3.1.2-4
#[test]
fn offline_queue() {
    case("offline_queue", ALL);
}

//= mqtt5:3.1.4-3
//= mqtt311:3.1.4-2
#[test]
fn take_over() {
    case("take_over", ALL);
}

#[test]
fn large_payload() {
    case("large_payload", ALL);
}

//= mqtt5:3.10.4-2
//= mqtt311:3.10.4-2
#[test]
fn unsubscribe() {
    case("unsubscribe", ALL);
}

//= mqtt5:3.3.2-15
//= mqtt5:3.3.2-16
#[test]
fn request_response() {
    case("request_response", V5);
}

//= mqtt5:3.3.2-11
//= mqtt5:3.3.2-12
//= mqtt5:3.1.2-26
#[test]
fn alias_both_ways() {
    case("alias_both_ways", V5);
}

//= mqtt5:3.3.2-17
//= mqtt5:3.3.2-20
//= mqtt5:3.3.4-3
#[test]
fn properties() {
    case("properties", V5);
}

//= mqtt5:3.8.3-3
//= mqtt5:3.3.1-11
//= mqtt5:3.3.1-13
#[test]
fn subscription_options() {
    case("subscription_options", V5);
}
