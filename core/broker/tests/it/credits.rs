//! Clients that say how many messages they can take, and hear when nothing waits for them.

use std::sync::Arc;

use core_model::{Action, Authorizer, Credit, Outcome, Permissions, Principal, Reason};

use crate::words::{id, msg, sub};
use crate::world::{Client, Layout, NOTHING, Setup, World, everywhere};

/// A publisher, and a subscriber of `t` without credit.
fn asleep(layout: Layout, change: impl FnOnce(&mut Setup)) -> (World, Client, Client) {
    let mut w = World::with(layout, change);
    let (p, s) = (w.connect(id("p")), w.connect(id("s").keep()));
    w.subscribe(s, vec![sub("t", 2)]);
    w.demand(s, Credit::None);
    (w, p, s)
}

fn publish(w: &mut World, p: Client, payload: &str, qos: u8) {
    assert_eq!(w.publish(p, msg("t", payload, qos)), 0);
}

#[test]
fn every_delivery_takes_one_credit_whatever_its_qos() {
    everywhere(|layout| {
        let (mut w, p, s) = asleep(layout, |_| {});
        for n in 0..5 {
            publish(&mut w, p, &n.to_string(), n % 3);
        }
        w.demand(s, Credit::Messages(2));
        assert_eq!(w.take(s), ["q0 t=0", "q1#1 t=1"]);
        w.ack(s, 1);
        assert_eq!(w.take(s), NOTHING, "a settlement gives no credit");
        w.demand(s, Credit::Messages(1));
        assert_eq!(w.take(s), ["q2#2 t=2"], "nothing overtakes it while the store is asked");
        // What was left is replaced, not added to.
        w.demand(s, Credit::Messages(5));
        assert_eq!(w.take(s), ["q0 t=3", "q1#3 t=4"]);
        w.demand(s, Credit::Messages(1));
        for n in 5..8 {
            publish(&mut w, p, &n.to_string(), 0);
        }
        assert_eq!(w.take(s), ["q0 t=5"]);
        w.demand(s, Credit::None);
        w.demand(s, Credit::Open);
        assert_eq!(w.take(s), ["q0 t=6", "q0 t=7"]);
        publish(&mut w, p, "8", 0);
        assert_eq!(w.take(s), ["q0 t=8"]);
    });
}

#[test]
fn credit_waits_for_messages_to_come() {
    everywhere(|layout| {
        for qos in 0..3 {
            let (mut w, p, s) = asleep(layout, |_| {});
            w.demand(s, Credit::Messages(2));
            assert_eq!(w.take(s), ["drained"]);
            for n in 0..3 {
                publish(&mut w, p, &n.to_string(), qos);
            }
            assert_eq!(w.take(s).len(), 2);
            assert_eq!(w.counters().queued_messages, 1);
        }
    });
}

#[test]
fn the_receive_maximum_bounds_a_credit() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let connecting = id("s").keep().receive_max(1);
        let (p, s) = (w.connect(id("p")), w.connect(connecting));
        w.subscribe(s, vec![sub("t", 1)]);
        w.demand(s, Credit::None);
        for n in 0..4 {
            publish(&mut w, p, &n.to_string(), 1);
        }
        w.demand(s, Credit::Messages(3));
        assert_eq!(w.take(s), ["q1#1 t=0"]);
        w.ack(s, 1);
        assert_eq!(w.take(s), ["q1#2 t=1"]);
        w.ack(s, 2);
        assert_eq!(w.take(s), ["q1#3 t=2"]);
        w.ack(s, 3);
        assert_eq!(w.take(s), NOTHING);
    });
}

