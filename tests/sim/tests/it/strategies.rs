//! How shared groups choose, on a node of four shards and without chance in the schedule.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_model::{BrokerLimits, Filter, Outcome, QoS, RetainHandling, ShareStrategy, Subscription};
use tests_sim::trace::{Draft, Ev, Hello, Op};
use tests_sim::world::NodeConfig;

use crate::bench::{Bench, hello};

/// The publishers' numbers; members are 0, 1 and 2.
const PUBLISHERS: [usize; 3] = [10, 11, 12];
const MEMBERS: usize = 3;

struct Group {
    bench: Bench,
    numbers: u64,
}

impl Group {
    fn new(share_strategy: ShareStrategy, change: impl Fn(&mut Hello)) -> Self {
        let limits = BrokerLimits { share_strategy, ..BrokerLimits::default() };
        let mut bench = Bench::new(3, NodeConfig { shards: 4, limits, ..NodeConfig::default() });
        for client in (0..MEMBERS).chain(PUBLISHERS) {
            let mut hello = hello(client);
            change(&mut hello);
            let home = bench.world.home_of(&hello.client_id);
            bench.connect(home, hello);
        }
        bench.rest();
        for member in 0..MEMBERS {
            let subscription = Subscription {
                filter: Filter::parse("$share/g/t/#").expect("it is valid"),
                qos: QoS::ExactlyOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::Send,
            };
            let ticket = bench.ticket();
            let subscriptions = vec![subscription];
            bench.send(member, Op::Subscribe { ticket, identifier: None, subscriptions });
            bench.rest();
            bench.read_client(member);
        }
        Group { bench, numbers: 0 }
    }

    fn publish(&mut self, publisher: usize, topic: &str, qos: QoS) {
        self.numbers += 1;
        let draft = Draft {
            number: self.numbers,
            topic: Arc::from(topic),
            qos,
            retain: false,
            empty: false,
            expires_at: None,
        };
        let ticket = self.bench.ticket();
        self.bench.send(publisher, Op::Publish { ticket, id: 1, draft, stored: false });
        self.bench.rest();
    }

    /// What members got since the last time, with the handles.
    fn taken(&mut self) -> BTreeMap<usize, Vec<u16>> {
        (0..MEMBERS)
            .map(|member| {
                let arrivals = self.bench.read_client(member).into_iter().filter_map(|event| {
                    let Ev::Deliver(arrival) = event else { return None };
                    Some(arrival.handle)
                });
                (member, arrivals.collect())
            })
            .collect()
    }

    fn counts(&mut self) -> Vec<usize> {
        self.taken().into_values().map(|handles| handles.len()).collect()
    }

    /// Publishes one message and says who got it.
    fn taker(&mut self, publisher: usize, topic: &str) -> usize {
        self.publish(publisher, topic, QoS::AtMostOnce);
        let counts = self.counts();
        assert_eq!(counts.iter().sum::<usize>(), 1, "one member gets it: {counts:?}");
        counts.iter().position(|count| *count == 1).expect("somebody got it")
    }
}

#[test]
fn round_robin_gives_to_one_after_the_other() {
    let mut group = Group::new(ShareStrategy::RoundRobin, |_| {});
    let first: Vec<usize> = (0..3).map(|_| group.taker(10, "t/a")).collect();
    let mut sorted = first.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2]);
    let second: Vec<usize> = (0..3).map(|_| group.taker(11, "t/b")).collect();
    assert_eq!(first, second);
}

#[test]
fn random_gives_to_all_about_alike() {
    let mut group = Group::new(ShareStrategy::Random, |_| {});
    for _ in 0..300 {
        group.publish(10, "t/a", QoS::AtMostOnce);
    }
    let counts = group.counts();
    assert!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
}

#[test]
fn sticky_stays_until_its_member_goes() {
    let mut group = Group::new(ShareStrategy::Sticky, |_| {});
    let taker = group.taker(10, "t/a");
    assert!((0..20).all(|n| group.taker(PUBLISHERS[n % 3], "t/b") == taker));
    let slot = group.bench.slots[&taker];
    group.bench.world.cut(slot, 0, true);
    group.bench.slots.remove(&taker);
    group.bench.rest();
    let next = group.taker(10, "t/a");
    assert_ne!(next, taker);
    assert!((0..20).all(|n| group.taker(PUBLISHERS[n % 3], "t/b") == next));
}

#[test]
fn hash_client_gives_a_publisher_always_the_same_member() {
    let mut group = Group::new(ShareStrategy::HashClient, |_| {});
    for publisher in PUBLISHERS {
        let taker = group.taker(publisher, "t/a");
        assert!((0..10).all(|n| group.taker(publisher, &format!("t/{n}")) == taker));
    }
}

#[test]
fn hash_topic_gives_a_topic_always_the_same_member() {
    let mut group = Group::new(ShareStrategy::HashTopic, |_| {});
    let mut takers = Vec::new();
    for topic in (0..20).map(|n| format!("t/{n}")) {
        let taker = group.taker(10, &topic);
        assert!(PUBLISHERS.iter().all(|publisher| group.taker(*publisher, &topic) == taker));
        takers.push(taker);
    }
    takers.sort_unstable();
    takers.dedup();
    assert_eq!(takers, [0, 1, 2], "many topics reach all members");
}

#[test]
fn local_prefers_members_on_the_publishers_shard() {
    let mut group = Group::new(ShareStrategy::Local, |_| {});
    let home = |group: &Group, client: usize| group.bench.world.home_of(&format!("c{client}"));
    for publisher in (0..MEMBERS).chain(PUBLISHERS) {
        let near: Vec<usize> =
            (0..MEMBERS).filter(|m| home(&group, *m) == home(&group, publisher)).collect();
        for _ in 0..6 {
            let taker = group.taker(publisher, "t/a");
            assert!(near.is_empty() || near.contains(&taker), "{taker} is not one of {near:?}");
        }
    }
}

#[test]
fn claim_gives_nobody_more_than_he_can_take_at_once() {
    let mut group = Group::new(ShareStrategy::Claim, |hello| hello.receive_max = 2);
    for n in 0..20 {
        group.publish(PUBLISHERS[n % 3], "t/a", QoS::AtLeastOnce);
    }
    let queued = |group: &Group| -> u64 {
        group.bench.world.shards().iter().map(|shard| shard.counters().queued_messages).sum()
    };
    assert_eq!(queued(&group), 0, "what nobody can take waits in the group");
    let mut total = 0;
    loop {
        let taken = group.taken();
        assert!(taken.values().all(|handles| handles.len() <= 2), "{taken:?}");
        let count: usize = taken.values().map(Vec::len).sum();
        if count == 0 {
            break;
        }
        total += count;
        for (member, handles) in taken {
            for handle in handles {
                group.bench.send(member, Op::Settle { handle, outcome: Outcome::Accepted });
            }
        }
        group.bench.rest();
        assert_eq!(queued(&group), 0);
    }
    assert_eq!(total, 20);
}
