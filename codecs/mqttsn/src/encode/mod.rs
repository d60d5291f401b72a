//! Frames to bytes.

mod discovery;
mod publish;
mod session;
mod subscribe;

use codec_wire::EncodeError;

use crate::{
    ENCAPSULATION_SIZE_MAX, Encapsulation, Frame, PACKET_SIZE_MAX, Packet, header::LONG_FORM,
    packet_type::ENCAPSULATED,
};

/// Appends `frame` to `out`, with the shortest Length.
///
/// The encoder cares that the frame can be read back, not that it is sensible.
///
/// # Errors
/// The packet or the node id is longer than its Length can say, or something has no form on the
/// wire: an empty ClientId or topic name, U+0000 in a text, a radius above 3, a PUBLISH with a
/// wildcard or with QoS -1 and a normal topic id. `out` is then as it was before.
pub fn encode(frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    encode_frame(frame, out).inspect_err(|_| out.truncate(start))
}

fn encode_frame(frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if let Some(encapsulation) = &frame.encapsulation {
        encode_encapsulation(encapsulation, out)?;
    }
    let start = out.len();
    out.extend_from_slice(&[0, frame.packet.packet_type() as u8]);
    encode_body(&frame.packet, out)?;
    write_length(start, out)
}

/// Writes the Length of the packet that takes all of `out` from `start` on, where there is one byte
/// for it.
fn write_length(start: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let len = out.len() - start;
    //= mqttsn:GW-SN-02
    if let (Ok(short), Some(place)) = (u8::try_from(len), out.get_mut(start)) {
        *place = short;
        return Ok(());
    }
    let len = len + 2;
    let Ok(long) = u16::try_from(len) else {
        return Err(EncodeError::TooLong {
            field: "packet",
            len,
            max: usize::from(PACKET_SIZE_MAX),
        });
    };
    let [high, low] = long.to_be_bytes();
    out.splice(start..=start, [LONG_FORM, high, low]);
    Ok(())
}

fn encode_encapsulation(
    encapsulation: &Encapsulation<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    const HEADER_LEN: usize = 3;
    let node_id = encapsulation.node_id;
    let Ok(len) = u8::try_from(node_id.len() + HEADER_LEN) else {
        return Err(EncodeError::TooLong {
            field: "wireless node id",
            len: node_id.len(),
            max: usize::from(ENCAPSULATION_SIZE_MAX) - HEADER_LEN,
        });
    };
    if encapsulation.radius > 3 {
        return Err(EncodeError::Unrepresentable("radius above 3"));
    }
    out.extend_from_slice(&[len, ENCAPSULATED, encapsulation.radius]);
    out.extend_from_slice(node_id);
    Ok(())
}

/// Appends what follows Length and MsgType.
fn encode_body(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match packet {
        Packet::Advertise(advertise) => discovery::advertise(advertise, out),
        Packet::Searchgw(radius) => out.push(*radius),
        Packet::Gwinfo(gwinfo) => discovery::gwinfo(gwinfo, out),
        Packet::Connect(connect) => session::connect(connect, out)?,
        Packet::WillTopicReq | Packet::WillMsgReq | Packet::Pingresp => {}
        Packet::WillTopic(topic) | Packet::WillTopicUpd(topic) => {
            session::will_topic(topic.as_ref(), out)?;
        }
        Packet::WillMsg(payload) | Packet::WillMsgUpd(payload) => out.extend_from_slice(payload),
        Packet::Register(register) => publish::register(register, out)?,
        Packet::Regack(ack) | Packet::Puback(ack) => publish::topic_ack(ack, out),
        Packet::Publish(publish) => publish::publish(publish, out)?,
        Packet::Pubcomp(msg_id)
        | Packet::Pubrec(msg_id)
        | Packet::Pubrel(msg_id)
        | Packet::Unsuback(msg_id) => write_u16(*msg_id, out),
        Packet::Subscribe(subscribe) => subscribe::subscribe(subscribe, out)?,
        Packet::Suback(suback) => subscribe::suback(suback, out),
        Packet::Unsubscribe(unsubscribe) => subscribe::unsubscribe(unsubscribe, out)?,
        Packet::Pingreq(client_id) => session::pingreq(*client_id, out)?,
        Packet::Disconnect(duration_s) => session::disconnect(*duration_s, out),
        Packet::Connack(code) | Packet::WillTopicResp(code) | Packet::WillMsgResp(code) => {
            out.push(code.value());
        }
    }
    Ok(())
}

fn write_u16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends text; `empty` says what is wrong if there is none.
fn write_text(text: &str, empty: &'static str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if text.is_empty() {
        return Err(EncodeError::Unrepresentable(empty));
    }
    if text.as_bytes().contains(&0) {
        return Err(EncodeError::Unrepresentable("U+0000 in a text"));
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
