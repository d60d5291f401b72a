//! Rules that change, and the many ways to a topic.

use std::sync::Arc;

use core_model::{Expiry, Identity, Message, Verdict};

use crate::plugins::{Bans, Ear, Lists, judge, lists};
use crate::words::{id, msg, sub};
use crate::world::{Layout, NOTHING, World, everywhere};

/// A node where everybody is the user whose name he gives, bound by `lists`.
fn world(layout: Layout, publish: &[&'static str], subscribe: &[&'static str]) -> World {
    World::with(layout, |s| {
        s.plugins.authenticators = vec![judge(|_, evidence| {
            let user = evidence.user.as_deref().unwrap_or("-");
            Verdict::Accept(Identity { is_superuser: user == "root", ..Identity::of_user(user) })
        })];
        s.plugins.authorizer = lists(publish, subscribe);
    })
}

fn publish_sys(w: &mut World) {
    let now = w.now;
    let message = Message { retain: true, ..Message::new("$SYS/up", b"x") };
    let (shard, sink) = w.shard(0);
    shard.publish(now, &message, sink);
    w.run();
}

#[test]
fn no_wildcard_and_no_share_leads_around_the_rules() {
    everywhere(|layout| {
        let mut w = world(layout, &["#"], &["a/#", "b/+"]);
        let s = w.connect(id("s"));
        for filter in ["#", "+", "+/#", "b/#", "$share/g/#", "$share/g/+/x", "$SYS/#", "c"] {
            assert_eq!(w.subscribe(s, vec![sub(filter, 0)]), [0x87], "{filter}");
        }
        for filter in ["a", "a/#", "a/+/c", "b/+", "b/1", "$share/g/a/#"] {
            assert_eq!(w.subscribe(s, vec![sub(filter, 0)]), [0], "{filter}");
        }
        assert_eq!(w.counters().denied, 8);
    });
}

#[test]
fn the_root_of_all_topics_is_not_the_servers_own() {
    everywhere(|layout| {
        let mut w = world(layout, &[], &["#"]);
        let s = w.connect(id("s"));
        assert_eq!(w.subscribe(s, vec![sub("$SYS/#", 0), sub("$share/g/$SYS/#", 0)]), [0x87; 2]);
        assert_eq!(w.subscribe(s, vec![sub("#", 0), sub("$share/g/#", 0)]), [0, 0]);
        publish_sys(&mut w);
        assert_eq!(w.take(s), NOTHING);

        let mut w = world(layout, &[], &["$SYS/#"]);
        let s = w.connect(id("s"));
        assert_eq!(w.subscribe(s, vec![sub("#", 0), sub("$share/g/#", 0)]), [0x87, 0x87]);
        publish_sys(&mut w);
        assert_eq!(w.subscribe(s, vec![sub("$SYS/up", 0)]), [0]);
        assert_eq!(w.take(s), ["q0 retain $SYS/up=x"]);
    });
}

#[test]
fn rules_see_topics_with_the_mountpoint() {
    everywhere(|layout| {
        let mut w = world(layout, &["m/out"], &["m/in/#"]);
        let a = w.connect(id("a").mountpoint("m/").will(msg("out", "w", 0).will(0)));
        assert_eq!(w.publish(a, msg("out", "x", 1)), 0x10);
        assert_eq!(w.publish(a, msg("m/out", "x", 1)), 0x87);
        assert_eq!(
            w.subscribe(a, vec![sub("in/#", 1), sub("#", 1), sub("m/in/#", 1)]),
            [1, 0x87, 0x87]
        );
        let b = w.dial(id("b").mountpoint("n/").will(msg("out", "w", 0).will(0)));
        assert_eq!(w.take(b), ["refused 0x87"]);
    });
}

#[test]
fn a_superuser_is_bound_by_nothing() {
    everywhere(|layout| {
        let mut w = world(layout, &[], &[]);
        let root = w.connect(id("r").user("root", ""));
        assert_eq!(w.subscribe(root, vec![sub("#", 1)]), [1]);
        assert_eq!(w.publish(root, msg("t", "x", 1)), 0);
        w.set_plugins(|plugins| plugins.authorizer = lists(&[], &[]));
        assert_eq!(w.publish(root, msg("t", "x", 1)), 0);
        assert_eq!(w.counters().denied, 0);
    });
}

