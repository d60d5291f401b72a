//! The real broker against the naive one.

use std::sync::Arc;

use core_model::{
    BrokerLimits, DisconnectCause, Expiry, Filter, Outcome, Overflow, QoS, Reason, RetainHandling,
    SessionLimits, ShareStrategy, Subscription,
};
use proptest::prelude::*;
use proptest::sample::select;
use tests_sim::model::{Act, Model, Queues};
use tests_sim::trace::Draft;
use tests_sim::world::NodeConfig;

use crate::bench::Bench;

const TOPICS: &[&str] = &["t", "t/a", "t/b", "t/a/b", "/a", "$s/a"];
const RETAINED: &[&str] = &["r", "r/a", "r/b", "r/a/b"];
const FILTERS: &[&str] = &["t", "t/a", "t/+", "t/#", "+/a", "t/a/#", "t/+/b", "$s/#"];
const WIDE_FILTERS: &[&str] = &["#", "r/a", "r/+", "r/#", "+/#"];
const GROUPS: &[&str] = &["$share/g/t/#", "$share/h/t/a", "$share/g/r/+"];

/// Clients that subscribe alone, with small windows, and clients that may share.
const LONERS: std::ops::Range<usize> = 0..2;
const SHARERS: std::ops::Range<usize> = 2..4;

/// What proptest draws; it becomes an [`Act`] when the state of the model is known.
#[derive(Clone, Debug)]
enum Draw {
    Connect { client: usize, clean: bool, expiry: Expiry, window: u16, will: Option<DrawnWill> },
    Subscribe { client: usize, identifier: Option<u32>, subscriptions: Vec<Subscription> },
    Unsubscribe { client: usize, filters: Vec<&'static str> },
    Publish { client: usize, id: u16, message: DrawnMessage, expiry_s: Option<u32> },
    Release { client: usize, id: u16 },
    Settle { client: usize, place: usize, discard: bool },
    Bogus { client: usize, handle: u16, received: bool },
    Demand { client: usize, open: bool },
    Disconnect { client: usize, cause: DisconnectCause, expiry: Option<Expiry> },
    Read { client: usize, filter: &'static str, limit: u32, after: Option<&'static str> },
    Pass { millis: u64 },
}

#[derive(Clone, Debug)]
struct DrawnMessage {
    topic: &'static str,
    qos: QoS,
    retain: bool,
    empty: bool,
}

#[derive(Clone, Debug)]
struct DrawnWill {
    message: DrawnMessage,
    delay_s: u32,
    expiry_s: Option<u32>,
}

fn any_client() -> impl Strategy<Value = usize> {
    LONERS.start..SHARERS.end
}

fn any_qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn any_expiry() -> impl Strategy<Value = Expiry> {
    select(vec![Expiry::WithLink, Expiry::After(2), Expiry::After(30), Expiry::Never])
}

fn any_message(wide: bool) -> impl Strategy<Value = DrawnMessage> {
    let plain = (select(TOPICS), any_qos(), any::<bool>())
        .prop_map(|(topic, qos, empty)| DrawnMessage { topic, qos, retain: false, empty });
    let retained = (select(RETAINED), any_qos(), prop::bool::weighted(0.8), any::<bool>())
        .prop_map(|(topic, qos, retain, empty)| DrawnMessage { topic, qos, retain, empty });
    if wide { prop_oneof![2 => plain, 1 => retained].boxed() } else { plain.boxed() }
}

fn any_will(wide: bool) -> impl Strategy<Value = DrawnWill> {
    (any_message(wide), select(vec![0, 0, 1, 20]), select(vec![None, None, Some(1)]))
        .prop_map(|(message, delay_s, expiry_s)| DrawnWill { message, delay_s, expiry_s })
}

fn any_handling() -> impl Strategy<Value = RetainHandling> {
    select(vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend])
}

