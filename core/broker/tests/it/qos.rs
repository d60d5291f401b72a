//! QoS 1 and 2 in both directions.

use core_model::{Outcome, Reason};

use crate::words::{id, msg, sub};
use crate::world::{Client, Layout, NOTHING, World, everywhere};

/// A publisher, and a subscriber of `t` with a session that stays.
fn pair(layout: Layout) -> (World, Client, Client) {
    let mut w = World::new(layout);
    let (p, s) = (w.connect(id("p").keep()), w.connect(id("s").keep()));
    w.subscribe(s, vec![sub("t", 2)]);
    (w, p, s)
}

/// The subscriber's link breaks and comes back.
fn again(w: &mut World, s: Client) -> Client {
    w.lose(s);
    let s = w.connect(id("s").keep());
    assert!(s.present);
    s
}

//= mqtt5:4.3.2-4
//= mqtt5:4.3.2-5
//= mqtt311:4.3.2-2
#[test]
fn an_answered_qos_1_message_is_over() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        assert_eq!(w.publish(p, msg("t", "x", 1).id(5)), 0);
        assert_eq!(w.publish(p, msg("t", "x", 1).id(5)), 0);
        assert_eq!(w.take(s), ["q1#1 t=x", "q1#2 t=x"]);
    });
}

//= mqtt5:4.3.3-8
//= mqtt5:4.3.3-10
//= mqtt5:4.3.3-11
//= mqtt5:4.3.3-12
//= mqtt311:4.3.3-2
#[test]
fn a_qos_2_message_is_taken_once_until_it_is_released() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        assert_eq!(w.publish(p, msg("t", "x", 2).id(5)), 0);
        assert_eq!(w.publish(p, msg("t", "x", 2).id(5)), 0);
        assert_eq!(w.publish(p, msg("t", "y", 2).id(6)), 0);
        assert_eq!(w.take(s), ["q2#1 t=x", "q2#2 t=y"]);
        assert_eq!(w.release(p, 5), 0);
        assert_eq!(w.take(s), NOTHING);
        assert_eq!(w.publish(p, msg("t", "new", 2).id(5)), 0);
        assert_eq!(w.publish(p, msg("t", "y", 2).id(6)), 0);
        assert_eq!(w.take(s), ["q2#3 t=new"]);
    });
}

//= mqtt5:4.3.3-10
//= mqtt5:4.1.0-1
//= mqtt311:4.3.3-2
#[test]
fn a_received_number_outlives_the_link() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "x", 2).id(5));
        w.lose(p);
        let p = w.connect(id("p").keep());
        assert_eq!(w.publish(p, msg("t", "x", 2).id(5)), 0);
        let p = w.connect(id("p").keep());
        assert_eq!(w.publish(p, msg("t", "x", 2).id(5)), 0);
        assert_eq!(w.release(p, 5), 0);
        assert_eq!(w.take(s), ["q2#1 t=x"]);
    });
}

//= mqtt5:3.1.2-4
//= mqtt311:3.1.2-6
#[test]
fn a_clean_start_forgets_received_numbers() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "x", 2).id(5));
        w.lose(p);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "new", 2).id(5)), 0);
        assert_eq!(w.take(s), ["q2#1 t=x", "q2#2 t=new"]);
        assert_eq!(w.release(p, 5), 0);
        assert_eq!(w.release(p, 5), 0x92);
    });
}

#[test]
fn numbers_belong_to_one_client() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        let q = w.connect(id("q"));
        w.publish(p, msg("t", "p", 2).id(5));
        w.publish(q, msg("t", "q", 2).id(5));
        assert_eq!(w.take(s), ["q2#1 t=p", "q2#2 t=q"]);
        assert_eq!(w.release(p, 5), 0);
        w.publish(q, msg("t", "q", 2).id(5));
        assert_eq!(w.take(s), NOTHING);
    });
}

//= mqtt5:GW-MQTT-12
//= mqtt5:4.3.3-11
#[test]
fn a_release_of_an_unknown_number_says_so() {
    everywhere(|layout| {
        let (mut w, p, _) = pair(layout);
        assert_eq!(w.release(p, 9), 0x92);
        w.publish(p, msg("t", "x", 2).id(9));
        assert_eq!(w.release(p, 9), 0);
        assert_eq!(w.release(p, 9), 0x92);
    });
}

