use std::sync::Arc;
use std::thread;

use core_model::BrokerLimits;
use gateway_host::HostLimits;

use super::{Hashing, Limits, ListenerLimits, Node, to_usize};

impl Node {
    /// The bounds of one of `shards` shards.
    pub fn broker_limits(&self, shards: u16) -> BrokerLimits {
        let lookups = self.handshakes.max_lookups.div_ceil(shards.max(1).into());
        BrokerLimits { lookups_max: to_usize(lookups.into()), ..per_shard(&self.limits, shards) }
    }

    /// The bounds of the links of one of `shards` shards.
    pub fn host_limits(&self, shards: u16) -> HostLimits {
        let (links, handshakes) = (&self.limits.links, &self.handshakes);
        let buffered = links.max_buffered_total.0.div_ceil(u64::from(shards.max(1)));
        HostLimits {
            buffered_bytes_total_max: to_usize(buffered),
            read_buffer_bytes: to_usize(links.read_buffer.0),
            write_buffer_high_bytes: to_usize(links.max_output.0),
            write_overrun_bytes_max: to_usize(links.max_output_overrun.0),
            write_stall_timeout_s: links.stall_timeout.whole_seconds(),
            handshakes_max: to_usize(handshakes.max.into()),
            handshake_timeout_ms: handshakes.timeout.ms,
            lookup_timeout_ms: handshakes.lookup_timeout.ms,
            side_threads: handshakes.threads.into(),
            ..HostLimits::default()
        }
    }
}

impl Hashing {
    /// How many passwords are hashed at once: as configured, or half as many as this process has
    /// CPUs.
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => thread::available_parallelism().map_or(1, |cpus| cpus.get().div_ceil(2)),
            threads => threads.into(),
        }
    }
}

/// The bounds of one of `shards` shards, look-ups apart.
fn per_shard(limits: &Limits, shards: u16) -> BrokerLimits {
    let share = |total: u64| to_usize(total.div_ceil(u64::from(shards.max(1))));
    BrokerLimits {
        session: Arc::new(ListenerLimits::new(&[], limits).session),
        kept_bytes_total_max: share(limits.max_kept_bytes_total.0),
        sessions_max: share(limits.max_sessions.into()),
        subscription_bytes_total_max: share(limits.max_subscription_bytes_total.0),
        client_id_bytes_max: limits.max_client_id_bytes.into(),
        retained_messages_max: share(limits.max_retained_messages.into()),
        retained_bytes_max: share(limits.max_retained_bytes.0),
        route_cache_topics_max: share(limits.max_route_cache_topics.into()),
        group_held_messages_max: to_usize(limits.shared.max_held_messages.into()),
        share_strategy: limits.shared.strategy.into(),
        share_strategy_by_name: limits
            .shared
            .groups
            .list
            .iter()
            .map(|(name, strategy)| (name.as_str().into(), (*strategy).into()))
            .collect(),
        retransmit_after_s: limits.retransmit_after.0.map_or(0, |after| after.whole_seconds()),
        work_per_turn_max: to_usize(limits.max_work_per_turn.into()),
        ..BrokerLimits::default()
    }
}
