use crate::{Farewell, Flow};

/// First byte of a frame: last of its message.
const FIN: u8 = 0x80;
/// First byte of a frame: for extensions, of which none is spoken.
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
/// Second byte of a frame.
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// Lengths that say that the length follows in 2 or 8 bytes.
const LENGTH_IN_2: u8 = 126;
const LENGTH_IN_8: u8 = 127;

/// Two bytes, up to eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;
const CONTROL_BYTES_MAX: u64 = 125;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED_DATA: u16 = 1003;
const INVALID_TEXT: u16 = 1007;
const POLICY: u16 = 1008;
const TOO_LARGE: u16 = 1009;
const INTERNAL: u16 = 1011;

/// The server's side of one WebSocket connection after its upgrade.
///
/// Data is passed on as it comes, so no message and no frame is ever kept; only the head of a
/// frame and the content of a control frame are, while they are incomplete.
#[derive(Debug, Default)]
pub(crate) struct WebSocket {
    head: Head,
    /// The frame whose content is coming.
    frame: Option<Frame>,
    /// Whether a data message has begun whose last frame has not.
    is_in_message: bool,
    /// Content of a control frame that is incomplete.
    control: Vec<u8>,
    /// Content of the last ping that has not been answered yet.
    ping: Option<Vec<u8>>,
    closing: Closing,
}

/// The head of a frame as far as it has come.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: usize,
}

#[derive(Debug)]
struct Frame {
    kind: Kind,
    is_last: bool,
    mask: [u8; 4],
    /// Bytes of content that are still to come.
    remaining: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Close,
    Ping,
    Pong,
}

/// How far a connection is on its way to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Closing {
    /// It is not closing.
    #[default]
    No,
    /// A close frame with this code (none: without content) is to be sent.
    Due(Option<u16>),
    /// A close frame has been sent.
    Sent,
}

/// Why a connection is closed, with the code for the close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadFrame {
    code: u16,
    pub(crate) text: &'static str,
}

