//! Lines on standard error, written by a thread of their own: a reader that stalls must not stop the
//! shards.

use std::io;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{Format, Log};

/// Lines that wait for a slow reader; more are dropped.
const LINES_MAX: usize = 10_000;

/// Starts logging for the whole process. `RUST_LOG` overrules the configured level. What was said
/// last is written when the guard is dropped.
pub(crate) fn start(log: &Log) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .lossy(true)
        .finish(io::stderr());
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(log.level.word()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    // Fails only if a program around us has its own logging already, which then stays.
    let _ = match log.format {
        Format::Text => lines.try_init(),
        Format::Journal => lines.without_time().try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    guard
}
