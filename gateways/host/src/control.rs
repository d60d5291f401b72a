//! What is asked of a node while it runs.

use std::sync::{Arc, Mutex};

use core_broker::ClientQuery;
use core_model::{BrokerLimits, ClientKey, Interceptor, Plugins, ShardId};

use crate::listeners::Listeners;
use crate::shard_loop::ShardLoop;
use crate::shared::{Command, NodeShared, lock};
use crate::trace::{LinkTrace, Outlet, TRACES_MAX, TopicTrace, TraceFilter, TraceStream, Whom};
use crate::{
    HostLimits, ListenerChanges, ListenerConfig, ListenerStatus, NodeCounters, StartError,
};

/// Clients that a new trace takes in at once.
const TRACED_PAGE: usize = 1_000;

/// Why a node does not say what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// A shard does not answer: the node has ended, or the shard is busy for seconds.
    #[error("shard {}: no answer", .shard.0)]
    NoAnswer {
        /// The shard.
        shard: ShardId,
    },
    /// So many traces run that there is no room for one more.
    #[error("{TRACES_MAX} traces run already")]
    TooManyTraces,
}

/// The way to a running node for whoever operates it. Clones ask the same node.
///
/// Most calls wait for the shards' answers, for some seconds at most, so an asynchronous caller has
/// to make them from a thread that may block, and a plug-in, which runs on a shard, not at all. No
/// call makes a shard do more than a bounded piece of
/// work in one turn.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) shared: Arc<NodeShared>,
    listeners: Arc<Listeners>,
    extras: Arc<Mutex<Extras>>,
}

impl Control {
    pub(crate) fn new(
        shared: Arc<NodeShared>,
        listeners: Arc<Listeners>,
        plugins: Arc<Plugins>,
    ) -> Self {
        Control { shared, listeners, extras: Arc::new(Mutex::new(Extras::new(plugins))) }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shared.shards
    }

    /// The counters of all shards, no older than the interval at which they are shown.
    #[must_use]
    pub fn counters(&self) -> NodeCounters {
        self.shared.counters()
    }

