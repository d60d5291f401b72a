//! Peers that want the server's memory: it never takes more than `manifold check` says, and goes on
//! serving the others.

use std::time::{Duration, Instant};

use crate::process::run;
use crate::server::{Config, Server, executable};
use crate::wire::*;

/// What the peers of each test would take together is far more than its bound.
const BOUNDED: Config = Config {
    top: "",
    listener: "max_connections = 3000",
    tables: r#"
[listener.limits]
max_packet_size = "1MiB"
connect_timeout = "60s"
[listener.mqtt]
receive_maximum = 64
max_topic_aliases_in = 0
max_topic_aliases_out = 0
[limits]
max_kept_bytes_total = "16MiB"
max_queued_messages = 1_000_000
max_queued_bytes = "64MiB"
max_subscription_bytes_total = "4MiB"
max_retained_messages = 1_000
max_retained_bytes = "4MiB"
max_sessions = 4_000
max_client_id_bytes = 64
max_route_cache_topics = 1_000
[limits.links]
max_buffered_total = "32MiB"
"#,
};

/// The bound that `manifold check` states for the memory of a server with this configuration.
fn memory_bound(config: &Config) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = config.write(folder.path());
    let said = run(std::process::Command::new(executable()).arg("check").arg(file));
    let line = said.lines().find(|l| l.contains("memory bound:")).expect("check states a bound");
    let number = line.split("memory bound:").nth(1).expect("a number follows");
    let digits: String = number.trim().chars().take_while(|c| c.is_ascii_digit()).collect();
    digits.parse().expect("a number of bytes")
}

/// A server under attack, and a client of it that behaves.
struct Siege {
    server: Server,
    bound: u64,
    good: Peer,
}

impl Siege {
    fn new() -> Siege {
        Self::of(&BOUNDED)
    }

    fn of(config: &Config) -> Siege {
        let server = Server::start_with(config);
        let (mut good, _) = Peer::connect(server.address(), 4, "good");
        good.send(&subscribe(1, &[], "good", 0));
        good.expect(SUBACK);
        Siege { server, bound: memory_bound(config), good }
    }

    /// The client that behaves gets its own message in time.
    fn serve(&mut self) {
        let since = Instant::now();
        self.good.send(&publish0("good", &[], b"x"));
        self.good.expect(PUBLISH);
        let waited = since.elapsed();
        assert!(waited < Duration::from_secs(2), "the good client waited {waited:?}");
    }

    fn judge(&mut self) {
        self.serve();
        let (peak, bound) = (self.server.peak_rss(), self.bound);
        assert!(peak < bound, "the server took {peak} bytes; {bound} is its bound");
    }
}

#[test]
fn ten_thousand_silent_connections_cost_little() {
    const SILENT: u64 = 10_000;
    // Both ends need a descriptor for each; the server raises its own limit.
    rlimit::increase_nofile_limit(SILENT + 1_000).expect("the limit of open files can be raised");
    let mut siege = Siege::of(&Config { listener: "max_connections = 11000", ..BOUNDED });
    let before = siege.server.rss();
    let silent: Vec<Peer> = (0..SILENT).map(|_| Peer::open(siege.server.address())).collect();
    // A client that comes after them is served at once, so all were accepted.
    let since = Instant::now();
    let (mut peer, _) = Peer::connect(siege.server.address(), 5, "late");
    peer.ping();
    assert!(since.elapsed() < Duration::from_secs(2), "served after {:?}", since.elapsed());
    let each = siege.server.rss().saturating_sub(before) / silent.len() as u64;
    assert!(each < 4 << 10, "{each} bytes for each silent connection");
    siege.judge();
}

