//! Lines on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{Format, Log};

/// Starts logging for the whole process. `RUST_LOG` overrules the configured level.
pub(crate) fn start(log: &Log) {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(log.level.word()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    // Fails only if a program around us has its own logging already, which then stays.
    let _ = match log.format {
        Format::Text => lines.try_init(),
        Format::Journal => lines.without_time().try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
}
