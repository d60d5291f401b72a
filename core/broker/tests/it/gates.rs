//! What waits until it is durable, and what does not.
//!
//! A slow store needs many turns; a few turns are enough for everything that does not wait for it.

use core_model::{Credit, Outcome};

use crate::words::{id, msg, sub};
use crate::world::{Client, HOME, Layout, NOTHING, ONE, World};

/// Turns that a slow store needs.
const SLOW: u64 = 60;
/// Turns that are enough for mail to go there and back several times, but not for a slow store.
const FEW: usize = 20;

/// Four shards, or one, of which `slow` have slow stores.
fn world(layout: Layout, slow: &[usize]) -> World {
    World::with(layout, |s| {
        for shard in slow {
            s.delays[*shard] = SLOW;
        }
    })
}

/// A client of a shard whose session does not outlive its link.
fn volatile(w: &mut World, shard: u16, prefix: &str) -> Client {
    let client_id = w.id_on(shard, prefix);
    w.connect(id(&client_id))
}

/// A client of a shard whose session is durable.
fn durable(w: &mut World, shard: u16, prefix: &str) -> Client {
    let client_id = w.id_on(shard, prefix);
    w.connect(id(&client_id).keep())
}

/// What a client sees in a few turns, and what it sees until everything is durable.
fn early_and_late(w: &mut World, client: Client) -> (Vec<String>, Vec<String>) {
    w.turns(FEW);
    let early = w.take(client);
    w.run();
    (early, w.take(client))
}

fn none() -> Vec<String> {
    Vec::new()
}

//= mqtt5:4.3.2-4
#[test]
fn an_answer_waits_for_the_queue_entry_on_this_shard() {
    for online in [true, false] {
        let mut w = world(ONE, &[0]);
        let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, 0, "s"));
        w.subscribe(s, vec![sub("t", 1)]);
        if !online {
            w.lose(s);
        }
        let ticket = w.begin_publish(p, &msg("t", "x", 1)).0;
        w.turns(FEW);
        assert_eq!(w.take(p), NOTHING);
        // The delivery itself waits for nothing.
        let delivered: &[&str] = if online { &["q1#1 t=x"] } else { &[] };
        assert_eq!(w.take(s), delivered);
        w.run();
        assert_eq!(w.take(p), [format!("published {ticket} 0x00")]);
    }
}

//= mqtt5:4.3.2-4
//= mqtt5:4.3.3-8
#[test]
fn an_answer_waits_for_the_queue_entry_on_another_shard() {
    for qos in [1, 2] {
        let mut w = world(HOME, &[1]);
        let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, 1, "s"));
        w.subscribe(s, vec![sub("t/#", 1)]);
        let ticket = w.begin_publish(p, &msg("t/1", "x", qos)).0;
        let (early, late) = early_and_late(&mut w, p);
        assert_eq!((early, late), (none(), vec![format!("published {ticket} 0x00")]));
    }
}

#[test]
fn an_answer_waits_for_the_last_of_several_shards() {
    let mut w = World::with(HOME, |s| s.delays = vec![0, 30, 90, 60]);
    let p = volatile(&mut w, 0, "p");
    for shard in 1..4 {
        let s = durable(&mut w, shard, "s");
        w.subscribe(s, vec![sub("t", 1)]);
    }
    w.begin_publish(p, &msg("t", "x", 1));
    w.turns(80);
    assert_eq!(w.take(p), NOTHING);
    w.run();
    assert_eq!(w.take(p).len(), 1);
}

/// A client that shares its filter with a durable one of another shard changes nothing.
#[test]
fn an_answer_waits_although_a_volatile_subscriber_came_first() {
    let mut w = world(HOME, &[1]);
    let p = volatile(&mut w, 0, "p");
    let (v, s) = (volatile(&mut w, 1, "v"), durable(&mut w, 1, "s"));
    w.subscribe(v, vec![sub("t", 1)]);
    w.subscribe(s, vec![sub("t", 1)]);
    w.begin_publish(p, &msg("t", "x", 1));
    let (early, late) = early_and_late(&mut w, p);
    assert_eq!((early, late.len()), (none(), 1));
    // And once the durable one is gone, nothing waits any more.
    w.unsubscribe(s, &["t"]);
    w.begin_publish(p, &msg("t", "x", 1));
    let (early, late) = early_and_late(&mut w, p);
    assert_eq!((early.len(), late), (1, none()));
}

