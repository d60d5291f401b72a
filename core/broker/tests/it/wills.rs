//! When a will is published, and when it is not.

use core_model::{
    DisconnectCause, Expiry, Message, Properties, Reason, Timestamp, UserProperties, Will,
};

use crate::words::{Connecting, id, msg, sub};
use crate::world::{Client, Layout, NOTHING, World, everywhere};

/// A world with somebody who hears all wills.
fn watched(layout: Layout) -> (World, Client) {
    let mut w = World::new(layout);
    let watcher = w.connect(id("watcher"));
    w.subscribe(watcher, vec![sub("will/#", 2).rap()]);
    (w, watcher)
}

fn mortal(expiry_s: u32, delay_s: u32) -> Connecting {
    id("a").resume().expiry_s(expiry_s).will(msg("will/a", "gone", 1).will(delay_s))
}

const GONE: [&str; 1] = ["q1#1 will/a=gone"];

//= mqtt5:3.1.2-7
//= mqtt5:3.1.2-8
//= mqtt311:3.1.2-8
#[test]
fn a_lost_link_publishes_the_will() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let a = w.connect(mortal(100, 0));
        assert_eq!(w.take(watcher), NOTHING);
        w.lose(a);
        assert_eq!(w.take(watcher), GONE);
        w.advance_s(200);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

//= mqtt5:3.14.4-3
//= mqtt5:3.1.2-10
//= mqtt311:3.14.4-3
//= mqtt311:3.1.2-10
#[test]
fn a_farewell_drops_the_will() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        for (expiry_s, delay_s) in [(0, 0), (100, 0), (100, 10), (0, 10)] {
            let a = w.connect(mortal(expiry_s, delay_s));
            w.disconnect(a);
            w.advance_s(200);
            assert_eq!(w.take(watcher), NOTHING);
        }
    });
}

//= mqtt5:3.1.2-8
#[test]
fn a_farewell_with_will_publishes_it() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let a = w.connect(mortal(0, 0));
        w.part(a, DisconnectCause::FarewellWithWill, None);
        assert_eq!(w.take(watcher), GONE);
    });
}

//= mqtt5:3.1.2-8
#[test]
fn a_will_waits_for_its_delay() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let a = w.connect(mortal(100, 10));
        w.lose(a);
        w.advance_ms(9_999);
        assert_eq!(w.take(watcher), NOTHING);
        w.advance_ms(1);
        assert_eq!(w.take(watcher), GONE);
        w.advance_s(200);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

//= mqtt5:3.1.2-8
#[test]
fn a_will_does_not_wait_beyond_the_session() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let a = w.connect(mortal(5, 10));
        w.lose(a);
        w.advance_ms(4_999);
        assert_eq!(w.take(watcher), NOTHING);
        w.advance_ms(1);
        assert_eq!(w.take(watcher), GONE);
        assert_eq!(w.counters().sessions, 1);
        // Without expiry the session ends at once, and the will goes whatever its delay.
        let a = w.connect(mortal(0, 10));
        w.lose(a);
        assert_eq!(w.take(watcher), ["q1#2 will/a=gone"]);
        w.advance_s(20);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

//= mqtt5:3.1.3-9
//= mqtt5:3.1.2-8
#[test]
fn coming_back_inside_the_delay_cancels_the_will() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let a = w.connect(mortal(100, 10));
        w.lose(a);
        w.advance_ms(9_999);
        let a = w.connect(id("a").resume().expiry_s(100));
        assert!(a.present);
        w.advance_s(50);
        assert_eq!(w.take(watcher), NOTHING);
        // The new link has no will.
        w.lose(a);
        w.advance_s(500);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

//= mqtt5:3.1.2-8
//= mqtt5:3.1.2-4
#[test]
fn a_clean_start_inside_the_delay_publishes_the_will() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let a = w.connect(mortal(100, 10));
        w.lose(a);
        w.advance_s(3);
        let a = w.connect(id("a").expiry_s(100));
        assert!(!a.present);
        assert_eq!(w.take(watcher), GONE);
        w.advance_s(50);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

//= mqtt5:3.1.4-3
//= mqtt5:3.1.2-8
//= mqtt5:3.1.3-9
//= mqtt311:3.1.2-8
#[test]
fn a_take_over_is_no_farewell() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        // Without delay the will goes when the old link closes.
        w.connect(mortal(100, 0));
        w.connect(mortal(100, 10));
        assert_eq!(w.take(watcher), GONE);
        // With a delay the session goes on and the will does not.
        w.connect(mortal(100, 10));
        w.advance_s(50);
        assert_eq!(w.take(watcher), NOTHING);
        // A clean start ends the session, and its will goes before the delay.
        let mut clean = mortal(100, 10);
        clean.0.clean_start = true;
        w.connect(clean);
        assert_eq!(w.take(watcher), ["q1#2 will/a=gone"]);
        w.advance_s(50);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

