//! How much memory a configuration can need at most.

use std::fmt;

use crate::config::Config;

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

/// Bytes of a session's own state, beside its queue and subscriptions.
const SESSION_BYTES: u64 = 1024;
/// Bytes of a link's own state, beside its input, output and what its gateway keeps.
const LINK_BYTES: u64 = 2048;
/// Bytes of a remembered topic with its receivers.
const CACHED_TOPIC_BYTES: u64 = 1024;

/// The most memory that a server with this configuration can need.
pub fn memory_bound(config: &Config) -> MemoryBound {
    let limits = &config.node.limits;
    let mut parts = Vec::new();
    for listener in &config.listeners {
        let table = &listener.table;
        let own = listener.own.connection_bytes(&table.limits);
        let input = table.limits.max_packet_size.0;
        let output = limits.links.max_output.0.saturating_add(limits.links.max_output_overrun.0);
        let each = LINK_BYTES.saturating_add(input).saturating_add(output).saturating_add(own);
        let count = u64::from(table.max_connections);
        parts.push((
            format!("listener {}: {count} connections of {}", table.name, human(each)),
            each.saturating_mul(count),
        ));
    }
    let sessions = u64::from(limits.max_sessions);
    let topics = u64::from(limits.max_route_cache_topics);
    parts.extend([
        ("messages that wait in sessions".to_owned(), limits.max_queued_bytes_total.0),
        ("retained messages".to_owned(), limits.max_retained_bytes.0),
        (format!("{sessions} sessions"), sessions.saturating_mul(SESSION_BYTES)),
        (format!("{topics} remembered topics"), topics.saturating_mul(CACHED_TOPIC_BYTES)),
    ]);
    MemoryBound { parts }
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
