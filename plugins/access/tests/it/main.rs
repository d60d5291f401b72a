//! The plug-ins as the core calls them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod acl;
mod bans;
mod hash;
mod http;
mod jwt;
mod server;
