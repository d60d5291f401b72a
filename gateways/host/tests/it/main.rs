//! The shard loop over real sockets, with a toy protocol.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod closing;
mod control;
mod datagrams;
mod descriptors;
mod farewells;
mod filters;
mod io;
mod listeners;
mod lobby;
mod lookups;
mod memory;
mod node;
mod paths;
mod ports;
mod post;
mod rates;
mod roads;
mod routing;
mod toy;
mod traces;
mod unix;