//= mqtt5:4.3.3-9
#[test]
fn the_number_of_a_refused_message_is_free() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.retained_messages_max = 0);
        let (p, s) = (w.connect(id("p").keep()), w.connect(id("s")));
        w.subscribe(s, vec![sub("t", 2), sub("u", 2)]);
        assert_eq!(w.publish(p, msg("t", "refused", 2).id(5).retain()), 0x97);
        assert_eq!(w.take(s), ["q2#1 t=refused"]);
        assert_eq!(w.publish(p, msg("u", "new", 2).id(5)), 0);
        assert_eq!(w.take(s), ["q2#2 u=new"]);
        assert_eq!(w.release(p, 5), 0);
    });
}

//= mqtt5:4.3.3-13
#[test]
fn an_expired_message_does_not_cut_the_handshake_short() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "x", 2).id(5).expiry_s(1));
        w.advance_s(10);
        assert_eq!(w.publish(p, msg("t", "x", 2).id(5)), 0);
        assert_eq!(w.release(p, 5), 0);
        assert_eq!(w.take(s), ["q2#1 t=x"]);
    });
}

//= mqtt5:2.2.1-4
//= mqtt5:4.3.2-1
//= mqtt5:4.3.3-1
//= mqtt311:2.3.1-1
//= mqtt311:2.3.1-4
//= mqtt311:2.3.1-5
#[test]
fn every_delivery_has_an_unused_handle() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        for n in 0..4 {
            w.publish(p, msg("t", &n.to_string(), 1 + n % 2));
        }
        assert_eq!(w.take(s), ["q1#1 t=0", "q2#2 t=1", "q1#3 t=2", "q2#4 t=3"]);
        w.ack(s, 3);
        // The handle of a QoS 2 delivery is used until its end.
        w.rec(s, 2);
        w.publish(p, msg("t", "4", 1));
        assert_eq!(w.take(s), ["release #2 0x00", "q1#5 t=4"]);
    });
}

//= mqtt5:4.3.2-3
//= mqtt5:3.3.1-1
//= mqtt311:4.3.2-1
//= mqtt311:3.3.1-1
#[test]
fn a_qos_1_delivery_is_open_until_it_is_acknowledged() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "x", 1));
        assert_eq!(w.take(s), ["q1#1 t=x"]);
        let s = again(&mut w, s);
        assert_eq!(w.take(s), ["q1#1 dup t=x"]);
        let s = again(&mut w, s);
        assert_eq!(w.take(s), ["q1#1 dup t=x"]);
        w.ack(s, 1);
        let s = again(&mut w, s);
        assert_eq!(w.take(s), NOTHING);
    });
}

//= mqtt5:4.3.3-3
//= mqtt5:4.3.3-4
//= mqtt5:4.3.3-5
//= mqtt5:4.3.3-6
//= mqtt5:4.4.0-1
//= mqtt311:4.3.3-1
//= mqtt311:4.4.0-1
#[test]
fn a_qos_2_delivery_goes_through_its_states() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "x", 2));
        assert_eq!(w.take(s), ["q2#1 t=x"]);
        // Before the receipt the message is repeated.
        let s = again(&mut w, s);
        assert_eq!(w.take(s), ["q2#1 dup t=x"]);
        w.rec(s, 1);
        assert_eq!(w.take(s), ["release #1 0x00"]);
        // After it only the release is, as often as it takes.
        for _ in 0..2 {
            let s = again(&mut w, s);
            assert_eq!(w.take(s), ["release #1 0x00"]);
        }
        let s = again(&mut w, s);
        w.rec(s, 1);
        assert_eq!(w.take(s), ["release #1 0x00", "release #1 0x00"]);
        w.ack(s, 1);
        let s = again(&mut w, s);
        assert_eq!(w.take(s), NOTHING);
    });
}

//= mqtt5:4.3.3-7
#[test]
fn a_sent_message_does_not_expire() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "one", 1).expiry_s(1));
        w.publish(p, msg("t", "two", 2).expiry_s(1));
        w.take(s);
        w.advance_s(10);
        let s = again(&mut w, s);
        assert_eq!(w.take(s), ["q1#1 dup t=one", "q2#2 dup t=two"]);
        w.rec(s, 2);
        w.ack(s, 2);
        assert_eq!(w.take(s), ["release #2 0x00"]);
        assert_eq!(w.counters().dropped_expired, 0);
    });
}

