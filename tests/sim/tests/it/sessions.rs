//! Sessions and links, where many of them meet.

use std::sync::Arc;

use core_model::{
    BrokerLimits, Disconnect, DisconnectCause, Expiry, Filter, Outcome, QoS, Reason,
    RetainHandling, ShardId, SlotId, Subscription,
};
use tests_sim::rng::Rng;
use tests_sim::trace::{Draft, Ev, Op};
use tests_sim::world::NodeConfig;

use crate::bench::{Bench, hello};

//= mqtt5:3.1.4-3
//= mqtt311:3.1.4-2
#[test]
fn of_many_links_that_connect_one_client_at_once_one_stays() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let shards = rng.between(1, 4) as u16;
        let mut bench = Bench::new(seed, NodeConfig { shards, ..NodeConfig::default() });
        let slots: Vec<SlotId> = (0..rng.between(2, 6))
            .map(|_| {
                let mut hello = hello(1);
                hello.clean_start = rng.chance(50);
                hello.expiry = rng.pick(&[Expiry::WithLink, Expiry::Never]);
                let shard = ShardId(rng.below(usize::from(shards)) as u16);
                let slot =
                    bench.world.open(shard, rng.chance(50), "c1", Op::Connect(Box::new(hello)));
                for _ in 0..rng.below(6) {
                    bench.world.random_turn();
                }
                slot
            })
            .collect();
        bench.rest();
        let mut stayed = 0;
        for slot in slots {
            let events = bench.read(slot);
            let kick = Ev::Kicked(Reason::SESSION_TAKEN_OVER);
            let rest = match events.as_slice() {
                [Ev::Connected { .. }, rest @ ..] => rest,
                other => panic!("seed {seed}: {other:?}"),
            };
            match rest {
                [] => stayed += 1,
                [only] if *only == kick => bench.world.forget(slot),
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        assert_eq!(stayed, 1, "seed {seed}");
        let connected: u64 =
            bench.world.shards().iter().map(|s| s.counters().clients_connected).sum();
        assert_eq!(connected, 1, "seed {seed}");
    }
}

#[test]
fn a_client_that_comes_and_goes_leaves_no_deadlines_behind() {
    let limits = BrokerLimits { retransmit_after_s: 20, ..BrokerLimits::default() };
    let mut bench = Bench::new(1, NodeConfig { limits, ..NodeConfig::default() });
    for round in 0..200_u32 {
        let mut hello = hello(0);
        hello.expiry = Expiry::After(100_000 - 7 * round);
        hello.may_retransmit = true;
        bench.connect(ShardId(0), hello);
        bench.rest();
        let cause = DisconnectCause::Lost(Reason::UNSPECIFIED);
        bench.send(0, Op::Disconnect(Disconnect { cause, expiry: None }));
        bench.rest();
        bench.world.pass(1_000);
        let left = bench.world.shard(ShardId(0)).leftovers();
        let timers = left.iter().find(|(name, _)| *name == "timers");
        assert!(timers.is_none_or(|(_, count)| *count <= 2), "{left:?} after round {round}");
    }
}

//= mqtt5:2.2.1-4
//= mqtt5:4.3.2-1
//= mqtt311:2.3.1-1
//= mqtt311:2.3.1-4
#[test]
fn handles_go_round_one_that_nobody_settles() {
    let mut bench = Bench::new(1, NodeConfig { inputs_per_turn: 1, ..NodeConfig::default() });
    for client in 0..2 {
        bench.connect(ShardId(0), hello(client));
    }
    let ticket = bench.ticket();
    let subscriptions = vec![Subscription {
        filter: Filter::parse("t").expect("it is valid"),
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }];
    bench.rest();
    bench.send(1, Op::Subscribe { ticket, identifier: None, subscriptions });
    bench.rest();
    bench.read_client(1);
    let (mut kept, mut last) = (Vec::new(), 0);
    for number in 0..66_000 {
        let draft = Draft {
            number,
            topic: Arc::from("t"),
            qos: QoS::AtLeastOnce,
            retain: false,
            empty: false,
            expires_at: None,
        };
        let ticket = bench.ticket();
        bench.send(0, Op::Publish { ticket, id: 1, draft, stored: true });
        bench.rest();
        let handle = match bench.read_client(1).as_slice() {
            [Ev::Deliver(arrival)] => arrival.handle,
            other => panic!("message {number}: {other:?}"),
        };
        assert!(handle != 0 && !kept.contains(&handle), "{handle} is in use");
        assert_ne!(handle, last);
        last = handle;
        if number == 0 || number == 40_000 {
            kept.push(handle);
        } else {
            bench.send(1, Op::Settle { handle, outcome: Outcome::Accepted });
        }
    }
    assert_eq!(kept.len(), 2);
}

#[test]
fn every_client_hears_that_the_node_stops() {
    let limits = BrokerLimits { work_per_turn_max: 3, ..BrokerLimits::default() };
    let config = NodeConfig { shards: 3, limits, ..NodeConfig::default() };
    let mut bench = Bench::new(5, config);
    for client in 0..40 {
        bench.connect(ShardId((client % 3) as u16), hello(client));
    }
    bench.rest();
    for client in 0..40 {
        bench.read_client(client);
    }
    bench.world.drain();
    bench.rest();
    for client in 0..40 {
        assert_eq!(bench.read_client(client), [Ev::Draining], "client {client}");
    }
}
