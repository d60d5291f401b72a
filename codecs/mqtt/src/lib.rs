//! MQTT 3.1, 3.1.1 and 5.0: bytes to packets and back.
//!
//! One codec for all versions (OASIS MQTT 5.0 of 7 March 2019, OASIS MQTT 3.1.1, IBM MQTT 3.1) and
//! both directions. [`MqttCodec`] decodes and learns the version from CONNECT; [`encode`] writes
//! any packet. Packets borrow from the bytes that they were decoded from, and decoding a PUBLISH or
//! an acknowledgement allocates nothing. For many receivers of one message there are
//! [`encode_shared_properties`], [`publish_len`] and [`encode_publish_head`].
//!
//! The codec refuses what one packet alone shows to be wrong, with place, reason code and
//! requirement. Deliberately missing is what needs more than one packet: who may send a packet and
//! when, whether an identifier is in use, whether an alias is known, whether a feature is switched
//! off. It also does not look whether a payload that claims to be UTF-8 is, and it takes control
//! characters in strings (GW-MQTT-21).
#![deny(missing_docs)]

mod codec;
mod decode;
mod encode;
mod header;
#[cfg(feature = "json")]
mod json;
mod limits;
mod list;
mod packet;
mod packet_type;
mod primitives;
mod properties;
mod property;
mod reason;
mod topic;
mod version;
mod violation;

pub use codec_wire::{Codec, DecodeError, Decoded, EncodeError, ErrorKind};

pub use codec::MqttCodec;
pub use encode::{
    AckKind, PINGREQ, PINGRESP, PublishHead, encode, encode_ack, encode_publish_head,
    encode_shared_properties, publish_len,
};
#[cfg(feature = "json")]
pub use json::to_json;
pub use limits::{Limits, PACKET_SIZE_MAX};
pub use list::{Item, Iter, List, UserProperties};
pub use packet::{
    Ack, Auth, Connack, Connect, Disconnect, Packet, Publish, QoS, RetainHandling, Suback,
    Subscribe, Subscription, Unsuback, Unsubscribe, Will,
};
pub use packet_type::PacketType;
pub use properties::{
    AckProperties, AuthProperties, ConnackProperties, ConnectProperties, DisconnectProperties,
    PublishProperties, SubscribeProperties, UnsubscribeProperties, WillProperties,
};
pub use property::{Property, Secret};
pub use reason::ReasonCode;
pub use topic::{TopicError, TopicFilter, check_filter, check_topic_name};
pub use version::Version;
