/// What a codec accepts at most. It is checked before anything else of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Greatest packet in bytes, its Length and MsgType included and a forwarder's wrapping not.
    pub max_packet_size: u16,
}

/// The greatest packet that a Length can express, in bytes.
pub const PACKET_SIZE_MAX: u16 = u16::MAX;

/// The greatest wrapping of a forwarder in bytes; its Length has one byte.
pub const ENCAPSULATION_SIZE_MAX: u8 = u8::MAX;

impl Limits {
    /// Only what MQTT-SN itself limits, for tools that look at bytes already in memory.
    pub const UNLIMITED: Self = Self { max_packet_size: PACKET_SIZE_MAX };
}

impl Default for Limits {
    /// 8 KiB, well above what networks of sensors carry.
    fn default() -> Self {
        Self { max_packet_size: 8 << 10 }
    }
}
