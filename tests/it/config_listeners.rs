//! Listeners in configuration files: transports, what stands in front of them, limits and zones.

use std::path::Path;

use manifold::config::{Config, Listener, Transport};
use manifold::settings::{Lapse, Rate, Size};

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

fn listener(rest: &str) -> Result<Listener, String> {
    read(&format!("[[listener]]\nbind = \"127.0.0.1:0\"\n{rest}"))
        .map(|mut config| config.listeners.remove(0))
}

/// What is complained about, each as `KEY: WHAT`.
fn heads(text: &str) -> Vec<String> {
    let all = complaints(text);
    let heads = all.lines().filter_map(|line| line.strip_prefix("city.toml:"));
    heads.map(|line| line.splitn(3, ':').nth(2).unwrap().trim().to_owned()).collect()
}

const FILES: &str = "certificate = \"c.pem\"\nkey = \"k.pem\"\n";

#[test]
fn every_transport_has_its_own_tables() {
    let tls = format!("[listener.tls]\n{FILES}");
    assert_eq!(listener("").unwrap().table.transport, Transport::Tcp);
    assert!(listener(&format!("transport = \"tls\"\n{tls}")).is_ok());
    assert!(listener(&format!("transport = \"wss\"\n{tls}[listener.websocket]\n")).is_ok());
    assert!(listener("transport = \"ws\"\n").is_ok());
    let misplaced = complaints(&format!("[[listener]]\n{tls}[listener.websocket]\npath = \"/\"\n"));
    assert!(misplaced.contains("listener[0].tls: the transport tcp has no use for it"));
    assert!(misplaced.contains("it is for `transport` \"tls\" and \"wss\""), "{misplaced}");
    assert!(misplaced.contains("listener[0].websocket: the transport tcp has no use for it"));
}

#[test]
fn tls_needs_a_certificate_and_its_key() {
    let without = complaints("[[listener]]\ntransport = \"tls\"\n");
    assert!(without.starts_with("city.toml:2:13: listener[0].transport: the transport tls needs"));
    assert!(without.contains("name `certificate` and `key` in [listener.tls]"), "{without}");
    assert_eq!(
        heads("[[listener]]\ntransport = \"tls\"\n[listener.tls]\nkey = \"k.pem\"\n"),
        ["listener[0].tls.certificate: this key is missing"]
    );
    let sni = "[listener.tls.sni.\"a.example\"]\ncertificate = \"a.pem\"\n";
    assert_eq!(
        heads(&format!("[[listener]]\ntransport = \"tls\"\n[listener.tls]\n{FILES}{sni}")),
        ["listener[0].tls.sni.a.example.key: this key is missing"]
    );
}

#[test]
fn clients_certificates_need_somebody_who_vouches_for_them() {
    let tls =
        |rest: &str| format!("[[listener]]\ntransport = \"tls\"\n[listener.tls]\n{FILES}{rest}");
    assert_eq!(
        heads(&tls("client_auth = \"required\"\n")),
        ["listener[0].tls.client_auth: `client_ca` is missing"]
    );
    assert_eq!(
        heads(&tls("client_ca = \"ca.pem\"\ncrl = [\"crl.pem\"]\nclient_id = \"common-name\"\n")),
        [
            "listener[0].tls.client_ca: clients are not asked for a certificate",
            "listener[0].tls.crl: clients are not asked for a certificate",
            "listener[0].tls.client_id: clients are not asked for a certificate",
        ]
    );
    assert!(read(&tls("client_auth = \"optional\"\nclient_ca = \"ca.pem\"\n")).is_ok());
}

#[test]
fn a_unix_socket_has_a_path_and_nothing_else_has() {
    let unix = "[[listener]]\ntransport = \"unix\"\nbind = \"unix:m.sock\"\nmode = \"660\"\n";
    let config = read(unix).unwrap();
    assert!(config.listeners[0].allows_anonymous());
    assert_eq!(
        heads("[[listener]]\ntransport = \"unix\"\nmode = \"888\"\n"),
        ["listener[0].bind: the transport is a Unix socket", "listener[0].mode: value not allowed",]
    );
    assert_eq!(
        heads("[[listener]]\nbind = \"unix:m.sock\"\nmode = \"660\"\n"),
        [
            "listener[0].bind: the transport tcp needs an address and a port",
            "listener[0].mode: the transport tcp has no use for it",
        ]
    );
    assert_eq!(
        heads(&format!("{unix}{}", unix.replace("\nmode", "\nname = \"b\"\nmode"))),
        ["listener[1].bind: listener[0] listens on unix:m.sock already"]
    );
}

