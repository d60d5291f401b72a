//! One schedule, turn by turn, that chance hardly ever makes.

use std::sync::Arc;

use core_model::{Filter, QoS, RetainHandling, ShardId, SlotId, Subscription};
use tests_sim::trace::{Draft, Ev, Hello, Op};
use tests_sim::world::NodeConfig;

use crate::bench::{Bench, hello};

/// A shard takes turns until it has read all that a link brought.
fn read_all(bench: &mut Bench, slot: SlotId) {
    while bench.world.unsent(slot) > 0 {
        bench.world.turn(slot.shard);
    }
}

/// A client whose session is at home on a shard.
fn client_of(bench: &Bench, shard: ShardId) -> Hello {
    let at_home = |client: &usize| bench.world.home_of(&hello(*client).client_id) == shard;
    hello((0..).find(at_home).expect("some client is at home everywhere"))
}

//= mqtt5:3.3.1-6
//= mqtt311:3.3.1-6
#[test]
fn a_retained_write_under_way_is_waited_for() {
    let config = NodeConfig { shards: 3, ring_capacity: 1, ..NodeConfig::default() };
    let mut bench = Bench::new(11, config);
    let [subscribers, writers, keeper] = [ShardId(0), ShardId(1), ShardId(2)];
    let (reader, writer) = (client_of(&bench, subscribers), client_of(&bench, writers));
    let topic = (0..)
        .map(|n| format!("t/{n}"))
        .find(|topic| bench.world.key().topic_shard(topic, 3) == keeper)
        .expect("some topic is kept there");
    let (reading, writing) = (reader.client, writer.client);
    bench.connect(subscribers, reader);
    bench.connect(writers, writer);
    bench.rest();
    bench.read_client(reading);
    let (reading, writing) = (bench.slots[&reading], bench.slots[&writing]);

    // The first write fills the ring to the keeper, the second stays in the outbox.
    for number in [1, 2] {
        let draft = Draft {
            number,
            topic: Arc::from(topic.as_str()),
            qos: QoS::AtMostOnce,
            retain: true,
            empty: false,
            expires_at: None,
        };
        let ticket = bench.ticket();
        bench.world.send(writing, Op::Publish { ticket, id: 0, draft, stored: false });
        read_all(&mut bench, writing);
    }
    let ticket = bench.ticket();
    let subscriptions = vec![Subscription {
        filter: Filter::parse(&topic).expect("it is valid"),
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }];
    bench.world.send(reading, Op::Subscribe { ticket, identifier: None, subscriptions });
    read_all(&mut bench, reading);
    // Both know the interest, the subscriber's shard hears so and asks, and the question is at the
    // keeper before the second write.
    for shard in [writers, keeper, subscribers, keeper] {
        bench.world.turn(shard);
    }
    bench.rest();
    let arrivals = bench.read(reading).into_iter().filter_map(|event| match event {
        Ev::Deliver(arrival) => Some((arrival.number, arrival.retain)),
        _ => None,
    });
    assert_eq!(arrivals.collect::<Vec<_>>(), [(2, true)]);
}
