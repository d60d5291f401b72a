//! How much memory a configuration can need at most.

use std::fmt;

use gateway_host::HostLimits;

use crate::config::{Config, Listener};

/// The most memory that a server with a configuration can need, and how it is made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBound {
    /// What each part is, and its bytes.
    pub parts: Vec<(String, u64)>,
}

impl MemoryBound {
    /// Bytes of all parts together, at most `u64::MAX`.
    pub fn total(&self) -> u64 {
        self.parts.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

impl fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        writeln!(f, "memory bound: {total} bytes ({})", human(total))?;
        for (what, bytes) in &self.parts {
            writeln!(f, "  {:>10}  {what}", human(*bytes))?;
        }
        Ok(())
    }
}

/// A session's own state, beside its queue, subscriptions, client id and will.
const SESSION_BYTES: u64 = 1024;
/// A link's own state, beside its input, its output and what its gateway keeps.
const LINK_BYTES: u64 = 2048;
/// What a link may hold even when the buffers of all are in use.
const SPARED_BYTES: u64 = 4096;
/// A delivery's entry in flight, without its message.
const INFLIGHT_BYTES: u64 = 160;
/// What kept messages cost with their entries, as quarters of what is counted for them: a message of
/// some bytes was measured at 2.1 times, a large one costs little more than itself.
const KEPT_TIMES_4: u64 = 9;
/// A remembered topic with its receivers; the core holds on to this number.
const CACHED_TOPIC_BYTES: u64 = 1024;
/// A retained message's places in the indexes.
const RETAINED_INDEX_BYTES: u64 = 128;

/// The most memory that a server with this configuration can need: for each listener its
/// connections times what one of them holds for good, and for the node the buffers of all
/// connections, what is kept and retained, what is remembered of sessions, subscriptions and topics,
/// and what the shards read and write with.
pub fn memory_bound(config: &Config) -> MemoryBound {
    let limits = &config.node.limits;
    let mut parts: Vec<_> = config.listeners.iter().map(connections).collect();
    let session = SESSION_BYTES + u64::from(limits.max_client_id_bytes);
    let sessions = u64::from(limits.max_sessions);
    let retained = u64::from(limits.max_retained_messages).saturating_mul(RETAINED_INDEX_BYTES);
    let topics = u64::from(limits.max_route_cache_topics);
    let host = HostLimits::default();
    let shard = (host.pool_bytes_max + 2 * host.output_per_turn_bytes_max) as u64;
    let shards = u64::from(config.shards());
    parts.extend([
        (
            "buffers of all connections: max_buffered_total".to_owned(),
            limits.links.max_buffered_total.0,
        ),
        (
            "messages kept for sessions, and wills: max_kept_bytes_total and their entries"
                .to_owned(),
            limits.max_kept_bytes_total.0.saturating_mul(KEPT_TIMES_4) / 4,
        ),
        (
            "subscriptions: max_subscription_bytes_total".to_owned(),
            limits.max_subscription_bytes_total.0,
        ),
        (
            "retained messages: max_retained_bytes and the indexes".to_owned(),
            limits.max_retained_bytes.0.saturating_add(retained),
        ),
        (
            format!("{sessions} sessions of {} with client id", human(session)),
            sessions.saturating_mul(session),
        ),
        (
            format!("{topics} remembered topics of {}", human(CACHED_TOPIC_BYTES)),
            topics.saturating_mul(CACHED_TOPIC_BYTES),
        ),
        (
            format!("{shards} shards with their buffers"),
            shards.saturating_mul(shard.saturating_add(limits.links.read_buffer.0)),
        ),
    ]);
    MemoryBound { parts }
}

/// What all connections of a listener hold at most.
fn connections(listener: &Listener) -> (String, u64) {
    let table = &listener.table;
    let inflight = INFLIGHT_BYTES * u64::from(listener.limits.session.inflight_max);
    let own = LINK_BYTES + inflight + listener.own.connection_bytes(&listener.limits);
    let each = SPARED_BYTES.saturating_add(own);
    let count = u64::from(table.max_connections);
    let what = format!(
        "listener {}: {count} connections of {}, without their buffers",
        table.name,
        human(each),
    );
    (what, each.saturating_mul(count))
}

/// Bytes in the greatest unit of which there is at least one, with one decimal.
fn human(bytes: u64) -> String {
    const UNITS: [(&str, u64); 6] = [
        ("EiB", 1 << 60),
        ("PiB", 1 << 50),
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_greatest_unit() {
        assert_eq!(human(0), "0 B");
        assert_eq!(human(1023), "1023 B");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(u64::MAX), "15.9 EiB");
    }
}