    /// The listeners, in the order of the configuration.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerStatus> {
        self.listeners.status(&self.counters())
    }

    /// What [`Self::apply_listeners`] would change now.
    #[must_use]
    pub fn plan_listeners(&self, wanted: &[ListenerConfig]) -> ListenerChanges {
        self.listeners.plan(wanted)
    }

    /// Makes the node's listeners those of `wanted`, by their names. New ones are opened; of those
    /// that are missing the links are told goodbye and closed, their sessions stay. One that
    /// listens elsewhere than before keeps its links; of one that is where it was the new settings
    /// count for new connections, except for the backlog and the receive buffer. A listener whose address another one
    /// leaves takes its socket over, so that no connection in the backlog is lost.
    ///
    /// # Errors
    /// A name is there twice, an address is not to be had, a shard does not answer, the node is
    /// ending. Nothing has changed then.
    pub fn apply_listeners(
        &self,
        wanted: Vec<ListenerConfig>,
    ) -> Result<ListenerChanges, StartError> {
        self.listeners.apply(wanted)
    }

    /// Replaces the plug-ins of all shards. Rules that have changed bind standing subscriptions too,
    /// in the course of the next turns.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn set_plugins(&self, plugins: Arc<Plugins>) -> Result<(), ControlError> {
        let mut extras = lock(&self.extras);
        extras.plugins = plugins;
        self.replace_plugins(&extras)
    }

    /// Replaces the limits of all shards: those of the core, and those of links, which count for
    /// what happens from now on. `read_buffer_bytes`, `pool_bytes_max` and `side_threads` stay as
    /// they were at the start.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn set_limits(
        &self,
        broker: &Arc<BrokerLimits>,
        host: &HostLimits,
    ) -> Result<(), ControlError> {
        let (broker, host) = (Arc::clone(broker), host.clone());
        self.shared.ask_all(move |loops| {
            loops.shard.set_limits(broker);
            loops.links.limits = host;
        })?;
        Ok(())
    }

    /// Asks the gates about every connected client again, in the course of the next turns, and ends
    /// the links of those that they refuse now: after a ban was added.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn recheck_gates(&self) -> Result<(), ControlError> {
        self.shared.ask_all(|loops| loops.shard.recheck_gates())?;
        Ok(())
    }

    /// Follows what clients and the server say to each other, from now on until the stream is
    /// dropped. At most `capacity` events wait for a reader that is slower; more are dropped, and
    /// the stream says how many.
    ///
    /// # Errors
    /// A shard does not answer, or enough traces run already.
    pub fn trace(&self, filter: TraceFilter, capacity: usize) -> Result<TraceStream, ControlError> {
        let mut extras = lock(&self.extras);
        if extras.running >= TRACES_MAX {
            return Err(ControlError::TooManyTraces);
        }
        extras.next_trace += 1;
        extras.running += 1;
        let id = extras.next_trace;
        let (clock, control) = (self.shared.clock, self.clone());
        let (outlet, stream) =
            Outlet::new(capacity, clock, Box::new(move || control.end_trace(id)));
        let whom = match filter {
            TraceFilter::Client(client_id) => Whom::Client(client_id),
            TraceFilter::Address(net) => Whom::Address(net),
            TraceFilter::Topic(filter) => {
                extras.topics.push((id, Arc::new(TopicTrace::new(filter, clock, outlet))));
                let replaced = self.replace_plugins(&extras);
                // The stream's end needs the lock, should it come now.
                drop(extras);
                return replaced.map(|()| stream);
            }
        };
        drop(extras);
        let trace = LinkTrace { id, whom, outlet };
        let query = ClientQuery {
            selector: trace.whom.selector(),
            connected: Some(true),
            limit: TRACED_PAGE,
            ..ClientQuery::default()
        };
        self.shared.ask_all(move |loops| loops.links.begin_trace(trace))?;
        // Now that new ones are caught, those that are there.
        for shard in self.shared.mesh.shards() {
            let mut after = None;
            loop {
                let query = ClientQuery { after, ..query.clone() };
                after = self.shared.ask(shard, move |loops| loops.trace_some(&query))?;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(stream)
    }

    /// Ends a trace, without waiting for the shards.
    fn end_trace(&self, id: u64) {
        let mut extras = lock(&self.extras);
        extras.running = extras.running.saturating_sub(1);
        let before = extras.topics.len();
        extras.topics.retain(|(topic, _)| *topic != id);
        let plugins = (extras.topics.len() < before).then(|| extras.plugins());
        self.shared.command_all(|| {
            let plugins = plugins.clone();
            Command::Run(Box::new(move |loops: &mut ShardLoop| match plugins {
                Some(plugins) => loops.shard.set_plugins(plugins),
                None => loops.links.end_trace(id),
            }))
        });
    }

    /// Under the lock of `extras`, so that all shards get the same plug-ins last.
    fn replace_plugins(&self, extras: &Extras) -> Result<(), ControlError> {
        let plugins = extras.plugins();
        self.shared.ask_all(move |loops| loops.shard.set_plugins(plugins))?;
        Ok(())
    }
}

/// What is in force beside the configuration.
#[derive(Debug)]
pub(crate) struct Extras {
    /// The plug-ins of the configuration.
    plugins: Arc<Plugins>,
    topics: Vec<(u64, Arc<TopicTrace>)>,
    running: usize,
    next_trace: u64,
}

impl Extras {
    pub(crate) fn new(plugins: Arc<Plugins>) -> Self {
        Extras { plugins, topics: Vec::new(), running: 0, next_trace: 0 }
    }

    /// The plug-ins of the configuration, and those of traces.
    fn plugins(&self) -> Arc<Plugins> {
        if self.topics.is_empty() {
            return Arc::clone(&self.plugins);
        }
        let mut plugins = (*self.plugins).clone();
        for (_, trace) in &self.topics {
            plugins.interceptors.push(Arc::clone(trace) as Arc<dyn Interceptor>);
        }
        Arc::new(plugins)
    }
}

impl ShardLoop {
    /// Has a page of the clients that are there join the traces. Returns where to go on.
    fn trace_some(&mut self, query: &ClientQuery) -> Option<ClientKey> {
        let page = self.shard.clients(query);
        for client in page.clients {
            if let Some(slot) = client.slot.filter(|slot| self.links.has(*slot)) {
                let client_id = &client.client.client_id;
                self.links.consider_trace(slot.link.index, Some(client_id), client.peer);
            }
        }
        page.next
    }
}
