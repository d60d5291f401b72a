use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use core_model::StoredMessage;

/// Payloads from this size on are referenced instead of copied into every receiver's output.
pub const REFERENCE_BYTES_MIN: usize = 4096;

/// What waits to be written to one link: bytes, and references to large payloads in between.
///
/// An empty output holds no memory, so that an idle link costs nothing.
///
/// The output of a datagram link ([`Output::for_datagrams`]) consists of frames, each of which is
/// one datagram; only [`Output::frame_with`] and [`Output::frame_to`] write to it.
#[derive(Debug, Default)]
pub struct Output {
    /// Complete parts in front of `tail`, oldest first.
    parts: VecDeque<Part>,
    tail: Vec<u8>,
    /// Bytes of the first part (or of the tail, when there is no part) that are written already.
    written: usize,
    len: usize,
    /// Whether frames are kept apart: each has its size in front of it in `tail`.
    is_datagrams: bool,
}

/// Size of what stands in front of each frame of a datagram link.
const HEAD_BYTES: usize = 4;
/// Marks a head that is followed by the frame's own destination.
const HAS_DESTINATION: u32 = 1 << 31;
/// Longest destination: a family, an address, a port, a flow label and a scope.
const DESTINATION_BYTES: usize = 27;

/// One frame of a datagram link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'o> {
    /// Who gets it, if that is not the peer.
    pub(crate) to: Option<SocketAddr>,
    pub(crate) bytes: &'o [u8],
    /// Bytes that it takes in the output.
    pub(crate) size: usize,
}

#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    Payload(Arc<StoredMessage>),
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Part::Bytes(bytes) => bytes,
            Part::Payload(message) => message.payload(),
        }
    }
}

impl Output {
    /// Appends bytes through `write`, which must only append.
    #[inline]
    pub fn write_with<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let before = self.tail.len();
        let result = write(&mut self.tail);
        self.len += self.tail.len().saturating_sub(before);
        result
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends the payload of `message`: by reference when it is large, by copy otherwise.
    pub fn write_payload(&mut self, message: &Arc<StoredMessage>) {
        let payload = message.payload();
        if payload.len() < REFERENCE_BYTES_MIN {
            self.write(payload);
            return;
        }
        if !self.tail.is_empty() {
            self.parts.push_back(Part::Bytes(std::mem::take(&mut self.tail)));
        }
        self.len += payload.len();
        self.parts.push_back(Part::Payload(Arc::clone(message)));
    }

    /// An empty output of a datagram link.
    #[must_use]
    pub fn for_datagrams() -> Self {
        Output { is_datagrams: true, ..Output::default() }
    }

