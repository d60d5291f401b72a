//! What a client gets when it comes back, and in which order.

use core_model::Outcome;

use crate::words::{Connecting, id, msg, sub};
use crate::world::{Client, Layout, NOTHING, World, everywhere};

fn pair(layout: Layout) -> (World, Client, Client) {
    let mut w = World::new(layout);
    let (p, s) = (w.connect(id("p")), w.connect(id("s").keep()));
    w.subscribe(s, vec![sub("t", 2)]);
    (w, p, s)
}

fn again(w: &mut World, s: Client, connecting: Connecting) -> Client {
    w.lose(s);
    let s = w.connect(connecting);
    assert!(s.present);
    s
}

//= mqtt5:4.4.0-1
//= mqtt5:4.6.0-1
//= mqtt5:3.3.1-1
//= mqtt311:4.4.0-1
//= mqtt311:4.6.0-1
//= mqtt311:3.3.1-1
#[test]
fn what_is_open_is_repeated_in_order_and_before_new_messages() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        for n in 1..=6 {
            w.publish(p, msg("t", &n.to_string(), 1 + n % 2));
        }
        assert_eq!(w.take(s).len(), 6);
        w.ack(s, 4);
        w.rec(s, 3);
        w.take(s);
        w.lose(s);
        w.publish(p, msg("t", "7", 1));
        w.publish(p, msg("t", "8", 2));
        let s = w.connect(id("s").keep());
        assert_eq!(
            w.take(s),
            [
                "release #3 0x00",
                "q2#1 dup t=1",
                "q1#2 dup t=2",
                "q2#5 dup t=5",
                "q1#6 dup t=6",
                "q1#7 t=7",
                "q2#8 t=8",
            ]
        );
    });
}

//= mqtt5:4.4.0-1
//= mqtt311:4.4.0-1
#[test]
fn nothing_is_repeated_at_any_other_time() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "1", 1));
        w.publish(p, msg("t", "2", 2));
        w.rec(s, 2);
        assert_eq!(w.take(s).len(), 3);
        w.advance_s(1_000_000);
        w.publish(p, msg("t", "3", 1));
        assert_eq!(w.take(s), ["q1#3 t=3"]);
    });
}

//= mqtt5:2.2.1-4
//= mqtt5:4.3.2-1
//= mqtt311:2.3.1-4
#[test]
fn handles_of_the_last_link_stay_used() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "1", 1));
        w.publish(p, msg("t", "2", 1));
        w.ack(s, 2);
        w.take(s);
        let s = again(&mut w, s, id("s").keep());
        w.publish(p, msg("t", "3", 1));
        assert_eq!(w.take(s), ["q1#1 dup t=1", "q1#3 t=3"]);
        w.ack(s, 1);
        w.ack(s, 3);
        let s = again(&mut w, s, id("s").keep());
        assert_eq!(w.take(s), NOTHING);
    });
}

//= mqtt5:4.6.0-1
//= mqtt5:3.3.4-9
//= mqtt5:4.9.0-2
#[test]
fn repetitions_obey_a_smaller_receive_maximum() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        for n in 1..=4 {
            w.publish(p, msg("t", &n.to_string(), 1 + n % 2));
        }
        w.take(s);
        w.lose(s);
        w.publish(p, msg("t", "5", 1));
        let s = w.connect(id("s").keep().receive_max(2));
        w.publish(p, msg("t", "6", 1));
        assert_eq!(w.take(s), ["q2#1 dup t=1", "q1#2 dup t=2"]);
        w.ack(s, 2);
        assert_eq!(w.take(s), ["q2#3 dup t=3"]);
        w.rec(s, 1);
        assert_eq!(w.take(s), ["release #1 0x00"]);
        w.ack(s, 1);
        assert_eq!(w.take(s), ["q1#4 dup t=4"]);
        w.ack(s, 4);
        assert_eq!(w.take(s), ["q1#5 t=5"]);
        w.ack(s, 5);
        assert_eq!(w.take(s), ["q1#6 t=6"]);
    });
}

