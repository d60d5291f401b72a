use codec_wire::EncodeError;

use crate::{
    PacketType, Publish, PublishProperties, QoS, Version,
    primitives::{fits_varint, varint_len, write_binary, write_packet_id, write_varint},
    properties::PropertySet,
    property::Property,
};

/// What differs between the copies of one message that go to different receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishHead<'a> {
    /// Whether this is a further attempt to deliver.
    pub dup: bool,
    /// The QoS.
    pub qos: QoS,
    /// Whether the RETAIN flag is set.
    pub retain: bool,
    /// The Topic Name; empty if the alias stands for it.
    pub topic: &'a str,
    /// Not 0, but for QoS 0, where it is not looked at.
    pub packet_id: u16,
    /// Not 0. Left out, like everything below, before 5.0.
    pub topic_alias: Option<u16>,
    /// What is left of the expiry, in seconds.
    pub message_expiry_s: Option<u32>,
    /// The identifiers of the receiver's subscriptions that matched.
    pub subscription_ids: &'a [u32],
}

/// The lengths in a PUBLISH, in bytes.
struct Lengths {
    /// Of all properties; meaningless before 5.0.
    properties: u32,
    /// Of all that follows the fixed header.
    remaining: u32,
}

impl PublishHead<'_> {
    #[inline]
    fn lengths(
        &self,
        version: Version,
        shared_properties: usize,
        payload: usize,
    ) -> Result<Lengths, EncodeError> {
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let fixed = 2 + self.topic.len() + packet_id + payload;
        if !version.is_v5() {
            return Ok(Lengths { properties: 0, remaining: fits_varint("packet", fixed)? });
        }
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        let expiry = if self.message_expiry_s.is_some() { 5 } else { 0 };
        let ids: usize = self.subscription_ids.iter().map(|&id| 1 + varint_len(id)).sum();
        let properties = fits_varint("properties", alias + expiry + ids + shared_properties)?;
        let remaining = fixed + varint_len(properties) + properties as usize;
        Ok(Lengths { properties, remaining: fits_varint("packet", remaining)? })
    }
}

/// The length in bytes of the whole packet that [`encode_publish_head`] begins, to hold against the
/// receiver's Maximum Packet Size.
///
/// # Errors
/// It is more than MQTT can express.
#[inline]
pub fn publish_len(
    head: &PublishHead<'_>,
    version: Version,
    shared_properties_len: usize,
    payload_len: usize,
) -> Result<usize, EncodeError> {
    let remaining = head.lengths(version, shared_properties_len, payload_len)?.remaining;
    Ok(1 + varint_len(remaining) + remaining as usize)
}

/// Appends everything of a PUBLISH but its payload, of which `payload_len` bytes have to follow.
///
/// `shared_properties` is what [`encode_shared_properties`] wrote, or the properties of a received
/// PUBLISH that [are shareable](PublishProperties::is_shareable); before 5.0 it is left out.
///
/// # Errors
/// The topic is above 65 535 bytes, the packet more than MQTT can express, or a QoS 1 or 2 packet
/// has identifier 0; `out` is then as it was before.
#[inline]
pub fn encode_publish_head(
    head: &PublishHead<'_>,
    version: Version,
    shared_properties: &[u8],
    payload_len: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let lengths = head.lengths(version, shared_properties.len(), payload_len)?;
    out.reserve(5 + lengths.remaining as usize - payload_len);
    write_head(head, version, &lengths, out).inspect_err(|_| out.truncate(start))?;
    if version.is_v5() {
        out.extend_from_slice(shared_properties);
    }
    Ok(())
}

/// Appends everything up to and with the properties that are the receiver's own.
#[inline]
fn write_head(
    head: &PublishHead<'_>,
    version: Version,
    lengths: &Lengths,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    //= mqtt5:3.3.1-2
    //= mqtt5:4.3.1-1
    //= mqtt311:3.3.1-2
    //= mqtt311:4.3.1-1
    let dup = head.dup && head.qos != QoS::AtMostOnce;
    let flags = u8::from(dup) << 3 | (head.qos as u8) << 1 | u8::from(head.retain);
    out.push(PacketType::Publish.first_byte() | flags);
    write_varint(lengths.remaining, out);
    //= mqtt5:3.3.2-1
    //= mqtt311:3.3.2-1
    write_binary("topic name", head.topic.as_bytes(), out)?;
    //= mqtt5:2.2.1-2
    //= mqtt311:2.3.1-5
    if head.qos != QoS::AtMostOnce {
        write_packet_id(head.packet_id, out)?;
    }
    if version.is_v5() {
        //= mqtt5:2.2.2-1
        write_varint(lengths.properties, out);
        write_receiver_properties(head, out)?;
    }
    Ok(())
}

#[inline]
fn write_receiver_properties(head: &PublishHead<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if let Some(alias) = head.topic_alias {
        Property::TopicAlias(alias).encode(out)?;
    }
    if let Some(s) = head.message_expiry_s {
        Property::MessageExpiryInterval(s).encode(out)?;
    }
    for &id in head.subscription_ids {
        Property::SubscriptionIdentifier(id).encode(out)?;
    }
    Ok(())
}

/// Appends, without Property Length, those properties that are the same for every receiver:
/// payload format, content type, response topic, correlation data and User Properties in order.
///
/// # Errors
/// One of them is above 65 535 bytes; `out` is then as it was before.
pub fn encode_shared_properties(
    properties: &PublishProperties<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    //= mqtt5:3.3.2-18
    properties
        .try_for_each_shared(|property| property.encode(out))
        .inspect_err(|_| out.truncate(start))
}

/// Appends a whole PUBLISH.
pub(super) fn encode(
    publish: &Publish<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut properties = Vec::new();
    if version.is_v5() {
        publish.properties.try_for_each(|property| property.encode(&mut properties))?;
    }
    let head = PublishHead {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic,
        packet_id: publish.packet_id,
        ..PublishHead::default()
    };
    encode_publish_head(&head, version, &properties, publish.payload.len(), out)?;
    out.extend_from_slice(publish.payload);
    Ok(())
}
