//! Retained messages: what is kept, and who gets it when.

use core_model::{Event, Filter, Operation, Read, Ticket};

use crate::words::{id, msg, sub};
use crate::world::{Client, NOTHING, World, everywhere};

//= mqtt5:3.3.1-5
//= mqtt5:3.3.1-9
//= mqtt5:3.8.4-8
//= mqtt311:3.3.1-5
//= mqtt311:3.3.1-6
//= mqtt311:3.3.1-7
//= mqtt311:3.3.1-8
#[test]
fn the_last_retained_message_of_each_topic_waits_for_subscribers() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        w.publish(p, msg("a/1", "old", 2).retain());
        w.publish(p, msg("a/1", "new", 2).retain());
        w.publish(p, msg("a/2", "old", 1).retain());
        w.publish(p, msg("a/2", "zero", 0).retain());
        w.publish(p, msg("b", "b", 1).retain());
        assert_eq!(w.counters().retained, 3);
        for qos in 0..3 {
            let s = w.connect(id(&format!("s{qos}")));
            assert_eq!(w.subscribe(s, vec![sub("a/1", qos)]), [qos]);
            let delivery = w.take_delivery(s);
            assert_eq!((delivery.qos as u8, delivery.retain, delivery.dup), (qos, true, false));
            assert_eq!(delivery.message.payload(), b"new");
        }
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("a/+", 1)]);
        let mut seen = w.take(s);
        seen.sort();
        assert_eq!(seen, ["q0 retain a/2=zero", "q1#1 retain a/1=new"]);
    });
}

//= mqtt5:3.3.1-6
//= mqtt5:3.3.1-7
//= mqtt311:3.3.1-10
//= mqtt311:3.3.1-11
#[test]
fn an_empty_retained_message_removes_and_is_delivered() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, live) = (w.connect(id("p")), w.connect(id("live")));
        w.subscribe(live, vec![sub("t", 1)]);
        w.publish(p, msg("t", "x", 1).retain());
        assert_eq!(w.publish(p, msg("t", "", 1).retain()), 0);
        assert_eq!(w.take(live), ["q1#1 t=x", "q1#2 t="]);
        assert_eq!(w.counters().retained, 0);
        assert_eq!(w.counters().retained_bytes, 0);
        // Also where there was nothing.
        w.publish(p, msg("t", "", 0).retain());
        assert_eq!(w.counters().retained, 0);
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("#", 1)]);
        assert_eq!(w.take(s), NOTHING);
    });
}

//= mqtt5:3.3.1-8
//= mqtt311:3.3.1-12
#[test]
fn a_plain_message_leaves_the_retained_one_alone() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        w.publish(p, msg("t", "kept", 1).retain());
        w.publish(p, msg("t", "plain", 1));
        w.publish(p, msg("t", "", 1));
        w.publish(p, msg("other", "plain", 1));
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("#", 0)]);
        assert_eq!(w.take(s), ["q0 retain t=kept"]);
    });
}

//= mqtt5:3.3.1-9
//= mqtt5:3.3.1-10
//= mqtt5:3.3.1-11
//= mqtt5:3.8.4-4
//= mqtt311:3.8.4-3
#[test]
fn retain_handling_decides_what_a_subscribe_brings() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        w.publish(p, msg("t", "x", 0).retain());
        let x = ["q0 retain t=x"];
        let s = w.connect(id("s").keep());
        w.subscribe(s, vec![sub("t", 1).no_retained()]);
        assert_eq!(w.take(s), NOTHING);
        w.subscribe(s, vec![sub("t", 1).if_new()]);
        assert_eq!(w.take(s), NOTHING);
        for _ in 0..2 {
            w.subscribe(s, vec![sub("t", 1)]);
            assert_eq!(w.take(s), x);
        }
        // Another filter is new although its topics are known.
        w.subscribe(s, vec![sub("+", 1).if_new()]);
        assert_eq!(w.take(s), x);
        // A resumed session still has the subscription.
        w.lose(s);
        let s = w.connect(id("s").keep());
        w.subscribe(s, vec![sub("t", 1).if_new()]);
        assert_eq!(w.take(s), NOTHING);
        // After an unsubscribe it is new again.
        w.unsubscribe(s, &["t"]);
        w.subscribe(s, vec![sub("t", 1).if_new()]);
        assert_eq!(w.take(s), x);
    });
}

//= mqtt5:3.3.1-9
//= mqtt5:3.3.4-5
#[test]
fn retained_messages_come_for_each_filter_with_its_identifier() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        w.publish(p, msg("a/b", "x", 1).retain());
        let s = w.connect(id("s"));
        w.subscribe_as(s, Some(3), vec![sub("a/b", 1)]);
        assert_eq!(w.take(s), ["q1#1 retain a/b=x [3]"]);
        w.subscribe_as(s, Some(9), vec![sub("a/+", 0), sub("a/#", 1).rap()]);
        let mut seen = w.take(s);
        seen.sort();
        assert_eq!(seen, ["q0 retain a/b=x [9]", "q1#2 retain a/b=x [9]"]);
    });
}

