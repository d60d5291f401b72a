use std::fmt;

use crate::PacketType;

/// The one-byte result of an operation, in the terms of MQTT 5.0.
///
/// 3.1.1 has no such codes but for CONNACK and SUBACK; there the codec translates, see
/// [`connect_return_code`](Self::connect_return_code).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReasonCode(u8);

impl ReasonCode {
    /// 0x00: Success; Normal disconnection in DISCONNECT, Granted QoS 0 in SUBACK.
    pub const SUCCESS: Self = Self(0x00);
    /// 0x01: Granted QoS 1.
    pub const GRANTED_QOS_1: Self = Self(0x01);
    /// 0x02: Granted QoS 2.
    pub const GRANTED_QOS_2: Self = Self(0x02);
    /// 0x04: Disconnect with Will Message.
    pub const DISCONNECT_WITH_WILL_MESSAGE: Self = Self(0x04);
    /// 0x10: No matching subscribers.
    pub const NO_MATCHING_SUBSCRIBERS: Self = Self(0x10);
    /// 0x11: No subscription existed.
    pub const NO_SUBSCRIPTION_EXISTED: Self = Self(0x11);
    /// 0x18: Continue authentication.
    pub const CONTINUE_AUTHENTICATION: Self = Self(0x18);
    /// 0x19: Re-authenticate.
    pub const RE_AUTHENTICATE: Self = Self(0x19);
    /// 0x80: Unspecified error.
    pub const UNSPECIFIED_ERROR: Self = Self(0x80);
    /// 0x81: Malformed Packet.
    pub const MALFORMED_PACKET: Self = Self(0x81);
    /// 0x82: Protocol Error.
    pub const PROTOCOL_ERROR: Self = Self(0x82);
    /// 0x83: Implementation specific error.
    pub const IMPLEMENTATION_SPECIFIC_ERROR: Self = Self(0x83);
    /// 0x84: Unsupported Protocol Version.
    pub const UNSUPPORTED_PROTOCOL_VERSION: Self = Self(0x84);
    /// 0x85: Client Identifier not valid.
    pub const CLIENT_IDENTIFIER_NOT_VALID: Self = Self(0x85);
    /// 0x86: Bad User Name or Password.
    pub const BAD_USER_NAME_OR_PASSWORD: Self = Self(0x86);
    /// 0x87: Not authorized.
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    /// 0x88: Server unavailable.
    pub const SERVER_UNAVAILABLE: Self = Self(0x88);
    /// 0x89: Server busy.
    pub const SERVER_BUSY: Self = Self(0x89);
    /// 0x8A: Banned.
    pub const BANNED: Self = Self(0x8A);
    /// 0x8B: Server shutting down.
    pub const SERVER_SHUTTING_DOWN: Self = Self(0x8B);
    /// 0x8C: Bad authentication method.
    pub const BAD_AUTHENTICATION_METHOD: Self = Self(0x8C);
    /// 0x8D: Keep Alive timeout.
    pub const KEEP_ALIVE_TIMEOUT: Self = Self(0x8D);
    /// 0x8E: Session taken over.
    pub const SESSION_TAKEN_OVER: Self = Self(0x8E);
    /// 0x8F: Topic Filter invalid.
    pub const TOPIC_FILTER_INVALID: Self = Self(0x8F);
    /// 0x90: Topic Name invalid.
    pub const TOPIC_NAME_INVALID: Self = Self(0x90);
    /// 0x91: Packet Identifier in use.
    pub const PACKET_IDENTIFIER_IN_USE: Self = Self(0x91);
    /// 0x92: Packet Identifier not found.
    pub const PACKET_IDENTIFIER_NOT_FOUND: Self = Self(0x92);
    /// 0x93: Receive Maximum exceeded.
    pub const RECEIVE_MAXIMUM_EXCEEDED: Self = Self(0x93);
    /// 0x94: Topic Alias invalid.
    pub const TOPIC_ALIAS_INVALID: Self = Self(0x94);
    /// 0x95: Packet too large.
    pub const PACKET_TOO_LARGE: Self = Self(0x95);
    /// 0x96: Message rate too high.
    pub const MESSAGE_RATE_TOO_HIGH: Self = Self(0x96);
    /// 0x97: Quota exceeded.
    pub const QUOTA_EXCEEDED: Self = Self(0x97);
    /// 0x98: Administrative action.
    pub const ADMINISTRATIVE_ACTION: Self = Self(0x98);
    /// 0x99: Payload format invalid.
    pub const PAYLOAD_FORMAT_INVALID: Self = Self(0x99);
    /// 0x9A: Retain not supported.
    pub const RETAIN_NOT_SUPPORTED: Self = Self(0x9A);
    /// 0x9B: QoS not supported.
    pub const QOS_NOT_SUPPORTED: Self = Self(0x9B);
    /// 0x9C: Use another server.
    pub const USE_ANOTHER_SERVER: Self = Self(0x9C);
    /// 0x9D: Server moved.
    pub const SERVER_MOVED: Self = Self(0x9D);
    /// 0x9E: Shared Subscriptions not supported.
    pub const SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: Self = Self(0x9E);
    /// 0x9F: Connection rate exceeded.
    pub const CONNECTION_RATE_EXCEEDED: Self = Self(0x9F);
    /// 0xA0: Maximum connect time.
    pub const MAXIMUM_CONNECT_TIME: Self = Self(0xA0);
    /// 0xA1: Subscription Identifiers not supported.
    pub const SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED: Self = Self(0xA1);
    /// 0xA2: Wildcard Subscriptions not supported.
    pub const WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED: Self = Self(0xA2);

