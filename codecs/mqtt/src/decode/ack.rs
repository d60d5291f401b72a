use codec_wire::{DecodeError, Reader};

use super::Context;
use crate::{
    Ack, AckProperties, PacketType, ReasonCode, primitives::read_packet_id, properties, violation,
};

/// Decodes PUBACK, PUBREC, PUBREL or PUBCOMP.
#[inline]
pub(crate) fn decode<'a>(
    body: &mut Reader<'a>,
    packet_type: PacketType,
    context: Context<'_>,
) -> Result<Ack<'a>, DecodeError> {
    let packet_id = read_packet_id(body, context.version)?;
    let mut ack =
        Ack { packet_id, reason: ReasonCode::SUCCESS, properties: AckProperties::default() };
    if !context.version.is_v5() || body.is_empty() {
        return Ok(ack);
    }
    let at = body.position();
    ack.reason = ReasonCode::new(body.u8()?);
    //= mqtt5:3.4.2-1
    //= mqtt5:3.5.2-1
    //= mqtt5:3.6.2-1
    //= mqtt5:3.7.2-1
    if !ack.reason.is_allowed_in(packet_type) {
        let violation = match packet_type {
            PacketType::Puback => violation::PUBACK_REASON,
            PacketType::Pubrec => violation::PUBREC_REASON,
            PacketType::Pubrel => violation::PUBREL_REASON,
            _ => violation::PUBCOMP_REASON,
        };
        return Err(violation.at(at, context.version));
    }
    if !body.is_empty() {
        properties::decode(&mut ack.properties, body, context.limits)?;
    }
    Ok(ack)
}