#[test]
fn proxies_are_named_where_they_are_believed() {
    let proxy = |rest: &str| format!("[[listener]]\n{rest}\n");
    assert_eq!(
        heads(&proxy("proxy_protocol = \"v2\"")),
        ["listener[0].proxy_protocol: `proxy_protocol_from` is missing"]
    );
    assert_eq!(
        heads(&proxy("proxy_protocol_from = [\"10.0.0.0/8\"]")),
        ["listener[0].proxy_protocol_from: `proxy_protocol` is off"]
    );
    let net =
        complaints(&proxy("proxy_protocol = \"any\"\nproxy_protocol_from = [\"10.0.0.1/8\"]"));
    assert!(net.contains("bits are set behind the prefix; it would be 10.0.0.0/8"), "{net}");
    let local = proxy("proxy_protocol = \"v1\"\nproxy_protocol_from = [\"::1\"]");
    let [warning] = &read(&local).unwrap().warnings[..] else { panic!("one warning") };
    assert!(
        warning.starts_with("listener mqtt: whoever its proxies pass on is let in"),
        "{warning}"
    );
    let meant = format!("{local}allow_anonymous = true\n");
    assert_eq!(read(&meant).unwrap().warnings, [""; 0]);
    let unix = "transport = \"unix\"\nbind = \"unix:a\"\nproxy_protocol = \"v2\"";
    assert!(read(&proxy(unix)).is_ok(), "the permissions of the socket say who is trusted");
}

/// The gateways with one that is reached by datagrams too.
fn read_datagrams(text: &str) -> Result<Config, String> {
    let mut gateways = manifold::gateways().to_vec();
    gateways[0].transports = &[Transport::Tcp, Transport::Unix, Transport::Udp];
    Config::read(Path::new("city.toml"), text, &gateways)
        .map_err(|complaints| complaints.to_string())
}

fn udp(rest: &str) -> String {
    format!("[[listener]]\ntransport = \"udp\"\n{rest}\n")
}

fn udp_complaints(rest: &str) -> String {
    read_datagrams(&udp(rest)).map(drop).expect_err(rest)
}

#[test]
fn datagrams_have_a_table_of_their_own() {
    let table = "[listener.udp]\nidle_timeout = \"1min\"\nhealth_request = \"a\"\n\
                 health_answer = \"abc\"\n[listener.sources]\nstray_rate = \"1/s\"\n";
    assert!(read_datagrams(&udp(table)).is_ok());
    let misplaced = complaints(&format!("[[listener]]\n{table}"));
    assert!(
        misplaced.contains(
            "city.toml:2:1: listener[0].udp: the transport tcp has no use for it\n  \
             found:   [listener.udp]\n  it is for `transport` \"udp\""
        ),
        "{misplaced}"
    );
    assert!(
        misplaced.contains(
            "listener[0].sources.stray_rate: the transport tcp has no datagrams\n  \
             found:   \"1/s\"\n  it is for `transport` \"udp\""
        ),
        "{misplaced}"
    );
    let tables = format!("[listener.tls]\n{FILES}[listener.websocket]\n");
    let foreign = udp_complaints(&format!("mode = \"660\"\n{tables}"));
    for key in ["tls", "websocket", "mode"] {
        let what = format!("listener[0].{key}: the transport udp has no use for it");
        assert!(foreign.contains(&what), "{foreign}");
    }
    let path = udp_complaints("bind = \"unix:a\"");
    assert!(path.contains("listener[0].bind: the transport udp needs an address"), "{path}");
    let open = udp_complaints("bind = \"[::]:1883\"");
    assert!(open.contains("everybody who reaches this address would be let in"), "{open}");
    let other = complaints(&udp(""));
    assert!(other.contains("listener[0].transport: gateway mqtt has no such transport"), "{other}");
    let wrong = udp_complaints("[listener.udp]\nrebind = \"anybody\"\nidle_timeout = \"0s\"\n");
    assert!(wrong.contains("allowed: \"same-ip\", \"trust\", \"dtls-only\""), "{wrong}");
    assert!(wrong.contains("listener[0].udp.idle_timeout: value not allowed"), "{wrong}");
}

