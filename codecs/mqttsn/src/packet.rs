//! The packets, each borrowing from the bytes that it was decoded from.

use crate::{PacketType, ReturnCode, Topic, TopicId};

/// The ProtocolId of MQTT-SN 1.2.
pub const PROTOCOL_ID: u8 = 0x01;

/// What a datagram holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Present if the packet comes from or goes to a node behind a forwarder. There is only one
    /// level of it.
    pub encapsulation: Option<Encapsulation<'a>>,
    /// The packet itself.
    pub packet: Packet<'a>,
}

impl<'a> Frame<'a> {
    /// `packet` without a forwarder.
    pub const fn plain(packet: Packet<'a>) -> Self {
        Self { encapsulation: None, packet }
    }
}

/// What a forwarder wraps a packet in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encapsulation<'a> {
    /// How far the forwarder is to broadcast the packet, 0..=3; 0 for not at all. It means
    /// something only towards the forwarder.
    pub radius: u8,
    /// The wireless node behind the forwarder, at most 252 bytes.
    pub node_id: &'a [u8],
}

/// A packet of either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification's names say it all")]
pub enum Packet<'a> {
    Advertise(Advertise),
    /// With the radius of the broadcast, 0 for the whole network.
    Searchgw(u8),
    Gwinfo(Gwinfo<'a>),
    Connect(Connect<'a>),
    Connack(ReturnCode),
    WillTopicReq,
    /// `None` deletes the Will.
    WillTopic(Option<WillTopic<'a>>),
    WillMsgReq,
    /// With the payload of the Will.
    WillMsg(&'a [u8]),
    Register(Register<'a>),
    Regack(TopicAck),
    Publish(Publish<'a>),
    Puback(TopicAck),
    /// With the MsgId, as in PUBREC, PUBREL and UNSUBACK.
    Pubcomp(u16),
    Pubrec(u16),
    Pubrel(u16),
    Subscribe(Subscribe<'a>),
    Suback(Suback),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(u16),
    /// With the ClientId, not empty, if a sleeping client wakes up.
    Pingreq(Option<&'a str>),
    Pingresp,
    /// With the duration in seconds if the client goes to sleep.
    Disconnect(Option<u16>),
    /// `None` deletes the Will.
    WillTopicUpd(Option<WillTopic<'a>>),
    WillTopicResp(ReturnCode),
    /// With the payload of the Will.
    WillMsgUpd(&'a [u8]),
    WillMsgResp(ReturnCode),
}

impl Packet<'_> {
    /// The packet's type.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Advertise(_) => PacketType::Advertise,
            Self::Searchgw(_) => PacketType::Searchgw,
            Self::Gwinfo(_) => PacketType::Gwinfo,
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::WillTopicReq => PacketType::WillTopicReq,
            Self::WillTopic(_) => PacketType::WillTopic,
            Self::WillMsgReq => PacketType::WillMsgReq,
            Self::WillMsg(_) => PacketType::WillMsg,
            Self::Register(_) => PacketType::Register,
            Self::Regack(_) => PacketType::Regack,
            Self::Publish(_) => PacketType::Publish,
            Self::Puback(_) => PacketType::Puback,
            Self::Pubcomp(_) => PacketType::Pubcomp,
            Self::Pubrec(_) => PacketType::Pubrec,
            Self::Pubrel(_) => PacketType::Pubrel,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq(_) => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::WillTopicUpd(_) => PacketType::WillTopicUpd,
            Self::WillTopicResp(_) => PacketType::WillTopicResp,
            Self::WillMsgUpd(_) => PacketType::WillMsgUpd,
            Self::WillMsgResp(_) => PacketType::WillMsgResp,
        }
    }
}

/// How often a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0.
    #[default]
    AtMostOnce = 0b00,
    /// QoS 1.
    AtLeastOnce = 0b01,
    /// QoS 2.
    ExactlyOnce = 0b10,
    /// QoS -1: published without a connection, and not answered. It has a meaning in PUBLISH only.
    MinusOne = 0b11,
}

impl QoS {
    /// The number by which the specification calls it, -1..=2.
    pub const fn number(self) -> i8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
            Self::MinusOne => -1,
        }
    }
}

/// ADVERTISE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertise {
    /// The gateway, unique in its network.
    pub gw_id: u8,
    /// Seconds until the next ADVERTISE.
    pub duration_s: u16,
}

/// GWINFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gwinfo<'a> {
    /// The gateway.
    pub gw_id: u8,
    /// Its address, which only clients send; else empty.
    pub gw_add: &'a [u8],
}

/// CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Whether the client wants to be asked for its Will.
    pub will: bool,
    /// Whether the client's subscriptions and Will of before are deleted.
    pub clean_session: bool,
    /// [`PROTOCOL_ID`]; any other has to be answered by
    /// [`NOT_SUPPORTED`](ReturnCode::NOT_SUPPORTED).
    pub protocol_id: u8,
    /// Keep alive in seconds.
    pub duration_s: u16,
    /// Not empty. It may be longer than the 23 characters of the specification.
    pub client_id: &'a str,
}

/// WILLTOPIC and WILLTOPICUPD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WillTopic<'a> {
    /// The QoS to publish the Will with; [`QoS::MinusOne`] is not refused.
    pub qos: QoS,
    /// Whether it is published retained.
    pub retain: bool,
    /// Its Topic Name, not empty; wildcards are unchecked.
    pub topic: &'a str,
}

/// REGISTER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register<'a> {
    /// The id that the gateway has assigned; 0 from clients.
    pub topic_id: u16,
    /// What the REGACK repeats.
    pub msg_id: u16,
    /// Not empty; wildcards are unchecked.
    pub topic_name: &'a str,
}

/// REGACK and PUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicAck {
    /// The id of the topic, 0 if there is none. For a short topic name its two bytes.
    pub topic_id: u16,
    /// The MsgId of the REGISTER or PUBLISH.
    pub msg_id: u16,
    /// The result.
    pub return_code: ReturnCode,
}

/// PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether this is a further attempt to deliver.
    pub dup: bool,
    /// The QoS. [`QoS::MinusOne`] goes with a pre-defined topic id or a short topic name only.
    pub qos: QoS,
    /// Whether the message is retained.
    pub retain: bool,
    /// The topic.
    pub topic_id: TopicId,
    /// Should be 0 with QoS 0 and -1; it is kept for the PUBACK of a topic that does not exist.
    pub msg_id: u16,
    /// The payload.
    pub data: &'a [u8],
}

/// SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Whether this is a further attempt.
    pub dup: bool,
    /// The greatest QoS that the client wants; [`QoS::MinusOne`] is not refused.
    pub qos: QoS,
    /// What the SUBACK repeats.
    pub msg_id: u16,
    /// The topic.
    pub topic: Topic<'a>,
}

/// SUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suback {
    /// The QoS that was granted.
    pub qos: QoS,
    /// The id of the topic; 0 with wildcards, and with short topic names without meaning.
    pub topic_id: u16,
    /// The MsgId of the SUBSCRIBE.
    pub msg_id: u16,
    /// The result.
    pub return_code: ReturnCode,
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What the UNSUBACK repeats.
    pub msg_id: u16,
    /// The topic.
    pub topic: Topic<'a>,
}
