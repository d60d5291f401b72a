use codec_wire::EncodeError;

use super::{write_text, write_u16};
use crate::{Suback, Subscribe, Topic, Unsubscribe, flags::Flags};

/// Appends the variable part of SUBSCRIBE.
pub(super) fn subscribe(subscribe: &Subscribe<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let flags = Flags::default().with_dup(subscribe.dup).with_qos(subscribe.qos);
    write_request(flags, subscribe.msg_id, subscribe.topic, out)
}

/// Appends the variable part of UNSUBSCRIBE.
pub(super) fn unsubscribe(
    unsubscribe: &Unsubscribe<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_request(Flags::default(), unsubscribe.msg_id, unsubscribe.topic, out)
}

fn write_request(
    flags: Flags,
    msg_id: u16,
    topic: Topic<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.push(flags.with_topic_id_type(topic.id_type()).0);
    write_u16(msg_id, out);
    match topic {
        Topic::Name(name) => write_text(name, "empty topic name", out)?,
        Topic::Predefined(id) => write_u16(id, out),
        Topic::Short(name) => out.extend_from_slice(&name.bytes()),
    }
    Ok(())
}

/// Appends the variable part of SUBACK.
pub(super) fn suback(suback: &Suback, out: &mut Vec<u8>) {
    out.push(Flags::default().with_qos(suback.qos).0);
    write_u16(suback.topic_id, out);
    write_u16(suback.msg_id, out);
    out.push(suback.return_code.value());
}
