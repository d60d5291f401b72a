use std::sync::Arc;

use super::{expect, settle_stranger};
use crate::gateway::people::Latch;
use crate::gateway::world::{Plan, World, wait_until};
use crate::gateway::{Client, Login, Subject, Transport, skipped};

/// Whatever is sent before a connect: nothing comes into the core, nobody else is disturbed.
pub fn strangers_reach_nothing<S: Subject>(shards: u16) {
    let world = World::<S>::start(Plan::new(shards));
    let mut alice = world.join("alice");
    alice.subscribe("st").unwrap();
    for (kind, frame) in S::frames_of_strangers() {
        let mut stranger = world.client();
        stranger.send(&frame);
        settle_stranger::<S>(&mut stranger);
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
        match S::ABILITIES.transport {
            Transport::Tcp => mallory.send(&[connect, frame].concat()),
            Transport::Udp => {
                mallory.send(&connect);
                mallory.send(&frame);
            }
        }
        settle_stranger::<S>(&mut mallory);
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
    if S::ABILITIES.transport == Transport::Udp {
        skipped("frames behind a connect", "datagrams that come too early are lost");
        return;
    }
    let latch = Arc::new(Latch::default());
    let world = World::<S>::start(Plan { latch: Some(latch.clone()), ..Plan::new(shards) });
    let clients = ["mallory", "alice"].into_iter().map(|name| {
        let mut client = world.client();
        let mut stream = client.connect_frame(&Login::of(name));
        stream.extend(client.publish_frame(&name[..2], b"early"));
        client.send(&stream);
        client
    });
    let mut clients = clients.collect::<Vec<_>>();
    world.wait_counters(|counters| counters.broker.authenticating == 2);
    assert_eq!(world.witness.topics(), [""; 0]);
    assert_eq!(world.sessions(), [""; 0]);
    latch.open();
    clients[0].end();
    // What a friend sends early waits for the answer.
    wait_until(|| world.witness.saw("al"));
    assert_eq!(world.witness.topics(), ["al"]);
}
