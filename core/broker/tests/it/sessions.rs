//! Sessions: their beginning, their end, and who holds them.

use core_model::{DisconnectCause, Expiry, Reason};

use crate::words::{id, msg, sub};
use crate::world::{NOTHING, World, everywhere};

//= mqtt5:3.1.2-6
//= mqtt5:3.2.2-3
//= mqtt311:3.1.2-4
//= mqtt311:3.2.2-3
#[test]
fn a_first_connect_makes_a_session() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").keep());
        assert!(!a.present);
        assert_eq!(w.counters().sessions, 1);
        assert_eq!(w.counters().clients_connected, 1);
    });
}

//= mqtt5:3.1.2-5
//= mqtt5:3.1.2-23
//= mqtt5:3.1.4-4
//= mqtt5:3.2.2-3
//= mqtt5:4.5.0-1
//= mqtt311:3.1.2-4
//= mqtt311:3.1.2-5
//= mqtt311:3.1.4-3
//= mqtt311:3.2.2-2
//= mqtt311:4.5.0-1
#[test]
fn a_kept_session_is_resumed_with_subscriptions_and_messages() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").keep());
        w.subscribe(a, vec![sub("t", 2)]);
        w.lose(a);
        let p = w.connect(id("p"));
        for qos in 0..3 {
            w.publish(p, msg("t", &format!("m{qos}"), qos));
        }
        let a = w.connect(id("a").keep());
        assert!(a.present);
        assert_eq!(w.take(a), ["q1#1 t=m1", "q2#2 t=m2"]);
        w.publish(p, msg("t", "live", 0));
        assert_eq!(w.take(a), ["q0 t=live"]);
    });
}

//= mqtt5:3.1.2-4
//= mqtt5:3.2.2-2
//= mqtt5:3.1.4-4
//= mqtt311:3.1.2-6
//= mqtt311:3.1.4-3
//= mqtt311:3.2.2-1
#[test]
fn a_clean_start_discards_the_session() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").keep());
        w.subscribe(a, vec![sub("t", 1)]);
        w.lose(a);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "queued", 1)), 0);
        let a = w.connect(id("a").expiry(Expiry::Never));
        assert!(!a.present);
        assert_eq!(w.publish(p, msg("t", "after", 1)), 0x10);
        assert_eq!(w.take(a), NOTHING);
        assert_eq!(w.counters().sessions, 2);
        assert_eq!(w.counters().subscriptions, 0);
    });
}

//= mqtt5:4.1.0-2
//= mqtt5:3.1.2-23
#[test]
fn a_session_ends_when_its_expiry_has_passed_after_the_link() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").resume().expiry_s(10));
        w.subscribe(a, vec![sub("t", 1)]);
        // The clock starts when the link closes.
        w.advance_s(60);
        w.lose(a);
        w.advance_ms(9_999);
        let a = w.connect(id("a").resume().expiry_s(10));
        assert!(a.present);
        w.lose(a);
        w.advance_ms(10_000);
        assert_eq!(w.counters().sessions, 0);
        assert_eq!(w.counters().sessions_expired, 1);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x10);
        assert!(!w.connect(id("a").resume().expiry_s(10)).present);
    });
}

//= mqtt5:3.1.2-23
//= mqtt5:4.1.0-2
//= mqtt311:3.1.2-6
#[test]
fn a_session_without_expiry_ends_with_its_link() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a"));
        w.subscribe(a, vec![sub("t", 1)]);
        w.lose(a);
        assert_eq!(w.counters().sessions, 0);
        assert_eq!(w.counters().subscriptions, 0);
        assert!(!w.connect(id("a").resume()).present);
    });
}

//= mqtt5:4.1.0-1
//= mqtt311:4.1.0-1
//= mqtt311:4.1.0-2
#[test]
fn a_session_lives_as_long_as_its_link() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a"));
        let b = w.connect(id("b").resume().expiry_s(1));
        w.subscribe(a, vec![sub("t", 1)]);
        w.subscribe(b, vec![sub("t", 1)]);
        w.advance_s(100_000);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0);
        assert_eq!(w.take(a), ["q1#1 t=x"]);
        assert_eq!(w.take(b), ["q1#1 t=x"]);
    });
}

