//! Subscribing, replacing and unsubscribing.

use core_model::{Event, Reason, Ticket};

use crate::words::{Wanted, id, msg, sub};
use crate::world::{NOTHING, World, everywhere};

//= mqtt5:3.8.4-1
//= mqtt5:3.8.4-2
//= mqtt5:3.8.4-5
//= mqtt5:3.8.4-6
//= mqtt5:3.8.4-7
//= mqtt5:3.9.3-1
//= mqtt5:GW-MQTT-16
//= mqtt311:3.8.4-1
//= mqtt311:3.8.4-2
//= mqtt311:3.8.4-4
//= mqtt311:3.8.4-5
//= mqtt311:3.9.3-1
#[test]
fn several_filters_get_one_answer_in_their_order() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        let refused = || Wanted(Err(Reason::WILDCARDS_NOT_SUPPORTED));
        let codes = w.subscribe(
            s,
            vec![
                sub("a", 2),
                sub("a/#/b", 1),
                sub("b", 0),
                refused(),
                sub("$share/g/c", 1),
                sub("$share//c", 1),
                sub("d", 1),
            ],
        );
        assert_eq!(codes, [2, 0x8F, 0, 0xA2, 1, 0x8F, 1]);
        // `subscribe` took the one answer; there is no second.
        assert_eq!(w.take(s), NOTHING);
        for topic in ["a", "b", "c", "d", "a/x/b"] {
            w.publish(p, msg(topic, "x", 0));
        }
        let mut seen = w.take(s);
        seen.sort();
        assert_eq!(seen, ["q0 a=x", "q0 b=x", "q0 c=x", "q0 d=x"]);
    });
}

//= mqtt5:3.8.4-2
//= mqtt311:3.8.4-2
#[test]
fn answers_carry_the_tickets_of_their_questions() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s"));
        let tickets: Vec<Ticket> =
            (0..5).map(|n| w.begin_subscribe(s, None, vec![sub(&format!("t{n}"), 0)])).collect();
        w.run();
        let answered: Vec<Ticket> = w
            .take_seen(s)
            .iter()
            .map(|seen| match &seen.event {
                Event::Subscribed { ticket, reasons } => {
                    assert_eq!(reasons, &[Reason::SUCCESS]);
                    *ticket
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(answered, tickets);
    });
}

/// After the answer every later publish on any shard reaches the subscription.
//= mqtt5:3.8.4-1
//= mqtt5:4.5.0-1
#[test]
fn a_publish_after_the_answer_reaches_the_subscriber() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let publishers: Vec<_> = (0..4)
            .map(|shard| {
                let client_id = w.id_on(shard, &format!("p{shard}-"));
                w.connect(id(&client_id))
            })
            .collect();
        let s = w.connect(id("s"));
        w.begin_subscribe(s, None, vec![sub("t/+", 0), sub("$share/g/t/#", 0)]);
        for _ in 0..100 {
            w.turn();
            let seen = w.take(s);
            if seen.is_empty() {
                continue;
            }
            assert!(seen[0].starts_with("subscribed"), "{seen:?}");
            for p in &publishers {
                w.begin_publish(*p, &msg("t/x", "x", 0));
            }
            w.run();
            assert_eq!(w.take(s), ["q0 t/x=x"; 8]);
            return;
        }
        panic!("no answer");
    });
}

//= mqtt5:3.8.4-3
//= mqtt311:3.8.4-3
#[test]
fn the_same_filter_again_replaces_the_subscription() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe_as(s, Some(4), vec![sub("t", 2).rap()]);
        w.publish(p, msg("t", "1", 2).retain());
        assert_eq!(w.subscribe(s, vec![sub("t", 1).no_retained()]), [1]);
        w.publish(p, msg("t", "2", 2).retain());
        w.subscribe_as(s, Some(5), vec![sub("t", 0).no_retained()]);
        w.publish(p, msg("t", "3", 2).retain());
        assert_eq!(w.take(s), ["q2#1 retain t=1 [4]", "q1#2 t=2", "q0 t=3 [5]"]);
        assert_eq!(w.counters().subscriptions, 1);
        w.subscribe(s, vec![sub("t", 0).no_retained().no_local()]);
        w.publish(s, msg("t", "own", 0));
        assert_eq!(w.take(s), NOTHING);
        // One unsubscribe ends it, however often it was replaced.
        assert_eq!(w.unsubscribe(s, &["t"]), [0]);
        assert_eq!(w.publish(p, msg("t", "4", 1)), 0x10);
        assert_eq!(w.take(s), NOTHING);
    });
}

