use plugin_access::BanTarget;

use super::{expect, expect_end};
use crate::gateway::world::{HERE, Plan, World};
use crate::gateway::{Client, Login, Subject, skipped};

/// Alice has her own topics; the watcher sees all, Bob publishes all.
const RULES: &str = r##"
[[acl]]
allow = "all"
client = "alice"
topics = ["own/#", "ow"]

[[acl]]
allow = "all"
client = ["watcher", "bob"]
topics = "#"
"##;

fn world<S: Subject>(shards: u16) -> World<S> {
    World::start(Plan { rules: Some(RULES), ..Plan::new(shards) })
}

/// Alice again, if the protocol ends the link of who may not do something.
fn again<S: Subject>(world: &World<S>, mut alice: S::Client) -> S::Client {
    if alice.ping() { alice } else { world.join("alice") }
}

/// A message that its publisher may not publish goes nowhere, whatever its QoS.
pub fn rules_bind_publishes<S: Subject>(shards: u16) {
    let world = world::<S>(shards);
    let mut watcher = world.watch(&["own/1", "other/1", "ow", "ot"]);
    let mut alice = world.join("alice");
    alice.publish("own/1", b"allowed", false).unwrap();
    expect(&mut watcher, "own/1", b"allowed");
    // Whether a refusal can be told is the protocol's.
    let _ = alice.publish("other/1", b"denied", false);
    let mut alice = again(&world, alice);
    for (topic, payload) in [("ot", b"denied "), ("ow", b"allowed")] {
        let frame = alice.publish_frame(topic, payload);
        alice.send(&frame);
        alice = again(&world, alice);
    }
    expect(&mut watcher, "ow", b"allowed");
    assert_eq!(world.witness.topics(), ["own/1", "ow"]);
    if S::ABILITIES.has_retained {
        let _ = alice.publish("other/1", b"denied", true);
        alice = again(&world, alice);
        assert_eq!(world.witness.topics(), ["own/1", "ow"]);
    }
    world.wait_counters(|counters| counters.broker.retained == 0);
    drop(alice);
}

/// A filter that reaches what the client may not read is refused, alone, with wildcards and shared.
pub fn rules_bind_subscriptions<S: Subject>(shards: u16) {
    let world = world::<S>(shards);
    let mut filters = vec!["other/1", "ot"];
    if S::ABILITIES.has_wildcards {
        filters.extend(["#", "+/1", "other/#", "+", "/#", "own/../#"].iter().take(4));
    } else {
        skipped("filters with wildcards", "the protocol has none");
    }
    if S::ABILITIES.has_shared {
        filters.extend(["$share/g/other/1", "$share/g/#", "$share/own/other/#"]);
    } else {
        skipped("shared filters", "the protocol has none");
    }
    let mut alice = world.join("alice");
    alice.subscribe("own/1").unwrap();
    for filter in filters {
        assert!(alice.subscribe(filter).is_err(), "{filter}");
        if !alice.ping() {
            alice = world.join("alice");
            alice.subscribe("own/1").unwrap();
        }
    }
    if S::ABILITIES.has_shared {
        alice.subscribe("$share/g/own/2").unwrap();
    }
    let mut bob = world.join("bob");
    for topic in ["other/1", "ot", "own/1"] {
        bob.publish(topic, b"news", false).unwrap();
    }
    expect(&mut alice, "own/1", b"news");
    let shared = u64::from(S::ABILITIES.has_shared);
    world.wait_counters(|counters| {
        let broker = &counters.broker;
        broker.subscriptions + broker.subscriptions_shared == 1 + shared
            || broker.subscriptions == 1 + shared
    });
}

/// A will is a message of its client: it is refused with the connect, or goes nowhere.
pub fn rules_bind_wills<S: Subject>(shards: u16) {
    if !S::ABILITIES.has_wills {
        return skipped("rules for wills", "the protocol has none");
    }
    let world = world::<S>(shards);
    let mut watcher = world.watch(&["own/will", "other/will", "own/end"]);
    let mut alice = world.client();
    let denied = Login::of("alice").with_will("other/will", b"denied");
    if alice.connect(&denied).is_ok() {
        world.kick("alice");
        expect_end::<S>(&mut alice);
    }
    let mut alice = world.join_as(&Login::of("alice").with_will("own/will", b"allowed"));
    world.kick("alice");
    expect_end::<S>(&mut alice);
    expect(&mut watcher, "own/will", b"allowed");
    let mut bob = world.join("bob");
    bob.publish("own/end", b"end", false).unwrap();
    expect(&mut watcher, "own/end", b"end");
}

