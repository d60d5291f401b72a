//! How much a client is given at once, and what waits meanwhile.

use core_model::{Credit, Outcome, Reason};

use crate::words::{id, msg, sub};
use crate::world::{Client, Layout, NOTHING, World, everywhere};

fn pair(layout: Layout, receive_max: u16) -> (World, Client, Client) {
    let mut w = World::new(layout);
    let (p, s) = (w.connect(id("p")), w.connect(id("s").keep().receive_max(receive_max)));
    w.subscribe(s, vec![sub("t", 2)]);
    (w, p, s)
}

//= mqtt5:3.3.4-9
//= mqtt5:4.9.0-1
//= mqtt5:4.9.0-2
#[test]
fn the_receive_maximum_is_kept() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, 2);
        for n in 1..=7 {
            assert_eq!(w.publish(p, msg("t", &n.to_string(), 1 + n % 2)), 0);
        }
        assert_eq!(w.take(s), ["q2#1 t=1", "q1#2 t=2"]);
        assert_eq!(w.counters().queued_messages, 5);
        // A QoS 1 delivery frees its place when it is acknowledged.
        w.ack(s, 2);
        assert_eq!(w.take(s), ["q2#3 t=3"]);
        // A QoS 2 delivery does at its end, not when it was received.
        w.rec(s, 1);
        assert_eq!(w.take(s), ["release #1 0x00"]);
        w.ack(s, 1);
        assert_eq!(w.take(s), ["q1#4 t=4"]);
        // A negative answer frees it at once.
        w.settle(s, 3, Outcome::Discarded(Reason::UNSPECIFIED));
        assert_eq!(w.take(s), ["q2#5 t=5"]);
        w.settle(s, 4, Outcome::Discarded(Reason::UNSPECIFIED));
        assert_eq!(w.take(s), ["q1#6 t=6"]);
        w.ack(s, 6);
        assert_eq!(w.take(s), ["q2#7 t=7"]);
        assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
    });
}

//= mqtt5:4.9.0-1
//= mqtt5:3.3.4-9
#[test]
fn the_servers_own_maximum_holds_as_well() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).inflight_max = 3
        });
        let (p, s) = (w.connect(id("p")), w.connect(id("s").receive_max(65_535)));
        let t = w.connect(id("t").receive_max(2));
        for client in [s, t] {
            w.subscribe(client, vec![sub("t", 1)]);
        }
        for n in 0..5 {
            w.publish(p, msg("t", &n.to_string(), 1));
        }
        assert_eq!(w.take(s).len(), 3);
        assert_eq!(w.take(t).len(), 2);
    });
}

//= mqtt5:4.9.0-3
//= mqtt5:3.3.4-10
#[test]
fn everything_else_goes_on_without_quota() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, 1);
        w.publish(p, msg("t", "1", 1));
        w.publish(p, msg("t", "2", 1));
        assert_eq!(w.take(s), ["q1#1 t=1"]);
        w.publish(p, msg("t", "zero", 0));
        assert_eq!(w.take(s), ["q0 t=zero"]);
        // Each of these demands its answer.
        assert_eq!(w.subscribe(s, vec![sub("u", 1)]), [1]);
        assert_eq!(w.unsubscribe(s, &["u"]), [0]);
        assert_eq!(w.publish(s, msg("u", "x", 1)), 0x10);
        assert_eq!(w.publish(s, msg("u", "x", 2).id(3)), 0x10);
        assert_eq!(w.release(s, 3), 0);
        assert_eq!(w.take(s), NOTHING);
    });
}

#[test]
fn a_client_without_credit_gets_nothing_until_it_has_some() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, 10);
        w.demand(s, Credit::None);
        for n in 0..3 {
            w.publish(p, msg("t", &n.to_string(), n));
        }
        assert_eq!(w.take(s), NOTHING);
        assert_eq!(w.counters().queued_messages, 3);
        assert_eq!(w.subscribe(s, vec![sub("u", 1)]), [1]);
        w.demand(s, Credit::Open);
        assert_eq!(w.take(s), ["q0 t=0", "q1#1 t=1", "q2#2 t=2"]);
        // The next link begins with credit.
        w.demand(s, Credit::None);
        w.publish(p, msg("t", "last", 1));
        w.lose(s);
        let s = w.connect(id("s").keep());
        assert_eq!(w.take(s), ["q1#1 dup t=1", "q2#2 dup t=2", "q1#3 t=last"]);
    });
}