#[test]
fn a_client_hears_once_that_nothing_waits() {
    everywhere(|layout| {
        let (mut w, p, s) = asleep(layout, |_| {});
        publish(&mut w, p, "1", 1);
        publish(&mut w, p, "2", 2);
        w.demand(s, Credit::Messages(10));
        assert_eq!(w.take(s), ["q1#1 t=1", "q2#2 t=2"]);
        w.ack(s, 1);
        w.rec(s, 2);
        assert_eq!(w.take(s), ["release #2 0x00"]);
        w.ack(s, 2);
        assert_eq!(w.take(s), ["drained"]);
        // Not again for what comes later.
        publish(&mut w, p, "3", 1);
        w.ack(s, 3);
        assert_eq!(w.take(s), ["q1#3 t=3"]);
        w.demand(s, Credit::Messages(0));
        assert_eq!(w.take(s), ["drained"]);
        for credit in [Credit::None, Credit::Open] {
            w.demand(s, credit);
            assert_eq!(w.take(s), NOTHING);
        }
    });
}

#[test]
fn a_used_up_credit_says_nothing_while_something_waits() {
    everywhere(|layout| {
        let (mut w, p, s) = asleep(layout, |_| {});
        for n in 1..=2 {
            publish(&mut w, p, &n.to_string(), 1);
        }
        w.demand(s, Credit::Messages(1));
        w.ack(s, 1);
        assert_eq!(w.take(s), ["q1#1 t=1"]);
        // Somebody who is told nothing any more hears nothing of it either.
        w.demand(s, Credit::Messages(1));
        w.demand(s, Credit::None);
        w.ack(s, 2);
        assert_eq!(w.take(s), ["q1#2 t=2"]);
        w.demand(s, Credit::Messages(1));
        assert_eq!(w.take(s), ["drained"]);
    });
}

#[test]
fn what_a_client_refuses_or_gives_back_is_settled_or_not() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s").keep().requeues()));
        w.subscribe(s, vec![sub("t", 1)]);
        publish(&mut w, p, "1", 1);
        w.take(s);
        w.demand(s, Credit::Messages(2));
        w.settle(s, 1, Outcome::Requeued);
        assert_eq!(w.take(s), ["q1#2 t=1"]);
        w.settle(s, 2, Outcome::Discarded(Reason::UNSPECIFIED));
        assert_eq!(w.take(s), ["drained"]);
    });
}

#[test]
fn a_message_that_expired_waits_for_nobody() {
    everywhere(|layout| {
        let (mut w, p, s) = asleep(layout, |_| {});
        assert_eq!(w.publish(p, msg("t", "x", 1).expiry_s(5)), 0);
        w.advance_s(5);
        w.demand(s, Credit::Messages(1));
        assert_eq!(w.take(s), ["drained"]);
    });
}

#[test]
fn repetitions_on_the_next_link_take_credit() {
    everywhere(|layout| {
        let (mut w, p, s) = asleep(layout, |_| {});
        w.demand(s, Credit::Open);
        for n in 1..=3 {
            publish(&mut w, p, &n.to_string(), 1 + n % 2);
        }
        assert_eq!(w.take(s).len(), 3);
        w.lose(s);
        let s = w.connect(id("s").keep().manners(|m| m.credit = Credit::Messages(2)));
        assert_eq!(w.take(s), ["q2#1 dup t=1", "q1#2 dup t=2"]);
        publish(&mut w, p, "4", 0);
        w.ack(s, 2);
        assert_eq!(w.take(s), NOTHING);
        w.demand(s, Credit::Messages(1));
        assert_eq!(w.take(s), ["q2#3 dup t=3"]);
        w.demand(s, Credit::Messages(1));
        assert_eq!(w.take(s), ["q0 t=4"]);
        for handle in [1, 3] {
            w.rec(s, handle);
            w.ack(s, handle);
        }
        assert_eq!(w.take(s), ["release #1 0x00", "release #3 0x00", "drained"]);
    });
}

#[test]
fn a_client_can_begin_without_credit() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        let quiet = |credit| id("s").keep().manners(|m| m.credit = credit);
        let s = w.connect(quiet(Credit::None));
        w.subscribe(s, vec![sub("t", 1).no_retained()]);
        publish(&mut w, p, "1", 1);
        assert_eq!(w.take(s), NOTHING);
        w.lose(s);
        let s = w.connect(quiet(Credit::None));
        assert_eq!(w.take(s), NOTHING);
        w.lose(s);
        let s = w.connect(quiet(Credit::Messages(1)));
        assert_eq!(w.take(s), ["q1#1 t=1"]);
        w.ack(s, 1);
        assert_eq!(w.take(s), ["drained"]);
    });
}

