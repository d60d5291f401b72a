use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use core_model::TransportFacts;

use crate::{CertificateField, Filter, ProxyRules, TlsContext, WebSocketRules};

/// What stands between accepting a connection and the gateway of a listener: PROXY header, then
/// TLS, then WebSocket, each where it is configured. Replaced as a whole at a reload.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    /// Whether proxies in front of the listener say who the client is.
    pub proxy: Option<ProxyRules>,
    /// TLS: certificates and whom to let in.
    pub tls: Option<Arc<TlsContext>>,
    /// WebSocket: paths, origins and subprotocols.
    pub websocket: Option<WebSocketRules>,
    /// Which field of the client's certificate is its client id. A certificate without it is
    /// refused; a client without a certificate chooses for itself.
    pub client_id: Option<CertificateField>,
}

impl Entrance {
    /// Whether nothing stands there, so that connections need no handshake.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.proxy.is_none() && self.tls.is_none() && self.websocket.is_none()
    }

    /// Begins the handshake of a connection from `peer`, which is `None` on a Unix socket.
    #[must_use]
    pub fn begin(self: &Arc<Self>, peer: Option<SocketAddr>) -> Handshake {
        Handshake { entrance: Arc::clone(self), peer }
    }
}

/// A connection that is not established yet.
#[derive(Debug)]
pub struct Handshake {
    entrance: Arc<Entrance>,
    peer: Option<SocketAddr>,
}

impl Handshake {
    /// Takes what came from the peer. `out` gets what is to be written in any case, also with an
    /// error: a TLS alert, an HTTP answer. After the connection is established or an error
    /// the handshake is spent.
    ///
    /// # Errors
    /// The peer may not enter; after writing `out` the connection is to be closed.
    pub fn input(
        &mut self,
        wire: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<Option<Established>, HandshakeFault> {
        if !self.entrance.is_open() {
            return Err(HandshakeFault::new(HandshakeFaultKind::Tls, "not spoken yet"));
        }
        Ok(Some(Established {
            filter: None,
            plain: wire.to_vec(),
            peer: self.peer,
            facts: None,
            client_id: None,
        }))
    }

    /// What the peer is to send next, for the text of a time-out.
    #[must_use]
    pub fn waits_for(&self) -> HandshakeFaultKind {
        HandshakeFaultKind::Proxy
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Established {
    /// What its bytes go through from now on; `None` if they go as they are.
    pub filter: Option<Box<dyn Filter>>,
    /// The client's first plain bytes, if some came with the handshake.
    pub plain: Vec<u8>,
    /// Address of the client, as seen or as a trusted proxy reports it.
    pub peer: Option<SocketAddr>,
    /// What was found out on the way.
    pub facts: Option<Arc<TransportFacts>>,
    /// The client id that the certificate says, where the entrance asks for it.
    pub client_id: Option<Box<str>>,
}

/// Which part of a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeFaultKind {
    /// PROXY header: missing, malformed, or from a source that is not trusted.
    Proxy,
    /// TLS: no common version or cipher, malformed messages, alert of the peer.
    Tls,
    /// The client's certificate: missing, expired, revoked, of an unknown authority, without the
    /// field that is asked for.
    Certificate,
    /// WebSocket: not an upgrade that is welcome here.
    WebSocket,
}

impl HandshakeFaultKind {
    /// A word for counters and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HandshakeFaultKind::Proxy => "proxy",
            HandshakeFaultKind::Tls => "tls",
            HandshakeFaultKind::Certificate => "certificate",
            HandshakeFaultKind::WebSocket => "websocket",
        }
    }
}

/// Why a connection may not enter. The text is for a debug log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", kind.name())]
pub struct HandshakeFault {
    /// What failed, for counters.
    pub kind: HandshakeFaultKind,
    /// What is wrong, in words.
    pub text: Box<str>,
}

impl HandshakeFault {
    #[cold]
    pub(crate) fn new(kind: HandshakeFaultKind, text: impl fmt::Display) -> Self {
        HandshakeFault { kind, text: text.to_string().into() }
    }
}
