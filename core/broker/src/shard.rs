use std::sync::Arc;

use core_model::{
    BrokerLimits, ClientKey, Event, Message, Operation, Plugins, ShardId, SlotId, Timestamp,
};
use core_store::Store;

use crate::{Counters, HashKey, Mail};

/// Where a shard's events for its own links go. Called while an operation is applied, so it must
/// not call back into the shard; operations that an event provokes are applied afterwards.
pub trait Sink {
    /// An event for a slot of this shard. A slot that is gone ignores it.
    fn event(&mut self, slot: SlotId, event: Event<'_>);
}

/// What a shard needs to know at its start.
pub struct ShardConfig {
    /// Its number.
    pub id: ShardId,
    /// How many there are.
    pub shards: u16,
    /// The node's placement key.
    pub key: HashKey,
    /// Bounds and habits.
    pub limits: Arc<BrokerLimits>,
    /// Plug-ins.
    pub plugins: Arc<Plugins>,
    /// Where durable state goes.
    pub store: Box<dyn Store>,
    /// Source of all random choices of this shard.
    pub seed: u64,
}

/// One core's worth of sessions, owned by one thread.
pub struct Shard {
    config: ShardConfig,
    outboxes: Vec<Vec<Mail>>,
    counters: Counters,
}

impl Shard {
    /// A shard without sessions.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let outboxes = (0..config.shards).map(|_| Vec::new()).collect();
        Shard { config, outboxes, counters: Counters::default() }
    }

    /// This shard's number.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.config.id
    }

    /// The home shard of a session.
    #[must_use]
    pub fn home_of(&self, client: &ClientKey) -> ShardId {
        self.config.key.home(client, self.config.shards)
    }

    /// Applies an operation of a slot of this shard. A connect whose session lives elsewhere makes
    /// a remote slot: its operations and events travel by mail (a driver that can move the link
    /// does that instead, before it applies the connect).
    pub fn apply(
        &mut self,
        _now: Timestamp,
        _slot: SlotId,
        _operation: Operation<'_>,
        _sink: &mut dyn Sink,
    ) {
    }

    /// Takes one piece of mail from shard `from`.
    pub fn receive(&mut self, _now: Timestamp, _from: ShardId, _mail: Mail, _sink: &mut dyn Sink) {}

    /// Ends a turn: passes what has become durable, runs timers, does a budget of resumable work.
    /// To be called once after all input of a turn, also when there was none but
    /// [`Self::next_deadline`] has passed or [`Self::has_work`] says so.
    pub fn tick(&mut self, _now: Timestamp, _sink: &mut dyn Sink) {}

    /// When [`Self::tick`] must be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Whether [`Self::tick`] has more to do at once.
    #[must_use]
    pub fn has_work(&self) -> bool {
        false
    }

    /// Mail for another shard, in order. The driver takes it at the end of a turn when the ring has
    /// room, and leaves it otherwise; while any is left it must not read links.
    pub fn outbox(&mut self, to: ShardId) -> &mut Vec<Mail> {
        let index = usize::from(to.0).min(self.outboxes.len().saturating_sub(1));
        self.outboxes.get_mut(index).expect("there is at least one shard")
    }

    /// Publishes a message of the server itself (such as `$SYS`), without any gate.
    pub fn publish(&mut self, _now: Timestamp, _message: &Message<'_>, _sink: &mut dyn Sink) {}

    /// Tells every slot that the node stops.
    pub fn drain(&mut self, _now: Timestamp, _sink: &mut dyn Sink) {}

    /// The shard's counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
