//! Work in portions, and the end of the node.

use core_model::Reason;

use crate::words::{id, msg, sub};
use crate::world::{NOTHING, World, everywhere};

#[test]
fn a_node_that_stops_tells_everybody() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.work_per_turn_max = 10);
        let clients: Vec<_> = (0..100).map(|n| w.connect(id(&format!("c{n}")))).collect();
        let away = w.connect(id("away").keep());
        w.lose(away);
        let now = w.now;
        for shard in 0..layout.shards {
            let (shard, sink) = w.shard(shard);
            shard.drain(now, sink);
        }
        assert!(w.has_work());
        w.turn();
        assert!(w.has_work());
        w.run();
        for client in clients {
            assert_eq!(w.take(client), ["draining"]);
            // They are still served until they go.
            assert_eq!(w.publish(client, msg("t", "x", 1)), 0x10);
        }
        assert_eq!(w.take(away), NOTHING);
    });
}

#[test]
fn a_session_with_many_filters_ends_in_portions() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let s = w.connect(id("s"));
        for hundred in 0..100 {
            let filters = (0..100).map(|n| sub(&format!("f/{}", hundred * 100 + n), 1)).collect();
            w.subscribe(s, filters);
        }
        w.subscribe(s, vec![sub("$share/g/f/0", 1)]);
        let p = w.connect(id("p"));
        assert_eq!(w.publish(p, msg("f/0", "x", 1)), 0);
        assert_eq!(w.counters().subscriptions, 10_001);
        w.apply(
            s,
            core_model::Operation::Disconnect(core_model::Disconnect {
                cause: core_model::DisconnectCause::Farewell,
                expiry: None,
            }),
        );
        w.turns(3);
        let left = w.counters().subscriptions;
        assert!(left > 5_000, "{left}");
        assert!(w.has_work());
        // It is over for everybody else: nobody takes messages, and its name is free.
        for n in 0..10 {
            w.begin_publish(p, &msg(&format!("f/{}", n * 1000), "x", 1));
        }
        let again = w.link(id("s").keep());
        w.turns(4);
        assert_eq!(w.counters().queued_messages, 0);
        let (again, connected) = w.connected(again);
        assert!(!connected.session_present);
        w.begin_subscribe(again, None, vec![sub("f/5", 1)]);
        w.run();
        assert_eq!(w.counters().subscriptions, 1);
        assert_eq!(w.publish(p, msg("f/6", "x", 1)), 0x10);
        assert_eq!(w.publish(p, msg("f/5", "x", 1)), 0);
        assert_eq!(w.take(again).last().unwrap(), "q1#1 f/5=x");
        assert_eq!(w.counters().queued_bytes, 0);
    });
}

/// Two of them share the budget of a turn.
#[test]
fn sessions_that_end_together_share_a_turn() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.work_per_turn_max = 100);
        let sessions: Vec<_> = ["a", "b"]
            .iter()
            .map(|prefix| {
                let client_id = w.id_on(0, prefix);
                let s = w.connect(id(&client_id).resume().expiry_s(5));
                w.subscribe(s, (0..160).map(|n| sub(&format!("{prefix}/{n}"), 1)).collect());
                s
            })
            .collect();
        for s in sessions {
            w.lose(s);
        }
        w.now = w.now.plus_seconds(5);
        let mut left = Vec::new();
        while w.counters().subscriptions > 0 {
            w.turn();
            left.push(w.counters().subscriptions);
        }
        assert_eq!(left, [220, 120, 20, 0]);
    });
}

#[test]
fn many_sessions_expire_in_portions() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.limits.work_per_turn_max = 7);
        for n in 0..200 {
            let s = w.connect(id(&format!("s{n}")).resume().expiry_s(10));
            w.lose(s);
        }
        w.now = w.now.plus_seconds(10);
        w.turn();
        let left = w.counters().sessions;
        assert!(left >= 200 - 7 * u64::from(layout.shards), "{left}");
        assert!(w.next_deadline().is_some_and(|at| at <= w.now));
        w.run();
        assert_eq!(w.counters().sessions, 0);
        assert_eq!(w.counters().sessions_expired, 200);
        assert_eq!(w.next_deadline(), None);
    });
}

#[test]
fn a_kick_names_its_reason() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        for reason in [Reason::ADMINISTRATIVE_ACTION, Reason::BANNED, Reason::USE_ANOTHER_SERVER] {
            let a = w.connect(id("a"));
            assert!(w.kick("a", reason));
            assert_eq!(w.take(a), [format!("kicked 0x{:02X}", reason.as_u8())]);
            assert_eq!(w.counters().sessions, 0);
        }
        // A session without a link has nobody to tell.
        let a = w.connect(id("a").keep());
        w.lose(a);
        assert!(w.kick("a", Reason::BANNED));
        assert_eq!(w.take(a), NOTHING);
        assert_eq!(w.counters().sessions, 1);
    });
}

#[test]
fn counters_count() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let (p, s) = (w.connect(id("p")), w.connect(id("s").keep()));
        w.subscribe(s, vec![sub("t", 1), sub("$share/g/u", 1)]);
        w.publish(p, msg("t", "12345", 1));
        w.publish(p, msg("t", "678", 0));
        w.publish(p, msg("u", "90", 1).retain());
        let c = w.counters();
        assert_eq!((c.messages_received, c.bytes_received), (3, 10));
        assert_eq!((c.messages_sent, c.bytes_sent), (3, 10));
        assert_eq!((c.clients_connected, c.clients_maximum, c.sessions), (2, 2, 2));
        assert_eq!((c.subscriptions, c.subscriptions_shared, c.retained), (2, 1, 1));
        assert!(c.retained_bytes > 0);
        w.lose(p);
        w.lose(s);
        let c = w.counters();
        assert_eq!((c.clients_connected, c.clients_maximum, c.sessions), (0, 2, 1));
    });
}
