//! The rules that a packet can break, each in one place.

use codec_wire::{DecodeError, ErrorKind, PastEnd};

use crate::{ReasonCode, Version};

/// A rule and what breaking it means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Violation {
    kind: ErrorKind,
    code: ReasonCode,
    /// The statement of 5.0.
    v5: &'static str,
    /// The statement of 3.1.1, which 3.1 shares here.
    v311: &'static str,
    what: &'static str,
}

impl Violation {
    /// Broken by the byte at `offset` of a packet of `version`.
    #[cold]
    pub(crate) const fn at(self, offset: usize, version: Version) -> DecodeError {
        DecodeError::new(self.kind, offset, self.what)
            .with_code(self.code.value() as u16)
            .with_requirement(if version.is_v5() { self.v5 } else { self.v311 })
    }

    const fn malformed(v5: &'static str, v311: &'static str, what: &'static str) -> Self {
        Self { kind: ErrorKind::Malformed, code: ReasonCode::MALFORMED_PACKET, v5, v311, what }
    }

    const fn protocol(v5: &'static str, v311: &'static str, what: &'static str) -> Self {
        Self { kind: ErrorKind::Protocol, code: ReasonCode::PROTOCOL_ERROR, v5, v311, what }
    }

    const fn answered(self, code: ReasonCode) -> Self {
        Self { code, ..self }
    }

    const fn too_large(code: ReasonCode, v5: &'static str, what: &'static str) -> Self {
        Self { kind: ErrorKind::TooLarge, code, v5, v311: v5, what }
    }
}

/// What the versions say of every violation that has no statement of its own: close the link.
const ANY_V5: &str = "mqtt5:4.13.1-1";
const ANY_V311: &str = "mqtt311:4.8.0-1";

/// What a field that runs past the end of its packet breaks.
pub(crate) const PAST_END: PastEnd =
    PastEnd { code: ReasonCode::MALFORMED_PACKET.value() as u16, requirement: "mqtt5:GW-MQTT-20" };

pub(crate) const FIRST_NOT_CONNECT: Violation =
    Violation::protocol("mqtt5:3.1.0-1", "mqtt311:3.1.0-1", "first packet is not CONNECT");
pub(crate) const RESERVED_TYPE: Violation =
    Violation::malformed(ANY_V5, ANY_V311, "reserved packet type");
pub(crate) const RESERVED_FLAGS: Violation =
    Violation::malformed("mqtt5:2.1.3-1", "mqtt311:2.2.2-2", "reserved fixed-header flags");
pub(crate) const PUBREL_FLAGS: Violation =
    Violation::malformed("mqtt5:3.6.1-1", "mqtt311:3.6.1-1", "PUBREL flags are not 0010");
pub(crate) const SUBSCRIBE_FLAGS: Violation =
    Violation::malformed("mqtt5:3.8.1-1", "mqtt311:3.8.1-1", "SUBSCRIBE flags are not 0010");
pub(crate) const UNSUBSCRIBE_FLAGS: Violation =
    Violation::malformed("mqtt5:3.10.1-1", "mqtt311:3.10.1-1", "UNSUBSCRIBE flags are not 0010");
pub(crate) const DISCONNECT_FLAGS: Violation =
    Violation::malformed("mqtt5:3.14.1-1", "mqtt311:3.14.1-1", "DISCONNECT flags are not 0000");
pub(crate) const AUTH_FLAGS: Violation =
    Violation::malformed("mqtt5:3.15.1-1", ANY_V311, "AUTH flags are not 0000");
pub(crate) const VARINT_LONG: Violation =
    Violation::malformed("mqtt5:1.5.5-1", ANY_V311, "variable byte integer above four bytes");
pub(crate) const VARINT_NOT_SHORTEST: Violation =
    Violation::malformed("mqtt5:1.5.5-1", ANY_V311, "variable byte integer is not the shortest");
pub(crate) const PACKET_SIZE: Violation = Violation::too_large(
    ReasonCode::PACKET_TOO_LARGE,
    "mqtt5:GW-MQTT-03",
    "packet above the Maximum Packet Size",
);
pub(crate) const LEFT_OVER: Violation =
    Violation::malformed("mqtt5:GW-MQTT-20", "mqtt5:GW-MQTT-20", "bytes left over in the packet");

