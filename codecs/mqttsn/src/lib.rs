//! MQTT-SN 1.2: datagrams to frames and back.
//!
//! One codec for both directions. [`MqttSnCodec`] decodes a datagram, which holds one whole frame:
//! a packet (the specification calls it a message), or a packet that a forwarder has wrapped for a
//! node behind it. [`encode`] writes any frame. Frames borrow from the bytes that they were decoded
//! from, and decoding allocates nothing.
//!
//! MQTT-SN drops what it refuses without an answer (GW-SN-01), so errors have no answer code. What
//! a gateway has to answer is decoded: an unknown ProtocolId, a topic that does not exist, a name
//! with wildcards in REGISTER, a QoS that SUBSCRIBE or a Will cannot have. Deliberately missing are
//! the rules that need more than one packet, and MQTT-SN 2.0, whose packets have other numbers.
//! Flags that a packet does not use and reserved bits are ignored.
#![deny(missing_docs)]

mod codec;
mod decode;
mod encode;
mod flags;
mod header;
#[cfg(feature = "json")]
mod json;
mod limits;
mod packet;
mod packet_type;
mod return_code;
mod topic;
mod violation;

pub use codec_wire::{Codec, DecodeError, Decoded, EncodeError, ErrorKind};

pub use codec::MqttSnCodec;
pub use encode::encode;
#[cfg(feature = "json")]
pub use json::to_json;
pub use limits::{ENCAPSULATION_SIZE_MAX, Limits, PACKET_SIZE_MAX};
pub use packet::{
    Advertise, Connect, Encapsulation, Frame, Gwinfo, PROTOCOL_ID, Packet, Publish, QoS, Register,
    Suback, Subscribe, TopicAck, Unsubscribe, WillTopic,
};
pub use packet_type::PacketType;
pub use return_code::ReturnCode;
pub use topic::{ShortName, Topic, TopicId};
