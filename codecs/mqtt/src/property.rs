//! One property: its identifier, its type and the values that it may have.

use codec_wire::{DecodeError, EncodeError, Reader};

use crate::{
    Version,
    primitives::{
        fits_varint, read_binary, read_string, read_varint, write_binary, write_string, write_u16,
        write_varint,
    },
    topic, violation,
};

/// A property with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification's names say it all")]
pub enum Property<'a> {
    /// Whether the payload is UTF-8.
    PayloadFormatIndicator(bool),
    /// In seconds.
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    /// 1 to 268 435 455.
    SubscriptionIdentifier(u32),
    /// In seconds; `u32::MAX` is never.
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    /// In seconds.
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(Secret<'a>),
    RequestProblemInformation(bool),
    /// In seconds.
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    /// Not 0.
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    /// Not 0.
    TopicAlias(u16),
    /// Whether QoS 1 is supported; the property is absent where QoS 2 is.
    MaximumQos(bool),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    /// In bytes, not 0.
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

/// Bytes that must not appear in logs. `Debug` shows only how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Secret<'a>(pub &'a [u8]);

impl std::fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Property identifiers of section 2.2.2.2.
pub(crate) mod id {
    pub(crate) const PAYLOAD_FORMAT_INDICATOR: u32 = 0x01;
    pub(crate) const MESSAGE_EXPIRY_INTERVAL: u32 = 0x02;
    pub(crate) const CONTENT_TYPE: u32 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u32 = 0x08;
    pub(crate) const CORRELATION_DATA: u32 = 0x09;
    pub(crate) const SUBSCRIPTION_IDENTIFIER: u32 = 0x0b;
    pub(crate) const SESSION_EXPIRY_INTERVAL: u32 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_IDENTIFIER: u32 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u32 = 0x13;
    pub(crate) const AUTHENTICATION_METHOD: u32 = 0x15;
    pub(crate) const AUTHENTICATION_DATA: u32 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFORMATION: u32 = 0x17;
    pub(crate) const WILL_DELAY_INTERVAL: u32 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFORMATION: u32 = 0x19;
    pub(crate) const RESPONSE_INFORMATION: u32 = 0x1a;
    pub(crate) const SERVER_REFERENCE: u32 = 0x1c;
    pub(crate) const REASON_STRING: u32 = 0x1f;
    pub(crate) const RECEIVE_MAXIMUM: u32 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u32 = 0x22;
    pub(crate) const TOPIC_ALIAS: u32 = 0x23;
    pub(crate) const MAXIMUM_QOS: u32 = 0x24;
    pub(crate) const RETAIN_AVAILABLE: u32 = 0x25;
    pub(crate) const USER_PROPERTY: u32 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u32 = 0x27;
    pub(crate) const WILDCARD_SUBSCRIPTION_AVAILABLE: u32 = 0x28;
    pub(crate) const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u32 = 0x29;
    pub(crate) const SHARED_SUBSCRIPTION_AVAILABLE: u32 = 0x2a;
}

impl<'a> Property<'a> {
    /// The property's identifier on the wire.
    pub const fn id(&self) -> u32 {
        match self {
            Self::PayloadFormatIndicator(_) => id::PAYLOAD_FORMAT_INDICATOR,
            Self::MessageExpiryInterval(_) => id::MESSAGE_EXPIRY_INTERVAL,
            Self::ContentType(_) => id::CONTENT_TYPE,
            Self::ResponseTopic(_) => id::RESPONSE_TOPIC,
            Self::CorrelationData(_) => id::CORRELATION_DATA,
            Self::SubscriptionIdentifier(_) => id::SUBSCRIPTION_IDENTIFIER,
            Self::SessionExpiryInterval(_) => id::SESSION_EXPIRY_INTERVAL,
            Self::AssignedClientIdentifier(_) => id::ASSIGNED_CLIENT_IDENTIFIER,
            Self::ServerKeepAlive(_) => id::SERVER_KEEP_ALIVE,
            Self::AuthenticationMethod(_) => id::AUTHENTICATION_METHOD,
            Self::AuthenticationData(_) => id::AUTHENTICATION_DATA,
            Self::RequestProblemInformation(_) => id::REQUEST_PROBLEM_INFORMATION,
            Self::WillDelayInterval(_) => id::WILL_DELAY_INTERVAL,
            Self::RequestResponseInformation(_) => id::REQUEST_RESPONSE_INFORMATION,
            Self::ResponseInformation(_) => id::RESPONSE_INFORMATION,
            Self::ServerReference(_) => id::SERVER_REFERENCE,
            Self::ReasonString(_) => id::REASON_STRING,
            Self::ReceiveMaximum(_) => id::RECEIVE_MAXIMUM,
            Self::TopicAliasMaximum(_) => id::TOPIC_ALIAS_MAXIMUM,
            Self::TopicAlias(_) => id::TOPIC_ALIAS,
            Self::MaximumQos(_) => id::MAXIMUM_QOS,
            Self::RetainAvailable(_) => id::RETAIN_AVAILABLE,
            Self::UserProperty(..) => id::USER_PROPERTY,
            Self::MaximumPacketSize(_) => id::MAXIMUM_PACKET_SIZE,
            Self::WildcardSubscriptionAvailable(_) => id::WILDCARD_SUBSCRIPTION_AVAILABLE,
            Self::SubscriptionIdentifierAvailable(_) => id::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
            Self::SharedSubscriptionAvailable(_) => id::SHARED_SUBSCRIPTION_AVAILABLE,
        }
    }

    /// Reads identifier and value.
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = reader.position();
        Ok(match read_varint(reader)? {
            id::PAYLOAD_FORMAT_INDICATOR => Self::PayloadFormatIndicator(read_flag(reader)?),
            id::MESSAGE_EXPIRY_INTERVAL => Self::MessageExpiryInterval(reader.u32()?),
            //= mqtt5:3.3.2-19
            id::CONTENT_TYPE => Self::ContentType(read_text(reader)?),
            id::RESPONSE_TOPIC => Self::ResponseTopic(read_response_topic(reader)?),
            id::CORRELATION_DATA => Self::CorrelationData(read_binary(reader)?),
            id::SUBSCRIPTION_IDENTIFIER => {
                Self::SubscriptionIdentifier(not_zero(reader, read_varint)?)
            }
            id::SESSION_EXPIRY_INTERVAL => Self::SessionExpiryInterval(reader.u32()?),
            id::ASSIGNED_CLIENT_IDENTIFIER => Self::AssignedClientIdentifier(read_text(reader)?),
            id::SERVER_KEEP_ALIVE => Self::ServerKeepAlive(reader.u16()?),
            id::AUTHENTICATION_METHOD => Self::AuthenticationMethod(read_text(reader)?),
            id::AUTHENTICATION_DATA => Self::AuthenticationData(Secret(read_binary(reader)?)),
            id::REQUEST_PROBLEM_INFORMATION => Self::RequestProblemInformation(read_flag(reader)?),
            id::WILL_DELAY_INTERVAL => Self::WillDelayInterval(reader.u32()?),
            id::REQUEST_RESPONSE_INFORMATION => {
                Self::RequestResponseInformation(read_flag(reader)?)
            }
            id::RESPONSE_INFORMATION => Self::ResponseInformation(read_text(reader)?),
            id::SERVER_REFERENCE => Self::ServerReference(read_text(reader)?),
            id::REASON_STRING => Self::ReasonString(read_text(reader)?),
            id::RECEIVE_MAXIMUM => Self::ReceiveMaximum(not_zero(reader, Reader::u16)?),
            id::TOPIC_ALIAS_MAXIMUM => Self::TopicAliasMaximum(reader.u16()?),
            id::TOPIC_ALIAS => Self::TopicAlias(read_topic_alias(reader)?),
            //= mqtt5:3.2.2-9
            id::MAXIMUM_QOS => Self::MaximumQos(read_flag(reader)?),
            id::RETAIN_AVAILABLE => Self::RetainAvailable(read_flag(reader)?),
            //= mqtt5:1.5.7-1
            id::USER_PROPERTY => Self::UserProperty(read_text(reader)?, read_text(reader)?),
            id::MAXIMUM_PACKET_SIZE => Self::MaximumPacketSize(not_zero(reader, Reader::u32)?),
            id::WILDCARD_SUBSCRIPTION_AVAILABLE => {
                Self::WildcardSubscriptionAvailable(read_flag(reader)?)
            }
            id::SUBSCRIPTION_IDENTIFIER_AVAILABLE => {
                Self::SubscriptionIdentifierAvailable(read_flag(reader)?)
            }
            id::SHARED_SUBSCRIPTION_AVAILABLE => {
                Self::SharedSubscriptionAvailable(read_flag(reader)?)
            }
            _ => return Err(violation::PROPERTY_UNKNOWN.at(at, Version::V5)),
        })
    }

    /// Appends identifier and value.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_varint(self.id(), out);
        match *self {
            Self::PayloadFormatIndicator(flag)
            | Self::RequestProblemInformation(flag)
            | Self::RequestResponseInformation(flag)
            | Self::MaximumQos(flag)
            | Self::RetainAvailable(flag)
            | Self::WildcardSubscriptionAvailable(flag)
            | Self::SubscriptionIdentifierAvailable(flag)
            | Self::SharedSubscriptionAvailable(flag) => out.push(flag.into()),
            Self::ServerKeepAlive(value)
            | Self::ReceiveMaximum(value)
            | Self::TopicAliasMaximum(value)
            | Self::TopicAlias(value) => write_u16(value, out),
            Self::MessageExpiryInterval(value)
            | Self::SessionExpiryInterval(value)
            | Self::WillDelayInterval(value)
            | Self::MaximumPacketSize(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::SubscriptionIdentifier(value) => {
                let value = fits_varint("subscription identifier", value as usize)?;
                write_varint(value, out);
            }
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => write_string("property", text, out)?,
            Self::CorrelationData(bytes) | Self::AuthenticationData(Secret(bytes)) => {
                write_binary("property", bytes, out)?;
            }
            Self::UserProperty(name, value) => {
                write_string("user property", name, out)?;
                write_string("user property", value, out)?;
            }
        }
        Ok(())
    }
}