#[test]
fn an_answer_waits_after_a_session_became_durable() {
    let mut w = world(HOME, &[1]);
    let p = volatile(&mut w, 0, "p");
    let s_id = w.id_on(1, "s");
    for (durable, early_answers) in [(true, 0), (false, 1), (true, 0)] {
        let s = id(&s_id).resume().expiry_s(if durable { 100 } else { 0 });
        let s = w.connect(s);
        if !s.present {
            w.subscribe(s, vec![sub("t", 1)]);
        }
        w.begin_publish(p, &msg("t", "x", 1));
        let (early, late) = early_and_late(&mut w, p);
        assert_eq!((early.len(), late.len()), (early_answers, 1 - early_answers), "{durable}");
    }
}

#[test]
fn what_touches_no_durable_state_waits_for_nothing() {
    for layout in [ONE, HOME] {
        let all: Vec<usize> = (0..usize::from(layout.shards)).collect();
        let mut w = world(layout, &all);
        let (p, s) = (volatile(&mut w, 0, "p"), volatile(&mut w, 1, "s"));
        w.subscribe(s, vec![sub("t", 2)]);
        let one = w.begin_publish(p, &msg("t", "1", 1)).0;
        let two = w.begin_publish(p, &msg("t", "2", 2).id(7)).0;
        let nobody = w.begin_publish(p, &msg("nobody", "2", 1)).0;
        // Not even a turn.
        assert_eq!(
            w.take(p),
            [
                format!("published {one} 0x00"),
                format!("published {two} 0x00"),
                format!("published {nobody} 0x10")
            ]
        );
        w.turns(FEW);
        assert_eq!(w.take(s), ["q1#1 t=1", "q2#2 t=2"]);
        w.apply(s, core_model::Operation::Settle { handle: 2, outcome: Outcome::Received });
        assert_eq!(w.take(s), ["release #2 0x00"]);
        w.apply(p, core_model::Operation::Release { ticket: core_model::Ticket(99), id: 7 });
        assert_eq!(w.take(p), ["released 99 0x00"]);
        // A durable publisher's QoS 1 message to nobody durable is no durable state either.
        let d = durable(&mut w, 0, "d");
        w.begin_publish(d, &msg("t", "3", 1));
        assert_eq!(w.take(d).len(), 1);
        assert!(!w.has_work() || layout.shards > 1);
    }
}

#[test]
fn a_qos_2_delivery_waits_for_its_handle() {
    let mut w = world(ONE, &[0]);
    let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, 0, "s"));
    w.subscribe(s, vec![sub("t", 2)]);
    w.begin_publish(p, &msg("t", "two", 2));
    w.begin_publish(p, &msg("t", "one", 1));
    w.begin_publish(p, &msg("t", "zero", 0));
    let (early, late) = early_and_late(&mut w, s);
    assert_eq!(early, ["q1#2 t=one", "q0 t=zero"]);
    assert_eq!(late, ["q2#1 t=two"]);
}

#[test]
fn a_queued_qos_2_delivery_waits_for_its_handle_too() {
    let mut w = world(ONE, &[0]);
    let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, 0, "s"));
    w.subscribe(s, vec![sub("t", 2)]);
    w.lose(s);
    w.publish(p, msg("t", "two", 2));
    let s_id = w.id_on(0, "s");
    let s = w.link(id(&s_id).keep());
    w.turns(FEW);
    let (s, _) = w.connected(s);
    assert_eq!(w.take(s), NOTHING);
    w.run();
    assert_eq!(w.take(s), ["q2#1 t=two"]);
}