    /// The code with this value, which need not be one that the specification names.
    #[inline]
    pub const fn new(value: u8) -> Self {
        Self(value)
    }

    /// The value on the wire.
    #[inline]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether the operation failed: 0x80 and above.
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// Whether a packet of type `packet_type` may carry this code, whoever sends it.
    #[inline]
    pub fn is_allowed_in(self, packet_type: PacketType) -> bool {
        self.entry().is_some_and(|&(_, _, packet_types)| packet_types & bit(packet_type) != 0)
    }

    /// The specification's name, or `None` for a code that it does not name.
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|&(_, name, _)| name)
    }

    /// The CONNACK return code by which 3.1 and 3.1.1 say this; `None` where they have none and
    /// the server closes without CONNACK (MQTT-3.2.2-6).
    pub const fn connect_return_code(self) -> Option<u8> {
        Some(match self {
            Self::SUCCESS => 0,
            Self::UNSUPPORTED_PROTOCOL_VERSION => 1,
            Self::CLIENT_IDENTIFIER_NOT_VALID => 2,
            Self::SERVER_UNAVAILABLE
            | Self::SERVER_BUSY
            | Self::CONNECTION_RATE_EXCEEDED
            | Self::QUOTA_EXCEEDED => 3,
            Self::BAD_USER_NAME_OR_PASSWORD | Self::BAD_AUTHENTICATION_METHOD => 4,
            Self::NOT_AUTHORIZED | Self::BANNED => 5,
            _ => return None,
        })
    }

    /// What a CONNACK return code of 3.1 and 3.1.1 means; `None` above 5.
    pub const fn from_connect_return_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::SUCCESS,
            1 => Self::UNSUPPORTED_PROTOCOL_VERSION,
            2 => Self::CLIENT_IDENTIFIER_NOT_VALID,
            3 => Self::SERVER_UNAVAILABLE,
            4 => Self::BAD_USER_NAME_OR_PASSWORD,
            5 => Self::NOT_AUTHORIZED,
            _ => return None,
        })
    }

    fn entry(self) -> Option<&'static Entry> {
        TABLE.binary_search_by_key(&self.0, |&(value, ..)| value).ok().and_then(|at| TABLE.get(at))
    }
}

impl fmt::Display for ReasonCode {
    /// The name, or the value where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#04x}", self.0),
        }
    }
}

impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} {}", self.0, self.name().unwrap_or("unknown"))
    }
}