/// A retained message reaches nobody who may not read it, and not by a filter of which a part is
/// allowed.
pub fn rules_bind_retained_messages<S: Subject>(shards: u16) {
    if !S::ABILITIES.has_retained {
        return skipped("rules for retained messages", "the protocol has none");
    }
    let world = world::<S>(shards);
    let mut bob = world.join("bob");
    for topic in ["other/1", "own/1"] {
        bob.publish(topic, b"kept", true).unwrap();
    }
    world.wait_counters(|counters| counters.broker.retained == 2);
    let mut alice = world.join("alice");
    let mut filters = vec!["other/1"];
    if S::ABILITIES.has_wildcards {
        filters.extend(["#", "+/1"]);
    }
    for filter in filters {
        assert!(alice.subscribe(filter).is_err(), "{filter}");
        if !alice.ping() {
            alice = world.join("alice");
        }
    }
    alice.subscribe("own/1").unwrap();
    let received = alice.receive().unwrap();
    assert_eq!((&*received.topic, received.retain), ("own/1", true));
    bob.publish("own/1", b"live", false).unwrap();
    expect(&mut alice, "own/1", b"live");
}

/// Clients of a listener with a mountpoint see and reach what is below it and nothing else, on
/// every path, and rules see the whole topic.
pub fn mountpoints_cannot_be_left<S: Subject>(shards: u16) {
    const RULES: &str = r##"
[[acl]]
allow = "all"
listener = "second"
topics = "tenant/ok/#"

[[acl]]
allow = "all"
listener = "first"
topics = "#"
"##;
    let plan = Plan { mountpoint: "tenant/", rules: Some(RULES), ..Plan::new(shards) };
    let world = World::<S>::start(plan);
    let all = ["tenant/ok/1", "ok/1", "tenant/ok/will", "ok/will", "tenant/ko/1", "end"];
    let mut watcher = world.watch(&all);
    let mut alice = world.mounted_client();
    alice.connect(&Login::of("alice")).unwrap();
    alice.publish("ok/1", b"of a tenant", false).unwrap();
    expect(&mut watcher, "tenant/ok/1", b"of a tenant");
    let _ = alice.publish("ko/1", b"denied", false);
    if !alice.ping() {
        alice = world.mounted_client();
        alice.connect(&Login::of("alice")).unwrap();
    }
    alice.subscribe("ok/1").unwrap();
    let mut bob = world.join("bob");
    bob.publish("ok/1", b"of the landlord", S::ABILITIES.has_retained).unwrap();
    expect(&mut watcher, "ok/1", b"of the landlord");
    bob.publish("tenant/ok/1", b"to the tenant", S::ABILITIES.has_retained).unwrap();
    expect(&mut watcher, "tenant/ok/1", b"to the tenant");
    expect(&mut alice, "ok/1", b"to the tenant");
    if S::ABILITIES.has_retained {
        let mut carol = world.mounted_client();
        carol.connect(&Login::of("carol")).unwrap();
        carol.subscribe("ok/1").unwrap();
        expect(&mut carol, "ok/1", b"to the tenant");
    }
    if S::ABILITIES.has_wills {
        let mut dave = world.mounted_client();
        dave.connect(&Login::of("dave").with_will("ok/will", b"gone")).unwrap();
        world.kick("dave");
        expect_end::<S>(&mut dave);
        expect(&mut watcher, "tenant/ok/will", b"gone");
    }
    bob.publish("end", b"end", false).unwrap();
    expect(&mut watcher, "end", b"end");
}

/// A ban ends the link that is there and refuses the next one, by identifier, user and address,
/// until it is lifted.
pub fn who_is_banned_stays_out<S: Subject>(shards: u16) {
    let world = World::<S>::start(Plan::new(shards));
    for target in [
        BanTarget::ClientId("alice".into()),
        BanTarget::User("alice".into()),
        BanTarget::parse_address(&HERE.to_string()).unwrap(),
    ] {
        let mut alice = world.join("alice");
        let mut bob = world.join("bob");
        let is_everybody = matches!(target, BanTarget::Address(_));
        world.ban(target.clone());
        expect_end::<S>(&mut alice);
        let refused = world.client().connect(&Login::of("alice"));
        assert!(refused.is_err(), "{target:?}: {refused:?}");
        if is_everybody {
            expect_end::<S>(&mut bob);
            assert!(world.client().connect(&Login::of("bob")).is_err());
        } else {
            assert!(bob.ping(), "{target:?}");
        }
        world.unban(&target);
        assert!(world.join("alice").ping());
    }
}
