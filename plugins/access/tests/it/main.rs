//! The plug-ins as the core calls them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod acl;
mod bans;
mod certificate;
mod client_ids;
mod hash;
mod hashing;
mod http;
mod import;
mod jwt;
mod scram;
mod server;
mod users;
