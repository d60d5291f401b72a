use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use core_model::ShardId;

use crate::NodeCounters;
use crate::clock::Clock;
use crate::outgoing::NodeMesh;

/// What the shards of a node and its owner share.
#[derive(Debug)]
pub(crate) struct NodeShared {
    pub(crate) shards: u16,
    pub(crate) clock: Clock,
    pub(crate) mesh: Arc<NodeMesh>,
    /// One per shard.
    desks: Vec<Desk>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// Where a shard and its owner meet.
#[derive(Debug, Default)]
struct Desk {
    commands: Mutex<Vec<Command>>,
    counters: Mutex<NodeCounters>,
}

/// What the owner of a node asks of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Take no more connections, and let every machine say goodbye.
    Drain,
    /// End the loop.
    Stop,
}

#[derive(Debug, Default)]
struct Progress {
    drained: u16,
    failed: Option<(ShardId, String)>,
}

impl NodeShared {
    /// For `shards` shards with rings of `ring_capacity` batches.
    pub(crate) fn new(shards: u16, ring_capacity: usize) -> Self {
        NodeShared {
            shards,
            clock: Clock::start(),
            mesh: Arc::new(NodeMesh::new(shards, ring_capacity)),
            desks: (0..shards).map(|_| Desk::default()).collect(),
            progress: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Asks something of all shards.
    pub(crate) fn command(&self, command: Command) {
        for (shard, desk) in self.mesh.shards().zip(&self.desks) {
            lock(&desk.commands).push(command);
            self.mesh.ring_bell(shard);
        }
    }

    /// What shard `shard` has been asked for.
    pub(crate) fn take_commands(&self, shard: ShardId) -> Vec<Command> {
        self.desks
            .get(usize::from(shard.0))
            .map(|desk| std::mem::take(&mut *lock(&desk.commands)))
            .unwrap_or_default()
    }

    /// Lets others see the counters of a shard.
    pub(crate) fn show_counters(&self, shard: ShardId, counters: NodeCounters) {
        if let Some(desk) = self.desks.get(usize::from(shard.0)) {
            *lock(&desk.counters) = counters;
        }
    }

    /// The counters of all shards as they were last shown, added.
    pub(crate) fn counters(&self) -> NodeCounters {
        let mut sum = NodeCounters::default();
        for desk in &self.desks {
            sum.add(&lock(&desk.counters));
        }
        sum
    }

    /// A shard has closed its last link.
    pub(crate) fn shard_drained(&self) {
        lock(&self.progress).drained += 1;
        self.changed.notify_all();
    }

    /// A shard has panicked.
    pub(crate) fn shard_failed(&self, shard: ShardId, message: &str) {
        lock(&self.progress).failed.get_or_insert_with(|| (shard, message.to_owned()));
        self.changed.notify_all();
    }

    /// The first shard that panicked, and what it said.
    pub(crate) fn failure(&self) -> Option<(ShardId, String)> {
        lock(&self.progress).failed.clone()
    }

    /// Waits until all shards are drained or one has panicked, at most `limit`.
    pub(crate) fn await_drained(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut progress = lock(&self.progress);
        while progress.drained < self.shards && progress.failed.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks protect is replaced as a whole, so a panic leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