#[test]
fn a_release_waits_for_the_receipt() {
    let mut w = world(ONE, &[0]);
    let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, 0, "s"));
    w.subscribe(s, vec![sub("t", 2)]);
    w.publish(p, msg("t", "x", 2));
    assert_eq!(w.take(s), ["q2#1 t=x"]);
    w.apply(s, core_model::Operation::Settle { handle: 1, outcome: Outcome::Received });
    let (early, late) = early_and_late(&mut w, s);
    assert_eq!((early, late), (none(), vec!["release #1 0x00".to_owned()]));
}

//= mqtt5:4.3.3-8
#[test]
fn a_qos_2_answer_waits_for_its_number() {
    let mut w = world(ONE, &[0]);
    let d = durable(&mut w, 0, "d");
    // Nobody wants the message, only the number has to be kept.
    w.begin_publish(d, &msg("nobody", "x", 2).id(5));
    let (early, late) = early_and_late(&mut w, d);
    assert_eq!((early, late.len()), (none(), 1));
    // A repetition is not answered before the first is safe.
    w.begin_publish(d, &msg("nobody", "x", 2).id(6));
    w.begin_publish(d, &msg("nobody", "x", 2).id(6));
    let (early, late) = early_and_late(&mut w, d);
    assert_eq!((early, late.len()), (none(), 2));
}

//= mqtt5:4.3.3-8
#[test]
fn a_qos_2_answer_waits_for_number_and_message() {
    let mut w = World::with(HOME, |s| s.delays = vec![40, 120, 0, 0]);
    let (d, s) = (durable(&mut w, 0, "d"), durable(&mut w, 1, "s"));
    w.subscribe(s, vec![sub("t", 1)]);
    w.begin_publish(d, &msg("t", "x", 2));
    w.turns(80);
    assert_eq!(w.take(d), NOTHING);
    w.run();
    assert_eq!(w.take(d).len(), 1);
    let mut w = World::with(HOME, |s| s.delays = vec![120, 40, 0, 0]);
    let (d, s) = (durable(&mut w, 0, "d"), durable(&mut w, 1, "s"));
    w.subscribe(s, vec![sub("t", 1)]);
    w.begin_publish(d, &msg("t", "x", 2));
    w.turns(80);
    assert_eq!(w.take(d), NOTHING);
    w.run();
    assert_eq!(w.take(d).len(), 1);
}

#[test]
fn the_end_of_a_qos_2_message_waits_for_its_release() {
    let mut w = world(ONE, &[0]);
    let d = durable(&mut w, 0, "d");
    w.publish(d, msg("nobody", "x", 2).id(5));
    w.apply(d, core_model::Operation::Release { ticket: core_model::Ticket(9), id: 5 });
    let (early, late) = early_and_late(&mut w, d);
    assert_eq!((early, late), (none(), vec!["released 9 0x00".to_owned()]));
}

//= mqtt5:4.6.0-2
//= mqtt5:4.6.0-3
//= mqtt311:4.6.0-2
//= mqtt311:4.6.0-3
#[test]
fn answers_stay_in_order_behind_one_that_waits() {
    for at in [0, 1] {
        let mut w = world(HOME, &[at]);
        let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, at as u16, "s"));
        let (other, v) = (volatile(&mut w, 0, "o"), volatile(&mut w, 0, "v"));
        w.subscribe(s, vec![sub("slow", 1)]);
        w.subscribe(v, vec![sub("fast", 1)]);
        let mut expected = Vec::new();
        for (topic, qos) in [("fast", 1), ("slow", 1), ("fast", 2), ("slow", 2), ("fast", 1)] {
            expected.push(w.begin_publish(p, &msg(topic, "x", qos)).0);
        }
        let first = expected.remove(0);
        w.begin_publish(p, &msg("fast", "zero", 0));
        // Another link has a line of its own.
        w.begin_publish(other, &msg("fast", "x", 1));
        w.turns(FEW);
        assert_eq!(w.take(p), [format!("published {first} 0x00")]);
        assert_eq!(w.take(other).len(), 1);
        // Only the answers wait, the messages do not.
        assert_eq!(w.take(v).len(), 5);
        w.run();
        let expected: Vec<_> =
            expected.iter().map(|ticket| format!("published {ticket} 0x00")).collect();
        assert_eq!(w.take(p), expected);
    }
}

