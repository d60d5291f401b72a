use std::sync::{Arc, OnceLock};

use crate::{OriginId, Properties, QoS, Timestamp, UserProperties};

/// Names one way of encoding the receiver-independent part of a message: gateway, version and
/// property set. Only gateways give meaning to it; core compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayoutId(pub u16);

/// One message, borrowing from the read buffer of the turn in which it arrived or from a
/// [`StoredMessage`].
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Topic name as the core sees it (a mountpoint is applied by core); valid by
    /// [`check_topic_name`](crate::check_topic_name).
    pub topic: &'a str,
    /// The application's bytes.
    pub payload: &'a [u8],
    /// QoS as published.
    pub qos: QoS,
    /// Whether the publisher asked to retain it.
    pub retain: bool,
    /// After this moment a delivery that has not begun is dropped; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// Who published it; set by core.
    pub origin: OriginId,
    /// Application-level properties.
    pub properties: Properties<'a>,
    /// The encoded properties as they were received, and their layout: a receiver of the same
    /// layout gets these bytes as they are.
    pub wire: Option<(LayoutId, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// A message with only a topic and a payload: QoS 0, not retained, never expiring.
    #[must_use]
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Message {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at: None,
            origin: OriginId::default(),
            properties: Properties::default(),
            wire: None,
        }
    }

    /// Whether its expiry has passed at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Seconds until expiry at `now`, rounded so that the value never grows on the way
    /// ([MQTT-3.3.2-6]); `None` when it never expires.
    #[must_use]
    pub fn remaining_expiry_s(&self, now: Timestamp) -> Option<u32> {
        self.expires_at.map(|at| {
            let millis = at.since(now).as_millis();
            u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX)
        })
    }

    /// One exact copy that outlives the turn.
    #[must_use]
    pub fn detach(&self) -> Arc<StoredMessage> {
        Arc::new(StoredMessage::copy_of(self))
    }
}

/// A message that outlives the turn in which it arrived: queued, retained, or on its way to
/// another shard. One buffer for the texts and one for the bytes, each of exact size, so that
/// [`StoredMessage::size`] is the truth.
#[derive(Debug)]
pub struct StoredMessage {
    text: Box<str>,
    bytes: Box<[u8]>,
    topic_len: u32,
    content_type_len: Option<u32>,
    has_response_topic: bool,
    payload_len: u32,
    correlation_len: Option<u32>,
    user_len: u32,
    wire_layout: Option<LayoutId>,
    payload_format_utf8: Option<bool>,
    qos: QoS,
    retain: bool,
    expires_at: Option<Timestamp>,
    origin: OriginId,
    encoded: OnceLock<(LayoutId, Box<[u8]>)>,
}

impl StoredMessage {
    fn copy_of(message: &Message<'_>) -> Self {
        let p = &message.properties;
        let mut text = String::with_capacity(
            message.topic.len()
                + p.content_type.map_or(0, str::len)
                + p.response_topic.map_or(0, str::len),
        );
        text.push_str(message.topic);
        text.push_str(p.content_type.unwrap_or(""));
        text.push_str(p.response_topic.unwrap_or(""));
        let wire = message.wire.map_or(&[][..], |(_, bytes)| bytes);
        let user = p.user.packed();
        let correlation = p.correlation_data.unwrap_or(&[]);
        let mut bytes =
            Vec::with_capacity(message.payload.len() + correlation.len() + user.len() + wire.len());
        bytes.extend_from_slice(message.payload);
        bytes.extend_from_slice(correlation);
        bytes.extend_from_slice(user);
        bytes.extend_from_slice(wire);
        // A frame is limited to 256 MiB by every codec, so all lengths fit.
        StoredMessage {
            text: text.into_boxed_str(),
            bytes: bytes.into_boxed_slice(),
            topic_len: message.topic.len() as u32,
            content_type_len: p.content_type.map(|t| t.len() as u32),
            has_response_topic: p.response_topic.is_some(),
            payload_len: message.payload.len() as u32,
            correlation_len: p.correlation_data.map(|d| d.len() as u32),
            user_len: user.len() as u32,
            wire_layout: message.wire.map(|(layout, _)| layout),
            payload_format_utf8: p.payload_format_utf8,
            qos: message.qos,
            retain: message.retain,
            expires_at: message.expires_at,
            origin: message.origin,
            encoded: OnceLock::new(),
        }
    }

