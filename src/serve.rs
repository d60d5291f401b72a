//! `manifold serve`: from a checked configuration to a running node and its end.

use std::sync::{Arc, mpsc};
use std::{process, thread};

use anyhow::Context as _;
use gateway_host::{Node, StopReport};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, Durability};
use crate::data_dir::DataDir;
use crate::operate::{Doors, Loaded, Operator, Running, Source};
use crate::{Exit, wiring};

/// What the main thread is told.
enum Notice {
    /// End.
    Signal(&'static str),
    /// Read the configuration again.
    Reload,
    /// A shard has panicked.
    Failure,
}

/// Runs the server until it is told to stop.
pub(crate) fn serve(source: Source, loaded: Loaded) -> Exit {
    let config = &loaded.config;
    let _lines = crate::logging::start(&config.node.log);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "manifold starts");
    raise_file_limit(config);
    warn_of_what_is_missing(config);
    match start(source, loaded) {
        Ok(started) => run(started),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot start");
            Exit::CannotStart
        }
    }
}

struct Started {
    node: Node,
    notices: mpsc::Receiver<Notice>,
    operator: Arc<Operator>,
    doors: Doors,
}

fn start(source: Source, loaded: Loaded) -> anyhow::Result<Started> {
    let config = &loaded.config;
    let path = &config.node.data_dir;
    let data_dir = DataDir::open(path).with_context(|| format!("data_dir {}", path.display()))?;
    let (notice, notices) = mpsc::channel();
    watch_signals(notice.clone()).context("cannot watch signals")?;
    let wired = wiring::build(config, None)?;
    for warning in &wired.warnings {
        tracing::warn!("{warning}");
    }
    let mut node_config = wired.node_config(config);
    // Nobody listens any more when the server is ending already.
    node_config.on_failure = Arc::new(move |_, _| drop(notice.send(Notice::Failure)));
    let listeners = config.listeners.len();
    let running = Running::new(source, loaded, wired);
    let node = Node::start(node_config)?;
    let operator = Operator::new(node.control(), data_dir, running);
    let doors = operator.open()?;
    operator.write_listeners().context("cannot write listeners.json")?;
    tracing::info!(shards = node.shards(), listeners, "manifold serves");
    Ok(Started { node, notices, operator, doors })
}

fn run(started: Started) -> Exit {
    let Started { node, notices, operator, doors } = started;
    let report = loop {
        // The signal thread holds a sender for as long as the process lives.
        match notices.recv().unwrap_or(Notice::Failure) {
            Notice::Reload => operator.reload_now(),
            Notice::Signal(name) => {
                tracing::info!(signal = name, "manifold stops");
                operator.drain();
                break node.drain(operator.drain_timeout());
            }
            Notice::Failure => {
                operator.drain();
                break node.stop();
            }
        }
    };
    drop(doors);
    exit_of(&report)
}

fn exit_of(report: &StopReport) -> Exit {
    if let Some((shard, message)) = &report.failure {
        tracing::error!(shard = shard.0, error = message, "the server failed; this is a bug");
        return Exit::Failed;
    }
    if report.links_left > 0 {
        tracing::warn!(links = report.links_left, "clients were cut off at the drain timeout");
    }
    Exit::Done
}

/// Sends a notice of each SIGHUP and of the first signal to stop, and ends the process at the second
/// one.
fn watch_signals(notice: mpsc::Sender<Notice>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        }
    };
    let watch = move || {
        runtime.block_on(async {
            // Nobody listens any more when a shard has failed meanwhile.
            let (name, _) = signals.next_stop(|| drop(notice.send(Notice::Reload))).await;
            let _ = notice.send(Notice::Signal(name));
            let (name, number) = signals.next_stop(|| {}).await;
            tracing::warn!(signal = name, "second signal, manifold ends at once");
            // As a shell would say it.
            process::exit(128 + number);
        });
    };
    thread::Builder::new().name("signals".into()).spawn(watch)?;
    Ok(())
}

/// The signals that the server takes.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// The next signal to stop, with its number. `reload` is called for each SIGHUP before it.
    async fn next_stop(&mut self, reload: impl Fn()) -> (&'static str, i32) {
        loop {
            // `recv` may be dropped at any time without losing a signal.
            tokio::select! {
                _ = self.terminate.recv() => {
                    return ("SIGTERM", SignalKind::terminate().as_raw_value());
                }
                _ = self.interrupt.recv() => {
                    return ("SIGINT", SignalKind::interrupt().as_raw_value());
                }
                _ = self.hangup.recv() => reload(),
            }
        }
    }
}

/// Every connection needs a file descriptor, and the usual soft limit is 1024.
fn raise_file_limit(config: &Config) {
    /// Descriptors that the server needs beside its connections.
    const OTHER_FILES: u64 = 64;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => {
            tracing::info!(files, "open files allowed");
            let counts = config.listeners.iter().map(|l| u64::from(l.table.max_connections));
            let connections: u64 = counts.sum();
            if connections.saturating_add(OTHER_FILES) > files {
                tracing::warn!(
                    files,
                    connections,
                    "fewer files may be open than max_connections allows connections"
                );
            }
        }
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

fn warn_of_what_is_missing(config: &Config) {
    match config.node.store.durability {
        Durability::Sync | Durability::Async => tracing::warn!(
            "this version keeps all state in memory: sessions and messages end with the process"
        ),
        Durability::Off => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core_model::ShardId;

    #[test]
    fn a_shard_that_panicked_is_a_failure_and_a_client_that_was_cut_off_is_not() {
        let slow = StopReport { links_left: 1, failure: None };
        assert_eq!(exit_of(&slow), Exit::Done);
        let failed = StopReport { links_left: 0, failure: Some((ShardId(1), "why".into())) };
        assert_eq!(exit_of(&failed), Exit::Failed);
    }
}