    /// Appends one frame through `write`, which must only append. On a datagram link it is one
    /// datagram, on a stream its bytes follow those before it. An empty frame is none.
    #[inline]
    pub fn frame_with<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if self.is_datagrams { self.datagram_with(None, write) } else { self.write_with(write) }
    }

    /// The same for somebody else than the peer of the link. Only a datagram link knows others: a
    /// stream drops it.
    pub fn frame_to<R>(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if self.is_datagrams {
            return self.datagram_with(Some(to), write);
        }
        write(&mut Vec::new())
    }

    fn datagram_with<R>(
        &mut self,
        to: Option<SocketAddr>,
        write: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> R {
        let start = self.tail.len();
        self.tail.extend_from_slice(&[0; HEAD_BYTES]);
        if let Some(to) = to {
            write_destination(to, &mut self.tail);
        }
        let body = self.tail.len();
        let result = write(&mut self.tail);
        let len = self.tail.len().saturating_sub(body);
        if len == 0 {
            self.tail.truncate(start);
            return result;
        }
        let mark = if to.is_some() { HAS_DESTINATION } else { 0 };
        let head = mark | u32::try_from(len).unwrap_or(u32::MAX >> 1);
        if let Some(place) = self.tail.get_mut(start..start + HEAD_BYTES) {
            place.copy_from_slice(&head.to_le_bytes());
        }
        self.len += self.tail.len() - start;
        result
    }

    /// The frames that wait on a datagram link, oldest first; with their destination, if that is
    /// not the peer.
    pub fn datagrams(&self) -> impl Iterator<Item = (Option<SocketAddr>, &[u8])> {
        self.frames_from(0).map(|frame| (frame.to, frame.bytes))
    }

    /// The frames of a datagram link behind the first `start` bytes that wait.
    pub(crate) fn frames_from(&self, start: usize) -> impl Iterator<Item = Frame<'_>> {
        let mut rest = match self.is_datagrams {
            true => self.tail.get(self.written + start..).unwrap_or(&[]),
            false => &[],
        };
        std::iter::from_fn(move || {
            let (to, bytes, behind) = split_datagram(rest)?;
            let size = rest.len() - behind.len();
            rest = behind;
            Some(Frame { to, bytes, size })
        })
    }

    /// Copies the frames of `other` behind those of this output.
    pub(crate) fn append_frames(&mut self, other: &Output) {
        let frames = other.tail.get(other.written..).unwrap_or(&[]);
        self.write(frames);
    }

    /// Whether frames are kept apart.
    pub(crate) fn is_datagrams(&self) -> bool {
        self.is_datagrams
    }

    /// Bytes that wait. On a datagram link those that keep frames apart count as well.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The waiting bytes when they lie in one piece, which is the common case.
    #[must_use]
    pub fn contiguous(&self) -> Option<&[u8]> {
        self.parts.is_empty().then(|| self.tail.get(self.written..).unwrap_or(&[]))
    }

    /// Fills `slices` with the waiting bytes in order, as far as it has room.
    pub fn slices<'o>(&'o self, slices: &mut Vec<IoSlice<'o>>, max: usize) {
        let mut skip = self.written;
        for part in self.parts.iter().map(Part::bytes).chain([self.tail.as_slice()]) {
            let rest = part.get(skip..).unwrap_or(&[]);
            skip = 0;
            if slices.len() == max {
                return;
            }
            if !rest.is_empty() {
                slices.push(IoSlice::new(rest));
            }
        }
    }

    /// A copy of the waiting bytes from `start` on, at most `max` of them.
    #[must_use]
    pub(crate) fn copy_from(&self, start: usize, max: usize) -> Vec<u8> {
        let mut copy = Vec::new();
        self.gather(start, max, &mut copy);
        copy
    }

    /// Appends a copy of the waiting bytes from `start` on, at most `max` of them, to `into`.
    pub(crate) fn gather(&self, start: usize, max: usize, into: &mut Vec<u8>) {
        let (mut skip, mut left) = (self.written + start, max);
        for part in self.parts.iter().map(Part::bytes).chain([self.tail.as_slice()]) {
            let rest = part.get(skip..).unwrap_or(&[]);
            skip = skip.saturating_sub(part.len());
            let piece = rest.get(..left).unwrap_or(rest);
            into.extend_from_slice(piece);
            left -= piece.len();
            if left == 0 {
                return;
            }
        }
    }

    /// Forgets the first `count` waiting bytes, which the socket has taken. An output that becomes
    /// empty gives its memory back through `spare`, which keeps one buffer for the next user.
    pub fn advance(&mut self, count: usize, spare: &mut Vec<u8>) {
        self.len = self.len.saturating_sub(count);
        self.written += count;
        while let Some(first) = self.parts.front() {
            let size = first.bytes().len();
            if self.written < size {
                return;
            }
            self.written -= size;
            self.parts.pop_front();
        }
        if self.len == 0 {
            let mut tail = std::mem::take(&mut self.tail);
            tail.clear();
            if tail.capacity() > spare.capacity() {
                *spare = tail;
            }
            self.written = 0;
            self.parts = VecDeque::new();
        } else if self.written > 64 * 1024 && self.written * 2 > self.tail.len() {
            self.tail.drain(..self.written);
            self.written = 0;
        }
    }

    /// Takes `spare` as buffer if this output has none, so that a busy turn allocates nothing.
    #[inline]
    pub fn adopt(&mut self, spare: &mut Vec<u8>) {
        if self.tail.capacity() == 0 && spare.capacity() > 0 {
            self.tail = std::mem::take(spare);
        }
    }
}

