//! The __Name__ machine: packets and events in, effects out, in virtual time; and the suite for all
//! gateways, on a real node.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod compliance;
mod connect;
mod harness;
mod messages;