#[test]
fn rules_of_the_credentials_are_asked_instead() {
    everywhere(|layout| {
        let own = Arc::new(Lists { publish: vec!["own"], subscribe: vec!["own"] });
        let mut w = World::with(layout, |s| {
            s.plugins.authenticators = vec![judge(move |_, _| {
                Verdict::Accept(Identity { rules: Some(own.clone()), ..Identity::default() })
            })];
            s.plugins.authorizer = lists(&["node"], &["node"]);
        });
        let a = w.connect(id("a"));
        assert_eq!(w.subscribe(a, vec![sub("own", 0), sub("node", 0)]), [0, 0x87]);
        assert_eq!(w.publish(a, msg("node", "x", 1)), 0x87);
        w.set_plugins(|plugins| plugins.authorizer = lists(&[], &[]));
        assert_eq!(w.publish(a, msg("own", "x", 1)), 0);
        assert_eq!(w.take(a), ["q0 own=x"]);
    });
}

#[test]
fn denials_are_counted_and_reported_once_a_second() {
    everywhere(|layout| {
        let ear = Arc::new(Ear::default());
        let mut w = world(layout, &[], &[]);
        w.set_plugins(|plugins| plugins.observers = vec![ear.clone()]);
        let (a, b) = (w.connect(id("a")), w.connect(id("b")));
        ear.take();
        for _ in 0..3 {
            w.begin_publish(a, &msg("t", "x", 0));
        }
        w.run();
        assert_eq!(ear.take(), ["denied a t 3"]);
        assert_eq!((w.counters().publishes_refused, w.counters().denied), (3, 3));
        w.subscribe(a, vec![sub("u", 0), sub("v", 0)]);
        w.publish(b, msg("w", "x", 1));
        assert_eq!(ear.take(), ["denied b w 1"]);
        w.advance_ms(999);
        assert_eq!(ear.take(), NOTHING);
        w.advance_ms(1);
        assert_eq!(ear.take(), ["denied a u 2"]);
        w.advance_s(5);
        assert_eq!(ear.take(), NOTHING);
        assert_eq!(w.publish(a, msg("t", "x", 2)), 0x87);
        assert_eq!(ear.take(), ["denied a t 1"]);
        // What is reported of a client that is gone has its name.
        w.advance_s(5);
        w.begin_publish(a, &msg("t", "x", 0));
        w.disconnect(a);
        assert_eq!(ear.take(), ["disconnected a 0x00 WithLink", "ended a", "denied a t 1"]);
        w.disconnect(b);
        w.advance_s(2);
        assert_eq!(w.leftovers(), NOTHING);
    });
}

#[test]
fn a_full_queue_is_reported_once_a_second() {
    everywhere(|layout| {
        let ear = Arc::new(Ear::default());
        let mut w = World::with(layout, |s| s.plugins.observers = vec![ear.clone()]);
        let s = w.connect(id("s").keep().limits(|limits| limits.queued_messages_max = 1));
        w.subscribe(s, vec![sub("t", 1)]);
        w.lose(s);
        let p = w.connect(id("p"));
        ear.take();
        w.publish(p, msg("t", "x", 1));
        assert_eq!(ear.take(), NOTHING);
        for _ in 0..3 {
            w.begin_publish(p, &msg("t", "x", 1));
        }
        w.run();
        w.publish(p, msg("t", "x", 1));
        w.advance_s(1);
        let heard = ear.take();
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert_eq!(heard[1], "dropped s 0x97 1");
        assert_eq!(w.counters().dropped_queue_full, 4);
    });
}

