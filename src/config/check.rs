//! What no single value shows to be wrong.

use super::{ClientAuth, Listener, ListenerLimits, ListenerTable, Node, ProxyProtocol, Transport};
use crate::Registration;
use crate::settings::{Bind, Place, TableReader, nearest, quoted};

/// Protocols that are planned.
const GATEWAYS_LATER: [&str; 9] =
    ["coap", "lwm2m", "stomp", "lorawan", "gbt32960", "jt808", "modbus", "http", "raw"];

/// Complains about a gateway that is not there.
pub(super) fn refuse_gateway(
    reader: &mut TableReader<'_, '_>,
    place: &Place,
    name: &str,
    known: &[&'static str],
) {
    let what = match GATEWAYS_LATER.contains(&name) {
        true => "not available in this version",
        false => "no such gateway",
    };
    let hint = nearest(name, known.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
    reader.complain(place, what, Some(quoted(known)), hint);
}

/// Complains about values of one listener that do not go together.
pub(super) fn check_listener(
    reader: &mut TableReader<'_, '_>,
    table: &ListenerTable,
    node: &Node,
    registration: &Registration,
    gateways: &[&'static str],
) {
    if !registration.transports.contains(&table.transport) {
        let allowed: Vec<_> = registration.transports.iter().map(|t| t.word()).collect();
        let place = reader.place_of("transport");
        let what = format!("gateway {} has no such transport", registration.name);
        reader.complain(&place, &what, Some(quoted(&allowed)), None);
    }
    if table.name.is_empty() {
        let place = reader.place_of("name");
        reader.complain(&place, "a listener needs a name", None, None);
    }
    let forbidden = |c: char| matches!(c, '+' | '#' | '\0');
    if table.mountpoint.contains(forbidden) || table.mountpoint.starts_with('$') {
        let place = reader.place_of("mountpoint");
        let allowed = "a topic prefix without `+`, `#` and NUL that does not begin with `$`";
        reader.complain(&place, "value not allowed", Some(allowed.into()), None);
    }
    for other in gateways.iter().filter(|name| **name != registration.name) {
        if reader.has(other) {
            let place = reader.place_of(other);
            let what = format!("this listener's gateway is {}", registration.name);
            reader.complain(&place, &what, None, None);
        }
    }
    check_transport(reader, table);
    check_tls(reader, table);
    check_udp(reader, table);
    check_proxy(reader, table);
    check_names(reader, table, node);
    let is_undecided = table.authentication.0.is_empty() && table.allow_anonymous.0.is_none();
    if is_undecided && !table.bind.is_local() {
        let place = reader.place_of("bind");
        let hint = "name an `authentication`, write `allow_anonymous = true` in this listener to \
                    let everybody in, or bind it to a loopback address";
        let what = "without authentication everybody who reaches this address would be let in";
        reader.complain(&place, what, None, Some(hint.into()));
    }
}

/// Address and tables have to fit the transport.
fn check_transport(reader: &mut TableReader<'_, '_>, table: &ListenerTable) {
    let word = table.transport.word();
    let is_unix = table.transport == Transport::Unix;
    match (&table.bind, is_unix) {
        (Bind::Address(_), true) => {
            let place = reader.place_of("bind");
            let allowed = Some("\"unix:PATH\"".into());
            reader.complain(&place, "the transport is a Unix socket", allowed, None);
        }
        (Bind::Unix(_), false) => {
            let place = reader.place_of("bind");
            let what = format!("the transport {word} needs an address and a port");
            let hint = Some("write `transport = \"unix\"` for a Unix socket".into());
            reader.complain(&place, &what, None, hint);
        }
        (Bind::Address(_), false) | (Bind::Unix(_), true) => {}
    }
    let mut misplaced = |key: &str, allowed: &[&str]| {
        let place = reader.place_of(key);
        let what = format!("the transport {word} has no use for it");
        let hint = format!("it is for `transport` {}", allowed.join(" and "));
        reader.complain(&place, &what, None, Some(hint));
    };
    if table.mode.0.is_some() && !is_unix {
        misplaced("mode", &["\"unix\""]);
    }
    if table.tls.0.is_some() && !table.transport.has_tls() {
        misplaced("tls", &["\"tls\"", "\"wss\""]);
    }
    if table.websocket.0.is_some() && !table.transport.has_websocket() {
        misplaced("websocket", &["\"ws\"", "\"wss\""]);
    }
    if table.udp.0.is_some() && !table.transport.has_datagrams() {
        misplaced("udp", &["\"udp\""]);
    }
    if let Some(websocket) = &table.websocket.0
        && !websocket.path.starts_with('/')
    {
        let place = reader.place_below(&["websocket", "path"]);
        let allowed = Some("a path that begins with `/`".into());
        reader.complain(&place, "value not allowed", allowed, None);
    }
}

fn check_tls(reader: &mut TableReader<'_, '_>, table: &ListenerTable) {
    let Some(tls) = &table.tls.0 else {
        if table.transport.has_tls() {
            let place = reader.place_of("transport");
            let hint = "name `certificate` and `key` in [listener.tls]";
            let what = format!("the transport {} needs a certificate", table.transport.word());
            reader.complain(&place, &what, None, Some(hint.into()));
        }
        return;
    };
    let asks = tls.client_auth != ClientAuth::None;
    if asks && tls.client_ca.0.is_none() {
        let place = reader.place_below(&["tls", "client_auth"]);
        let hint = "name in `client_ca` whom clients' certificates have to come from";
        reader.complain(&place, "`client_ca` is missing", None, Some(hint.into()));
    }
    for (key, is_set) in [
        ("client_ca", tls.client_ca.0.is_some()),
        ("crl", !tls.crl.0.is_empty()),
        ("client_id", tls.client_id.0.is_some()),
    ] {
        if is_set && !asks {
            let place = reader.place_below(&["tls", key]);
            let hint = "write `client_auth = \"required\"` or \"optional\"";
            let what = "clients are not asked for a certificate";
            reader.complain(&place, what, None, Some(hint.into()));
        }
    }
}

fn check_udp(reader: &mut TableReader<'_, '_>, table: &ListenerTable) {
    /// No more than what may go to an address that nobody has proved to be its own.
    const ANSWER_TIMES: usize = 3;
    if table.sources.stray_rate.0.is_some() && !table.transport.has_datagrams() {
        let place = reader.place_below(&["sources", "stray_rate"]);
        let what = format!("the transport {} has no datagrams", table.transport.word());
        let hint = Some("it is for `transport` \"udp\"".into());
        reader.complain(&place, &what, None, hint);
    }
    let Some(udp) = &table.udp.0 else { return };
    let (set, missing) = match (&udp.health_request.0, &udp.health_answer.0) {
        (Some(request), Some(answer)) => {
            let most = request.0.len() * ANSWER_TIMES;
            if answer.0.len() > most {
                let place = reader.place_below(&["udp", "health_answer"]);
                let what = format!("it is {} bytes long", answer.0.len());
                let allowed = format!("{most} bytes, three times as many as `health_request` has");
                reader.complain(&place, &what, Some(allowed), None);
            }
            return;
        }
        (None, None) => return,
        (Some(_), None) => ("health_request", "health_answer"),
        (None, Some(_)) => ("health_answer", "health_request"),
    };
    let place = reader.place_below(&["udp", set]);
    reader.complain(&place, &format!("`{missing}` is missing"), None, None);
}

fn check_proxy(reader: &mut TableReader<'_, '_>, table: &ListenerTable) {
    let is_on = table.proxy_protocol != ProxyProtocol::Off;
    let has_sources = !table.proxy_protocol_from.0.is_empty();
    // Whoever may open a Unix socket is trusted: its permissions say who that is.
    if is_on && !has_sources && table.transport != Transport::Unix {
        let place = reader.place_of("proxy_protocol");
        let hint = "name in `proxy_protocol_from` the addresses of the proxies, such as \
                    [\"127.0.0.1\"]";
        reader.complain(&place, "`proxy_protocol_from` is missing", None, Some(hint.into()));
    }
    if table.proxy_protocol == ProxyProtocol::V1 && table.transport.has_datagrams() {
        let place = reader.place_of("proxy_protocol");
        let allowed = Some(quoted(&["off", "v2", "any"]));
        reader.complain(&place, "version 1 has no form for datagrams", allowed, None);
    }
    if !is_on && has_sources {
        let place = reader.place_of("proxy_protocol_from");
        let hint = "write `proxy_protocol = \"v2\"`, or \"v1\" or \"any\"";
        reader.complain(&place, "`proxy_protocol` is off", None, Some(hint.into()));
    }
}

/// The zone and the authentications that it names have to be there.
fn check_names(reader: &mut TableReader<'_, '_>, table: &ListenerTable, node: &Node) {
    let place = reader.place_of("authentication");
    let mut named = Vec::new();
    for name in &table.authentication.0 {
        if node.authentication.find(name).is_none() {
            refuse_name(reader, &place, "authentication", name, node.authentication.names());
        }
        if named.contains(&name) {
            reader.complain(&place, &format!("\"{name}\" stands there twice"), None, None);
        }
        named.push(name);
    }
    if let Some(name) = &table.zone.0
        && node.zone.find(name).is_none()
    {
        let place = reader.place_of("zone");
        refuse_name(reader, &place, "zone", name, node.zone.names());
    }
}

fn refuse_name<'n>(
    reader: &mut TableReader<'_, '_>,
    place: &Place,
    table: &str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) {
    let known: Vec<_> = known.collect();
    let hint = nearest(name, known.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
    let hint = hint.unwrap_or_else(|| format!("write a table [{table}.{name}]"));
    let allowed = (!known.is_empty()).then(|| quoted(&known));
    reader.complain(place, &format!("there is no [{table}.{name}]"), allowed, Some(hint));
}

/// Complains about limits of one listener, from wherever they come, that do not go together.
pub(super) fn check_limits(reader: &mut TableReader<'_, '_>, limits: &ListenerLimits) {
    if let (Some(min), Some(max)) = (limits.min_keep_alive, limits.max_keep_alive)
        && min > max
    {
        let place = reader.place_of("limits");
        reader.complain(&place, "`min_keep_alive` is above `max_keep_alive`", None, None);
    }
}

/// Complains about listeners that do not go together.
pub(super) fn check_listeners(
    top: &mut TableReader<'_, '_>,
    listeners: &[Listener],
    places: &[ListenerPlaces],
) {
    for (index, (listener, place)) in listeners.iter().zip(places).enumerate() {
        for (earlier, earlier_place) in listeners.iter().zip(places).take(index) {
            let at = &earlier_place.table.path;
            if earlier.table.name == listener.table.name {
                let what = format!("{at} has the same name");
                top.complain(&place.name, &what, None, None);
            }
            if overlap(&earlier.table, &listener.table) {
                let what = format!("{at} listens on {} already", earlier.table.bind);
                top.complain(&place.bind, &what, None, None);
            }
        }
    }
}

/// Where in the file a listener's table, name and address stand.
pub(super) struct ListenerPlaces {
    pub(super) table: Place,
    pub(super) name: Place,
    pub(super) bind: Place,
}

/// Whether a connection or a datagram could be meant for either of two listeners.
fn overlap(a: &ListenerTable, b: &ListenerTable) -> bool {
    // TCP and UDP have ports of their own.
    if a.transport.has_datagrams() != b.transport.has_datagrams() {
        return false;
    }
    let (a, b) = match (&a.bind, &b.bind) {
        (Bind::Address(a), Bind::Address(b)) => (a, b),
        (Bind::Unix(a), Bind::Unix(b)) => return a == b,
        (Bind::Address(_), Bind::Unix(_)) | (Bind::Unix(_), Bind::Address(_)) => return false,
    };
    let same_ip = a.ip() == b.ip()
        || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() != 0 && a.port() == b.port() && same_ip
}