    /// The topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.text.split_at_checked(self.topic_len as usize).map_or("", |(topic, _)| topic)
    }

    /// The application's bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(..self.payload_len as usize).unwrap_or(&[])
    }

    /// QoS as published.
    #[must_use]
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// Whether the publisher asked to retain it.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.retain
    }

    /// Its expiry deadline.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Who published it.
    #[must_use]
    pub fn origin(&self) -> OriginId {
        self.origin
    }

    /// Bytes of memory that it holds, for queue accounting.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.text.len() + self.bytes.len()
    }

    /// The message, borrowed.
    #[must_use]
    pub fn view(&self) -> Message<'_> {
        let (topic, text) =
            self.text.split_at_checked(self.topic_len as usize).unwrap_or((&self.text, ""));
        let (content_type, response_topic) = match self.content_type_len {
            Some(len) => {
                let (a, b) = text.split_at_checked(len as usize).unwrap_or((text, ""));
                (Some(a), b)
            }
            None => (None, text),
        };
        let (payload, bytes) = cut(&self.bytes, self.payload_len);
        let (correlation, bytes) = cut(bytes, self.correlation_len.unwrap_or(0));
        let (user, wire) = cut(bytes, self.user_len);
        Message {
            topic,
            payload,
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
            origin: self.origin,
            properties: Properties {
                payload_format_utf8: self.payload_format_utf8,
                content_type,
                response_topic: self.has_response_topic.then_some(response_topic),
                correlation_data: self.correlation_len.map(|_| correlation),
                user: UserProperties::from_packed(user),
            },
            wire: self.wire_layout.map(|layout| (layout, wire)),
        }
    }

    /// The properties encoded in `layout`: as received, or from the cache, or made by `encode` and
    /// remembered. The cache holds one layout beside the received one; any other is encoded anew.
    pub fn encoded(
        &self,
        layout: LayoutId,
        encode: impl Fn(&Message<'_>) -> Vec<u8>,
    ) -> std::borrow::Cow<'_, [u8]> {
        use std::borrow::Cow;
        if self.wire_layout == Some(layout) {
            let at = self.payload_len + self.correlation_len.unwrap_or(0) + self.user_len;
            return Cow::Borrowed(self.bytes.get(at as usize..).unwrap_or(&[]));
        }
        let (cached, bytes) =
            self.encoded.get_or_init(|| (layout, encode(&self.view()).into_boxed_slice()));
        if *cached == layout { Cow::Borrowed(bytes) } else { Cow::Owned(encode(&self.view())) }
    }
}

fn cut(bytes: &[u8], len: u32) -> (&[u8], &[u8]) {
    bytes.split_at_checked(len as usize).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full<'a>() -> Message<'a> {
        let mut user = UserProperties::default();
        user.push("a", "1");
        Message {
            qos: QoS::ExactlyOnce,
            retain: true,
            expires_at: Some(Timestamp::from_millis(2_500)),
            origin: OriginId(9),
            properties: Properties {
                payload_format_utf8: Some(true),
                content_type: Some("text/plain"),
                response_topic: Some("answer"),
                correlation_data: Some(b"\x00\x01"),
                user,
            },
            wire: Some((LayoutId(3), b"wire")),
            ..Message::new("a/b", b"payload")
        }
    }

    #[test]
    fn a_detached_message_says_the_same() {
        let message = full();
        let stored = message.detach();
        let view = stored.view();
        assert_eq!(format!("{view:?}"), format!("{message:?}"));
        assert_eq!(stored.topic(), "a/b");
        assert_eq!(stored.payload(), b"payload");
    }

    #[test]
    fn an_empty_optional_differs_from_an_absent_one() {
        let mut message = Message::new("t", b"");
        message.properties.response_topic = Some("");
        let stored = message.detach();
        assert_eq!(stored.view().properties.response_topic, Some(""));
        assert_eq!(stored.view().properties.content_type, None);
        assert_eq!(stored.view().properties.correlation_data, None);
    }

    //= mqtt5:3.3.2-6
    #[test]
    fn remaining_expiry_counts_down_and_never_grows() {
        let message = full();
        let left = |ms| message.remaining_expiry_s(Timestamp::from_millis(ms));
        assert_eq!(
            [left(0), left(500), left(501), left(2_400), left(9_000)],
            [Some(3), Some(2), Some(2), Some(1), Some(0)]
        );
        assert!(message.is_expired(Timestamp::from_millis(2_500)));
    }

    #[test]
    fn received_bytes_win_and_one_other_layout_is_cached() {
        let stored = full().detach();
        assert_eq!(&*stored.encoded(LayoutId(3), |_| unreachable!("as received")), b"wire");
        assert_eq!(&*stored.encoded(LayoutId(4), |_| b"four".to_vec()), b"four");
        assert_eq!(&*stored.encoded(LayoutId(4), |_| unreachable!("cached")), b"four");
        assert_eq!(&*stored.encoded(LayoutId(5), |_| b"five".to_vec()), b"five");
    }
}