#[test]
fn a_health_check_has_a_request_and_no_long_answer() {
    let table = |rest: &str| format!("[listener.udp]\n{rest}\n");
    let half = udp_complaints(&table("health_request = \"a\""));
    assert!(half.contains("udp.health_request: `health_answer` is missing"), "{half}");
    let half = udp_complaints(&table("health_answer = \"a\""));
    assert!(half.contains("udp.health_answer: `health_request` is missing"), "{half}");
    let long = udp_complaints(&table("health_request = \"hex:01\"\nhealth_answer = \"abcd\""));
    assert!(
        long.starts_with(
            "city.toml:5:17: listener[0].udp.health_answer: it is 4 bytes long\n  found:   \"abcd\"\n  \
             allowed: 3 bytes, three times as many as `health_request` has"
        ),
        "{long}"
    );
    let empty = udp_complaints(&table("health_request = \"hex:\"\nhealth_answer = \"hex:1\""));
    assert!(empty.contains("allowed: 1 to 512 bytes as text or in hexadecimal"), "{empty}");
    assert!(empty.contains("the hexadecimal digit before byte 1"), "{empty}");
}

#[test]
fn proxies_of_datagrams_speak_version_2() {
    let proxy = |version: &str| {
        udp(&format!("proxy_protocol = \"{version}\"\nproxy_protocol_from = [\"10.0.0.0/8\"]"))
    };
    assert!(read_datagrams(&proxy("v2")).is_ok() && read_datagrams(&proxy("any")).is_ok());
    let first = read_datagrams(&proxy("v1")).map(drop).unwrap_err();
    assert!(
        first.contains(
            "listener[0].proxy_protocol: version 1 has no form for datagrams\n  found:   \"v1\"\n  \
             allowed: \"off\", \"v2\", \"any\""
        ),
        "{first}"
    );
    let nobody = udp_complaints("proxy_protocol = \"v2\"");
    assert!(nobody.contains("`proxy_protocol_from` is missing"), "{nobody}");
}

#[test]
fn tcp_and_udp_have_ports_of_their_own() {
    let tcp = "[[listener]]\nname = \"tcp\"\n";
    let named = |name: &str| udp(&format!("name = \"{name}\""));
    assert!(read_datagrams(&format!("{tcp}{}", named("udp"))).is_ok());
    let twice = read_datagrams(&format!("{}{}", named("a"), named("b"))).map(drop).unwrap_err();
    assert!(twice.contains("listener[0] listens on 127.0.0.1:1883 already"), "{twice}");
}

#[test]
fn authentication_makes_anonymous_clients_the_exception() {
    let text = |listener: &str| {
        format!("[authentication.devices]\ntype = \"file\"\npath = \"u\"\n[[listener]]\n{listener}")
    };
    let one = |listener: &str| read(&text(listener)).unwrap().listeners.remove(0);
    let named = "authentication = [\"devices\"]\n";
    assert!(!one(named).allows_anonymous());
    assert!(one(&format!("{named}allow_anonymous = true\n")).allows_anonymous());
    assert!(!one(&format!("{named}bind = \"0.0.0.0:1883\"\n")).allows_anonymous());
    assert!(one("").allows_anonymous());
    let undecided = complaints(&text("bind = \"0.0.0.0:1883\"\n"));
    assert!(undecided.contains("name an `authentication`"), "{undecided}");
}

#[test]
fn what_a_listener_names_has_to_be_there() {
    let text = "[authentication.devices]\ntype = \"file\"\npath = \"u\"\n[zone.north]\n\
                [[listener]]\nauthentication = [\"devices\", \"device\", \"devices\"]\n\
                zone = \"nroth\"\n";
    let all = complaints(text);
    assert!(all.contains("listener[0].authentication: there is no [authentication.device]"));
    assert!(all.contains("allowed: \"devices\"\n  did you mean \"devices\"?"), "{all}");
    assert!(all.contains("listener[0].authentication: \"devices\" stands there twice"), "{all}");
    assert!(all.contains("listener[0].zone: there is no [zone.nroth]"), "{all}");
    let none = complaints("[[listener]]\nzone = \"a\"\n");
    assert!(none.ends_with("write a table [zone.a]"), "{none}");
}