//= mqtt5:3.8.4-4
//= mqtt311:3.8.4-3
#[test]
fn replacing_a_subscription_loses_no_message() {
    everywhere(|layout| {
        for gap in 0..6 {
            let mut w = World::new(layout);
            let (p, s) = (w.connect(id("p")), w.connect(id("s")));
            w.subscribe(s, vec![sub("t", 1)]);
            w.begin_publish(p, &msg("t", "1", 1));
            w.turns(gap);
            w.begin_subscribe(s, None, vec![sub("t", 1)]);
            w.begin_publish(p, &msg("t", "2", 1));
            w.turns(gap);
            w.begin_publish(p, &msg("t", "3", 1));
            w.run();
            let seen: Vec<_> = w.take(s).into_iter().filter(|text| text.starts_with('q')).collect();
            assert_eq!(seen, ["q1#1 t=1", "q1#2 t=2", "q1#3 t=3"], "{gap}");
        }
    });
}

//= mqtt5:3.10.4-1
//= mqtt5:3.10.4-4
//= mqtt5:3.10.4-5
//= mqtt5:3.10.4-6
//= mqtt5:3.11.3-1
//= mqtt311:3.10.4-1
//= mqtt311:3.10.4-4
//= mqtt311:3.10.4-5
//= mqtt311:3.10.4-6
#[test]
fn an_unsubscribe_compares_character_by_character() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe(s, vec![sub("a/+", 0), sub("a/b", 0), sub("$share/g/a/b", 0), sub("A", 0)]);
        let codes = w.unsubscribe(s, &["a/#", "a/c", "a/b/", "a", "#", "a/b", "nothing", "a/b"]);
        assert_eq!(codes, [0x11, 0x11, 0x11, 0x11, 0x11, 0, 0x11, 0x11]);
        assert_eq!(w.take(s), NOTHING);
        w.publish(p, msg("a/b", "x", 0));
        w.publish(p, msg("A", "x", 0));
        // Left are the wildcard and the shared one.
        assert_eq!(w.take(s), ["q0 a/b=x", "q0 a/b=x", "q0 A=x"]);
        assert_eq!(w.unsubscribe(s, &["$share/g/a/b"]), [0]);
        w.publish(p, msg("a/b", "x", 0));
        assert_eq!(w.take(s), ["q0 a/b=x"]);
    });
}

//= mqtt5:3.10.4-1
//= mqtt311:3.10.4-1
#[test]
fn a_resumed_session_can_unsubscribe_what_it_had() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s").keep());
        w.subscribe(s, vec![sub("a", 1), sub("$share/g/a", 1)]);
        w.lose(s);
        let s = w.connect(id("s").keep());
        assert_eq!(w.unsubscribe(s, &["a", "$share/g/a"]), [0, 0]);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("a", "x", 1)), 0x10);
        assert_eq!(w.counters().subscriptions, 0);
        assert_eq!(w.counters().subscriptions_shared, 0);
    });
}

//= mqtt5:3.10.4-2
//= mqtt5:3.10.4-3
//= mqtt311:3.10.4-2
//= mqtt311:3.10.4-3
#[test]
fn an_unsubscribe_stops_new_messages_and_lets_begun_ones_finish() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s").keep()));
        w.subscribe(s, vec![sub("t", 2)]);
        w.publish(p, msg("t", "one", 1));
        w.publish(p, msg("t", "two", 2));
        assert_eq!(w.take(s), ["q1#1 t=one", "q2#2 t=two"]);
        assert_eq!(w.unsubscribe(s, &["t"]), [0]);
        assert_eq!(w.publish(p, msg("t", "late", 1)), 0x10);
        w.lose(s);
        let s = w.connect(id("s").keep());
        assert_eq!(w.take(s), ["q1#1 dup t=one", "q2#2 dup t=two"]);
        w.ack(s, 1);
        w.rec(s, 2);
        assert_eq!(w.take(s), ["release #2 0x00"]);
        w.ack(s, 2);
        w.lose(s);
        let s = w.connect(id("s").keep());
        assert_eq!(w.take(s), NOTHING);
    });
}

