//! The MQTT codec from outside: vectors of our own and of others, round trips, split input, fuzzing
//! and a foreign decoder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;
mod differential;
mod encode;
mod foreign_vectors;
mod fuzz;
mod limits;
mod mutate;
mod publish_head;
mod round_trip;
mod vectors;
