//! Packets and events in, operations and packets out, in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod anything;
mod close;
mod connect;
mod deliver;
mod harness;
mod predefined;
mod publish;
mod register;
mod retry;
mod sleep;
mod subscribe;
mod will;
