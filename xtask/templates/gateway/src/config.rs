use codec___name__::PACKET_SIZE_MAX;

/// The options of a __Name__ listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct __Name__Config {
    /// Milliseconds that a client may take from opening the link until it is connected.
    pub connect_timeout_ms: u64,
    /// Greatest packet in bytes, its Length included.
    pub max_packet_size: u32,
    /// Publishes of a client that may wait for their answer at once (1 to 65 535); it is not read
    /// meanwhile.
    pub receive_maximum: u16,
}

impl Default for __Name__Config {
    fn default() -> Self {
        __Name__Config {
            connect_timeout_ms: 10_000,
            max_packet_size: PACKET_SIZE_MAX,
            receive_maximum: 1024,
        }
    }
}
