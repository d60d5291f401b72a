//! The MQTT-SN codec from outside: the suite for all codecs, vectors of our own and of others.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;
mod encode;
mod foreign_vectors;
mod limits;
mod suite;
mod vectors;
