//! Clients that live below a topic prefix and do not know it.

use std::sync::Arc;

use core_model::{Filter, Operation, Read, Ticket};

use crate::plugins::{Rules, chain};
use crate::words::{id, msg, sub};
use crate::world::{NOTHING, World, everywhere};

#[test]
fn a_client_below_a_mountpoint_sees_only_what_is_there() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (a, b) =
            (w.connect(id("a").mountpoint("city/")), w.connect(id("b").mountpoint("city/")));
        let (root, other) = (w.connect(id("root")), w.connect(id("o").mountpoint("town/")));
        for client in [a, b, root, other] {
            w.subscribe(client, vec![sub("#", 1)]);
        }
        assert_eq!(w.publish(a, msg("t", "x", 1)), 0);
        assert_eq!(w.take(root), ["q1#1 city/t=x"]);
        assert_eq!(w.take(other), NOTHING);
        for client in [a, b] {
            let delivery = w.take_delivery(client);
            assert_eq!((delivery.message.topic(), delivery.topic_skip), ("city/t", 5));
        }
        w.publish(root, msg("city/u", "y", 0));
        assert_eq!(w.take(a), ["q0 u=y"]);
        assert_eq!(w.take(b), ["q0 u=y"]);
        // The level rules hold below the prefix.
        assert_eq!(w.unsubscribe(b, &["#"]), [0]);
        w.subscribe(b, vec![sub("+", 1)]);
        w.publish(root, msg("city/u/v", "y", 0));
        assert_eq!(w.take(b), NOTHING);
        assert_eq!(w.take(a), ["q0 u/v=y"]);
    });
}

#[test]
fn the_placeholders_are_client_and_user() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.plugins.authenticators = chain());
        let root = w.connect(id("root"));
        w.subscribe(root, vec![sub("#", 0)]);
        let a = w.connect(id("dev1").user("alice", "good").mountpoint("u/%u/c/%c/"));
        w.publish(a, msg("t", "x", 0));
        let anonymous = w.connect(id("dev2").mountpoint("u/%u/c/%c/"));
        w.publish(anonymous, msg("t", "x", 0));
        assert_eq!(w.take(root), ["q0 u/alice/c/dev1/t=x", "q0 u//c/dev2/t=x"]);
        // An assigned client identifier counts as well.
        let client = w.dial(id("").mountpoint("c/%c/"));
        let (client, connected) = w.connected(client);
        w.publish(client, msg("t", "x", 0));
        let assigned = connected.assigned_client_id.unwrap();
        assert_eq!(w.take(root), [format!("q0 c/{assigned}/t=x")]);
    });
}

/// A client cannot escape or widen its mountpoint by its name.
#[test]
fn a_wildcard_in_a_placeholder_is_refused() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        for client_id in ["#", "+", "a/+/b"] {
            let client = w.dial(id(client_id).mountpoint("c/%c/"));
            assert_eq!(w.take(client), ["refused 0x85"]);
        }
        w.connect(id("#"));
    });
}

/// Nor can it move it into that of another client.
#[test]
fn a_name_that_leads_to_the_topics_of_others_is_refused() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.plugins.authenticators = chain());
        let nested = w.dial(id("a/b").mountpoint("c/%c/"));
        assert_eq!(w.take(nested), ["refused 0x85"]);
        let system = w.dial(id("$SYS").mountpoint("%c/"));
        assert_eq!(w.take(system), ["refused 0x85"]);
        let nested = w.dial(id("x").user("alice/b", "good").mountpoint("u/%u/"));
        assert_eq!(w.take(nested), ["refused 0x87"]);
        let root = w.connect(id("root"));
        w.subscribe(root, vec![sub("#", 0)]);
        // A client is not its user because it is called like the placeholder.
        let client = w.connect(id("%u").user("alice", "good").mountpoint("c/%c/%x/"));
        w.publish(client, msg("t", "x", 0));
        assert_eq!(w.take(root), ["q0 c/%u/%x/t=x"]);
    });
}

#[test]
fn retained_messages_lie_below_the_mountpoint() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").mountpoint("city/"));
        w.publish(a, msg("t", "x", 1).retain());
        let root = w.connect(id("root"));
        w.subscribe(root, vec![sub("#", 0)]);
        assert_eq!(w.take(root), ["q0 retain city/t=x"]);
        w.publish(root, msg("t", "outside", 1).retain());
        let b = w.connect(id("b").mountpoint("city/"));
        w.subscribe(b, vec![sub("#", 1)]);
        assert_eq!(w.take(b), ["q1#1 retain t=x"]);
        w.subscribe(b, vec![sub("t", 0)]);
        assert_eq!(w.take(b), ["q0 retain t=x"]);
    });
}

