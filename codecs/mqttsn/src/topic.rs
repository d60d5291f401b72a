//! The three ways in which MQTT-SN speaks of a topic.

use std::fmt;

use crate::flags::TopicIdType;

/// A topic of exactly two bytes, which is its own topic id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortName([u8; 2]);

impl ShortName {
    /// The short name of these bytes; `None` if they are not UTF-8 or have U+0000.
    #[inline]
    pub fn new(bytes: [u8; 2]) -> Option<Self> {
        let is_text = std::str::from_utf8(&bytes).is_ok() && !bytes.contains(&0);
        is_text.then_some(Self(bytes))
    }

    /// The short name of a topic; `None` if that has not two bytes or has U+0000.
    pub fn of_topic(topic: &str) -> Option<Self> {
        topic.as_bytes().try_into().ok().and_then(Self::new)
    }

    /// The bytes on the wire.
    #[inline]
    pub const fn bytes(self) -> [u8; 2] {
        self.0
    }

    /// The topic itself.
    #[inline]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was made")
    }

    /// Whether `+` or `#` occurs, so that no message can have this topic.
    #[inline]
    pub fn has_wildcard(self) -> bool {
        self.0.contains(&b'+') || self.0.contains(&b'#')
    }
}

impl fmt::Debug for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The topic of a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopicId {
    /// An id of the client's own table, by REGISTER or SUBACK.
    Normal(u16),
    /// An id that gateway and client knew before.
    Predefined(u16),
    /// The topic itself. It has no wildcard.
    Short(ShortName),
}

impl TopicId {
    /// The two bytes on the wire as a number, by which a PUBACK names the topic.
    #[inline]
    pub const fn value(self) -> u16 {
        match self {
            Self::Normal(id) | Self::Predefined(id) => id,
            Self::Short(name) => u16::from_be_bytes(name.bytes()),
        }
    }

    /// How it is marked in the flags.
    pub(crate) const fn id_type(self) -> TopicIdType {
        match self {
            Self::Normal(_) => TopicIdType::Normal,
            Self::Predefined(_) => TopicIdType::Predefined,
            Self::Short(_) => TopicIdType::Short,
        }
    }
}

/// The topic of a SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic<'a> {
    /// A Topic Name or Topic Filter in full, not empty and without U+0000; wildcards are unchecked.
    Name(&'a str),
    /// An id that gateway and client knew before.
    Predefined(u16),
    /// Two bytes that are the topic itself; wildcards are unchecked.
    Short(ShortName),
}

impl Topic<'_> {
    /// How it is marked in the flags.
    pub(crate) const fn id_type(self) -> TopicIdType {
        match self {
            Self::Name(_) => TopicIdType::Normal,
            Self::Predefined(_) => TopicIdType::Predefined,
            Self::Short(_) => TopicIdType::Short,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= mqttsn:GW-SN-31
    #[test]
    fn short_names_are_two_bytes_of_text() {
        assert_eq!(ShortName::new(*b"ab").unwrap().as_str(), "ab");
        assert_eq!(ShortName::of_topic("é").unwrap().as_str(), "é");
        assert_eq!(ShortName::new([0xc3, 0x28]), None);
        assert_eq!(ShortName::new([b'a', 0]), None);
        assert_eq!(ShortName::of_topic("a"), None);
        assert_eq!(ShortName::of_topic("abc"), None);
        assert!(ShortName::of_topic("+a").unwrap().has_wildcard());
        assert!(ShortName::of_topic("a#").unwrap().has_wildcard());
        assert!(!ShortName::of_topic("a/").unwrap().has_wildcard());
    }

    #[test]
    fn a_puback_names_a_short_topic_by_its_bytes() {
        let short = ShortName::of_topic("ab").unwrap();
        assert_eq!(TopicId::Short(short).value(), 0x6162);
        assert_eq!(TopicId::Predefined(7).value(), 7);
    }
}
