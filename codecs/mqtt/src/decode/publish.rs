use codec_wire::{DecodeError, Reader};

use super::Context;
use crate::{
    Publish, PublishProperties, QoS,
    primitives::{read_packet_id, read_topic_name},
    properties, violation,
};

/// Decodes a PUBLISH whose `flags` were checked.
#[inline]
pub(crate) fn decode<'a>(
    flags: u8,
    mut body: Reader<'a>,
    context: Context<'_>,
) -> Result<Publish<'a>, DecodeError> {
    let version = context.version;
    let qos = QoS::from_bits(flags >> 1 & 3).expect("the fixed header was checked");
    let at = body.position();
    //= mqtt5:3.3.2-1
    //= mqtt311:3.3.2-1
    //= mqtt5:3.3.2-2
    //= mqtt311:3.3.2-2
    let topic = read_topic_name(&mut body, version, violation::TOPIC_NAME_WILDCARD)?;
    //= mqtt5:2.2.1-2
    //= mqtt311:2.3.1-5
    //= mqtt311:2.3.1-1
    let packet_id = match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce | QoS::ExactlyOnce => read_packet_id(&mut body, version)?,
    };
    let mut properties = PublishProperties::default();
    let raw_properties = if version.is_v5() {
        properties::decode(&mut properties, &mut body, context.limits)?
    } else {
        &[]
    };
    //= mqtt5:GW-MQTT-07
    //= mqtt311:4.7.3-1
    if topic.is_empty() && properties.topic_alias.is_none() {
        return Err(violation::NEITHER_TOPIC_NOR_ALIAS.at(at, version));
    }
    Ok(Publish {
        dup: flags & 0b1000 != 0,
        qos,
        retain: flags & 0b0001 != 0,
        topic,
        packet_id,
        properties,
        raw_properties,
        payload: body.rest(),
    })
}
