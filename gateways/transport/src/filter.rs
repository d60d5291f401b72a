use std::fmt;

use crate::tls::TlsStream;
use crate::websocket::{BadFrame, WebSocket};

/// Stands between a link's socket and its plain bytes, for the life of the link.
///
/// A filter does no I/O and keeps no buffers while nothing is under way. After an error,
/// [`Flow::Ended`] or a farewell what still comes in is dropped.
pub trait Filter: Send + fmt::Debug {
    /// Takes all of `wire` (whose content is undefined afterwards), appends what it carries to
    /// `plain`, and what has to be answered at once to `reply`: handshake messages, alerts, pongs,
    /// the peer's close frame. `plain` grows by no more than `wire` has bytes, plus one record
    /// that had not been complete. Both are to be used with an error as well: an error says why
    /// the reply is the last one.
    ///
    /// # Errors
    /// The peer broke the rules of the filter's protocol; the link is to be closed.
    fn incoming(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Flow, FilterFault>;

    /// Appends to `wire` what carries `plain`; nothing if that is empty.
    ///
    /// # Errors
    /// The filter can carry no more (the keys are worn out, or it has said farewell); the link is
    /// to be closed.
    fn outgoing(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), FilterFault>;

    /// Appends the farewell, unless it has been said: WebSocket's close frame with the code for
    /// `why`, TLS's close_notify.
    fn farewell(&mut self, why: Farewell, wire: &mut Vec<u8>);

    /// Bytes of memory that it holds on the heap now, itself included, as far as it knows.
    fn held_bytes(&self) -> usize;
}

/// Whether more is to come from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// More may come.
    Open,
    /// The peer has said that it sends no more; what it had to be answered is in the reply. The
    /// link is to be closed.
    Ended,
}

/// Why the server closes a link, as far as filters can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// All is said.
    Normal,
    /// The node, or the listener, shuts down.
    GoingAway,
    /// The peer broke the protocol's rules.
    ProtocolError,
    /// The peer broke a rule of the house: not authorized, too many, too fast, banned.
    Policy,
    /// The peer sent something that is too large.
    TooLarge,
    /// A fault of ours.
    Internal,
}

/// What a filter found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FilterFaultKind {
    /// TLS: bad record, bad message, alert of the peer.
    Tls,
    /// WebSocket: bad frame, text frame, bad close code.
    WebSocket,
    /// Nothing more can be sent.
    Closed,
}

impl FilterFaultKind {
    /// A word for counters and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FilterFaultKind::Tls => "tls",
            FilterFaultKind::WebSocket => "websocket",
            FilterFaultKind::Closed => "closed",
        }
    }
}

/// Why a filter gives a link up. The text is for a debug log; it holds nothing that the peer sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", kind.name())]
pub struct FilterFault {
    /// What is wrong, for counters.
    pub kind: FilterFaultKind,
    /// What is wrong, in words.
    pub text: Box<str>,
}

impl FilterFault {
    #[cold]
    pub(crate) fn new(kind: FilterFaultKind, text: impl fmt::Display) -> Self {
        FilterFault { kind, text: text.to_string().into() }
    }
}

/// The filters of one link: TLS next to the wire, WebSocket above it, or one of them.
#[derive(Debug)]
pub(crate) struct Stack {
    tls: Option<TlsStream>,
    websocket: Option<WebSocket>,
    is_over: bool,
}

impl Stack {
    pub(crate) fn new(tls: Option<TlsStream>, websocket: Option<WebSocket>) -> Self {
        Stack { tls, websocket, is_over: false }
    }

    /// Takes bytes that TLS has been through already.
    pub(crate) fn incoming_above_tls(
        &mut self,
        bytes: Vec<u8>,
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Flow, FilterFault> {
        let Some(websocket) = &mut self.websocket else {
            *plain = bytes;
            return Ok(Flow::Open);
        };
        let result = websocket.incoming(&bytes, plain).map_err(websocket_fault);
        self.finish(result, reply)
    }

    /// Sends what the bytes that came in have brought about.
    fn finish(
        &mut self,
        result: Result<Flow, FilterFault>,
        reply: &mut Vec<u8>,
    ) -> Result<Flow, FilterFault> {
        let start = reply.len();
        if let Some(websocket) = &mut self.websocket {
            websocket.answer(reply);
        }
        self.is_over = result != Ok(Flow::Open);
        if let Some(tls) = &mut self.tls {
            let sealed = tls.seal_tail(reply, start);
            if self.is_over {
                tls.farewell(reply);
            }
            // An error that came in is what matters.
            result.and_then(|flow| sealed.map(|()| flow).map_err(tls_fault))
        } else {
            result
        }
    }
}

impl Filter for Stack {
    fn incoming(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Flow, FilterFault> {
        if self.is_over {
            return Ok(Flow::Ended);
        }
        let Stack { tls, websocket, .. } = self;
        let result = match (tls, websocket) {
            (Some(tls), Some(websocket)) => {
                let mut above = Ok(Flow::Open);
                let below = tls.incoming(wire, reply, |piece| {
                    if above == Ok(Flow::Open) {
                        above = websocket.incoming(piece, plain);
                    }
                });
                match (above.map_err(websocket_fault), below.map_err(tls_fault)) {
                    (Err(fault), _) | (Ok(_), Err(fault)) => Err(fault),
                    (Ok(Flow::Open), Ok(Flow::Open)) => Ok(Flow::Open),
                    (Ok(_), Ok(_)) => Ok(Flow::Ended),
                }
            }
            (Some(tls), None) => {
                tls.incoming(wire, reply, |piece| plain.extend_from_slice(piece)).map_err(tls_fault)
            }
            (None, Some(websocket)) => websocket.incoming(wire, plain).map_err(websocket_fault),
            (None, None) => {
                plain.extend_from_slice(wire);
                Ok(Flow::Open)
            }
        };
        self.finish(result, reply)
    }

    fn outgoing(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), FilterFault> {
        let start = wire.len();
        match (&mut self.tls, &mut self.websocket) {
            (Some(tls), None) => tls.outgoing(plain, wire).map_err(tls_fault),
            (tls, Some(websocket)) => {
                if !websocket.outgoing(plain, wire) {
                    return Err(FilterFault::new(FilterFaultKind::Closed, "farewell is said"));
                }
                match tls {
                    Some(tls) => tls.seal_tail(wire, start).map_err(tls_fault),
                    None => Ok(()),
                }
            }
            (None, None) => {
                wire.extend_from_slice(plain);
                Ok(())
            }
        }
    }

    fn farewell(&mut self, why: Farewell, wire: &mut Vec<u8>) {
        let start = wire.len();
        if let Some(websocket) = &mut self.websocket {
            websocket.farewell(why, wire);
        }
        if let Some(tls) = &mut self.tls {
            // Without keys there is nobody who could read the close frame.
            let _ = tls.seal_tail(wire, start);
            tls.farewell(wire);
        }
    }

    fn held_bytes(&self) -> usize {
        size_of::<Self>()
            + self.tls.as_ref().map_or(0, TlsStream::held_bytes)
            + self.websocket.as_ref().map_or(0, WebSocket::held_bytes)
    }
}

fn tls_fault(error: rustls::Error) -> FilterFault {
    FilterFault::new(FilterFaultKind::Tls, error)
}

fn websocket_fault(bad: BadFrame) -> FilterFault {
    FilterFault::new(FilterFaultKind::WebSocket, bad.text)
}
