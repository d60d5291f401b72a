//! What clients do in a simulation: everything they may, at random, from one seed.

mod profile;
mod sleepers;

use std::sync::Arc;

use core_model::{
    Credit, Disconnect, DisconnectCause, Expiry, Filter, QoS, Reason, RetainHandling, ShardId,
    SlotId, Subscription,
};

use crate::checkers::{self, GROUP_IDENTIFIERS};
use crate::client::Client;
use crate::rng::Rng;
use crate::trace::{Draft, Entry, Hello, Op};
use crate::witness::Witness;
use crate::world::World;

pub use profile::Profile;

/// Topics of ordinary messages.
const TOPICS: &[&str] = &["t/0", "t/1", "t/2", "t/0/x", "t/1/x"];
/// Topics whose messages are retained; each has one writer and one QoS.
pub const RETAINED_TOPICS: &[&str] = &["r/0", "r/1", "r/2", "r/3"];
const FILTERS: &[&str] =
    &["t/0", "t/1", "t/+", "t/#", "+/0", "t/0/#", "t/+/x", "#", "r/0", "r/1", "r/+", "r/#"];
const GROUPS: &[&str] = &["$share/g/t/#", "$share/h/t/0", "$share/g/t/+", "$share/h/r/+"];

/// A simulation.
pub struct Sim {
    /// The node.
    pub world: World,
    /// The clients.
    pub clients: Vec<Client>,
    profile: Profile,
    rng: Rng,
    next_number: u64,
    /// Links that broke without their shard's knowing.
    silent: Vec<SlotId>,
    retained_qos: Vec<QoS>,
    /// Whether everybody takes all there is.
    is_settling: bool,
}

