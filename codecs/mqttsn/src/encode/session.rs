use codec_wire::EncodeError;

use super::{write_text, write_u16};
use crate::{Connect, WillTopic, flags::Flags};

const CLIENT_ID_EMPTY: &str = "empty ClientId";

/// Appends the variable part of CONNECT.
pub(super) fn connect(connect: &Connect<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let flags = Flags::default().with_will(connect.will).with_clean_session(connect.clean_session);
    out.extend_from_slice(&[flags.0, connect.protocol_id]);
    write_u16(connect.duration_s, out);
    write_text(connect.client_id, CLIENT_ID_EMPTY, out)
}

/// Appends the variable part of WILLTOPIC and WILLTOPICUPD, nothing to delete the Will.
pub(super) fn will_topic(
    topic: Option<&WillTopic<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let Some(will) = topic else { return Ok(()) };
    out.push(Flags::default().with_qos(will.qos).with_retain(will.retain).0);
    write_text(will.topic, "empty Will topic", out)
}

/// Appends the variable part of PINGREQ.
pub(super) fn pingreq(client_id: Option<&str>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match client_id {
        Some(client_id) => write_text(client_id, CLIENT_ID_EMPTY, out),
        None => Ok(()),
    }
}

/// Appends the variable part of DISCONNECT.
pub(super) fn disconnect(duration_s: Option<u16>, out: &mut Vec<u8>) {
    if let Some(duration_s) = duration_s {
        write_u16(duration_s, out);
    }
}
