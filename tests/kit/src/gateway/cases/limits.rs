use core_model::{BrokerLimits, SessionLimits};
use gateway_host::{ListenerRates, SourceLimits};

use super::expect;
use crate::gateway::people::CROWD;
use crate::gateway::world::{ELSEWHERE, Plan, World, wait_until};
use crate::gateway::{Client, Login, Subject, Transport};

/// A packet of the greatest size is taken, one with a byte more is not.
pub fn packets_beyond_the_limit_are_not_taken<S: Subject>(shards: u16) {
    const MAX: usize = 512;
    let world = World::<S>::start(Plan { max_packet_size: MAX as u32, ..Plan::new(shards) });
    let mut watcher = world.watch(&["ok", "ko"]);
    let mut alice = world.join("alice");
    let of_size = |alice: &mut S::Client, topic: &str, size: usize| {
        let fits = |len: &usize| alice.publish_frame(topic, &vec![b'x'; *len]).len() == size;
        let len = (0..size).find(fits).expect("a payload that makes the packet so great");
        alice.publish_frame(topic, &vec![b'x'; len])
    };
    let greatest = of_size(&mut alice, "ok", MAX);
    alice.send(&greatest);
    assert!(alice.ping());
    assert_eq!(watcher.receive().unwrap().topic, "ok");
    let too_great = of_size(&mut alice, "ko", MAX + 1);
    alice.send(&too_great);
    match S::ABILITIES.transport {
        Transport::Tcp => drop(alice.end()),
        Transport::Udp => assert!(alice.ping(), "a bad datagram ends no link"),
    }
    assert_eq!(world.witness.topics(), ["ok"]);
    let mut bob = world.join("bob");
    bob.publish("ok", b"goes on", false).unwrap();
    expect(&mut watcher, "ok", b"goes on");
    assert!(world.is_well());
}

/// Beyond `max_connections` nobody gets in, until somebody leaves.
pub fn connections_beyond_the_limit_are_refused<S: Subject>(shards: u16) {
    let world = World::<S>::start(Plan { max_connections: 3, ..Plan::new(shards) });
    let mut three: Vec<_> = (0..3).map(|number| world.join(&format!("c{number}"))).collect();
    let refused = world.client().connect(&Login::of("alice"));
    assert!(refused.is_err(), "{refused:?}");
    for client in &mut three {
        assert!(client.ping());
    }
    three.pop().unwrap().disconnect();
    wait_until(|| world.node.connections()[0].1 == 2);
    assert!(world.join("alice").ping());
}

/// One address has only its part of the connections.
pub fn connections_of_one_source_beyond_the_limit_are_refused<S: Subject>(shards: u16) {
    let source = SourceLimits { connections: Some(2), exempt: vec![], ..SourceLimits::default() };
    let rates = ListenerRates { source, ..ListenerRates::default() };
    let world = World::<S>::start(Plan { rates, ..Plan::new(shards) });
    let mut two: Vec<_> = (0..2).map(|number| world.join(&format!("c{number}"))).collect();
    let refused = world.client().connect(&Login::of("alice"));
    assert!(refused.is_err(), "{refused:?}");
    let mut other = world.client_from(ELSEWHERE);
    other.connect(&Login::of("bob")).unwrap();
    for client in two.iter_mut().chain([&mut other]) {
        assert!(client.ping());
    }
}

/// Each shard has only so many sessions.
pub fn sessions_beyond_the_limit_are_refused<S: Subject>(shards: u16) {
    let broker = BrokerLimits { sessions_max: 1, ..BrokerLimits::default() };
    let world = World::<S>::start(Plan { broker, ..Plan::new(shards) });
    let mut inside = Vec::new();
    let mut refused = 0;
    for number in 0..CROWD {
        let mut client = world.client();
        match client.connect(&Login::of(&format!("c{number}"))) {
            Ok(_) => inside.push(client),
            Err(_) => refused += 1,
        }
    }
    assert!((1..=usize::from(shards)).contains(&inside.len()), "{} sessions", inside.len());
    assert_eq!(inside.len() + refused, CROWD);
    assert!(inside.iter_mut().all(Client::ping));
}

/// A session has only so many subscriptions, and keeps those that it has.
pub fn subscriptions_beyond_the_limit_are_refused<S: Subject>(shards: u16) {
    let session = SessionLimits { subscriptions_max: 2, ..SessionLimits::default() };
    let world = World::<S>::start(Plan { session, ..Plan::new(shards) });
    let mut alice = world.join("alice");
    alice.subscribe("t/1").unwrap();
    alice.subscribe("t/2").unwrap();
    assert!(alice.subscribe("t/3").is_err());
    let mut bob = world.join("bob");
    for topic in ["t/3", "t/1", "t/2"] {
        bob.publish(topic, b"hello", false).unwrap();
    }
    expect(&mut alice, "t/1", b"hello");
    expect(&mut alice, "t/2", b"hello");
}
