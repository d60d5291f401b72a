//! ADVERTISE, by the gateway and by one that it stands by for.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::mqttsn::{Config, Gateway};
use crate::process::{LIMIT, wait_for};

/// The next datagram; none after a time.
fn next_datagram(socket: &UdpSocket, limit: Duration) -> Option<Vec<u8>> {
    socket.set_read_timeout(Some(limit)).expect("a time that is not 0");
    let mut octets = [0; 64];
    let len = socket.recv(&mut octets).ok()?;
    Some(octets[..len].to_vec())
}

/// ADVERTISE of gateway 7, every second.
const ADVERTISE: [u8; 5] = [5, 0, 7, 0, 1];

/// A server that advertises to a socket of the test.
fn advertising(socket: &UdpSocket, more: &str) -> Gateway {
    let to = socket.local_addr().expect("it is bound");
    let config = Config::default().text().replace(
        "[listener.mqtt-sn]\n",
        &format!(
            "[listener.mqtt-sn]\nadvertise_to = \"{to}\"\nadvertise_interval = \"1s\"\n{more}\n"
        ),
    );
    let folder = tempfile::tempdir().expect("a folder");
    Gateway::with_text(folder, &config)
}

/// One ADVERTISE in each interval, however many shards there are.
//= mqttsn:GW-SN-03
#[test]
fn a_gateway_advertises() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let since = Instant::now();
    let _gateway = advertising(&socket, "");
    for _ in 0..4 {
        let advertised = next_datagram(&socket, LIMIT).expect("an ADVERTISE");
        assert_eq!(advertised, ADVERTISE);
    }
    // The first may come at once.
    assert!(since.elapsed() > Duration::from_millis(2_900), "four in {:?}", since.elapsed());
}

/// It is silent as long as it hears the other one, from whatever port, and again once it does.
//= mqttsn:GW-SN-05
#[test]
fn a_gateway_stands_by() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let others: Vec<_> =
        (0..4).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a free port")).collect();
    let gateway = advertising(&socket, "standby_for = 9");
    let address = gateway.server.address_of("sn");
    let mut count = 0;
    // The active gateway, with the same interval.
    let mut live = |limit| {
        others[count % others.len()].send_to(&[5, 0, 9, 0, 1], address).expect("it is sent");
        count += 1;
        next_datagram(&socket, limit)
    };
    for _ in 0..8 {
        let heard = live(Duration::from_millis(500));
        assert!(heard.is_none(), "advertised beside the active gateway: {heard:?}");
    }
    let advertised = next_datagram(&socket, LIMIT).expect("it takes over");
    assert_eq!(advertised, ADVERTISE);
    // One may be on its way when the other one comes back.
    wait_for("its silence", || live(Duration::from_millis(1_500)).is_none().then_some(()));
}