//= mqtt5:4.7.2-1
//= mqtt311:4.7.2-1
#[test]
fn retained_messages_follow_the_rule_for_dollar_topics() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        for topic in ["$SYS/a", "a", "a/b", "/", "a-"] {
            w.publish(p, msg(topic, "x", 0).retain());
        }
        for (filter, topics) in [
            ("#", vec!["a", "a/b", "/", "a-"]),
            ("+", vec!["a", "a-"]),
            ("+/#", vec!["a", "a/b", "/", "a-"]),
            ("a/#", vec!["a", "a/b"]),
            ("+/+", vec!["a/b", "/"]),
            ("$SYS/#", vec!["$SYS/a"]),
            ("+/a", vec![]),
        ] {
            let s = w.connect(id("s"));
            w.subscribe(s, vec![sub(filter, 0)]);
            let mut seen = w.take(s);
            let mut expected: Vec<_> =
                topics.iter().map(|topic| format!("q0 retain {topic}=x")).collect();
            seen.sort();
            expected.sort();
            assert_eq!(seen, expected, "{filter}");
        }
    });
}

//= mqtt5:3.3.2-5
//= mqtt5:3.3.2-6
#[test]
fn a_retained_message_expires() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        w.publish(p, msg("t", "x", 1).retain().expiry_s(10));
        w.publish(p, msg("u", "y", 1).retain().expiry_s(11));
        let deadline = w.now.plus_seconds(10);
        w.advance_ms(9_999);
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("t", 1)]);
        let delivery = w.take_delivery(s);
        let stored = delivery.message.stored().unwrap();
        assert_eq!(stored.expires_at(), Some(deadline));
        assert_eq!(stored.view().remaining_expiry_s(w.now), Some(1));
        w.advance_ms(1);
        // It is removed, not only kept back.
        assert_eq!(w.counters().retained, 1);
        w.subscribe(s, vec![sub("t", 1)]);
        assert_eq!(w.take(s), NOTHING);
        w.advance_s(1);
        assert_eq!((w.counters().retained, w.counters().retained_bytes), (0, 0));
    });
}

//= mqtt5:3.3.1-9
//= mqtt5:4.9.0-2
#[test]
fn many_retained_messages_come_as_fast_as_the_client_takes_them() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        for n in 0..700 {
            w.publish(p, msg(&format!("r/{n:03}"), "x", 1).retain());
        }
        let s = w.connect(id("s").receive_max(10));
        assert_eq!(w.subscribe(s, vec![sub("r/#", 1)]), [1]);
        let mut topics = Vec::new();
        loop {
            let seen = w.take_seen(s);
            if seen.is_empty() {
                break;
            }
            assert!(seen.len() <= 10);
            for seen in seen {
                let Event::Deliver(delivery) = seen.event else { panic!("no delivery") };
                assert!(delivery.retain);
                topics.push(delivery.message.topic().to_owned());
                w.ack(s, delivery.handle);
            }
            // The queue of the session holds a page at most, not all of them.
            assert!(w.counters().queued_messages <= 128, "{}", w.counters().queued_messages);
        }
        topics.sort();
        let expected: Vec<_> = (0..700).map(|n| format!("r/{n:03}")).collect();
        assert_eq!(topics, expected);
    });
}

#[test]
fn retained_messages_wait_for_a_client_that_went_away() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.work_per_turn_max = 64);
        let p = w.connect(id("p"));
        for n in 0..300 {
            w.publish(p, msg(&format!("r/{n:03}"), "x", 0).retain());
        }
        let s = w.connect(id("s").keep());
        w.begin_subscribe(s, None, vec![sub("r/#", 0)]);
        w.turns(1);
        let mut count = w.take(s).iter().filter(|text| text.contains("retain")).count();
        assert!(count < 300);
        w.lose(s);
        w.take(s);
        let s = w.connect(id("s").keep());
        assert!(s.present);
        count += w.take(s).len();
        // What was on its way as QoS 0 when the link broke may be lost, one page at most.
        assert!((300 - 64..=300).contains(&count), "{count}");
    });
}

/// A live copy is never followed by an older retained one.
//= mqtt5:3.3.1-9
//= mqtt5:4.6.0-6
#[test]
fn a_retained_copy_does_not_follow_a_newer_live_one() {
    everywhere(|layout| {
        for turns in 0..8 {
            let mut w = World::new(layout);
            let (p, s) = (w.connect(id("p")), w.connect(id("s")));
            w.publish(p, msg("t", "1", 1).retain());
            w.begin_subscribe(s, None, vec![sub("+", 1)]);
            w.turns(turns);
            w.begin_publish(p, &msg("t", "2", 1).retain());
            w.run();
            let seen: Vec<_> = w.take(s).into_iter().filter(|text| text.starts_with('q')).collect();
            let texts: Vec<_> = seen.iter().map(String::as_str).collect();
            let allowed: [&[&str]; 3] =
                [&["q1#1 t=2"], &["q1#1 retain t=2"], &["q1#1 retain t=1", "q1#2 t=2"]];
            assert!(allowed.contains(&texts.as_slice()), "{turns}: {texts:?}");
        }
    });
}

