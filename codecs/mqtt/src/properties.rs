//! The properties that each packet may carry.

use codec_wire::{DecodeError, EncodeError, Reader};

use crate::{
    Limits, Version,
    list::{List, UserProperties},
    primitives::{length_prefixed, read_varint},
    property::{
        Property, Secret,
        id::{SUBSCRIPTION_IDENTIFIER, USER_PROPERTY},
    },
    violation,
};

/// The properties of one packet type.
pub(crate) trait PropertySet<'a>: Default {
    /// Takes over a property from a section whose bytes are `section`; false if this packet type
    /// does not carry it.
    fn set(&mut self, property: Property<'a>, section: &'a [u8]) -> bool;

    /// Whether the property `id` may occur more than once.
    fn may_repeat(id: u32) -> bool {
        id == USER_PROPERTY
    }

    /// Hands every property that is present to `visit`.
    fn try_for_each<E>(&self, visit: impl FnMut(Property<'a>) -> Result<(), E>) -> Result<(), E>;
}

/// Reads Property Length and properties into `properties`; returns the properties' bytes.
#[inline]
pub(crate) fn decode<'a, P: PropertySet<'a>>(
    properties: &mut P,
    reader: &mut Reader<'a>,
    limits: &Limits,
) -> Result<&'a [u8], DecodeError> {
    match read_varint(reader)? {
        0 => Ok(&[]),
        len => decode_section(properties, reader.section(len as usize)?, limits),
    }
}

fn decode_section<'a, P: PropertySet<'a>>(
    properties: &mut P,
    mut reader: Reader<'a>,
    limits: &Limits,
) -> Result<&'a [u8], DecodeError> {
    let section = reader.peek();
    // One bit per identifier; all that exist are below 64.
    let mut seen = 0u64;
    let (mut count, mut user_count) = (0, 0);
    while !reader.is_empty() {
        let at = reader.position();
        let property = Property::decode(&mut reader)?;
        let id = property.id();
        let bit = 1 << id;
        if seen & bit != 0 && !P::may_repeat(id) {
            return Err(violation::PROPERTY_TWICE.at(at, Version::V5));
        }
        seen |= bit;
        count += 1;
        user_count += u32::from(id == USER_PROPERTY);
        if count > limits.max_properties || user_count > limits.max_user_properties {
            return Err(violation::PROPERTIES_MANY.at(at, Version::V5));
        }
        if !properties.set(property, section) {
            return Err(violation::PROPERTY_UNKNOWN.at(at, Version::V5));
        }
    }
    Ok(section)
}

/// Appends Property Length and properties.
pub(crate) fn encode<'a, P: PropertySet<'a>>(
    properties: &P,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    //= mqtt5:2.2.2-1
    length_prefixed(out, "property section", |out| {
        properties.try_for_each(|property| property.encode(out))
    })
}

/// Declares the properties of a packet type: for each field its type and the [`Property`] that it
/// holds. User Properties, which all of them may carry, are added.
macro_rules! property_set {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$field_meta:meta])* $field:ident: $type:ty = $property:ident; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name<'a> {
            $( $(#[$field_meta])* pub $field: Option<$type>, )*
            /// Name and value pairs in the sender's order; a name may repeat.
            pub user_properties: UserProperties<'a>,
        }

        impl<'a> PropertySet<'a> for $name<'a> {
            fn set(&mut self, property: Property<'a>, section: &'a [u8]) -> bool {
                match property {
                    $( Property::$property(value) => self.$field = Some(value), )*
                    Property::UserProperty(..) => {
                        self.user_properties = UserProperties::of_wire(section);
                    }
                    _ => return false,
                }
                true
            }

            fn try_for_each<E>(
                &self,
                mut visit: impl FnMut(Property<'a>) -> Result<(), E>,
            ) -> Result<(), E> {
                $( if let Some(value) = self.$field { visit(Property::$property(value))?; } )*
                self.user_properties
                    .iter()
                    .try_for_each(|(name, value)| visit(Property::UserProperty(name, value)))
            }
        }
    };
}

