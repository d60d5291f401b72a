//! Length and MsgType.

use codec_wire::{DecodeError, Reader};

use crate::violation;

/// The first byte of a Length of three bytes.
pub(crate) const LONG_FORM: u8 = 0x01;

/// What stands before the variable part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// Where the Length is in the datagram.
    pub(crate) at: usize,
    /// The Length: the size of the whole packet.
    pub(crate) packet_len: usize,
    /// The MsgType, of any value.
    pub(crate) msg_type: u8,
    /// The size of Length and MsgType, 2 or 4.
    pub(crate) len: usize,
}

impl Header {
    /// The size of the variable part.
    pub(crate) const fn body_len(&self) -> usize {
        self.packet_len - self.len
    }

    /// Where the MsgType is in the datagram.
    pub(crate) const fn msg_type_at(&self) -> usize {
        self.at + self.len - 1
    }

    /// Where the packet ends in the datagram.
    pub(crate) const fn end(&self) -> usize {
        self.at + self.packet_len
    }
}

/// Reads Length and MsgType; `packet_len` is then no less than `len`.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Header, DecodeError> {
    let at = reader.position();
    //= mqttsn:GW-SN-02
    let (packet_len, len) = match reader.u8()? {
        LONG_FORM => (usize::from(reader.u16()?), 4),
        short => (usize::from(short), 2),
    };
    if packet_len < len {
        return Err(violation::LENGTH_SMALL.at(at));
    }
    let msg_type = reader.u8()?;
    Ok(Header { at, packet_len, msg_type, len })
}
