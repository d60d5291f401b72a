use crate::choice;

choice! {
    /// What carries a protocol.
    pub enum Transport {
        /// TCP without encryption.
        Tcp = "tcp",
        /// TLS over TCP.
        Tls = "tls",
        /// WebSocket over TCP.
        Ws = "ws",
        /// WebSocket over TLS.
        Wss = "wss",
        /// A Unix socket.
        Unix = "unix",
    }
    later ["udp", "dtls", "quic"]
}

impl Transport {
    /// Whether it is encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// Whether WebSocket is part of it.
    pub fn has_websocket(self) -> bool {
        matches!(self, Transport::Ws | Transport::Wss)
    }
}