#[test]
fn changed_rules_end_standing_subscriptions() {
    everywhere(|layout| {
        let ear = Arc::new(Ear::default());
        let mut w = world(layout, &["#"], &["#"]);
        w.set_plugins(|plugins| plugins.observers = vec![ear.clone()]);
        let s = w.connect(id("s").keep().receive_max(1));
        let away = w.connect(id("away").keep());
        let other = w.connect(id("other"));
        for client in [s, away, other] {
            w.subscribe(client, vec![sub("a", 1), sub("b", 1)]);
        }
        for client in [s, away] {
            w.subscribe(client, vec![sub("$share/g/b", 1)]);
        }
        let p = w.connect(id("p"));
        w.publish(p, msg("a", "1", 1));
        assert_eq!(w.take(s), ["q1#1 a=1"]);
        w.lose(away);
        w.publish(p, msg("b", "2", 1));
        w.publish(p, msg("a", "3", 1));
        w.take(other);
        ear.take();
        // The rest waits in the queues of `s` and `away`; what is not permitted leaves them.
        w.set_plugins(|plugins| plugins.authorizer = lists(&["#"], &["a"]));
        let mut heard = ear.take();
        heard.retain(|text| !text.starts_with("dropped"));
        heard.sort();
        assert_eq!(
            heard,
            [
                "revoked away $share/g/b",
                "revoked away b",
                "revoked other b",
                "revoked s $share/g/b",
                "revoked s b",
            ]
        );
        assert_eq!(w.counters().subscriptions_revoked, 5);
        assert_eq!((w.counters().subscriptions, w.counters().subscriptions_shared), (3, 0));
        assert_eq!(w.publish(p, msg("b", "4", 1)), 0x10);
        w.ack(s, 1);
        assert_eq!(w.take(s), ["q1#2 a=3"]);
        assert_eq!(w.take(other), NOTHING);
        let away = w.connect(id("away").keep());
        assert_eq!(w.take(away), ["q1#1 dup a=1", "q1#2 a=3"]);
        assert_eq!(w.unsubscribe(s, &["b"]), [0x11]);
        assert_eq!(w.subscribe(s, vec![sub("b", 1)]), [0x87]);
    });
}

/// Whoever asks before his turn of the review comes is judged by the new rules already.
#[test]
fn changed_rules_count_at_once() {
    everywhere(|layout| {
        let mut w = world(layout, &["#"], &["#"]);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x10);
        w.change_plugins(|plugins| plugins.authorizer = lists(&["u"], &["u"]));
        let denied = w.begin_publish(p, &msg("t", "x", 1));
        let wanted = w.begin_subscribe(p, None, vec![sub("t", 1)]);
        w.run();
        let answer = format!("published {} 0x87", denied.0);
        assert_eq!(w.take(p), [answer, format!("subscribed {}", wanted.0)]);
        assert_eq!((w.counters().denied, w.counters().subscriptions), (2, 0));
        // Rules that are gone bind nobody.
        w.set_plugins(|plugins| plugins.authorizer = None);
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x10);
    });
}

#[test]
fn many_sessions_and_subscriptions_are_reviewed_in_portions() {
    everywhere(|layout| {
        let mut w = world(layout, &["#"], &["#"]);
        w.on_shards(|shard, _, _| {
            let limits = core_model::BrokerLimits { work_per_turn_max: 7, ..Default::default() };
            shard.set_limits(Arc::new(limits));
        });
        let clients: Vec<_> = (0..20).map(|n| w.connect(id(&format!("c{n}")))).collect();
        for client in &clients {
            let wanted = (0..20).map(|n| sub(&format!("{}/{n}", ["a", "b"][n % 2]), 0));
            w.subscribe(*client, wanted.collect());
        }
        w.change_plugins(|plugins| plugins.authorizer = lists(&["#"], &["a/#"]));
        w.turn();
        let revoked = w.counters().subscriptions_revoked;
        assert!(revoked <= 7 * u64::from(layout.shards), "{revoked}");
        w.run();
        assert_eq!(w.counters().subscriptions_revoked, 200);
        assert_eq!(w.counters().subscriptions, 200);
    });
}

#[test]
fn a_will_is_judged_again_when_it_is_due() {
    everywhere(|layout| {
        for change in [false, true] {
            let mut w = world(layout, &["w"], &["#"]);
            let s = w.connect(id("s"));
            w.subscribe(s, vec![sub("#", 1)]);
            let a = id("a").resume().expiry_s(100).will(msg("w", "late", 1).will(10));
            let a = w.connect(a);
            w.lose(a);
            if change {
                w.set_plugins(|plugins| plugins.authorizer = lists(&["v"], &["#"]));
            }
            w.advance_s(10);
            if change {
                assert_eq!(w.take(s), NOTHING);
                assert_eq!((w.counters().publishes_refused, w.counters().denied), (1, 1));
            } else {
                assert_eq!(w.take(s), ["q1#1 w=late"]);
            }
        }
    });
}