//= mqtt5:4.4.0-2
//= mqtt5:4.3.3-4
#[test]
fn a_negative_answer_ends_a_delivery() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "one", 1));
        w.publish(p, msg("t", "two", 2));
        w.take(s);
        w.settle(s, 1, Outcome::Discarded(Reason::QUOTA_EXCEEDED));
        w.settle(s, 2, Outcome::Discarded(Reason::QUOTA_EXCEEDED));
        // No release follows, and nothing is repeated.
        assert_eq!(w.take(s), NOTHING);
        assert_eq!(w.counters().dropped_discarded, 2);
        let s = again(&mut w, s);
        assert_eq!(w.take(s), NOTHING);
    });
}

//= mqtt5:GW-MQTT-13
//= mqtt5:GW-MQTT-14
#[test]
fn answers_to_unknown_deliveries_are_harmless() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.ack(s, 1);
        w.settle(s, 7, Outcome::Discarded(Reason::UNSPECIFIED));
        assert_eq!(w.take(s), NOTHING);
        w.rec(s, 7);
        assert_eq!(w.take(s), ["release #7 0x92"]);
        w.publish(p, msg("t", "x", 1));
        assert_eq!(w.take(s), ["q1#1 t=x"]);
        assert_eq!(w.counters().dropped_discarded, 0);
    });
}

//= mqtt5:4.3.3-5
//= mqtt311:4.3.3-1
#[test]
fn answers_out_of_turn_settle_nothing() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "one", 1));
        w.publish(p, msg("t", "two", 2));
        w.take(s);
        // A receipt of QoS 1, and an end of QoS 2 before its release.
        w.rec(s, 1);
        w.ack(s, 2);
        assert_eq!(w.take(s), NOTHING);
        let s = again(&mut w, s);
        assert_eq!(w.take(s), ["q1#1 dup t=one", "q2#2 dup t=two"]);
    });
}

//= mqtt5:4.3.3-4
#[test]
fn a_session_without_expiry_finishes_its_qos_2_deliveries_too() {
    everywhere(|layout| {
        let (mut w, p, _) = pair(layout);
        let v = w.connect(id("v"));
        w.subscribe(v, vec![sub("t", 2)]);
        w.publish(p, msg("t", "x", 2));
        assert_eq!(w.take(v), ["q2#1 t=x"]);
        w.rec(v, 1);
        w.rec(v, 1);
        assert_eq!(w.take(v), ["release #1 0x00", "release #1 0x00"]);
        w.ack(v, 1);
        w.rec(v, 1);
        assert_eq!(w.take(v), ["release #1 0x92"]);
    });
}

/// A handle that nobody settles does not stand in the way of 70 000 others.
//= mqtt5:2.2.1-4
//= mqtt5:4.3.2-1
//= mqtt311:2.3.1-4
#[test]
fn handles_go_round_an_unsettled_one() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "stuck", 1));
        assert_eq!(w.take(s), ["q1#1 t=stuck"]);
        let mut expected = 2;
        for n in 0..70_000 {
            w.publish(p, msg("t", "x", 1));
            let handle = w.take_delivery(s).handle;
            assert_eq!(handle, expected, "{n}");
            w.ack(s, handle);
            expected = if handle == u16::MAX { 2 } else { handle + 1 };
        }
        let s = again(&mut w, s);
        assert_eq!(w.take(s), ["q1#1 dup t=stuck"]);
        w.ack(s, 1);
        let s = again(&mut w, s);
        assert_eq!(w.take(s), NOTHING);
    });
}

/// Many unsettled handles at once, found and settled in any order after they wrapped.
//= mqtt5:2.2.1-4
#[test]
fn handles_wrap_over_several_unsettled_ones() {
    let (mut w, p, s) = pair(crate::world::ONE);
    for _ in 0..3 {
        w.publish(p, msg("t", "stuck", 2));
    }
    assert_eq!(w.take(s).len(), 3);
    w.rec(s, 2);
    w.ack(s, 2);
    w.take(s);
    for _ in 0..65_532 {
        w.publish(p, msg("t", "x", 1));
        let handle = w.take_delivery(s).handle;
        w.ack(s, handle);
    }
    for expected in [2, 4, 5] {
        w.publish(p, msg("t", "x", 1));
        assert_eq!(w.take_delivery(s).handle, expected);
    }
    for handle in [4, 1, 5, 3, 2] {
        w.settle(s, handle, Outcome::Discarded(Reason::UNSPECIFIED));
    }
    assert_eq!(w.counters().dropped_discarded, 5);
    let s = again(&mut w, s);
    assert_eq!(w.take(s), NOTHING);
}
