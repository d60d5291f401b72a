use codec_wire::{DecodeError, Reader};

use super::text;
use crate::{
    Connect, WillTopic,
    flags::Flags,
    violation::{self, Violation},
};

/// Decodes CONNECT.
pub(super) fn connect<'a>(body: &mut Reader<'a>) -> Result<Connect<'a>, DecodeError> {
    let flags = Flags(body.u8()?);
    Ok(Connect {
        will: flags.will(),
        clean_session: flags.clean_session(),
        protocol_id: body.u8()?,
        duration_s: body.u16()?,
        client_id: text(body, violation::CLIENT_ID_EMPTY)?,
    })
}

/// Decodes WILLTOPIC or WILLTOPICUPD. Only the form without flags deletes the Will; flags without
/// a topic break the rule `empty`.
pub(super) fn will_topic<'a>(
    body: &mut Reader<'a>,
    empty: Violation,
) -> Result<Option<WillTopic<'a>>, DecodeError> {
    if body.is_empty() {
        return Ok(None);
    }
    let flags = Flags(body.u8()?);
    let topic = text(body, empty)?;
    Ok(Some(WillTopic { qos: flags.qos(), retain: flags.retain(), topic }))
}

/// Decodes PINGREQ.
pub(super) fn pingreq<'a>(body: &mut Reader<'a>) -> Result<Option<&'a str>, DecodeError> {
    if body.is_empty() {
        return Ok(None);
    }
    text(body, violation::CLIENT_ID_EMPTY).map(Some)
}

/// Decodes DISCONNECT.
pub(super) fn disconnect(body: &mut Reader<'_>) -> Result<Option<u16>, DecodeError> {
    if body.is_empty() {
        return Ok(None);
    }
    body.u16().map(Some)
}