/// A QoS 2 message waits for the store before it is sent, and takes its credit then.
#[test]
fn a_delivery_that_waits_for_the_store_takes_the_credit_of_its_time() {
    everywhere(|layout| {
        let late = |s: &mut Setup| s.delays.iter_mut().for_each(|delay| *delay = 3);
        let (mut w, p, s) = asleep(layout, late);
        for n in 1..=3 {
            publish(&mut w, p, &n.to_string(), 2);
        }
        w.apply(s, core_model::Operation::Demand(Credit::Messages(3)));
        w.turns(2);
        assert_eq!(w.take(s), NOTHING);
        w.demand(s, Credit::Messages(1));
        assert_eq!(w.take(s), ["q2#1 t=1"]);
        w.demand(s, Credit::Messages(2));
        assert_eq!(w.take(s), ["q2#2 t=2", "q2#3 t=3"]);
        for handle in 1..=3 {
            w.rec(s, handle);
            w.ack(s, handle);
        }
        assert_eq!(w.take(s).last().map(String::as_str), Some("drained"));
    });
}

#[test]
fn retained_messages_wait_for_credit_too() {
    everywhere(|layout| {
        let (mut w, p, s) = asleep(layout, |_| {});
        for n in 0..100 {
            assert!(w.publish(p, msg(&format!("r/{n:03}"), "x", 1).retain()) < 0x80);
        }
        assert_eq!(w.subscribe(s, vec![sub("r/#", 0)]), [0]);
        assert_eq!(w.take(s), NOTHING);
        let mut seen = Vec::new();
        while seen.last().is_none_or(|text| text != "drained") {
            w.demand(s, Credit::Messages(7));
            let some = w.take(s);
            assert!(some.len() <= 8 && !some.is_empty(), "{some:?}");
            seen.extend(some);
        }
        assert_eq!(seen.len(), 101);
    });
}

/// Nobody may subscribe to `t`.
struct NoT;

impl Authorizer for NoT {
    fn compile(&self, _principal: &Principal) -> Arc<dyn Permissions> {
        Arc::new(NoT)
    }
}

impl Permissions for NoT {
    fn permits(&self, action: Action, topic: &str) -> bool {
        !(matches!(action, Action::Subscribe { .. }) && topic == "t")
    }
}

#[test]
fn what_is_taken_back_waits_for_nobody() {
    everywhere(|layout| {
        let (mut w, p, s) = asleep(layout, |_| {});
        publish(&mut w, p, "x", 1);
        w.demand(s, Credit::Messages(0));
        assert_eq!(w.take(s), NOTHING);
        w.set_plugins(|plugins| plugins.authorizer = Some(Arc::new(NoT)));
        assert_eq!(w.take(s), ["drained"]);
    });
}

#[test]
fn a_delivery_that_is_taken_back_before_it_was_sent_gives_its_credit_back() {
    everywhere(|layout| {
        let late = |s: &mut Setup| s.delays.iter_mut().for_each(|delay| *delay = 5);
        let (mut w, p, s) = asleep(layout, late);
        w.subscribe(s, vec![sub("u", 1)]);
        publish(&mut w, p, "x", 2);
        w.apply(s, core_model::Operation::Demand(Credit::Messages(1)));
        w.turns(2);
        assert_eq!(w.take(s), NOTHING);
        w.set_plugins(|plugins| plugins.authorizer = Some(Arc::new(NoT)));
        assert_eq!(w.publish(p, msg("u", "y", 1)), 0);
        let seen = w.take(s);
        assert_eq!(seen.last().map(String::as_str), Some("q1#2 u=y"), "{seen:?}");
        assert_eq!(w.publish(p, msg("u", "z", 1)), 0);
        assert_eq!(w.take(s), NOTHING);
    });
}

