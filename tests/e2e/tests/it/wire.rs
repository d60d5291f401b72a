//! Packets written by hand, for peers that break the rules: bytes that no client library sends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::process::LIMIT;

/// CONNACK, PUBLISH, ... as the high half of the first byte.
pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const PINGRESP: u8 = 0xd0;
pub(crate) const DISCONNECT: u8 = 0xe0;

/// A fixed header and a body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut n = body.len();
    loop {
        let low = (n & 127) as u8;
        n >>= 7;
        bytes.push(if n > 0 { low | 128 } else { low });
        if n == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// A two-byte length and the bytes.
pub(crate) fn string(s: impl AsRef<[u8]>) -> Vec<u8> {
    let s = s.as_ref();
    let len = u16::try_from(s.len()).expect("a string has at most 65535 bytes");
    [&len.to_be_bytes(), s].concat()
}

/// A CONNECT with a clean start; `properties` (MQTT 5 only) without their length.
pub(crate) fn connect(
    version: u8,
    client_id: &str,
    keep_alive_s: u16,
    properties: &[u8],
) -> Vec<u8> {
    let mut body = string(if version == 3 { "MQIsdp" } else { "MQTT" });
    body.extend([version, 2]);
    body.extend(keep_alive_s.to_be_bytes());
    if version == 5 {
        body.push(u8::try_from(properties.len()).expect("short properties"));
        body.extend(properties);
    }
    body.extend(string(client_id));
    packet(0x10, &body)
}

/// A PUBLISH at QoS 0 with a whole property section (MQTT 5; empty for 3.1.1).
pub(crate) fn publish0(topic: impl AsRef<[u8]>, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    packet(PUBLISH, &[&string(topic)[..], properties, payload].concat())
}

/// A SUBSCRIBE of one filter with a whole property section (MQTT 5; empty for 3.1.1).
pub(crate) fn subscribe(
    id: u16,
    properties: &[u8],
    filter: impl AsRef<[u8]>,
    options: u8,
) -> Vec<u8> {
    packet(0x82, &[&id.to_be_bytes(), properties, &string(filter), &[options]].concat())
}

/// First byte and body.
pub(crate) type Packet = (u8, Vec<u8>);

/// The server neither answered nor closed in time.
#[derive(Debug)]
pub(crate) struct Silence;

/// A connection without any client behind it.
pub(crate) struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// Connects and says nothing.
    pub(crate) fn open(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a live socket");
        stream.set_read_timeout(Some(LIMIT)).expect("a live socket");
        stream.set_write_timeout(Some(LIMIT)).expect("a live socket");
        Peer { stream, unread: Vec::new() }
    }

    /// Connects as a client and reads the CONNACK; returns also its body.
    pub(crate) fn connect(address: SocketAddr, version: u8, client_id: &str) -> (Peer, Vec<u8>) {
        let mut peer = Peer::open(address);
        peer.send(&connect(version, client_id, 0, &[]));
        let (first, body) = peer.packet().expect("a CONNACK");
        assert_eq!((first, body[1]), (CONNACK, 0), "CONNECT is accepted");
        (peer, body)
    }

    /// Sends bytes; that the server closes meanwhile is no error.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Limits how long a read waits.
    pub(crate) fn set_limit(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).expect("a live socket");
    }

    /// Ends the sending half.
    pub(crate) fn shut(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next packet, or None once the server has closed; panics when neither happens in time.
    pub(crate) fn packet(&mut self) -> Option<Packet> {
        self.try_packet().expect("the server answers or closes in time")
    }

    /// The next packet, or None once the server has closed, or [`Silence`].
    pub(crate) fn try_packet(&mut self) -> Result<Option<Packet>, Silence> {
        let mut chunk = [0; 4096];
        loop {
            if let Some((first, start, end)) = split(&self.unread) {
                let body = self.unread[start..end].to_vec();
                self.unread.drain(..end);
                return Ok(Some((first, body)));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(n) => self.unread.extend(&chunk[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Silence);
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// All packets until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<Packet> {
        self.try_rest().expect("the server closes in time")
    }

    /// All packets until the server closes, or [`Silence`].
    pub(crate) fn try_rest(&mut self) -> Result<Vec<Packet>, Silence> {
        std::iter::from_fn(|| self.try_packet().transpose()).collect()
    }

    /// Waits for a packet of a type, and skips others.
    pub(crate) fn expect(&mut self, first: u8) -> Vec<u8> {
        loop {
            let (got, body) = self.packet().unwrap_or_else(|| panic!("closed before {first:#x}"));
            if got & 0xf0 == first {
                return body;
            }
        }
    }

    /// Sends PINGREQ and waits for the answer: the server has handled all that came before.
    pub(crate) fn ping(&mut self) {
        self.send(&[0xc0, 0]);
        self.expect(PINGRESP);
    }
}

/// First byte, start and end of the body of a whole packet.
fn split(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (mut n, mut at) = (0usize, 1);
    loop {
        let byte = *bytes.get(at)?;
        n |= usize::from(byte & 127) << (7 * (at - 1));
        at += 1;
        if byte < 128 {
            break;
        }
        assert!(at < 5, "a remaining length of more than four bytes");
    }
    (bytes.len() >= at + n).then(|| (bytes[0], at, at + n))
}