/// Value, name, and the set of packet types that may carry it.
type Entry = (u8, &'static str, u16);

const fn bit(packet_type: PacketType) -> u16 {
    1 << packet_type as u8
}

const CONNACK: u16 = bit(PacketType::Connack);
const PUBACK: u16 = bit(PacketType::Puback);
const PUBREC: u16 = bit(PacketType::Pubrec);
const PUBREL_PUBCOMP: u16 = bit(PacketType::Pubrel) | bit(PacketType::Pubcomp);
const SUBACK: u16 = bit(PacketType::Suback);
const UNSUBACK: u16 = bit(PacketType::Unsuback);
const DISCONNECT: u16 = bit(PacketType::Disconnect);
const AUTH: u16 = bit(PacketType::Auth);
const ALL: u16 = CONNACK | PUBACK | PUBREC | PUBREL_PUBCOMP | SUBACK | UNSUBACK | DISCONNECT | AUTH;

/// Section 2.4 of the standard, ordered by value.
const TABLE: &[Entry] = &[
    (0x00, "Success", ALL),
    (0x01, "Granted QoS 1", SUBACK),
    (0x02, "Granted QoS 2", SUBACK),
    (0x04, "Disconnect with Will Message", DISCONNECT),
    (0x10, "No matching subscribers", PUBACK | PUBREC),
    (0x11, "No subscription existed", UNSUBACK),
    (0x18, "Continue authentication", AUTH),
    (0x19, "Re-authenticate", AUTH),
    (0x80, "Unspecified error", CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT),
    (0x81, "Malformed Packet", CONNACK | DISCONNECT),
    (0x82, "Protocol Error", CONNACK | DISCONNECT),
    (
        0x83,
        "Implementation specific error",
        CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT,
    ),
    (0x84, "Unsupported Protocol Version", CONNACK),
    (0x85, "Client Identifier not valid", CONNACK),
    (0x86, "Bad User Name or Password", CONNACK),
    (0x87, "Not authorized", CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT),
    (0x88, "Server unavailable", CONNACK),
    (0x89, "Server busy", CONNACK | DISCONNECT),
    (0x8A, "Banned", CONNACK),
    (0x8B, "Server shutting down", DISCONNECT),
    (0x8C, "Bad authentication method", CONNACK | DISCONNECT),
    (0x8D, "Keep Alive timeout", DISCONNECT),
    (0x8E, "Session taken over", DISCONNECT),
    (0x8F, "Topic Filter invalid", SUBACK | UNSUBACK | DISCONNECT),
    (0x90, "Topic Name invalid", CONNACK | PUBACK | PUBREC | DISCONNECT),
    (0x91, "Packet Identifier in use", PUBACK | PUBREC | SUBACK | UNSUBACK),
    (0x92, "Packet Identifier not found", PUBREL_PUBCOMP),
    (0x93, "Receive Maximum exceeded", DISCONNECT),
    (0x94, "Topic Alias invalid", DISCONNECT),
    (0x95, "Packet too large", CONNACK | DISCONNECT),
    (0x96, "Message rate too high", DISCONNECT),
    (0x97, "Quota exceeded", CONNACK | PUBACK | PUBREC | SUBACK | DISCONNECT),
    (0x98, "Administrative action", DISCONNECT),
    (0x99, "Payload format invalid", CONNACK | PUBACK | PUBREC | DISCONNECT),
    (0x9A, "Retain not supported", CONNACK | DISCONNECT),
    (0x9B, "QoS not supported", CONNACK | DISCONNECT),
    (0x9C, "Use another server", CONNACK | DISCONNECT),
    (0x9D, "Server moved", CONNACK | DISCONNECT),
    (0x9E, "Shared Subscriptions not supported", SUBACK | DISCONNECT),
    (0x9F, "Connection rate exceeded", CONNACK | DISCONNECT),
    (0xA0, "Maximum connect time", DISCONNECT),
    (0xA1, "Subscription Identifiers not supported", SUBACK | DISCONNECT),
    (0xA2, "Wildcard Subscriptions not supported", SUBACK | DISCONNECT),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn codes_know_their_packets() {
        assert!(ReasonCode::SUCCESS.is_allowed_in(PacketType::Pubcomp));
        assert!(ReasonCode::PACKET_IDENTIFIER_NOT_FOUND.is_allowed_in(PacketType::Pubrel));
        assert!(!ReasonCode::PACKET_IDENTIFIER_NOT_FOUND.is_allowed_in(PacketType::Puback));
        assert!(!ReasonCode::SUCCESS.is_allowed_in(PacketType::Publish));
        assert!(!ReasonCode::new(0x7f).is_allowed_in(PacketType::Disconnect));
        assert_eq!(ReasonCode::new(0xa2).name(), Some("Wildcard Subscriptions not supported"));
        assert_eq!(ReasonCode::new(0x03).to_string(), "0x03");
    }

    #[test]
    fn connect_return_codes_survive_both_ways() {
        for code in 0..=5 {
            let reason = ReasonCode::from_connect_return_code(code).unwrap();
            assert_eq!(reason.connect_return_code(), Some(code));
        }
        assert_eq!(ReasonCode::from_connect_return_code(6), None);
        assert_eq!(ReasonCode::BANNED.connect_return_code(), Some(5));
        assert_eq!(ReasonCode::MALFORMED_PACKET.connect_return_code(), None);
    }
}
