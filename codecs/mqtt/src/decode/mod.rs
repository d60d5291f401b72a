//! Variable header and payload of each packet.

mod ack;
pub(crate) mod connect;
pub(crate) mod publish;
mod session;
mod subscribe;

use codec_wire::{DecodeError, Decoded, Reader};

use crate::{Limits, Packet, PacketType, Version, header::FixedHeader, violation};

/// What decoding depends on besides the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) version: Version,
    pub(crate) limits: &'c Limits,
}

/// A reader at the variable header of `packet`, which is whole and has the fixed header `header`.
#[inline]
pub(crate) fn body<'a>(packet: &'a [u8], header: &FixedHeader) -> Result<Reader<'a>, DecodeError> {
    //= mqtt5:GW-MQTT-20
    let mut reader = Reader::with_past_end(packet, &violation::PAST_END);
    reader.take(header.len)?;
    Ok(reader)
}

/// Decodes any packet. A CONNECT sets `link_version` where it is still unknown.
///
/// Each packet goes straight into the codec's result; gathered in a variable first it would be
/// copied, at the size of the greatest.
pub(crate) fn decode<'a>(
    header: &FixedHeader,
    body: Reader<'a>,
    context: Context<'_>,
    link_version: &mut Option<Version>,
) -> Result<Decoded<Packet<'a>>, DecodeError> {
    let frame = |frame| Ok(Decoded::Frame { frame, len: header.packet_len });
    let ack = || entire(body, context, |body| ack::decode(body, header.packet_type, context));
    match header.packet_type {
        PacketType::Connect => frame(Packet::Connect(Box::new(entire(body, context, |body| {
            connect::decode(body, header, context.limits, link_version)
        })?))),
        PacketType::Connack => frame(Packet::Connack(Box::new(entire(body, context, |body| {
            session::connack(body, context)
        })?))),
        PacketType::Publish => {
            frame(Packet::Publish(publish::decode(header.flags, body, context)?))
        }
        PacketType::Puback => frame(Packet::Puback(ack()?)),
        PacketType::Pubrec => frame(Packet::Pubrec(ack()?)),
        PacketType::Pubrel => frame(Packet::Pubrel(ack()?)),
        PacketType::Pubcomp => frame(Packet::Pubcomp(ack()?)),
        PacketType::Subscribe => frame(Packet::Subscribe(entire(body, context, |body| {
            subscribe::subscribe(body, context)
        })?)),
        PacketType::Suback => {
            frame(Packet::Suback(entire(body, context, |body| subscribe::suback(body, context))?))
        }
        PacketType::Unsubscribe => frame(Packet::Unsubscribe(entire(body, context, |body| {
            subscribe::unsubscribe(body, context)
        })?)),
        PacketType::Unsuback => frame(Packet::Unsuback(entire(body, context, |body| {
            subscribe::unsuback(body, context)
        })?)),
        PacketType::Pingreq => {
            entire(body, context, |_| Ok(()))?;
            frame(Packet::Pingreq)
        }
        PacketType::Pingresp => {
            entire(body, context, |_| Ok(()))?;
            frame(Packet::Pingresp)
        }
        PacketType::Disconnect => frame(Packet::Disconnect(entire(body, context, |body| {
            session::disconnect(body, context)
        })?)),
        PacketType::Auth => {
            frame(Packet::Auth(entire(body, context, |body| session::auth(body, context))?))
        }
    }
}

/// What `decode` makes of `body`, of which it has to leave nothing.
#[inline]
fn entire<'a, T>(
    mut body: Reader<'a>,
    context: Context<'_>,
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let packet = decode(&mut body)?;
    //= mqtt5:GW-MQTT-20
    if !body.is_empty() {
        return Err(violation::LEFT_OVER.at(body.position(), context.version));
    }
    Ok(packet)
}
