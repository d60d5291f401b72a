use codec_wire::{DecodeError, Reader};

use super::{return_code, text};
use crate::{
    Publish, QoS, Register, ShortName, TopicAck, TopicId,
    flags::{Flags, TopicIdType},
    violation,
};

/// Decodes REGISTER.
pub(super) fn register<'a>(body: &mut Reader<'a>) -> Result<Register<'a>, DecodeError> {
    Ok(Register {
        topic_id: body.u16()?,
        msg_id: body.u16()?,
        topic_name: text(body, violation::TOPIC_NAME_EMPTY)?,
    })
}

/// Decodes REGACK or PUBACK.
pub(super) fn topic_ack(body: &mut Reader<'_>) -> Result<TopicAck, DecodeError> {
    Ok(TopicAck { topic_id: body.u16()?, msg_id: body.u16()?, return_code: return_code(body)? })
}

/// Decodes PUBLISH.
pub(super) fn publish<'a>(body: &mut Reader<'a>) -> Result<Publish<'a>, DecodeError> {
    let flags_at = body.position();
    let flags = Flags(body.u8()?);
    let topic_id = match flags.topic_id_type() {
        //= mqttsn:GW-SN-17
        Some(TopicIdType::Normal) if flags.qos() == QoS::MinusOne => {
            return Err(violation::MINUS_ONE_NORMAL_ID.at(flags_at));
        }
        Some(TopicIdType::Normal) => TopicId::Normal(body.u16()?),
        Some(TopicIdType::Predefined) => TopicId::Predefined(body.u16()?),
        Some(TopicIdType::Short) => {
            let at = body.position();
            let name = short_name(body)?;
            //= mqttsn:GW-SN-31
            if name.has_wildcard() {
                return Err(violation::SHORT_NAME_WILDCARD.at(at));
            }
            TopicId::Short(name)
        }
        None => return Err(violation::TOPIC_ID_TYPE.at(flags_at)),
    };
    Ok(Publish {
        dup: flags.dup(),
        qos: flags.qos(),
        retain: flags.retain(),
        topic_id,
        msg_id: body.u16()?,
        data: body.rest(),
    })
}

/// Reads a short topic name, with or without wildcards.
pub(super) fn short_name(body: &mut Reader<'_>) -> Result<ShortName, DecodeError> {
    let at = body.position();
    //= mqttsn:GW-SN-31
    ShortName::new(body.array()?).ok_or_else(|| violation::SHORT_NAME.at(at))
}