impl Sim {
    /// A simulation from a seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        let mut rng = Rng::new(seed ^ 0xC0FFEE);
        let mut world = World::new(rng.number(), profile.node.clone(), Witness::default());
        world.witness = Witness::new(checkers::all(profile.promises, world.key().clone()));
        world.pass(0);
        let mut clients: Vec<Client> =
            (0..profile.clients).map(|i| Client::new(i, &format!("c{i}"))).collect();
        for client in &mut clients {
            client.is_sleeper = profile.sleepers > 0 && rng.chance(profile.sleepers);
        }
        let retained_qos = RETAINED_TOPICS.iter().map(|_| any_qos(&mut rng)).collect();
        let (next_number, silent, is_settling) = (0, Vec::new(), false);
        Sim { world, clients, profile, rng, next_number, silent, retained_qos, is_settling }
    }

    /// A message that nobody has published before.
    pub fn draft(&mut self, topic: &str, qos: QoS, retain: bool, empty: bool) -> Draft {
        self.next_number += 1;
        Draft {
            number: self.next_number,
            topic: Arc::from(topic),
            qos,
            retain,
            empty,
            expires_at: None,
        }
    }

    /// One random step.
    pub fn step(&mut self) {
        if self.rng.below(1_000) < self.profile.crashes {
            self.crash();
        }
        let changes = self.profile.rule_changes;
        if changes > 0 && self.rng.below(1_000) < changes {
            self.change_rules();
        }
        let client = self.rng.below(self.clients.len());
        if self.clients[client].is_sleeper && self.rng.chance(20) {
            self.be_a_sleeper(client);
        }
        match self.rng.below(100) {
            0..45 => self.world.random_turn(),
            45..66 => {
                let count = self.rng.between(1, 6);
                self.attend(client, count);
            }
            66..80 => self.publish(client),
            80..85 => self.subscribe(client),
            85..87 => self.unsubscribe(client),
            87..93 => self.connect(client),
            93..95 => self.leave(client),
            95 => self.sleep_or_wake(client),
            96 => self.clients[client].stalled ^= true,
            97 => {
                let millis = self.rng.pick(&[1, 100, 1000, 1000, 6000]);
                self.world.pass(millis);
            }
            98 => {
                if let Some(slot) = self.silent.pop() {
                    self.world.lose(slot);
                }
            }
            _ => {
                if self.rng.chance(30) {
                    self.kick(client);
                }
            }
        }
    }

    fn crash(&mut self) {
        if self.world.crash() {
            self.clients.iter_mut().for_each(Client::close);
            self.silent.clear();
        }
    }

    /// Forbids one topic or two, or nothing any more.
    fn change_rules(&mut self) {
        let count = self.rng.below(3);
        let topics = [TOPICS, RETAINED_TOPICS].concat();
        let forbidden = (0..count).map(|_| self.rng.pick(&topics)).collect();
        self.world.set_rules(forbidden);
    }

    /// A client that is not let in yet asks for something all the same.
    fn hurry(&mut self, client: usize) {
        let Some(slot) = self.clients[client].slot else { return };
        // On its way to another shard nobody could tell whether it came too early.
        if self.world.home_of(&self.clients[client].id) != slot.shard {
            return;
        }
        let ticket = self.clients[client].ticket();
        // What it has to repeat when it is let in is older, and would come after it.
        let op = if self.clients[client].is_idle() && self.rng.chance(50) {
            let topic = self.rng.pick(TOPICS);
            let draft = self.draft(topic, QoS::AtMostOnce, false, false);
            Op::Publish { ticket, id: 0, draft, stored: false }
        } else {
            let (filter, identifier) = self.any_filter();
            let subscription = Subscription {
                filter: Filter::parse(filter).unwrap(),
                qos: QoS::AtLeastOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::Send,
            };
            let subscriptions = vec![subscription];
            Op::Subscribe { ticket, identifier: Some(identifier), subscriptions }
        };
        self.world.send(slot, op);
    }

    fn kick(&mut self, client: usize) {
        let id = self.clients[client].id.clone();
        self.world.kick(client, &id, Reason::ADMINISTRATIVE_ACTION);
    }

    /// A client reads up to `count` events, and settles as many deliveries unless it is stalled.
    pub fn attend(&mut self, client: usize, count: usize) {
        for _ in 0..count {
            let Some(slot) = self.clients[client].slot else { return };
            let Some(event) = self.world.read(slot) else { break };
            let (ops, accepted) = self.clients[client].take(event, &mut self.rng);
            if let Some((arrival, discarded)) = accepted {
                self.world.note(Entry::Accepted { slot, arrival, discarded });
            }
            for op in ops {
                self.world.send(slot, op);
            }
            if self.clients[client].slot.is_none() {
                self.world.forget(slot);
                return;
            }
        }
        let Some(slot) = self.clients[client].slot else { return };
        if !self.clients[client].stalled {
            for op in self.clients[client].settle(count) {
                self.world.send(slot, op);
            }
        }
    }

    fn publish(&mut self, client: usize) {
        if !self.clients[client].may_publish() {
            return;
        }
        let own_retained = RETAINED_TOPICS
            .iter()
            .enumerate()
            .filter(|(place, _)| place % self.clients.len() == client)
            .map(|(place, _)| place)
            .collect::<Vec<_>>();
        let retained = !own_retained.is_empty() && self.rng.chance(35);
        let mut draft = if retained {
            let place = self.rng.pick(&own_retained);
            let empty = self.rng.chance(15);
            let qos = self.retained_qos[place].min(self.profile.qos_max);
            self.draft(RETAINED_TOPICS[place], qos, true, empty)
        } else {
            let topic = self.rng.pick(TOPICS);
            let qos = any_qos(&mut self.rng).min(self.profile.qos_max);
            self.draft(topic, qos, false, false)
        };
        if self.rng.chance(self.profile.expires) {
            draft.expires_at = Some(self.world.now.plus_seconds(self.rng.below(5) as u32));
        }
        let stored = self.rng.chance(20);
        let op = self.clients[client].publish(draft, stored);
        self.send(client, op);
    }

    /// Puts an operation of a client on its way.
    pub fn send(&mut self, client: usize, op: Op) {
        if let Some(slot) = self.clients[client].slot {
            self.world.send(slot, op);
        }
    }

    fn subscribe(&mut self, client: usize) {
        if !self.clients[client].online {
            return;
        }
        let (filter, identifier) = self.any_filter();
        let shared = identifier >= GROUP_IDENTIFIERS;
        let mut qos = any_qos(&mut self.rng);
        if shared && !self.rng.chance(self.profile.shared_qos0) {
            qos = qos.max(QoS::AtLeastOnce);
        }
        let subscription = Subscription {
            filter: Filter::parse(filter).unwrap(),
            qos,
            no_local: !shared && self.rng.chance(15),
            retain_as_published: false,
            retain_handling: self.rng.pick(&[
                RetainHandling::Send,
                RetainHandling::Send,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]),
        };
        let ticket = self.clients[client].ticket();
        let subscriptions = vec![subscription];
        self.send(client, Op::Subscribe { ticket, identifier: Some(identifier), subscriptions });
    }

    fn any_filter(&mut self) -> (&'static str, u32) {
        if self.rng.chance(self.profile.shared) {
            let place = self.rng.below(GROUPS.len());
            (GROUPS[place], GROUP_IDENTIFIERS + place as u32)
        } else {
            let place = self.rng.below(FILTERS.len());
            (FILTERS[place], 1 + place as u32)
        }
    }

    fn unsubscribe(&mut self, client: usize) {
        if !self.clients[client].online {
            return;
        }
        let filters = (0..self.rng.between(1, 2)).map(|_| self.any_filter().0.into()).collect();
        let ticket = self.clients[client].ticket();
        self.send(client, Op::Unsubscribe { ticket, filters });
    }

    fn connect(&mut self, client: usize) {
        if let Some(slot) = self.clients[client].slot {
            // A second link with the same identifier, while the first seems alive: the client has
            // given it up. One that was not answered yet is waited for, since nobody could tell
            // which of the two came first.
            if !self.clients[client].online {
                return self.grow_impatient(client);
            }
            if !self.rng.chance(20) {
                return;
            }
            let kept = self.rng.between(0, self.world.unsent(slot));
            self.world.cut(slot, kept, false);
            self.silent.push(slot);
            self.clients[client].close();
        }
        // One that may not be let in has to remember what its session does.
        let may_forget = !self.clients[client].is_sleeper || !self.is_held(client);
        let clean_start = self.rng.chance(15) && may_forget;
        let expiry = self.rng.pick(&[
            Expiry::WithLink,
            Expiry::After(5),
            Expiry::After(600),
            Expiry::Never,
            Expiry::Never,
        ]);
        self.open(client, clean_start, expiry);
    }

    /// A client that waits to be let in asks for something all the same, or tries once more through
    /// another link.
    fn grow_impatient(&mut self, client: usize) {
        if !self.profile.node.guarded {
            return;
        }
        if self.rng.chance(70) {
            return self.hurry(client);
        }
        let Some(slot) = self.clients[client].slot else { return };
        let Some(facts) = self.world.witness.ledger.slots.get(&slot) else { return };
        // Only where it is certain which of the two connects comes first, and where it does not
        // matter which session it finds.
        if !facts.local || facts.hello.clean_start || !self.clients[client].is_idle() {
            return;
        }
        let heard = self.rng.chance(50);
        self.world.cut(slot, 0, heard);
        if !heard {
            self.silent.push(slot);
        }
        self.clients[client].close();
        self.open(client, false, Expiry::Never);
    }

    /// Connects a client through a new slot.
    pub fn open(&mut self, client: usize, clean_start: bool, expiry: Expiry) {
        let will = self.rng.chance(30).then(|| {
            let (topic, qos) = (self.rng.pick(TOPICS), any_qos(&mut self.rng));
            (self.draft(topic, qos, false, false), self.rng.pick(&[0, 0, 3]), None)
        });
        let may_requeue = self.rng.chance(self.profile.requeues);
        let (manners, address) = self.manners(client);
        let guarded = self.profile.node.guarded;
        let hello = Hello {
            client,
            client_id: self.clients[client].id.clone(),
            clean_start,
            expiry,
            receive_max: self.rng.pick(&[1, 2, 5, 100]),
            may_requeue,
            may_retransmit: !self.profile.promises.no_retransmission && self.rng.chance(50),
            will,
            manners,
            address,
            wrong: guarded && !clean_start && self.rng.chance(self.profile.wrong),
            // One that is kicked while it waits has forgotten what the session has not.
            slow: guarded && !clean_start && self.rng.chance(self.profile.slow),
        };
        self.clients[client].may_requeue = may_requeue;
        self.clients[client].discards = self.profile.discards;
        let home = self.world.home_of(&self.clients[client].id);
        let mut shard = home;
        if self.rng.chance(self.profile.remote) {
            shard = ShardId(self.rng.below(usize::from(self.world.shard_count())) as u16);
        }
        let on_hub = self.rng.chance(self.profile.hubs);
        let id = self.clients[client].id.clone();
        let slot = self.world.open(shard, on_hub, &id, Op::Connect(Box::new(hello)));
        self.clients[client].open(slot, clean_start);
    }

    fn leave(&mut self, client: usize) {
        let Some(slot) = self.clients[client].slot else { return };
        if !self.clients[client].online {
            return;
        }
        if self.rng.chance(50) {
            let kept = self.rng.between(0, self.world.unsent(slot));
            let heard = self.rng.chance(70);
            self.world.cut(slot, kept, heard);
            if !heard {
                self.silent.push(slot);
            }
        } else {
            let cause =
                self.rng.pick(&[DisconnectCause::Farewell, DisconnectCause::FarewellWithWill]);
            let expiry = self.rng.pick(&[
                None,
                None,
                Some(Expiry::WithLink),
                Some(Expiry::After(5)),
                Some(Expiry::Never),
            ]);
            self.say_goodbye(client, Disconnect { cause, expiry });
        }
        self.clients[client].close();
    }

    /// A client disconnects in good order; it must be closed afterwards.
    pub fn say_goodbye(&mut self, client: usize, mut disconnect: Disconnect) {
        let Some(slot) = self.clients[client].slot else { return };
        let ledger = &self.world.witness.ledger;
        // To raise the expiry of a session that ends with its link is a protocol error.
        let life = ledger.life(slot).map(|life| &ledger.lives[life]);
        if life.is_none_or(|life| life.expiry == Expiry::WithLink) {
            disconnect.expiry = None;
        }
        self.world.send(slot, Op::Disconnect(disconnect));
        let kept = self.world.unsent(slot);
        self.world.cut(slot, kept, false);
    }

    fn sleep_or_wake(&mut self, client: usize) {
        if !self.clients[client].online {
            return;
        }
        self.clients[client].asleep ^= true;
        let credit = if self.clients[client].asleep { Credit::None } else { Credit::Open };
        self.send(client, Op::Demand(credit));
    }

    /// Connects a client with these habits, to its home or to another shard.
    pub fn greet(&mut self, client: usize, shard: ShardId, hello: Hello) -> SlotId {
        let (id, clean_start) = (hello.client_id.clone(), hello.clean_start);
        let slot = self.world.open(shard, false, &id, Op::Connect(Box::new(hello)));
        self.clients[client].open(slot, clean_start);
        slot
    }

    /// A client subscribes to one filter, if it is online.
    pub fn ask(&mut self, client: usize, identifier: u32, subscription: Subscription) {
        if !self.clients[client].online {
            return;
        }
        let ticket = self.clients[client].ticket();
        let subscriptions = vec![subscription];
        self.send(client, Op::Subscribe { ticket, identifier: Some(identifier), subscriptions });
    }

    /// A client unsubscribes from one filter, if it is online.
    pub fn drop_filter(&mut self, client: usize, filter: &str) {
        if !self.clients[client].online {
            return;
        }
        let ticket = self.clients[client].ticket();
        self.send(client, Op::Unsubscribe { ticket, filters: vec![filter.into()] });
    }

    /// A client publishes, if it is online and has room for one more message under way.
    pub fn say(&mut self, client: usize, topic: &str, qos: QoS, retain: bool) {
        if self.clients[client].may_publish() {
            let draft = self.draft(topic, qos, retain, false);
            let op = self.clients[client].publish(draft, false);
            self.send(client, op);
        }
    }

    /// The network of a client's link breaks; of what it has sent, a random part arrives.
    pub fn break_link(&mut self, client: usize, heard: bool) {
        let Some(slot) = self.clients[client].slot else { return };
        let kept = self.rng.between(0, self.world.unsent(slot));
        self.world.cut(slot, kept, heard);
        if !heard {
            self.silent.push(slot);
        }
        self.clients[client].close();
    }

    /// Shards take turns and clients read and settle, at random, nothing new happens.
    pub fn drift(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.rng.chance(60) {
                self.world.random_turn();
            } else {
                let client = self.rng.below(self.clients.len());
                let count = self.rng.between(1, 4);
                self.attend(client, count);
            }
        }
    }

    /// The run's steps, as many as its profile says.
    pub fn run(&mut self) {
        for _ in 0..self.profile.steps {
            self.step();
            if self.world.witness.has_faults() {
                return;
            }
        }
    }

    /// Links that broke without their shard's knowing are noticed now.
    pub fn notice_silent(&mut self) {
        for slot in std::mem::take(&mut self.silent) {
            self.world.lose(slot);
        }
    }

    /// From now on everybody is let in and may do everything.
    pub fn open_all_doors(&mut self) {
        self.is_settling = true;
        self.profile.wrong = 0;
        if self.profile.node.guarded {
            self.world.set_rules(Vec::new());
        }
    }

    /// The source of the workload's choices.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
}

/// Any QoS, all alike.
pub fn any_qos(rng: &mut Rng) -> QoS {
    rng.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}
