//! The flags octet that several packets share.

use crate::QoS;

const DUP: u8 = 1 << 7;
const QOS_SHIFT: u8 = 5;
const RETAIN: u8 = 1 << 4;
const WILL: u8 = 1 << 3;
const CLEAN_SESSION: u8 = 1 << 2;

/// What the two bytes or the name after it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum TopicIdType {
    Normal = 0b00,
    Predefined = 0b01,
    Short = 0b10,
}

/// A flags octet as it is on the wire. Each packet looks at its own flags only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    pub(crate) const fn dup(self) -> bool {
        self.0 & DUP != 0
    }

    pub(crate) const fn qos(self) -> QoS {
        match self.0 >> QOS_SHIFT & 0b11 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            2 => QoS::ExactlyOnce,
            _ => QoS::MinusOne,
        }
    }

    pub(crate) const fn retain(self) -> bool {
        self.0 & RETAIN != 0
    }

    pub(crate) const fn will(self) -> bool {
        self.0 & WILL != 0
    }

    pub(crate) const fn clean_session(self) -> bool {
        self.0 & CLEAN_SESSION != 0
    }

    /// `None` for the reserved one.
    pub(crate) const fn topic_id_type(self) -> Option<TopicIdType> {
        match self.0 & 0b11 {
            0b00 => Some(TopicIdType::Normal),
            0b01 => Some(TopicIdType::Predefined),
            0b10 => Some(TopicIdType::Short),
            _ => None,
        }
    }

    pub(crate) const fn with_dup(self, dup: bool) -> Self {
        if dup { Self(self.0 | DUP) } else { self }
    }

    pub(crate) const fn with_qos(self, qos: QoS) -> Self {
        Self(self.0 | (qos as u8) << QOS_SHIFT)
    }

    pub(crate) const fn with_retain(self, retain: bool) -> Self {
        if retain { Self(self.0 | RETAIN) } else { self }
    }

    pub(crate) const fn with_will(self, will: bool) -> Self {
        if will { Self(self.0 | WILL) } else { self }
    }

    pub(crate) const fn with_clean_session(self, clean_session: bool) -> Self {
        if clean_session { Self(self.0 | CLEAN_SESSION) } else { self }
    }

    pub(crate) const fn with_topic_id_type(self, id_type: TopicIdType) -> Self {
        Self(self.0 | id_type as u8)
    }
}
