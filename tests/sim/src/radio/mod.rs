//! Gateways of datagram protocols in virtual time: the real machine and the real core, devices
//! written from the protocol's text, and between them a network that loses, repeats, delays and
//! reorders datagrams.
//!
//! [`host`] does what the host does with datagrams, without sockets; [`network`] is what lies
//! between; [`device`] is an MQTT-SN client, and [`town`] many of them with the verdict on what
//! they got.

pub mod device;
pub mod host;
pub mod network;
pub mod town;
