//! What subscribers get of a published message.

use std::borrow::Cow;

use core_model::{
    Event, LayoutId, Message, Operation, Properties, Publish, PublishMessage, QoS, Ticket,
    UserProperties,
};

use crate::words::{id, msg, sub};
use crate::world::{NOTHING, World, everywhere};

//= mqtt5:3.3.4-1
//= mqtt5:4.3.1-1
//= mqtt5:4.3.2-4
//= mqtt5:4.3.3-8
//= mqtt311:3.3.4-1
//= mqtt311:4.3.1-1
#[test]
fn a_publish_is_answered_by_its_qos() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe(s, vec![sub("t", 2)]);
        // `publish` demands no answer for QoS 0 and one for the others.
        for qos in 0..3 {
            assert_eq!(w.publish(p, msg("t", "x", qos)), 0);
        }
        assert_eq!(w.take(s), ["q0 t=x", "q1#1 t=x", "q2#2 t=x"]);
        assert_eq!(w.take(p), NOTHING);
    });
}

#[test]
fn a_publish_without_subscribers_says_so() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0x10);
        assert_eq!(w.publish(p, msg("t", "x", 2)), 0x10);
        // A session that is not there counts as a subscriber.
        let s = w.connect(id("s").keep());
        w.subscribe(s, vec![sub("t", 1)]);
        w.lose(s);
        assert_eq!(w.publish(p, msg("t", "x", 1)), 0);
    });
}

//= mqtt5:3.8.4-8
//= mqtt5:3.8.4-7
//= mqtt311:3.8.4-6
#[test]
fn a_delivery_has_the_lower_qos() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        for granted in 0..3 {
            let s = w.connect(id(&format!("s{granted}")));
            assert_eq!(w.subscribe(s, vec![sub("t", granted)]), [granted]);
            for published in 0..3 {
                w.publish(p, msg("t", "x", published));
                let delivery = w.take_delivery(s);
                assert_eq!(delivery.qos as u8, published.min(granted));
                assert!(!delivery.dup);
            }
        }
    });
}

//= mqtt5:3.3.2-3
//= mqtt5:4.7.1-1
//= mqtt5:4.7.1-2
//= mqtt5:4.7.2-1
//= mqtt5:4.7.3-4
//= mqtt311:3.3.2-3
//= mqtt311:4.7.1-2
//= mqtt311:4.7.1-3
//= mqtt311:4.7.2-1
//= mqtt311:4.7.3-4
#[test]
fn topics_reach_the_filters_that_match() {
    let table: &[(&str, &[&str], &[&str])] = &[
        (
            "sport/tennis/player1/#",
            &["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/a/w"],
            &["sport/tennis/player10"],
        ),
        ("#", &["a", "/", "/finance"], &["$SYS/a", "$SYS"]),
        ("+/+", &["/finance", "a/b", "a/"], &["a", "$SYS/b", "a/b/c"]),
        ("/+", &["/finance"], &["finance"]),
        ("+", &["finance"], &["/finance", "$SYS"]),
        ("sport/+", &["sport/", "sport/x"], &["sport"]),
        ("$SYS/#", &["$SYS", "$SYS/a/b"], &["sys/a"]),
        ("+/monitor/Clients", &["x/monitor/Clients"], &["$SYS/monitor/Clients"]),
        ("sport/#", &["sport"], &["sports", "Sport"]),
        ("a//b", &["a//b"], &["a/b"]),
        ("\u{feff}a", &["\u{feff}a"], &["a"]),
        ("/", &["/"], &["//", "a"]),
    ];
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        for (n, (filter, matching, others)) in table.iter().enumerate() {
            let s = w.connect(id(&format!("s{n}")));
            assert_eq!(w.subscribe(s, vec![sub(filter, 1)]), [1]);
            for topic in *matching {
                assert_eq!(w.publish(p, msg(topic, "x", 0)), 0);
                assert_eq!(w.take(s), [format!("q0 {topic}=x")], "{filter}");
            }
            for topic in *others {
                w.publish(p, msg(topic, "x", 0));
                assert_eq!(w.take(s), NOTHING, "{filter} {topic}");
            }
            w.disconnect(s);
        }
    });
}

//= mqtt5:3.3.1-3
//= mqtt5:3.3.1-2
//= mqtt5:4.3.1-1
//= mqtt5:4.3.2-2
//= mqtt5:4.3.3-2
//= mqtt311:3.3.1-2
//= mqtt311:3.3.1-3
#[test]
fn a_first_delivery_is_no_repetition_whatever_the_publisher_repeats() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe(s, vec![sub("t", 2)]);
        // The publisher's own repetition flag does not even enter the core.
        w.publish(p, msg("t", "x", 1));
        w.publish(p, msg("t", "x", 1));
        w.publish(p, msg("t", "y", 2).id(9));
        w.publish(p, msg("t", "y", 2).id(9));
        assert_eq!(w.take(s), ["q1#1 t=x", "q1#2 t=x", "q2#3 t=y"]);
    });
}

