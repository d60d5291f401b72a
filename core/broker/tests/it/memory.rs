//! What is counted of the memory that sessions take, and what is refused when it is used up.

use core_model::{DisconnectCause, Expiry, Outcome, Reason};

use crate::words::{id, msg, sub};
use crate::world::{Client, Layout, NOTHING, Setup, World, everywhere};

const GROUP: &str = "$share/g/t";

/// Bytes kept for a message of `t` with a payload of one byte.
fn size() -> u64 {
    msg("t", "x", 1).size() as u64
}

/// Lets each shard keep `count` such messages.
fn room_for(count: u64) -> impl FnOnce(&mut Setup) {
    move |setup| setup.limits.kept_bytes_total_max = (count * size()) as usize
}

/// How many such messages the shards keep.
fn kept(w: &World) -> u64 {
    let bytes = w.counters().kept_bytes;
    assert_eq!(bytes % size(), 0, "{bytes} bytes are kept");
    bytes / size()
}

fn publish(w: &mut World, p: Client, qos: u8) -> u8 {
    w.publish(p, msg("t", "x", qos))
}

/// A publisher, and a subscriber of `t` that stays.
fn pair(layout: Layout, change: impl FnOnce(&mut Setup)) -> (World, Client, Client) {
    let mut w = World::with(layout, change);
    let (p, s) = (w.connect(id("p")), w.connect(id("s").keep()));
    w.subscribe(s, vec![sub("t", 2)]);
    (w, p, s)
}

/// What of the shards' state must be the same after a restart.
fn gauges(w: &World) -> [u64; 6] {
    let c = w.counters();
    [
        c.kept_bytes,
        c.queued_messages,
        c.queued_bytes,
        c.subscriptions,
        c.subscriptions_shared,
        c.subscription_bytes,
    ]
}

#[test]
fn a_message_counts_from_its_queue_to_its_settlement() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, |_| {});
        w.lose(s);
        assert_eq!((publish(&mut w, p, 1), publish(&mut w, p, 2)), (0, 0));
        assert_eq!((kept(&w), w.counters().queued_bytes), (2, 2 * size()));
        let s = w.connect(id("s").keep().receive_max(1));
        assert_eq!((kept(&w), w.counters().queued_bytes), (2, size()));
        w.ack(s, 1);
        assert_eq!((kept(&w), w.counters().queued_bytes), (1, 0));
        // A discarded message is as gone as an accepted one, a repeated settlement does nothing.
        publish(&mut w, p, 1);
        w.rec(s, 2);
        w.ack(s, 2);
        w.ack(s, 2);
        assert_eq!(kept(&w), 1);
        w.settle(s, 3, Outcome::Discarded(Reason::UNSPECIFIED));
        assert_eq!(kept(&w), 0);
        // QoS 0 is kept for nobody who takes it.
        publish(&mut w, p, 0);
        assert_eq!(kept(&w), 0);
    });
}

#[test]
fn a_delivery_that_ends_with_its_link_does_not_count() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            room_for(2)(s);
            s.limits.retransmit_after_s = 60;
        });
        let p = w.connect(id("p"));
        let s = w.connect(id("s").receive_max(10));
        w.subscribe(s, vec![sub("t", 2)]);
        for _ in 0..5 {
            assert_eq!((publish(&mut w, p, 1), publish(&mut w, p, 2)), (0, 0));
        }
        assert_eq!(kept(&w), 0);
        // What waits does.
        assert_eq!((publish(&mut w, p, 1), publish(&mut w, p, 1)), (0, 0));
        assert_eq!(publish(&mut w, p, 1), 0x97);
        assert_eq!(kept(&w), 2);
        w.ack(s, 1);
        assert_eq!(kept(&w), 1);
        w.lose(s);
        assert_eq!(kept(&w), 0);
        // What a client may want again is kept for it.
        for connecting in [id("s").requeues(), id("s").retransmits()] {
            let s = w.connect(connecting);
            w.subscribe(s, vec![sub("t", 2)]);
            assert_eq!((publish(&mut w, p, 1), publish(&mut w, p, 2)), (0, 0));
            assert_eq!(publish(&mut w, p, 1), 0x97);
            assert_eq!(kept(&w), 2);
            // From the receipt on only its number matters.
            w.rec(s, 2);
            assert_eq!(kept(&w), 1);
            w.ack(s, 2);
            w.disconnect(s);
            assert_eq!(kept(&w), 0);
        }
    });
}

