//! How much memory a configuration can need at most.

use std::fmt;

use gateway_host::HostLimits;

use crate::config::{Authentication, ClientAuth, Config, Listener, ProxyProtocol};

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
/// What TLS keeps for a connection: its keys and its part of the state of both directions.
const TLS_BYTES: u64 = 4096;
/// The largest chain of certificates that TLS takes from a client, which it keeps.
const CLIENT_CHAIN_BYTES: u64 = 64 * 1024;
/// What WebSocket keeps for a connection.
const WEBSOCKET_BYTES: u64 = 512;
/// What a peer of a datagram listener has beside its link: its path.
const PATH_BYTES: u64 = 128;
/// A place in a table of paths. Every shard has one that is as long as there may be peers: mostly a
/// peer is in two of them, but others may have guessed that it is theirs.
const PATH_PLACE_BYTES: u64 = 96;
/// A handshake's buffers at their bounds: TLS messages, and the heads of HTTP and PROXY.
const HANDSHAKE_BYTES: u64 = 96 * 1024;
/// What the costliest hash takes that a file of users may have.
const HASH_BYTES: u64 = 256 << 20;
/// A remembered password with its place in the index.
const REMEMBERED_BYTES: u64 = 128;
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
    let shards = u64::from(config.shards());
    let each_listener = |listener| connections(listener, shards);
    let mut parts: Vec<_> = config.listeners.iter().map(each_listener).collect();
    let session = SESSION_BYTES + u64::from(limits.max_client_id_bytes);
    let sessions = u64::from(limits.max_sessions);
    let retained = u64::from(limits.max_retained_messages).saturating_mul(RETAINED_INDEX_BYTES);
    let topics = u64::from(limits.max_route_cache_topics);
    let host = HostLimits::default();
    let shard = (host.pool_bytes_max + 2 * host.output_per_turn_bytes_max) as u64;
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
    let waits = |listener: &Listener| {
        let (transport, proxy) = (listener.table.transport, listener.table.proxy_protocol);
        let has_header = proxy != ProxyProtocol::Off && !transport.has_datagrams();
        transport.has_tls() || transport.has_websocket() || has_header
    };
    if config.listeners.iter().any(waits) {
        let handshakes = u64::from(config.node.handshakes.max);
        parts.push((
            format!("{handshakes} handshakes of {}", human(HANDSHAKE_BYTES)),
            handshakes.saturating_mul(HANDSHAKE_BYTES),
        ));
    }
    if has_file_of_users(config) {
        parts.push(hashing(config));
    }
    MemoryBound { parts }
}

fn has_file_of_users(config: &Config) -> bool {
    let mut all = config.node.authentication.list.iter();
    all.any(|(_, authentication)| matches!(authentication, Authentication::File(_)))
}

/// What checking passwords takes, beside the files of users themselves.
fn hashing(config: &Config) -> (String, u64) {
    let hashing = &config.node.hashing;
    let (threads, entries) = (hashing.thread_count() as u64, u64::from(hashing.cache_entries));
    let bytes = threads.saturating_mul(HASH_BYTES) + entries.saturating_mul(REMEMBERED_BYTES);
    let (each, one) = (human(HASH_BYTES), human(REMEMBERED_BYTES));
    (format!("{threads} hashes of {each} at once, {entries} remembered of {one}"), bytes)
}

/// What all connections of a listener hold at most.
fn connections(listener: &Listener, shards: u64) -> (String, u64) {
    let table = &listener.table;
    let inflight = INFLIGHT_BYTES * u64::from(listener.limits.session.inflight_max);
    let asks = table.tls.0.as_ref().is_some_and(|tls| tls.client_auth != ClientAuth::None);
    let chain = if asks { CLIENT_CHAIN_BYTES } else { 0 };
    let tls = if table.transport.has_tls() { TLS_BYTES + chain } else { 0 };
    let websocket = if table.transport.has_websocket() { WEBSOCKET_BYTES } else { 0 };
    let has_path = table.transport.has_datagrams();
    let path = if has_path { PATH_BYTES + shards * PATH_PLACE_BYTES } else { 0 };
    let gateway = listener.own.connection_bytes(&listener.limits);
    let own = LINK_BYTES + tls + websocket + path + inflight + gateway;
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