#[test]
fn a_session_without_end_stays() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").keep());
        assert_eq!(a.expiry, Expiry::Never);
        w.lose(a);
        w.advance_s(10_000_000_000);
        assert!(w.connect(id("a").keep()).present);
    });
}

#[test]
fn a_long_expiry_is_lowered_and_told() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).session_expiry_max_s = 100
        });
        let a = w.connect(id("a").keep());
        assert_eq!(a.expiry, Expiry::After(100));
        assert_eq!(w.connect(id("b").expiry_s(100)).expiry, Expiry::After(100));
        assert_eq!(w.connect(id("c").expiry_s(101)).expiry, Expiry::After(100));
        assert_eq!(w.connect(id("d").expiry_s(99)).expiry, Expiry::After(99));
        w.part(a, DisconnectCause::Farewell, Some(Expiry::Never));
        w.advance_s(100);
        assert!(!w.connect(id("a").keep()).present);
    });
}

//= mqtt5:3.1.2-23
#[test]
fn a_farewell_can_change_the_expiry() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").resume().expiry_s(10));
        w.part(a, DisconnectCause::Farewell, Some(Expiry::After(100)));
        w.advance_s(99);
        let a = w.connect(id("a").resume().expiry_s(10));
        assert!(a.present);
        w.part(a, DisconnectCause::Farewell, Some(Expiry::WithLink));
        assert_eq!(w.counters().sessions, 0);
        assert!(!w.connect(id("a").resume()).present);
    });
}

/// Nothing of such a session was kept, so it cannot last all of a sudden.
//= mqtt5:GW-MQTT-19
#[test]
fn a_farewell_cannot_prolong_a_session_without_expiry() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a"));
        w.part(a, DisconnectCause::Farewell, Some(Expiry::Never));
        assert_eq!(w.counters().sessions, 0);
    });
}

//= mqtt5:3.1.4-3
//= mqtt311:3.1.4-2
#[test]
fn a_second_link_takes_the_session_over() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let old = w.connect(id("a").keep());
        w.subscribe(old, vec![sub("t", 1)]);
        let new = w.connect(id("a").keep());
        assert!(new.present);
        assert_eq!(w.take(old), ["kicked 0x8E"]);
        assert_eq!(w.counters().clients_connected, 1);
        // What the old link still says does not touch the new one.
        w.begin_unsubscribe(old, &["t"]);
        w.lose(old);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0);
        assert_eq!(w.take(new), ["q1#1 t=x"]);
        assert_eq!(w.take(old), NOTHING);
    });
}

//= mqtt5:3.1.4-3
//= mqtt5:3.1.2-4
//= mqtt311:3.1.4-2
#[test]
fn a_take_over_of_a_session_without_expiry_starts_anew() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let old = w.connect(id("a"));
        w.subscribe(old, vec![sub("t", 1)]);
        let new = w.connect(id("a").resume());
        assert!(!new.present);
        assert_eq!(w.take(old), ["kicked 0x8E"]);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x10);
        assert_eq!(w.counters().sessions, 2);
    });
}

//= mqtt5:3.1.3-6
//= mqtt5:3.1.3-7
//= mqtt5:3.2.2-16
//= mqtt311:3.1.3-6
#[test]
fn an_empty_client_id_is_replaced_by_a_unique_one() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let mut ids = Vec::new();
        for connecting in [id(""), id("").keep(), id("")] {
            let client = w.dial(connecting);
            let (client, connected) = w.connected(client);
            assert!(!client.present);
            let assigned = connected.assigned_client_id.expect("an identifier was assigned");
            assert!(!ids.contains(&assigned));
            w.subscribe(client, vec![sub(&assigned, 0)]);
            ids.push(assigned);
        }
        // The assigned identifier is the session's from then on.
        let again = w.connect(id(&ids[1]).keep());
        assert!(again.present);
        let p = w.connect(id("p"));
        w.publish(p, msg(&ids[1], "x", 0));
        assert_eq!(w.take(again), [format!("q0 {}=x", ids[1])]);
    });
}

