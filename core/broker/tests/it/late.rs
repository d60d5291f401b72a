//! Mail between shards that arrives late, when somebody has left or come meanwhile.

use core_model::{Disconnect, DisconnectCause, LinkId, Operation, Outcome, Reason, SlotId};

use crate::words::{id, msg, sub};
use crate::world::{AWAY, Client, HOME, NOTHING, World, everywhere};

fn on(w: &mut World, shard: u16, prefix: &str) -> Client {
    let client_id = w.id_on(shard, prefix);
    w.connect(id(&client_id))
}

fn farewell(w: &mut World, client: Client) {
    let (cause, expiry) = (DisconnectCause::Farewell, None);
    w.apply(client, Operation::Disconnect(Disconnect { cause, expiry }));
}

fn deliveries(w: &mut World, client: Client) -> Vec<String> {
    w.take(client).into_iter().filter(|text| text.starts_with('q')).collect()
}

/// A live copy comes before the subscribe is answered, and the write of it is late at the shard
/// that keeps the topic.
//= mqtt5:3.3.1-9
//= mqtt5:4.6.0-6
#[test]
fn an_old_retained_copy_does_not_follow_a_live_one_that_was_early() {
    let mut w = World::new(HOME);
    let topic = w.topic_on(3, "t");
    let (s, p) = (on(&mut w, 0, "s"), on(&mut w, 1, "p"));
    w.publish(p, msg(&topic, "1", 1).retain());
    // Shard 2 is slow to answer, and the way from the publisher to the keeper is slow too.
    w.blocked = [(2, 0), (1, 3)].into();
    w.begin_subscribe(s, None, vec![sub(&topic, 1)]);
    w.turns(4);
    w.begin_publish(p, &msg(&topic, "2", 1).retain());
    w.turns(4);
    assert_eq!(w.take(s), [format!("q1#1 {topic}=2")]);
    w.blocked = [(1, 3)].into();
    w.turns(8);
    assert_eq!(deliveries(&mut w, s), NOTHING);
    w.blocked.clear();
    w.run();
    assert_eq!(deliveries(&mut w, s), NOTHING);
}

/// The question for retained messages overtakes a write that was acknowledged before.
//= mqtt5:3.3.1-9
//= mqtt5:3.8.4-4
#[test]
fn a_question_waits_for_the_writes_before_it() {
    let mut w = World::new(HOME);
    let topic = w.topic_on(3, "t");
    let (s, p) = (on(&mut w, 0, "s"), on(&mut w, 1, "p"));
    w.blocked = [(1, 3)].into();
    w.begin_publish(p, &msg(&topic, "early", 0).retain());
    w.turns(4);
    // The subscriber comes after it, on another shard.
    w.begin_subscribe(s, None, vec![sub("+", 1)]);
    w.turns(10);
    assert_eq!(w.take(s).len(), 1);
    w.blocked.clear();
    w.run();
    assert_eq!(w.take(s), [format!("q0 retain {topic}=early")]);
}

//= mqtt5:3.8.4-1
#[test]
fn a_subscribe_is_answered_when_all_shards_know_of_it() {
    for slow in 1..4 {
        let mut w = World::new(HOME);
        let s = on(&mut w, 0, "s");
        w.blocked = [(0, slow)].into();
        w.begin_subscribe(s, None, vec![sub("t", 1)]);
        w.turns(10);
        assert_eq!(w.take(s), NOTHING);
        w.blocked.clear();
        w.run();
        assert_eq!(w.take(s).len(), 1);
    }
}

#[test]
fn a_shared_subscribe_is_answered_when_all_shards_know_of_the_group() {
    for slow in [0, 2, 3] {
        let mut w = World::new(HOME);
        let group = w.group_on(1, "t");
        let s = on(&mut w, 0, "s");
        w.blocked = [(1, slow)].into();
        w.begin_subscribe(s, None, vec![sub(&group, 1)]);
        w.turns(10);
        assert_eq!(w.take(s), NOTHING, "{slow}");
        w.blocked.clear();
        w.run();
        assert_eq!(w.take(s).len(), 1);
    }
}

