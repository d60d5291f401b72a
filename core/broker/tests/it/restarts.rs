//! What is left when the process ends without a word and starts again.

use core_model::{DisconnectCause, Expiry};

use crate::words::{id, msg, sub};
use crate::world::{HOME, NOTHING, World, everywhere};

//= mqtt5:3.1.2-23
//= mqtt5:4.1.0-1
//= mqtt311:4.1.0-1
#[test]
fn a_durable_session_comes_back_with_all_that_belongs_to_it() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s").keep().receive_max(3)));
        w.subscribe_as(s, Some(7), vec![sub("t", 2)]);
        for n in 1..=5 {
            w.publish(p, msg("t", &n.to_string(), 1 + n % 2));
        }
        w.rec(s, 3);
        w.ack(s, 2);
        assert_eq!(w.take(s).len(), 5);
        w.restart();
        assert_eq!(w.counters().subscriptions, 1);
        let p = w.connect(id("p"));
        w.publish(p, msg("t", "6", 1));
        let s = w.connect(id("s").keep());
        assert!(s.present);
        assert_eq!(
            w.take(s),
            [
                "release #3 0x00",
                "q2#1 dup t=1 [7]",
                "q1#4 dup t=4 [7]",
                // The handle of the QoS 2 delivery has to be durable first.
                "q1#6 t=6 [7]",
                "q2#5 t=5 [7]",
            ]
        );
        assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
    });
}

#[test]
fn a_session_without_expiry_does_not_come_back() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("t", 1)]);
        w.restart();
        assert_eq!(w.counters().sessions, 0);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x10);
    });
}

/// A session that was durable once and then ended stays ended.
//= mqtt5:4.1.0-2
#[test]
fn an_ended_session_does_not_come_back() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        // By expiry, by clean start, by a farewell that lowers it, by a link without expiry.
        let a = w.connect(id("a").resume().expiry_s(5));
        let b = w.connect(id("b").keep());
        let c = w.connect(id("c").keep());
        let d = w.connect(id("d").keep());
        for client in [a, b, c, d] {
            w.subscribe(client, vec![sub("t", 1)]);
        }
        w.lose(a);
        w.advance_s(5);
        w.connect(id("b"));
        w.part(c, DisconnectCause::Farewell, Some(Expiry::WithLink));
        w.lose(d);
        let d = w.connect(id("d").resume());
        assert!(d.present);
        w.disconnect(d);
        assert_eq!(w.counters().sessions, 1);
        w.restart();
        assert_eq!(w.counters().sessions, 0);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x10);
    });
}

/// A link that is open without expiry at the crash counts as closed, and its session as ended.
#[test]
fn a_session_that_gave_up_its_expiry_does_not_come_back() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s").keep());
        w.subscribe(s, vec![sub("t", 1)]);
        w.lose(s);
        assert!(w.connect(id("s").resume()).present);
        w.restart();
        assert_eq!(w.counters().sessions, 0);
    });
}

//= mqtt5:4.1.0-2
#[test]
fn an_expiry_goes_on_over_a_restart() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (a, b) = (w.connect(id("a").expiry_s(100)), w.connect(id("b").expiry_s(100)));
        w.lose(a);
        w.advance_s(60);
        w.restart();
        w.lose(b);
        w.advance_s(40);
        // One was without a link for 100 seconds; the other's link counts as closed at the start.
        assert!(!w.connect(id("a").resume().expiry_s(100)).present);
        assert!(w.connect(id("b").resume().expiry_s(100)).present);
    });
}

//= mqtt5:4.3.3-10
//= mqtt311:4.3.3-2
#[test]
fn received_numbers_come_back_and_refused_ones_do_not() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.retained_messages_max = 0);
        let (p, s) = (w.connect(id("p").keep()), w.connect(id("s").keep()));
        w.subscribe(s, vec![sub("t", 2)]);
        w.publish(p, msg("t", "taken", 2).id(5));
        w.publish(p, msg("t", "released", 2).id(6));
        assert_eq!(w.release(p, 6), 0);
        assert_eq!(w.publish(p, msg("u", "refused", 2).id(7).retain()), 0x97);
        w.restart();
        let (p, s) = (w.connect(id("p").keep()), w.connect(id("s").keep()));
        w.take(s);
        w.publish(p, msg("t", "taken", 2).id(5));
        w.publish(p, msg("t", "new", 2).id(6));
        w.publish(p, msg("t", "new too", 2).id(7));
        assert_eq!(w.take(s), ["q2#3 t=new", "q2#4 t=new too"]);
    });
}