/// The first frame of a datagram link's output, with its destination, and what follows it.
fn split_datagram(bytes: &[u8]) -> Option<(Option<SocketAddr>, &[u8], &[u8])> {
    let (head, mut rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let head = u32::from_le_bytes(*head);
    let mut to = None;
    if head & HAS_DESTINATION != 0 {
        let (destination, behind) = rest.split_first_chunk::<DESTINATION_BYTES>()?;
        to = Some(read_destination(destination));
        rest = behind;
    }
    let (body, behind) = rest.split_at_checked((head & !HAS_DESTINATION) as usize)?;
    Some((to, body, behind))
}

fn write_destination(to: SocketAddr, into: &mut Vec<u8>) {
    let (octets, flow, scope) = match to {
        SocketAddr::V4(to) => (to.ip().to_ipv6_mapped().octets(), 0, 0),
        SocketAddr::V6(to) => (to.ip().octets(), to.flowinfo(), to.scope_id()),
    };
    into.push(u8::from(to.is_ipv4()));
    into.extend_from_slice(&octets);
    into.extend_from_slice(&to.port().to_le_bytes());
    into.extend_from_slice(&flow.to_le_bytes());
    into.extend_from_slice(&scope.to_le_bytes());
}

fn read_destination(bytes: &[u8; DESTINATION_BYTES]) -> SocketAddr {
    let [is_v4, rest @ ..] = bytes;
    let (octets, rest) = rest.split_first_chunk::<16>().expect("the size is fixed");
    let (port, rest) = rest.split_first_chunk::<2>().expect("the size is fixed");
    let (flow, rest) = rest.split_first_chunk::<4>().expect("the size is fixed");
    let (scope, _) = rest.split_first_chunk::<4>().expect("the size is fixed");
    let (ip, port) = (Ipv6Addr::from(*octets), u16::from_le_bytes(*port));
    match ip.to_ipv4_mapped() {
        Some(ip) if *is_v4 == 1 => (ip, port).into(),
        _ => SocketAddrV6::new(ip, port, u32::from_le_bytes(*flow), u32::from_le_bytes(*scope))
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core_model::Message;

    fn all(output: &Output) -> Vec<u8> {
        let mut slices = Vec::new();
        output.slices(&mut slices, 64);
        slices.iter().flat_map(|s| s.to_vec()).collect()
    }

    #[test]
    fn small_payloads_are_copied_and_large_ones_referenced() {
        let small = Message::new("t", b"abc").detach();
        let large = Message::new("t", &[7; REFERENCE_BYTES_MIN]).detach();
        let mut output = Output::default();
        output.write(b"head");
        output.write_payload(&small);
        assert_eq!(output.contiguous(), Some(&b"headabc"[..]));
        output.write_payload(&large);
        output.write(b"tail");
        assert!(output.contiguous().is_none());
        assert_eq!(Arc::strong_count(&large), 2);
        assert_eq!(output.len(), 7 + REFERENCE_BYTES_MIN + 4);
        let expected = all(&output);
        for start in [0, 3, 7, 8, 7 + REFERENCE_BYTES_MIN, expected.len()] {
            assert_eq!(output.copy_from(start, usize::MAX), &expected[start..]);
            assert_eq!(
                output.copy_from(start, 2),
                &expected[start..][..2.min(expected.len() - start)]
            );
        }
        let mut got = Vec::new();
        let mut spare = Vec::new();
        while !output.is_empty() {
            let step = 5.min(output.len());
            let mut piece = Vec::new();
            output.gather(0, step, &mut piece);
            assert_eq!(piece, all(&output)[..step]);
            got.extend_from_slice(&all(&output)[..step]);
            output.advance(step, &mut spare);
        }
        assert_eq!(got, expected);
        assert_eq!(Arc::strong_count(&large), 1);
    }

    #[test]
    fn datagrams_are_kept_apart() {
        let mut output = Output::for_datagrams();
        let others = ["192.0.2.1:5", "[2001:db8::1]:65535", "[::ffff:1.2.3.4]:6"];
        output.frame_with(|out| out.extend_from_slice(b"one"));
        output.frame_with(|_| {});
        for other in others {
            output.frame_to(other.parse().unwrap(), |out| out.extend_from_slice(b"to"));
        }
        output.frame_with(|out| out.push(7));
        let frames: Vec<_> = output.datagrams().collect();
        assert_eq!(frames.first(), Some(&(None, &b"one"[..])));
        assert_eq!(frames.last(), Some(&(None, &[7][..])));
        let to: Vec<_> = frames.iter().filter_map(|(to, _)| *to).collect();
        assert_eq!(to, others.map(|other| other.parse().unwrap()));
        let (len, mut spare) = (output.len(), Vec::new());
        output.advance(len, &mut spare);
        assert_eq!((output.len(), output.datagrams().count()), (0, 0));
    }

    #[test]
    fn a_frame_on_a_stream_is_its_bytes() {
        let mut output = Output::default();
        output.frame_with(|out| out.extend_from_slice(b"ab"));
        output.frame_to("192.0.2.1:5".parse().unwrap(), |out| out.push(1));
        assert_eq!((output.contiguous(), output.datagrams().count()), (Some(&b"ab"[..]), 0));
    }

    #[test]
    fn an_emptied_output_holds_no_memory_and_hands_on_its_buffer() {
        let mut spare = Vec::new();
        let mut output = Output::default();
        output.write(b"abc");
        output.advance(3, &mut spare);
        assert_eq!(output.tail.capacity(), 0);
        assert!(spare.capacity() >= 3);
        let mut other = Output::default();
        other.adopt(&mut spare);
        assert!(other.tail.capacity() >= 3 && spare.capacity() == 0);
    }
}
