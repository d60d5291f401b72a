/// Bytes of a packet before it says how long it is.
pub const HEADER_BYTES: usize = 2;

/// The greatest packet that a Length can express, in bytes.
pub const PACKET_SIZE_MAX: u32 = u16::MAX as u32 + HEADER_BYTES as u32;

/// What a codec accepts at most. It is checked before anything else of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Greatest packet in bytes, its Length included.
    pub max_packet_size: u32,
}

impl Limits {
    /// Only what the protocol itself limits, for tools that look at bytes already in memory.
    pub const UNLIMITED: Self = Self { max_packet_size: PACKET_SIZE_MAX };
}

impl Default for Limits {
    fn default() -> Self {
        Self::UNLIMITED
    }
}