/// Another user gets neither the subscriptions nor the messages of the one before.
#[test]
fn a_session_in_other_hands_is_reviewed_before_anything_is_sent() {
    everywhere(|layout| {
        let mut w = world(layout, &["#"], &["own/%u/#"]);
        let alice = w.connect(id("s").keep().user("alice", ""));
        assert_eq!(w.subscribe(alice, vec![sub("own/alice/t", 1)]), [1]);
        let p = w.connect(id("p"));
        w.publish(p, msg("own/alice/t", "sent", 1));
        assert_eq!(w.take(alice), ["q1#1 own/alice/t=sent"]);
        w.lose(alice);
        w.publish(p, msg("own/alice/t", "waits", 1));
        let mallory = w.connect(id("s").keep().user("mallory", ""));
        assert!(mallory.present);
        assert_eq!(w.publish(p, msg("own/alice/t", "later", 1)), 0x10);
        assert_eq!(w.take(mallory), NOTHING);
        assert_eq!((w.counters().subscriptions, w.counters().kept_bytes), (0, 0));
        // The same user again loses nothing.
        assert_eq!(w.subscribe(mallory, vec![sub("own/mallory/t", 1)]), [1]);
        w.lose(mallory);
        w.publish(p, msg("own/mallory/t", "x", 1));
        let mallory = w.connect(id("s").keep().user("mallory", ""));
        assert_eq!(w.take(mallory), ["q1#2 own/mallory/t=x"]);
    });
}

#[test]
fn a_restored_session_is_reviewed_when_it_comes_back() {
    everywhere(|layout| {
        let mut w = world(layout, &["#"], &["#"]);
        let s = w.connect(id("s").keep());
        w.subscribe(s, vec![sub("a", 1), sub("b", 1)]);
        w.restart();
        // Nobody knows yet who its client is, and what he may do.
        w.set_plugins(|plugins| plugins.authorizer = lists(&["#"], &["a"]));
        assert_eq!(w.counters().subscriptions, 2);
        let p = w.connect(id("p"));
        w.publish(p, msg("a", "1", 1));
        w.publish(p, msg("b", "2", 1));
        let s = w.connect(id("s").keep());
        assert_eq!(w.take(s), ["q1#1 a=1"]);
        assert_eq!(w.counters().subscriptions, 1);
    });
}

#[test]
fn gates_can_be_asked_again() {
    everywhere(|layout| {
        let mut w = world(layout, &["#"], &["#"]);
        let a = w.connect(id("a").user("alice", ""));
        let b = w.connect(id("b").user("bob", ""));
        let c = w.connect(id("c").keep().user("carol", "").will(msg("w", "x", 0).will(0)));
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("w", 0)]);
        let bans = Bans { clients: vec!["a"], users: vec!["carol"] };
        w.set_plugins(|plugins| plugins.gates = vec![Arc::new(bans)]);
        assert_eq!((w.take(a), w.take(c)), (vec![], vec![]));
        w.on_shards(|shard, _, _| shard.recheck_gates());
        assert_eq!(w.take(a), ["kicked 0x8A"]);
        assert_eq!(w.take(b), NOTHING);
        assert_eq!(w.take(c), ["kicked 0x8A"]);
        assert_eq!(w.take(s), ["q0 w=x"]);
        assert_eq!(w.counters().clients_connected, 2);
        let c = w.dial(id("c").keep().user("carol", ""));
        assert_eq!(w.take(c), ["refused 0x8A"]);
    });
}

#[test]
fn a_listener_has_session_limits_of_its_own() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            let limits = Arc::make_mut(&mut s.limits.session);
            limits.inflight_max = 5;
            limits.queued_messages_max = 5;
        });
        let narrow = id("narrow").keep().limits(|limits| {
            limits.inflight_max = 2;
            limits.queued_messages_max = 3;
            limits.queue_qos0_offline = true;
            limits.overflow = core_model::Overflow::DropOldest;
            limits.session_expiry_max_s = 50;
        });
        let narrow = w.connect(narrow);
        assert_eq!(narrow.expiry, Expiry::After(50));
        let wide = w.connect(id("wide").keep());
        for client in [narrow, wide] {
            w.subscribe(client, vec![sub("t/#", 1)]);
        }
        let p = w.connect(id("p"));
        for n in 0..10 {
            w.publish(p, msg("t/1", &n.to_string(), 1));
        }
        assert_eq!((w.take(narrow).len(), w.take(wide).len()), (2, 5));
        // Three wait for the one, the newest; all others for the other.
        assert_eq!(w.counters().queued_messages, 3 + 5);
        assert_eq!(w.counters().dropped_queue_full, 5);
        w.ack(narrow, 1);
        assert_eq!(w.take(narrow), ["q1#3 t/1=7"]);
        w.lose(narrow);
        w.lose(wide);
        w.publish(p, msg("t/0", "qos 0", 0));
        assert_eq!(w.counters().dropped_qos0, 1);
        w.restart();
        // Until it comes back it has the node's limits.
        let home = w.home("narrow").0;
        let details = w.shard(home).0.client(&crate::world::key_of("narrow")).unwrap();
        assert_eq!(details.limits.queued_messages_max, 5);
    });
}

