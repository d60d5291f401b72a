use std::net::SocketAddr;

use codec_wire::{Codec, DecodeError};
use core_model::{Event, Operation, Reason, Timestamp};

use crate::Output;

/// A protocol's state machine for one link: frames, events and time in, effects out.
///
/// No socket, clock, randomness, lock or `async`: time comes with the context, and every effect is
/// pushed into it. So a machine is tested by feeding frames and comparing effects.
pub trait Machine: Send + 'static {
    /// The protocol's codec.
    type Codec: Codec;

    /// A frame arrived.
    fn on_frame<'a>(
        &mut self,
        frame: <Self::Codec as Codec>::Frame<'a>,
        context: &mut Context<'a, '_>,
    );

    /// The input is not a frame of the protocol. The machine answers in the protocol's terms and
    /// closes; on a datagram link it may also do nothing, which drops the datagram.
    fn on_decode_error(&mut self, error: &DecodeError, context: &mut Context<'_, '_>);

    /// The core tells slot `slot` of this link something.
    fn on_event(&mut self, slot: u32, event: Event<'_>, context: &mut Context<'static, '_>);

    /// The time that [`Self::next_deadline`] named has come.
    fn on_deadline(&mut self, context: &mut Context<'static, '_>);

    /// The link is gone (peer closed, error, or the machine itself closed it). Operations pushed
    /// here are the last ones; nothing can be sent. Every slot that is still connected must be
    /// disconnected here.
    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>);

    /// The output buffer of this link grew beyond its high-water mark (`true`) or drained below it
    /// again (`false`). Called at most once per turn and change.
    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>);

    /// The version of the protocol that the link speaks, as far as known, in the words of the
    /// gateway's decoder; `None` where there is only one.
    fn version(&self) -> Option<&'static str> {
        None
    }

    /// Until when the peer of a datagram link may be silent as agreed with it, such as by a keep
    /// alive or a sleep that it has announced. The host closes a link that is silent for longer
    /// than that and than the listener's own bound. `None` where nothing is agreed.
    fn quiet_until(&self) -> Option<Timestamp> {
        None
    }

    /// When [`Self::on_deadline`] is to be called; asked after each input. An answer that lies in
    /// the past is due at once.
    fn next_deadline(&self) -> Option<Timestamp>;

    /// Whether the next frame may be decoded now. A machine that waits for an answer without which
    /// it cannot judge the next frame (such as a connect's) says `false`; the bytes wait unread,
    /// bounded by the read buffer, and decoding goes on after the event that changes this.
    fn is_ready(&self) -> bool;
}

/// How a machine ends its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Send what is in the output, then close.
    Flush(Reason),
    /// Close at once, with the output thrown away.
    Now(Reason),
}

/// Where a datagram comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The address, as seen or as a trusted proxy reports it.
    pub address: SocketAddr,
    /// How it is related to the link.
    pub path: SenderPath,
}

/// How the sender of a datagram is related to the link that gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderPath {
    /// It is the peer of the link; or of nobody, on the link that takes what is nobody's.
    Known,
    /// The datagram names the link's client, but comes from another address. What the machine sends
    /// in this call goes there, at most three times the bytes that have come from there.
    Candidate {
        /// Whether the listener's `rebind` policy lets the machine adopt it.
        may_adopt: bool,
    },
    /// The machine has adopted it in this call.
    Adopted,
}

/// What a machine may do: write output, operate on the core, close.
///
/// `'a` is the life of the read buffer of this turn, which published messages may borrow from.
#[derive(Debug)]
pub struct Context<'a, 'c> {
    /// The time of this turn.
    pub now: Timestamp,
    sender: Option<Sender>,
    output: &'c mut Output,
    operations: &'c mut Operations<'a>,
    close: &'c mut Option<Close>,
}

/// Operations that a machine asked for, in order, each with its slot's number.
pub type Operations<'a> = smallvec::SmallVec<[(u32, Operation<'a>); 1]>;

impl<'a, 'c> Context<'a, 'c> {
    /// A context over the driver's buffers (or a test's).
    pub fn new(
        now: Timestamp,
        output: &'c mut Output,
        operations: &'c mut Operations<'a>,
        close: &'c mut Option<Close>,
    ) -> Self {
        Context { now, sender: None, output, operations, close }
    }

    /// The same for a datagram.
    #[must_use]
    pub fn of_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Where the datagram comes from; `None` on a stream, and outside of input.
    #[must_use]
    pub fn sender(&self) -> Option<Sender> {
        self.sender
    }

    /// Makes a candidate path that may be adopted the link's own: its peer is there from now on.
    /// Whether it is the link's own now. The host tells the core ([`Operation::Moved`]).
    pub fn adopt_path(&mut self) -> bool {
        let Some(sender) = &mut self.sender else { return true };
        if sender.path == (SenderPath::Candidate { may_adopt: true }) {
            sender.path = SenderPath::Adopted;
        }
        !matches!(sender.path, SenderPath::Candidate { .. })
    }

    /// Where encoded frames go; written to the link once at the end of the turn.
    #[inline]
    pub fn output(&mut self) -> &mut Output {
        self.output
    }

    /// Asks the core, for slot `slot` of this link. Applied after the machine returns and before
    /// the next frame is decoded.
    #[inline]
    pub fn operation(&mut self, slot: u32, operation: Operation<'a>) {
        self.operations.push((slot, operation));
    }

    /// Ends the link after the operations pushed so far. The first call counts.
    pub fn close(&mut self, close: Close) {
        self.close.get_or_insert(close);
    }

    /// Whether the link is being closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.close.is_some()
    }
}
