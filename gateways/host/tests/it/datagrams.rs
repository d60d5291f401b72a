//! Links of datagrams, over real sockets.

use std::net::SocketAddr;

use std::sync::Arc;
use std::time::Duration;

use core_model::Reason;
use gateway_host::{
    ClientQuery, ListenerRates, NodeConfig, Rate, Rebind, Selector, SourceLimits, TraceFilter,
    TraceItem,
};
use gateway_transport::{Entrance, ProxyRules, ProxyVersion};

use crate::post::{Office, Peer, Post};
use crate::toy::{Entry, PATIENCE, any_port, config};

/// Makes a datagram long enough for the answer to somebody unknown.
const FILL: &str = ", please let it be long enough for the answer";

/// With a listener that `set` has changed.
fn changed(shards: u16, set: impl FnOnce(&mut gateway_host::ListenerConfig)) -> Office {
    Office::with(config(shards), Post::default(), Rebind::default(), any_port(), set)
}

#[test]
fn clients_connect_and_hear_each_other() {
    for (shards, ip, reached_at) in [
        (1, "127.0.0.1", "127.0.0.1"),
        (4, "127.0.0.1", "127.0.0.1"),
        (4, "::1", "::1"),
        (3, "0.0.0.0", "127.0.0.1"),
        // Answers come from the address that was asked.
        (3, "0.0.0.0", "127.0.0.3"),
        (2, "::", "::1"),
        (2, "::", "127.0.0.3"),
    ] {
        let bind = SocketAddr::new(ip.parse().unwrap(), 0);
        let office = Office::with(config(shards), Post::default(), Rebind::default(), bind, |_| {});
        let mut address = office.address;
        address.set_ip(reached_at.parse().unwrap());
        let peers: Vec<Peer> = (0..20).map(|_| Peer::new(address)).collect();
        for (number, peer) in peers.iter().enumerate() {
            peer.connect(&format!("c{number}")).send(format!("Ps{number}")).expect("subscribed");
        }
        for (number, peer) in peers.iter().enumerate() {
            let to = (number + 1) % 20;
            peer.send(format!("Pp{to} from {number}"));
            peers[to].expect(format!("0 {to} from {number}"));
        }
        assert_eq!(office.node.connections()[0].1, 20);
        assert_eq!(office.log.closed(), 0);
        for peer in peers {
            peer.send("Px").expect("bye");
        }
        office.wait_connections(0);
    }
}

#[test]
fn what_is_nobodys_is_answered_by_the_commons() {
    for shards in [1, 4] {
        let office = Office::start(config(shards));
        for _ in 0..20 {
            let stranger = office.peer();
            let expected = format!("None {} Known false true", stranger.port());
            stranger.send(format!("Pi{FILL}")).expect(&expected);
            stranger.send(format!("Zi{FILL}")).expect(&expected);
            stranger.send(format!("Nnobody|i{FILL}")).expect(&expected);
            stranger.send(format!("r1i{FILL}")).expect(&expected);
        }
        assert_eq!(office.node.connections()[0].1, 0);
        office.wait_counters(|c| c.datagrams_received == 80 && c.links == 0);
    }
}

#[test]
fn a_broadcast_is_heard_once_and_answered() {
    let bind = "0.0.0.0:0".parse().unwrap();
    let office = Office::with(config(4), Post::default(), Rebind::default(), bind, |_| {});
    let port = office.address.port();
    let peer = Peer::new(SocketAddr::from(([127, 0, 0, 1], port)));
    peer.socket.set_broadcast(true).unwrap();
    for number in 0..20 {
        let text = format!("Ze{number}");
        peer.socket.send_to(text.as_bytes(), ("127.255.255.255", port)).unwrap();
        peer.expect(format!("e{number}"));
    }
    peer.send("Ze").expect("e").expect_nothing();
}

#[test]
fn many_datagrams_of_one_turn_are_all_handled() {
    for shards in [1, 4] {
        // Answers of a whole batch must fit into the peer's socket.
        let office = changed(shards, |listener| {
            listener.datagrams.receive_buffer_bytes = 1 << 20;
        });
        let peers: Vec<Peer> = (0..8).map(|_| office.peer()).collect();
        for (number, peer) in peers.iter().enumerate() {
            peer.connect(&format!("c{number}"));
        }
        for number in 0..50 {
            peers.iter().for_each(|peer| {
                peer.send(format!("Pe{number}"));
            });
        }
        for peer in &peers {
            for number in 0..50 {
                peer.expect(format!("e{number}"));
            }
        }
        // Several frames in one datagram, and several datagrams for one frame.
        peers[0].send("Pe1\nPe2\nPm3").expect("e1").expect("e2");
        peers[0].expect("m0").expect("m1").expect("m2");
        office.wait_counters(|c| c.frames == 8 * 51 + 3 && c.datagrams_sent == 8 * 51 + 5);
        let link = office.node.control().clients(&ClientQuery { limit: 9, ..Default::default() });
        let link = link.unwrap().items.remove(1).link.unwrap();
        // "Cc1", ten of "Pe1" and forty of "Pe11"; "connected" and what came back.
        assert_eq!((link.bytes_read, link.bytes_written), (3 + 30 + 160, 9 + 20 + 120));
        assert_eq!((link.transport, link.output_bytes, link.is_throttled), ("udp", 0, false));
    }
}

