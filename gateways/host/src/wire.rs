use std::fmt;

use core_model::Reason;
use gateway_transport::{Farewell, Filter, FilterFault, Flow};

use crate::Output;
use crate::links::{lend, reclaim};
use crate::pool::Pool;
use crate::unread::Buffer;

/// Plain bytes that go through a filter at once: as many as a TLS record holds.
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes of the wire beyond which no more plain ones go through before some are written.
const WIRE_BYTES: usize = 64 * 1024;

/// What stands between a link's plain bytes and its socket: TLS, WebSocket, or both.
///
/// Plain output waits in the link's own output and goes through the filter piece by piece, as the
/// socket takes what came before.
pub(crate) struct Wire {
    filter: Box<dyn Filter>,
    /// Bytes of the wire that wait to be written.
    pub(crate) output: Output,
    /// Whether more may come from the peer.
    pub(crate) input: Input,
    /// What is to be said at the end.
    pub(crate) why: Farewell,
    /// Whether that has been said.
    farewell_said: bool,
    /// What the filter holds while nothing is under way, which counts as part of the link.
    at_rest: usize,
}

/// Memory that links with filters are read through, one after the other. It has no size before the
/// first of them is read.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// What came from the peer.
    pub(crate) wire: Vec<u8>,
    /// What a filter answers.
    pub(crate) reply: Vec<u8>,
    /// What came out of the filter, behind what was not decoded before.
    pub(crate) plain: Buffer,
}

/// Whether more may come through a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Open,
    /// The peer has said that nothing more comes.
    Ended,
    /// The peer has broken the filter's rules.
    Broken,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Wire {
    /// With nothing under way.
    pub(crate) fn new(filter: Box<dyn Filter>) -> Self {
        let at_rest = filter.held_bytes();
        Wire {
            filter,
            output: Output::default(),
            input: Input::Open,
            why: Farewell::Normal,
            farewell_said: false,
            at_rest,
        }
    }

    /// Bytes of memory that it holds beyond those of an idle link.
    pub(crate) fn holds(&self) -> usize {
        self.output.len() + self.filter.held_bytes().saturating_sub(self.at_rest)
    }

    /// Takes what came from the peer: what it carries goes to the end of `plain`, an answer of the
    /// filter to the output. `reply` is empty memory.
    ///
    /// # Errors
    /// The peer has broken the rules of the filter's protocol.
    pub(crate) fn incoming(
        &mut self,
        wire: &mut [u8],
        plain: &mut Buffer,
        reply: &mut Vec<u8>,
    ) -> Result<(), FilterFault> {
        let filter = &mut self.filter;
        let flow = plain.append_with(|plain| filter.incoming(wire, plain, reply));
        if !reply.is_empty() {
            self.output.write(reply);
            reply.clear();
        }
        self.input = match &flow {
            Ok(Flow::Open) => Input::Open,
            Ok(Flow::Ended) => Input::Ended,
            Err(_) => Input::Broken,
        };
        flow.map(drop)
    }

    /// Sends as much of `plain` through the filter as may wait to be written.
    ///
    /// # Errors
    /// The filter can carry no more.
    pub(crate) fn outgoing(
        &mut self,
        plain: &mut Output,
        pool: &mut Pool,
    ) -> Result<(), FilterFault> {
        if plain.is_empty() {
            return Ok(());
        }
        self.lend(pool);
        while !plain.is_empty() && self.output.len() < WIRE_BYTES {
            let filter = &mut self.filter;
            let count = match plain.contiguous() {
                Some(bytes) => {
                    let piece = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
                    self.output.write_with(|wire| filter.outgoing(piece, wire))?;
                    piece.len()
                }
                // Heads of frames and large payloads by turns.
                None => {
                    let mut piece = pool.take();
                    plain.gather(0, PIECE_BYTES, &mut piece);
                    let done = self.output.write_with(|wire| filter.outgoing(&piece, wire));
                    let count = piece.len();
                    piece.clear();
                    pool.put(piece);
                    done?;
                    count
                }
            };
            reclaim(plain, count, pool);
        }
        Ok(())
    }

    /// Says farewell, once.
    pub(crate) fn say_farewell(&mut self, pool: &mut Pool) {
        if !std::mem::replace(&mut self.farewell_said, true) {
            self.lend(pool);
            let (filter, why) = (&mut self.filter, self.why);
            self.output.write_with(|wire| filter.farewell(why, wire));
        }
    }

    /// Whether the farewell has been said.
    pub(crate) fn has_said_farewell(&self) -> bool {
        self.farewell_said
    }

    fn lend(&mut self, pool: &mut Pool) {
        if self.output.is_empty() {
            lend(&mut self.output, pool);
        }
    }
}

/// What a filter says when a link ends for `reason`.
pub(crate) fn farewell(reason: Reason) -> Farewell {
    match reason {
        Reason::SERVER_SHUTTING_DOWN | Reason::USE_ANOTHER_SERVER | Reason::SERVER_MOVED => {
            Farewell::GoingAway
        }
        Reason::MALFORMED
        | Reason::PROTOCOL_ERROR
        | Reason::UNSUPPORTED_VERSION
        | Reason::TOPIC_FILTER_INVALID
        | Reason::TOPIC_NAME_INVALID
        | Reason::RECEIVE_MAXIMUM_EXCEEDED
        | Reason::TOPIC_ALIAS_INVALID => Farewell::ProtocolError,
        Reason::PACKET_TOO_LARGE => Farewell::TooLarge,
        Reason::SERVER_UNAVAILABLE => Farewell::Internal,
        Reason::UNSPECIFIED => Farewell::Normal,
        reason if reason.is_error() => Farewell::Policy,
        _ => Farewell::Normal,
    }
}
