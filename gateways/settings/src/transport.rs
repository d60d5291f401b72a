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
        /// Datagrams over UDP without encryption.
        Udp = "udp",
    }
    later ["dtls", "quic"]
}

impl Transport {
    /// Whether it is encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// Whether it carries datagrams.
    pub fn has_datagrams(self) -> bool {
        matches!(self, Transport::Udp)
    }

    /// Whether WebSocket is part of it.
    pub fn has_websocket(self) -> bool {
        matches!(self, Transport::Ws | Transport::Wss)
    }
}