/// A repeated release takes no place, and its end gives none back.
//= mqtt5:3.3.4-9
//= mqtt5:4.9.0-1
#[test]
fn a_repeated_release_leaves_the_quota_alone() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        for n in 1..=2 {
            w.publish(p, msg("t", &n.to_string(), 2));
            w.rec(s, n);
        }
        w.take(s);
        let s = again(&mut w, s, id("s").keep().receive_max(1));
        assert_eq!(w.take(s), ["release #1 0x00", "release #2 0x00"]);
        for n in 3..=5 {
            w.publish(p, msg("t", &n.to_string(), 1));
        }
        assert_eq!(w.take(s), ["q1#3 t=3"]);
        w.ack(s, 1);
        w.ack(s, 2);
        assert_eq!(w.take(s), NOTHING);
        w.ack(s, 3);
        assert_eq!(w.take(s), ["q1#4 t=4"]);
    });
}

//= mqtt5:3.1.2-4
//= mqtt311:3.1.2-6
#[test]
fn a_clean_start_gets_nothing_of_the_past() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        w.publish(p, msg("t", "1", 1));
        w.publish(p, msg("t", "2", 2));
        w.rec(s, 2);
        w.lose(s);
        w.publish(p, msg("t", "3", 1));
        let s = w.connect(id("s"));
        assert_eq!(w.take(s), NOTHING);
        assert_eq!((w.counters().queued_messages, w.counters().queued_bytes), (0, 0));
    });
}

//= mqtt5:4.6.0-2
//= mqtt5:4.6.0-3
//= mqtt311:4.6.0-2
//= mqtt311:4.6.0-3
#[test]
fn answers_to_publishes_come_in_their_order() {
    everywhere(|layout| {
        let (mut w, p, _) = pair(layout);
        let mut expected = Vec::new();
        for n in 0..40 {
            // Some are kept on other shards, some nobody wants.
            let topic = if n % 3 == 0 { "t" } else { "nobody" };
            let message = msg(topic, "x", 1 + n % 2);
            let message = if n % 4 == 0 { message.retain() } else { message };
            let ticket = w.begin_publish(p, &message);
            let reason = if n % 3 == 0 { 0 } else { 0x10 };
            expected.push(format!("published {} 0x{reason:02X}", ticket.0));
            if n % 5 == 0 {
                w.turn();
            }
        }
        w.run();
        assert_eq!(w.take(p), expected);
    });
}

//= mqtt5:4.6.0-4
//= mqtt311:4.6.0-4
#[test]
fn releases_come_in_the_order_of_the_receipts() {
    everywhere(|layout| {
        let (mut w, p, s) = pair(layout);
        for n in 0..4 {
            w.publish(p, msg("t", &n.to_string(), 2));
        }
        w.take(s);
        for handle in [2, 4, 1, 3] {
            w.apply(s, core_model::Operation::Settle { handle, outcome: Outcome::Received });
        }
        w.run();
        let expected = [2, 4, 1, 3].map(|handle| format!("release #{handle} 0x00"));
        assert_eq!(w.take(s), expected);
    });
}