/// A later answer is never early although its own shard is faster.
//= mqtt5:4.6.0-2
#[test]
fn answers_stay_in_order_between_slow_and_fast_shards() {
    let mut w = world(HOME, &[1]);
    let p = volatile(&mut w, 0, "p");
    let (slow, fast) = (durable(&mut w, 1, "s"), durable(&mut w, 2, "f"));
    w.subscribe(slow, vec![sub("slow", 1)]);
    w.subscribe(fast, vec![sub("fast", 1)]);
    let one = w.begin_publish(p, &msg("slow", "x", 1)).0;
    let two = w.begin_publish(p, &msg("fast", "x", 1)).0;
    let (early, late) = early_and_late(&mut w, p);
    assert_eq!(early, none());
    assert_eq!(late, [one, two].map(|ticket| format!("published {ticket} 0x00")));
}

#[test]
fn an_answer_waits_for_the_retained_message() {
    for keeper in [0, 1] {
        let mut w = world(HOME, &[keeper]);
        let p = volatile(&mut w, 0, "p");
        let topic = w.topic_on(keeper as u16, "r");
        for payload in ["set", ""] {
            w.begin_publish(p, &msg(&topic, payload, 1).retain());
            let (early, late) = early_and_late(&mut w, p);
            assert_eq!((early, late.len()), (none(), 1), "{keeper} {payload}");
        }
        // QoS 0 has no answer that could wait.
        w.begin_publish(p, &msg(&topic, "x", 0).retain());
        assert_eq!(early_and_late(&mut w, p), (none(), none()));
    }
}

#[test]
fn an_answer_waits_for_a_member_of_a_group_wherever_it_lives() {
    for home in 0..3 {
        for member_at in 0..2 {
            let mut w = world(HOME, &[usize::from(member_at)]);
            let group = w.group_on(home, "t");
            let (p, m) = (volatile(&mut w, 0, "p"), durable(&mut w, member_at, "m"));
            w.subscribe(m, vec![sub(&group, 1)]);
            w.begin_publish(p, &msg("t", "x", 1));
            let (early, late) = early_and_late(&mut w, p);
            assert_eq!((early, late.len()), (none(), 1), "home {home}, member {member_at}");
            assert_eq!(w.take(m), ["q1#1 t=x"]);
        }
    }
}

#[test]
fn an_answer_waits_for_what_a_group_holds() {
    for home in 0..3 {
        let mut w = world(HOME, &[usize::from(home)]);
        let group = w.group_on(home, "t");
        let (p, m) = (volatile(&mut w, 0, "p"), durable(&mut w, 3, "m"));
        w.subscribe(m, vec![sub(&group, 1)]);
        w.lose(m);
        w.begin_publish(p, &msg("t", "x", 1));
        let (early, late) = early_and_late(&mut w, p);
        assert_eq!((early, late.len()), (none(), 1), "{home}");
    }
}

#[test]
fn deletions_wait_for_nothing() {
    let mut w = world(ONE, &[0]);
    let p = volatile(&mut w, 0, "p");
    let s_id = w.id_on(0, "s");
    let s = w.connect(id(&s_id).keep().receive_max(1));
    w.subscribe(s, vec![sub("t", 1)]);
    w.publish(p, msg("t", "1", 1));
    w.publish(p, msg("t", "2", 1));
    assert_eq!(w.take(s), ["q1#1 t=1"]);
    w.apply(s, core_model::Operation::Settle { handle: 1, outcome: Outcome::Accepted });
    assert_eq!(w.take(s), ["q1#2 t=2"]);
}

