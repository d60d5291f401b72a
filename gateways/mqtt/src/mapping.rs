//! Between the codec's words and core's.

use codec_mqtt::{
    PacketType, PublishProperties, ReasonCode, UserProperties as PacketUserProperties, Version,
    encode_shared_properties,
};
use core_model::{Message, Properties, QoS, Reason, RetainHandling, UserProperties};
use smallvec::SmallVec;

use crate::ProtocolVersion;

#[inline]
pub(crate) const fn qos_in(qos: codec_mqtt::QoS) -> QoS {
    match qos {
        codec_mqtt::QoS::AtMostOnce => QoS::AtMostOnce,
        codec_mqtt::QoS::AtLeastOnce => QoS::AtLeastOnce,
        codec_mqtt::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[inline]
pub(crate) const fn qos_out(qos: QoS) -> codec_mqtt::QoS {
    match qos {
        QoS::AtMostOnce => codec_mqtt::QoS::AtMostOnce,
        QoS::AtLeastOnce => codec_mqtt::QoS::AtLeastOnce,
        QoS::ExactlyOnce => codec_mqtt::QoS::ExactlyOnce,
    }
}

pub(crate) const fn retain_handling(handling: codec_mqtt::RetainHandling) -> RetainHandling {
    match handling {
        codec_mqtt::RetainHandling::Send => RetainHandling::Send,
        codec_mqtt::RetainHandling::SendIfNew => RetainHandling::SendIfNew,
        codec_mqtt::RetainHandling::DoNotSend => RetainHandling::DoNotSend,
    }
}

/// The version in the words of the decoder.
pub(crate) const fn version_word(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    }
}

pub(crate) const fn version(version: ProtocolVersion) -> Version {
    match version {
        ProtocolVersion::V31 => Version::V31,
        ProtocolVersion::V311 => Version::V311,
        ProtocolVersion::V5 => Version::V5,
    }
}

#[inline]
pub(crate) const fn reason_in(code: ReasonCode) -> Reason {
    Reason::from_u8(code.value())
}

/// `reason` as `packet_type` may say it, else `otherwise`.
#[inline]
pub(crate) fn reason_out(
    reason: Reason,
    packet_type: PacketType,
    otherwise: ReasonCode,
) -> ReasonCode {
    let code = ReasonCode::new(reason.as_u8());
    if code == ReasonCode::SUCCESS || code.is_allowed_in(packet_type) { code } else { otherwise }
}

/// User Properties as core packs them; nothing is allocated where there are none.
#[inline]
pub(crate) fn user_properties_in(pairs: PacketUserProperties<'_>) -> UserProperties<'static> {
    let mut user = UserProperties::default();
    //= mqtt5:3.3.2-17
    //= mqtt5:3.3.2-18
    //= mqtt5:3.1.3-10
    for (name, value) in &pairs {
        user.push(name, value);
    }
    user
}

/// Appends the properties of `message` in the layout [`LAYOUT_V5`](crate::LAYOUT_V5).
pub(crate) fn encode_properties(message: &Message<'_>, out: &mut Vec<u8>) {
    let Properties { payload_format_utf8, content_type, response_topic, correlation_data, user } =
        &message.properties;
    let pairs: SmallVec<[(&str, &str); 8]> = user.iter().collect();
    //= mqtt5:3.3.2-4
    //= mqtt5:3.3.2-15
    //= mqtt5:3.3.2-16
    //= mqtt5:3.3.2-17
    //= mqtt5:3.3.2-18
    //= mqtt5:3.3.2-20
    let properties = PublishProperties {
        payload_format_utf8: *payload_format_utf8,
        content_type: *content_type,
        response_topic: *response_topic,
        correlation_data: *correlation_data,
        user_properties: pairs.as_slice().into(),
        ..PublishProperties::default()
    };
    // Fails only when a text is longer than any packet could have brought: then the receiver gets
    // the message without properties.
    let _ = encode_shared_properties(&properties, out);
}

/// Whether `text` has a character that GW-MQTT-21 lets a server refuse: control characters and
/// those that Unicode will never assign.
pub(crate) fn has_control_character(text: &str) -> bool {
    text.chars().any(|c| {
        let code = c as u32;
        c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
    })
}

/// Why a client may not publish to `topic`, if it may not.
#[inline]
pub(crate) fn forbidden_topic(topic: &str) -> Option<Reason> {
    if topic.starts_with('$') { Some(forbidden_dollar_topic(topic)) } else { None }
}

#[cold]
fn forbidden_dollar_topic(topic: &str) -> Reason {
    let prefixes = ["$share/", "$queue/", "$exclusive/", "$delayed/"];
    if prefixes.iter().any(|prefix| topic.starts_with(prefix)) {
        Reason::TOPIC_NAME_INVALID
    } else {
        Reason::NOT_AUTHORIZED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_the_packet_may_not_carry_is_replaced() {
        let disconnect =
            |reason| reason_out(reason, PacketType::Disconnect, ReasonCode::ADMINISTRATIVE_ACTION);
        assert_eq!(disconnect(Reason::BANNED), ReasonCode::ADMINISTRATIVE_ACTION);
        assert_eq!(disconnect(Reason::SESSION_TAKEN_OVER), ReasonCode::SESSION_TAKEN_OVER);
    }

    //= mqtt5:GW-MQTT-21
    #[test]
    fn control_and_non_characters_are_found() {
        for bad in ["a\u{1}", "\u{1f}", "\u{7f}", "\u{9f}b", "\u{fdd0}", "\u{ffff}", "\u{1fffe}"] {
            assert!(has_control_character(bad), "{bad:?}");
        }
        for good in ["", "a/b c", "\u{a0}", "日本", "\u{feff}", "\u{fffd}"] {
            assert!(!has_control_character(good), "{good:?}");
        }
    }
}
