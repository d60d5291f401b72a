//! The fixed header.

use codec_wire::DecodeError;

use crate::{
    PacketType, Version,
    primitives::{Varint, varint},
    violation,
};

/// A whole fixed header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixedHeader {
    pub(crate) packet_type: PacketType,
    pub(crate) flags: u8,
    /// Its own length in bytes.
    pub(crate) len: usize,
    /// The length of the whole packet in bytes.
    pub(crate) packet_len: usize,
    /// Whether the Remaining Length has more bytes than it needs.
    pub(crate) is_padded: bool,
}

/// What the first bytes of a packet say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Header {
    Whole(FixedHeader),
    /// This many bytes are needed to say more.
    Need(usize),
}

/// Reads the fixed header of a packet of `version`, and refuses it as early as its bytes allow.
#[inline]
pub(crate) fn decode(input: &[u8], version: Version) -> Result<Header, DecodeError> {
    let Some((&first, rest)) = input.split_first() else { return Ok(Header::Need(2)) };
    let (packet_type, flags) = check_first_byte(first, version)?;
    match varint(rest) {
        Varint::Whole { value, len, padded } => Ok(Header::Whole(FixedHeader {
            packet_type,
            flags,
            len: 1 + len,
            packet_len: 1 + len + value as usize,
            is_padded: padded,
        })),
        Varint::Cut => Ok(Header::Need(input.len() + 1)),
        Varint::Long => Err(violation::VARINT_LONG.at(1, version)),
    }
}

#[inline]
fn check_first_byte(first: u8, version: Version) -> Result<(PacketType, u8), DecodeError> {
    let flags = first & 0x0f;
    let packet_type = match PacketType::from_number(first >> 4) {
        Some(PacketType::Publish) => {
            check_publish_flags(flags, version)?;
            return Ok((PacketType::Publish, flags));
        }
        Some(PacketType::Auth) if !version.is_v5() => None,
        packet_type => packet_type,
    };
    let Some(packet_type) = packet_type else {
        return Err(violation::RESERVED_TYPE.at(0, version));
    };
    //= mqtt5:2.1.3-1
    //= mqtt5:3.6.1-1
    //= mqtt5:3.8.1-1
    //= mqtt5:3.10.1-1
    //= mqtt5:3.14.1-1
    //= mqtt5:3.15.1-1
    //= mqtt311:2.2.2-1
    //= mqtt311:2.2.2-2
    //= mqtt311:3.6.1-1
    //= mqtt311:3.8.1-1
    //= mqtt311:3.10.1-1
    //= mqtt311:3.14.1-1
    if flags != packet_type.reserved_flags() {
        let violation = match packet_type {
            PacketType::Pubrel => violation::PUBREL_FLAGS,
            PacketType::Subscribe => violation::SUBSCRIBE_FLAGS,
            PacketType::Unsubscribe => violation::UNSUBSCRIBE_FLAGS,
            PacketType::Disconnect => violation::DISCONNECT_FLAGS,
            PacketType::Auth => violation::AUTH_FLAGS,
            _ => violation::RESERVED_FLAGS,
        };
        return Err(violation.at(0, version));
    }
    Ok((packet_type, flags))
}

#[inline]
fn check_publish_flags(flags: u8, version: Version) -> Result<(), DecodeError> {
    match flags & 0b1110 {
        //= mqtt5:3.3.1-4
        //= mqtt311:3.3.1-4
        0b0110 | 0b1110 => Err(violation::PUBLISH_QOS_THREE.at(0, version)),
        //= mqtt5:3.3.1-2
        //= mqtt311:3.3.1-2
        0b1000 => Err(violation::DUP_WITH_QOS_ZERO.at(0, version)),
        _ => Ok(()),
    }
}
