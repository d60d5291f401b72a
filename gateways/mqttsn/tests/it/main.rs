//! Packets and events in, operations and packets out, in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]