//= mqtt5:4.7.1-1
//= mqtt5:4.7.1-2
//= mqtt5:4.7.3-1
//= mqtt5:4.7.3-2
//= mqtt5:4.8.2-1
//= mqtt5:4.8.2-2
//= mqtt5:GW-MQTT-16
//= mqtt311:4.7.1-2
//= mqtt311:4.7.1-3
//= mqtt311:4.7.3-1
//= mqtt311:4.7.3-2
#[test]
fn a_bad_filter_is_refused_for_itself() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s"));
        for filter in [
            "",
            "a\0b",
            "sport/tennis#",
            "sport/tennis/#/ranking",
            "sport+",
            "$share/g",
            "$share//a",
            "$share/g+/a",
            "$share/g/",
            "$share/g/a#",
        ] {
            assert_eq!(w.subscribe(s, vec![sub(filter, 1), sub("ok", 1)]), [0x8F, 1], "{filter}");
        }
        assert_eq!(w.counters().subscriptions, 1);
    });
}

//= mqtt5:4.7.3-3
//= mqtt311:4.7.3-3
#[test]
fn the_longest_topic_is_65535_bytes() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        let longest = "t".repeat(65_535);
        assert_eq!(w.subscribe(s, vec![sub(&longest, 1)]), [1]);
        assert_eq!(w.subscribe(s, vec![sub(&"t".repeat(65_536), 1)]), [0x8F]);
        assert_eq!(w.publish(p, msg(&longest, "x", 1)), 0);
        assert_eq!(w.take_delivery(s).message.topic(), longest);
    });
}

#[test]
fn subscriptions_of_a_session_have_a_greatest_number() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).subscriptions_max = 2
        });
        let (s, t) = (w.connect(id("s")), w.connect(id("t")));
        let wanted = || vec![sub("a", 1), sub("$share/g/b", 1), sub("c", 1)];
        assert_eq!(w.subscribe(s, wanted()), [1, 1, 0x97]);
        // Replacing is no growth, removing makes room, and others have room of their own.
        assert_eq!(w.subscribe(s, vec![sub("a", 2), sub("c", 0)]), [2, 0x97]);
        w.unsubscribe(s, &["$share/g/b"]);
        assert_eq!(w.subscribe(s, vec![sub("c", 0)]), [0]);
        assert_eq!(w.subscribe(t, wanted()), [1, 1, 0x97]);
    });
}

#[test]
fn topics_and_filters_have_a_greatest_number_of_levels() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| {
            std::sync::Arc::make_mut(&mut s.limits.session).topic_levels_max = 4
        });
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        let codes = w.subscribe(
            s,
            vec![
                sub("a/b/c/d", 1),
                sub("a/b/c/d/e", 1),
                sub("$share/g/1/2/3/4", 1),
                sub("////", 0),
            ],
        );
        assert_eq!(codes, [1, 0x8F, 1, 0x8F]);
        assert_eq!(w.publish(p, msg("a/b/c/d", "x", 1)), 0);
        assert_eq!(w.publish(p, msg("a/b/c/d/e", "x", 1)), 0x90);
        assert_eq!(w.publish(p, msg("////", "x", 2).retain()), 0x90);
        assert_eq!(w.publish(p, msg("///", "x", 1)), 0x10);
        assert_eq!(w.take(s), ["q1#1 a/b/c/d=x"]);
        assert_eq!(w.counters().retained, 0);
        assert_eq!(w.counters().publishes_refused, 2);
    });
}

/// Volatile and durable subscribers of one filter come and go on one shard.
#[test]
fn interest_follows_the_last_subscriber() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let ids: Vec<String> = ["a", "b"].map(|prefix| w.id_on(2, prefix)).into();
        let publisher = w.id_on(1, "p");
        let p = w.connect(id(&publisher));
        let a = w.connect(id(&ids[0]).keep());
        let b = w.connect(id(&ids[1]));
        w.subscribe(a, vec![sub("t/#", 1)]);
        w.subscribe(b, vec![sub("t/#", 1)]);
        w.publish(p, msg("t/1", "x", 1));
        assert_eq!(w.take(a).len() + w.take(b).len(), 2);
        w.unsubscribe(a, &["t/#"]);
        assert_eq!(w.publish(p, msg("t/1", "x", 1)), 0);
        assert_eq!(w.take(b), ["q1#2 t/1=x"]);
        w.lose(b);
        assert_eq!(w.publish(p, msg("t/1", "x", 1)), 0x10);
        assert_eq!(w.take(a), NOTHING);
    });
}
