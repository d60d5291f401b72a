//! Queues that are full, and what is refused then.

use core_model::Overflow;

use crate::words::{id, msg, sub};
use crate::world::{Client, Layout, NOTHING, Setup, World, everywhere};

/// A publisher, and a subscriber of `t` that is not there.
fn absent(layout: Layout, change: impl FnOnce(&mut Setup)) -> (World, Client) {
    let mut w = World::with(layout, change);
    let s = w.connect(id("s").keep());
    w.subscribe(s, vec![sub("t", 2)]);
    w.lose(s);
    let p = w.connect(id("p"));
    (w, p)
}

fn payloads(w: &mut World) -> Vec<String> {
    let s = w.connect(id("s").keep());
    let seen = w.take(s);
    seen.iter().filter_map(|text| text.split('=').next_back().map(str::to_owned)).collect()
}

fn size_of(payload: &str) -> usize {
    msg("t", payload, 1).size()
}

#[test]
fn a_full_queue_drops_the_newest() {
    everywhere(|layout| {
        let (mut w, p) = absent(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).queued_messages_max = 3
        });
        for n in 0..3 {
            assert_eq!(w.publish(p, msg("t", &n.to_string(), 1)), 0);
        }
        assert_eq!(w.counters().dropped_queue_full, 0);
        // The publisher is not told: the policy of the session decided it.
        assert_eq!(w.publish(p, msg("t", "3", 1)), 0);
        assert_eq!(w.publish(p, msg("t", "4", 2)), 0);
        assert_eq!(w.counters().dropped_queue_full, 2);
        assert_eq!(payloads(&mut w), ["0", "1", "2"]);
    });
}

#[test]
fn a_full_queue_drops_the_oldest_where_wanted() {
    everywhere(|layout| {
        let (mut w, p) = absent(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).queued_messages_max = 3;
            std::sync::Arc::make_mut(&mut s.limits.session).overflow = Overflow::DropOldest;
        });
        for n in 0..3 {
            w.publish(p, msg("t", &n.to_string(), 1));
        }
        assert_eq!(w.counters().dropped_queue_full, 0);
        for n in 3..5 {
            assert_eq!(w.publish(p, msg("t", &n.to_string(), 1)), 0);
        }
        assert_eq!(w.counters().dropped_queue_full, 2);
        assert_eq!(payloads(&mut w), ["2", "3", "4"]);
        assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
    });
}

#[test]
fn a_queue_is_full_by_bytes_too() {
    everywhere(|layout| {
        let size = size_of("xxxx");
        for (room, fit) in [(3 * size, 3), (3 * size - 1, 2)] {
            let (mut w, p) = absent(layout, |s| {
                std::sync::Arc::make_mut(&mut s.limits.session).queued_bytes_max = room
            });
            for _ in 0..4 {
                assert_eq!(w.publish(p, msg("t", "xxxx", 1)), 0);
            }
            assert_eq!(w.counters().queued_messages, fit);
            assert_eq!(w.counters().queued_bytes, fit * size as u64);
            assert_eq!(w.counters().dropped_queue_full, 4 - fit);
        }
    });
}

#[test]
fn dropping_the_oldest_makes_room_for_bytes() {
    everywhere(|layout| {
        let (small, large) = (size_of("a"), "L".repeat(2000));
        let (mut w, p) = absent(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).queued_bytes_max =
                size_of(&large) + small;
            std::sync::Arc::make_mut(&mut s.limits.session).overflow = Overflow::DropOldest;
        });
        for payload in ["a", "b", "c"] {
            w.publish(p, msg("t", payload, 1));
        }
        w.publish(p, msg("t", &large, 1));
        assert_eq!(w.counters().dropped_queue_full, 2);
        // What can never fit does not empty the queue.
        w.publish(p, msg("t", &"H".repeat(4000), 1));
        assert_eq!(w.counters().dropped_queue_full, 3);
        assert_eq!(payloads(&mut w), ["c", &large]);
    });
}

#[test]
fn a_live_client_that_does_not_settle_has_a_bounded_queue() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).queued_messages_max = 2
        });
        let (p, s) = (w.connect(id("p")), w.connect(id("s").receive_max(1)));
        w.subscribe(s, vec![sub("t", 1)]);
        for n in 0..5 {
            assert_eq!(w.publish(p, msg("t", &n.to_string(), 1)), 0);
        }
        assert_eq!(w.take(s), ["q1#1 t=0"]);
        for (handle, next) in [(1, "q1#2 t=1"), (2, "q1#3 t=2")] {
            w.ack(s, handle);
            assert_eq!(w.take(s), [next]);
        }
        w.ack(s, 3);
        assert_eq!(w.take(s), NOTHING);
        assert_eq!(w.counters().dropped_queue_full, 2);
    });
}

#[test]
fn the_total_of_a_shard_refuses_the_publisher() {
    everywhere(|layout| {
        let size = size_of("x");
        let (mut w, p) = absent(layout, |s| s.limits.kept_bytes_total_max = 2 * size);
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0);
        assert_eq!(w.publish(p, msg("t", "x", 2).id(5)), 0);
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x97);
        assert_eq!(w.publish(p, msg("t", "x", 2).id(6)), 0x97);
        // The number of the refused message is free.
        assert_eq!(w.release(p, 6), 0x92);
        assert_eq!(w.release(p, 5), 0);
        // Who has no queue to fill is served all the same.
        let live = w.connect(id("live"));
        w.subscribe(live, vec![sub("u", 1)]);
        assert_eq!(w.publish(p, msg("u", "x", 1)), 0);
        // Room comes back when the client has settled, not before.
        let s = w.connect(id("s").keep());
        assert_eq!(w.take(s), ["q1#1 t=x", "q2#2 t=x"]);
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x97);
        w.ack(s, 1);
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0);
    });
}

#[test]
fn qos_0_messages_are_not_queued_for_absent_clients() {
    everywhere(|layout| {
        let (mut w, p) = absent(layout, |_| {});
        w.publish(p, msg("t", "0", 0));
        assert_eq!(w.counters().dropped_qos0, 1);
        assert_eq!(payloads(&mut w), NOTHING);
        let (mut w, p) = absent(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).queue_qos0_offline = true
        });
        w.publish(p, msg("t", "0", 0));
        w.publish(p, msg("t", "1", 1));
        w.publish(p, msg("t", "2", 0));
        assert_eq!(w.counters().dropped_qos0, 0);
        let s = w.connect(id("s").keep());
        assert_eq!(w.take(s), ["q0 t=0", "q1#1 t=1", "q0 t=2"]);
    });
}

/// Whatever ends a session gives back what it held.
#[test]
fn an_ended_session_holds_nothing() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s").resume().expiry_s(10).receive_max(1));
        w.subscribe(s, vec![sub("t", 1)]);
        let p = w.connect(id("p"));
        for _ in 0..5 {
            w.publish(p, msg("t", "x", 1));
        }
        assert_eq!(w.counters().queued_messages, 4);
        w.lose(s);
        w.advance_s(10);
        assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
    });
}