#[test]
fn every_end_of_a_session_gives_its_room_back() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        let fill = |w: &mut World, p: Client| {
            let s = w.connect(id("s").resume().expiry_s(10).receive_max(1));
            w.subscribe(s, vec![sub("t", 2)]);
            for qos in [1, 2, 2] {
                assert_eq!(publish(w, p, qos), 0);
            }
            assert_eq!(kept(w), 3);
            s
        };
        let s = fill(&mut w, p);
        w.lose(s);
        w.advance_ms(9_999);
        assert_eq!(kept(&w), 3);
        w.advance_ms(1);
        assert_eq!((kept(&w), w.counters().subscription_bytes), (0, 0), "expiry");
        let s = fill(&mut w, p);
        w.part(s, DisconnectCause::Farewell, Some(Expiry::WithLink));
        assert_eq!((kept(&w), w.counters().subscription_bytes), (0, 0), "expiry 0 at the end");
        fill(&mut w, p);
        let s = w.connect(id("s"));
        assert_eq!((kept(&w), w.counters().subscription_bytes), (0, 0), "clean start");
        w.disconnect(s);
        // Taken over to end with its link, it keeps only what an earlier link has seen.
        fill(&mut w, p);
        let s = w.connect(id("s").resume());
        assert_eq!((w.take(s).len(), kept(&w)), (3, 1));
        w.lose(s);
        assert_eq!((kept(&w), w.counters().subscription_bytes), (0, 0), "not durable any more");
        assert_eq!(w.counters().sessions, 1);
    });
}

#[test]
fn what_expires_or_is_dropped_gives_its_room_back() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).queued_messages_max = 2;
            std::sync::Arc::make_mut(&mut s.limits.session).overflow =
                core_model::Overflow::DropOldest;
        });
        w.lose(s);
        for _ in 0..4 {
            assert_eq!(w.publish(p, msg("t", "x", 1).expiry_s(10)), 0);
        }
        assert_eq!(kept(&w), 2);
        w.advance_s(20);
        let s = w.connect(id("s").keep());
        assert_eq!(w.take(s), NOTHING);
        assert_eq!(kept(&w), 0);
    });
}

#[test]
fn a_requeued_message_counts_once() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        let s = w.connect(id("s").keep().requeues().receive_max(1));
        w.subscribe(s, vec![sub("t", 1)]);
        assert_eq!((publish(&mut w, p, 1), publish(&mut w, p, 1)), (0, 0));
        for handle in 1..5 {
            w.settle(s, handle, Outcome::Requeued);
            assert_eq!((kept(&w), w.counters().queued_bytes), (2, size()));
        }
        w.ack(s, 5);
        w.ack(s, 6);
        assert_eq!((kept(&w), w.counters().queued_bytes), (0, 0));
    });
}

#[test]
fn a_message_of_a_group_counts_where_it_is() {
    everywhere(|layout| {
        let mut w = World::with(layout, room_for(2));
        let p = w.connect(id("p"));
        let m = w.connect(id("m").keep());
        w.subscribe(m, vec![sub(GROUP, 1)]);
        w.lose(m);
        assert_eq!((publish(&mut w, p, 1), publish(&mut w, p, 1)), (0, 0));
        assert_eq!((kept(&w), w.counters().queued_bytes), (2, 0));
        assert_eq!(publish(&mut w, p, 1), 0x97);
        // A member has it in flight, whether its session lasts or not.
        let n = w.connect(id("n").requeues());
        w.subscribe(n, vec![sub(GROUP, 1)]);
        assert_eq!(w.take(n), ["q1#1 t=x", "q1#2 t=x"]);
        assert_eq!(kept(&w), 2);
        w.ack(n, 1);
        assert_eq!(kept(&w), 1);
        w.settle(n, 2, Outcome::Requeued);
        assert_eq!(w.take(n), ["q1#3 t=x"]);
        assert_eq!(kept(&w), 1);
        // It goes back when the member ends, and goes with the group.
        w.lose(n);
        assert_eq!(kept(&w), 1);
        let m = w.connect(id("m").keep());
        assert_eq!(w.take(m), ["q1#1 t=x"]);
        w.lose(m);
        let m = w.connect(id("m"));
        assert_eq!(w.take(m), NOTHING);
        assert_eq!((kept(&w), w.counters().subscription_bytes), (0, 0));
    });
}

