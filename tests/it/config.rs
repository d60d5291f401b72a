//! Configuration files: what is refused, and how it is said.

use std::path::Path;

use manifold::config::{Config, Strategy};

fn read(text: &str) -> Result<Config, String> {
    Config::read(Path::new("city.toml"), text, manifold::gateways())
        .map_err(|complaints| complaints.to_string())
}

fn complaints(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("no complaint about:\n{text}"),
        Err(complaints) => complaints,
    }
}

#[test]
fn an_empty_file_is_the_default_listener_on_loopback() {
    let config = read("").unwrap();
    let [listener] = &config.listeners[..] else { panic!("one listener") };
    assert_eq!(listener.table.bind.to_string(), "127.0.0.1:1883");
    assert_eq!(listener.gateway.name(), "mqtt");
    assert!(listener.allows_anonymous());
}

#[test]
fn settings_arrive_where_they_belong() {
    let config = read(
        r#"
        shards = 2
        drain_timeout = "1500ms"
        sys_interval = "never"
        [limits]
        max_kept_bytes_total = "10MiB"
        max_session_expiry = "1h"
        [limits.shared]
        strategy = "sticky"
        [limits.shared.groups]
        "the north" = "claim"
        [[listener]]
        name = "a"
        bind = "127.0.0.1:0"
        [listener.mqtt]
        versions = ["5.0"]
        max_qos = 1
        [[listener]]
        name = "b"
        bind = "[::]:1884"
        allow_anonymous = true
        "#,
    )
    .unwrap();
    assert_eq!(config.node.shards, 2);
    assert_eq!(config.node.drain_timeout.ms, 1500);
    assert_eq!(config.node.sys_interval.0, None);
    assert_eq!(config.node.limits.shared.strategy, Strategy::Sticky);
    let names: Vec<_> = config.listeners.iter().map(|l| l.table.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let core = config.node.broker_limits(2);
    assert_eq!(core.kept_bytes_total_max, 5 << 20);
    assert_eq!(core.session.session_expiry_max_s, 3600);
    assert_eq!(core.share_strategy_by_name[0].0.as_ref(), "the north");
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    assert_eq!(
        complaints("[[listener]]\nname = \"a\"\n  max_conections = 7\n"),
        "city.toml:3:3: listener[0].max_conections: unknown key\n\
         \x20 found:   max_conections\n\
         \x20 allowed: name, gateway, transport, bind, mode, mountpoint, authentication, \
         allow_anonymous, max_connections, zone, proxy_protocol, proxy_protocol_from, tls, \
         websocket, udp, sources, limits, mqtt, mqtt-sn\n\
         \x20 did you mean `max_connections`?"
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_its_home() {
    let below = complaints("[[listener]]\nmax_packet_size = \"1MiB\"\n");
    assert!(below.ends_with("`max_packet_size` belongs in [listener.limits]"), "{below}");
    let top = complaints("[log]\nlevel = \"info\"\nshards = 2\n");
    assert!(top.ends_with("`shards` belongs at the top of the file, before any [table]"), "{top}");
}

#[test]
fn all_errors_are_named_at_once_and_in_order() {
    let text = r#"
shards = -1
colour = "blue"
[store]
durability = "snyc"
[log]
level = 3
[[listener]]
gateway = "coap"
[[listener]]
transport = "dtls"
bind = "localhost:1883"
[listener.limits]
max_packet_size = "12"
[listener.mqtt]
max_qos = 3
"#;
    let all = complaints(text);
    let heads: Vec<_> = all.lines().filter(|line| line.starts_with("city.toml")).collect();
    assert_eq!(
        heads,
        [
            "city.toml:2:10: shards: value not allowed",
            "city.toml:3:1: colour: unknown key",
            "city.toml:5:14: store.durability: value not allowed",
            "city.toml:7:9: log.level: value not allowed",
            "city.toml:9:11: listener[0].gateway: not available in this version",
            "city.toml:11:13: listener[1].transport: not available in this version",
            "city.toml:12:8: listener[1].bind: value not allowed",
            "city.toml:14:19: listener[1].limits.max_packet_size: value not allowed",
            "city.toml:16:11: listener[1].mqtt.max_qos: value not allowed",
        ]
    );
    assert!(all.contains(
        "  found:   \"snyc\"\n  allowed: \"sync\", \"async\", \"off\"\n  did you mean \"sync\"?"
    ));
    assert!(all.contains("  found:   -1\n  allowed: an integer from 0 to 1024"), "{all}");
    assert!(all.contains("  found:   \"dtls\"\n  allowed: \"tcp\", "), "{all}");
}

#[test]
fn what_comes_later_is_refused_and_not_ignored() {
    for (text, path) in [
        ("[cluster]\nname = \"a\"\n", "cluster"),
        ("[store]\npath = \"a\"\n", "store.path"),
        ("[http]\ncertificate = \"c\"\n", "http.certificate"),
        ("[[listener]]\n[listener.tls]\npsk_file = \"k\"\n", "listener[0].tls.psk_file"),
        ("[[listener]]\ntransport = \"quic\"\n", "listener[0].transport"),
    ] {
        let complaint = complaints(text);
        assert!(
            complaint.contains(&format!("{path}: not available in this version")),
            "{complaint}"
        );
    }
}

#[test]
fn ranges_end_where_they_say() {
    let limit = |value: &str| read(&format!("[limits]\nmax_inflight = {value}\n"));
    assert!(limit("1").is_ok() && limit("65535").is_ok());
    assert!(limit("0").is_err() && limit("65536").is_err());
    let timeout = |value: &str| {
        read(&format!("[[listener]]\n[listener.limits]\nconnect_timeout = \"{value}\"\n"))
    };
    assert!(timeout("1s").is_ok() && timeout("999ms").is_err());
    let size = |value: &str| {
        read(&format!("[[listener]]\n[listener.limits]\nmax_packet_size = {value}\n"))
    };
    assert!(size("128").is_ok() && size("127").is_err());
    assert!(size("268435460").is_ok() && size("268435461").is_err());
}

#[test]
fn a_duration_without_a_unit_is_refused() {
    let complaint = complaints("drain_timeout = 10\n");
    assert!(complaint.contains("drain_timeout: a duration needs a unit"), "{complaint}");
}

#[test]
fn an_address_that_others_reach_needs_a_word_on_anonymous_clients() {
    let listener = |rest: &str| read(&format!("[[listener]]\nbind = \"0.0.0.0:1883\"\n{rest}"));
    let complaint = listener("").map(drop).unwrap_err();
    assert!(complaint.starts_with("city.toml:2:8: listener[0].bind: without authentication"));
    assert!(complaint.contains("write `allow_anonymous = true`"), "{complaint}");
    assert!(listener("allow_anonymous = true\n").unwrap().listeners[0].allows_anonymous());
    assert!(!listener("allow_anonymous = false\n").unwrap().listeners[0].allows_anonymous());
}

#[test]
fn listeners_share_neither_name_nor_address() {
    let two =
        |a: &str, b: &str| read(&format!("[[listener]]\nname = \"a\"\n{a}\n[[listener]]\n{b}\n"));
    let complaint = two("", "name = \"a\"\nbind = \"127.0.0.1:1884\"").map(drop).unwrap_err();
    assert!(complaint.contains("listener[1].name: listener[0] has the same name"), "{complaint}");
    let complaint = two("", "name = \"b\"").map(drop).unwrap_err();
    assert!(complaint.contains("listener[0] listens on 127.0.0.1:1883 already"), "{complaint}");
    let everywhere = "name = \"b\"\nbind = \"0.0.0.0:1883\"\nallow_anonymous = true";
    assert!(two("", everywhere).is_err());
    let any_port = "bind = \"127.0.0.1:0\"";
    assert!(two(any_port, &format!("name = \"b\"\n{any_port}")).is_ok());
}

#[test]
fn mountpoints_are_prefixes_of_topics() {
    let mountpoint = |text: &str| read(&format!("[[listener]]\nmountpoint = \"{text}\"\n"));
    assert!(mountpoint("city/%c/").is_ok());
    assert!(mountpoint("city/+/").is_err());
    assert!(mountpoint("$SYS/").is_err());
}

#[test]
fn broken_toml_is_named_with_its_place_and_nothing_else() {
    let complaint = complaints("shards = 1\nshards = 2\ncolour = \n");
    let heads: Vec<_> = complaint.lines().filter(|line| line.starts_with("city.toml")).collect();
    assert_eq!(heads.len(), 2, "{complaint}");
    assert!(heads[0].starts_with("city.toml:2:1: not TOML: "), "{complaint}");
    assert!(heads[1].starts_with("city.toml:3:"), "{complaint}");
}

#[test]
fn tables_and_lists_of_tables_are_told_apart() {
    let complaint = complaints("listener = 3\nlog = 4\n");
    assert!(complaint.contains("listener: not a list of tables"), "{complaint}");
    assert!(complaint.contains("log: not a table"), "{complaint}");
    let complaint = complaints("[listener]\nname = \"a\"\n");
    assert!(complaint.contains("write [[listener]], once for each"), "{complaint}");
}