#[test]
fn full_rings_lose_datagrams_at_most_and_never_a_link() {
    let office = Office::start(NodeConfig { ring_capacity: 1, ..config(4) });
    let peers: Vec<Peer> = (0..40).map(|_| office.peer()).collect();
    for (number, peer) in peers.iter().enumerate() {
        peer.connect(&format!("c{number}")).send("Psall").expect("subscribed");
    }
    for round in 0..20 {
        for peer in &peers {
            peer.send(format!("Pe{round}")).send("Ppnobody x");
        }
    }
    // Whatever has become of them, also in the system's own buffers: everybody is served again.
    for peer in &peers {
        peer.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut buffer = [0; 100];
        while peer.socket.recv(&mut buffer).ok() != Some("elast one".len()) {
            peer.send("Pelast one");
        }
    }
    assert_eq!((office.log.closed(), office.node.connections()[0].1), (0, 40));
}

#[test]
fn the_longest_datagrams_pass_both_ways() {
    let office = Office::start(config(1));
    let peer = office.peer();
    peer.connect("it").send("Pb65507").expect("b".repeat(65_507));
    let long = format!("e{}", "x".repeat(65_505));
    peer.send(format!("P{long}")).expect(&long);
    // One byte more than a datagram holds is lost, and nothing else.
    peer.send("Pb65508").send("Pe.").expect("e.");
    office.wait_counters(|c| c.datagrams_unsent == 1);
}

#[test]
fn broken_datagrams_are_dropped_and_the_link_lives() {
    for shards in [1, 4] {
        let office = Office::start(config(shards));
        let peer = office.peer();
        peer.connect("it");
        peer.send("").send("P!").send("P?").send("Pe1\nP!").send("Pe2");
        peer.expect("e1").expect("e2").expect_nothing();
        office.wait_counters(|c| c.input_refused == 3 && c.datagrams_stray == 1 && c.links == 1);
        assert_eq!(office.log.count(|entry| *entry == Entry::Broken), 2);
        // So is what a machine is not ready for.
        peer.send("Pn").send("Pe3").send("Pe4");
        office.wait_counters(|c| c.datagrams_unready == 2);
        assert_eq!(office.log.closed(), 0);
    }
}

#[test]
fn without_a_commons_strangers_are_dropped() {
    let post = Post { has_no_commons: true, ..Post::default() };
    let office = Office::with(config(2), post, Rebind::default(), any_port(), |_| {});
    let peer = office.peer();
    peer.send("Pi").send("Zi").send("Nit|i").send("").connect("it").expect_nothing();
    office.wait_counters(|c| c.datagrams_stray == 4);
}

#[test]
fn answers_to_strangers_are_short_but_whom_the_commons_names_gets_all() {
    let office = Office::start(config(2));
    let (peer, other) = (office.peer(), office.peer());
    peer.send("Zb12").send("Zb13").send("Ze").expect("b".repeat(12)).expect("e");
    let named = format!("Zt127.0.0.1:{}", other.port());
    peer.send(named).send("Ze").expect("e").expect_nothing();
    other.expect("for you");
    office.wait_counters(|c| c.datagrams_withheld == 1);
}

#[test]
fn peers_beyond_the_limit_are_refused_in_the_protocols_terms() {
    for shards in [1, 4] {
        let office = changed(shards, |listener| listener.max_connections = 3);
        let peers: Vec<Peer> = (0..3).map(|_| office.peer()).collect();
        for (number, peer) in peers.iter().enumerate() {
            peer.connect(&format!("c{number}"));
        }
        for number in 0..10 {
            let late = office.peer();
            late.send(format!("Clate{number}|let it be long")).expect("refused Server busy");
            // No more than three times what came.
            late.send("Clate|long").send(format!("Zi{FILL}"));
            late.expect(format!("None {} Known false true", late.port()));
        }
        office.wait_counters(|c| c.refused == 20 && c.accepted == 3 && c.datagrams_withheld == 10);
        assert_eq!(office.status().counters.refused, 20);
        peers[0].send("Px").expect("bye");
        office.wait_connections(2);
        office.peer().connect("new");
    }
}

