use codec_wire::EncodeError;

use super::{write_text, write_u16};
use crate::{Publish, QoS, Register, TopicAck, TopicId, flags::Flags};

/// Appends the variable part of REGISTER.
pub(super) fn register(register: &Register<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write_u16(register.topic_id, out);
    write_u16(register.msg_id, out);
    write_text(register.topic_name, "empty topic name", out)
}

/// Appends the variable part of REGACK and PUBACK.
pub(super) fn topic_ack(ack: &TopicAck, out: &mut Vec<u8>) {
    write_u16(ack.topic_id, out);
    write_u16(ack.msg_id, out);
    out.push(ack.return_code.value());
}

/// Appends the variable part of PUBLISH.
pub(super) fn publish(publish: &Publish<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match publish.topic_id {
        TopicId::Normal(_) if publish.qos == QoS::MinusOne => {
            return Err(EncodeError::Unrepresentable("QoS -1 with a normal topic id"));
        }
        TopicId::Short(name) if name.has_wildcard() => {
            return Err(EncodeError::Unrepresentable("PUBLISH to a short name with a wildcard"));
        }
        _ => {}
    }
    let flags = Flags::default()
        .with_dup(publish.dup)
        .with_qos(publish.qos)
        .with_retain(publish.retain)
        .with_topic_id_type(publish.topic_id.id_type());
    out.push(flags.0);
    write_u16(publish.topic_id.value(), out);
    write_u16(publish.msg_id, out);
    out.extend_from_slice(publish.data);
    Ok(())
}
