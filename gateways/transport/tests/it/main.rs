//! The transports from outside, with foreign peers in memory: rustls's client and tungstenite's
//! client.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod authority;
mod files;
mod fuzz;
mod peer;
mod proxy;
mod proxy_datagrams;
mod tls;
mod unix;
mod websocket;