property_set! {
    /// The properties of CONNECT.
    ConnectProperties {
        /// How long the session outlives the link, in seconds; absent is 0, `u32::MAX` never ends.
        session_expiry_s: u32 = SessionExpiryInterval;
        /// How many QoS 1 and 2 PUBLISH the client takes at a time, never 0; absent is 65 535.
        receive_maximum: u16 = ReceiveMaximum;
        /// Greatest packet that the client takes, in bytes, never 0; absent is no limit.
        max_packet_size: u32 = MaximumPacketSize;
        /// Greatest topic alias that the client takes; absent is 0, none.
        topic_alias_maximum: u16 = TopicAliasMaximum;
        /// Whether the client wants Response Information; absent is no.
        request_response_information: bool = RequestResponseInformation;
        /// Whether the client wants Reason Strings and User Properties on failures; absent is yes.
        request_problem_information: bool = RequestProblemInformation;
        /// The method of extended authentication.
        authentication_method: &'a str = AuthenticationMethod;
        /// The method's first data; present only with a method.
        authentication_data: Secret<'a> = AuthenticationData;
    }
}

property_set! {
    /// The properties of a Will.
    WillProperties {
        /// How long the Will waits after the link ended, in seconds; absent is 0.
        will_delay_s: u32 = WillDelayInterval;
        /// Whether the payload is UTF-8; absent is no.
        payload_format_utf8: bool = PayloadFormatIndicator;
        /// How long the published Will is of use, in seconds; absent is for ever.
        message_expiry_s: u32 = MessageExpiryInterval;
        /// What the payload is.
        content_type: &'a str = ContentType;
        /// Where an answer is wanted.
        response_topic: &'a str = ResponseTopic;
        /// What to repeat in the answer.
        correlation_data: &'a [u8] = CorrelationData;
    }
}

property_set! {
    /// The properties of CONNACK. Absent ones say what the standard's defaults say.
    ConnackProperties {
        /// The expiry that the server uses instead of the client's, in seconds.
        session_expiry_s: u32 = SessionExpiryInterval;
        /// How many QoS 1 and 2 PUBLISH the server takes at a time, never 0.
        receive_maximum: u16 = ReceiveMaximum;
        /// `Some(false)` is at most QoS 0, `Some(true)` at most QoS 1, absent is all.
        maximum_qos_1: bool = MaximumQos;
        /// Whether retained messages are supported.
        retain_available: bool = RetainAvailable;
        /// Greatest packet that the server takes, in bytes, never 0.
        max_packet_size: u32 = MaximumPacketSize;
        /// The identifier given to a client that sent none.
        assigned_client_id: &'a str = AssignedClientIdentifier;
        /// Greatest topic alias that the server takes.
        topic_alias_maximum: u16 = TopicAliasMaximum;
        /// What went wrong, for people.
        reason_string: &'a str = ReasonString;
        /// Whether filters may have wildcards.
        wildcard_subscription_available: bool = WildcardSubscriptionAvailable;
        /// Whether subscriptions may have identifiers.
        subscription_ids_available: bool = SubscriptionIdentifierAvailable;
        /// Whether `$share` filters are supported.
        shared_subscription_available: bool = SharedSubscriptionAvailable;
        /// The keep alive that the server uses instead of the client's, in seconds.
        server_keep_alive_s: u16 = ServerKeepAlive;
        /// What to build response topics from.
        response_information: &'a str = ResponseInformation;
        /// Another server to use.
        server_reference: &'a str = ServerReference;
        /// The method of extended authentication.
        authentication_method: &'a str = AuthenticationMethod;
        /// The method's last data.
        authentication_data: Secret<'a> = AuthenticationData;
    }
}

property_set! {
    /// The properties of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    AckProperties {
        /// What went wrong, for people.
        reason_string: &'a str = ReasonString;
    }
}

property_set! {
    /// The properties of SUBSCRIBE.
    SubscribeProperties {
        /// The identifier of all subscriptions of the packet, 1 to 268 435 455.
        subscription_id: u32 = SubscriptionIdentifier;
    }
}

property_set! {
    /// The properties of UNSUBSCRIBE.
    UnsubscribeProperties {}
}

