//! The MQTT-SN codec from outside: vectors of our own and of others, round trips, limits and
//! fuzzing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;
mod encode;
mod foreign_vectors;
mod fuzz;
mod limits;
mod mutate;
mod round_trip;
mod vectors;
