use std::any::Any;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use core_broker::{HashKey, ShardConfig};
use core_model::ShardId;

use crate::config::OnFailure;
use crate::events::HostEvent;
use crate::listeners::Listeners;
use crate::shard_loop::{ShardLoop, ShardStart};
use crate::shared::{Command, NodeShared};
use crate::side::Side;
use crate::sys::Sys;
use crate::{Bind, Control, NodeConfig, NodeCounters, reactor};

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener cannot be opened.
    #[error("listener {name}: cannot listen on {bind}")]
    Listen {
        /// Its name.
        name: Box<str>,
        /// The address that it was to have.
        bind: Bind,
        /// What the system says.
        source: io::Error,
    },
    /// Two listeners have the same name.
    #[error("two listeners are called {name}")]
    SameName {
        /// The name.
        name: Box<str>,
    },
    /// The node is ending or has ended.
    #[error("the node is ending")]
    Ending,
    /// The node has opened 65 535 listeners since its start.
    #[error("too many listeners were opened since the start")]
    TooManyListeners,
    /// The threads beside the shards cannot be started.
    #[error("cannot start the threads beside the shards")]
    Side {
        /// What the system says.
        source: io::Error,
    },
    /// A shard's thread or reactor cannot be started.
    #[error("shard {}: cannot start", .shard.0)]
    Shard {
        /// The shard.
        shard: ShardId,
        /// What the system says.
        source: io::Error,
    },
    /// A shard panicked before it was ready.
    #[error("shard {}: panicked at its start", .shard.0)]
    Panicked {
        /// The shard.
        shard: ShardId,
    },
}

/// How a node ended.
#[derive(Clone, Debug, Default)]
pub struct StopReport {
    /// Links that did not close in time and were cut off.
    pub links_left: usize,
    /// The first shard that panicked and what it said.
    pub failure: Option<(ShardId, String)>,
}

/// A running node: all its shards. Dropping it stops it without a farewell.
pub struct Node {
    shared: Arc<NodeShared>,
    listeners: Arc<Listeners>,
    control: Control,
    threads: Vec<JoinHandle<usize>>,
    /// Ends last, with all that is under way there.
    side: Side,
}

impl Node {
    /// Starts all shards and opens all listeners; when it returns, clients are served.
    ///
    /// # Errors
    /// An address is not to be had, or the system lacks threads, descriptors or memory. Nothing is
    /// left running then.
    pub fn start(mut config: NodeConfig) -> Result<Node, StartError> {
        let shards = match config.shards {
            0 => usable_cpus(),
            shards => shards,
        };
        let side_threads = match config.limits.side_threads {
            0 => usize::from(shards),
            threads => threads,
        };
        let side = Side::start(side_threads).map_err(|source| StartError::Side { source })?;
        let handle = side.handle().clone();
        let shared = NodeShared::new(shards, config.ring_capacity, handle, side_threads);
        let shared = Arc::new(shared);
        let listeners = Arc::new(Listeners::new(Arc::clone(&shared)));
        let plugins = Arc::clone(&config.plugins);
        let control = Control::new(Arc::clone(&shared), Arc::clone(&listeners), plugins);
        let mut node = Node { shared, listeners, control, threads: Vec::new(), side };
        let wanted = std::mem::take(&mut config.listeners);
        node.spawn_all(config)?;
        node.listeners.apply(wanted)?;
        Ok(node)
    }

    /// What others may ask of the node while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The runtime beside the shards, for what the server offers its operators. Its threads give
    /// way to the shards'; what is under way there ends with the node.
    #[must_use]
    pub fn side(&self) -> &tokio::runtime::Handle {
        self.side.handle()
    }

