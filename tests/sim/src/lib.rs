//! Model-based tests and the simulation of many machines and shards.
//!
//! Everything runs in virtual time, without threads, sockets or a disk: a [`world::World`] of
//! shards drives them exactly as a driver must, simulated clients do what clients do, and
//! [`checkers`] that see only the trace say what was wrong. Every run comes from one seed; a failure
//! prints it. [`model`] is a second, naive broker to compare with. [`radio`] has the gateways of
//! datagram protocols on a bad network. What is deliberately missing: gateways on streams, which
//! have tests of their own.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "all of this crate is test code: a panic is a failed test"
)]

pub mod access;
pub mod checkers;
pub mod client;
mod finale;
pub mod ledger;
pub mod model;
pub mod radio;
pub mod rng;
pub mod show;
pub mod store;
pub mod trace;
pub mod witness;
pub mod workload;
pub mod world;
