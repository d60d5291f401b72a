//! The daemon: command line, configuration and wiring. The only crate that knows everything.
//!
//! [`run`] is the whole program for a list of [`Registration`]s, one for each gateway. The program
//! `manifold` passes [`gateways`]; a program that adds a gateway of its own passes that as well:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     let mut gateways = manifold::gateways().to_vec();
//!     // gateways.push(my_protocol::REGISTRATION);
//!     manifold::run(&gateways)
//! }
//! ```
//!
//! Deliberately missing: anything about a protocol beyond the list of [`gateways`].

pub mod config;

mod cli;
mod data_dir;
mod decode;
mod gateways;
mod logging;
mod memory;
mod operate;
mod serve;
mod wiring;

pub use cli::{Exit, run};
pub use gateway_settings as settings;
pub use gateway_settings::{
    DecodedFrame, DecodedFrames, Decoder, GatewaySettings, Registration, choice, kinds, settings,
};
pub use gateways::gateways;
pub use memory::{MemoryBound, memory_bound};

pub(crate) use gateway_settings::find_conflict;
