//! Packets and events in, operations and packets out, in virtual time; and the suite for all gateways
//! on a real node.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod anything;
mod close;
mod commons_discovery;
mod commons_minus_one;
mod commons_strangers;
mod compliance;
mod connect;
mod deliver;
mod harness;
mod link_own;
mod link_relay;
mod links;
mod predefined;
mod publish;
mod register;
mod retry;
mod sleep;
mod subscribe;
mod will;
