use std::fmt;

/// The MsgTypes of packets with their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the specification's names say it all")]
pub enum PacketType {
    Advertise = 0x00,
    Searchgw = 0x01,
    Gwinfo = 0x02,
    Connect = 0x04,
    Connack = 0x05,
    WillTopicReq = 0x06,
    WillTopic = 0x07,
    WillMsgReq = 0x08,
    WillMsg = 0x09,
    Register = 0x0A,
    Regack = 0x0B,
    Publish = 0x0C,
    Puback = 0x0D,
    Pubcomp = 0x0E,
    Pubrec = 0x0F,
    Pubrel = 0x10,
    Subscribe = 0x12,
    Suback = 0x13,
    Unsubscribe = 0x14,
    Unsuback = 0x15,
    Pingreq = 0x16,
    Pingresp = 0x17,
    Disconnect = 0x18,
    WillTopicUpd = 0x1A,
    WillTopicResp = 0x1B,
    WillMsgUpd = 0x1C,
    WillMsgResp = 0x1D,
}

/// The MsgType of a forwarder's wrapping.
pub(crate) const ENCAPSULATED: u8 = 0xFE;

impl PacketType {
    /// The type with this number; `None` for reserved numbers and for a forwarder's wrapping.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0x00 => Self::Advertise,
            0x01 => Self::Searchgw,
            0x02 => Self::Gwinfo,
            0x04 => Self::Connect,
            0x05 => Self::Connack,
            0x06 => Self::WillTopicReq,
            0x07 => Self::WillTopic,
            0x08 => Self::WillMsgReq,
            0x09 => Self::WillMsg,
            0x0A => Self::Register,
            0x0B => Self::Regack,
            0x0C => Self::Publish,
            0x0D => Self::Puback,
            0x0E => Self::Pubcomp,
            0x0F => Self::Pubrec,
            0x10 => Self::Pubrel,
            0x12 => Self::Subscribe,
            0x13 => Self::Suback,
            0x14 => Self::Unsubscribe,
            0x15 => Self::Unsuback,
            0x16 => Self::Pingreq,
            0x17 => Self::Pingresp,
            0x18 => Self::Disconnect,
            0x1A => Self::WillTopicUpd,
            0x1B => Self::WillTopicResp,
            0x1C => Self::WillMsgUpd,
            0x1D => Self::WillMsgResp,
            _ => return None,
        })
    }

    /// The specification's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advertise => "ADVERTISE",
            Self::Searchgw => "SEARCHGW",
            Self::Gwinfo => "GWINFO",
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::WillTopicReq => "WILLTOPICREQ",
            Self::WillTopic => "WILLTOPIC",
            Self::WillMsgReq => "WILLMSGREQ",
            Self::WillMsg => "WILLMSG",
            Self::Register => "REGISTER",
            Self::Regack => "REGACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubcomp => "PUBCOMP",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::WillTopicUpd => "WILLTOPICUPD",
            Self::WillTopicResp => "WILLTOPICRESP",
            Self::WillMsgUpd => "WILLMSGUPD",
            Self::WillMsgResp => "WILLMSGRESP",
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_both_ways_and_27_are_taken() {
        let types: Vec<_> = (0..=u8::MAX).filter_map(PacketType::from_number).collect();
        assert_eq!(types.len(), 27);
        assert!(types.iter().all(|&it| PacketType::from_number(it as u8) == Some(it)));
        assert_eq!(PacketType::from_number(ENCAPSULATED), None);
    }
}
