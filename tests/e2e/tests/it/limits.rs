//! Limits of listeners, zones and sources, and what keeps a server alive when it is pestered.
//!
//! The client is paho-mqtt where one program makes many connections: `py/limits_client.py`.

use std::process::Command;

use serde_json::Value as Json;

use crate::access::{self, Outcome, folder, publish, refused, write};
use crate::operation::{ask, subscriber};
use crate::pki::Authority;
use crate::process::{finish, python, run, wait_for};
use crate::server::Server;

/// Runs a case of the script at a listener; what it prints.
fn case(server: &Server, listener: &str, case: &str) -> String {
    let address = server.address_of(listener);
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    run(python("limits_client.py").args([&host, &port, "5", case]))
}

/// A number that the server has counted at its only listener.
fn counted(server: &Server, name: &str) -> u64 {
    ask(server, &["listeners"])[0][name].as_u64().expect("a number")
}

/// Counters are a second old at most.
fn wait_until_counted(server: &Server, name: &str, least: u64) {
    wait_for(name, || (counted(server, name) >= least).then_some(()));
}

#[test]
fn new_connections_come_at_a_rate() {
    let limits = "limits.connection_rate = \"1/s, burst 3\"";
    let server = access::server(folder(), limits, "");
    case(&server, "mqtt", "connection_rate");
    wait_until_counted(&server, "refused", 1);
}

#[test]
fn a_sender_of_too_many_bytes_is_slowed() {
    let limits = "limits.byte_rate = \"64KiB/s, burst 64KiB\"";
    let server = access::server(folder(), limits, "");
    case(&server, "mqtt", "byte_rate");
    wait_until_counted(&server, "throttled", 1);
}

#[test]
fn a_source_has_so_many_connections() {
    let server = access::server(folder(), "sources = { max_connections = 2, exempt = [] }", "");
    case(&server, "mqtt", "source_connections");
    wait_until_counted(&server, "refused_by_source", 3);
}

#[test]
fn a_source_makes_connections_at_a_rate() {
    let sources = "sources = { connection_rate = \"1/s, burst 3\", exempt = [] }";
    let server = access::server(folder(), sources, "");
    case(&server, "mqtt", "source_rate");
    wait_until_counted(&server, "refused_by_source", 1);
}

#[test]
fn loopback_is_exempt_from_limits_of_sources() {
    let sources = "sources = { max_connections = 1, connection_rate = \"1/s\" }";
    let server = access::server(folder(), sources, "");
    let _first = subscriber(&server, "mqtt", &["-t", "t"]);
    for _ in 0..5 {
        assert_eq!(publish(&server, "t", &[]), Outcome::Taken);
    }
    assert_eq!(counted(&server, "refused_by_source"), 0);
}

/// The listener's own limits win over its zone, and the zone over those of the file.
#[test]
fn the_nearest_limit_counts() {
    let tables = "[limits]\nmax_packet_size = \"8KiB\"\n\
                  [zone.small]\nmax_subscriptions = 2\nmax_topic_levels = 3\n\
                  max_queued_messages = 5\nmax_packet_size = \"2KiB\"\n\
                  min_keep_alive = \"5s\"\nmax_keep_alive = \"20s\"\n\
                  [[listener]]\nname = \"zoned\"\nbind = \"127.0.0.1:0\"\nzone = \"small\"\n\
                  [[listener]]\nname = \"own\"\nbind = \"127.0.0.1:0\"\nzone = \"small\"\n\
                  [listener.limits]\nmax_subscriptions = 4\nmax_queued_messages = 7\n\
                  max_packet_size = \"4KiB\"\nmax_keep_alive = \"30s\"\n";
    let server = access::server(folder(), "", tables);
    case(&server, "mqtt", "limits_of_the_file");
    case(&server, "zoned", "limits_of_the_zone");
    case(&server, "own", "limits_of_the_listener");
}

#[test]
fn a_client_that_flaps_is_banned() {
    let tables = "[flapping]\nmax_disconnects = 3\nwindow = \"1min\"\nban_time = \"1h\"\n";
    let server = access::server(folder(), "", tables);
    for _ in 0..4 {
        assert_eq!(publish(&server, "t", &["-i", "restless"]), Outcome::Taken);
    }
    wait_for("the ban", || {
        let outcome = publish(&server, "t", &["-i", "restless"]);
        (outcome == refused("Banned")).then_some(())
    });
    assert_eq!(publish(&server, "t", &["-i", "calm"]), Outcome::Taken);
    let ban = &ask(&server, &["bans"])[0];
    assert_eq!((&ban["kind"], &ban["value"]), (&"client".into(), &"restless".into()), "{ban}");
    assert!(ban["remaining_ms"].as_u64() > Some(3_000_000), "{ban}");
    server.operate(&["unban", "restless"]);
    assert_eq!(publish(&server, "t", &["-i", "restless"]), Outcome::Taken);
}