#[test]
fn a_group_gives_a_member_no_more_than_its_credit() {
    everywhere(|layout| {
        for home in 0..layout.shards {
            let mut w = World::new(layout);
            let p = w.connect(id("p"));
            let group = w.group_on(home, "t");
            let few = || id("a").keep().manners(|m| m.credit = Credit::Messages(2));
            let a = w.connect(few());
            w.subscribe(a, vec![sub(&group, 1)]);
            assert_eq!(w.take(a), ["drained"]);
            for n in 1..=4 {
                publish(&mut w, p, &n.to_string(), 1);
            }
            assert_eq!(w.take(a), ["q1#1 t=1", "q1#2 t=2"]);
            assert_eq!(w.counters().queued_messages, 0, "the group holds the others");
            w.ack(a, 1);
            assert_eq!(w.take(a), NOTHING);
            w.demand(a, Credit::Messages(1));
            assert_eq!(w.take(a), ["q1#3 t=3"]);
            // Somebody else takes what is beyond it.
            let b = w.connect(id("b"));
            w.subscribe(b, vec![sub(&group, 1)]);
            assert_eq!(w.take(b), ["q1#1 t=4"]);
            publish(&mut w, p, "5", 1);
            publish(&mut w, p, "6", 0);
            assert_eq!(w.take(b), ["q1#2 t=5", "q0 t=6"]);
            w.demand(a, Credit::Open);
            publish(&mut w, p, "7", 1);
            publish(&mut w, p, "8", 1);
            assert_eq!((w.take(a).len(), w.take(b).len()), (1, 1));
        }
    });
}

/// What is lost on the way of a group's message to a member is no credit lost.
#[test]
fn a_group_learns_what_is_left_of_a_credit() {
    everywhere(|layout| {
        for home in 0..layout.shards {
            let mut w = World::new(layout);
            let p = w.connect(id("p"));
            let group = w.group_on(home, "t");
            let one = id("a").keep().receive_max(1);
            let a = w.connect(one.manners(|m| m.credit = Credit::Messages(3)));
            w.subscribe(a, vec![sub(&group, 1)]);
            publish(&mut w, p, "1", 1);
            for n in 2..=3 {
                assert_eq!(w.publish(p, msg("t", &n.to_string(), 1).expiry_s(5)), 0);
            }
            w.advance_s(5);
            w.ack(a, 1);
            assert_eq!(w.take(a), ["drained", "q1#1 t=1"]);
            publish(&mut w, p, "4", 1);
            w.ack(a, 2);
            publish(&mut w, p, "5", 1);
            assert_eq!(w.take(a), ["q1#2 t=4", "q1#3 t=5"]);
        }
    });
}

#[test]
fn kept_qos_0_messages_are_the_first_to_go() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        for overflow in [core_model::Overflow::DropNewest, core_model::Overflow::DropOldest] {
            let small = |limits: &mut core_model::SessionLimits| {
                (limits.queued_messages_max, limits.overflow) = (4, overflow);
            };
            let connecting = id("s").limits(small).manners(|m| {
                (m.keeps_qos0, m.credit) = (true, Credit::None);
            });
            let s = w.connect(connecting);
            w.subscribe(s, vec![sub("t", 1)]);
            for (n, qos) in [1, 0, 1, 0].into_iter().enumerate() {
                publish(&mut w, p, &n.to_string(), qos);
            }
            let before = w.counters().dropped_queue_full;
            // One of its kind goes for a QoS 0 message, the oldest.
            publish(&mut w, p, "a", 0);
            publish(&mut w, p, "b", 1);
            publish(&mut w, p, "c", 1);
            // There is none left; a QoS 0 message takes nobody's place, another one as always.
            publish(&mut w, p, "d", 0);
            assert_eq!(w.counters().dropped_queue_full, before + 4);
            publish(&mut w, p, "e", 1);
            w.demand(s, Credit::Open);
            let newest = ["q1#1 t=0", "q1#2 t=2", "q1#3 t=b", "q1#4 t=c"];
            let oldest = ["q1#1 t=2", "q1#2 t=b", "q1#3 t=c", "q1#4 t=e"];
            let expected =
                if overflow == core_model::Overflow::DropOldest { oldest } else { newest };
            assert_eq!(w.take(s), expected);
            assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
            w.disconnect(s);
        }
    });
}
