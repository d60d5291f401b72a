//! Links whose bytes go through TLS and WebSocket.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use gateway_host::{Bind, ListenerConfig, ListenerFacts, Node, NodeConfig};

use crate::roads::{FILTERED, Framed, Keys, PROXY_HEADER, REPORTED, ROADS, Road};
use crate::toy::{Client, Entry, FRAME_BYTES_MAX, PATIENCE, Server, Toy, config};

#[test]
fn clients_of_every_road_meet_on_all_shards() {
    let keys = Keys::new();
    for road in ROADS {
        let server = Server::behind(config(3), Toy::default(), keys.entrance(road));
        // Their sessions live on all shards, so that some of the links move.
        let mut clients: Vec<_> = (0..12).map(|_| keys.client(road, server.address)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.connect(&format!("c{number}")).subscribe("room/#");
        }
        for payload in ["hello".to_owned(), "x".repeat(5_000), "y".repeat(300_000)] {
            clients[0].publish("room/1", &payload);
            for client in &mut clients {
                client.expect(format!("m room/1 {payload}"));
            }
        }
        server.wait_counters(|c| c.host.handshakes_done == 12 && c.host.handshakes == 0);
        assert!(server.node.counters().host.links_moved > 0, "{road:?}");
        drop(clients);
        server.wait_counters(|c| c.host.links == 0);
        assert_eq!(server.node.stop().links_left, 0);
    }
}

#[test]
fn machines_learn_what_the_road_has_found_out() {
    let keys = Keys::new();
    for road in ROADS {
        let server = Server::behind(config(1), Toy::default(), keys.entrance(road));
        let mut client = keys.client(road, server.address);
        client.send("I");
        let facts = String::from_utf8(client.receive()).unwrap();
        let words: Vec<&str> = facts.split(' ').collect();
        assert_eq!(words[1] == REPORTED, road == Road::Proxy, "{facts}");
        let tls = matches!(road, Road::Tls | Road::Both);
        assert_eq!(words[2], if tls { "TLSv1.3" } else { "-" }, "{facts}");
    }
}

#[test]
fn frames_that_come_with_the_handshake_are_not_lost() {
    let keys = Keys::new();
    let server = Server::behind(config(2), Toy::default(), keys.entrance(Road::Proxy));
    let mut bytes = PROXY_HEADER.to_vec();
    bytes.extend([&[0, 0, 0, 3][..], b"Cab", &[0, 0, 0, 2], b"E1", &[0, 0, 0, 3], b"E2"].concat());
    let mut client = Client::new(server.address);
    client.raw(&bytes).expect("connected").expect("E1").raw(b"2").expect("E22");
    // More than a shard reads at once.
    let large = [b"E".as_slice(), &[1; 5_000]].concat();
    let mut config = config(1);
    config.limits.read_buffer_bytes = 4_096;
    let server = Server::behind(config, Toy::default(), keys.entrance(Road::Proxy));
    let mut client = Client::new(server.address);
    let head = (large.len() as u32).to_be_bytes();
    client.raw(&[PROXY_HEADER, &head, &large].concat());
    assert!(client.receive() == large);
}

#[test]
fn frames_may_come_in_any_messages() {
    let keys = Keys::new();
    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::Both));
    let mut client = keys.client(Road::Both, server.address);
    let bytes: Vec<u8> = (0..10)
        .flat_map(|n| [&[0, 0, 0, 6][..], format!("Epart{n}").as_bytes()].concat())
        .collect();
    for piece in [1, 7, 1_000] {
        for chunk in bytes.chunks(piece) {
            client.raw(chunk);
        }
        for number in 0..10 {
            client.expect(format!("Epart{number}"));
        }
    }
}

#[test]
fn large_frames_pass_in_both_directions() {
    let keys = Keys::new();
    for road in FILTERED {
        let server = Server::behind(config(1), Toy::default(), keys.entrance(road));
        let mut client = keys.client(road, server.address);
        let large = [b"E".as_slice(), &[7; 9_000_000]].concat();
        for _ in 0..2 {
            // The server holds the answer back while the client writes.
            client.send_all(&[b"Ebefore", &large, b"Eafter"]);
            client.expect("Ebefore");
            assert!(client.receive() == large);
            client.expect("Eafter");
        }
    }
}

#[test]
fn an_announced_length_alone_takes_no_memory() {
    let keys = Keys::new();
    let mut config = config(1);
    config.limits.buffered_bytes_total_max = 1 << 20;
    let server = Server::behind(config, Toy::default(), keys.entrance(Road::Tls));
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let mut client = keys.client(Road::Tls, server.address);
            client.send("Ehello").expect("Ehello");
            client.raw(&(FRAME_BYTES_MAX as u32).to_be_bytes()).raw(&[b'E'; 1_000]);
            client
        })
        .collect();
    server.wait_counters(|c| c.host.frames == 10 && c.host.bytes_read > 10 * 1_004);
    assert_eq!(server.node.counters().host.links_overrun, 0);
    drop(clients);
}

