//! The rules that a packet can break, each in one place.

use codec_wire::{DecodeError, ErrorKind, PastEnd};

use crate::Code;

/// A rule and what breaking it means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Violation {
    kind: ErrorKind,
    requirement: &'static str,
    what: &'static str,
}

impl Violation {
    /// Broken by the byte at `offset` of the packet.
    #[cold]
    pub(crate) const fn at(self, offset: usize) -> DecodeError {
        DecodeError::new(self.kind, offset, self.what)
            .with_code(BAD_PACKET)
            .with_requirement(self.requirement)
    }

    const fn new(kind: ErrorKind, requirement: &'static str, what: &'static str) -> Self {
        Self { kind, requirement, what }
    }
}

/// With what all of them are answered.
const BAD_PACKET: u16 = Code::BAD_PACKET.value() as u16;

const LENGTH: &str = "__name__:1-1";

/// What a field that runs past the end of its packet breaks.
pub(crate) const PAST_END: PastEnd = PastEnd { code: BAD_PACKET, requirement: LENGTH };

pub(crate) const LENGTH_ZERO: Violation =
    Violation::new(ErrorKind::Malformed, LENGTH, "Length 0 leaves no room for a Type");
pub(crate) const LEFT_OVER: Violation =
    Violation::new(ErrorKind::Malformed, LENGTH, "bytes left over in the packet");
pub(crate) const PACKET_SIZE: Violation =
    Violation::new(ErrorKind::TooLarge, "", "packet above the greatest size that is taken");
pub(crate) const TYPE: Violation =
    Violation::new(ErrorKind::Unsupported, "__name__:1-2", "unknown Type");
pub(crate) const TEXT: Violation =
    Violation::new(ErrorKind::Malformed, "__name__:1-3", "text is not UTF-8, or has U+0000");
pub(crate) const FLAGS: Violation =
    Violation::new(ErrorKind::Malformed, "__name__:1-4", "a reserved bit is set");
pub(crate) const CLIENT_ID: Violation =
    Violation::new(ErrorKind::Malformed, "__name__:2-2", "the client id is empty");
