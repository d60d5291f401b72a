//! Sessions and links, where many of them meet.

use core_model::{BrokerLimits, Disconnect, DisconnectCause, Expiry, Reason, ShardId, SlotId};
use tests_sim::rng::Rng;
use tests_sim::trace::{Ev, Op};
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
