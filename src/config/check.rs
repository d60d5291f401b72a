//! What no single value shows to be wrong.

use std::net::SocketAddr;

use super::{Listener, ListenerTable};
use crate::Registration;
use crate::settings::{Place, TableReader, nearest};

/// Protocols that are planned.
const GATEWAYS_LATER: [&str; 10] =
    ["mqtt-sn", "coap", "lwm2m", "stomp", "lorawan", "gbt32960", "jt808", "modbus", "http", "raw"];

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
    let allowed = known.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    reader.complain(place, what, Some(allowed), hint);
}

/// Complains about values of one listener that do not go together.
pub(super) fn check_listener(
    reader: &mut TableReader<'_, '_>,
    table: &ListenerTable,
    registration: &Registration,
    gateways: &[&'static str],
) {
    if !registration.transports.contains(&table.transport) {
        let allowed: Vec<_> = registration.transports.iter().map(|t| t.word()).collect();
        let place = reader.place_of("transport");
        let what = format!("gateway {} has no such transport", registration.name);
        reader.complain(&place, &what, Some(allowed.join(", ")), None);
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
    if !table.bind.ip().is_loopback() && table.allow_anonymous.0.is_none() {
        let place = reader.place_of("bind");
        let hint = "write `allow_anonymous = true` in this listener to let everybody in, \
                    or bind it to a loopback address";
        let what = "without authentication everybody who reaches this address would be let in";
        reader.complain(&place, what, None, Some(hint.into()));
    }
}

/// Complains about listeners that do not go together.
pub(super) fn check(
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
            if overlap(earlier.table.bind, listener.table.bind) {
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

/// Whether a connection could be meant for either address.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip()
        || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() != 0 && a.port() == b.port() && same_ip
}