//= mqtt311:3.1.2-7
#[test]
fn retained_messages_come_back() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        w.publish(p, msg("a", "1", 1).retain());
        w.publish(p, msg("a", "2", 1).retain());
        w.publish(p, msg("b", "1", 1).retain());
        w.publish(p, msg("b", "", 1).retain());
        w.publish(p, msg("c", "1", 1).retain().expiry_s(10));
        w.restart();
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("#", 0)]);
        let mut seen = w.take(s);
        seen.sort();
        assert_eq!(seen, ["q0 retain a=2", "q0 retain c=1"]);
        w.advance_s(10);
        assert_eq!(w.counters().retained, 1);
    });
}

//= mqtt5:3.1.2-8
#[test]
fn a_will_comes_back_and_is_published() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let watcher = w.connect(id("watcher").keep());
        w.subscribe(watcher, vec![sub("w/#", 1)]);
        let will = |n: u8, delay_s| msg(&format!("w/{n}"), "gone", 1).will(delay_s);
        // One is connected, one waits for its delay, one said goodbye, one is published already.
        w.connect(id("a").expiry_s(100).will(will(1, 0)));
        let b = w.connect(id("b").expiry_s(100).will(will(2, 10)));
        let c = w.connect(id("c").expiry_s(100).will(will(3, 0)));
        let d = w.connect(id("d").expiry_s(100).will(will(4, 0)));
        w.lose(b);
        w.disconnect(c);
        w.lose(d);
        assert_eq!(w.take(watcher), ["q1#1 w/4=gone"]);
        w.ack(watcher, 1);
        w.advance_s(4);
        w.restart();
        let watcher = w.connect(id("watcher").keep());
        assert_eq!(w.take(watcher), ["q1#2 w/1=gone"]);
        w.advance_ms(5_999);
        assert_eq!(w.take(watcher), NOTHING);
        w.advance_ms(1);
        assert_eq!(w.take(watcher), ["q1#3 w/2=gone"]);
        w.advance_s(500);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

/// A will that is due at the restart waits until all shards know of all groups again.
//= mqtt5:3.1.2-8
#[test]
fn a_will_at_the_restart_reaches_groups_wherever_they_live() {
    for home in 0..4 {
        for at in 0..4 {
            let mut w = World::new(HOME);
            let group = w.group_on(home, "w");
            let (m, a) = (w.id_on(at, "m"), w.id_on((at + 1) % 4, "a"));
            let member = w.connect(id(&m).keep());
            w.subscribe(member, vec![sub(&group, 1)]);
            w.connect(id(&a).expiry_s(100).will(msg("w", "gone", 1).will(0)));
            w.restart();
            let member = w.connect(id(&m).keep());
            assert_eq!(w.take(member), ["q1#1 w=gone"], "home {home}, member {at}");
        }
    }
}

#[test]
fn a_group_comes_back_with_what_it_held() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, m) = (w.connect(id("p")), w.connect(id("m").keep()));
        w.subscribe(m, vec![sub("$share/g/t", 1)]);
        w.lose(m);
        for n in 0..3 {
            w.publish(p, msg("t", &n.to_string(), 1));
        }
        w.restart();
        let m = w.connect(id("m").keep());
        assert_eq!(w.take(m), ["q1#1 t=0", "q1#2 t=1", "q1#3 t=2"]);
        w.ack(m, 1);
        // What a member has is not the group's any more.
        w.restart();
        let m = w.connect(id("m").keep());
        assert_eq!(w.take(m), ["q1#2 dup t=1", "q1#3 dup t=2"]);
        let p = w.connect(id("p"));
        w.publish(p, msg("t", "3", 1));
        assert_eq!(w.take(m), ["q1#4 t=3"]);
    });
}

#[test]
fn a_mountpoint_comes_back() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s").keep().mountpoint("city/%c/"));
        w.subscribe(s, vec![sub("t", 1)]);
        w.lose(s);
        w.restart();
        let p = w.connect(id("p"));
        w.publish(p, msg("city/s/t", "x", 1));
        let s = w.connect(id("s").keep().mountpoint("city/%c/"));
        assert!(s.present);
        assert_eq!(w.take(s), ["q1#1 t=x"]);
    });
}
