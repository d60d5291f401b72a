//! The MQTT codec from outside: the suite for all codecs, vectors of our own and of others, and a
//! foreign decoder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;
mod differential;
mod encode;
mod foreign_vectors;
mod limits;
mod publish_head;
mod suite;
mod vectors;
