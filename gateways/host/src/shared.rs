use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use core_model::ShardId;
use tokio::runtime::Handle;

use crate::NodeCounters;
use crate::clock::Clock;
use crate::control::ControlError;
use crate::lobby::Lobby;
use crate::outgoing::NodeMesh;
use crate::shard_loop::ShardLoop;

/// How long somebody waits for a shard's answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// What the shards of a node and its owner share.
#[derive(Debug)]
pub(crate) struct NodeShared {
    pub(crate) shards: u16,
    pub(crate) clock: Clock,
    pub(crate) mesh: Arc<NodeMesh>,
    /// Runs what takes long, beside the shards.
    pub(crate) side: Handle,
    pub(crate) lobby: Lobby,
    /// One per shard.
    desks: Vec<Desk>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// Where a shard and others meet.
#[derive(Debug, Default)]
struct Desk {
    inbox: Mutex<Inbox>,
    counters: Mutex<NodeCounters>,
}

#[derive(Debug, Default)]
struct Inbox {
    commands: Vec<Command>,
    /// Whether the shard has ended, so that nobody will take a command any more.
    closed: bool,
}

/// Work for a shard's own thread, which must be short.
pub(crate) type Job = Box<dyn FnOnce(&mut ShardLoop) + Send>;

/// What others ask of a shard.
pub(crate) enum Command {
    /// Take no more connections, and let every machine say goodbye.
    Drain,
    /// End the loop.
    Stop,
    /// Do this between two turns.
    Run(Job),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::Drain => "Drain",
            Command::Stop => "Stop",
            Command::Run(_) => "Run",
        })
    }
}

#[derive(Debug, Default)]
struct Progress {
    drained: u16,
    failed: Option<(ShardId, String)>,
}

impl NodeShared {
    /// For `shards` shards with rings of `ring_capacity` batches, and a side of which so many
    /// threads may compute handshakes.
    pub(crate) fn new(
        shards: u16,
        ring_capacity: usize,
        side: Handle,
        side_threads: usize,
    ) -> Self {
        NodeShared {
            shards,
            clock: Clock::start(),
            mesh: Arc::new(NodeMesh::new(shards, ring_capacity)),
            side,
            lobby: Lobby::new(side_threads),
            desks: (0..shards).map(|_| Desk::default()).collect(),
            progress: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Asks something of one shard. A shard that has ended drops the command.
    pub(crate) fn command(&self, shard: ShardId, command: Command) {
        let Some(desk) = self.desks.get(usize::from(shard.0)) else { return };
        let mut inbox = lock(&desk.inbox);
        if !inbox.closed {
            inbox.commands.push(command);
            drop(inbox);
            self.mesh.ring_bell(shard);
        }
    }

    /// Asks something of all shards.
    pub(crate) fn command_all(&self, command: impl Fn() -> Command) {
        for shard in self.mesh.shards() {
            self.command(shard, command());
        }
    }

    /// What shard `shard` has been asked for.
    pub(crate) fn take_commands(&self, shard: ShardId) -> Vec<Command> {
        self.desks
            .get(usize::from(shard.0))
            .map(|desk| std::mem::take(&mut lock(&desk.inbox).commands))
            .unwrap_or_default()
    }

    /// Has a shard do something short, and waits for what comes of it.
    pub(crate) fn ask<R: Send + 'static>(
        &self,
        shard: ShardId,
        job: impl FnOnce(&mut ShardLoop) -> R + Send + 'static,
    ) -> Result<R, ControlError> {
        let (answer, answers) = mpsc::channel();
        // Nobody listens any more after the time-out.
        let job = Box::new(move |shard: &mut ShardLoop| drop(answer.send(job(shard))));
        self.command(shard, Command::Run(job));
        answers.recv_timeout(ANSWER_PATIENCE).map_err(|_| ControlError::NoAnswer { shard })
    }

    /// Has all shards do something short, and waits for what comes of it, by shard.
    pub(crate) fn ask_all<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut ShardLoop) -> R + Clone + Send + 'static,
    ) -> Result<Vec<R>, ControlError> {
        let end = Instant::now() + ANSWER_PATIENCE;
        let waits: Vec<_> = self
            .mesh
            .shards()
            .map(|shard| {
                let (answer, answers) = mpsc::channel();
                let job = job.clone();
                let job = Box::new(move |shard: &mut ShardLoop| drop(answer.send(job(shard))));
                self.command(shard, Command::Run(job));
                (shard, answers)
            })
            .collect();
        let answers = waits.into_iter().map(|(shard, answers)| {
            let left = end.saturating_duration_since(Instant::now());
            answers.recv_timeout(left).map_err(|_| ControlError::NoAnswer { shard })
        });
        answers.collect()
    }

    /// Shard `shard` has ended: who waits for its answer learns that there will be none.
    pub(crate) fn close_desk(&self, shard: ShardId) {
        let Some(desk) = self.desks.get(usize::from(shard.0)) else { return };
        let mut inbox = lock(&desk.inbox);
        inbox.closed = true;
        // Dropped after the lock: a command may hold anything.
        let commands = std::mem::take(&mut inbox.commands);
        drop(inbox);
        drop(commands);
    }

    /// Lets others see the counters of a shard.
    pub(crate) fn show_counters(&self, shard: ShardId, counters: NodeCounters) {
        if let Some(desk) = self.desks.get(usize::from(shard.0)) {
            *lock(&desk.counters) = counters;
        }
    }

    /// The counters of all shards as they were last shown, and those of the lobby, added.
    pub(crate) fn counters(&self) -> NodeCounters {
        let mut sum = self.lobby.counters();
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks protect is replaced as a whole, so a panic leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
