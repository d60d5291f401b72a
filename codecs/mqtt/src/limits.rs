/// What a codec accepts at most. All are checked before anything is buffered or allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Greatest packet in bytes, fixed header included: the server's Maximum Packet Size.
    pub max_packet_size: u32,
    /// Greatest first packet (CONNECT) of a link in bytes, fixed header included, since it comes
    /// from someone not yet authenticated. `max_packet_size` holds as well.
    pub max_connect_size: u32,
    /// Most properties in one property section, User Properties and Subscription Identifiers
    /// included.
    pub max_properties: u32,
    /// Most User Properties in one property section.
    pub max_user_properties: u32,
    /// Most Topic Filters in one SUBSCRIBE or UNSUBSCRIBE.
    pub max_filters: u32,
}

/// The greatest packet that MQTT can express, in bytes: one byte, four bytes of Remaining Length
/// and what these can say.
pub const PACKET_SIZE_MAX: u32 = 5 + crate::primitives::VARINT_MAX;

impl Limits {
    /// Only what MQTT itself limits, for tools that look at bytes already in memory.
    pub const UNLIMITED: Self = Self {
        max_packet_size: PACKET_SIZE_MAX,
        max_connect_size: PACKET_SIZE_MAX,
        max_properties: u32::MAX,
        max_user_properties: u32::MAX,
        max_filters: u32::MAX,
    };
}

impl Default for Limits {
    /// 1 MiB per packet, 64 KiB before authentication, 128 properties, 1024 filters.
    fn default() -> Self {
        Self {
            max_packet_size: 1 << 20,
            max_connect_size: 1 << 16,
            max_properties: 128,
            max_user_properties: 128,
            max_filters: 1024,
        }
    }
}
