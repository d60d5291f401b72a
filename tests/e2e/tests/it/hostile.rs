//! Peers that break the rules or mean harm, on raw sockets.

use std::time::{Duration, Instant};

use crate::process::wait_for;
use crate::server::{Config, Server};
use crate::wire::*;

/// MQTT 5 packets after an accepted CONNECT, and the reason codes that may end the connection.
fn violations() -> Vec<(&'static str, Vec<u8>, &'static [u8])> {
    const MALFORMED: &[u8] = &[0x81];
    const PROTOCOL: &[u8] = &[0x82];
    const EITHER: &[u8] = &[0x81, 0x82];
    let no_properties = &[0u8][..];
    let publish = |properties: &[u8]| publish0("t", properties, b"x");
    vec![
        ("packet type 0", vec![0x00, 0], MALFORMED),
        ("QoS 3", packet(0x36, &[&string("t")[..], &[0, 1, 0]].concat()), MALFORMED),
        ("SUBSCRIBE with flags 0", packet(0x80, &[0, 1, 0, 0, 1, b'a', 0]), MALFORMED),
        ("PUBREL with flags 0", packet(0x60, &[0, 1]), MALFORMED),
        ("PINGREQ with flags", vec![0xc1, 0], MALFORMED),
        ("five bytes of remaining length", vec![0x30, 0xff, 0xff, 0xff, 0xff, 1], MALFORMED),
        ("property length not minimal", publish(&[0x80, 0]), MALFORMED),
        ("topic past the end", packet(0x30, &[0, 9, b'a']), MALFORMED),
        ("PINGREQ with a body", vec![0xc0, 1, 0], MALFORMED),
        ("bytes left over in SUBSCRIBE", packet(0x82, &[0, 1, 0, 0, 1, b'a', 0, 0]), MALFORMED),
        ("topic not UTF-8", publish0(b"\xff\xfe", no_properties, b""), MALFORMED),
        ("topic with a surrogate", publish0(b"\xed\xa0\x80", no_properties, b""), MALFORMED),
        ("topic with U+0000", publish0("a\0b", no_properties, b""), MALFORMED),
        ("topic with a wildcard", publish0("a/+", no_properties, b""), &[0x81, 0x82, 0x90]),
        ("topic empty, no alias", publish0("", no_properties, b""), PROTOCOL),
        ("alias 0", publish(&[3, 0x23, 0, 0]), &[0x94]),
        ("alias above the maximum", publish(&[3, 0x23, 0xff, 0xff]), &[0x94]),
        ("alias never set", publish0("", &[3, 0x23, 0, 1], b""), &[0x82, 0x94]),
        ("property twice", publish(&[4, 0x01, 0, 0x01, 0]), PROTOCOL),
        ("property of another packet", publish(&[3, 0x21, 0, 9]), EITHER),
        ("unknown property", publish(&[2, 0x7f, 0]), MALFORMED),
        ("property cut short", publish(&[2, 0x02, 0]), MALFORMED),
        ("payload format 2", publish(&[2, 0x01, 2]), PROTOCOL),
        ("response topic with a wildcard", publish(&[4, 0x08, 0, 1, b'#']), PROTOCOL),
        ("subscription identifier sent by a client", publish(&[2, 0x0b, 1]), PROTOCOL),
        ("packet id 0", packet(0x32, &[&string("t")[..], &[0, 0, 0]].concat()), EITHER),
        ("SUBSCRIBE without filters", packet(0x82, &[0, 1, 0]), EITHER),
        ("UNSUBSCRIBE without filters", packet(0xa2, &[0, 1, 0]), EITHER),
        ("subscribe QoS 3", subscribe(1, no_properties, "a", 3), EITHER),
        ("retain handling 3", subscribe(1, no_properties, "a", 0x30), EITHER),
        ("reserved subscribe options", subscribe(1, no_properties, "a", 0x40), MALFORMED),
        ("No Local on a shared filter", subscribe(1, no_properties, "$share/g/a", 4), PROTOCOL),
        ("subscription identifier 0", subscribe(1, &[2, 0x0b, 0], "a", 0), PROTOCOL),
        ("filter empty", subscribe(1, no_properties, "", 0), &[0x81, 0x82, 0x8f]),
        ("CONNACK from a client", packet(0x20, &[0, 0, 0]), PROTOCOL),
        ("SUBACK from a client", packet(0x90, &[0, 1, 0, 0]), PROTOCOL),
        ("UNSUBACK from a client", packet(0xb0, &[0, 1, 0, 0]), PROTOCOL),
        ("PINGRESP from a client", vec![0xd0, 0], PROTOCOL),
        ("AUTH without method", packet(0xf0, &[0x18, 0]), PROTOCOL),
        ("session expiry raised from 0", packet(0xe0, &[0, 5, 0x11, 0, 0, 0, 9]), PROTOCOL),
        ("second CONNECT", connect(5, "again", 0, &[]), PROTOCOL),
    ]
}