#[test]
fn a_client_that_leaves_before_its_answers_leaves_nothing_behind() {
    for turns in 0..8 {
        for layout in [HOME, AWAY] {
            let mut w = World::new(layout);
            let p = on(&mut w, 1, "p");
            let s = on(&mut w, 0, "s");
            w.publish(p, msg("t", "kept", 1).retain());
            w.begin_subscribe(s, None, vec![sub("#", 1), sub("$share/g/t", 1)]);
            w.begin_publish(s, &msg("t", "x", 2));
            w.begin_unsubscribe(s, &["#"]);
            w.turns(turns);
            farewell(&mut w, s);
            w.run();
            w.take(s);
            w.publish(p, msg("t", "", 1).retain());
            assert_eq!(w.publish(p, msg("t", "y", 1)), 0x10, "{turns}");
            assert_eq!(w.take(s), NOTHING);
            w.disconnect(p);
            assert_eq!(w.leftovers(), NOTHING, "{turns}");
        }
    }
}

/// The link is gone before its connect has reached the session's home.
#[test]
fn a_link_that_breaks_at_once_leaves_its_session_offline() {
    for turns in 0..4 {
        let mut w = World::new(AWAY);
        let watcher = w.connect(id("watcher"));
        w.subscribe(watcher, vec![sub("w", 0)]);
        let a = w.link(id("a").keep().will(msg("w", "gone", 0).will(0)));
        w.turns(turns);
        w.lose(a);
        assert_eq!(w.counters().clients_connected, 1);
        assert_eq!(w.take(watcher), ["q0 w=gone"]);
        assert!(w.connect(id("a").keep()).present);
    }
}

/// A take-over and the old link's own end cross each other.
//= mqtt5:3.1.4-3
//= mqtt5:3.1.2-8
#[test]
fn a_take_over_and_a_farewell_that_cross_end_the_link_once() {
    for turns in 0..4 {
        let mut w = World::new(AWAY);
        let watcher = w.connect(id("watcher"));
        w.subscribe(watcher, vec![sub("w", 0)]);
        let old = w.connect(id("a").keep().will(msg("w", "old", 0).will(0)));
        let new = w.link(id("a").keep().will(msg("w", "new", 0).will(0)));
        w.turns(turns);
        farewell(&mut w, old);
        w.run();
        let (new, connected) = w.connected(new);
        assert!(connected.session_present);
        // Whether the farewell came first decides about the old will; the new one stays.
        let seen = w.take(watcher);
        assert!(seen == ["q0 w=old"] || seen == NOTHING, "{seen:?}");
        assert_eq!(w.counters().clients_connected, 2);
        w.lose(new);
        assert_eq!(w.take(watcher), ["q0 w=new"]);
    }
}

/// What the old link had sent does not reach the session of the new one.
#[test]
fn late_operations_of_an_old_link_are_nobodys() {
    for turns in 0..3 {
        let mut w = World::new(AWAY);
        let s = w.connect(id("s"));
        w.subscribe(s, vec![sub("t", 1)]);
        let old = w.connect(id("a").keep());
        let new = w.link(id("a").keep());
        w.turns(turns);
        w.begin_subscribe(old, None, vec![sub("late", 1)]);
        w.begin_publish(old, &msg("t", "late", 2).id(9));
        w.run();
        let (new, _) = w.connected(new);
        // Either it came in time and counts, number included, or not at all.
        let seen = w.take(s);
        let code = w.release(new, 9);
        assert_eq!(code, if seen.is_empty() { 0x92 } else { 0 }, "{turns}");
        assert_eq!(w.take(new), NOTHING);
    }
}

