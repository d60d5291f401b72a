//! The memory bound of a configuration.

use std::path::Path;

use manifold::config::{Config, Transport};
use manifold::{MemoryBound, memory_bound};

fn bound(text: &str) -> MemoryBound {
    match Config::read(Path::new("m.toml"), text, manifold::gateways()) {
        Ok(config) => memory_bound(&config),
        Err(complaints) => panic!("{complaints}"),
    }
}

/// A file with small numbers, in which `key` of table `table` is `value`.
fn with(table: &str, key: &str, value: &str) -> u64 {
    let mut text = String::new();
    if table == "limits" {
        text += &format!("[limits]\n{key} = {value}\n");
    } else if let Some(below) = table.strip_prefix("limits.") {
        text += &format!("[limits.{below}]\n{key} = {value}\n");
    }
    text += "[[listener]]\n";
    if table == "listener" {
        text += &format!("{key} = {value}\n");
    } else if table.starts_with("listener.") {
        text += &format!("[{table}]\n{key} = {value}\n");
    }
    bound(&text).total()
}

#[test]
fn a_greater_limit_never_has_a_smaller_bound() {
    for (table, key, small, great) in [
        ("limits", "max_kept_bytes_total", "1", "1000000000"),
        ("limits", "max_retained_bytes", "1", "1000000000"),
        ("limits", "max_subscription_bytes_total", "1", "1000000000"),
        ("limits", "max_inflight", "1", "2"),
        ("limits.links", "max_buffered_total", "1048576", "1048577"),
        ("limits", "max_sessions", "1", "2000000"),
        ("limits", "max_client_id_bytes", "1", "2"),
        ("limits", "max_retained_messages", "1", "2"),
        ("limits.links", "read_buffer", "4096", "4097"),
        ("limits", "max_route_cache_topics", "1", "100000"),
        ("listener", "max_connections", "1", "2"),
        ("listener.mqtt", "receive_maximum", "1", "2"),
        ("listener.mqtt", "max_topic_alias_bytes", "1", "2"),
        ("listener.mqtt", "max_topic_aliases_in", "0", "1"),
        ("listener.mqtt", "max_topic_aliases_out", "0", "1"),
    ] {
        let (less, more) = (with(table, key, small), with(table, key, great));
        assert!(less < more, "{table}.{key}: {less} for {small}, {more} for {great}");
    }
}

#[test]
fn what_stands_before_a_listener_counts() {
    let listener = |rest: &str| bound(&format!("[[listener]]\nbind = \"127.0.0.1:0\"\n{rest}"));
    let files = "[listener.tls]\ncertificate = \"c\"\nkey = \"k\"\n";
    let tcp = listener("").total();
    let ws = listener("transport = \"ws\"\n").total();
    let tls = listener(&format!("transport = \"tls\"\n{files}")).total();
    let wss = listener(&format!("transport = \"wss\"\n{files}")).total();
    assert!(tcp < ws && ws < tls && tls < wss, "{tcp} {ws} {tls} {wss}");
}

#[test]
fn a_peer_costs_more_than_a_connection_and_needs_no_handshake() {
    let mut gateways = manifold::gateways().to_vec();
    gateways[0].transports = &[Transport::Tcp, Transport::Udp];
    let bound = |shards: u16, transport: &str, rest: &str| {
        let text = format!(
            "shards = {shards}\n[[listener]]\ntransport = \"{transport}\"\n\
             max_connections = 1000\n{rest}"
        );
        memory_bound(&Config::read(Path::new("m.toml"), &text, &gateways).unwrap()).total()
    };
    let per_peer = |shards| (bound(shards, "udp", "") - bound(shards, "tcp", "")) / 1000;
    assert!((100..1000).contains(&per_peer(1)), "{}", per_peer(1));
    assert!(per_peer(1) < per_peer(2), "each shard has a table of paths");
    let proxy = "proxy_protocol = \"v2\"\nproxy_protocol_from = [\"::1\"]\n";
    assert_eq!(bound(1, "udp", proxy), bound(1, "udp", ""));
    assert!(bound(1, "tcp", proxy) > bound(1, "tcp", ""));
}

#[test]
fn a_zone_counts_as_if_it_stood_in_the_limits() {
    let limits = "max_inflight = 7\n";
    let zone = bound(&format!("[zone.a]\n{limits}[[listener]]\nzone = \"a\"\n"));
    assert_eq!(zone.total(), bound(&format!("[limits]\n{limits}")).total());
}

#[test]
fn the_bound_is_the_sum_of_its_parts_and_never_wraps() {
    let all = bound("");
    assert_eq!(all.total(), all.parts.iter().map(|(_, bytes)| bytes).sum::<u64>());
    let huge = MemoryBound { parts: vec![("a".into(), u64::MAX), ("b".into(), 1)] };
    assert_eq!(huge.total(), u64::MAX);
}

#[test]
fn the_first_line_can_be_read_by_a_program() {
    let bound = bound("");
    let text = bound.to_string();
    let rest = text.strip_prefix("memory bound: ").unwrap();
    let (bytes, rest) = rest.split_once(" bytes (").unwrap();
    assert_eq!(bytes.parse(), Ok(bound.total()));
    assert!(rest.lines().next().unwrap().ends_with(')'));
}