#[test]
fn a_machine_that_is_not_ready_keeps_what_follows() {
    let keys = Keys::new();
    for road in FILTERED {
        let server = Server::behind(config(1), Toy::default(), keys.entrance(road));
        let mut client = keys.client(road, server.address);
        client.send_all(&[b"E1", b"W150", b"E2", b"E3"]);
        client.expect("E1").expect("waited").expect("E2").expect("E3");
        let large = [b"E".as_slice(), &[1; 300_000]].concat();
        client.send("W150").send(&large).send("Eend");
        client.expect("waited");
        assert!(client.receive() == large);
        client.expect("Eend");
    }
}

#[test]
fn what_waits_for_a_machine_does_not_grow() {
    let keys = Keys::new();
    let mut config = config(1);
    config.limits.buffered_bytes_total_max = 300_000;
    let server = Server::behind(config, Toy::default(), keys.entrance(Road::Tls));
    let mut client = keys.client(Road::Tls, server.address);
    // Each frame makes the machine wait; all of them together are far beyond the limit.
    let mut sender = client.0;
    let frames: Vec<u8> =
        (0..10).flat_map(|_| [&[0, 0, 0, 2][..], b"W1"].concat()).chain(large(900_000)).collect();
    sender.write_all(&frames).unwrap();
    client = Client(sender);
    for _ in 0..10 {
        client.expect("waited");
    }
    for _ in 0..30 {
        assert_eq!(client.receive().len(), 30_000);
    }
    assert_eq!(server.node.counters().host.links_overrun, 0);
}

/// Echo frames of so many bytes together.
fn large(bytes: usize) -> Vec<u8> {
    let frame = [&30_000_u32.to_be_bytes()[..], &[b'E'; 30_000]].concat();
    frame.repeat(bytes / 30_000)
}

#[test]
fn a_slow_reader_is_felt_by_its_machine_alone() {
    let keys = Keys::new();
    for road in FILTERED {
        let mut config = config(1);
        config.limits.write_buffer_high_bytes = 100_000;
        let server = Server::behind(config, Toy::default(), keys.entrance(road));
        let mut slow = keys.client(road, server.address);
        slow.send("B30000000");
        server.log.wait_for(Entry::Congested(true));
        let mut other = keys.client(road, server.address);
        other.send("Ehello").expect("Ehello");
        assert_eq!(server.log.count(|entry| matches!(entry, Entry::Congested(false))), 0);
        assert_eq!(slow.receive().len(), 30_000_000);
        server.log.wait_for(Entry::Congested(false));
        slow.send("Ehello").expect("Ehello");
        assert_eq!(server.log.count(|entry| matches!(entry, Entry::Congested(_))), 2);
    }
}

#[test]
fn a_reader_that_takes_nothing_is_closed_in_time() {
    let keys = Keys::new();
    let mut config = config(1);
    config.limits.write_buffer_high_bytes = 1_000;
    config.limits.write_stall_timeout_s = 1;
    let server = Server::behind(config, Toy::default(), keys.entrance(Road::Tls));
    let mut client = keys.client(Road::Tls, server.address);
    client.send("B30000000");
    server.wait_counters(|c| c.host.links_stalled == 1 && c.host.links == 0);
    server.log.wait_for(Entry::Closed(core_model::Reason::SERVER_BUSY));
}

#[test]
fn a_unix_socket_may_have_an_entrance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ws.sock");
    let keys = Keys::new();
    let facts = ListenerFacts { name: "unix".into(), ..ListenerFacts::default() };
    let bind = Bind::Unix { path: path.clone(), mode: None };
    let mut listener = ListenerConfig::new(Arc::new(facts), bind, Arc::new(Toy::default()));
    listener.entrance = Some(Arc::new(keys.entrance(Road::WebSocket)));
    assert_eq!(listener.transport(), "ws");
    let _node = Node::start(NodeConfig { listeners: vec![listener], ..config(2) }).unwrap();
    let mut clients: Vec<_> = (0..4)
        .map(|_| {
            let stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            Client(Framed::upgrade(stream))
        })
        .collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.connect(&format!("c{number}")).send("Ehello").expect("Ehello");
    }
}

#[test]
fn a_pace_counts_what_is_on_the_wire() {
    let keys = Keys::new();
    let rate = gateway_host::Rate { per_second: 100_000, burst: 20_000 };
    let server = Server::with_listener(config(1), Toy::default(), |listener| {
        listener.entrance = Some(Arc::new(keys.entrance(Road::Tls)));
        listener.rates.byte = Some(rate);
    });
    let mut client = keys.client(Road::Tls, server.address);
    client.send("Ehello").expect("Ehello");
    let body = [b"E".as_slice(), &[3; 60_000]].concat();
    let start = std::time::Instant::now();
    client.send(&body);
    assert!(client.receive() == body);
    // Of 60 000 bytes 20 000 come at once.
    assert!(start.elapsed() >= std::time::Duration::from_millis(350));
}
