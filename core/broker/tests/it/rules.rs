//! Authorizer, interceptors and observers.

use std::sync::Arc;

use core_model::{DisconnectCause, Expiry, Operation, Reason, Ticket};

use crate::plugins::{Ear, Filtering, Rules, Second};
use crate::words::{id, msg, sub};
use crate::world::{Layout, NOTHING, World, everywhere};

fn ruled(layout: Layout) -> (World, Arc<Rules>) {
    let rules = Arc::new(Rules::default());
    let w = World::with(layout, |s| s.plugins.authorizer = Some(rules.clone()));
    (w, rules)
}

//= mqtt5:GW-MQTT-17
//= mqtt5:4.3.3-9
//= mqtt311:3.3.5-2
#[test]
fn a_forbidden_publish_is_refused_and_goes_nowhere() {
    everywhere(|layout| {
        let (mut w, rules) = ruled(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe(s, vec![sub("#", 2)]);
        rules.take();
        assert_eq!(w.publish(p, msg("secret", "x", 0)), 0);
        assert_eq!(w.publish(p, msg("secret", "x", 1).retain()), 0x87);
        assert_eq!(w.publish(p, msg("secret", "x", 2).id(5)), 0x87);
        assert_eq!(w.take(s), NOTHING);
        assert_eq!(w.counters().publishes_refused, 3);
        assert_eq!(w.counters().retained, 0);
        assert_eq!(
            rules.take(),
            ["p/- publish 0 secret", "p/- retain 1 secret", "p/- publish 2 secret"]
        );
        // The refused number is free for another message.
        assert_eq!(w.publish(p, msg("public", "x", 2).id(5)), 0);
        assert_eq!(w.take(s), ["q2#1 public=x"]);
    });
}

//= mqtt5:GW-MQTT-17
#[test]
fn a_forbidden_filter_is_refused_for_itself() {
    everywhere(|layout| {
        let (mut w, rules) = ruled(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.publish(p, msg("public/1", "x", 0).retain());
        rules.take();
        let wanted = vec![sub("public/+", 2), sub("secret/+", 1), sub("$share/g/secret", 1)];
        assert_eq!(w.subscribe(s, wanted), [2, 0x87, 0x87]);
        // The rules see a shared filter without its share name.
        assert_eq!(
            rules.take(),
            ["s/- subscribe 2 public/+", "s/- subscribe 1 secret/+", "s/- subscribe 1 secret"]
        );
        assert_eq!(w.counters().subscriptions, 1);
        assert_eq!(w.take(s), ["q0 retain public/1=x"]);
        assert_eq!(w.unsubscribe(s, &["secret/+"]), [0x11]);
    });
}

#[test]
fn a_forbidden_will_refuses_the_connect() {
    everywhere(|layout| {
        let (mut w, rules) = ruled(layout);
        let a = w.dial(id("a").will(msg("secret", "x", 1).retain().will(0)));
        assert_eq!(w.take(a), ["refused 0x87"]);
        assert_eq!(rules.take(), ["a/- retain 1 secret"]);
        assert_eq!(w.counters().sessions, 0);
        w.connect(id("a").will(msg("public", "x", 1).will(0)));
    });
}

#[test]
fn a_forbidden_new_will_is_not_taken() {
    everywhere(|layout| {
        let (mut w, _) = ruled(layout);
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("#", 1)]);
        let a = w.connect(id("a").will(msg("public", "old", 1).will(0)));
        w.update_will(a, Some(msg("secret", "new", 1).will(0)));
        w.lose(a);
        assert_eq!(w.take(s), ["q1#1 public=old"]);
    });
}

