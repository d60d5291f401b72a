//! How much memory a configuration can need at most.

use std::fmt;

use gateway_host::HostLimits;

use crate::config::{Config, Listener};

/// The most memory that a server with a configuration can need, and how it is made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBound {
    /// What each part is, and its bytes.
    pub parts: Vec<(String, u64)>,
    /// What has a limit in number only, so that its bytes are not in the sum.
    pub beyond: Vec<String>,
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
        for what in &self.beyond {
            writeln!(f, "  {:>10}  {what}", "beyond")?;
        }
        Ok(())
    }
}

/// A session's own state, beside its queue, subscriptions, client id and will.
const SESSION_BYTES: u64 = 1024;
/// A link's own state, beside its input, its output and what its gateway keeps.
const LINK_BYTES: u64 = 2048;
/// A remembered topic with its receivers; the core holds on to this number.
const CACHED_TOPIC_BYTES: u64 = 1024;
/// A retained message's places in the indexes.
const RETAINED_INDEX_BYTES: u64 = 128;

/// The most memory that a server with this configuration can need: for each listener its
/// connections times what one of them holds, and for the node what waits, what is retained, what is
/// remembered of sessions and topics, and what the shards read and write with.
pub fn memory_bound(config: &Config) -> MemoryBound {
    let limits = &config.node.limits;
    let mut parts: Vec<_> =
        config.listeners.iter().map(|listener| connections(config, listener)).collect();
    let will = config.listeners.iter().map(|l| l.table.limits.max_connect_size.0).max();
    let session = SESSION_BYTES + u64::from(limits.max_client_id_bytes) + will.unwrap_or(0);
    let sessions = u64::from(limits.max_sessions);
    let retained = u64::from(limits.max_retained_messages).saturating_mul(RETAINED_INDEX_BYTES);
    let topics = u64::from(limits.max_route_cache_topics);
    let host = HostLimits::default();
    let shard = (host.pool_bytes_max + host.output_per_turn_bytes_max) as u64;
    let shards = u64::from(config.shards());
    parts.extend([
        (
            "messages that wait in sessions: max_queued_bytes_total".to_owned(),
            limits.max_queued_bytes_total.0,
        ),
        (
            "retained messages: max_retained_bytes and the indexes".to_owned(),
            limits.max_retained_bytes.0.saturating_add(retained),
        ),
        (
            format!("{sessions} sessions of {} with client id and will", human(session)),
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
    let beyond = vec![
        format!("subscriptions: {} in each session, by their length", limits.max_subscriptions),
        format!(
            "messages in flight: {} in each session that outlives its link",
            limits.max_inflight
        ),
        format!("messages held by shared groups: {} in each", limits.shared.max_held_messages),
    ];
    MemoryBound { parts, beyond }
}

/// What all connections of a listener hold at most.
fn connections(config: &Config, listener: &Listener) -> (String, u64) {
    let (links, table) = (&config.node.limits.links, &listener.table);
    // A packet that is not complete, and what a read brings beyond it.
    let input = table.limits.max_packet_size.0.saturating_add(links.read_buffer.0);
    // A link is seen to be slow when a turn's output was added, and closed when another was.
    let turn = HostLimits::default().output_per_turn_bytes_max as u64;
    let slow = links.max_output.0.saturating_add(links.max_output_overrun.0);
    let output = slow.saturating_add(2 * turn);
    let own = LINK_BYTES.saturating_add(listener.own.connection_bytes(&table.limits));
    let each = input.saturating_add(output).saturating_add(own);
    let count = u64::from(table.max_connections);
    let what = format!(
        "listener {}: {count} connections of {} (input {}, output {}, state {})",
        table.name,
        human(each),
        human(input),
        human(output),
        human(own),
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
