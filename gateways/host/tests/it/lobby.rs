//! Connections before their handshake is done.

use std::io::{Read, Write};
use std::sync::Arc;

use gateway_host::{Control, ListenerConfig, ListenerFacts};

use crate::roads::{Keys, PROXY_HEADER, Road};
use crate::toy::{Client, Entry, PATIENCE, Server, Toy, any_port, config};

#[test]
fn the_lobby_has_a_limit() {
    let keys = Keys::new();
    let mut config = config(2);
    config.limits.handshakes_max = 3;
    let server = Server::behind(config, Toy::default(), keys.entrance(Road::Tls));
    let mut silent: Vec<Client> = (0..3).map(|_| server.client()).collect();
    server.wait_counters(|c| c.host.handshakes == 3);
    server.client().expect_end();
    server.wait_counters(|c| c.host.handshakes_refused == 1 && c.host.accepted == 4);
    // They hold their places among the listener's connections, too.
    server.wait_connections(3);
    drop(silent.pop());
    server.wait_counters(|c| c.host.handshakes == 2 && c.host.handshakes_failed == 1);
    let mut served = keys.client(Road::Tls, server.address);
    served.send("Ehello").expect("Ehello");
    assert_eq!(server.log.count(|entry| *entry == Entry::Opened), 1);
    assert_eq!(server.node.stop().links_left, 1);
}

#[test]
fn a_handshake_has_its_time() {
    let keys = Keys::new();
    for road in [Road::Proxy, Road::Tls, Road::WebSocket] {
        let mut config = config(1);
        config.limits.handshake_timeout_ms = 100;
        let server = Server::behind(config, Toy::default(), keys.entrance(road));
        server.client().expect_end();
        // However busy it looks.
        let mut slow = server.client();
        let first: &[u8] = match road {
            Road::Proxy => b"PROXY ",
            Road::Tls => &[22, 3, 1],
            _ => b"GET /mqtt HTTP/1.1\r\n",
        };
        slow.raw(first);
        assert!(!matches!(slow.0.read(&mut [0]), Ok(1..)));
        server.wait_counters(|c| c.host.handshakes_timed_out == 2 && c.host.handshakes == 0);
        server.wait_connections(0);
        assert_eq!(server.node.counters().listeners.of(0).handshakes_failed, 2);
    }
}

#[test]
fn who_may_not_enter_is_told() {
    let keys = Keys::new();
    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::WebSocket));
    let mut lost = server.client();
    lost.raw(
        b"GET /elsewhere HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
          Sec-WebSocket-Protocol: mqtt\r\n\r\n",
    );
    let mut answer = String::new();
    lost.0.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    server.wait_counters(|c| c.host.handshakes_failed == 1);

    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::Tls));
    let mut plain = server.client();
    plain.raw(&[0, 0, 0, 6]).raw(b"Ehello");
    let mut alert = Vec::new();
    plain.0.read_to_end(&mut alert).unwrap();
    assert_eq!(alert.first(), Some(&21), "{alert:?}");

    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::Proxy));
    let mut direct = server.client();
    direct.raw(&[0, 0, 0, 6]).raw(b"Ehello");
    // Its bytes may be unread when the connection is closed.
    assert!(!matches!(direct.0.read(&mut [0]), Ok(1..)));
    server.wait_counters(|c| c.host.handshakes_failed == 1 && c.host.links_opened == 0);
}

#[test]
fn half_open_handshakes_do_not_disturb_those_that_are_through() {
    let keys = Keys::new();
    let server = Server::behind(config(2), Toy::default(), keys.entrance(Road::Tls));
    let mut served = keys.client(Road::Tls, server.address);
    served.connect("served");
    let flood: Vec<Client> = (0..300)
        .map(|_| {
            let mut client = server.client();
            client.raw(&[22, 3, 1, 2]);
            client
        })
        .collect();
    for round in 0..50 {
        let body = format!("E{round}");
        served.send(&body).expect(&body);
    }
    server.wait_counters(|c| c.host.handshakes == 300);
    let mut late = keys.client(Road::Tls, server.address);
    late.connect("late");
    drop(flood);
    server.wait_counters(|c| c.host.handshakes == 0 && c.host.handshakes_failed == 300);
}

#[test]
fn many_handshakes_at_once_are_all_done() {
    let keys = Keys::new();
    let server = Server::behind(config(2), Toy::default(), keys.entrance(Road::Both));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (keys, address) = (&keys, server.address);
            scope.spawn(move || {
                for number in 0..10 {
                    let mut client = keys.client(Road::Both, address);
                    client.connect(&format!("c{thread}-{number}")).send("E1").expect("E1");
                }
            });
        }
    });
    server.wait_counters(|c| c.host.handshakes_done == 40 && c.host.links_opened == 40);
}

#[test]
fn a_node_that_stops_waits_for_no_handshake() {
    let keys = Keys::new();
    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::Tls));
    let mut silent = server.client();
    server.wait_counters(|c| c.host.handshakes == 1);
    assert_eq!(server.node.drain(PATIENCE).links_left, 0);
    assert!(!matches!(silent.0.read(&mut [0]), Ok(1..)));
}

#[test]
fn a_handshake_of_a_closed_listener_makes_no_link() {
    let keys = Keys::new();
    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::Proxy));
    let mut waits = server.client();
    server.wait_counters(|c| c.host.handshakes == 1);
    let control: Control = server.node.control();
    let facts = ListenerFacts { name: "other".into(), ..ListenerFacts::default() };
    let other = ListenerConfig::new(Arc::new(facts), any_port(), Arc::new(Toy::default()));
    control.apply_listeners(vec![other]).unwrap();
    waits.raw(PROXY_HEADER);
    drop(waits.0.write_all(&[0, 0, 0, 2, b'E', b'1']));
    assert!(!matches!(waits.0.read(&mut [0]), Ok(1..)));
    assert_eq!(server.log.count(|entry| *entry == Entry::Opened), 0);
}

#[test]
fn sources_behind_a_proxy_are_those_that_it_reports() {
    let keys = Keys::new();
    let server = Server::with_listener(config(1), Toy::default(), |listener| {
        listener.entrance = Some(Arc::new(keys.entrance(Road::Proxy)));
        listener.rates.source.connections = Some(1);
    });
    let client = || keys.client(Road::Proxy, server.address);
    let mut first = client();
    first.send("E1").expect("E1");
    let mut second = client();
    assert!(!matches!(second.0.read(&mut [0]), Ok(1..)));
    server.wait_counters(|c| c.host.refused == 1);
    first.send("E2").expect("E2");
}