/// Answers of another shard to a link that is gone do not confuse those of the next.
//= mqtt5:4.6.0-2
#[test]
fn late_reports_do_not_answer_for_others() {
    let mut w = World::new(HOME);
    let (p_id, s_id) = (w.id_on(0, "p"), w.id_on(1, "s"));
    let s = w.connect(id(&s_id).keep());
    w.subscribe(s, vec![sub("t", 1)]);
    let old = w.connect(id(&p_id).keep());
    w.blocked = [(1, 0)].into();
    for n in 0..3 {
        w.begin_publish(old, &msg("t", &n.to_string(), 1));
    }
    w.turns(4);
    w.lose(old);
    let new = w.connect(id(&p_id).keep());
    let first = w.begin_publish(new, &msg("nobody", "x", 1)).0;
    let second = w.begin_publish(new, &msg("t", "x", 1)).0;
    w.turns(4);
    w.blocked.clear();
    w.run();
    assert_eq!(
        w.take(new),
        [format!("published {first} 0x10"), format!("published {second} 0x00")]
    );
    assert_eq!(w.take(old), NOTHING);
}

/// The place of an ended session is taken by another one while reports are on their way.
#[test]
fn late_reports_do_not_reach_another_session_in_the_same_place() {
    let mut w = World::new(HOME);
    let s_id = w.id_on(1, "s");
    let s = w.connect(id(&s_id).keep());
    w.subscribe(s, vec![sub("t", 1)]);
    let a = on(&mut w, 0, "a");
    w.blocked = [(1, 0)].into();
    w.begin_publish(a, &msg("t", "a", 1));
    w.turns(4);
    farewell(&mut w, a);
    w.turns(2);
    let b = on(&mut w, 0, "b");
    w.begin_publish(b, &msg("t", "b", 1));
    w.turns(4);
    assert_eq!(w.take(b), NOTHING);
    w.blocked.clear();
    w.run();
    assert_eq!(w.take(b).len(), 1);
}

//= mqtt5:4.8.2-5
#[test]
fn a_message_on_its_way_to_a_member_that_left_goes_to_another() {
    for qos in [1, 2] {
        let mut w = World::new(HOME);
        let group = w.group_on(0, "t");
        let (a, b, p) = (on(&mut w, 1, "a"), on(&mut w, 2, "b"), on(&mut w, 3, "p"));
        for member in [a, b] {
            w.subscribe(member, vec![sub(&group, 2)]);
        }
        // It is the first member's turn, but its shard hears of it after it has left.
        w.blocked = [(0, 1)].into();
        let ticket = w.begin_publish(p, &msg("t", "x", qos)).0;
        w.turns(4);
        farewell(&mut w, a);
        w.turns(4);
        w.blocked.clear();
        w.run();
        assert_eq!(w.take(b), [format!("q{qos}#1 t=x")]);
        assert_eq!(w.take(p), [format!("published {ticket} 0x00")]);
    }
}

/// The last member leaves while a message is on its way to the group.
#[test]
fn a_message_on_its_way_to_a_group_that_ended_is_answered() {
    for turns in 0..6 {
        let mut w = World::new(HOME);
        let group = w.group_on(0, "t");
        let (a, p) = (on(&mut w, 1, "a"), on(&mut w, 3, "p"));
        w.subscribe(a, vec![sub(&group, 1)]);
        w.begin_publish(p, &msg("t", "x", 1));
        w.turns(turns);
        farewell(&mut w, a);
        w.run();
        assert_eq!(w.take(p).len(), 1, "{turns}");
        w.disconnect(p);
        assert_eq!(w.leftovers(), NOTHING, "{turns}");
    }
}

/// Members come and go in the same turn as messages, and none is lost or doubled.
//= mqtt5:4.8.2-5
#[test]
fn a_member_that_comes_back_at_once_gets_what_it_has() {
    for turns in 0..6 {
        let mut w = World::new(HOME);
        let group = w.group_on(0, "t");
        let (m_id, p) = (w.id_on(1, "m"), on(&mut w, 3, "p"));
        let m = w.connect(id(&m_id).keep());
        w.subscribe(m, vec![sub(&group, 1)]);
        for n in 0..3 {
            w.begin_publish(p, &msg("t", &n.to_string(), 1));
        }
        w.turns(turns);
        let again = w.connect(id(&m_id).keep());
        let mut payloads: Vec<_> = w
            .take(again)
            .iter()
            .map(|text| text.split('=').next_back().unwrap().to_owned())
            .collect();
        payloads.sort();
        assert_eq!(payloads, ["0", "1", "2"], "{turns}");
    }
}