#[test]
fn changed_limits_count_from_the_next_connect_on() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s"));
        w.on_shards(|shard, _, _| {
            let mut limits = core_model::BrokerLimits { sessions_max: 2, ..Default::default() };
            Arc::make_mut(&mut limits.session).subscriptions_max = 1;
            limits.retained_messages_max = 1;
            shard.set_limits(Arc::new(limits));
        });
        assert_eq!(w.subscribe(s, vec![sub("a", 0), sub("b", 0)]), [0, 0]);
        let t = w.connect(id("s"));
        assert_eq!(w.subscribe(t, vec![sub("a", 0), sub("b", 0)]), [0, 0x97]);
        let topics = [w.topic_on(0, "x"), w.topic_on(0, "y")];
        assert!([0, 0x10].contains(&w.publish(t, msg(&topics[0], "x", 1).retain())));
        assert_eq!(w.publish(t, msg(&topics[1], "x", 1).retain()), 0x97);
        assert_eq!(w.counters().publishes_refused, 1);
    });
}

/// A will takes the place of the one that it replaces.
#[test]
fn a_will_needs_only_the_room_that_the_old_one_has_not() {
    let will = msg("t", "x", 1);
    let mut w = World::with(crate::world::ONE, |s| {
        s.limits.kept_bytes_total_max = will.size();
    });
    let a = w.connect(id("a").keep().will(will.will(100)));
    w.update_will(a, Some(msg("t", "y", 1).will(100)));
    assert_eq!(w.counters().publishes_refused, 0);
    w.update_will(a, Some(msg("t", "longer", 1).will(100)));
    assert_eq!(w.counters().publishes_refused, 1);
    let a = w.dial(id("a").keep().will(msg("t", "z", 1).will(100)));
    assert_eq!(w.take(a), ["connected present"]);
}

/// A message that nobody can be told of is counted where it is lost.
#[test]
fn what_has_no_room_and_no_publisher_is_counted() {
    everywhere(|layout| {
        let ear = Arc::new(Ear::default());
        let size = msg("t", "x", 1).size();
        let mut w = World::with(layout, |s| {
            s.limits.kept_bytes_total_max = size;
            s.plugins.observers = vec![ear.clone()];
        });
        let p = w.connect(id("p"));
        let a = w.connect(id("a").will(msg("t", "w", 1).will(0)));
        let s = w.connect(id("s").keep());
        w.subscribe(s, vec![sub("t", 1)]);
        let home = w.home("s");
        let before = w.counters();
        w.publish(p, msg("t", "x", 1));
        let same = w.home("a") == home;
        w.lose(a);
        let counters = w.counters();
        let refused = counters.publishes_refused - before.publishes_refused;
        let dropped = counters.dropped_queue_full - before.dropped_queue_full;
        // Where a will has the room, the publisher was refused and the will found it free.
        assert_eq!(refused + dropped, 1, "{same}: {refused} refused, {dropped} dropped");
        // A pull finds no room either.
        let r = w.connect(id("r"));
        w.publish(r, msg("r", "kept", 1).retain());
        let q = w.connect(id(&w.id_on(home.0, "q")).resume().expiry_s(100));
        ear.take();
        let before = w.counters().dropped_queue_full;
        w.subscribe(q, vec![sub("r", 1)]);
        assert_eq!(w.counters().dropped_queue_full, before + 1);
        assert_eq!(ear.take().len(), 1);
    });
}

#[test]
fn a_will_that_is_refused_at_the_connect_is_an_event() {
    everywhere(|layout| {
        let ear = Arc::new(Ear::default());
        let mut w = world(layout, &[], &[]);
        w.set_plugins(|plugins| plugins.observers = vec![ear.clone()]);
        let a = w.dial(id("a").will(msg("w", "x", 1).will(0)));
        assert_eq!(w.take(a), ["refused 0x87"]);
        assert_eq!(ear.take(), ["refused a 0x87"]);
    });
}