#[test]
fn only_listed_client_ids_are_let_in() {
    let folder = folder();
    write(&folder, "ids.txt", "lamp-1\nlamp-2\n");
    let mut command = Command::new("mosquitto_passwd");
    let users = folder.path().join("users.txt");
    run(command.arg("-c").arg("-b").arg(users).args(["ann", "first password"]));
    let tables = "[[listener]]\nname = \"open\"\nbind = \"127.0.0.1:0\"\n\
                  authentication = [\"listed\"]\n\
                  [authentication.ids]\ntype = \"client-ids\"\nids = [\"meter-*\"]\n\
                  path = \"ids.txt\"\n\
                  [authentication.listed]\ntype = \"client-ids\"\nids = [\"meter-*\"]\n\
                  listed = \"accept\"\n\
                  [authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n";
    let server = access::server(folder, "authentication = [\"ids\", \"users\"]", tables);
    let with = |client_id, password| {
        publish(&server, "t", &["-i", client_id, "-u", "ann", "-P", password])
    };
    for known in ["meter-1", "meter-", "lamp-2"] {
        assert_eq!(with(known, "first password"), Outcome::Taken, "{known}");
        let outcome = with(known, "any password");
        assert_eq!(outcome, refused("Bad User Name or Password"), "{known}");
    }
    for unknown in ["lamp-3", "xmeter-1", "meter", "lamp-2 "] {
        let outcome = with(unknown, "first password");
        assert!(matches!(outcome, Outcome::Refused(_)), "{unknown}: {outcome:?}");
    }
    let port = server.address_of("open").port().to_string();
    let anyone = |client_id: &str| {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-i", client_id, "-t", "t", "-n"]);
        finish(&mut command).0.success()
    };
    assert!(anyone("meter-1"), "the list is enough");
    assert!(!anyone("lamp-1"));
    std::fs::write(server.folder().join("ids.txt"), "lamp-3\n").expect("the folder is ours");
    server.operate(&["reload"]);
    assert_eq!(with("lamp-3", "first password"), Outcome::Taken);
    assert!(matches!(with("lamp-2", "first password"), Outcome::Refused(_)));
}

#[test]
fn a_flood_of_passwords_is_answered_busy() {
    let folder = folder();
    // A hash that takes long, so that no machine is quicker with it than the clients come.
    let user = run(python("slow_user.py").args(["ann", "first password"]));
    write(&folder, "users.txt", &user);
    let tables = "[hashing]\nthreads = 1\nqueue = 2\n\
                  [handshakes]\nlookup_timeout = \"1min\"\n\
                  [authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n";
    let listener = "authentication = [\"users\"]\nallow_anonymous = true";
    let server = access::server(folder, listener, tables);
    let busy: u64 = case(&server, "mqtt", "hashing_queue").trim().parse().expect("a number");
    let stats: &Json = &ask(&server, &["stats"])[0];
    assert_eq!(stats["hashing"]["refused"], busy, "{stats}");
}

#[test]
fn silent_connections_do_not_keep_others_out() {
    let folder = folder();
    Authority::new(folder.path()).server("server", &["localhost", "127.0.0.1"]);
    let listener = "transport = \"tls\"\n[listener.tls]\ncertificate = \"server.pem\"\n\
                    key = \"server.key\"\n";
    let tables = "[handshakes]\nmax = 10\ntimeout = \"2s\"\n";
    let server = access::server(folder, listener, tables);
    let file = server.folder().join("ca.pem").display().to_string();
    let enter = || publish(&server, "t", &["--cafile", &file]);
    assert_eq!(enter(), Outcome::Taken);
    case(&server, "mqtt", "half_open");
    assert_eq!(enter(), Outcome::Taken);
    wait_for("the counters, which are a second old at most", || {
        let links = &ask(&server, &["stats"])[0]["links"];
        let numbers = (&links["handshakes_timed_out"], &links["handshakes_refused"]);
        (numbers == (&10.into(), &1.into())).then_some(())
    });
}
