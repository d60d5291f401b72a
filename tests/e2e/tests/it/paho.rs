//! paho-mqtt: `py/paho_client.py`.

use crate::process::{python, run};
use crate::server::Server;

/// Runs one case of the script for each protocol version, against one server.
fn case(name: &str, versions: &[&str]) {
    let server = Server::start();
    for version in versions {
        let host = server.address().ip().to_string();
        run(python("paho_client.py").args([&host, &server.port(), *version, name]));
    }
}

/// 3.1.1 and 5.
const BOTH: &[&str] = &["4", "5"];
const V5: &[&str] = &["5"];

//= mqtt5:3.8.4-8
//= mqtt5:4.3.1-1
//= mqtt5:3.3.4-1
//= mqtt311:4.3.1-1
#[test]
fn qos_both_ways() {
    case("qos_both_ways", BOTH);
}

//= mqtt5:4.6.0-5
//= mqtt5:4.6.0-6
//= mqtt311:4.6.0-5
//= mqtt311:4.6.0-6
#[test]
fn many_in_order() {
    case("many_in_order", BOTH);
}

//= mqtt5:3.3.1-5
//= mqtt5:3.3.1-6
//= mqtt5:3.3.1-8
//= mqtt311:3.3.1-5
//= mqtt311:3.3.1-6
//= mqtt311:3.3.1-10
#[test]
fn retained() {
    case("retained", BOTH);
}

//= mqtt5:3.1.2-8
//= mqtt5:3.1.2-15
//= mqtt311:3.1.2-8
//= mqtt311:3.1.2-17
#[test]
fn will() {
    case("will", BOTH);
}

//= mqtt5:3.1.2-10
//= mqtt5:3.14.4-3
//= mqtt311:3.1.2-10
//= mqtt311:3.14.4-3
#[test]
fn no_will_after_disconnect() {
    case("no_will_after_disconnect", BOTH);
}

#[test]
fn shared() {
    case("shared", BOTH);
}

//= mqtt5:3.1.2-4
//= mqtt5:3.1.2-5
//= mqtt5:3.1.2-6
//= mqtt5:3.1.2-23
//= mqtt5:3.2.2-2
//= mqtt5:3.2.2-3
//= mqtt311:3.1.2-4
//= mqtt311:3.1.2-5
//= mqtt311:3.1.2-6
//= mqtt311:3.2.2-2
#[test]
fn offline_queue() {
    case("offline_queue", BOTH);
}

//= mqtt5:4.4.0-1
//= mqtt5:3.3.1-1
//= mqtt311:4.4.0-1
//= mqtt311:3.3.1-1
#[test]
fn unacknowledged_is_sent_again() {
    case("unacknowledged_is_sent_again", BOTH);
}

//= mqtt5:3.1.4-3
//= mqtt311:3.1.4-2
#[test]
fn take_over() {
    case("take_over", BOTH);
}

#[test]
fn large_payload() {
    case("large_payload", BOTH);
}

//= mqtt5:3.10.4-2
//= mqtt5:3.10.4-4
//= mqtt5:3.11.3-1
//= mqtt311:3.10.4-2
//= mqtt311:3.10.4-4
#[test]
fn unsubscribe() {
    case("unsubscribe", BOTH);
}

//= mqtt5:3.3.4-2
//= mqtt311:3.3.5-1
#[test]
fn overlapping_subscriptions() {
    case("overlapping_subscriptions", BOTH);
}

//= mqtt5:3.1.3-6
//= mqtt5:3.1.3-7
//= mqtt5:3.2.2-16
//= mqtt311:3.1.3-6
#[test]
fn empty_client_id() {
    case("empty_client_id", BOTH);
}

//= mqtt5:4.7.2-1
//= mqtt311:4.7.2-1
#[test]
fn sys_readable() {
    case("sys_readable", BOTH);
}

//= mqtt5:3.1.2-8
//= mqtt5:3.1.3-10
#[test]
fn will_delay() {
    case("will_delay", V5);
}

//= mqtt5:3.1.3-9
#[test]
fn will_delay_cancelled() {
    case("will_delay_cancelled", V5);
}

//= mqtt5:3.1.2-8
#[test]
fn disconnect_with_will() {
    case("disconnect_with_will", V5);
}

//= mqtt5:3.3.2-15
//= mqtt5:3.3.2-16
#[test]
fn request_response() {
    case("request_response", V5);
}

//= mqtt5:3.3.2-12
#[test]
fn alias_to_server() {
    case("alias_to_server", V5);
}

//= mqtt5:3.1.2-23
//= mqtt5:3.1.2-8
#[test]
fn session_expiry() {
    case("session_expiry", V5);
}

//= mqtt5:3.3.4-3
#[test]
fn subscription_identifiers() {
    case("subscription_identifiers", V5);
}

//= mqtt5:3.3.2-4
//= mqtt5:3.3.2-15
//= mqtt5:3.3.2-16
//= mqtt5:3.3.2-17
//= mqtt5:3.3.2-18
//= mqtt5:3.3.2-20
#[test]
fn message_properties() {
    case("message_properties", V5);
}

//= mqtt5:3.3.2-5
//= mqtt5:3.3.2-6
#[test]
fn message_expiry() {
    case("message_expiry", V5);
}

//= mqtt5:3.8.3-3
#[test]
fn no_local() {
    case("no_local", V5);
}

//= mqtt5:3.3.1-12
//= mqtt5:3.3.1-13
#[test]
fn retain_as_published() {
    case("retain_as_published", V5);
}

//= mqtt5:3.3.1-9
//= mqtt5:3.3.1-10
//= mqtt5:3.3.1-11
#[test]
fn retain_handling() {
    case("retain_handling", V5);
}

//= mqtt5:3.1.2-24
//= mqtt5:3.1.2-25
#[test]
fn max_packet_size() {
    case("max_packet_size", V5);
}

//= mqtt5:3.3.4-9
//= mqtt5:3.3.4-10
#[test]
fn receive_maximum() {
    case("receive_maximum", V5);
}
