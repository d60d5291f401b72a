//! How much a listener and its links take.

use std::time::{Duration, Instant};

use gateway_host::{ListenerRates, Rate, SourceLimits};

use crate::toy::{PATIENCE, Server, Toy, config};

fn with_rates(shards: u16, rates: ListenerRates) -> Server {
    Server::with_listener(config(shards), Toy::default(), |listener| listener.rates = rates)
}

fn throttled(server: &Server) -> u64 {
    server.node.control().listeners()[0].counters.throttled
}

#[test]
fn a_publisher_is_slowed_and_loses_nothing() {
    for shards in [1, 2] {
        let rate = Rate { per_second: 20, burst: 5 };
        let server =
            with_rates(shards, ListenerRates { message: Some(rate), ..Default::default() });
        let mut subscriber = server.client();
        subscriber.connect("subscriber").subscribe("t");
        let mut publisher = server.client();
        publisher.connect("publisher");
        let bodies: Vec<String> = (0..15).map(|number| format!("Pt\0{number}")).collect();
        let bodies: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
        let start = Instant::now();
        publisher.send_all(&bodies).send("Edone");
        for number in 0..15 {
            subscriber.expect(format!("m t {number}"));
        }
        publisher.expect("Edone");
        // Five at once and ten more at twenty a second, whatever the machine does meanwhile.
        assert!(start.elapsed() >= Duration::from_millis(500));
        server.wait_counters(|_| throttled(&server) >= 1);
        // Only publishing counts.
        let start = Instant::now();
        for _ in 0..200 {
            subscriber.send("Efree").expect("Efree");
        }
        assert!(start.elapsed() < PATIENCE);
    }
}

#[test]
fn a_sender_of_many_bytes_is_slowed() {
    let rate = Rate { per_second: 20_000, burst: 5_000 };
    let server = with_rates(2, ListenerRates { byte: Some(rate), ..Default::default() });
    let mut client = server.client();
    let start = Instant::now();
    let body = [b"E", [b'x'; 14_991].as_slice()].concat();
    client.send(&body).expect(&body);
    // What is over the burst takes half a second.
    assert!(start.elapsed() >= Duration::from_millis(495));
    server.wait_counters(|_| throttled(&server) >= 1);
}

#[test]
fn a_link_that_must_wait_does_not_look_silent() {
    let rate = Rate { per_second: 1_000, burst: 1_000 };
    let toy = Toy { connect_deadline_ms: Some(2_000), ..Toy::default() };
    let server = Server::with_listener(config(1), toy, |listener| {
        listener.rates.byte = Some(rate);
    });
    let mut client = server.client();
    // Takes three seconds, which is more than the machine's patience.
    let body = [b"E", [b'x'; 3_999].as_slice()].concat();
    client.send(&body).expect(&body).expect("late").expect_end();
}

#[test]
fn connections_that_come_too_fast_are_closed_at_once() {
    // So few come back that the test does not see it.
    let rate = Rate { per_second: 1, burst: 1_000_000 };
    let rates = |burst| ListenerRates {
        connection: Some(Rate { burst, ..rate }),
        ..ListenerRates::default()
    };
    let server = with_rates(1, rates(1));
    let mut first = server.client();
    first.send("Ein").expect("Ein");
    let mut refused = 0;
    while refused == 0 {
        let mut client = server.client();
        client.send("Ehello");
        refused += usize::from(client.try_receive().is_err());
    }
    server.wait_counters(|c| c.host.refused >= 1);
    first.send("Estill here").expect("Estill here");
}

#[test]
fn a_source_has_its_own_limit() {
    let exempt = Vec::new();
    let source = SourceLimits { connections: Some(2), exempt, ..SourceLimits::default() };
    let server = with_rates(2, ListenerRates { source, ..ListenerRates::default() });
    let mut one = server.client();
    one.send("E1").expect("E1");
    let mut two = server.client();
    two.send("E2").expect("E2");
    server.client().expect_end();
    assert_eq!(server.node.control().listeners()[0].refused_by_source, 1);
    drop(two);
    server.wait_connections(1);
    server.client().send("E3").expect("E3");
}

#[test]
fn loopback_is_exempt_unless_it_is_named() {
    let source = SourceLimits { connections: Some(0), ..SourceLimits::default() };
    let server = with_rates(2, ListenerRates { source, ..ListenerRates::default() });
    server.client().send("Ein").expect("Ein");
}