#[test]
fn a_read_stays_below_the_mountpoint() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let root = w.connect(id("root"));
        for topic in ["city/r/1", "city/r/2", "city/r/3", "r/1", "town/r/1"] {
            w.publish(root, msg(topic, "x", 1).retain());
        }
        let a = w.connect(id("a").mountpoint("city/"));
        let mut cursor = None;
        let mut pages = Vec::new();
        for _ in 0..2 {
            let read = Read {
                ticket: Ticket(1),
                filter: Filter::parse("#").unwrap(),
                limit: 2,
                cursor: cursor.take(),
            };
            w.apply(a, Operation::Read(Box::new(read)));
            w.run();
            let seen = w.take_seen(a);
            pages.push(crate::words::text_of(&seen[0].event));
            if let core_model::Event::Retained(page) = &seen[0].event {
                assert_eq!(page.topic_skip, 5);
                cursor = page.cursor.clone();
            }
        }
        assert_eq!(pages, ["retained city/r/1=x,city/r/2=x city/r/2", "retained city/r/3=x end"]);
    });
}

#[test]
fn a_will_is_published_below_the_mountpoint() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let root = w.connect(id("root"));
        w.subscribe(root, vec![sub("#", 0)]);
        let a = w.connect(id("a").mountpoint("city/").will(msg("w", "gone", 0).retain().will(0)));
        w.lose(a);
        assert_eq!(w.take(root), ["q0 city/w=gone"]);
        let b = w.connect(id("b").mountpoint("city/"));
        w.subscribe(b, vec![sub("w", 0)]);
        assert_eq!(w.take(b), ["q0 retain w=gone"]);
    });
}

#[test]
fn a_shared_group_lies_below_the_mountpoint() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let members: Vec<_> =
            (0..2).map(|n| w.connect(id(&format!("m{n}")).mountpoint("city/"))).collect();
        for member in &members {
            assert_eq!(w.subscribe(*member, vec![sub("$share/g/t", 1)]), [1]);
        }
        let (root, outside) = (w.connect(id("root")), w.connect(id("outside")));
        // The same words outside the mountpoint are another group.
        w.subscribe(outside, vec![sub("$share/g/t", 1)]);
        for _ in 0..4 {
            w.publish(root, msg("city/t", "x", 1));
        }
        assert_eq!(w.take(members[0]), ["q1#1 t=x", "q1#2 t=x"]);
        assert_eq!(w.take(members[1]), ["q1#1 t=x", "q1#2 t=x"]);
        assert_eq!(w.take(outside), NOTHING);
        assert_eq!(w.unsubscribe(members[0], &["$share/g/t"]), [0]);
        w.publish(root, msg("t", "x", 1));
        assert_eq!(w.take(outside), ["q1#1 t=x"]);
    });
}

#[test]
fn rules_see_topics_with_their_mountpoint() {
    everywhere(|layout| {
        let rules = Arc::new(Rules::default());
        let mut w = World::with(layout, |s| s.plugins.authorizer = Some(rules.clone()));
        let will = msg("w", "x", 0).will(0);
        let a = w.connect(id("a").mountpoint("city/%c/").will(will));
        w.subscribe(a, vec![sub("+/t", 1), sub("$share/g/u", 0)]);
        w.publish(a, msg("t", "x", 1));
        assert_eq!(
            rules.take(),
            [
                "a/- publish 0 city/a/w",
                "a/- subscribe 1 city/a/+/t",
                "a/- subscribe 0 city/a/u",
                "a/- publish 1 city/a/t",
            ]
        );
        let b = w.connect(id("b").mountpoint("secret/"));
        assert_eq!(w.publish(b, msg("t", "x", 1)), 0x87);
        assert_eq!(w.subscribe(b, vec![sub("t", 1)]), [0x87]);
    });
}

/// Queued messages of another prefix would be cut at the wrong place, and are not this client's.
#[test]
fn a_session_of_another_mountpoint_is_not_resumed() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").keep().mountpoint("city/"));
        w.subscribe(a, vec![sub("t", 1)]);
        w.lose(a);
        let root = w.connect(id("root"));
        w.publish(root, msg("city/t", "x", 1));
        let a = w.connect(id("a").keep().mountpoint("elsewhere/"));
        assert!(!a.present);
        w.publish(root, msg("city/t", "y", 1));
        assert_eq!(w.take(a), NOTHING);
    });
}

/// With its prefix a topic may be too long for clients that see all of it.
#[test]
fn a_topic_that_its_mountpoint_makes_too_long_is_refused() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").mountpoint("city/"));
        let (fits, long) = ("t".repeat(65_530), "t".repeat(65_531));
        assert_eq!(w.publish(a, msg(&fits, "x", 1)), 0x10);
        assert_eq!(w.publish(a, msg(&long, "x", 1)), 0x90);
        assert_eq!(w.subscribe(a, vec![sub(&fits, 1), sub(&long, 1)]), [1, 0x8F]);
        let b = id("b").mountpoint("city/").will(msg(&long, "x", 1).will(0));
        let b = w.dial(b);
        assert_eq!(w.take(b), ["refused 0x90"]);
    });
}
