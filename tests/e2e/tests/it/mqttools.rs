//! mqttools: `py/mqttools_client.py`.

use crate::process::{python, run};
use crate::server::Server;

/// Runs one case of the script for each protocol version, against one server.
fn case(name: &str, versions: &[&str]) {
    let server = Server::start();
    for version in versions {
        let host = server.address().ip().to_string();
        run(python("mqttools_client.py").args([&host, &server.port(), *version, name]));
    }
}

const V5: &[&str] = &["5"];

//= mqtt5:3.3.2-15
#[test]
fn publish_and_subscribe() {
    case("publish_and_subscribe", V5);
}

//= mqtt5:3.1.2-26
//= mqtt5:3.3.2-12
#[test]
fn alias_both_ways() {
    case("alias_both_ways", V5);
}

//= mqtt5:3.3.1-5
#[test]
fn retained() {
    case("retained", V5);
}

//= mqtt5:3.1.2-8
#[test]
fn will() {
    case("will", V5);
}

//= mqtt5:3.1.2-5
//= mqtt5:3.2.2-3
#[test]
fn session_resumed() {
    case("session_resumed", V5);
}