#[test]
fn what_a_group_holds_goes_with_the_group() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        let m = w.connect(id("m").resume().expiry_s(10));
        w.subscribe(m, vec![sub(GROUP, 1)]);
        w.lose(m);
        assert_eq!((publish(&mut w, p, 1), publish(&mut w, p, 1)), (0, 0));
        w.advance_s(10);
        assert_eq!((kept(&w), w.counters().dropped_discarded), (0, 2));
        w.disconnect(p);
        assert_eq!(w.leftovers(), NOTHING);
        w.restart();
        assert_eq!((kept(&w), w.leftovers()), (0, Vec::new()), "it does not come back");
    });
}

#[test]
fn a_will_counts_until_it_is_published_or_dropped() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let will = |delay_s| msg("t", "x", 1).will(delay_s);
        let mortal = |delay_s| id("a").resume().expiry_s(100).will(will(delay_s));
        let a = w.connect(mortal(0));
        assert_eq!(kept(&w), 1);
        w.disconnect(a);
        assert_eq!(kept(&w), 0, "a farewell");
        let a = w.connect(mortal(0));
        w.lose(a);
        assert_eq!(kept(&w), 0, "published");
        let a = w.connect(mortal(10));
        w.lose(a);
        w.advance_ms(9_999);
        assert_eq!(kept(&w), 1);
        w.advance_ms(1);
        assert_eq!(kept(&w), 0, "published late");
        w.connect(mortal(10));
        w.connect(mortal(10));
        assert_eq!(kept(&w), 1, "taken over");
        let a = w.connect(id("a").resume().expiry_s(100));
        assert_eq!(kept(&w), 0, "taken over without");
        w.update_will(a, Some(will(0)));
        w.update_will(a, Some(will(5)));
        assert_eq!(kept(&w), 1, "replaced");
        w.update_will(a, None);
        assert_eq!(kept(&w), 0, "removed");
        w.connect(mortal(1_000));
        w.connect(id("a"));
        assert_eq!(kept(&w), 0, "clean start");
    });
}

#[test]
fn a_will_that_does_not_fit_is_refused() {
    everywhere(|layout| {
        let mut w = World::with(layout, room_for(1));
        // On one shard with the others, wherever that is.
        let home = w.home("a").0;
        let (b, c) = (w.id_on(home, "b"), w.id_on(home, "c"));
        let a = w.connect(id("a").will(msg("t", "x", 1).will(0)));
        let refused = w.dial(id(&b).will(msg("t", "x", 1).will(0)));
        assert_eq!(w.take(refused), ["refused 0x97"]);
        assert_eq!((kept(&w), w.counters().sessions), (1, 1));
        let c = w.connect(id(&c));
        w.update_will(c, Some(msg("t", "x", 1).will(0)));
        assert_eq!((kept(&w), w.counters().publishes_refused), (1, 1));
        w.disconnect(a);
        w.connect(id(&b).will(msg("t", "x", 1).will(0)));
        assert_eq!(kept(&w), 1);
    });
}

#[test]
fn what_does_not_fit_is_refused_in_flight_and_waiting() {
    everywhere(|layout| {
        for (receive_max, in_flight) in [(10, 3), (1, 1)] {
            for qos in [1, 2] {
                let mut w = World::with(layout, room_for(3));
                let p = w.connect(id("p"));
                let s = w.connect(id("s").keep().receive_max(receive_max));
                w.subscribe(s, vec![sub("t", 2)]);
                for _ in 0..3 {
                    assert_eq!(publish(&mut w, p, qos), 0);
                }
                assert_eq!(w.counters().queued_messages, 3 - in_flight);
                assert_eq!(publish(&mut w, p, qos), 0x97);
                assert_eq!(kept(&w), 3);
                assert_eq!(w.take(s).len(), in_flight as usize);
                w.rec(s, 1);
                w.ack(s, 1);
                assert_eq!((kept(&w), publish(&mut w, p, qos)), (2, 0));
                assert_eq!(publish(&mut w, p, qos), 0x97);
            }
        }
    });
}