fn read_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    read_string(reader, Version::V5)
}

/// A byte that is 0 or 1.
fn read_flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let at = reader.position();
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(violation::PROPERTY_VALUE.at(at, Version::V5)),
    }
}

fn not_zero<'a, T: Default + PartialEq>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let at = reader.position();
    let value = read(reader)?;
    if value == T::default() {
        return Err(violation::PROPERTY_VALUE.at(at, Version::V5));
    }
    Ok(value)
}

fn read_topic_alias(reader: &mut Reader<'_>) -> Result<u16, DecodeError> {
    let at = reader.position();
    //= mqtt5:3.3.2-8
    //= mqtt5:GW-MQTT-09
    match reader.u16()? {
        0 => Err(violation::TOPIC_ALIAS_ZERO.at(at, Version::V5)),
        alias => Ok(alias),
    }
}

fn read_response_topic<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let at = reader.position();
    //= mqtt5:3.3.2-13
    let topic = read_text(reader)?;
    if topic.is_empty() {
        return Err(violation::RESPONSE_TOPIC_EMPTY.at(at, Version::V5));
    }
    //= mqtt5:3.3.2-14
    match topic::wildcard(topic) {
        Some(index) => Err(violation::RESPONSE_TOPIC_WILDCARD.at(at + 2 + index, Version::V5)),
        None => Ok(topic),
    }
}
