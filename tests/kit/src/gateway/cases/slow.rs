use std::time::Instant;

use core_model::SessionLimits;
use gateway_host::HostLimits;

use super::expect;
use crate::gateway::world::{Plan, World};
use crate::gateway::{Client, Login, PATIENCE, Subject, Transport, skipped};

/// Messages that are published.
const MESSAGES: usize = 300;
/// Messages that wait for one client at most.
const QUEUED: usize = 40;
/// Messages that are under way to one client at most.
const INFLIGHT: usize = 10;

/// A client that acknowledges nothing does not slow others down, and what waits for it is bounded.
pub fn a_slow_subscriber_harms_only_itself<S: Subject>(shards: u16) {
    let session = SessionLimits {
        inflight_max: INFLIGHT as u16,
        queued_messages_max: QUEUED,
        ..SessionLimits::default()
    };
    let world = World::<S>::start(Plan { session, ..Plan::new(shards) });
    let mut slow = world.join_as(&Login::of("slow").durable());
    slow.subscribe("t/1").unwrap();
    let mut quick = world.join("alice");
    quick.subscribe("t/1").unwrap();
    let mut bob = world.join("bob");
    for number in 0..MESSAGES {
        let payload = format!("{number:01000}");
        bob.publish("t/1", payload.as_bytes(), false).unwrap();
        expect(&mut quick, "t/1", payload.as_bytes());
    }
    let most = QUEUED + INFLIGHT;
    world.wait_counters(|counters| {
        let broker = &counters.broker;
        broker.dropped_queue_full >= (MESSAGES - most) as u64
            && broker.queued_messages <= most as u64
            && broker.kept_bytes <= (most * 2_000) as u64
    });
    // It gets what there was room for, when it comes to its senses.
    for _ in 0..QUEUED {
        assert_eq!(slow.receive().unwrap().topic, "t/1");
    }
    assert!(quick.ping() && bob.ping());
}

/// A client that takes nothing from its socket holds little memory, disturbs nobody and is closed.
pub fn a_peer_that_reads_nothing_is_closed<S: Subject>(shards: u16) {
    if S::ABILITIES.transport == Transport::Udp {
        return skipped("a peer that reads nothing", "datagrams that nobody reads are lost");
    }
    const PAYLOAD: usize = 60_000;
    let host = HostLimits {
        counters_interval_ms: 1,
        write_buffer_high_bytes: 256 << 10,
        write_overrun_bytes_max: 256 << 10,
        write_stall_timeout_s: 1,
        ..HostLimits::default()
    };
    let session = SessionLimits {
        inflight_max: INFLIGHT as u16,
        queued_bytes_max: 1 << 20,
        ..SessionLimits::default()
    };
    let world = World::<S>::start(Plan { host, session, ..Plan::new(shards) });
    let mut slow = world.join("slow");
    slow.subscribe("ab").unwrap();
    let mut quick = world.join("alice");
    quick.subscribe("t/1").unwrap();
    let mut bob = world.join("bob");
    let mut flood = world.join("carol");
    let frame = flood.publish_frame("ab", &[b'x'; PAYLOAD]);
    let mut number = 0;
    let start = Instant::now();
    // The buffers of both sockets have to be full first, however great they are.
    while world.node.counters().host.links_stalled == 0 {
        assert!(start.elapsed() < PATIENCE, "the link is still there");
        flood.send(&frame);
        assert!(flood.ping());
        let payload = format!("{number}");
        bob.publish("t/1", payload.as_bytes(), false).unwrap();
        expect(&mut quick, "t/1", payload.as_bytes());
        let kept = world.node.counters().broker.kept_bytes;
        assert!(kept <= 4 << 20, "{kept} bytes are kept");
        number += 1;
    }
    world.wait_counters(|counters| counters.broker.clients_connected == 3);
    assert!(quick.ping() && bob.ping() && flood.ping());
}
