use std::sync::Arc;

use core_model::{BrokerLimits, Overflow as CoreOverflow, SessionLimits, ShareStrategy};
use gateway_host::HostLimits;

use super::{Limits, Links, Overflow, Strategy};

impl Limits {
    /// The bounds of one of `shards` shards.
    pub fn per_shard(&self, shards: u16) -> BrokerLimits {
        let share = |total: u64| to_usize(total.div_ceil(u64::from(shards.max(1))));
        BrokerLimits {
            session: Arc::new(self.session()),
            kept_bytes_total_max: share(self.max_kept_bytes_total.0),
            sessions_max: share(self.max_sessions.into()),
            subscription_bytes_total_max: share(self.max_subscription_bytes_total.0),
            client_id_bytes_max: self.max_client_id_bytes.into(),
            retained_messages_max: share(self.max_retained_messages.into()),
            retained_bytes_max: share(self.max_retained_bytes.0),
            route_cache_topics_max: share(self.max_route_cache_topics.into()),
            group_held_messages_max: to_usize(self.shared.max_held_messages.into()),
            share_strategy: self.shared.strategy.into(),
            share_strategy_by_name: self
                .shared
                .groups
                .list
                .iter()
                .map(|(name, strategy)| (name.as_str().into(), (*strategy).into()))
                .collect(),
            retransmit_after_s: self.retransmit_after.0.map_or(0, |after| after.whole_seconds()),
            work_per_turn_max: to_usize(self.max_work_per_turn.into()),
            ..BrokerLimits::default()
        }
    }

    /// The bounds of a session whose listener has no others.
    pub fn session(&self) -> SessionLimits {
        SessionLimits {
            inflight_max: self.max_inflight,
            queued_messages_max: to_usize(self.max_queued_messages.into()),
            queued_bytes_max: to_usize(self.max_queued_bytes.0),
            overflow: match self.overflow {
                Overflow::DropNewest => CoreOverflow::DropNewest,
                Overflow::DropOldest => CoreOverflow::DropOldest,
            },
            queue_qos0_offline: self.queue_qos0_offline,
            // The greatest number of seconds means "never" to the core, as it does in MQTT.
            session_expiry_max_s: self
                .max_session_expiry
                .0
                .map_or(u32::MAX, |max| max.whole_seconds().min(u32::MAX - 1)),
            subscriptions_max: to_usize(self.max_subscriptions.into()),
            topic_levels_max: self.max_topic_levels.into(),
        }
    }
}

impl Links {
    /// The bounds of the links of one of `shards` shards.
    pub fn host_limits(&self, shards: u16) -> HostLimits {
        let buffered = self.max_buffered_total.0.div_ceil(u64::from(shards.max(1)));
        HostLimits {
            buffered_bytes_total_max: to_usize(buffered),
            read_buffer_bytes: to_usize(self.read_buffer.0),
            write_buffer_high_bytes: to_usize(self.max_output.0),
            write_overrun_bytes_max: to_usize(self.max_output_overrun.0),
            write_stall_timeout_s: self.stall_timeout.whole_seconds(),
            ..HostLimits::default()
        }
    }
}

impl From<Strategy> for ShareStrategy {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Random => ShareStrategy::Random,
            Strategy::RoundRobin => ShareStrategy::RoundRobin,
            Strategy::Sticky => ShareStrategy::Sticky,
            Strategy::HashClient => ShareStrategy::HashClient,
            Strategy::HashTopic => ShareStrategy::HashTopic,
            Strategy::Local => ShareStrategy::Local,
            Strategy::Claim => ShareStrategy::Claim,
        }
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