fn any_subscription(wide: bool) -> impl Strategy<Value = Subscription> {
    let narrow = (select(FILTERS), any::<bool>());
    let wider = select(WIDE_FILTERS).prop_map(|filter| (filter, false));
    let filter = if wide { prop_oneof![narrow, wider].boxed() } else { narrow.boxed() };
    (filter, any_qos(), any::<bool>(), any_handling()).prop_map(
        |((filter, no_local), qos, retain_as_published, retain_handling)| Subscription {
            filter: Filter::parse(filter).expect("it is valid"),
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    )
}

fn subscribe(wide: bool) -> impl Strategy<Value = Draw> {
    let subscriptions = prop::collection::vec(any_subscription(wide), 1..4);
    (any_client(), prop::option::of(1_u32..5), subscriptions).prop_map(
        |(client, identifier, subscriptions)| Draw::Subscribe { client, identifier, subscriptions },
    )
}

/// To a group, with an identifier of its own, so that its copies can be told from others.
fn share() -> impl Strategy<Value = Draw> {
    let group = select((100..).zip(GROUPS).collect::<Vec<_>>());
    (SHARERS, group, any_qos(), any::<bool>()).prop_map(
        |(client, (identifier, filter), qos, retain_as_published)| Draw::Subscribe {
            client,
            identifier: Some(identifier),
            subscriptions: vec![Subscription {
                filter: Filter::parse(filter).expect("it is valid"),
                qos,
                no_local: false,
                retain_as_published,
                retain_handling: RetainHandling::Send,
            }],
        },
    )
}

fn unsubscribe() -> impl Strategy<Value = Draw> {
    let all = [FILTERS, WIDE_FILTERS, GROUPS].concat();
    (any_client(), prop::collection::vec(select(all), 1..3))
        .prop_map(|(client, filters)| Draw::Unsubscribe { client, filters })
}

fn connect(wide: bool) -> impl Strategy<Value = Draw> {
    let will =
        if wide { prop::option::weighted(0.4, any_will(wide)).boxed() } else { Just(None).boxed() };
    let window = select(vec![1, 2, 3, 100]);
    (any_client(), prop::bool::weighted(0.2), any_expiry(), window, will).prop_map(
        |(client, clean, expiry, window, will)| {
            let window = if SHARERS.contains(&client) { 1000 } else { window };
            Draw::Connect { client, clean, expiry, window, will }
        },
    )
}

fn disconnect() -> impl Strategy<Value = Draw> {
    let lost = DisconnectCause::Lost(Reason::UNSPECIFIED);
    let causes = vec![DisconnectCause::Farewell, DisconnectCause::FarewellWithWill, lost];
    (any_client(), select(causes), prop::option::of(any_expiry()))
        .prop_map(|(client, cause, expiry)| Draw::Disconnect { client, cause, expiry })
}

fn publish(wide: bool) -> impl Strategy<Value = Draw> {
    let expiry = prop::option::weighted(0.3, select(vec![1, 3]));
    (any_client(), 1_u16..4, any_message(wide), expiry)
        .prop_map(|(client, id, message, expiry_s)| Draw::Publish { client, id, message, expiry_s })
}

fn read() -> impl Strategy<Value = Draw> {
    let after = prop::option::of(select(RETAINED));
    (any_client(), select(vec!["#", "r/+", "r/#", "r/a", "t"]), 1_u32..4, after)
        .prop_map(|(client, filter, limit, after)| Draw::Read { client, filter, limit, after })
}

fn any_draw(wide: bool) -> impl Strategy<Value = Draw> {
    let share = if wide { share().boxed() } else { subscribe(false).boxed() };
    prop_oneof![
        4 => connect(wide),
        4 => subscribe(wide),
        2 => share,
        1 => unsubscribe(),
        10 => publish(wide),
        2 => (any_client(), 1_u16..4).prop_map(|(client, id)| Draw::Release { client, id }),
        8 => (any_client(), any::<usize>(), prop::bool::weighted(0.1))
            .prop_map(|(client, place, discard)| Draw::Settle { client, place, discard }),
        1 => (any_client(), 1_u16..4, any::<bool>())
            .prop_map(|(client, handle, received)| Draw::Bogus { client, handle, received }),
        1 => (LONERS, any::<bool>()).prop_map(|(client, open)| Draw::Demand { client, open }),
        2 => disconnect(),
        1 => read(),
        2 => select(vec![500, 1000, 2500, 40_000]).prop_map(|millis| Draw::Pass { millis }),
    ]
}

/// Both brokers, and the number of the next message.
struct Pair {
    bench: Bench,
    model: Model,
    next_number: u64,
}

impl Pair {
    fn draft(&mut self, message: &DrawnMessage) -> Draft {
        self.next_number += 1;
        Draft {
            number: self.next_number,
            topic: Arc::from(message.topic),
            qos: message.qos,
            retain: message.retain,
            empty: message.empty,
            expires_at: None,
        }
    }

    fn act_of(&mut self, draw: &Draw) -> Option<Act> {
        Some(match draw.clone() {
            Draw::Connect { client, clean, expiry, window, will } => {
                let will =
                    will.map(|will| (self.draft(&will.message), will.delay_s, will.expiry_s));
                Act::Connect { client, clean_start: clean, expiry, receive_max: window, will }
            }
            Draw::Subscribe { client, identifier, subscriptions } => {
                Act::Subscribe { client, identifier, subscriptions }
            }
            Draw::Unsubscribe { client, filters } => {
                let filters = filters.into_iter().map(Into::into).collect();
                Act::Unsubscribe { client, filters }
            }
            Draw::Publish { client, id, message, expiry_s } => {
                let mut draft = self.draft(&message);
                draft.expires_at = expiry_s.map(|s| self.bench.world.now.plus_seconds(s));
                Act::Publish { client, id, draft }
            }
            Draw::Release { client, id } => Act::Release { client, id },
            Draw::Settle { client, place, discard } => {
                let unsettled = self.model.unsettled(client);
                let (handle, qos, released) = *unsettled.get(place % unsettled.len().max(1))?;
                let outcome = match (qos, released) {
                    (QoS::ExactlyOnce, true) => Outcome::Accepted,
                    _ if discard => Outcome::Discarded(Reason::QUOTA_EXCEEDED),
                    (QoS::ExactlyOnce, false) => Outcome::Received,
                    _ => Outcome::Accepted,
                };
                Act::Settle { client, handle, outcome }
            }
            Draw::Bogus { client, handle, received } => {
                let handle = handle + 60_000;
                let outcome = if received { Outcome::Received } else { Outcome::Accepted };
                Act::Settle { client, handle, outcome }
            }
            Draw::Demand { client, open } => Act::Demand { client, open },
            Draw::Disconnect { client, cause, expiry } => Act::Disconnect { client, cause, expiry },
            Draw::Read { client, filter, limit, after } => {
                let filter = Filter::parse(filter).expect("it is valid");
                Act::Read { client, filter, limit, after: after.map(Into::into) }
            }
            Draw::Pass { millis } => Act::Pass { millis },
        })
    }
}

fn compare(draws: &[Draw], config: NodeConfig, queues: Queues) -> Result<(), TestCaseError> {
    let bench = Bench::new(7, config);
    let model = Model::new(bench.world.now, queues);
    let mut pair = Pair { bench, model, next_number: 0 };
    for draw in draws {
        let Some(act) = pair.act_of(draw) else { continue };
        let is_connect = matches!(act, Act::Connect { .. });
        if act.client().is_some_and(|client| !is_connect && !pair.model.is_connected(client)) {
            continue;
        }
        let (events, lost) = pair.bench.act(&act);
        if let Err(fault) = pair.model.act(&act, events, lost) {
            let trace = pair.bench.world.witness.report();
            return Err(TestCaseError::fail(format!("{act:?}: {fault}\n{trace}")));
        }
    }
    Ok(())
}

fn node(shards: u16, limits: BrokerLimits) -> NodeConfig {
    NodeConfig { shards, ring_capacity: 1, inputs_per_turn: 2, limits, ..NodeConfig::default() }
}

/// Queues that never fill.
const ROOMY: Queues = Queues { max: usize::MAX, drop_oldest: false };

fn any_strategy() -> impl Strategy<Value = ShareStrategy> {
    select(vec![
        ShareStrategy::Random,
        ShareStrategy::RoundRobin,
        ShareStrategy::Sticky,
        ShareStrategy::HashClient,
        ShareStrategy::HashTopic,
        ShareStrategy::Local,
        ShareStrategy::Claim,
    ])
}

fn cases() -> u32 {
    let number = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    number.unwrap_or(1_500)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // `PROPTEST_CASES=n` for more.
        ..ProptestConfig::with_cases(cases())
    })]

    #[test]
    fn one_shard_does_what_the_model_does(
        draws in prop::collection::vec(any_draw(true), 1..80),
        share_strategy in any_strategy(),
    ) {
        let limits = BrokerLimits { share_strategy, ..BrokerLimits::default() };
        compare(&draws, node(1, limits), ROOMY)?;
    }

    //= mqtt5:3.1.2-4
    //= mqtt5:3.1.2-5
    //= mqtt5:3.1.2-6
    //= mqtt5:3.1.2-7
    //= mqtt5:3.1.2-8
    //= mqtt5:3.1.2-10
    //= mqtt5:3.1.2-14
    //= mqtt5:3.1.2-15
    //= mqtt5:3.1.2-23
    //= mqtt5:3.1.3-9
    //= mqtt5:3.1.4-3
    //= mqtt5:3.1.4-4
    //= mqtt5:3.2.2-2
    //= mqtt5:3.2.2-3
    //= mqtt5:3.3.1-5
    //= mqtt5:3.3.1-6
    //= mqtt5:3.3.1-7
    //= mqtt5:3.3.1-8
    //= mqtt5:3.3.1-9
    //= mqtt5:3.3.1-10
    //= mqtt5:3.3.1-11
    //= mqtt5:3.3.1-12
    //= mqtt5:3.3.1-13
    //= mqtt5:3.3.2-3
    //= mqtt5:3.3.2-5
    //= mqtt5:3.3.4-1
    //= mqtt5:3.3.4-2
    //= mqtt5:3.3.4-3
    //= mqtt5:3.3.4-4
    //= mqtt5:3.3.4-9
    //= mqtt5:3.8.3-3
    //= mqtt5:3.8.4-1
    //= mqtt5:3.8.4-3
    //= mqtt5:3.8.4-4
    //= mqtt5:3.8.4-5
    //= mqtt5:3.8.4-6
    //= mqtt5:3.8.4-7
    //= mqtt5:3.8.4-8
    //= mqtt5:3.9.3-1
    //= mqtt5:3.10.4-1
    //= mqtt5:3.10.4-2
    //= mqtt5:3.10.4-3
    //= mqtt5:3.10.4-4
    //= mqtt5:3.10.4-6
    //= mqtt5:3.14.4-3
    //= mqtt5:4.1.0-1
    //= mqtt5:4.1.0-2
    //= mqtt5:4.3.3-10
    //= mqtt5:4.3.3-11
    //= mqtt5:4.3.3-12
    //= mqtt5:4.4.0-1
    //= mqtt5:4.4.0-2
    //= mqtt5:4.5.0-1
    //= mqtt5:4.6.0-1
    //= mqtt5:4.8.2-3
    //= mqtt5:4.8.2-5
    //= mqtt5:GW-MQTT-12
    //= mqtt5:GW-MQTT-13
    //= mqtt5:GW-MQTT-14
    //= mqtt311:3.1.2-4
    //= mqtt311:3.1.2-5
    //= mqtt311:3.1.2-6
    //= mqtt311:3.1.2-7
    //= mqtt311:3.1.2-8
    //= mqtt311:3.1.2-10
    //= mqtt311:3.1.2-16
    //= mqtt311:3.1.2-17
    //= mqtt311:3.1.4-2
    //= mqtt311:3.1.4-3
    //= mqtt311:3.2.2-1
    //= mqtt311:3.2.2-2
    //= mqtt311:3.2.2-3
    //= mqtt311:3.3.1-5
    //= mqtt311:3.3.1-6
    //= mqtt311:3.3.1-8
    //= mqtt311:3.3.1-9
    //= mqtt311:3.3.1-10
    //= mqtt311:3.3.1-11
    //= mqtt311:3.3.1-12
    //= mqtt311:3.3.2-3
    //= mqtt311:3.3.4-1
    //= mqtt311:3.3.5-1
    //= mqtt311:3.8.4-1
    //= mqtt311:3.8.4-3
    //= mqtt311:3.8.4-4
    //= mqtt311:3.8.4-5
    //= mqtt311:3.8.4-6
    //= mqtt311:3.9.3-1
    //= mqtt311:3.10.4-1
    //= mqtt311:3.10.4-2
    //= mqtt311:3.10.4-3
    //= mqtt311:3.10.4-4
    //= mqtt311:3.10.4-5
    //= mqtt311:3.10.4-6
    //= mqtt311:3.14.4-3
    //= mqtt311:4.1.0-1
    //= mqtt311:4.3.3-2
    //= mqtt311:4.4.0-1
    //= mqtt311:4.5.0-1
    //= mqtt311:4.6.0-1
    #[test]
    fn four_shards_do_what_the_model_does(
        draws in prop::collection::vec(any_draw(true), 1..80),
        share_strategy in any_strategy(),
    ) {
        let limits = BrokerLimits { share_strategy, ..BrokerLimits::default() };
        compare(&draws, node(4, limits), ROOMY)?;
    }

    #[test]
    fn full_queues_do_what_the_model_does(
        draws in prop::collection::vec(any_draw(false), 1..80),
        shards in 1_u16..3,
        max in 1_usize..4,
        drop_oldest in any::<bool>(),
    ) {
        let overflow = if drop_oldest { Overflow::DropOldest } else { Overflow::DropNewest };
        let session = SessionLimits { queued_messages_max: max, overflow, ..SessionLimits::default() };
        let limits = BrokerLimits { session: Arc::new(session), ..BrokerLimits::default() };
        compare(&draws, node(shards, limits), Queues { max, drop_oldest })?;
    }
}