#[test]
fn a_source_has_its_own_limits() {
    let exempt = Vec::new();
    let source = SourceLimits { connections: Some(2), exempt, ..SourceLimits::default() };
    let office = changed(4, |listener| listener.rates.source = source);
    let peers = [office.peer(), office.peer()];
    peers[0].connect("a");
    peers[1].connect("b");
    office.peer().send("Cc|let it be long").expect("refused Quota exceeded");
    Peer::at("127.0.0.2:0".parse().unwrap(), office.address).connect("d");
    assert_eq!(office.status().refused_by_source, 1);
    peers[0].send("Px").expect("bye");
    office.wait_connections(2);
    office.peer().connect("c");
}

#[test]
fn links_that_are_opened_too_fast_are_refused_whatever_shard_they_come_to() {
    // So few come back that the test does not see it.
    let rate = Rate { per_second: 1, burst: 1 };
    let office = changed(4, |listener| listener.rates.connection = Some(rate));
    office.peer().connect("first");
    let mut refused = 0;
    while refused == 0 {
        let peer = office.peer();
        peer.send("Cnext|let it be very long indeed");
        refused += usize::from(peer.receive() == "refused Connection rate exceeded");
    }
}

#[test]
fn strangers_have_a_rate_of_their_own() {
    // As above.
    let stray = Some(Rate { per_second: 1, burst: 4 });
    let source = SourceLimits { stray, exempt: Vec::new(), ..SourceLimits::default() };
    let office = changed(1, |listener| listener.rates.source = source);
    let (peer, stranger) = (office.peer(), office.peer());
    peer.connect("it");
    // The answer is none of them: the first four, and what a second brings.
    for _ in 0..200 {
        stranger.send("Ze");
        peer.send("Pe").expect("e");
    }
    office.wait_counters(|c| (100..=196).contains(&c.datagrams_stray));
    // Who has a link and is not where it says it is counts as one.
    stranger.send("Nit|e");
    peer.send("Pe").expect("e");
}

#[test]
fn what_a_link_sends_too_fast_is_dropped() {
    let byte = Some(Rate { per_second: 200, burst: 50 });
    let rates = ListenerRates { byte, message: byte, ..ListenerRates::default() };
    let office = changed(2, |listener| listener.rates = rates);
    let peer = office.peer();
    peer.connect("it");
    // For all of it twenty seconds would be needed.
    for _ in 0..100 {
        peer.send(format!("Pe{}", "x".repeat(38)));
    }
    office.wait_counters(|c| c.datagrams_throttled + c.frames == 101 && c.frames < 101);
    let counters = office.status().counters;
    assert_eq!((counters.throttled + counters.frames, counters.publishes), (101, 0));
    // It is read all the same, and has its due after a while.
    peer.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut buffer = [0; 100];
    while peer.socket.recv(&mut buffer).ok() != Some("elate".len()) {
        peer.send("Pelate");
    }
}

#[test]
fn who_is_silent_is_lost_unless_that_was_agreed() {
    let office = changed(4, |listener| listener.datagrams.idle_timeout_s = 1);
    let (silent, quiet, busy) = (office.peer(), office.peer(), office.peer());
    quiet.connect("quiet").send("Pq60000").send("Pe").expect("e");
    silent.connect("silent").send("Pst").expect("subscribed");
    // What is sent to it does not count.
    busy.connect("busy");
    while office.log.closed() == 0 {
        busy.send("Pe").expect("e").send("Ppt x");
        std::thread::yield_now();
    }
    office.log.wait_for(Entry::Closed(Reason::KEEP_ALIVE_TIMEOUT));
    office.wait_connections(2);
    quiet.send("Pe").expect("e");
    busy.send("Pe").expect("e");
    // Less than the listener's own bound changes nothing, and the agreement may end.
    quiet.send("Pq0");
    office.wait_connections(0);
    assert_eq!(office.log.count(|e| *e == Entry::Closed(Reason::KEEP_ALIVE_TIMEOUT)), 3);
}

#[test]
fn a_load_balancer_is_answered() {
    let office = changed(2, |listener| {
        listener.datagrams.health_check = Some((Box::from(*b"alive?"), Box::from(*b"as a fish")));
    });
    for _ in 0..10 {
        office.peer().send("alive?").expect("as a fish");
    }
    assert_eq!(office.log.count(|_| true), 0);
    office.wait_counters(|c| c.datagrams_received == 10 && c.frames == 0);
}

#[test]
fn a_peer_that_is_gone_disturbs_nobody() {
    let office = Office::start(config(1));
    let peer = office.peer();
    peer.connect("it");
    let gone: Vec<Peer> = (0..20).map(|_| office.peer()).collect();
    for (number, peer) in gone.iter().enumerate() {
        peer.connect(&format!("gone {number}")).send("Pst").expect("subscribed");
    }
    drop(gone);
    // Each of them provokes an ICMP error for the server's one socket.
    for number in 0..20 {
        peer.send(format!("Ppt {number}")).send(format!("Pe{number}")).expect(format!("e{number}"));
    }
    office.wait_counters(|c| c.datagrams_sent >= 400 && c.accept_pauses == 0);
}