//= mqtt5:4.6.0-5
//= mqtt5:4.6.0-6
//= mqtt311:4.6.0-5
//= mqtt311:4.6.0-6
#[test]
fn a_topic_keeps_its_order_through_links_queues_and_shards() {
    everywhere(|layout| {
        for qos in 0..3 {
            let (mut w, p, s) = pair(layout);
            let live = w.connect(id("live").receive_max(3));
            w.subscribe(live, vec![sub("+", 2)]);
            let mut kept = Vec::new();
            let mut seen = Vec::new();
            let collect = |w: &mut World, client: Client, list: &mut Vec<String>| {
                for seen in w.take_seen(client) {
                    if let core_model::Event::Deliver(d) = seen.event {
                        if !d.dup {
                            list.push(String::from_utf8_lossy(d.message.payload()).into_owned());
                        }
                        if d.handle != 0 {
                            w.rec(client, d.handle);
                            w.ack(client, d.handle);
                        }
                    }
                }
            };
            let mut s = s;
            for n in 0..60 {
                w.begin_publish(p, &msg("t", &n.to_string(), qos));
                if n % 7 == 0 {
                    w.turn();
                    collect(&mut w, live, &mut seen);
                }
                if n % 20 == 10 && qos > 0 {
                    w.lose(s);
                }
                if n % 20 == 15 && qos > 0 {
                    s = w.connect(id("s").keep().receive_max(2));
                }
            }
            for _ in 0..60 {
                w.run();
                collect(&mut w, live, &mut seen);
                collect(&mut w, s, &mut kept);
            }
            let expected: Vec<_> = (0..60).map(|n| n.to_string()).collect();
            assert_eq!(seen, expected, "live, {qos}");
            if qos > 0 {
                // The other one may have missed what its broken link swallowed, never the order.
                let mut sorted = kept.clone();
                sorted.sort_by_key(|text| text.parse::<u32>().unwrap());
                assert_eq!(kept, sorted, "kept, {qos}");
            }
        }
    });
}

#[test]
fn repeating_after_a_time_out_is_off_unless_wanted() {
    everywhere(|layout| {
        for (after_s, wants) in [(0, true), (10, false)] {
            let mut w = World::with(layout, |s| s.limits.retransmit_after_s = after_s);
            let p = w.connect(id("p"));
            let s = if wants { id("s").keep().retransmits() } else { id("s").keep() };
            let s = w.connect(s);
            w.subscribe(s, vec![sub("t", 1)]);
            w.publish(p, msg("t", "x", 1));
            w.take(s);
            w.advance_s(100);
            assert_eq!(w.take(s), NOTHING);
            assert_eq!(w.next_deadline(), None);
        }
    });
}

//= mqtt311:4.4.0-1
//= mqtt311:3.3.1-1
#[test]
fn a_time_out_repeats_what_is_open() {
    everywhere(|layout| {
        for keep in [true, false] {
            let mut w = World::with(layout, |s| s.limits.retransmit_after_s = 10);
            let p = w.connect(id("p"));
            let s = id("s").retransmits();
            let s = w.connect(if keep { s.keep() } else { s });
            w.subscribe(s, vec![sub("t", 2)]);
            w.publish(p, msg("t", "1", 1));
            w.publish(p, msg("t", "2", 2));
            w.publish(p, msg("t", "3", 2));
            w.rec(s, 3);
            assert_eq!(w.take(s).len(), 4);
            w.advance_ms(9_999);
            assert_eq!(w.take(s), NOTHING);
            let open = ["q1#1 dup t=1", "q2#2 dup t=2", "release #3 0x00"];
            w.advance_ms(1);
            assert_eq!(w.take(s), open);
            w.advance_s(10);
            assert_eq!(w.take(s), open);
            for handle in [1, 3] {
                w.ack(s, handle);
            }
            w.rec(s, 2);
            w.ack(s, 2);
            w.take(s);
            w.advance_s(100);
            assert_eq!(w.take(s), NOTHING);
        }
    });
}

/// A client without credit is not repeated to.
#[test]
fn a_time_out_respects_a_sleeping_client() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.retransmit_after_s = 10);
        let (p, s) = (w.connect(id("p")), w.connect(id("s").keep().retransmits()));
        w.subscribe(s, vec![sub("t", 1)]);
        w.publish(p, msg("t", "x", 1));
        w.demand(s, core_model::Credit::None);
        w.take(s);
        w.advance_s(50);
        assert_eq!(w.take(s), NOTHING);
        w.demand(s, core_model::Credit::Open);
        w.advance_s(20);
        assert!(w.take(s).contains(&"q1#1 dup t=x".to_owned()));
    });
}