//= mqtt5:3.1.3-5
//= mqtt311:3.1.3-5
#[test]
fn the_client_ids_that_must_be_accepted_are() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        for client_id in
            ["0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ", "z"]
        {
            let client = w.dial(id(client_id));
            assert_eq!(w.connected(client).1.assigned_client_id, None);
        }
    });
}

#[test]
fn a_client_id_has_a_greatest_length() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.client_id_bytes_max = 30);
        w.connect(id(&"i".repeat(30)));
        let long = w.dial(id(&"i".repeat(31)));
        assert_eq!(w.take(long), ["refused 0x85"]);
        assert_eq!(w.counters().connects_refused, 1);
    });
}

//= mqtt5:3.1.3-2
//= mqtt311:3.1.3-2
#[test]
fn the_client_id_names_the_session_within_its_gateway() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").keep());
        let other = w.connect(id("a").keep().gateway(1));
        let upper = w.connect(id("A").keep());
        assert!(!a.present && !other.present && !upper.present);
        assert_eq!(w.take(a), NOTHING);
        w.subscribe(a, vec![sub("t", 1)]);
        w.lose(a);
        w.lose(other);
        let other = w.connect(id("a").keep().gateway(1));
        assert!(other.present);
        let p = w.connect(id("p"));
        w.publish(p, msg("t", "x", 1));
        assert_eq!(w.take(other), NOTHING);
        let a = w.connect(id("a").keep());
        assert_eq!(w.take(a), ["q1#1 t=x"]);
    });
}

#[test]
fn sessions_have_a_greatest_number() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.sessions_max = 2);
        let ids: Vec<String> = ["a", "b", "c"].map(|prefix| w.id_on(0, prefix)).into();
        let a = w.connect(id(&ids[0]).keep());
        w.connect(id(&ids[1]));
        let c = w.dial(id(&ids[2]));
        assert_eq!(w.take(c), ["refused 0x97"]);
        // Who has a session is let in, and an ended one makes room.
        let a_again = w.connect(id(&ids[0]).keep());
        assert_eq!(w.take(a), ["kicked 0x8E"]);
        w.part(a_again, DisconnectCause::Farewell, Some(Expiry::WithLink));
        w.connect(id(&ids[2]));
    });
}

#[test]
fn a_kicked_session_lives_on_without_its_link() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").keep().will(msg("w", "gone", 0).will(0)));
        let watcher = w.connect(id("watcher"));
        w.subscribe(watcher, vec![sub("w", 0)]);
        assert!(w.kick("a", Reason::ADMINISTRATIVE_ACTION));
        assert_eq!(w.take(a), ["kicked 0x98"]);
        assert_eq!(w.take(watcher), ["q0 w=gone"]);
        assert_eq!(w.counters().clients_connected, 1);
        assert!(!w.kick("nobody", Reason::ADMINISTRATIVE_ACTION));
        assert!(w.connect(id("a").keep()).present);
    });
}

//= mqtt311:3.1.2-7
#[test]
fn retained_messages_outlive_the_session_that_published_them() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a"));
        w.publish(a, msg("t", "kept", 1).retain());
        w.disconnect(a);
        assert_eq!(w.counters().sessions, 0);
        let b = w.connect(id("b"));
        w.subscribe(b, vec![sub("t", 0)]);
        assert_eq!(w.take(b), ["q0 retain t=kept"]);
    });
}

/// Every reconnect leaves a deadline behind only as long as there is something to look at.
#[test]
fn reconnects_do_not_pile_up_deadlines() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        for _ in 0..20 {
            let a = w.connect(id("a").resume().expiry_s(1000));
            w.advance_s(1);
            w.lose(a);
        }
        w.connect(id("a").resume().expiry_s(1000));
        // The first of them comes due and finds that nothing is left to wait for.
        w.advance_s(1000 - 19 + 1);
        assert_eq!(w.next_deadline(), None);
    });
}