//= mqtt5:3.1.2-10
//= mqtt311:3.1.2-10
//= mqtt311:3.1.2-12
#[test]
fn a_published_will_is_gone() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let a = w.connect(mortal(100, 0));
        w.lose(a);
        assert_eq!(w.take(watcher), GONE);
        let a = w.connect(id("a").resume().expiry_s(100));
        assert!(a.present);
        w.lose(a);
        w.advance_s(200);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

//= mqtt5:3.1.2-14
//= mqtt5:3.1.2-15
//= mqtt311:3.1.2-16
//= mqtt311:3.1.2-17
#[test]
fn a_will_is_retained_when_it_says_so() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let plain = id("a").will(msg("will/plain", "p", 0).will(0));
        let kept = id("b").will(msg("will/kept", "k", 2).retain().will(0));
        let (plain, kept) = (w.connect(plain), w.connect(kept));
        w.lose(plain);
        w.lose(kept);
        assert_eq!(w.take(watcher), ["q0 will/plain=p", "q2#1 retain will/kept=k"]);
        let late = w.connect(id("late"));
        w.subscribe(late, vec![sub("will/#", 2)]);
        assert_eq!(w.take(late), ["q2#1 retain will/kept=k"]);
        assert_eq!(w.counters().retained, 1);
    });
}

//= mqtt5:3.1.3-10
#[test]
fn a_will_carries_its_properties_in_order() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let mut user = UserProperties::default();
        for (name, value) in [("b", "1"), ("a", "2"), ("b", "0")] {
            user.push(name, value);
        }
        let message = Message {
            properties: Properties {
                payload_format_utf8: Some(true),
                content_type: Some("text/plain"),
                response_topic: Some("answer/here"),
                correlation_data: Some(b"\x00c"),
                user,
            },
            ..Message::new("will/a", b"gone")
        };
        let will = Will { message: message.detach(), delay_s: 0, expiry_s: None };
        let a = w.connect(id("a").will(will));
        w.lose(a);
        let delivery = w.take_delivery(watcher);
        let stored = delivery.message.stored().unwrap();
        assert_eq!(stored.view().properties, message.properties);
    });
}

/// The expiry of a will starts when it is published, not when it was left.
#[test]
fn a_will_expires_from_its_publishing_on() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let will = msg("will/a", "gone", 1).expiry_s(30).will(10);
        let a = w.connect(id("a").resume().expiry_s(500).will(will));
        w.advance_s(100);
        w.lose(a);
        w.advance_s(10);
        let delivery = w.take_delivery(watcher);
        let expires_at = delivery.message.stored().unwrap().expires_at();
        assert_eq!(expires_at, Some(w.now.plus_seconds(30)));
        assert_ne!(expires_at, Some(Timestamp::ZERO.plus_seconds(30)));
    });
}

#[test]
fn a_will_can_be_replaced_and_removed() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let a = w.connect(mortal(0, 0));
        w.update_will(a, Some(msg("will/b", "other", 0).will(0)));
        w.lose(a);
        assert_eq!(w.take(watcher), ["q0 will/b=other"]);
        let a = w.connect(mortal(0, 0));
        w.update_will(a, None);
        w.lose(a);
        assert_eq!(w.take(watcher), NOTHING);
    });
}

/// No Local compares client identifiers, so it holds for a client's own will as well.
//= mqtt5:3.8.3-3
#[test]
fn an_own_will_obeys_no_local() {
    everywhere(|layout| {
        let (mut w, _) = watched(layout);
        let a = w.connect(mortal(100, 0));
        w.subscribe(a, vec![sub("will/a", 1).no_local(), sub("will/+", 0)]);
        w.unsubscribe(a, &["will/+"]);
        w.lose(a);
        assert_eq!(w.take(a), NOTHING);
        let a = w.connect(mortal(100, 0));
        assert_eq!(w.take(a), NOTHING);
        // Without it the will waits in the own queue.
        w.subscribe(a, vec![sub("will/a", 1)]);
        w.lose(a);
        let a = w.connect(mortal(100, 0));
        assert_eq!(w.take(a), GONE);
    });
}

#[test]
fn every_end_of_a_link_that_is_no_farewell_publishes_the_will() {
    everywhere(|layout| {
        let (mut w, watcher) = watched(layout);
        let reasons = [
            Reason::KEEP_ALIVE_TIMEOUT,
            Reason::PROTOCOL_ERROR,
            Reason::SERVER_SHUTTING_DOWN,
            Reason::SUCCESS,
        ];
        for (n, reason) in reasons.into_iter().enumerate() {
            let a = w.connect(mortal(0, 0));
            w.part(a, DisconnectCause::Lost(reason), Some(Expiry::WithLink));
            assert_eq!(w.take(watcher), [format!("q1#{} will/a=gone", n + 1)]);
        }
    });
}
