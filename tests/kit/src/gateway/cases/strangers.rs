use std::sync::Arc;

use super::{expect, settle_stranger};
use crate::gateway::people::Latch;
use crate::gateway::world::{ELSEWHERE, Plan, World, wait_until};
use crate::gateway::{Client, Login, Subject, Transport};

/// Whatever is sent before a connect: nothing comes into the core, nobody else is disturbed.
pub fn strangers_reach_nothing<S: Subject>(shards: u16) {
    let world = World::<S>::start(Plan::new(shards));
    let mut alice = world.join("alice");
    alice.subscribe("st").unwrap();
    for (kind, frame) in S::frames_of_strangers() {
        // Of the same address a client may be found by its name, after a change of ports.
        let mut stranger = world.client_from(ELSEWHERE);
        stranger.send(&frame);
        settle_stranger(&world, &mut stranger);
        assert_eq!(world.witness.topics(), [""; 0], "{kind}");
        let known = ["alice", "dave"];
        let sessions = world.sessions();
        assert!(sessions.iter().all(|name| known.contains(&&**name)), "{kind}: {sessions:?}");
        assert!(alice.ping(), "{kind}");
        world.wait_counters(|counters| counters.broker.subscriptions == 1);
    }
    let mut bob = world.join("bob");
    bob.publish("st", b"of a friend", false).unwrap();
    expect(&mut alice, "st", b"of a friend");
    assert!(world.is_well());
}

/// What follows a connect that is refused comes to nothing, whether it came with it or after.
pub fn who_is_refused_reaches_nothing<S: Subject>(shards: u16) {
    let world = World::<S>::start(Plan::new(shards));
    let mut watcher = world.watch(&["st"]);
    for (kind, frame) in S::frames_of_strangers() {
        let mut mallory = world.client();
        let connect = mallory.connect_frame(&Login::of("mallory"));
        send_all::<S>(&mut mallory, &[connect, frame]);
        settle_stranger(&world, &mut mallory);
        assert_eq!(world.witness.topics(), [""; 0], "{kind}");
        assert!(!world.sessions().iter().any(|name| name == "mallory"), "{kind}");
    }
    let mut again = world.client();
    assert!(again.connect(&Login::of("mallory")).is_err());
    let mut bob = world.join("bob");
    bob.publish("st", b"of a friend", false).unwrap();
    expect(&mut watcher, "st", b"of a friend");
}

/// The same while the look-up of the password takes its time.
pub fn who_is_not_yet_believed_reaches_nothing<S: Subject>(shards: u16) {
    let latch = Arc::new(Latch::default());
    let world = World::<S>::start(Plan { latch: Some(latch.clone()), ..Plan::new(shards) });
    let clients = ["mallory", "alice"].into_iter().map(|name| {
        let mut client = world.client();
        let frames = vec![
            client.connect_frame(&Login::of(name)),
            client.publish_frame(&name[..2], b"early"),
        ];
        send_all::<S>(&mut client, &frames);
        client
    });
    let mut clients = clients.collect::<Vec<_>>();
    world.wait_counters(|counters| counters.broker.authenticating == 2);
    assert_eq!(world.witness.topics(), [""; 0]);
    assert_eq!(world.sessions(), [""; 0]);
    latch.open();
    settle_stranger(&world, &mut clients[0]);
    if S::ABILITIES.transport == Transport::Tcp {
        // What a friend sends early waits for the answer; a datagram is lost.
        wait_until(|| world.witness.saw("al"));
    }
    assert!(!world.witness.saw("ma"));
    assert!(!world.sessions().iter().any(|name| name == "mallory"));
    world.wait_connected("alice", true);
}

/// At once in a stream, one after the other in datagrams.
fn send_all<S: Subject>(client: &mut S::Client, frames: &[Vec<u8>]) {
    match S::ABILITIES.transport {
        Transport::Tcp => client.send(&frames.concat()),
        Transport::Udp => frames.iter().for_each(|frame| client.send(frame)),
    }
}
