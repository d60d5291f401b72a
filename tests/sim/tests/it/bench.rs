//! A node that is at rest between two acts of its clients.

use std::collections::BTreeMap;

use core_model::{Disconnect, ShardId, SlotId, Ticket};
use tests_sim::model::Act;
use tests_sim::trace::{Ev, Hello, Op};
use tests_sim::witness::Witness;
use tests_sim::world::{NodeConfig, World};

/// A node with clients `c0`, `c1` and so on.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) slots: BTreeMap<usize, SlotId>,
    tickets: u32,
}

/// Turns after which a node must have come to rest.
const TURNS_MAX: usize = 10_000;

impl Bench {
    pub(crate) fn new(seed: u64, config: NodeConfig) -> Self {
        let mut world = World::new(seed, config, Witness::default());
        world.pass(0);
        Bench { world, slots: BTreeMap::new(), tickets: 0 }
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Every shard takes turns until nothing moves.
    pub(crate) fn rest(&mut self) {
        for _ in 0..TURNS_MAX {
            for shard in 0..self.world.shard_count() {
                self.world.turn(ShardId(shard));
            }
            if self.world.is_at_rest() {
                return;
            }
        }
        panic!("not at rest:\n{}", self.world.witness.report());
    }

    /// All that has come for a slot.
    pub(crate) fn read(&mut self, slot: SlotId) -> Vec<Ev> {
        std::iter::from_fn(|| self.world.read(slot)).collect()
    }

    /// All that has come for a client's present slot.
    pub(crate) fn read_client(&mut self, client: usize) -> Vec<Ev> {
        self.slots.get(&client).copied().map_or(Vec::new(), |slot| self.read(slot))
    }

    pub(crate) fn send(&mut self, client: usize, op: Op) {
        if let Some(slot) = self.slots.get(&client) {
            self.world.send(*slot, op);
        }
    }

    /// Connects a client through a slot of a shard; the slot that it had.
    pub(crate) fn connect(&mut self, shard: ShardId, hello: Hello) -> Option<SlotId> {
        let (client, id) = (hello.client, hello.client_id.clone());
        let slot = self.world.open(shard, client % 2 == 1, &id, Op::Connect(Box::new(hello)));
        self.slots.insert(client, slot)
    }

    /// Does an act and comes to rest; what came for the clients' slots, and for one that was lost.
    pub(crate) fn act(
        &mut self,
        act: &Act,
    ) -> (BTreeMap<usize, Vec<Ev>>, BTreeMap<usize, Vec<Ev>>) {
        let mut lost = BTreeMap::new();
        let mut old = None;
        match act.clone() {
            Act::Connect { client, clean_start, expiry, receive_max, will } => {
                let hello = Hello { clean_start, expiry, receive_max, will, ..hello(client) };
                let shards = usize::from(self.world.shard_count());
                let mut shard = self.world.home_of(&hello.client_id);
                if client % 2 == 0 {
                    shard = ShardId((self.tickets as usize % shards) as u16);
                }
                old = self.connect(shard, hello).map(|slot| (client, slot));
            }
            Act::Subscribe { client, identifier, subscriptions } => {
                let ticket = self.ticket();
                self.send(client, Op::Subscribe { ticket, identifier, subscriptions });
            }
            Act::Unsubscribe { client, filters } => {
                let ticket = self.ticket();
                self.send(client, Op::Unsubscribe { ticket, filters });
            }
            Act::Publish { client, id, draft } => {
                let ticket = self.ticket();
                let stored = draft.number % 2 == 0;
                self.send(client, Op::Publish { ticket, id, draft, stored });
            }
            Act::Release { client, id } => {
                let ticket = self.ticket();
                self.send(client, Op::Release { ticket, id });
            }
            Act::Settle { client, handle, outcome } => {
                self.send(client, Op::Settle { handle, outcome });
            }
            Act::Demand { client, open } => {
                let credit = if open { core_model::Credit::Open } else { core_model::Credit::None };
                self.send(client, Op::Demand(credit));
            }
            Act::Disconnect { client, cause, expiry } => {
                self.send(client, Op::Disconnect(Disconnect { cause, expiry }));
                self.slots.remove(&client);
            }
            Act::Read { client, filter, limit, after } => {
                let ticket = self.ticket();
                self.send(client, Op::Read { ticket, filter, limit, cursor: after });
            }
            Act::Pass { millis } => self.world.pass(millis),
        }
        self.rest();
        if let Some((client, slot)) = old {
            lost.insert(client, self.read(slot));
            self.world.forget(slot);
        }
        let clients: Vec<usize> = self.slots.keys().copied().collect();
        let events = clients.into_iter().map(|client| (client, self.read_client(client)));
        (events.collect(), lost)
    }
}

/// A connect with nothing special.
pub(crate) fn hello(client: usize) -> Hello {
    Hello {
        client,
        client_id: format!("c{client}").into(),
        clean_start: false,
        expiry: core_model::Expiry::Never,
        receive_max: 100,
        may_requeue: false,
        may_retransmit: false,
        will: None,
        manners: core_model::Manners::default(),
        address: 0,
        wrong: false,
        slow: false,
    }
}
