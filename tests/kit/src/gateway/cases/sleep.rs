use core_model::SessionLimits;

use super::{expect, settle, settle_stranger};
use crate::gateway::world::{ELSEWHERE, Plan, World};
use crate::gateway::{Client, Login, Subject, skipped};

/// Messages that wait for one client at most.
const QUEUED: usize = 40;

/// A client that sleeps gets nothing until it wakes up, then all that there was room for, in order,
/// and its session and others go on meanwhile.
pub fn who_sleeps_hears_nothing<S: Subject>(shards: u16) {
    if !S::SLEEPS {
        return skipped("clients that sleep", "the protocol has no sleep");
    }
    let session = SessionLimits { queued_messages_max: QUEUED, ..SessionLimits::default() };
    let world = World::<S>::start(Plan { session, ..Plan::new(shards) });
    let mut alice = world.join_as(&Login::of("alice").durable());
    alice.subscribe("t/1").unwrap();
    let mut bob = world.join("bob");
    bob.publish("t/1", b"awake", false).unwrap();
    expect(&mut alice, "t/1", b"awake");
    alice.sleep();
    assert_eq!(alice.wake("alice"), []);
    for round in 0..3 {
        let texts: Vec<_> = (0..QUEUED / 2).map(|number| format!("{round} {number}")).collect();
        for text in &texts {
            bob.publish("t/1", text.as_bytes(), false).unwrap();
        }
        settle(&world);
        let got = alice.wake("alice").into_iter();
        assert_eq!(got.map(|it| it.payload).collect::<Vec<_>>(), bytes(&texts));
    }
    for number in 0..3 * QUEUED {
        bob.publish("t/1", format!("{number}").as_bytes(), false).unwrap();
    }
    world.wait_counters(|counters| {
        let broker = &counters.broker;
        broker.dropped_queue_full > QUEUED as u64 && broker.queued_messages <= 2 * QUEUED as u64
    });
    let got = alice.wake("alice");
    assert!((QUEUED / 2..=2 * QUEUED).contains(&got.len()), "{} messages", got.len());
    assert_eq!(alice.wake("alice"), []);
    assert!(bob.ping());
}

fn bytes(texts: &[String]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.clone().into_bytes()).collect()
}

/// Who wakes up as somebody else, from another address, gets nothing of what waits for him.
pub fn a_sleeper_is_not_woken_by_others<S: Subject>(shards: u16) {
    if !S::SLEEPS {
        return skipped("clients that sleep", "the protocol has no sleep");
    }
    let world = World::<S>::start(Plan::new(shards));
    let mut alice = world.join_as(&Login::of("alice").durable());
    alice.subscribe("t/1").unwrap();
    alice.sleep();
    let mut bob = world.join("bob");
    bob.publish("t/1", b"for alice", false).unwrap();
    let mut thief = world.client_from(ELSEWHERE);
    let frame = thief.wake_frame("alice");
    thief.send(&frame);
    settle_stranger(&world, &mut thief);
    thief.subscribe("t/2").unwrap();
    bob.publish("t/2", b"for the thief", false).unwrap();
    expect(&mut thief, "t/2", b"for the thief");
    let got = alice.wake("alice");
    assert_eq!(got.iter().map(|it| &*it.payload).collect::<Vec<_>>(), [b"for alice"]);
}
