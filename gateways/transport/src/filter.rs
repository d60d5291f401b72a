use std::fmt;

/// Stands between a link's socket and its plain bytes, for the life of the link.
///
/// A filter does no I/O and keeps no buffers while nothing is under way. After an error or
/// [`Flow::Ended`] it takes no more bytes: it may still be asked for a farewell.
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
