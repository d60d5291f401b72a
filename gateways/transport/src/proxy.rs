//! PROXY protocol: a proxy in front of a listener says first who the client is, once for a
//! connection, or in each datagram.

mod crc32c;
mod datagram;
mod v1;
mod v2;

use std::net::SocketAddr;

use core_model::TransportFacts;
use ipnet::IpNet;

use crate::{HandshakeFault, HandshakeFaultKind};

pub use datagram::{DatagramHeader, read_datagram_header};

/// Which proxies may say who the client is.
///
/// A source within `trusted` (and any peer of a Unix socket) has to send a header of the version;
/// any other must not send one. Before datagrams there is version 2 only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRules {
    /// Which header is spoken.
    pub version: ProxyVersion,
    /// Where headers may come from.
    pub trusted: Vec<IpNet>,
}

impl ProxyRules {
    fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        let Some(peer) = peer else { return true };
        // An IPv4 client of a listener for both is an IPv6 address here.
        let ip = peer.ip().to_canonical();
        self.trusted.iter().any(|net| net.contains(&ip))
    }
}

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyVersion {
    /// None: there is no header.
    #[default]
    Off,
    /// Version 1, a line of text.
    V1,
    /// Version 2, binary with extensions.
    V2,
    /// Version 1 or 2, as the proxy likes.
    Any,
}

/// What a proxy reports of a client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Where the client is.
    pub(crate) source: Source,
    /// What it knows of the client's TLS connection to it. Its `proxy` is still to be set.
    pub(crate) facts: TransportFacts,
    /// Whether the client spoke TLS to the proxy.
    pub(crate) is_tls: bool,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// Where the connection comes from: the proxy speaks for itself, or does not know.
    #[default]
    Connection,
    /// There.
    Address(SocketAddr),
    /// On a Unix socket of the proxy.
    Unix,
}

/// Reads the header of one connection, if it has to have one.
#[derive(Debug)]
pub(crate) struct ProxyReader {
    version: ProxyVersion,
    is_trusted: bool,
    buffer: Vec<u8>,
}

/// A connection whose header is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduced {
    /// What the header said; `None` without one.
    pub(crate) report: Option<Report>,
    /// The bytes after it.
    pub(crate) rest: Vec<u8>,
}

/// A whole header and its length in bytes; `None` if there is only its beginning yet.
type Parsed = Option<(Report, usize)>;

/// What is wrong with a header.
type Malformed = &'static str;

impl ProxyReader {
    pub(crate) fn new(rules: &ProxyRules, peer: Option<SocketAddr>) -> Self {
        ProxyReader { version: rules.version, is_trusted: rules.trusts(peer), buffer: Vec::new() }
    }

    /// Takes bytes until it has decided.
    pub(crate) fn input(&mut self, wire: &[u8]) -> Result<Option<Introduced>, HandshakeFault> {
        self.buffer.extend_from_slice(wire);
        let parsed = if self.is_trusted { self.parse() } else { self.look_for_none() };
        match parsed.map_err(|what| HandshakeFault::new(HandshakeFaultKind::Proxy, what))? {
            None => Ok(None),
            Some((report, used)) => {
                let rest = self.buffer.split_off(used.min(self.buffer.len()));
                self.buffer = Vec::new();
                Ok(Some(Introduced { report, rest }))
            }
        }
    }

    fn parse(&self) -> Result<Option<(Option<Report>, usize)>, Malformed> {
        let (speaks_v1, speaks_v2) = match self.version {
            ProxyVersion::Off => return Ok(Some((None, 0))),
            ProxyVersion::V1 => (true, false),
            ProxyVersion::V2 => (false, true),
            ProxyVersion::Any => (true, true),
        };
        let parsed = if speaks_v1 && may_begin_with(&self.buffer, v1::SIGNATURE) {
            v1::parse(&self.buffer)?
        } else if speaks_v2 && may_begin_with(&self.buffer, v2::SIGNATURE) {
            v2::parse(&self.buffer, v2::Carrier::Stream)?
        } else {
            return Err("a trusted proxy sent no header of the version that is spoken");
        };
        Ok(parsed.map(|(report, used)| (Some(report), used)))
    }

    /// A source that is not trusted must not send a header: it would pass for the client's bytes
    /// and be refused there with a misleading error.
    fn look_for_none(&self) -> Result<Option<(Option<Report>, usize)>, Malformed> {
        if self.version == ProxyVersion::Off {
            return Ok(Some((None, 0)));
        }
        for signature in [v1::SIGNATURE, v2::SIGNATURE] {
            if self.buffer.starts_with(signature) {
                return Err("a header from a source that is not trusted");
            }
            if may_begin_with(&self.buffer, signature) {
                return Ok(None);
            }
        }
        Ok(Some((None, 0)))
    }
}

/// Whether what has come so far does not contradict `signature`.
fn may_begin_with(buffer: &[u8], signature: &[u8]) -> bool {
    buffer.iter().zip(signature).all(|(byte, expected)| byte == expected)
}
