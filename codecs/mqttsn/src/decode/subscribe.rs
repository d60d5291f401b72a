use codec_wire::{DecodeError, Reader};

use super::{publish::short_name, return_code, text};
use crate::{
    Suback, Subscribe, Topic, Unsubscribe,
    flags::{Flags, TopicIdType},
    violation,
};

/// Decodes SUBSCRIBE.
pub(super) fn subscribe<'a>(body: &mut Reader<'a>) -> Result<Subscribe<'a>, DecodeError> {
    let (flags, msg_id, topic) = request(body)?;
    Ok(Subscribe { dup: flags.dup(), qos: flags.qos(), msg_id, topic })
}

/// Decodes UNSUBSCRIBE.
pub(super) fn unsubscribe<'a>(body: &mut Reader<'a>) -> Result<Unsubscribe<'a>, DecodeError> {
    let (_, msg_id, topic) = request(body)?;
    Ok(Unsubscribe { msg_id, topic })
}

/// Decodes what SUBSCRIBE and UNSUBSCRIBE have in common, which is all of them.
fn request<'a>(body: &mut Reader<'a>) -> Result<(Flags, u16, Topic<'a>), DecodeError> {
    let flags_at = body.position();
    let flags = Flags(body.u8()?);
    let id_type = flags.topic_id_type().ok_or_else(|| violation::TOPIC_ID_TYPE.at(flags_at))?;
    let msg_id = body.u16()?;
    let topic = match id_type {
        TopicIdType::Normal => Topic::Name(text(body, violation::TOPIC_NAME_EMPTY)?),
        TopicIdType::Predefined => Topic::Predefined(body.u16()?),
        TopicIdType::Short => Topic::Short(short_name(body)?),
    };
    Ok((flags, msg_id, topic))
}

/// Decodes SUBACK.
pub(super) fn suback(body: &mut Reader<'_>) -> Result<Suback, DecodeError> {
    Ok(Suback {
        qos: Flags(body.u8()?).qos(),
        topic_id: body.u16()?,
        msg_id: body.u16()?,
        return_code: return_code(body)?,
    })
}
