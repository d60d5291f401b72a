//! Sockets: how TCP listeners are opened, and what to make of a failed accept.
//!
//! Everything here is plain, non-blocking sockets of the standard library; waiting for them is the
//! business of `gateway-host`. Deliberately missing, for now: TLS, WebSocket, datagrams.
#![deny(missing_docs)]

mod tcp;

pub use tcp::{AcceptFault, accept_fault, listen};
