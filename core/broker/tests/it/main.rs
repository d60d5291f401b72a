//! How sessions, publish/subscribe and routing behave, with one shard and with several.
//!
//! A test names its requirements above it. [`world`] drives the shards, [`words`] makes tests short.

// All of it is test code, helpers too: a surprise ends the test.
#![allow(clippy::indexing_slicing, clippy::print_stdout, clippy::unwrap_used)]

mod authentication;
mod credits;
mod flow;
mod gates;
mod inspect;
mod kept_wills;
mod late;
mod leaks;
mod lookups;
mod memory;
mod mountpoints;
mod moves;
mod notes;
mod permissions;
mod plugins;
mod publishing;
mod qos;
mod queues;
mod restarts;
mod resuming;
mod retained;
mod rules;
mod running;
mod sessions;
mod shared;
mod subscriptions;
mod takeovers;
mod wills;
mod words;
mod world;