/// One link may carry many clients, each with a slot of its own.
#[test]
fn the_slots_of_one_link_are_clients_of_their_own() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let link = LinkId { index: 900, generation: 3 };
        let slots: Vec<Client> = [0, 1, 70_000]
            .into_iter()
            .map(|number| {
                let shard = core_model::ShardId(0);
                let mut client = w.connect(id("template"));
                w.disconnect(client);
                client.slot = SlotId { shard, link, number };
                let connecting = id(&format!("slot{number}"));
                w.apply(client, Operation::Connect(Box::new(connecting.0)));
                w.run();
                w.connected(client).0
            })
            .collect();
        for (n, slot) in slots.iter().enumerate() {
            w.subscribe(*slot, vec![sub(&format!("t/{n}"), 1), sub("all", 1)]);
        }
        let p = w.connect(id("p"));
        for n in 0..3 {
            w.publish(p, msg(&format!("t/{n}"), "x", 1));
        }
        w.disconnect(slots[0]);
        w.publish(p, msg("all", "y", 1));
        assert_eq!(w.take(slots[0]), ["q1#1 t/0=x"]);
        for (n, slot) in slots.iter().enumerate().skip(1) {
            assert_eq!(w.take(*slot), [format!("q1#1 t/{n}=x"), "q1#2 all=y".to_owned()]);
            w.settle(*slot, 1, Outcome::Accepted);
        }
        // A later link in the same place is somebody else.
        let mut late = slots[0];
        late.slot.link.generation = 4;
        w.apply(late, Operation::Connect(Box::new(id("late").0)));
        w.run();
        let (late, _) = w.connected(late);
        w.begin_publish(slots[0], &msg("all", "stale", 1));
        w.lose(slots[0]);
        assert_eq!(w.take(slots[1]), NOTHING);
        assert_eq!(w.publish(late, msg("all", "z", 1)), 0);
        assert!(w.kick("slot70000", Reason::ADMINISTRATIVE_ACTION));
        assert_eq!(w.take(slots[2]), ["q1#3 all=z", "kicked 0x98"]);
        assert_eq!(w.take(slots[1]), ["q1#3 all=z"]);
    });
}

/// A busy world, and then everybody leaves.
#[test]
fn nothing_is_left_when_everybody_has_left() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let clients: Vec<_> = (0..20)
            .map(|n| {
                let connecting = id(&format!("c{n}")).resume().expiry_s(n % 3 * 10);
                w.connect(connecting.will(msg("will", "x", 1).will(5)).receive_max(2))
            })
            .collect();
        for (n, client) in clients.iter().enumerate() {
            let share = format!("$share/g{}/t/#", n % 2);
            w.subscribe(*client, vec![sub("t/+", 2), sub(&share, 2), sub("will", 1)]);
        }
        for n in 0..100 {
            let publisher = clients[n % 20];
            let message = msg(&format!("t/{}", n % 7), "x", (n % 3) as u8);
            w.begin_publish(publisher, &if n % 5 == 0 { message.retain() } else { message });
            if n % 10 == 0 {
                w.turn();
            }
        }
        for client in &clients {
            w.lose(*client);
        }
        assert_ne!(w.leftovers(), NOTHING);
        w.advance_s(60);
        let admin = w.connect(id("admin"));
        for n in 0..7 {
            w.publish(admin, msg(&format!("t/{n}"), "", 0).retain());
        }
        w.disconnect(admin);
        assert_eq!(w.leftovers(), NOTHING);
        let c = w.counters();
        assert_eq!((c.queued_messages, c.queued_bytes, c.sessions), (0, 0, 0));
        assert_eq!((c.subscriptions, c.subscriptions_shared, c.retained_bytes), (0, 0, 0));
    });
}
