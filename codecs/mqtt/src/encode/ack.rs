use codec_wire::EncodeError;

use crate::{
    Ack, AckProperties, PacketType, ReasonCode, Version, primitives::write_packet_id, properties,
};

/// The four acknowledgements of PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the specification's names say it all")]
pub enum AckKind {
    Puback = PacketType::Puback as u8,
    Pubrec = PacketType::Pubrec as u8,
    Pubrel = PacketType::Pubrel as u8,
    Pubcomp = PacketType::Pubcomp as u8,
}

impl AckKind {
    /// The first byte of the packet.
    #[inline]
    const fn first_byte(self) -> u8 {
        match self {
            Self::Puback => PacketType::Puback.first_byte(),
            Self::Pubrec => PacketType::Pubrec.first_byte(),
            Self::Pubrel => PacketType::Pubrel.first_byte(),
            Self::Pubcomp => PacketType::Pubcomp.first_byte(),
        }
    }
}

/// Appends an acknowledgement without properties. `packet_id` is not 0. Before 5.0 `reason` is left
/// out.
#[inline]
pub fn encode_ack(
    kind: AckKind,
    packet_id: u16,
    reason: ReasonCode,
    version: Version,
    out: &mut Vec<u8>,
) {
    debug_assert_ne!(packet_id, 0);
    //= mqtt5:2.2.1-5
    //= mqtt311:2.3.1-6
    let [high, low] = packet_id.to_be_bytes();
    if reason == ReasonCode::SUCCESS || !version.is_v5() {
        out.extend_from_slice(&[kind.first_byte(), 2, high, low]);
    } else {
        // With the Property Length, since some clients cannot read the form without.
        out.extend_from_slice(&[kind.first_byte(), 4, high, low, reason.value(), 0]);
    }
}

/// Appends what follows the fixed header.
pub(super) fn encode(
    ack: &Ack<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_packet_id(ack.packet_id, out)?;
    let is_short = ack.reason == ReasonCode::SUCCESS && ack.properties == AckProperties::default();
    if is_short || !version.is_v5() {
        return Ok(());
    }
    out.push(ack.reason.value());
    properties::encode(&ack.properties, out)
}
