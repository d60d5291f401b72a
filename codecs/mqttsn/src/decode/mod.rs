//! The variable part of each packet.

mod discovery;
mod publish;
mod session;
mod subscribe;

use codec_wire::{DecodeError, Reader, utf8};

use crate::{
    Encapsulation, Frame, Limits, Packet, PacketType, ReturnCode,
    header::{self, Header},
    packet_type::ENCAPSULATED,
    violation::{self, Violation},
};

/// The bits of an encapsulation's Ctrl that are not reserved.
const RADIUS_MASK: u8 = 0b11;

/// Decodes a datagram.
pub(crate) fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Frame<'a>, DecodeError> {
    let mut reader = Reader::with_past_end(input, &violation::PAST_END);
    let mut header = header::read(&mut reader)?;
    let mut encapsulation = None;
    if header.msg_type == ENCAPSULATED {
        encapsulation = Some(decode_encapsulation(&header, &mut reader, input.len())?);
        header = header::read(&mut reader)?;
        //= mqttsn:GW-SN-32
        if header.msg_type == ENCAPSULATED {
            return Err(violation::ENCAPSULATION_NESTED.at(header.msg_type_at()));
        }
    }
    if header.packet_len > usize::from(limits.max_packet_size) {
        return Err(violation::PACKET_SIZE.at(header.at));
    }
    //= mqttsn:GW-SN-01
    if header.end() > input.len() {
        return Err(violation::DATAGRAM_SHORT.at(header.at));
    }
    if header.end() < input.len() {
        return Err(violation::DATAGRAM_LONG.at(header.end()));
    }
    Ok(Frame { encapsulation, packet: decode_packet(&header, reader)? })
}

/// Decodes what a forwarder wraps a packet in. Its Length ends before that packet.
fn decode_encapsulation<'a>(
    header: &Header,
    reader: &mut Reader<'a>,
    input_len: usize,
) -> Result<Encapsulation<'a>, DecodeError> {
    if header.len > 2 {
        return Err(violation::ENCAPSULATION_LONG.at(header.at));
    }
    if header.end() > input_len {
        return Err(violation::DATAGRAM_SHORT.at(header.at));
    }
    let mut body = reader.section(header.body_len())?;
    Ok(Encapsulation { radius: body.u8()? & RADIUS_MASK, node_id: body.rest() })
}

/// Decodes the packet with this header, whose variable part is all of `body`.
fn decode_packet<'a>(header: &Header, mut body: Reader<'a>) -> Result<Packet<'a>, DecodeError> {
    let Some(packet_type) = PacketType::from_number(header.msg_type) else {
        return Err(violation::RESERVED_TYPE.at(header.msg_type_at()));
    };
    let reader = &mut body;
    let packet = match packet_type {
        PacketType::Advertise => Packet::Advertise(discovery::advertise(reader)?),
        PacketType::Searchgw => Packet::Searchgw(reader.u8()?),
        PacketType::Gwinfo => Packet::Gwinfo(discovery::gwinfo(reader)?),
        PacketType::Connect => Packet::Connect(session::connect(reader)?),
        PacketType::Connack => Packet::Connack(return_code(reader)?),
        PacketType::WillTopicReq => Packet::WillTopicReq,
        PacketType::WillTopic => {
            Packet::WillTopic(session::will_topic(reader, violation::WILL_TOPIC_EMPTY)?)
        }
        PacketType::WillMsgReq => Packet::WillMsgReq,
        PacketType::WillMsg => Packet::WillMsg(reader.rest()),
        PacketType::Register => Packet::Register(publish::register(reader)?),
        PacketType::Regack => Packet::Regack(publish::topic_ack(reader)?),
        PacketType::Publish => Packet::Publish(publish::publish(reader)?),
        PacketType::Puback => Packet::Puback(publish::topic_ack(reader)?),
        PacketType::Pubcomp => Packet::Pubcomp(reader.u16()?),
        PacketType::Pubrec => Packet::Pubrec(reader.u16()?),
        PacketType::Pubrel => Packet::Pubrel(reader.u16()?),
        PacketType::Subscribe => Packet::Subscribe(subscribe::subscribe(reader)?),
        PacketType::Suback => Packet::Suback(subscribe::suback(reader)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(subscribe::unsubscribe(reader)?),
        PacketType::Unsuback => Packet::Unsuback(reader.u16()?),
        PacketType::Pingreq => Packet::Pingreq(session::pingreq(reader)?),
        PacketType::Pingresp => Packet::Pingresp,
        PacketType::Disconnect => Packet::Disconnect(session::disconnect(reader)?),
        PacketType::WillTopicUpd => {
            Packet::WillTopicUpd(session::will_topic(reader, violation::WILL_TOPIC_UPD_EMPTY)?)
        }
        PacketType::WillTopicResp => Packet::WillTopicResp(return_code(reader)?),
        PacketType::WillMsgUpd => Packet::WillMsgUpd(reader.rest()),
        PacketType::WillMsgResp => Packet::WillMsgResp(return_code(reader)?),
    };
    if !body.is_empty() {
        return Err(violation::LEFT_OVER.at(body.position()));
    }
    Ok(packet)
}

fn return_code(body: &mut Reader<'_>) -> Result<ReturnCode, DecodeError> {
    body.u8().map(ReturnCode::new)
}

/// Reads the rest of the packet as text that breaks the rule `empty` if there is none.
fn text<'a>(body: &mut Reader<'a>, empty: Violation) -> Result<&'a str, DecodeError> {
    let at = body.position();
    let text = utf8(body.rest(), at)?;
    if text.is_empty() {
        return Err(empty.at(at));
    }
    match text.bytes().position(|byte| byte == 0) {
        Some(nul) => Err(violation::NUL.at(at + nul)),
        None => Ok(text),
    }
}