//= mqtt5:3.3.1-12
//= mqtt5:3.3.1-13
//= mqtt311:3.3.1-9
#[test]
fn a_live_message_keeps_its_retain_flag_only_where_wanted() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, plain, rap) = (w.connect(id("p")), w.connect(id("plain")), w.connect(id("rap")));
        w.subscribe(plain, vec![sub("t", 1)]);
        w.subscribe(rap, vec![sub("t", 1).rap()]);
        w.publish(p, msg("t", "r", 1).retain());
        w.publish(p, msg("t", "n", 1));
        w.publish(p, msg("t", "", 0).retain());
        assert_eq!(w.take(plain), ["q1#1 t=r", "q1#2 t=n", "q0 t="]);
        assert_eq!(w.take(rap), ["q1#1 retain t=r", "q1#2 t=n", "q0 retain t="]);
    });
}

fn rich<'a>() -> Message<'a> {
    let mut user = UserProperties::default();
    for (name, value) in [("z", "1"), ("a", ""), ("z", "0"), ("", "e")] {
        user.push(name, value);
    }
    Message {
        qos: QoS::AtLeastOnce,
        properties: Properties {
            payload_format_utf8: Some(true),
            content_type: Some("application/json; charset=\u{fc}"),
            response_topic: Some("answer/42"),
            correlation_data: Some(b"\x00\xff\x01"),
            user,
        },
        wire: Some((LayoutId(3), b"as it came")),
        ..Message::new("t", b"{}")
    }
}

//= mqtt5:3.3.2-4
//= mqtt5:3.3.2-15
//= mqtt5:3.3.2-16
//= mqtt5:3.3.2-17
//= mqtt5:3.3.2-18
//= mqtt5:3.3.2-20
#[test]
fn properties_are_forwarded_unchanged() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, live) = (w.connect(id("p")), w.connect(id("live")));
        let queued = w.connect(id("queued").keep());
        w.subscribe(live, vec![sub("t", 1)]);
        w.subscribe(queued, vec![sub("t", 1)]);
        w.lose(queued);
        for retain in [true, false] {
            let message = Message { retain, ..rich() };
            let message = PublishMessage::View(message);
            w.apply(p, Operation::Publish(Publish { ticket: Ticket(0), id: 0, message }));
            w.run();
        }
        let queued = w.connect(id("queued").keep());
        let late = w.connect(id("late"));
        w.subscribe(late, vec![sub("t", 1)]);
        for (client, count) in [(live, 2), (queued, 2), (late, 1)] {
            let seen = w.take_seen(client);
            assert_eq!(seen.len(), count);
            for seen in seen {
                let Event::Deliver(delivery) = seen.event else { panic!("no delivery") };
                let stored = delivery.message.stored().unwrap();
                let view = stored.view();
                assert_eq!(view.properties, rich().properties);
                assert_eq!(view.wire, rich().wire);
                assert_eq!(view.payload, rich().payload);
            }
        }
    });
}

//= mqtt5:3.3.2-4
#[test]
fn absent_properties_stay_absent() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe(s, vec![sub("t", 0)]);
        w.publish(p, msg("t", "", 0));
        let delivery = w.take_delivery(s);
        let stored = delivery.message.stored().unwrap();
        assert!(stored.view().properties.is_empty());
        assert_eq!(stored.expires_at(), None);
        assert_eq!(stored.payload(), b"");
    });
}

//= mqtt5:3.3.4-2
//= mqtt5:3.3.4-3
//= mqtt5:3.3.4-4
//= mqtt5:3.3.4-5
//= mqtt311:3.3.5-1
#[test]
fn overlapping_subscriptions_bring_one_copy_with_all_their_identifiers() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe_as(s, Some(1), vec![sub("a/#", 1)]);
        w.subscribe_as(s, Some(268_435_455), vec![sub("a/+", 2)]);
        w.subscribe(s, vec![sub("a/b", 0)]);
        w.subscribe_as(s, Some(7), vec![sub("+/b", 0), sub("other", 2)]);
        w.publish(p, msg("a/b", "x", 2));
        assert_eq!(w.take(s), ["q2#1 a/b=x [1, 7, 268435455]"]);
        // A lower QoS of the publisher still wins.
        w.publish(p, msg("a/b", "x", 0));
        w.publish(p, msg("a/c/d", "x", 2));
        w.publish(p, msg("other", "x", 1));
        assert_eq!(
            w.take(s),
            ["q0 a/b=x [1, 7, 268435455]", "q1#2 a/c/d=x [1]", "q1#3 other=x [7]"]
        );
    });
}

//= mqtt5:3.3.4-2
//= mqtt5:3.3.1-13
#[test]
fn overlapping_subscriptions_keep_the_retain_flag_if_one_wants_it() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s")));
        w.subscribe(s, vec![sub("a/#", 1), sub("a/+", 0).rap()]);
        w.publish(p, msg("a/b", "x", 1).retain());
        assert_eq!(w.take(s), ["q1#1 retain a/b=x"]);
    });
}

