//! The daemon's configuration and commands. Starting and stopping the server is the business of
//! the end-to-end tests.

mod commands;
mod config;
mod documents;
mod memory;
mod registration;
