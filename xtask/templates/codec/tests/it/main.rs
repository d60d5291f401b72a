//! The __Name__ codec from outside: the suite for all codecs, its vectors, and its limits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod limits;
mod suite;
mod vectors;
