//! The daemon's configuration and commands. Protocols are the business of the end-to-end tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod access;
mod commands;
mod commands_users;
mod config;
mod config_access;
mod config_listeners;
mod documents;
mod memory;
mod monitoring;
mod operate;
mod registration;
mod server;