property_set! {
    /// The properties of DISCONNECT.
    DisconnectProperties {
        /// A new expiry of the session, in seconds; only a client sends it.
        session_expiry_s: u32 = SessionExpiryInterval;
        /// What went wrong, for people.
        reason_string: &'a str = ReasonString;
        /// Another server to use; only a server sends it.
        server_reference: &'a str = ServerReference;
    }
}

property_set! {
    /// The properties of AUTH.
    AuthProperties {
        /// The method of extended authentication, as in CONNECT. Only an AUTH that consists of
        /// nothing but its fixed header lacks it.
        authentication_method: &'a str = AuthenticationMethod;
        /// The method's data.
        authentication_data: Secret<'a> = AuthenticationData;
        /// What went wrong, for people.
        reason_string: &'a str = ReasonString;
    }
}

/// The properties of PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishProperties<'a> {
    /// Whether the payload is UTF-8; absent is no. The codec does not look at the payload.
    pub payload_format_utf8: Option<bool>,
    /// How long the message is of use, in seconds; absent is for ever.
    pub message_expiry_s: Option<u32>,
    /// A number that stands for the topic on this link, never 0.
    pub topic_alias: Option<u16>,
    /// What the payload is.
    pub content_type: Option<&'a str>,
    /// Where an answer is wanted.
    pub response_topic: Option<&'a str>,
    /// What to repeat in the answer.
    pub correlation_data: Option<&'a [u8]>,
    /// The identifiers of the receiver's subscriptions that matched; only a server sends them.
    pub subscription_ids: List<'a, u32>,
    /// Name and value pairs in the sender's order; a name may repeat.
    pub user_properties: UserProperties<'a>,
}

impl<'a> PublishProperties<'a> {
    /// Whether nothing in here is the matter of one receiver or of one moment: neither a topic
    /// alias, nor a message expiry, nor subscription identifiers. Then the section may go out to
    /// any receiver as it came in.
    #[inline]
    pub const fn is_shareable(&self) -> bool {
        self.topic_alias.is_none()
            && self.message_expiry_s.is_none()
            && self.subscription_ids.is_empty()
    }

    /// Hands those properties that are the same for every receiver to `visit`.
    pub(crate) fn try_for_each_shared<E>(
        &self,
        mut visit: impl FnMut(Property<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(utf8) = self.payload_format_utf8 {
            visit(Property::PayloadFormatIndicator(utf8))?;
        }
        if let Some(content_type) = self.content_type {
            visit(Property::ContentType(content_type))?;
        }
        if let Some(topic) = self.response_topic {
            visit(Property::ResponseTopic(topic))?;
        }
        if let Some(data) = self.correlation_data {
            visit(Property::CorrelationData(data))?;
        }
        self.user_properties
            .iter()
            .try_for_each(|(name, value)| visit(Property::UserProperty(name, value)))
    }
}

impl<'a> PropertySet<'a> for PublishProperties<'a> {
    fn set(&mut self, property: Property<'a>, section: &'a [u8]) -> bool {
        match property {
            Property::PayloadFormatIndicator(utf8) => self.payload_format_utf8 = Some(utf8),
            Property::MessageExpiryInterval(s) => self.message_expiry_s = Some(s),
            Property::TopicAlias(alias) => self.topic_alias = Some(alias),
            Property::ContentType(content_type) => self.content_type = Some(content_type),
            Property::ResponseTopic(topic) => self.response_topic = Some(topic),
            Property::CorrelationData(data) => self.correlation_data = Some(data),
            Property::SubscriptionIdentifier(_) => {
                self.subscription_ids = List::of_wire(section);
            }
            Property::UserProperty(..) => self.user_properties = List::of_wire(section),
            _ => return false,
        }
        true
    }

    fn may_repeat(id: u32) -> bool {
        matches!(id, USER_PROPERTY | SUBSCRIPTION_IDENTIFIER)
    }

    fn try_for_each<E>(
        &self,
        mut visit: impl FnMut(Property<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(alias) = self.topic_alias {
            visit(Property::TopicAlias(alias))?;
        }
        if let Some(s) = self.message_expiry_s {
            visit(Property::MessageExpiryInterval(s))?;
        }
        self.subscription_ids
            .iter()
            .try_for_each(|number| visit(Property::SubscriptionIdentifier(number)))?;
        self.try_for_each_shared(visit)
    }
}
