//! `manifold serve`: from a checked configuration to a running node and its end.

use std::sync::{Arc, mpsc};
use std::{process, thread};

use anyhow::Context as _;
use core_store::MemoryStore;
use gateway_host::{ListenerConfig, ListenerFacts, Node, NodeConfig, StopReport};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Exit;
use crate::config::{Config, Durability, Listener};
use crate::data_dir::{DataDir, OpenListener};

/// What ends the server.
enum End {
    Signal(&'static str),
    Failure,
}

/// Runs the server until it is told to stop.
pub(crate) fn serve(config: &Config) -> Exit {
    crate::logging::start(&config.node.log);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "manifold starts");
    raise_file_limit(config);
    warn_of_what_is_missing(config);
    match start(config) {
        Ok(running) => run(running, config),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot start");
            Exit::CannotStart
        }
    }
}

struct Running {
    node: Node,
    data_dir: DataDir,
    ends: mpsc::Receiver<End>,
}

fn start(config: &Config) -> anyhow::Result<Running> {
    let path = &config.node.data_dir;
    let data_dir = DataDir::open(path).with_context(|| format!("data_dir {}", path.display()))?;
    let (end, ends) = mpsc::channel();
    watch_signals(end.clone()).context("cannot watch signals")?;
    let mut node_config = node_config(config);
    // Nobody listens any more when the server is ending already.
    node_config.on_failure = Arc::new(move |_, _| drop(end.send(End::Failure)));
    let node = Node::start(node_config)?;
    let listeners: Vec<_> = config
        .listeners
        .iter()
        .zip(node.addresses())
        .map(|(listener, (_, bind))| OpenListener {
            name: &listener.table.name,
            gateway: &listener.table.gateway,
            transport: listener.table.transport.word(),
            address: bind.to_string(),
        })
        .collect();
    data_dir.write_listeners(&listeners).context("cannot write listeners.json")?;
    tracing::info!(shards = node.shards(), listeners = listeners.len(), "manifold serves");
    Ok(Running { node, data_dir, ends })
}

fn run(running: Running, config: &Config) -> Exit {
    let Running { node, data_dir, ends } = running;
    // The signal thread holds a sender for as long as the process lives.
    let end = ends.recv().unwrap_or(End::Failure);
    let report = match end {
        End::Signal(name) => {
            tracing::info!(signal = name, "manifold stops");
            node.drain(config.node.drain_timeout.duration())
        }
        End::Failure => node.stop(),
    };
    data_dir.remove_listeners();
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

fn node_config(config: &Config) -> NodeConfig {
    let node = &config.node;
    let shards = config.shards();
    NodeConfig {
        shards,
        limits: node.limits.links.host_limits(config.shards()),
        broker_limits: Arc::new(node.limits.per_shard(shards)),
        store: Arc::new(|_| Box::new(MemoryStore::immediate())),
        sys_interval_s: node.sys_interval.0.map_or(0, |interval| interval.whole_seconds()),
        version: concat!("manifold ", env!("CARGO_PKG_VERSION")).into(),
        listeners: config.listeners.iter().map(listener_config).collect(),
        ..NodeConfig::default()
    }
}

fn listener_config(listener: &Listener) -> ListenerConfig {
    let table = &listener.table;
    let facts = Arc::new(ListenerFacts {
        name: table.name.as_str().into(),
        mountpoint: table.mountpoint.as_str().into(),
        allow_anonymous: listener.allows_anonymous(),
        session_limits: None,
    });
    let mut config = ListenerConfig::new(facts, table.bind, Arc::clone(&listener.gateway));
    config.backlog = table.limits.backlog;
    config.max_connections = usize::try_from(table.max_connections).unwrap_or(usize::MAX);
    config
}

/// Sends the first signal to stop and ends the process at the second one.
fn watch_signals(end: mpsc::Sender<End>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let watch = move || {
        runtime.block_on(async {
            let (name, _) = either(&mut terminate, &mut interrupt).await;
            // Nobody listens any more when a shard has failed meanwhile.
            let _ = end.send(End::Signal(name));
            let (name, number) = either(&mut terminate, &mut interrupt).await;
            tracing::warn!(signal = name, "second signal, manifold ends at once");
            // As a shell would say it.
            process::exit(128 + number);
        });
    };
    thread::Builder::new().name("signals".into()).spawn(watch)?;
    Ok(())
}

/// The next of the two signals, with its number.
async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    // `recv` may be dropped at any time without losing a signal.
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
        _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
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
    for listener in config.listeners.iter().filter(|listener| !listener.allows_anonymous()) {
        let listener = listener.table.name.as_str();
        tracing::warn!(listener, "nobody is let in: this version has no authentication yet");
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