#[test]
fn the_nearest_limit_counts() {
    let config = read(
        r#"
        [limits]
        max_packet_size = "4KiB"
        message_rate = "10/s"
        max_inflight = 7
        max_keep_alive = "1h"
        [zone.slow]
        message_rate = "1/s, burst 5"
        max_inflight = 6
        max_subscriptions = 3
        max_keep_alive = "never"
        [[listener]]
        name = "a"
        zone = "slow"
        [listener.limits]
        max_inflight = 5
        message_rate = "unlimited"
        byte_rate = "1MiB/s"
        [[listener]]
        name = "b"
        bind = "127.0.0.1:1884"
        zone = "slow"
        [[listener]]
        name = "c"
        bind = "127.0.0.1:1885"
        "#,
    )
    .unwrap();
    let [a, b, c] = &config.listeners[..] else { panic!("three listeners") };
    assert_eq!([&a.limits, &b.limits, &c.limits].map(|l| l.max_packet_size), [Size::kib(4); 3]);
    assert_eq!([&a.limits, &b.limits, &c.limits].map(|l| l.session.inflight_max), [5, 6, 7]);
    let rates = [&a.limits, &b.limits, &c.limits].map(|l| l.message_rate);
    let rate = |per_second, burst| Some(Rate { per_second, burst });
    assert_eq!(rates, [None, rate(1, 5), rate(10, 10)]);
    assert_eq!(a.limits.byte_rate, rate(1 << 20, 1 << 20));
    assert_eq!([&a.limits, &b.limits].map(|l| l.session.subscriptions_max), [3; 2]);
    assert_eq!(c.limits.session.subscriptions_max, 100_000);
    let keep_alive = [&b.limits, &c.limits].map(|l| l.max_keep_alive);
    assert_eq!(keep_alive, [None, Some(Lapse::seconds(3600))]);
}

#[test]
fn rates_and_bounds_are_checked_in_zones_as_elsewhere() {
    assert_eq!(
        heads("[zone.a]\nmessage_rate = \"1/day\"\nmax_inflight = 0\ncolour = 3\n"),
        [
            "zone.a.message_rate: value not allowed",
            "zone.a.max_inflight: value not allowed",
            "zone.a.colour: unknown key",
        ]
    );
    assert_eq!(
        heads(
            "[limits]\nmin_keep_alive = \"2s\"\n[[listener]]\n[listener.limits]\n\
               max_keep_alive = \"1s\"\n"
        ),
        ["listener[0].limits: `min_keep_alive` is above `max_keep_alive`"]
    );
    let uneven = complaints("[zone.a]\nbyte_rate = \"100/min\"\n");
    assert!(uneven.contains("a rate is a whole number each second, 1 or more"), "{uneven}");
    assert_eq!(heads("zone = 3\n"), ["zone: not tables with names"]);
    assert_eq!(heads("[zone]\na = 3\n"), ["zone.a: not a table"]);
}

#[test]
fn sources_are_not_limited_unless_told() {
    let sources = |rest: &str| listener(rest).unwrap().table.sources;
    let default = sources("");
    assert_eq!((default.max_connections.0, default.connection_rate.0), (None, None));
    let nets: Vec<_> = default.exempt.0.iter().map(|net| net.0.to_string()).collect();
    assert_eq!(nets, ["127.0.0.0/8", "::1/128"]);
    let own = sources("[listener.sources]\nmax_connections = 3\nexempt = []\n");
    assert_eq!((own.max_connections.0, own.exempt.0.len()), (Some(3), 0));
}

#[test]
fn what_nobody_uses_is_warned_of() {
    let config = read(
        "[zone.a]\n[authentication.b]\ntype = \"certificate\"\n[[listener]]\nname = \"c\"\n\
         allow_anonymous = false\n",
    )
    .unwrap();
    assert_eq!(
        config.warnings,
        [
            "authentication.b: no listener uses it",
            "zone.a: no listener uses it",
            "listener c: nobody is let in, since it has no authentication and does not allow \
             anonymous clients",
        ]
    );
    assert_eq!(read("").unwrap().warnings, [""; 0]);
    let certificates = "[authentication.b]\ntype = \"certificate\"\n[[listener]]\nname = \"c\"\n\
                        authentication = [\"b\"]\n";
    let [warning] = &read(certificates).unwrap().warnings[..] else { panic!("one warning") };
    assert!(warning.starts_with("listener c: authentication.b knows nobody"), "{warning}");
    let proxy = "proxy_protocol = \"v2\"\nproxy_protocol_from = [\"127.0.0.1\"]\n";
    assert_eq!(read(&format!("{certificates}{proxy}")).unwrap().warnings, [""; 0]);
}
