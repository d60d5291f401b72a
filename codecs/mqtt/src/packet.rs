//! The packets, each borrowing from the bytes that it was decoded from.

use crate::{
    AckProperties, AuthProperties, ConnackProperties, ConnectProperties, DisconnectProperties,
    List, PacketType, PublishProperties, ReasonCode, Secret, SubscribeProperties,
    UnsubscribeProperties, Version, WillProperties,
};

/// A control packet of any version and direction.
///
/// Versions before 5.0 have no properties and hardly any reason codes: there decoding leaves the
/// properties empty and the reason at success, and encoding leaves them out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification's names say it all")]
pub enum Packet<'a> {
    /// Boxed, like CONNACK, so that the frequent packets stay small.
    Connect(Box<Connect<'a>>),
    Connack(Box<Connack<'a>>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl Packet<'_> {
    /// The packet's type.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::Publish(_) => PacketType::Publish,
            Self::Puback(_) => PacketType::Puback,
            Self::Pubrec(_) => PacketType::Pubrec,
            Self::Pubrel(_) => PacketType::Pubrel,
            Self::Pubcomp(_) => PacketType::Pubcomp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

/// How often a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0.
    #[default]
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of two bits; `None` for 3.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the client speaks.
    pub version: Version,
    /// Whether bit 7 of the level is set, by which some brokers' bridges (3.1 and 3.1.1) say that
    /// they are one. The standard does not have it.
    pub bridge: bool,
    /// Clean Start; Clean Session before 5.0.
    pub clean_start: bool,
    /// In seconds, 0 for none.
    pub keep_alive_s: u16,
    /// Empty if the server is to choose one.
    pub client_id: &'a str,
    /// The message to publish when the link ends badly.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub user_name: Option<&'a str>,
    /// The password; before 5.0 only with a user name.
    pub password: Option<Secret<'a>>,
    /// Empty before 5.0.
    pub properties: ConnectProperties<'a>,
}

/// The Will of a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// The QoS to publish it with.
    pub qos: QoS,
    /// Whether it is published retained.
    pub retain: bool,
    /// Its Topic Name.
    pub topic: &'a str,
    /// Its payload, called Will Message before 5.0.
    pub payload: &'a [u8],
    /// Empty before 5.0.
    pub properties: WillProperties<'a>,
}

/// CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the session existed.
    pub session_present: bool,
    /// Before 5.0 the return code, translated as [`ReasonCode::connect_return_code`] says.
    pub reason: ReasonCode,
    /// Empty before 5.0.
    pub properties: ConnackProperties<'a>,
}

/// PUBLISH.
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// Whether this is a further attempt to deliver.
    pub dup: bool,
    /// The QoS.
    pub qos: QoS,
    /// Whether the message is retained.
    pub retain: bool,
    /// The Topic Name; empty only with a topic alias.
    pub topic: &'a str,
    /// Not 0, but for QoS 0, where there is none.
    pub packet_id: u16,
    /// Empty before 5.0.
    pub properties: PublishProperties<'a>,
    /// The bytes of the properties as they came in, without Property Length; see
    /// [`PublishProperties::is_shareable`]. Neither compared nor encoded.
    pub raw_properties: &'a [u8],
    /// The application message.
    pub payload: &'a [u8],
}

impl PartialEq for Publish<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.dup == other.dup
            && self.qos == other.qos
            && self.retain == other.retain
            && self.topic == other.topic
            && self.packet_id == other.packet_id
            && self.properties == other.properties
            && self.payload == other.payload
    }
}

impl Eq for Publish<'_> {}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The PUBLISH's packet identifier, not 0.
    pub packet_id: u16,
    /// Success before 5.0.
    pub reason: ReasonCode,
    /// Empty before 5.0.
    pub properties: AckProperties<'a>,
}

/// SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Not 0.
    pub packet_id: u16,
    /// Empty before 5.0.
    pub properties: SubscribeProperties<'a>,
    /// At least one. Their filters are UTF-8 without U+0000 and not empty; whether wildcards and
    /// `$share` are in place is for [`check_filter`](crate::check_filter), since each filter has an
    /// answer of its own.
    pub subscriptions: List<'a, Subscription<'a>>,
}

/// A Topic Filter with its Subscription Options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subscription<'a> {
    /// The Topic Filter.
    pub filter: &'a str,
    /// The greatest QoS wanted.
    pub qos: QoS,
    /// Not to get one's own messages. False before 5.0.
    pub no_local: bool,
    /// To get the RETAIN flag as it was published. False before 5.0.
    pub retain_as_published: bool,
    /// Which retained messages to get at once. [`RetainHandling::Send`] before 5.0.
    pub retain_handling: RetainHandling,
}

impl<'a> Subscription<'a> {
    /// `filter` with the options of a Subscription Options byte; `None` if QoS or Retain Handling
    /// are 3. Reserved bits are not looked at.
    #[inline]
    pub(crate) const fn from_options(filter: &'a str, options: u8) -> Option<Self> {
        let retain_handling = match options >> 4 & 3 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return None,
        };
        let Some(qos) = QoS::from_bits(options & 3) else { return None };
        Some(Self {
            filter,
            qos,
            no_local: options & 0b0100 != 0,
            retain_as_published: options & 0b1000 != 0,
            retain_handling,
        })
    }

    /// The Subscription Options byte.
    pub(crate) const fn options(&self) -> u8 {
        self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }
}

/// Which retained messages a SUBSCRIBE brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// All that match.
    #[default]
    Send = 0,
    /// All that match, if the subscription did not exist.
    SendIfNew = 1,
    /// None.
    DoNotSend = 2,
}

/// SUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suback<'a> {
    /// The SUBSCRIBE's packet identifier, not 0.
    pub packet_id: u16,
    /// Empty before 5.0.
    pub properties: AckProperties<'a>,
    /// One [`ReasonCode`] value per filter, at least one. In 3.1.1 every failure is written as
    /// 0x80; 3.1 knows no failure.
    pub reasons: &'a [u8],
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Not 0.
    pub packet_id: u16,
    /// Empty before 5.0.
    pub properties: UnsubscribeProperties<'a>,
    /// At least one, as in [`Subscribe::subscriptions`].
    pub filters: List<'a, &'a str>,
}

/// UNSUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// The UNSUBSCRIBE's packet identifier, not 0.
    pub packet_id: u16,
    /// Empty before 5.0.
    pub properties: AckProperties<'a>,
    /// One [`ReasonCode`] value per filter, at least one; empty before 5.0.
    pub reasons: &'a [u8],
}

/// DISCONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disconnect<'a> {
    /// Success, that is, normal disconnection, before 5.0.
    pub reason: ReasonCode,
    /// Empty before 5.0.
    pub properties: DisconnectProperties<'a>,
}

/// AUTH; 5.0 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// The properties.
    pub properties: AuthProperties<'a>,
}