/// A QoS 0 message does not overtake those that wait for a client without credit.
//= mqtt5:4.6.0-5
//= mqtt5:4.6.0-6
#[test]
fn waiting_qos_0_messages_keep_their_order() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, 1);
        w.publish(p, msg("t", "busy", 1));
        w.take(s);
        w.demand(s, Credit::None);
        w.publish(p, msg("t", "a", 1));
        w.publish(p, msg("t", "b", 0));
        w.demand(s, Credit::Open);
        // `a` still needs a place, and `b` waits behind it.
        w.publish(p, msg("t", "c", 0));
        assert_eq!(w.take(s), NOTHING);
        w.ack(s, 1);
        assert_eq!(w.take(s), ["q1#2 t=a", "q0 t=b", "q0 t=c"]);
    });
}

//= mqtt5:3.3.2-5
//= mqtt5:3.3.2-6
#[test]
fn a_message_that_expires_in_the_queue_is_dropped() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, 1);
        w.publish(p, msg("t", "1", 1));
        for (n, expiry_s) in [(2, 5), (3, 100), (4, 6)] {
            w.publish(p, msg("t", &n.to_string(), 2).expiry_s(expiry_s));
        }
        let deadline = w.now.plus_seconds(100);
        w.take(s);
        w.advance_s(6);
        w.ack(s, 1);
        let delivery = w.take_delivery(s);
        assert_eq!(delivery.message.payload(), b"3");
        let stored = delivery.message.stored().unwrap();
        assert_eq!(stored.expires_at(), Some(deadline));
        assert_eq!(stored.view().remaining_expiry_s(w.now), Some(94));
        w.rec(s, 2);
        w.ack(s, 2);
        assert_eq!(w.take(s), ["release #2 0x00"]);
        assert_eq!(w.counters().dropped_expired, 2);
        assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
    });
}

//= mqtt5:3.3.2-5
#[test]
fn a_message_that_expires_while_its_client_is_away_is_dropped() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout, 10);
        w.lose(s);
        w.publish(p, msg("t", "short", 1).expiry_s(5));
        w.publish(p, msg("t", "long", 1).expiry_s(6));
        w.advance_s(5);
        let s = w.connect(id("s").keep());
        assert_eq!(w.take(s), ["q1#1 t=long"]);
        assert_eq!(w.counters().dropped_expired, 1);
    });
}

#[test]
fn a_delivery_that_is_given_back_is_offered_again() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s").requeues().receive_max(3)));
        w.subscribe_as(s, Some(4), vec![sub("t", 1)]);
        for n in 1..=4 {
            w.publish(p, msg("t", &n.to_string(), 1));
        }
        assert_eq!(w.take(s), ["q1#1 t=1 [4]", "q1#2 t=2 [4]", "q1#3 t=3 [4]"]);
        // It is older than what waits, and gets a handle of its own.
        w.settle(s, 2, Outcome::Requeued);
        assert_eq!(w.take(s), ["q1#4 t=2 [4]"]);
        w.ack(s, 2);
        assert_eq!(w.take(s), NOTHING);
        w.ack(s, 4);
        assert_eq!(w.take(s), ["q1#5 t=4 [4]"]);
        for handle in [1, 3, 5] {
            w.ack(s, handle);
        }
        assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
        assert_eq!(w.counters().dropped_discarded, 0);
    });
}

#[test]
fn deliveries_that_were_given_back_wait_in_their_order() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s").keep()));
        w.subscribe(s, vec![sub("t", 2)]);
        for n in 1..=4 {
            w.publish(p, msg("t", &n.to_string(), 1 + n % 2));
        }
        assert_eq!(w.take(s).len(), 4);
        w.demand(s, Credit::None);
        for handle in [2, 1, 3] {
            w.settle(s, handle, Outcome::Requeued);
        }
        w.publish(p, msg("t", "5", 1));
        assert_eq!(w.counters().queued_messages, 4);
        w.lose(s);
        let s = w.connect(id("s").keep());
        let mut seen = w.take(s);
        // QoS 2 deliveries wait for their new handles to be durable.
        seen.sort_by_key(|text| text.contains("q2"));
        assert_eq!(seen, ["q1#4 dup t=4", "q1#6 t=2", "q1#8 t=5", "q2#5 t=1", "q2#7 t=3"]);
        assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
    });
}

#[test]
fn a_client_that_may_not_give_back_loses_what_it_gives_back() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe(s, vec![sub("t", 1)]);
        w.publish(p, msg("t", "1", 1));
        w.take(s);
        w.settle(s, 1, Outcome::Requeued);
        assert_eq!(w.counters().dropped_discarded, 1);
        w.publish(p, msg("t", "2", 1));
        assert_eq!(w.take(s), ["q1#2 t=2"]);
    });
}
