//! Variable header and payload of each packet.

mod ack;
pub(crate) mod connect;
mod publish;
mod session;
mod subscribe;

use codec_wire::{DecodeError, Reader};

use crate::{Limits, Packet, PacketType, ReasonCode, Version, header::FixedHeader, violation};

/// What decoding depends on besides the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) version: Version,
    pub(crate) limits: &'c Limits,
}

/// Decodes `packet`, which is whole and has the fixed header `header`.
///
/// A CONNECT sets `link_version` where it is still unknown.
#[inline]
pub(crate) fn decode_body<'a>(
    packet: &'a [u8],
    header: &FixedHeader,
    context: Context<'_>,
    link_version: &mut Option<Version>,
) -> Result<Packet<'a>, DecodeError> {
    let mut reader = Reader::new(packet);
    reader.take(header.len)?;
    let result = if header.packet_type == PacketType::Publish {
        publish::decode(header.flags, reader, context).map(Packet::Publish)
    } else {
        decode_other(header, reader, context, link_version)
    };
    //= mqtt5:GW-MQTT-20
    result
        .map_err(|error| error.or(ReasonCode::MALFORMED_PACKET.value().into(), violation::PAST_END))
}

fn decode_other<'a>(
    header: &FixedHeader,
    mut reader: Reader<'a>,
    context: Context<'_>,
    link_version: &mut Option<Version>,
) -> Result<Packet<'a>, DecodeError> {
    let body = &mut reader;
    let packet = match header.packet_type {
        PacketType::Connect => {
            Packet::Connect(Box::new(connect::decode(body, header, context.limits, link_version)?))
        }
        PacketType::Connack => Packet::Connack(Box::new(session::connack(body, context)?)),
        PacketType::Publish => {
            return publish::decode(header.flags, reader, context).map(Packet::Publish);
        }
        PacketType::Puback => Packet::Puback(ack::decode(body, header.packet_type, context)?),
        PacketType::Pubrec => Packet::Pubrec(ack::decode(body, header.packet_type, context)?),
        PacketType::Pubrel => Packet::Pubrel(ack::decode(body, header.packet_type, context)?),
        PacketType::Pubcomp => Packet::Pubcomp(ack::decode(body, header.packet_type, context)?),
        PacketType::Subscribe => Packet::Subscribe(subscribe::subscribe(body, context)?),
        PacketType::Suback => Packet::Suback(subscribe::suback(body, context)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(subscribe::unsubscribe(body, context)?),
        PacketType::Unsuback => Packet::Unsuback(subscribe::unsuback(body, context)?),
        PacketType::Pingreq => Packet::Pingreq,
        PacketType::Pingresp => Packet::Pingresp,
        PacketType::Disconnect => Packet::Disconnect(session::disconnect(body, context)?),
        PacketType::Auth => Packet::Auth(session::auth(body, context)?),
    };
    //= mqtt5:GW-MQTT-20
    if !reader.is_empty() {
        return Err(violation::LEFT_OVER.at(reader.position(), context.version));
    }
    Ok(packet)
}