//= mqtt5:3.1.0-2
//= mqtt5:1.5.4-1
//= mqtt5:1.5.4-2
//= mqtt5:1.5.5-1
//= mqtt5:2.1.3-1
//= mqtt5:3.3.1-4
//= mqtt5:3.3.2-2
//= mqtt5:3.3.2-8
//= mqtt5:3.3.2-14
//= mqtt5:3.3.4-6
//= mqtt5:3.8.3-2
//= mqtt5:3.8.3-4
//= mqtt5:3.8.3-5
//= mqtt5:GW-MQTT-07
//= mqtt5:GW-MQTT-08
//= mqtt5:GW-MQTT-09
//= mqtt5:GW-MQTT-10
//= mqtt5:GW-MQTT-18
//= mqtt5:GW-MQTT-19
//= mqtt5:GW-MQTT-20
#[test]
fn violations_end_the_connection_with_their_reason() {
    let server = Server::start();
    let mut wrong = Vec::new();
    for (n, (what, bytes, reasons)) in violations().into_iter().enumerate() {
        let (mut peer, _) = Peer::connect(server.address(), 5, &format!("v{n}"));
        peer.set_limit(Duration::from_secs(3));
        peer.send(&bytes);
        let answer = peer.try_rest();
        let right = match answer.as_deref() {
            Ok([(DISCONNECT, body)]) => body.first().is_some_and(|code| reasons.contains(code)),
            _ => false,
        };
        if !right {
            wrong.push(format!("{what}: got {answer:02x?}, wanted DISCONNECT {reasons:02x?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

//= mqtt311:2.2.2-2
//= mqtt311:3.1.0-2
//= mqtt311:3.3.1-4
//= mqtt311:3.3.2-2
//= mqtt311:3.8.3-3
#[test]
fn mqtt311_violations_just_close() {
    let server = Server::start();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("second CONNECT", connect(4, "again", 0, &[])),
        ("packet type 15", vec![0xf0, 0]),
        ("QoS 3", packet(0x36, &[&string("t")[..], &[0, 1]].concat())),
        ("topic with a wildcard", publish0("a/#", &[], b"")),
        ("topic not UTF-8", publish0(b"\xc0\x80", &[], b"")),
        ("SUBSCRIBE with flags 0", packet(0x80, &[0, 1, 0, 1, b'a', 0])),
        ("SUBSCRIBE without filters", packet(0x82, &[0, 1])),
        ("reserved subscribe bits", subscribe(1, &[], "a", 4)),
        ("DISCONNECT with flags", vec![0xe1, 0]),
        ("five bytes of remaining length", vec![0x30, 0x80, 0x80, 0x80, 0x80, 1]),
    ];
    for (n, (what, bytes)) in cases.into_iter().enumerate() {
        let (mut peer, _) = Peer::connect(server.address(), 4, &format!("old{n}"));
        peer.send(&bytes);
        assert_eq!(peer.rest(), [], "{what}");
    }
}

//= mqtt5:3.1.0-1
//= mqtt311:3.1.0-1
//= mqtt5:GW-MQTT-01
#[test]
fn first_packet_must_be_connect() {
    let server = Server::start();
    let firsts = [
        vec![0xc0, 0],
        publish0("t", &[0], b"x"),
        subscribe(1, &[0], "#", 0),
        vec![0xe0, 0],
        vec![0xf0, 0],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    for bytes in firsts {
        let mut peer = Peer::open(server.address());
        peer.send(&bytes);
        assert_eq!(peer.rest(), [], "answer to {bytes:02x?}");
    }
}

//= mqtt5:3.1.2-2
//= mqtt5:3.1.2-3
//= mqtt5:3.1.4-1
//= mqtt5:3.2.2-7
//= mqtt311:3.1.2-2
//= mqtt311:3.1.2-3
//= mqtt5:GW-MQTT-02
#[test]
fn bad_connects_are_refused() {
    let server = Server::start();
    let head = |version: u8, flags: u8| [&string("MQTT")[..], &[version, flags, 0, 0]].concat();
    let id = string("id");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("version 6", [&head(6, 2)[..], &[0], &id].concat()),
        ("version 0", [&head(0, 2)[..], &id].concat()),
        ("reserved flag, 5", [&head(5, 3)[..], &[0], &id].concat()),
        ("reserved flag, 3.1.1", [&head(4, 3)[..], &id].concat()),
        ("wrong name", [&string("MQTX")[..], &[5, 2, 0, 0, 0], &id].concat()),
        ("will QoS without will", [&head(5, 0x0a)[..], &[0], &id].concat()),
        ("will QoS 3", [&head(5, 0x1e)[..], &[0], &id, &[0], &id, &id].concat()),
        ("password without user, 3.1.1", [&head(4, 0x42)[..], &id, &id].concat()),
        ("user name missing", [&head(5, 0x82)[..], &[0], &id].concat()),
        ("receive maximum 0", [&head(5, 2)[..], &[3, 0x21, 0, 0], &id].concat()),
        ("packet size 0", [&head(5, 2)[..], &[5, 0x27, 0, 0, 0, 0], &id].concat()),
        ("id not UTF-8", [&head(5, 2)[..], &[0], &string(b"\xff")].concat()),
        ("bytes left over", [&head(5, 2)[..], &[0], &id, &id].concat()),
        ("no id, 3.1.1", head(4, 2)),
        ("empty id without clean session, 3.1.1", [&head(4, 0)[..], &string("")].concat()),
    ];
    for (what, body) in cases {
        let mut peer = Peer::open(server.address());
        peer.send(&packet(0x10, &body));
        let answer = peer.rest();
        let refused = match &answer[..] {
            [] => true,
            [(CONNACK, body)] => body[0] == 0 && body[1] != 0,
            _ => false,
        };
        assert!(refused, "{what}: {answer:02x?}");
    }
}

//= mqtt5:GW-MQTT-03
//= mqtt5:3.2.2-15
#[test]
fn announced_length_is_judged_before_it_is_buffered() {
    let mut server = Server::start_with(&Config::default());
    let before = server.rss();
    let huge = [0xff, 0xff, 0xff, 0x7f];
    for n in 0..50 {
        let (mut peer, _) = Peer::connect(server.address(), 5, &format!("huge{n}"));
        peer.send(&[&[PUBLISH][..], &huge, &string("t")].concat());
        let answer = peer.rest();
        assert!(matches!(&answer[..], [(DISCONNECT, body)] if body[0] == 0x95), "{answer:02x?}");
        // Before the connect time-out a CONNECT of that length is refused too.
        let mut peer = Peer::open(server.address());
        peer.set_limit(Duration::from_secs(3));
        peer.send(&[&[0x10][..], &huge, &string("MQTT"), &[5, 2, 0, 0]].concat());
        let answer = peer.try_rest().expect("a CONNECT of 256 MiB is refused at once");
        assert!(answer.iter().all(|(first, body)| *first == CONNACK && body[1] == 0x95));
    }
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 32 << 20, "100 refused packets cost {grown} bytes");
}

//= mqtt5:3.3.4-7
//= mqtt5:GW-MQTT-06
#[test]
fn receive_maximum_of_the_server_is_enforced() {
    let server = Server::start();
    let (mut peer, connack) = Peer::connect(server.address(), 5, "greedy");
    let maximum = receive_maximum(&connack);
    // QoS 2 messages stay open until PUBREL, which never comes.
    for id in 1..=u32::from(maximum) + 1 {
        let id = u16::try_from(id).unwrap_or(1).to_be_bytes();
        peer.send(&packet(0x34, &[&string("t")[..], &id, &[0], b"x"].concat()));
        if id == maximum.to_be_bytes() {
            peer.ping();
        }
    }
    let code = peer.rest().into_iter().find(|(first, _)| *first == DISCONNECT).map(|(_, b)| b[0]);
    assert_eq!(code, Some(0x93));
}

/// The Receive Maximum of an MQTT 5 CONNACK body.
fn receive_maximum(connack: &[u8]) -> u16 {
    let mut at = 3;
    while let Some(&id) = connack.get(at) {
        at += 1;
        at += match id {
            0x21 => return u16::from_be_bytes([connack[at], connack[at + 1]]),
            0x11 | 0x27 => 4,
            0x13 | 0x22 => 2,
            0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
            _ => 2 + usize::from(u16::from_be_bytes([connack[at], connack[at + 1]])),
        };
    }
    65_535
}

//= mqtt5:3.1.2-22
//= mqtt311:3.1.2-24
#[test]
fn silent_clients_are_closed_after_their_keep_alive() {
    let server = Server::start();
    for (version, reason) in [(4, None), (5, Some(0x8d))] {
        let mut peer = Peer::open(server.address());
        peer.send(&connect(version, "sleepy", 1, &[]));
        assert_eq!(peer.packet().expect("a CONNACK").0, CONNACK);
        let since = Instant::now();
        let answer = peer.rest();
        let waited = since.elapsed();
        assert!((1400..4000).contains(&waited.as_millis()), "closed after {waited:?}");
        if let [(first, body)] = &answer[..] {
            assert_eq!((*first, body.first().copied()), (DISCONNECT, reason));
        } else {
            assert_eq!(answer, []);
        }
    }
}

const HASTY: Config =
    Config { top: "", listener: "", tables: "[listener.limits]\nconnect_timeout = \"1s\"\n" };

//= mqtt5:GW-MQTT-01
#[test]
fn half_open_peers_are_closed_in_time() {
    let server = Server::start_with(&HASTY);
    let whole = connect(5, "half", 0, &[]);
    // Nothing at all, a part of CONNECT, and a byte now and then.
    for part in [0, 1, 2, whole.len() - 1] {
        let mut peer = Peer::open(server.address());
        let since = Instant::now();
        peer.send(&whole[..part]);
        assert_eq!(peer.rest(), [], "after {part} bytes");
        let waited = since.elapsed();
        assert!((900..4000).contains(&waited.as_millis()), "closed after {waited:?}");
    }
    let mut drip = Peer::open(server.address());
    let since = Instant::now();
    drip.set_limit(Duration::from_millis(100));
    for byte in &whole[..whole.len() - 1] {
        drip.send(&[*byte]);
        if let Ok(answer) = drip.try_packet() {
            assert_eq!(answer, None, "a part of CONNECT is answered");
            break;
        }
    }
    let waited = since.elapsed();
    let kept = drip.try_packet().is_err();
    assert!(
        !kept && waited < Duration::from_secs(4),
        "dripping kept the connection for {waited:?}"
    );
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let config = Config { listener: "max_connections = 3", ..Config::default() };
    let server = Server::start_with(&config);
    let mut peers: Vec<Peer> =
        (0..3).map(|n| Peer::connect(server.address(), 5, &format!("c{n}")).0).collect();
    let mut extra = Peer::open(server.address());
    extra.send(&connect_bytes());
    assert_eq!(extra.rest(), [], "the fourth connection");
    peers.pop();
    wait_for("room after a client has left", || {
        let mut next = Peer::open(server.address());
        next.send(&connect_bytes());
        next.packet().map(|(first, _)| assert_eq!(first, CONNACK))
    });
    for peer in &mut peers {
        peer.ping();
    }
}

fn connect_bytes() -> Vec<u8> {
    connect(5, "one more", 0, &[])
}

#[test]
fn slow_and_pipelined_connects_are_accepted() {
    let server = Server::start();
    let mut slow = Peer::open(server.address());
    for byte in connect(5, "slow", 0, &[]) {
        slow.send(&[byte]);
    }
    assert_eq!(slow.packet().expect("a CONNACK").0, CONNACK);
    // Everything in one segment, before the CONNACK.
    let mut eager = Peer::open(server.address());
    let all = [connect(5, "eager", 0, &[]), subscribe(1, &[0], "t", 0), publish0("t", &[0], b"x")];
    eager.send(&all.concat());
    let mut answers: Vec<u8> = (0..3).map(|_| eager.packet().expect("an answer").0).collect();
    assert_eq!(answers.remove(0), CONNACK);
    // A message may come before the SUBACK.
    answers.sort_unstable();
    assert_eq!(answers, [PUBLISH, SUBACK]);
}

#[test]
fn random_bytes_harm_nobody() {
    let mut server = Server::start_with(&Config::default());
    let before = server.rss();
    // A fixed seed: a failure can be repeated.
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for n in 0..400 {
        let len = (next() % 600) as usize;
        let bytes: Vec<u8> = (0..len).map(|_| next() as u8).collect();
        let mut peer = if n % 2 == 0 {
            Peer::open(server.address())
        } else {
            // Behind an accepted CONNECT there is more code to reach.
            Peer::connect(server.address(), if n % 4 == 1 { 4 } else { 5 }, &format!("r{n}")).0
        };
        peer.send(&bytes);
        peer.shut();
        peer.rest();
    }
    let (mut peer, _) = Peer::connect(server.address(), 5, "sane");
    peer.send(&subscribe(1, &[0], "t", 0));
    peer.expect(SUBACK);
    peer.send(&publish0("t", &[0], b"x"));
    peer.expect(PUBLISH);
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 32 << 20, "the server grew by {grown} bytes");
}

#[test]
fn mutated_packets_harm_nobody() {
    let server = Server::start();
    let good: Vec<Vec<u8>> = vec![
        packet(0x32, &[&string("a/b")[..], &[0, 7], &[5, 0x02, 0, 0, 0, 9], b"hi"].concat()),
        subscribe(7, &[2, 0x0b, 9], "$share/g/a/+", 1),
        packet(0xa2, &[&[0, 8, 0][..], &string("a/b")].concat()),
        packet(0x62, &[0, 7]),
        packet(0x50, &[0, 7, 0x10, 0]),
        packet(0xe0, &[4, 0]),
    ];
    for (n, bytes) in good.iter().enumerate() {
        for at in 0..bytes.len() {
            let (mut peer, _) = Peer::connect(server.address(), 5, &format!("m{n}"));
            let mut bad = bytes.clone();
            bad[at] ^= 0x81;
            peer.send(&bad);
            peer.shut();
            peer.rest();
        }
    }
    let (mut peer, _) = Peer::connect(server.address(), 5, "sane");
    peer.ping();
}

/// Connections of clients that were killed leave nothing behind.
#[test]
fn churn_leaves_no_memory_behind() {
    let mut server = Server::start_with(&Config::default());
    let round = |server: &Server, n: usize| {
        for k in 0..500 {
            let (mut peer, _) = Peer::connect(server.address(), 5, &format!("churn{n}-{k}"));
            peer.send(&subscribe(1, &[0], format!("c/{n}/{k}"), 1));
            peer.expect(SUBACK);
        }
    };
    round(&server, 0);
    let after_one = server.rss();
    for n in 1..6 {
        round(&server, n);
    }
    // The last connections may still be closing.
    wait_for("the memory of closed connections to be free", || {
        (server.rss() < after_one + (4 << 20)).then_some(())
    });
}
