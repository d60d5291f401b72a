//! What kinds of runs there are.

use std::sync::Arc;

use core_model::{BrokerLimits, Overflow, QoS, SessionLimits, ShareStrategy};

use crate::checkers::Promises;
use crate::rng::Rng;
use crate::world::NodeConfig;

/// What kind of run a seed makes.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The node.
    pub node: NodeConfig,
    /// What checkers may expect.
    pub promises: Promises,
    /// How many clients.
    pub clients: usize,
    /// How many steps.
    pub steps: usize,
    /// Per cent of slots on another shard than their session.
    pub remote: usize,
    /// Per cent of slots that share one link.
    pub hubs: usize,
    /// Per cent of clients that may hand deliveries back.
    pub requeues: usize,
    /// Per cent of deliveries that are refused.
    pub discards: usize,
    /// Per cent of subscriptions that are shared.
    pub shared: usize,
    /// Per cent of members of groups with QoS 0.
    pub shared_qos0: usize,
    /// Per cent of messages that expire.
    pub expires: usize,
    /// How often of a thousand steps the process is killed.
    pub crashes: usize,
    /// Highest QoS of what clients publish.
    pub qos_max: QoS,
    /// Per cent of connects that take a look-up.
    pub slow: usize,
    /// Per cent of connects with wrong credentials.
    pub wrong: usize,
    /// How often of a thousand steps the rules change.
    pub rule_changes: usize,
    /// Per cent of clients that are sleepers.
    pub sleepers: usize,
}

impl Profile {
    /// A run in which nothing may get lost.
    #[must_use]
    pub fn lossless(rng: &mut Rng) -> Self {
        let shards = rng.between(1, 4) as u16;
        let inflight_max = rng.pick(&[3, 20, 1024]);
        let limits = BrokerLimits {
            session: Arc::new(SessionLimits { inflight_max, ..SessionLimits::default() }),
            share_strategy: rng.pick(&[
                ShareStrategy::Random,
                ShareStrategy::RoundRobin,
                ShareStrategy::Sticky,
                ShareStrategy::HashClient,
                ShareStrategy::HashTopic,
                ShareStrategy::Local,
                ShareStrategy::Claim,
            ]),
            route_cache_topics_max: rng.pick(&[0, 1, 4, 1000]),
            work_per_turn_max: rng.pick(&[1, 3, 1000]),
            ..BrokerLimits::default()
        };
        Profile {
            node: NodeConfig {
                shards,
                ring_capacity: rng.pick(&[1, 1, 2, 8]),
                store_delay_max: rng.pick(&[0, 1, 4, 10]),
                inputs_per_turn: rng.pick(&[1, 4, 10]),
                strict_reading: rng.chance(50),
                guarded: false,
                limits,
            },
            promises: Promises { lossless: true, no_retransmission: true, guarded: false },
            clients: rng.between(2, 6),
            steps: rng.between(100, 700),
            remote: rng.pick(&[0, 0, 30, 100]),
            hubs: rng.pick(&[0, 30]),
            requeues: rng.pick(&[0, 0, 0, 30]),
            discards: rng.pick(&[0, 0, 5]),
            shared: rng.pick(&[0, 20, 60]),
            shared_qos0: rng.pick(&[0, 0, 30]),
            expires: 0,
            crashes: 0,
            qos_max: QoS::ExactlyOnce,
            slow: 0,
            wrong: 0,
            rule_changes: 0,
            sleepers: 0,
        }
    }

    /// A run in which the process is killed now and then. On several shards without shared
    /// subscriptions and QoS 2 publishes, of which one shard may forget its part and another not.
    #[must_use]
    pub fn crashing(rng: &mut Rng) -> Self {
        let mut profile = Self::lossless(rng);
        profile.crashes = rng.between(3, 20);
        profile.requeues = 0;
        if rng.chance(50) {
            profile.node.shards = 1;
        } else {
            profile.shared = 0;
            profile.qos_max = QoS::AtLeastOnce;
        }
        profile
    }

    /// A run in which clients are looked at before they are let in, by look-ups that take their
    /// time, and in which rules change that standing subscriptions have to obey.
    #[must_use]
    pub fn guarded(rng: &mut Rng) -> Self {
        let mut profile = Self::lossless(rng);
        profile.node.guarded = true;
        profile.promises.guarded = true;
        profile.slow = rng.pick(&[0, 50, 100]);
        profile.wrong = rng.pick(&[0, 20, 50]);
        profile.rule_changes = rng.pick(&[0, 5, 20]);
        profile
    }

    /// A run of any kind but a guarded one, in which clients sleep, say how many messages they take,
    /// leave notes, keep wills, and do not let everybody have their sessions.
    #[must_use]
    pub fn sleeping(rng: &mut Rng) -> Self {
        let kind = rng.pick(&[Self::lossless, Self::lossless, Self::crashing, Self::tight]);
        let mut profile = kind(rng);
        profile.sleepers = rng.pick(&[50, 100]);
        profile
    }

    /// A run with small queues, expiring messages, and repetitions on the same link.
    #[must_use]
    pub fn tight(rng: &mut Rng) -> Self {
        let mut profile = Self::lossless(rng);
        let limits = &mut profile.node.limits;
        let session = Arc::make_mut(&mut limits.session);
        session.queued_messages_max = rng.between(1, 8);
        session.queued_bytes_max = rng.pick(&[500, 100_000]);
        session.overflow = rng.pick(&[Overflow::DropNewest, Overflow::DropOldest]);
        session.queue_qos0_offline = rng.chance(50);
        limits.group_held_messages_max = rng.between(1, 5);
        limits.retransmit_after_s = rng.pick(&[0, 2]);
        let no_retransmission = limits.retransmit_after_s == 0;
        profile.promises = Promises { lossless: false, no_retransmission, guarded: false };
        profile.expires = rng.pick(&[0, 30]);
        profile
    }
}
