//! WebSocket (RFC 6455), the server's side: HTTP upgrade and frames.

mod frames;
mod upgrade;

pub(crate) use frames::{BadFrame, WebSocket};
pub(crate) use upgrade::Upgrade;

/// Which WebSocket handshakes are welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketRules {
    /// Paths of the request; its query is ignored.
    pub paths: Vec<Box<str>>,
    /// Origins that web pages may come from, such as `https://example.org`; empty: any. Clients
    /// that are not browsers send none and are let in.
    pub origins: Vec<Box<str>>,
    /// Subprotocols that are spoken. The client's first offer among them is taken, and one is
    /// required. Empty: none is spoken and none is required.
    pub protocols: Vec<Box<str>>,
}

impl Default for WebSocketRules {
    /// MQTT at `/mqtt` from anywhere.
    fn default() -> Self {
        WebSocketRules {
            paths: vec!["/mqtt".into()],
            origins: Vec::new(),
            protocols: vec!["mqtt".into(), "mqttv3.1".into()],
        }
    }
}