#[test]
fn answers_die_with_their_link() {
    let mut w = world(ONE, &[0]);
    let (d, s) = (durable(&mut w, 0, "d"), durable(&mut w, 0, "s"));
    w.subscribe(s, vec![sub("t", 1)]);
    w.begin_publish(d, &msg("t", "old", 2).id(5));
    w.turns(2);
    let d_id = w.id_on(0, "d");
    let again = w.link(id(&d_id).keep());
    w.turns(2);
    let (again, _) = w.connected(again);
    let ticket = w.begin_publish(again, &msg("t", "new", 1)).0;
    w.run();
    assert_eq!(w.take(d), ["kicked 0x8E"]);
    assert_eq!(w.take(again), [format!("published {ticket} 0x00")]);
    // The repetition on the new link finds its number.
    assert_eq!(w.publish(again, msg("t", "old", 2).id(5)), 0);
    assert_eq!(w.take(s), ["q1#1 t=old", "q1#2 t=new"]);
}

/// The gate of a delivery opens when the link has gone and come back meanwhile.
//= mqtt5:4.3.3-2
#[test]
fn a_delivery_whose_gate_opens_on_another_link_is_sent_once() {
    for gone in [false, true] {
        let mut w = world(ONE, &[0]);
        let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, 0, "s"));
        w.subscribe(s, vec![sub("t", 2)]);
        w.begin_publish(p, &msg("t", "x", 2));
        w.turns(2);
        if gone {
            // The gate opens while nobody is there.
            w.lose(s);
        }
        let s_id = w.id_on(0, "s");
        let s = w.connect(id(&s_id).keep());
        assert_eq!(w.take(s), ["q2#1 t=x"]);
    }
}

//= mqtt5:3.3.4-9
//= mqtt5:4.6.0-5
#[test]
fn deliveries_behind_gates_obey_the_next_links_receive_maximum() {
    let mut w = world(ONE, &[0]);
    let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, 0, "s"));
    w.subscribe(s, vec![sub("t", 2)]);
    w.publish(p, msg("t", "1", 2));
    for n in 2..=3 {
        w.begin_publish(p, &msg("t", &n.to_string(), 2));
    }
    w.turns(2);
    assert_eq!(w.take(s), ["q2#1 t=1"]);
    let s_id = w.id_on(0, "s");
    let s = w.connect(id(&s_id).keep().receive_max(1));
    assert_eq!(w.take(s), ["q2#1 dup t=1"]);
    for next in ["q2#2 t=2", "q2#3 t=3"] {
        let handle = next.as_bytes()[3] - b'0';
        w.rec(s, u16::from(handle) - 1);
        w.ack(s, u16::from(handle) - 1);
        assert_eq!(w.take(s), [format!("release #{} 0x00", handle - 1), next.to_owned()]);
    }
}

#[test]
fn a_delivery_behind_a_gate_waits_for_credit() {
    let mut w = world(ONE, &[0]);
    let (p, s) = (volatile(&mut w, 0, "p"), durable(&mut w, 0, "s"));
    w.subscribe(s, vec![sub("t", 2)]);
    w.begin_publish(p, &msg("t", "x", 2));
    w.turns(2);
    w.demand(s, Credit::None);
    assert_eq!(w.take(s), NOTHING);
    w.demand(s, Credit::Open);
    assert_eq!(w.take(s), ["q2#1 t=x"]);
}

/// A QoS 2 message whose gate is still closed was never sent, so another member may have it.
//= mqtt5:4.8.2-5
#[test]
fn a_member_that_ends_before_its_gate_opens_passes_the_message_on() {
    let mut w = world(ONE, &[0]);
    let (p, a) = (volatile(&mut w, 0, "p"), durable(&mut w, 0, "a"));
    let b = volatile(&mut w, 0, "b");
    for member in [a, b] {
        w.subscribe(member, vec![sub("$share/g/t", 2)]);
    }
    w.begin_publish(p, &msg("t", "x", 2));
    w.begin_publish(p, &msg("t", "y", 2));
    w.turns(2);
    let a_id = w.id_on(0, "a");
    let again = w.link(id(&a_id));
    w.turns(2);
    assert_eq!(w.take(a), ["kicked 0x8E"]);
    w.run();
    assert_eq!(w.take(b), ["q2#1 t=y", "q2#2 t=x"]);
    assert_eq!(w.take(again), ["connected new"]);
}