#[test]
fn a_client_is_kicked_and_the_rest_stays() {
    let office = Office::start(config(2));
    let (peer, other) = (office.peer(), office.peer());
    peer.connect("it");
    other.connect("other");
    let selector = Selector { client_id: Some("it".into()), ..Selector::default() };
    let reason = Reason::ADMINISTRATIVE_ACTION;
    assert_eq!(office.node.control().kick(&selector, reason).unwrap(), 1);
    peer.expect("kicked");
    office.wait_connections(1);
    peer.expect_nothing();
    other.send("Pe").expect("e");
}

#[test]
fn a_datagram_link_is_traced() {
    let office = Office::start(config(4));
    let peer = office.peer();
    let mut trace = office.node.control().trace(TraceFilter::Client("it".into()), 100).unwrap();
    peer.connect("it").send("Pm2").expect("m0").expect("m1");
    let moved = office.peer();
    moved.send("Nit|a").expect("adopted");
    moved.send("Px").expect("bye");
    let mut seen = Vec::new();
    loop {
        let event = trace.next(PATIENCE).unwrap();
        let port = event.peer.unwrap().port();
        let place = if port == moved.port() { "new" } else { "old" };
        seen.push(match event.item {
            TraceItem::Opened => format!("{place} opened"),
            TraceItem::Received { bytes, .. } => {
                format!("{place} < {}", String::from_utf8(bytes.into()).unwrap())
            }
            TraceItem::Sent { bytes, .. } => {
                format!("{place} > {}", String::from_utf8(bytes.into()).unwrap())
            }
            // Before the connect nothing is shown.
            TraceItem::Hidden { len, .. } => format!("{place} hidden {len}"),
            TraceItem::Closed { .. } => break,
            other => panic!("{other:?}"),
        });
    }
    let expected = [
        "old opened",
        "old hidden 3",
        "old > connected",
        "old < Pm2",
        "old > m0",
        "old > m1",
        "old < Nit|a",
        "old > adopted",
        "new < Px",
        "new > bye",
    ];
    assert_eq!(seen, expected);
}

/// A header of PROXY protocol 2 for a datagram of an IPv4 client.
fn header(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c".to_vec();
    for address in [client, server] {
        let SocketAddr::V4(address) = address else { panic!("{address}") };
        header.extend_from_slice(&address.ip().octets());
    }
    for address in [client, server] {
        header.extend_from_slice(&address.port().to_be_bytes());
    }
    header
}

#[test]
fn behind_a_proxy_clients_are_told_apart_and_answered_through_it() {
    for shards in [1, 4] {
        let rules = ProxyRules {
            version: ProxyVersion::V2,
            trusted: vec!["127.0.0.1/32".parse().unwrap()],
        };
        let office = changed(shards, |listener| {
            let entrance = Entrance { proxy: Some(rules), ..Entrance::default() };
            listener.entrance = Some(Arc::new(entrance));
        });
        let (proxy, other) = (office.peer(), office.peer());
        let say = |through: &Peer, port: u16, text: &str| {
            let client = SocketAddr::from(([192, 0, 2, 1], port));
            let mut datagram = header(client, office.address);
            datagram.extend_from_slice(text.as_bytes());
            through.send(datagram);
        };
        for port in 1..=20 {
            say(&proxy, port, &format!("C{port}"));
            proxy.expect("connected");
            say(&proxy, port, "Pi");
            proxy.expect(format!("Some({port}) {port} Known false false"));
        }
        let query = ClientQuery { limit: 100, ..ClientQuery::default() };
        let clients = office.node.control().clients(&query).unwrap().items;
        let ip = |client: &gateway_host::Client| client.session.peer.unwrap().ip().to_string();
        assert!(clients.iter().all(|client| ip(client) == "192.0.2.1"));
        assert_eq!(clients.len(), 20);
        // Another way of the same proxy: answers go the way that the last datagram came.
        say(&proxy, 7, "Pst");
        proxy.expect("subscribed");
        say(&other, 7, "C7");
        other.expect("connected");
        say(&other, 7, "Pst");
        other.expect("subscribed");
        say(&proxy, 8, "Ppt hello");
        other.expect("7 t hello".replace('7', "0"));
        // Without a header, or from somebody who may not send one.
        proxy.send("Ze");
        say(&Peer::at("127.0.0.2:0".parse().unwrap(), office.address), 9, "Pi");
        office.wait_counters(|c| c.datagrams_unproxied == 2);
        proxy.expect_nothing();
    }
}
