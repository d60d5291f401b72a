//! What is asked of a node while it runs.

use std::sync::Arc;

use core_model::{BrokerLimits, ClientKey, Plugins, Reason, ShardId};

use crate::listeners::Listeners;
use crate::shared::NodeShared;
use crate::trace::{TraceFilter, TraceStream};
use crate::{
    HostLimits, ListenerChanges, ListenerConfig, ListenerStatus, NodeCounters, StartError,
};

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
}

/// The way to a running node for whoever operates it. Clones ask the same node.
///
/// Most calls wait for the shards' answers, for some seconds at most, so an asynchronous caller has
/// to make them from a thread that may block. No call makes a shard do more than a bounded piece of
/// work in one turn.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<NodeShared>,
    listeners: Arc<Listeners>,
}

impl Control {
    pub(crate) fn new(shared: Arc<NodeShared>, listeners: Arc<Listeners>) -> Self {
        Control { shared, listeners }
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
    /// count for new connections, except for the backlog. A listener whose address another one
    /// leaves takes its socket over, so that no connection in the backlog is lost.
    ///
    /// # Errors
    /// A name is there twice, an address is not to be had, a shard does not answer. Nothing has
    /// changed then.
    pub fn apply_listeners(
        &self,
        wanted: Vec<ListenerConfig>,
    ) -> Result<ListenerChanges, StartError> {
        self.listeners.apply(wanted)
    }

    /// Ends the link of a session; whether there was such a session.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn kick(&self, client: &ClientKey, reason: Reason) -> Result<bool, ControlError> {
        let client = client.clone();
        let answers = self.shared.ask_all(move |loops| {
            loops.shard.kick(loops.links.now, &client, reason, &mut loops.links)
        })?;
        Ok(answers.contains(&true))
    }

    /// Replaces the plug-ins of all shards.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn set_plugins(&self, _plugins: &Arc<Plugins>) -> Result<(), ControlError> {
        Ok(())
    }

    /// Replaces the limits of all shards: those of the core, and those of links, which count for
    /// what happens from now on. `read_buffer_bytes` and `side_threads` stay as they were at the
    /// start.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn set_limits(
        &self,
        _broker: &Arc<BrokerLimits>,
        host: &HostLimits,
    ) -> Result<(), ControlError> {
        let host = host.clone();
        self.shared.ask_all(move |loops| loops.links.limits = host)?;
        Ok(())
    }

    /// Follows what clients and the server say to each other, from now on until the stream is
    /// dropped. At most `capacity` events wait for a reader that is slower; more are dropped, and
    /// the stream says how many.
    ///
    /// # Errors
    /// A shard does not answer.
    pub fn trace(
        &self,
        _filter: TraceFilter,
        capacity: usize,
    ) -> Result<TraceStream, ControlError> {
        Ok(TraceStream::new(capacity))
    }
}
