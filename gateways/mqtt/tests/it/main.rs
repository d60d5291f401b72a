//! Packets and events in, operations and packets out, in virtual time; and the suite for all gateways
//! on a real node.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod acknowledge;
mod aliases;
mod anything;
mod authenticate;
mod close;
mod compliance;
mod connack;
mod connect;
mod deliver;
mod harness;
mod keep_alive;
mod publish;
mod refuse_connect;
mod subscribe;
mod traces;
mod violations;
