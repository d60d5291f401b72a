use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use core_model::TransportFacts;

use crate::filter::Stack;
use crate::proxy::{ProxyReader, Report, Source};
use crate::tls::{AskedName, TlsStream, is_about_certificate};
use crate::websocket::{Upgrade, WebSocket};
use crate::{CertificateField, Filter, Flow, ProxyRules, TlsContext, WebSocketRules, certificate};

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
        Handshake {
            entrance: Arc::clone(self),
            peer,
            report: None,
            stage: match &self.proxy {
                Some(rules) => Stage::Proxy(ProxyReader::new(rules, peer)),
                None => Stage::BeforeTls,
            },
        }
    }
}

/// A connection that is not established yet.
#[derive(Debug)]
pub struct Handshake {
    entrance: Arc<Entrance>,
    /// Where the connection comes from.
    peer: Option<SocketAddr>,
    /// What a proxy has said.
    report: Option<Report>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Proxy(ProxyReader),
    BeforeTls,
    Tls(TlsStream, AskedName),
    /// With TLS below it, if there is any.
    WebSocket(Upgrade, Option<TlsStream>, Facts),
    Over,
}

/// What TLS and PROXY header have found out together.
#[derive(Debug)]
struct Facts {
    transport: Option<Arc<TransportFacts>>,
    client_id: Option<Box<str>>,
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
        out: &mut Vec<u8>,
    ) -> Result<Option<Established>, HandshakeFault> {
        let mut bytes = wire.to_vec();
        if let Stage::WebSocket(_, Some(tls), _) = &mut self.stage {
            bytes = decrypt(tls, &mut bytes, out)?;
        }
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Proxy(mut reader) => match reader.input(&bytes)? {
                    None => {
                        self.stage = Stage::Proxy(reader);
                        return Ok(None);
                    }
                    Some(introduced) => {
                        self.report = introduced.report;
                        bytes = introduced.rest;
                        self.stage = Stage::BeforeTls;
                    }
                },
                Stage::BeforeTls => self.stage = self.begin_tls()?,
                Stage::Tls(mut tls, name) => {
                    bytes = decrypt(&mut tls, &mut bytes, out)?;
                    if tls.is_handshaking() {
                        self.stage = Stage::Tls(tls, name);
                        return Ok(None);
                    }
                    match self.facts(Some((&tls, &name))) {
                        Ok(facts) => {
                            self.stage = Stage::WebSocket(Upgrade::default(), Some(tls), facts);
                        }
                        Err(fault) => {
                            tls.farewell(out);
                            return Err(fault);
                        }
                    }
                }
                Stage::WebSocket(upgrade, tls, facts) => {
                    return self.upgrade(upgrade, tls, facts, bytes, out);
                }
                Stage::Over => {
                    return Err(HandshakeFault::new(HandshakeFaultKind::Tls, "it is over"));
                }
            }
        }
    }

    /// What the peer is to send next, for the text of a time-out.
    #[must_use]
    pub fn waits_for(&self) -> HandshakeFaultKind {
        match self.stage {
            Stage::Proxy(_) => HandshakeFaultKind::Proxy,
            Stage::BeforeTls if self.entrance.tls.is_some() => HandshakeFaultKind::Tls,
            Stage::Tls(..) => HandshakeFaultKind::Tls,
            Stage::BeforeTls | Stage::WebSocket(..) | Stage::Over => HandshakeFaultKind::WebSocket,
        }
    }

    fn begin_tls(&mut self) -> Result<Stage, HandshakeFault> {
        Ok(match &self.entrance.tls {
            Some(context) => {
                let (tls, name) = context.begin().map_err(|error| tls_fault(&error))?;
                Stage::Tls(tls, name)
            }
            None => Stage::WebSocket(Upgrade::default(), None, self.facts(None)?),
        })
    }

    /// Goes on above TLS.
    fn upgrade(
        &mut self,
        mut upgrade: Upgrade,
        mut tls: Option<TlsStream>,
        facts: Facts,
        bytes: Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Established>, HandshakeFault> {
        let Some(rules) = &self.entrance.websocket else {
            let filter = tls.map(|tls| Stack::new(Some(tls), None));
            return Ok(Some(self.establish(filter, facts, bytes)));
        };
        let start = out.len();
        let result = upgrade.input(rules, &bytes, out);
        if let Some(tls) = &mut tls {
            let sealed = tls.seal_tail(out, start);
            if result.is_err() {
                tls.farewell(out);
            }
            sealed.map_err(|error| tls_fault(&error))?;
        }
        let rest = result
            .map_err(|refusal| HandshakeFault::new(HandshakeFaultKind::WebSocket, refusal.text))?;
        let Some(rest) = rest else {
            self.stage = Stage::WebSocket(upgrade, tls, facts);
            return Ok(None);
        };
        let mut stack = Stack::new(tls, Some(WebSocket::default()));
        let mut plain = Vec::new();
        let fault = |text: &str| HandshakeFault::new(HandshakeFaultKind::WebSocket, text);
        match stack.incoming_above_tls(rest, &mut plain, out) {
            Ok(Flow::Open) => Ok(Some(self.establish(Some(stack), facts, plain))),
            Ok(Flow::Ended) => Err(fault("the peer has closed at once")),
            Err(error) => Err(fault(&error.text)),
        }
    }

    fn establish(&self, filter: Option<Stack>, facts: Facts, plain: Vec<u8>) -> Established {
        let source = self.report.as_ref().map_or(Source::Connection, |report| report.source);
        Established {
            filter: filter.map(|stack| Box::new(stack) as Box<dyn Filter>),
            plain,
            peer: match source {
                Source::Connection => self.peer,
                Source::Address(address) => Some(address),
                Source::Unix => None,
            },
            facts: facts.transport,
            client_id: facts.client_id,
        }
    }

    /// Puts together what a proxy has reported and what our own TLS has found out. Where the
    /// client spoke TLS to the proxy, that TLS is the client's, and ours, if any, the proxy's.
    fn facts(&mut self, tls: Option<(&TlsStream, &AskedName)>) -> Result<Facts, HandshakeFault> {
        let reported = self.report.as_mut().filter(|report| report.source != Source::Connection);
        let is_reported = reported.is_some();
        let is_tls_reported = reported.as_ref().is_some_and(|report| report.is_tls);
        let mut facts =
            reported.map(|report| std::mem::take(&mut report.facts)).unwrap_or_default();
        if let Some((tls, name)) = tls
            && !is_tls_reported
        {
            let authority = facts.server_name.take();
            facts = tls.facts();
            facts.server_name = name.get().cloned().or(authority);
            facts.certificate = tls
                .certificate()
                .map(certificate::read)
                .transpose()
                .map_err(|what| HandshakeFault::new(HandshakeFaultKind::Certificate, what))?;
        }
        if is_reported {
            facts.proxy = self.peer;
        }
        let client_id = match (self.entrance.client_id, &facts.certificate) {
            (Some(field), Some(certificate)) => {
                let id = field.of(certificate).ok_or_else(|| {
                    let text = "a certificate without the field that is the client id";
                    HandshakeFault::new(HandshakeFaultKind::Certificate, text)
                })?;
                Some(id.into())
            }
            _ => None,
        };
        let is_known = is_reported || tls.is_some();
        Ok(Facts { transport: is_known.then(|| Arc::new(facts)), client_id })
    }
}

/// Takes bytes of the wire; returns the plain ones.
fn decrypt(
    tls: &mut TlsStream,
    wire: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<Vec<u8>, HandshakeFault> {
    let mut plain = Vec::new();
    let flow = tls.incoming(wire, out, |piece| plain.extend_from_slice(piece));
    match flow.map_err(|error| tls_fault(&error))? {
        Flow::Open => Ok(plain),
        Flow::Ended => {
            tls.farewell(out);
            let text = "the peer has ended the connection";
            Err(HandshakeFault::new(HandshakeFaultKind::Tls, text))
        }
    }
}

fn tls_fault(error: &rustls::Error) -> HandshakeFault {
    let kind = if is_about_certificate(error) {
        HandshakeFaultKind::Certificate
    } else {
        HandshakeFaultKind::Tls
    };
    HandshakeFault::new(kind, error)
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
