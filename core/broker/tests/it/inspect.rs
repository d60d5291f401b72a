//! What an operator sees and does.

use std::sync::Arc;

use core_broker::{ClientQuery, RetainedQuery, Selector, Shard, SubscriptionQuery, WillInfo};
use core_model::{
    ClientKey, Credit, Expiry, Filter, GatewayId, Manners, QoS, Reason, Takeover, Timestamp,
};

use crate::plugins::Users;
use crate::words::{id, msg, sub};
use crate::world::{ONE, World, everywhere, key_of};

/// The names of all clients that a question finds, page by page.
fn names(shard: &Shard, mut query: ClientQuery) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let page = shard.clients(&query);
        assert!(page.clients.len() <= query.limit.max(1));
        names.extend(page.clients.iter().map(|info| info.client.client_id.to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return names,
        }
    }
}

#[test]
fn clients_come_in_pages_in_the_order_of_their_names() {
    let mut w = World::with(ONE, |s| s.plugins.authenticators = vec![Arc::new(Users("a"))]);
    for n in [3, 1, 4, 0, 2] {
        w.connect(id(&format!("c{n}")).listener("in").from("10.0.0.1:1"));
    }
    let gone = w.connect(id("d").keep().user("alice", "good").from("[::ffff:192.0.2.7]:9"));
    w.lose(gone);
    w.connect(id("other").gateway(1));
    let shard = w.shard(0).0;
    let all = ["c0", "c1", "c2", "c3", "c4", "d", "other"];
    for limit in [0, 1, 2, 3, 7, 100] {
        assert_eq!(names(shard, ClientQuery { limit, ..ClientQuery::default() }), all);
    }
    let find = |selector: Selector| names(shard, ClientQuery { selector, ..Default::default() });
    let none = Selector::default;
    assert_eq!(find(Selector { client_id: Some("c3".into()), ..none() }), ["c3"]);
    assert_eq!(find(Selector { gateway: Some(GatewayId(1)), ..none() }), ["other"]);
    assert_eq!(find(Selector { user: Some("alice".into()), ..none() }), ["d"]);
    assert_eq!(find(Selector { listener: Some("in".into()), ..none() }).len(), 5);
    let net = |net: &str| Some(net.parse().unwrap());
    assert_eq!(find(Selector { net: net("192.0.2.0/24"), ..none() }), ["d"]);
    assert_eq!(find(Selector { net: net("10.0.0.1/32"), ..none() }).len(), 5);
    let user = Some("alice".into());
    assert!(find(Selector { user, net: net("10.0.0.0/8"), ..none() }).is_empty());
    let connected = |connected| ClientQuery { connected: Some(connected), ..Default::default() };
    assert_eq!(names(shard, connected(false)), ["d"]);
    assert_eq!(names(shard, connected(true)).len(), 6);
    let prefix = ClientQuery { client_id_prefix: "c".into(), ..Default::default() };
    assert_eq!(names(shard, prefix).len(), 5);
}

#[test]
fn a_client_is_shown_in_full() {
    everywhere(|layout| {
        let mut w = World::with(layout, |s| s.plugins.authenticators = vec![Arc::new(Users("a"))]);
        let p = w.connect(id("p"));
        let a = id("a").resume().expiry_s(60).user("alice", "good").mountpoint("m/%u/");
        let will = msg("gone", "bye", 1).retain().will(7);
        let a = a.will(will).receive_max(1).listener("in").from("10.0.0.1:7");
        let a = w.connect(a);
        w.subscribe_as(a, Some(5), vec![sub("t/#", 1), sub("$share/g/u", 2)]);
        for _ in 0..3 {
            w.publish(p, msg("m/alice/t/1", "x", 1));
        }
        let home = w.home("a").0;
        let details = w.shard(home).0.client(&key_of("a")).unwrap();
        let info = &details.info;
        assert_eq!((&*info.listener, info.user.as_deref()), ("in", Some("alice")));
        assert_eq!(info.peer, Some("10.0.0.1:7".parse().unwrap()));
        assert_eq!(info.slot, Some(a.slot));
        assert_eq!((info.subscriptions, details.subscriptions_shared), (2, 1));
        assert_eq!((info.queued_messages, info.inflight), (2, 1));
        let size = msg("m/alice/t/1", "x", 1).size();
        assert_eq!((details.queued_bytes, details.inflight_bytes), (2 * size, size));
        assert_eq!((details.receive_max, details.takes_messages), (1, true));
        assert_eq!((details.credit, details.manners), (Credit::Open, Manners::default()));
        assert_eq!((details.expiry, details.ends_at), (Expiry::After(60), None));
        assert_eq!(&*details.mountpoint, "m/alice/");
        let will = WillInfo {
            topic: "gone".into(),
            payload_bytes: 3,
            qos: QoS::AtLeastOnce,
            retain: true,
            delay_s: 7,
            due_at: None,
        };
        assert_eq!(details.will, Some(will.clone()));
        assert!(!details.is_superuser && !details.has_own_rules);
        w.advance_s(3);
        w.lose(a);
        let now = w.now;
        let details = w.shard(home).0.client(&key_of("a")).unwrap();
        assert_eq!((details.info.slot, details.info.since), (None, now));
        assert_eq!(details.ends_at, Some(now.plus_seconds(60)));
        assert_eq!(details.will, Some(WillInfo { due_at: Some(now.plus_seconds(7)), ..will }));
        assert!(w.shard(home).0.client(&key_of("nobody")).is_none());
    });
}