    /// The listeners' names and where they really listen, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Box<str>, Bind)> {
        self.listeners.addresses()
    }

    /// The counters of all shards, no older than the interval at which they are shown.
    #[must_use]
    pub fn counters(&self) -> NodeCounters {
        self.shared.counters()
    }

    /// The listeners' names and how many connections each of them has now.
    #[must_use]
    pub fn connections(&self) -> Vec<(Box<str>, usize)> {
        let statuses = self.listeners.status(&NodeCounters::default()).into_iter();
        statuses.map(|status| (status.name, status.connections)).collect()
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shared.shards
    }

    /// The first shard that panicked and what it said. A node with such a shard should be ended.
    #[must_use]
    pub fn failure(&self) -> Option<(ShardId, String)> {
        self.shared.failure()
    }

    /// Stops accepting, has every client told, waits until all links are closed, at most
    /// `deadline`, and ends.
    pub fn drain(self, deadline: Duration) -> StopReport {
        self.listeners.close();
        self.shared.command_all(|| Command::Drain);
        self.shared.await_drained(deadline);
        self.stop()
    }

    /// Cuts off all links and ends.
    pub fn stop(mut self) -> StopReport {
        let links_left = self.join();
        HostEvent::Stopped { links_left }.emit();
        StopReport { links_left, failure: self.shared.failure() }
    }

    fn join(&mut self) -> usize {
        self.listeners.close();
        self.shared.command_all(|| Command::Stop);
        // A thread never panics out of its loop: that is caught and reported.
        self.threads.drain(..).map(|thread| thread.join().unwrap_or_default()).sum()
    }

    fn spawn_all(&mut self, config: NodeConfig) -> Result<(), StartError> {
        let shards = self.shared.shards;
        let seed = config.seed.unwrap_or_else(|| RandomState::new().hash_one("seed"));
        let (report, started) = mpsc::channel();
        for number in 0..shards {
            let id = ShardId(number);
            let (broker_limits, plugins) = (&config.broker_limits, &config.plugins);
            let (limits, open_store) = (config.limits.clone(), Arc::clone(&config.store));
            let (broker_limits, plugins) = (Arc::clone(broker_limits), Arc::clone(plugins));
            let node = Arc::clone(&self.shared);
            let now = node.clock.now();
            let with_sys = number == 0 && config.sys_interval_s > 0;
            let sys = with_sys.then(|| Sys::new(config.sys_interval_s, &config.version, now));
            let start = move || {
                let core = ShardConfig {
                    id,
                    shards,
                    key: HashKey::new(seed),
                    limits: broker_limits,
                    plugins,
                    store: open_store(id),
                    seed: seed.wrapping_add(1 + u64::from(number)),
                };
                ShardStart { core, limits, node, sys }
            };
            let (shared, report) = (Arc::clone(&self.shared), report.clone());
            let on_failure = Arc::clone(&config.on_failure);
            let thread = std::thread::Builder::new()
                .name(format!("shard-{number}"))
                .spawn(move || run_shard(id, start, &shared, &report, &*on_failure))
                .map_err(|source| StartError::Shard { shard: id, source })?;
            self.threads.push(thread);
        }
        drop(report);
        for _ in 0..shards {
            match started.recv() {
                Ok((_, Ok(()))) => {}
                Ok((shard, Err(Some(source)))) => return Err(StartError::Shard { shard, source }),
                Ok((shard, Err(None))) => return Err(StartError::Panicked { shard }),
                Err(mpsc::RecvError) => break,
            }
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.join();
    }
}

/// What a shard says when it is ready: nothing, or why it is not; `None` is a panic.
type Started = (ShardId, Result<(), Option<io::Error>>);

/// A shard's thread. Returns how many links were left at its end.
fn run_shard(
    id: ShardId,
    start: impl FnOnce() -> ShardStart,
    shared: &NodeShared,
    report: &mpsc::Sender<Started>,
    on_failure: &OnFailure,
) -> usize {
    let life = AssertUnwindSafe(|| {
        reactor::run(|ready, waker| {
            let shard = ShardLoop::new(start(), ready, waker);
            // Nobody listens any more when another shard could not start.
            let _ = report.send((id, Ok(())));
            Ok(shard)
        })
    });
    let end = catch_unwind(life);
    shared.close_desk(id);
    match end {
        Ok(Ok(shard)) => shard.links_left(),
        Ok(Err(error)) => {
            let _ = report.send((id, Err(Some(error))));
            0
        }
        Err(panic) => {
            let message = panic_message(panic.as_ref());
            HostEvent::ShardFailed { shard: id, message }.emit();
            shared.shard_failed(id, message);
            let _ = report.send((id, Err(None)));
            on_failure(id, message);
            0
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// CPUs that this process may use: its affinity and quota count.
fn usable_cpus() -> u16 {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(cpus).unwrap_or(u16::MAX)
}