impl WebSocket {
    /// Takes bytes of the wire and appends the data in them to `plain`. What has to be sent is
    /// appended by [`WebSocket::answer`], also after an error.
    pub(crate) fn incoming(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<Flow, BadFrame> {
        let result = self.take(wire, plain);
        if let Err(bad) = result
            && self.closing == Closing::No
        {
            self.closing = Closing::Due(Some(bad.code));
        }
        result
    }

    fn take(&mut self, mut wire: &[u8], plain: &mut Vec<u8>) -> Result<Flow, BadFrame> {
        loop {
            if self.frame.is_none() {
                let Some(frame) = self.head.take(&mut wire)? else { return Ok(Flow::Open) };
                self.begin(&frame)?;
                self.frame = Some(frame);
            }
            if !self.take_content(&mut wire, plain) {
                return Ok(Flow::Open);
            }
            if self.end_frame()? == Flow::Ended {
                return Ok(Flow::Ended);
            }
        }
    }

    /// Checks what only the frames before can tell.
    fn begin(&mut self, frame: &Frame) -> Result<(), BadFrame> {
        if frame.kind == Kind::Data {
            let is_continuation = self.head.opcode() == CONTINUATION;
            if is_continuation != self.is_in_message {
                return Err(protocol_error(if is_continuation {
                    "a continuation of no message"
                } else {
                    "a message within another one"
                }));
            }
            self.is_in_message = !frame.is_last;
        }
        self.head.len = 0;
        Ok(())
    }

    /// Takes content of the frame; says whether it is complete.
    fn take_content(&mut self, wire: &mut &[u8], plain: &mut Vec<u8>) -> bool {
        let Some(frame) = &mut self.frame else { return true };
        let available = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(wire.len());
        let (content, rest) = wire.split_at(available);
        *wire = rest;
        let out = match frame.kind {
            // Once the server has said goodbye, data is not looked at any more.
            Kind::Data if self.closing == Closing::No => Some(plain),
            Kind::Data | Kind::Pong => None,
            Kind::Close | Kind::Ping => Some(&mut self.control),
        };
        if let Some(out) = out {
            //= mqtt5:6.0.0-2
            //= mqtt311:6.0.0-2
            unmask(content, frame.mask, out);
        }
        frame.mask.rotate_left(available % 4);
        frame.remaining -= available as u64;
        frame.remaining == 0
    }

    fn end_frame(&mut self) -> Result<Flow, BadFrame> {
        let Some(frame) = self.frame.take() else { return Ok(Flow::Open) };
        match frame.kind {
            Kind::Data | Kind::Pong => Ok(Flow::Open),
            Kind::Ping => {
                // Of a burst only the last one is answered (RFC 6455, 5.5.3).
                self.ping = Some(std::mem::take(&mut self.control));
                Ok(Flow::Open)
            }
            Kind::Close => {
                let content = std::mem::take(&mut self.control);
                let code = close_code(&content)?;
                if self.closing == Closing::No {
                    self.closing = Closing::Due(code);
                }
                Ok(Flow::Ended)
            }
        }
    }

    /// Appends what has to be sent: a pong, a close frame.
    pub(crate) fn answer(&mut self, wire: &mut Vec<u8>) {
        if let Some(content) = self.ping.take()
            && self.closing != Closing::Sent
        {
            push_control(PONG, &content, wire);
        }
        if let Closing::Due(code) = self.closing {
            self.closing = Closing::Sent;
            let code = code.map(u16::to_be_bytes);
            push_control(CLOSE, code.as_ref().map_or(&[], |code| code), wire);
        }
    }

    /// Appends one frame with `plain`; says whether it may still be sent.
    pub(crate) fn outgoing(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> bool {
        if plain.is_empty() {
            return true;
        }
        if self.closing != Closing::No {
            return false;
        }
        //= mqtt5:6.0.0-1
        //= mqtt311:6.0.0-1
        wire.push(FIN | BINARY);
        match (u8::try_from(plain.len()), u16::try_from(plain.len())) {
            (Ok(length), _) if length < LENGTH_IN_2 => wire.push(length),
            (_, Ok(length)) => {
                wire.push(LENGTH_IN_2);
                wire.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                wire.push(LENGTH_IN_8);
                wire.extend_from_slice(&(plain.len() as u64).to_be_bytes());
            }
        }
        wire.extend_from_slice(plain);
        true
    }

    /// Appends a close frame, unless one has been sent.
    pub(crate) fn farewell(&mut self, why: Farewell, wire: &mut Vec<u8>) {
        if self.closing == Closing::No {
            self.closing = Closing::Due(Some(match why {
                Farewell::Normal => NORMAL,
                Farewell::GoingAway => GOING_AWAY,
                Farewell::ProtocolError => PROTOCOL_ERROR,
                Farewell::Policy => POLICY,
                Farewell::TooLarge => TOO_LARGE,
                Farewell::Internal => INTERNAL,
            }));
        }
        self.answer(wire);
    }

    /// Bytes that it holds on the heap.
    pub(crate) fn held_bytes(&self) -> usize {
        self.control.capacity() + self.ping.as_ref().map_or(0, Vec::capacity)
    }
}

impl Head {
    /// Takes bytes until the head is complete, and reads it.
    fn take(&mut self, wire: &mut &[u8]) -> Result<Option<Frame>, BadFrame> {
        while self.len < self.needed_bytes() {
            let Some((byte, rest)) = wire.split_first() else { return Ok(None) };
            *wire = rest;
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = *byte;
            }
            self.len += 1;
            if self.len == 2 {
                self.check()?;
            }
        }
        self.read().map(Some)
    }

    /// How long the head is, as far as it is known.
    fn needed_bytes(&self) -> usize {
        let [_, second, ..] = self.bytes;
        if self.len < 2 {
            return 2;
        }
        let length_bytes = match second & LENGTH {
            LENGTH_IN_2 => 2,
            LENGTH_IN_8 => 8,
            _ => 0,
        };
        2 + length_bytes + 4
    }

    fn opcode(&self) -> u8 {
        let [first, ..] = self.bytes;
        first & OPCODE
    }

    /// Checks the first two bytes.
    fn check(&self) -> Result<(), BadFrame> {
        let [first, second, ..] = self.bytes;
        if first & RESERVED != 0 {
            return Err(protocol_error("a reserved bit is set"));
        }
        match self.opcode() {
            CONTINUATION | BINARY => {}
            //= mqtt5:6.0.0-1
            //= mqtt311:6.0.0-1
            TEXT => return Err(BadFrame { code: UNSUPPORTED_DATA, text: "a text frame" }),
            CLOSE | PING | PONG => {
                if first & FIN == 0 {
                    return Err(protocol_error("a control frame in fragments"));
                }
                if u64::from(second & LENGTH) > CONTROL_BYTES_MAX {
                    return Err(protocol_error("a control frame of more than 125 bytes"));
                }
            }
            _ => return Err(protocol_error("a reserved opcode")),
        }
        if second & MASKED == 0 {
            return Err(protocol_error("a frame that is not masked"));
        }
        Ok(())
    }

    fn read(&self) -> Result<Frame, BadFrame> {
        let [first, second, after @ ..] = self.bytes;
        let [a, b, c, d, e, f, g, h, mask_8 @ ..] = after;
        let (remaining, mask) = match second & LENGTH {
            LENGTH_IN_2 => (u64::from(u16::from_be_bytes([a, b])), [c, d, e, f]),
            LENGTH_IN_8 => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), mask_8),
            length => (u64::from(length), [a, b, c, d]),
        };
        let shortest = match second & LENGTH {
            LENGTH_IN_2 => u64::from(LENGTH_IN_2),
            LENGTH_IN_8 => 1 << 16,
            _ => 0,
        };
        if remaining < shortest {
            return Err(protocol_error("a length in more bytes than it needs"));
        }
        if remaining > i64::MAX as u64 {
            return Err(protocol_error("a length of more than 63 bits"));
        }
        let kind = match self.opcode() {
            CLOSE => Kind::Close,
            PING => Kind::Ping,
            PONG => Kind::Pong,
            _ => Kind::Data,
        };
        Ok(Frame { kind, is_last: first & FIN != 0, mask, remaining })
    }
}