#[test]
fn an_operator_sees_what_a_sleeper_has() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let manners = Manners {
            keeps_will: true,
            keeps_qos0: true,
            takeover: Takeover::Nobody,
            credit: Credit::Messages(3),
        };
        let s = id("s").resume().expiry_s(60).manners(|m| *m = manners);
        let s = w.connect(s.will(msg("gone", "bye", 1).will(0)));
        w.subscribe(s, vec![sub("t", 0)]);
        let p = w.connect(id("p"));
        w.publish(p, msg("t", "x", 0));
        w.note(s, 1, Some("one"));
        w.note(s, 2, Some(""));
        let home = w.home("s").0;
        let details = w.shard(home).0.client(&key_of("s")).unwrap();
        assert_eq!((details.credit, details.manners), (Credit::Messages(2), manners));
        assert_eq!((details.notes, details.note_bytes % 2), (2, 1));
        w.disconnect(s);
        let details = w.shard(home).0.client(&key_of("s")).unwrap();
        assert_eq!((details.credit, details.notes), (Credit::None, 2));
        assert_eq!(details.will.unwrap().due_at, None, "it said farewell");
    });
}

#[test]
fn clients_are_kicked_in_portions() {
    let mut w = World::with(ONE, |s| s.limits.work_per_turn_max = 2);
    let clients: Vec<_> = (0..5).map(|n| w.connect(id(&format!("c{n}")).listener("in"))).collect();
    let stays = w.connect(id("stays").listener("out"));
    let away = w.connect(id("away").keep().listener("in"));
    w.lose(away);
    let now = w.now;
    let selector = Selector { listener: Some("in".into()), ..Selector::default() };
    let (mut after, mut calls, mut total) = (None, 0, 0);
    loop {
        let (shard, sink) = w.shard(0);
        let kicked = shard.kick_where(now, &selector, after.as_ref(), Reason::BANNED, sink);
        assert!(kicked.clients <= 2);
        (calls, total) = (calls + 1, total + kicked.clients);
        after = kicked.next;
        if after.is_none() {
            break;
        }
    }
    w.run();
    assert!(calls > 2);
    assert_eq!(total, 5);
    for client in clients {
        assert_eq!(w.take(client), ["kicked 0x8A"]);
    }
    assert_eq!(w.take(stays), crate::world::NOTHING);
    assert_eq!(w.counters().clients_connected, 1);
}

#[test]
fn subscriptions_come_in_pages() {
    let mut w = World::new(ONE);
    for name in ["b", "a"] {
        let client = w.connect(id(name).mountpoint("m/"));
        w.subscribe_as(client, Some(3), vec![sub("t/2", 1), sub("t/1", 2).no_local()]);
        w.subscribe(client, vec![sub("$share/g/t/#", 0)]);
    }
    let shard = w.shard(0).0;
    let read = |mut query: SubscriptionQuery| {
        let mut all = Vec::new();
        loop {
            let page = shard.subscriptions(&query);
            assert!(page.subscriptions.len() <= query.limit.max(1));
            all.extend(page.subscriptions);
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        all.iter().map(|s| format!("{} {}", s.client.client_id, s.filter)).collect::<Vec<_>>()
    };
    let expected =
        ["a $share/g/m/t/#", "a m/t/1", "a m/t/2", "b $share/g/m/t/#", "b m/t/1", "b m/t/2"];
    for limit in [0, 1, 2, 3, 4, 6, 100] {
        assert_eq!(read(SubscriptionQuery { limit, ..Default::default() }), expected, "{limit}");
    }
    let client = Some(key_of("b"));
    for limit in [1, 100] {
        let query = SubscriptionQuery { client: client.clone(), limit, ..Default::default() };
        assert_eq!(read(query), expected[3..]);
    }
    let filter = Some("m/t/1".into());
    assert_eq!(
        read(SubscriptionQuery { filter, limit: 10, ..Default::default() }),
        ["a m/t/1", "b m/t/1"]
    );
    let topic = Some("m/t/2".into());
    let query = SubscriptionQuery { topic, client, limit: 10, ..Default::default() };
    assert_eq!(read(query), ["b $share/g/m/t/#", "b m/t/2"]);
    let key = ClientKey { gateway: GatewayId(0), client_id: "a".into() };
    let query = SubscriptionQuery { client: Some(key), limit: 10, ..Default::default() };
    let page = shard.subscriptions(&query);
    let found = &page.subscriptions[1];
    assert_eq!((found.qos, found.no_local, found.identifier), (QoS::ExactlyOnce, true, Some(3)));
}

#[test]
fn retained_messages_come_in_pages() {
    let mut w = World::new(ONE);
    let p = w.connect(id("p"));
    for topic in ["r/2", "r/1", "s", "r/3"] {
        w.publish(p, msg(topic, topic, 0).retain());
    }
    w.publish(p, msg("r/0", "x", 0).retain().expiry_s(1));
    let now: Timestamp = w.now.plus_seconds(2);
    let shard = w.shard(0).0;
    for limit in [1, 2, 100] {
        let filter = Filter::parse("r/#").unwrap();
        let mut query = RetainedQuery { filter, after: None, limit };
        let mut topics = Vec::new();
        loop {
            let page = shard.retained(now, &query);
            topics.extend(page.messages.iter().map(|m| m.topic().to_string()));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        assert_eq!(topics, ["r/1", "r/2", "r/3"]);
    }
}