#[test]
fn a_forbidden_read_finds_nothing() {
    everywhere(|layout| {
        let rules = Arc::new(Rules::default());
        let mut w = World::with(layout, |s| s.plugins.authorizer = Some(rules.clone()));
        let now = w.now;
        let message =
            core_model::Message { retain: true, ..core_model::Message::new("secret", b"x") };
        let (shard, sink) = w.shard(0);
        shard.publish(now, &message, sink);
        w.run();
        assert_eq!(w.counters().retained, 1);
        let a = w.connect(id("a"));
        let read = core_model::Read {
            ticket: Ticket(1),
            filter: core_model::Filter::parse("secret").unwrap(),
            limit: 10,
            cursor: None,
        };
        w.apply(a, Operation::Read(Box::new(read)));
        w.run();
        assert_eq!(w.take(a), ["retained  end"]);
        assert_eq!(rules.take(), ["a/- subscribe 0 secret"]);
    });
}

#[test]
fn interceptors_change_and_drop_messages_in_their_order() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            s.plugins.interceptors = vec![Arc::new(Filtering), Arc::new(Second)];
        });
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe(s, vec![sub("#", 2)]);
        assert_eq!(w.publish(p, msg("plain", "x", 1)), 0);
        assert_eq!(w.publish(p, msg("change/1", "x", 2).retain()), 0);
        assert_eq!(w.publish(p, msg("drop/0", "x", 0)), 0);
        assert_eq!(w.publish(p, msg("drop/1", "x", 1).retain()), 0x99);
        assert_eq!(w.publish(p, msg("drop/2", "x", 2)), 0x99);
        assert_eq!(w.take(s), ["q1#1 plain=x", "q2#2 changed=twice"]);
        assert_eq!(w.counters().retained, 0);
        assert_eq!(w.counters().publishes_refused, 3);
    });
}

#[test]
fn interceptors_see_wills() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.plugins.interceptors = vec![Arc::new(Filtering)]);
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("#", 2)]);
        for topic in ["drop/w", "change/w", "plain/w"] {
            let a = w.connect(id("a").will(msg(topic, "gone", 1).will(0)));
            w.lose(a);
        }
        assert_eq!(w.take(s), ["q1#1 changed=changed", "q1#2 plain/w=gone"]);
        assert_eq!(w.counters().publishes_refused, 1);
    });
}

/// Rules come first: an interceptor does not even see what is forbidden.
#[test]
fn rules_are_asked_before_interceptors() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            s.plugins.authorizer = Some(Arc::new(Rules::default()));
            s.plugins.interceptors = vec![Arc::new(Filtering)];
        });
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("drop/secret", "x", 1)), 0x87);
        assert_eq!(w.publish(p, msg("drop/public", "x", 1)), 0x99);
    });
}

#[test]
fn observers_hear_of_lives_and_refusals() {
    everywhere(|layout| {
        let ear = Arc::new(Ear::default());
        let mut w = World::with(layout, |s| {
            s.plugins.observers = vec![ear.clone()];
            s.limits.client_id_bytes_max = 4;
        });
        let a = w.connect(id("a").resume().expiry_s(10));
        w.dial(id("too long"));
        assert_eq!(ear.take(), ["connected a false", "refused too long 0x85"]);
        let a2 = w.connect(id("a").resume().expiry_s(10));
        assert_eq!(ear.take(), ["disconnected a 0x8E After(10)", "connected a true"]);
        w.lose(a);
        assert_eq!(ear.take(), NOTHING);
        w.part(a2, DisconnectCause::Farewell, Some(Expiry::After(20)));
        assert_eq!(ear.take(), ["disconnected a 0x00 After(20)"]);
        w.advance_s(20);
        assert_eq!(ear.take(), ["ended a"]);
        let b = w.connect(id("b"));
        w.part(b, DisconnectCause::FarewellWithWill, None);
        let c = w.connect(id("c"));
        w.part(c, DisconnectCause::Lost(Reason::KEEP_ALIVE_TIMEOUT), None);
        assert_eq!(
            ear.take(),
            [
                "connected b false",
                "disconnected b 0x04 WithLink",
                "ended b",
                "connected c false",
                "disconnected c 0x8D WithLink",
                "ended c",
            ]
        );
        w.connect(id("d").keep());
        w.kick("d", Reason::ADMINISTRATIVE_ACTION);
        w.connect(id("d"));
        assert_eq!(
            ear.take(),
            ["connected d false", "disconnected d 0x98 Never", "ended d", "connected d false"]
        );
    });
}