pub(crate) const ILL_FORMED_TEXT: Violation =
    Violation::malformed("mqtt5:1.5.4-1", "mqtt311:1.5.3-1", "ill-formed UTF-8");
pub(crate) const NUL: Violation =
    Violation::malformed("mqtt5:1.5.4-2", "mqtt311:1.5.3-2", "U+0000 in a UTF-8 string");
pub(crate) const PACKET_ID_ZERO: Violation =
    Violation::protocol("mqtt5:GW-MQTT-10", "mqtt311:2.3.1-1", "packet identifier 0");

pub(crate) const PROPERTY_UNKNOWN: Violation =
    Violation::malformed(ANY_V5, ANY_V311, "property unknown or not allowed in this packet");
pub(crate) const PROPERTY_TWICE: Violation =
    Violation::protocol(ANY_V5, ANY_V311, "property occurs twice");
pub(crate) const PROPERTY_VALUE: Violation =
    Violation::protocol(ANY_V5, ANY_V311, "property has a forbidden value");
pub(crate) const PROPERTIES_MANY: Violation = Violation::too_large(
    ReasonCode::QUOTA_EXCEEDED,
    ANY_V5,
    "more properties than this server takes",
);

pub(crate) const PROTOCOL_NAME: Violation = Violation {
    kind: ErrorKind::Unsupported,
    code: ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
    v5: "mqtt5:3.1.2-1",
    v311: "mqtt311:3.1.2-1",
    what: "protocol name is not MQTT",
};
pub(crate) const PROTOCOL_LEVEL: Violation = Violation {
    kind: ErrorKind::Unsupported,
    code: ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
    v5: "mqtt5:3.1.2-2",
    v311: "mqtt311:3.1.2-2",
    what: "unsupported protocol level",
};
pub(crate) const CONNECT_RESERVED_FLAG: Violation =
    Violation::malformed("mqtt5:3.1.2-3", "mqtt311:3.1.2-3", "connect flags bit 0 is not 0");
pub(crate) const WILL_QOS_WITHOUT_WILL: Violation =
    Violation::malformed("mqtt5:3.1.2-11", "mqtt311:3.1.2-13", "will QoS without will flag");
pub(crate) const WILL_RETAIN_WITHOUT_WILL: Violation =
    Violation::malformed("mqtt5:3.1.2-13", "mqtt311:3.1.2-15", "will retain without will flag");
pub(crate) const WILL_QOS_THREE: Violation =
    Violation::malformed("mqtt5:3.1.2-12", "mqtt311:3.1.2-14", "will QoS 3");
pub(crate) const PASSWORD_WITHOUT_USER: Violation =
    Violation::malformed(ANY_V5, "mqtt311:3.1.2-22", "password flag without user name flag");
pub(crate) const AUTH_DATA_WITHOUT_METHOD: Violation =
    Violation::protocol(ANY_V5, ANY_V311, "authentication data without authentication method");

pub(crate) const CONNACK_FLAGS: Violation =
    Violation::malformed("mqtt5:3.2.2-1", ANY_V311, "CONNACK flags bits 7..1 are not 0");
pub(crate) const SESSION_PRESENT_WITH_ERROR: Violation = Violation::protocol(
    "mqtt5:3.2.2-6",
    "mqtt311:3.2.2-4",
    "Session Present in a CONNACK that refuses",
);
pub(crate) const CONNACK_REASON: Violation =
    Violation::protocol("mqtt5:3.2.2-8", "mqtt311:3.2.2-6", "reason code not allowed in CONNACK");

pub(crate) const PUBLISH_QOS_THREE: Violation =
    Violation::malformed("mqtt5:3.3.1-4", "mqtt311:3.3.1-4", "PUBLISH with QoS 3");
pub(crate) const DUP_WITH_QOS_ZERO: Violation =
    Violation::malformed("mqtt5:3.3.1-2", "mqtt311:3.3.1-2", "DUP with QoS 0");
pub(crate) const TOPIC_NAME_WILDCARD: Violation =
    Violation::malformed("mqtt5:3.3.2-2", "mqtt311:3.3.2-2", "wildcard in a topic name")
        .answered(ReasonCode::TOPIC_NAME_INVALID);
pub(crate) const TOPIC_NAME_EMPTY: Violation =
    Violation::malformed("mqtt5:4.7.3-1", "mqtt311:4.7.3-1", "empty topic name")
        .answered(ReasonCode::TOPIC_NAME_INVALID);