/// Appends `content` without its mask, whose first byte belongs to the first byte of `content`.
fn unmask(content: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(content);
    let copied = out.get_mut(start..).unwrap_or_default();
    let [a, b, c, d] = mask;
    let mask_of_8 = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = copied.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ mask_of_8).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The code that the peer closes with, which is to be sent back.
fn close_code(content: &[u8]) -> Result<Option<u16>, BadFrame> {
    if content.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = content.split_first_chunk::<2>() else {
        return Err(protocol_error("a close frame with half a code"));
    };
    let code = u16::from_be_bytes(*code);
    // 1004 to 1006 and 1015 are never sent; 3000 and up are for applications.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(protocol_error("a close frame with a code that is not to be sent"));
    }
    if str::from_utf8(reason).is_err() {
        return Err(BadFrame { code: INVALID_TEXT, text: "a close frame whose reason is no text" });
    }
    Ok(Some(code))
}

/// Appends a control frame with at most 125 bytes of content.
fn push_control(opcode: u8, content: &[u8], wire: &mut Vec<u8>) {
    wire.push(FIN | opcode);
    wire.push(u8::try_from(content.len()).expect("control frames are checked when they come in"));
    wire.extend_from_slice(content);
}

#[cold]
fn protocol_error(text: &'static str) -> BadFrame {
    BadFrame { code: PROTOCOL_ERROR, text }
}