//= mqtt5:3.3.4-3
#[test]
fn identifiers_wait_with_queued_messages() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s").keep()));
        w.subscribe_as(s, Some(5), vec![sub("t", 1)]);
        w.subscribe_as(s, Some(6), vec![sub("+", 1)]);
        w.lose(s);
        w.publish(p, msg("t", "x", 1));
        let s = w.connect(id("s").keep());
        // They are those of the moment at which the message matched.
        assert_eq!(w.take(s), ["q1#1 t=x [5, 6]"]);
        w.subscribe(s, vec![sub("t", 1)]);
        w.publish(p, msg("t", "y", 1));
        assert_eq!(w.take(s), ["q1#2 t=y [6]"]);
    });
}

//= mqtt5:3.8.3-3
#[test]
fn no_local_keeps_own_messages_away() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (a, b) = (w.connect(id("a").keep()), w.connect(id("b")));
        w.subscribe(a, vec![sub("t", 1).no_local()]);
        assert_eq!(w.publish(a, msg("t", "own", 1)), 0x10);
        w.publish(b, msg("t", "other", 1));
        assert_eq!(w.take(a), ["q1#1 t=other"]);
        // It compares client identifiers, so it still holds on the next link.
        w.ack(a, 1);
        w.lose(a);
        let a = w.connect(id("a").keep());
        w.publish(a, msg("t", "own", 1));
        assert_eq!(w.take(a), NOTHING);
        // A client of the same name behind another gateway is somebody else.
        let namesake = w.connect(id("a").gateway(1));
        w.publish(namesake, msg("t", "namesake", 1));
        assert_eq!(w.take(a), ["q1#2 t=namesake"]);
    });
}

//= mqtt5:3.8.3-3
#[test]
fn no_local_is_a_matter_of_each_subscription() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (a, b) = (w.connect(id("a")), w.connect(id("b")));
        w.subscribe_as(a, Some(1), vec![sub("t", 2).no_local()]);
        w.subscribe_as(a, Some(2), vec![sub("+", 1)]);
        w.publish(a, msg("t", "own", 2));
        w.publish(b, msg("t", "other", 2));
        assert_eq!(w.take(a), ["q1#1 t=own [2]", "q2#2 t=other [1, 2]"]);
        w.unsubscribe(a, &["+"]);
        w.publish(a, msg("t", "own", 2));
        assert_eq!(w.take(a), NOTHING);
    });
}

#[test]
fn a_client_gets_its_own_messages_otherwise() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a"));
        w.subscribe(a, vec![sub("t", 1)]);
        assert_eq!(w.publish(a, msg("t", "own", 1)), 0);
        assert_eq!(w.take(a), ["q1#1 t=own"]);
    });
}

//= mqtt5:3.3.4-2
#[test]
fn a_session_gets_one_copy_although_many_have_the_filter() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        let clients: Vec<_> = (0..200).map(|n| w.connect(id(&format!("c{n}")))).collect();
        for client in &clients {
            w.subscribe(*client, vec![sub("t", 1), sub("#", 0)]);
        }
        w.publish(p, msg("t", "x", 1));
        for client in &clients {
            assert_eq!(w.take(*client), ["q1#1 t=x"]);
        }
        for client in &clients[..150] {
            w.unsubscribe(*client, &["t", "#"]);
        }
        w.publish(p, msg("t", "y", 1));
        for client in &clients[..150] {
            assert_eq!(w.take(*client), NOTHING);
        }
        for client in &clients[150..] {
            assert_eq!(w.take(*client), ["q1#2 t=y"]);
        }
    });
}

/// Large payloads leave the read buffer at once, so that outputs can refer to them.
#[test]
fn a_large_payload_is_delivered_from_a_buffer_of_its_own() {
    let mut w = World::new(crate::world::ONE);
    let (p, s) = (w.connect(id("p")), w.connect(id("s")));
    w.subscribe(s, vec![sub("t", 0)]);
    for (len, stored) in [(4095, false), (4096, true)] {
        w.publish(p, msg("t", &"x".repeat(len), 0));
        let seen = w.take_seen(s);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].stored, stored, "{len}");
    }
}

/// A publish of the server itself passes no gate and has no origin.
#[test]
fn the_server_publishes_to_everybody() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (a, b) = (w.connect(id("a")), w.connect(id("b")));
        w.subscribe(a, vec![sub("$SYS/#", 1).no_local()]);
        w.subscribe(b, vec![sub("$SYS/uptime", 0), sub("#", 0)]);
        let now = w.now;
        let (shard, sink) = w.shard(0);
        let message = Message { retain: true, ..Message::new("$SYS/uptime", b"1") };
        shard.publish(now, &message, sink);
        w.run();
        assert_eq!(w.take(a), ["q0 $SYS/uptime=1"]);
        assert_eq!(w.take(b), ["q0 $SYS/uptime=1"]);
        let late = w.connect(id("late"));
        w.subscribe(late, vec![sub("$SYS/+", 0)]);
        let delivery = w.take_delivery(late);
        assert!(
            delivery.retain
                && matches!(delivery.subscription_ids, Cow::Owned(ref ids) if ids.is_empty())
        );
    });
}