/// A restart neither forgets what is counted nor counts it twice.
#[test]
fn a_restart_counts_the_same() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, |_| {});
        w.subscribe(s, vec![sub("u/+", 1), sub("$share/h/u", 1)]);
        let m = w.connect(id("m").keep().mountpoint("m/"));
        w.subscribe(m, vec![sub(GROUP, 1), sub("v", 0)]);
        w.lose(m);
        assert_eq!((publish(&mut w, p, 1), publish(&mut w, p, 2)), (0, 0));
        w.rec(s, 2);
        publish(&mut w, p, 2);
        w.lose(s);
        publish(&mut w, p, 1);
        assert_eq!(w.publish(p, msg("m/t", "", 1)), 0, "the group holds it");
        let a = w.connect(id("a").expiry_s(100).will(msg("t", "", 1).will(50)));
        w.disconnect(p);
        w.lose(a);
        let before = gauges(&w);
        let held = msg("m/t", "", 1).size() + msg("t", "", 1).size();
        assert_eq!(before[0], 4 * size() + held as u64);
        assert_eq!((before[1], before[3], before[4]), (1, 5, 2));
        for _ in 0..2 {
            w.restart();
            assert_eq!(gauges(&w), before);
        }
        // All of it can be given back.
        w.advance_s(60);
        for id in [id("s"), id("m").mountpoint("m/"), id("a")] {
            let last = w.connect(id);
            w.disconnect(last);
        }
        assert_eq!(gauges(&w), [0; 6]);
        assert_eq!(w.leftovers(), NOTHING);
    });
}

#[test]
fn subscriptions_have_a_total() {
    everywhere(|layout| {
        // An entry and three times its filter.
        let each = |filter: &str| 512 + 3 * filter.len();
        let room = each("a/1") + each("$share/g/a/2");
        for (missing, last) in [(0, 1), (1, 0x97)] {
            let limit = room - missing;
            let mut w = World::with(layout, |s| s.limits.subscription_bytes_total_max = limit);
            let s = w.connect(id("s").keep());
            assert_eq!(w.subscribe(s, vec![sub("a/1", 0), sub("$share/g/a/2", 1)]), [0, last]);
            let taken = if last == 1 { room } else { each("a/1") };
            assert_eq!(w.counters().subscription_bytes, taken as u64);
            assert_eq!(w.subscribe(s, vec![sub(&"b".repeat(300), 1)]), [0x97]);
            // Replacing one takes no room.
            assert_eq!(w.subscribe(s, vec![sub("a/1", 2), sub("a/1", 1)]), [2, 1]);
            assert_eq!(w.counters().subscription_bytes, taken as u64);
            assert_eq!(w.unsubscribe(s, &["a/1", "a/1", "none"]), [0, 0x11, 0x11]);
            assert_eq!(w.counters().subscription_bytes, (taken - each("a/1")) as u64);
            assert_eq!(w.subscribe(s, vec![sub("b/1", 1)]), [1]);
            w.disconnect(s);
            let s = w.connect(id("s"));
            w.disconnect(s);
            assert_eq!((w.counters().subscriptions, w.counters().subscription_bytes), (0, 0));
        }
    });
}

/// The many subscriptions of a large session end in portions, and count as long as they last.
#[test]
fn subscriptions_count_until_they_are_gone() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.work_per_turn_max = 3);
        let s = w.connect(id("s"));
        w.subscribe(s, (0..20).map(|n| sub(&format!("a/{n}"), 0)).collect());
        let bytes = w.counters().subscription_bytes;
        assert!(bytes >= 20 * 512);
        let farewell = core_model::Disconnect { cause: DisconnectCause::Farewell, expiry: None };
        w.apply(s, core_model::Operation::Disconnect(farewell));
        w.turns(2);
        let left = w.counters();
        assert!(left.subscriptions > 0 && left.subscription_bytes < bytes, "{left:?}");
        w.run();
        assert_eq!((w.counters().subscriptions, w.counters().subscription_bytes), (0, 0));
    });
}