/// The standard is silent about retained copies and No Local; they are sent.
#[test]
fn no_local_does_not_hold_back_retained_copies() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a"));
        w.publish(a, msg("t", "own", 1).retain());
        w.subscribe(a, vec![sub("t", 1).no_local()]);
        assert_eq!(w.take(a), ["q1#1 retain t=own"]);
    });
}

#[test]
fn retained_messages_have_a_greatest_number() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.retained_messages_max = 2);
        let (p, live) = (w.connect(id("p")), w.connect(id("live")));
        let topics: Vec<String> = ["a", "b", "c"].map(|prefix| w.topic_on(1, prefix)).into();
        w.subscribe(live, vec![sub(&topics[2], 0)]);
        w.publish(p, msg(&topics[0], "x", 1).retain());
        w.publish(p, msg(&topics[1], "x", 1).retain());
        assert_eq!(w.publish(p, msg(&topics[2], "x", 1).retain()), 0x97);
        assert_eq!(w.publish(p, msg(&topics[2], "x", 2).retain()), 0x97);
        assert_eq!(w.counters().retained, 2);
        // Replacing is no growth, and removing makes room.
        assert_eq!(w.publish(p, msg(&topics[0], "y", 1).retain()), 0x10);
        w.publish(p, msg(&topics[1], "", 1).retain());
        assert_eq!(w.publish(p, msg(&topics[2], "z", 1).retain()), 0);
        let seen = w.take(live);
        assert_eq!(seen.last().unwrap(), &format!("q0 {}=z", topics[2]));
    });
}

#[test]
fn retained_messages_have_a_greatest_size() {
    everywhere(|layout| {
        let size =
            msg("t0", &"x".repeat(1000), 1).view(core_model::Timestamp::ZERO).detach().size();
        for (room, answer) in [(size, 0x10), (size - 1, 0x97)] {
            let mut w = World::with(layout, |s| s.limits.retained_bytes_max = room);
            let p = w.connect(id("p"));
            assert_eq!(w.publish(p, msg("t0", &"x".repeat(1000), 1).retain()), answer);
            assert_eq!(w.counters().retained_bytes as usize, if answer == 0x10 { size } else { 0 });
        }
    });
}

fn read(w: &mut World, client: Client, filter: &str, limit: u32, cursor: Option<&str>) -> String {
    let read = Read {
        ticket: Ticket(77),
        filter: Filter::parse(filter).unwrap(),
        limit,
        cursor: cursor.map(Into::into),
    };
    w.apply(client, Operation::Read(Box::new(read)));
    w.run();
    let seen = w.take_seen(client);
    assert_eq!(seen.len(), 1);
    let Event::Retained(page) = &seen[0].event else { panic!("no page") };
    assert_eq!(page.ticket, Ticket(77));
    crate::words::text_of(&seen[0].event)
}

#[test]
fn a_read_goes_through_all_shards_in_the_order_of_topics() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let p = w.connect(id("p"));
        for n in 1..=7 {
            w.publish(p, msg(&format!("r/{n}"), &n.to_string(), 1).retain());
        }
        w.publish(p, msg("s", "other", 1).retain());
        let a = w.connect(id("a"));
        assert_eq!(read(&mut w, a, "r/+", 3, None), "retained r/1=1,r/2=2,r/3=3 r/3");
        assert_eq!(read(&mut w, a, "r/+", 3, Some("r/3")), "retained r/4=4,r/5=5,r/6=6 r/6");
        assert_eq!(read(&mut w, a, "r/+", 3, Some("r/6")), "retained r/7=7 end");
        assert_eq!(read(&mut w, a, "r/+", 3, Some("r/7")), "retained  end");
        assert_eq!(read(&mut w, a, "r/#", 7, None).split(' ').next_back(), Some("end"));
        assert_eq!(read(&mut w, a, "r/#", 6, None).split(' ').next_back(), Some("r/6"));
        assert_eq!(read(&mut w, a, "r/5", 10, None), "retained r/5=5 end");
        assert_eq!(read(&mut w, a, "nothing", 10, None), "retained  end");
    });
}

//= mqtt5:3.3.2-5
#[test]
fn a_read_passes_over_what_has_expired() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, a) = (w.connect(id("p")), w.connect(id("a")));
        w.publish(p, msg("r/1", "x", 1).retain().expiry_s(5));
        w.publish(p, msg("r/2", "x", 1).retain().expiry_s(6));
        w.now = w.now.plus_seconds(5);
        assert_eq!(read(&mut w, a, "#", 9, None), "retained r/2=x end");
    });
}