#[test]
fn subscribers_that_never_read_harm_nobody() {
    for qos in [0, 1] {
        let mut siege = Siege::new();
        let hogs: Vec<Peer> = (0..200)
            .map(|n| {
                let (mut hog, _) = Peer::connect(siege.server.address(), 4, &format!("hog{n}"));
                hog.send(&subscribe(1, &[], "flood/#", qos));
                hog.expect(SUBACK);
                hog
            })
            .collect();
        // Small messages are copied for each of them, large ones are shared.
        for (count, len) in [(2500, 3000), (150, 64 << 10)] {
            let payload = vec![b'x'; len];
            let publish = packet(0x32, &[&string("flood/x")[..], &[0, 1], &payload].concat());
            let mut flooder = None;
            for n in 0..count {
                // A packet in pieces takes room too, so the flooder itself may have to go.
                let connect = || Peer::connect(siege.server.address(), 4, "flooder").0;
                let peer = flooder.get_or_insert_with(connect);
                peer.send(&publish);
                if peer.packet().is_none() {
                    flooder = None;
                }
                if n % 50 == 0 {
                    siege.serve();
                }
            }
        }
        siege.judge();
        drop(hogs);
    }
}

#[test]
fn packets_that_never_end_harm_nobody() {
    let mut siege = Siege::new();
    let whole = publish0("never", &[], &vec![b'x'; 1_000_000]);
    let part = &whole[..900 << 10];
    let mut peers = Vec::new();
    for n in 0..300 {
        let (mut peer, _) = Peer::connect(siege.server.address(), 4, &format!("slow{n}"));
        peer.send(part);
        peers.push(peer);
        if n % 10 == 0 {
            siege.serve();
        }
    }
    siege.judge();
    // With their room free again a packet of that size is taken.
    drop(peers);
    let (mut large, _) = Peer::connect(siege.server.address(), 4, "large");
    large.send(&whole);
    large.ping();
    siege.judge();
}

/// Publishes until it is refused, in batches that the server's receive maximum allows; how many
/// were taken.
fn feed(publisher: &mut Peer, topic: &str, payload: &[u8]) -> usize {
    const BATCH: u16 = 50;
    let packets = (1..=BATCH)
        .map(|id| packet(0x32, &[&string(topic)[..], &id.to_be_bytes(), &[0], payload].concat()));
    let batch: Vec<u8> = packets.flatten().collect();
    for taken in (0..).step_by(usize::from(BATCH)) {
        publisher.send(&batch);
        let reasons = (0..BATCH).map(|_| publisher.expect(PUBACK).get(2).copied());
        let refused: Vec<u8> = reasons.flatten().filter(|reason| *reason >= 0x80).collect();
        if let Some(reason) = refused.first() {
            assert_eq!(*reason, 0x97, "quota exceeded");
            return taken + usize::from(BATCH) - refused.len();
        }
    }
    unreachable!("there is no end to the numbers")
}

#[test]
fn offline_sessions_that_are_fed_harm_nobody() {
    const TOTAL_BYTES: usize = 16 << 20;
    for len in [16, 16 << 10] {
        let mut siege = Siege::new();
        let (mut publisher, _) = Peer::connect(siege.server.address(), 5, "publisher");
        let mut fed = 0;
        for n in 0..20 {
            let mut peer = Peer::open(siege.server.address());
            // Its session lasts for an hour.
            peer.send(&connect(5, &format!("away{n}"), 0, &[0x11, 0, 0, 0x0e, 0x10]));
            peer.expect(CONNACK);
            peer.send(&subscribe(1, &[0], format!("feed/{n}"), 1));
            peer.expect(SUBACK);
            peer.send(&[DISCONNECT, 0]);
            assert_eq!(peer.rest(), []);
            fed += feed(&mut publisher, &format!("feed/{n}"), &vec![b'x'; len]) * len;
            siege.serve();
        }
        assert!(fed < TOTAL_BYTES, "{fed} bytes were taken");
        // The large messages fill their room with little beside their payload.
        assert!(len < 1 << 10 || fed > TOTAL_BYTES / 2, "only {fed} bytes were taken");
        siege.judge();
    }
}
