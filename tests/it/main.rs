//! The daemon's configuration and commands. Protocols are the business of the end-to-end tests.

mod commands;
mod config;
mod documents;
mod memory;
mod monitoring;
mod operate;
mod registration;
mod server;