pub(crate) const NEITHER_TOPIC_NOR_ALIAS: Violation = Violation::protocol(
    "mqtt5:GW-MQTT-07",
    "mqtt311:4.7.3-1",
    "neither topic name nor topic alias",
);
pub(crate) const WILL_TOPIC_WILDCARD: Violation =
    Violation::malformed("mqtt5:4.7.0-1", "mqtt311:4.7.1-1", "wildcard in the will topic")
        .answered(ReasonCode::TOPIC_NAME_INVALID);
pub(crate) const RESPONSE_TOPIC_WILDCARD: Violation =
    Violation::protocol("mqtt5:3.3.2-14", ANY_V311, "wildcard in the response topic");
pub(crate) const RESPONSE_TOPIC_EMPTY: Violation =
    Violation::protocol("mqtt5:4.7.3-1", ANY_V311, "empty response topic");
pub(crate) const TOPIC_ALIAS_ZERO: Violation =
    Violation::protocol("mqtt5:3.3.2-8", ANY_V311, "topic alias 0")
        .answered(ReasonCode::TOPIC_ALIAS_INVALID);

pub(crate) const PUBACK_REASON: Violation =
    Violation::protocol("mqtt5:3.4.2-1", ANY_V311, "reason code not allowed in PUBACK");
pub(crate) const PUBREC_REASON: Violation =
    Violation::protocol("mqtt5:3.5.2-1", ANY_V311, "reason code not allowed in PUBREC");
pub(crate) const PUBREL_REASON: Violation =
    Violation::protocol("mqtt5:3.6.2-1", ANY_V311, "reason code not allowed in PUBREL");
pub(crate) const PUBCOMP_REASON: Violation =
    Violation::protocol("mqtt5:3.7.2-1", ANY_V311, "reason code not allowed in PUBCOMP");
pub(crate) const SUBACK_REASON: Violation =
    Violation::protocol("mqtt5:3.9.3-2", "mqtt311:3.9.3-2", "reason code not allowed in SUBACK");
pub(crate) const UNSUBACK_REASON: Violation =
    Violation::protocol("mqtt5:3.11.3-2", ANY_V311, "reason code not allowed in UNSUBACK");
pub(crate) const DISCONNECT_REASON: Violation =
    Violation::protocol("mqtt5:3.14.2-1", ANY_V311, "reason code not allowed in DISCONNECT");
pub(crate) const AUTH_REASON: Violation =
    Violation::protocol("mqtt5:3.15.2-1", ANY_V311, "reason code not allowed in AUTH");
pub(crate) const AUTH_WITHOUT_METHOD: Violation =
    Violation::protocol("mqtt5:GW-MQTT-18", ANY_V311, "AUTH without authentication method");

pub(crate) const SUBSCRIBE_EMPTY: Violation =
    Violation::protocol("mqtt5:3.8.3-2", "mqtt311:3.8.3-3", "SUBSCRIBE without topic filter");
pub(crate) const UNSUBSCRIBE_EMPTY: Violation =
    Violation::protocol("mqtt5:3.10.3-2", "mqtt311:3.10.3-2", "UNSUBSCRIBE without topic filter");
pub(crate) const SUBACK_EMPTY: Violation =
    Violation::malformed(ANY_V5, ANY_V311, "SUBACK without reason code");
pub(crate) const UNSUBACK_EMPTY: Violation =
    Violation::malformed(ANY_V5, ANY_V311, "UNSUBACK without reason code");
pub(crate) const FILTER_EMPTY: Violation =
    Violation::malformed("mqtt5:4.7.3-1", "mqtt311:4.7.3-1", "empty topic filter");
pub(crate) const FILTERS_MANY: Violation = Violation::too_large(
    ReasonCode::QUOTA_EXCEEDED,
    ANY_V5,
    "more topic filters than this server takes",
);
pub(crate) const OPTIONS_RESERVED: Violation = Violation::malformed(
    "mqtt5:3.8.3-5",
    "mqtt311:3.8.3-4",
    "reserved subscription option bits are not 0",
);
pub(crate) const OPTIONS_QOS_THREE: Violation =
    Violation::protocol(ANY_V5, "mqtt311:3.8.3-4", "subscription with QoS 3");
pub(crate) const OPTIONS_RETAIN_HANDLING: Violation =
    Violation::protocol(ANY_V5, ANY_V311, "retain handling 3");
