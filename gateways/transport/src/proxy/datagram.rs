//! PROXY protocol before datagrams: each datagram brings its own whole header.

use std::net::SocketAddr;
use std::sync::Arc;

use core_model::TransportFacts;

use super::v2::{self, Carrier};
use super::{Malformed, ProxyRules, ProxyVersion, Source};
use crate::{HandshakeFault, HandshakeFaultKind};

/// What stands before the payload of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatagramHeader {
    /// Where the client is: what a trusted proxy claims, otherwise where the datagram comes from.
    pub peer: SocketAddr,
    /// Bytes of the header, after which the payload begins; 0 without one.
    pub len: usize,
    /// The proxy that speaks for the client.
    proxy: Option<SocketAddr>,
    /// What it claims beyond the address.
    claims: Option<Box<TransportFacts>>,
}

impl DatagramHeader {
    /// What a new link is to know of its transport; `None` where no proxy speaks for the client.
    /// It is put together here since most datagrams open no link.
    #[must_use]
    pub fn into_facts(self) -> Option<Arc<TransportFacts>> {
        let proxy = self.proxy?;
        let claims = self.claims.map(|claims| *claims).unwrap_or_default();
        Some(Arc::new(TransportFacts { proxy: Some(proxy), ..claims }))
    }

    fn without(from: SocketAddr) -> Self {
        DatagramHeader { peer: from, len: 0, proxy: None, claims: None }
    }
}

/// Reads the header of a datagram that came `from` there. A source that is trusted has to send one
/// of version 2, which is the only one for datagrams; any other must send none. Nothing is
/// allocated for a header that claims an address only.
///
/// # Errors
/// The header is missing, malformed, cut off, of a connection instead of a datagram, or from a
/// source that is not trusted: the datagram is to be dropped.
pub fn read_datagram_header(
    rules: &ProxyRules,
    from: SocketAddr,
    datagram: &[u8],
) -> Result<DatagramHeader, HandshakeFault> {
    read(rules, from, datagram).map_err(|what| HandshakeFault::new(HandshakeFaultKind::Proxy, what))
}

fn read(
    rules: &ProxyRules,
    from: SocketAddr,
    datagram: &[u8],
) -> Result<DatagramHeader, Malformed> {
    if rules.version == ProxyVersion::Off {
        return Ok(DatagramHeader::without(from));
    }
    let has_header = datagram.starts_with(v2::SIGNATURE);
    if !rules.trusts(Some(from)) {
        if has_header {
            return Err("a header from a source that is not trusted");
        }
        return Ok(DatagramHeader::without(from));
    }
    if !has_header || rules.version == ProxyVersion::V1 {
        return Err("a trusted proxy sent a datagram without a header of version 2");
    }
    let (report, len) =
        v2::parse(datagram, Carrier::Datagram)?.ok_or("a version 2 header that is cut off")?;
    let Source::Address(peer) = report.source else {
        return Ok(DatagramHeader { len, ..DatagramHeader::without(from) });
    };
    let claims = (report.facts != TransportFacts::default()).then(|| Box::new(report.facts));
    Ok(DatagramHeader { peer, len, proxy: Some(from), claims })
}
