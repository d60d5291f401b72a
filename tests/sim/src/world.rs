//! One node without threads, sockets and clock: shards, the rings between them, and links.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use core_broker::{HashKey, Mail, Shard, ShardConfig};
use core_model::{
    BrokerLimits, ClientKey, Disconnect, DisconnectCause, LinkId, Plugins, Reason, ShardId, SlotId,
    Timestamp,
};
use core_store::MemoryStore;

use crate::access::{guards, verdict_of};
use crate::rng::Rng;
use crate::store::{Kept, ObservedStore};
use crate::trace::{Asked, Entry, Ev, GATEWAY, Log, Op};
use crate::witness::Witness;

/// What a node is made of.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// How many shards.
    pub shards: u16,
    /// Batches that fit in a ring.
    pub ring_capacity: usize,
    /// A batch is durable up to so many turns late.
    pub store_delay_max: u64,
    /// Link inputs that a shard handles in one turn at most.
    pub inputs_per_turn: usize,
    /// Whether a shard with anything in an outbox reads no link, also when it was put there in
    /// this very turn.
    pub strict_reading: bool,
    /// Whether credentials are looked at and rules can change.
    pub guarded: bool,
    /// Bounds and habits of the core.
    pub limits: BrokerLimits,
}

impl Default for NodeConfig {
    fn default() -> Self {
        NodeConfig {
            shards: 1,
            ring_capacity: 1,
            store_delay_max: 0,
            inputs_per_turn: 4,
            strict_reading: true,
            guarded: false,
            limits: BrokerLimits::default(),
        }
    }
}

/// One slot of a link: a stream of operations to its shard and a stream of events back.
#[derive(Debug)]
pub struct Line {
    home: ShardId,
    to_shard: VecDeque<Op>,
    to_client: VecDeque<Ev>,
    /// The client no longer looks at it.
    abandoned: bool,
    /// The client has read the answer to its connect.
    answered: bool,
    /// Core has taken the session away: nothing more is read.
    ended: bool,
}

/// The node.
pub struct World {
    /// What time it is.
    pub now: Timestamp,
    /// The source of choices.
    pub rng: Rng,
    config: NodeConfig,
    key: HashKey,
    kept: Vec<Kept>,
    shards: Vec<Shard>,
    rings: Vec<VecDeque<Vec<Mail>>>,
    lines: BTreeMap<SlotId, Line>,
    /// Slots whose connect has no answer yet, also those that are closed already.
    unanswered: BTreeSet<SlotId>,
    free_links: Vec<Vec<LinkId>>,
    next_link: u32,
    next_hub_slot: u32,
    log: Log,
    /// Who sees all that happens.
    pub witness: Witness,
    outbox_max: usize,
    /// Look-ups without an answer.
    lookups: Vec<Asked>,
    lazy: Option<ShardId>,
}

/// The link of a shard that carries many slots.
const HUB: LinkId = LinkId { index: 7_000, generation: 3 };

impl World {
    /// A node at rest.
    #[must_use]
    pub fn new(seed: u64, config: NodeConfig, witness: Witness) -> Self {
        let mut rng = Rng::new(seed);
        let log = Log::default();
        let key = HashKey::new(rng.number());
        let kept: Vec<Kept> = (0..config.shards).map(|_| Kept::default()).collect();
        let shards = make_shards(&mut rng, &config, &key, &kept, &log);
        let pairs = usize::from(config.shards) * usize::from(config.shards);
        World {
            now: Timestamp::from_millis(1_000_000),
            rng,
            key,
            kept,
            shards,
            rings: (0..pairs).map(|_| VecDeque::new()).collect(),
            lines: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            free_links: vec![Vec::new(); usize::from(config.shards)],
            next_link: 0,
            next_hub_slot: 1,
            log,
            witness,
            outbox_max: 0,
            lookups: Vec::new(),
            lazy: None,
            config,
        }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shard_count(&self) -> u16 {
        self.config.shards
    }

    /// One of the shards.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> &Shard {
        &self.shards[usize::from(id.0)]
    }

    /// The shards.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The placement of sessions, topics and groups.
    #[must_use]
    pub fn key(&self) -> &HashKey {
        &self.key
    }

    /// The home shard of a client.
    #[must_use]
    pub fn home_of(&self, client_id: &str) -> ShardId {
        let key = ClientKey { gateway: GATEWAY, client_id: client_id.into() };
        self.key.home(&key, self.config.shards)
    }

    /// Most mail that ever waited in one outbox.
    #[must_use]
    pub fn outbox_max(&self) -> usize {
        self.outbox_max
    }

    /// Adds to the trace.
    pub fn note(&mut self, entry: Entry) {
        self.witness.see(entry);
    }

    /// A new slot on a shard, its connect on the way; alone on its link, or on one with many.
    pub fn open(&mut self, shard: ShardId, on_hub: bool, client_id: &str, hello: Op) -> SlotId {
        let slot = if on_hub {
            self.next_hub_slot += 1;
            SlotId { shard, link: HUB, number: self.next_hub_slot }
        } else {
            let free = self.free_links[usize::from(shard.0)].pop();
            let link = free.unwrap_or_else(|| {
                self.next_link += 1;
                LinkId { index: self.next_link, generation: 0 }
            });
            SlotId { shard, link, number: 0 }
        };
        let home = self.home_of(client_id);
        let to_shard = VecDeque::from([hello]);
        let to_client = VecDeque::new();
        let line =
            Line { home, to_shard, to_client, abandoned: false, answered: false, ended: false };
        self.lines.insert(slot, line);
        self.unanswered.insert(slot);
        slot
    }

    /// Whether the slot still exists on its shard.
    #[must_use]
    pub fn is_open(&self, slot: SlotId) -> bool {
        self.lines.contains_key(&slot)
    }

    /// Puts an operation on its way; one for a slot that is gone is lost.
    pub fn send(&mut self, slot: SlotId, op: Op) {
        if let Some(line) = self.lines.get_mut(&slot)
            && !line.ended
        {
            line.to_shard.push_back(op);
        }
    }

    /// The next event that arrives at the client's end.
    pub fn read(&mut self, slot: SlotId) -> Option<Ev> {
        let line = self.lines.get_mut(&slot)?;
        let event = line.to_client.pop_front();
        line.answered |= event.is_some();
        event
    }

    /// Events on their way to a client.
    #[must_use]
    pub fn unread(&self, slot: SlotId) -> usize {
        self.lines.get(&slot).map_or(0, |line| line.to_client.len())
    }

    /// The network breaks: of the operations on the way the first `kept` arrive, nothing of what
    /// goes to the client does. The shard hears of it now, or only in [`Self::lose`].
    pub fn cut(&mut self, slot: SlotId, kept: usize, heard: bool) {
        let Some(line) = self.lines.get_mut(&slot) else { return };
        line.to_shard.truncate(kept);
        line.to_client.clear();
        line.abandoned = true;
        if line.ended {
            self.close(slot);
        } else if heard {
            self.lose(slot);
        }
    }

    /// Operations on their way to a shard.
    #[must_use]
    pub fn unsent(&self, slot: SlotId) -> usize {
        self.lines.get(&slot).map_or(0, |line| line.to_shard.len())
    }

    /// The shard hears of a broken link.
    pub fn lose(&mut self, slot: SlotId) {
        let cause = DisconnectCause::Lost(Reason::UNSPECIFIED);
        self.send(slot, Op::Disconnect(Disconnect { cause, expiry: None }));
    }

    /// Slots that exist.
    pub fn slots(&self) -> impl Iterator<Item = SlotId> {
        self.lines.keys().copied()
    }

    /// Time passes.
    pub fn pass(&mut self, millis: u64) {
        self.now = self.now.plus_millis(millis);
        self.note(Entry::Clock(self.now));
    }

    /// The earliest deadline of a shard.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(Shard::next_deadline).min()
    }

    /// An administrator ends a client's link.
    pub fn kick(&mut self, client: usize, client_id: &str, reason: Reason) -> bool {
        self.note(Entry::Kick(client));
        let home = self.home_of(client_id);
        let key = ClientKey { gateway: GATEWAY, client_id: client_id.into() };
        let (now, mut log) = (self.now, self.log.clone());
        log = log.at(home);
        let known = self.shards[usize::from(home.0)].kick(now, &key, reason, &mut log);
        self.absorb();
        known
    }

    /// The node tells all clients that it stops.
    pub fn drain(&mut self) {
        let (now, mut log) = (self.now, self.log.clone());
        for shard in &mut self.shards {
            shard.drain(now, &mut log);
        }
        self.absorb();
    }

    /// The process is killed and starts again: what is not durable, all links and all mail are gone.
    /// Not now, and so `false`, while a change of a session is on its way to a store or a client
    /// has not read the answer to its connect: nobody could tell what the client may expect afterwards.
    pub fn crash(&mut self) -> bool {
        let unsafe_sessions = self.kept.iter().any(Kept::has_unsafe_sessions);
        let unread = !self.unanswered.is_empty() || self.lines.values().any(|l| !l.answered);
        if unsafe_sessions || unread {
            return false;
        }
        self.kept.iter().for_each(Kept::crash);
        self.rings.iter_mut().for_each(VecDeque::clear);
        self.lines.clear();
        self.note(Entry::Crash);
        let log = &self.log;
        self.shards = make_shards(&mut self.rng, &self.config, &self.key, &self.kept, log);
        let (now, mut log) = (self.now, self.log.clone());
        for shard in &mut self.shards {
            log = log.at(shard.id());
            shard.restore(now, &mut log);
        }
        self.absorb();
        true
    }

    /// One turn of one shard, as its driver does it.
    pub fn turn(&mut self, id: ShardId) {
        let place = usize::from(id.0);
        let (now, mut log) = (self.now, self.log.at(id));
        let was_clear = self.outboxes_empty(place);
        for from in 0..self.config.shards {
            let ring = usize::from(from) * self.shards.len() + place;
            while let Some(batch) = self.rings[ring].pop_front() {
                for mail in batch {
                    self.shards[place].receive(now, ShardId(from), mail, &mut log);
                    self.absorb();
                }
            }
        }
        let may_read =
            if self.config.strict_reading { self.outboxes_empty(place) } else { was_clear };
        if may_read && self.shards[place].is_restored() {
            self.read_links(id);
        }
        self.answer_lookups(id);
        self.shards[place].tick(now, &mut log);
        self.absorb();
        self.empty_outboxes(place);
        self.note_quiet();
    }

    /// Some look-ups of a shard end, in any order.
    fn answer_lookups(&mut self, id: ShardId) {
        let (now, mut log) = (self.now, self.log.at(id));
        let mut place = 0;
        while place < self.lookups.len() {
            if self.lookups[place].0 != id || !self.rng.chance(30) {
                place += 1;
                continue;
            }
            let (_, lookup_id, lookup) = self.lookups.swap_remove(place);
            let shard = &mut self.shards[usize::from(id.0)];
            shard.answer(now, lookup_id, verdict_of(lookup), &mut log);
            self.absorb();
        }
    }

    /// From now on nobody may subscribe to these topics.
    pub fn set_rules(&mut self, forbidden: Vec<&'static str>) {
        let plugins = Arc::new(guards(&self.log, &forbidden));
        self.note(Entry::Rules(forbidden));
        for shard in &mut self.shards {
            shard.set_plugins(Arc::clone(&plugins));
        }
    }

    fn outboxes_empty(&mut self, place: usize) -> bool {
        let shard = &mut self.shards[place];
        (0..self.config.shards)
            .all(|to| usize::from(to) == place || shard.outbox(ShardId(to)).is_empty())
    }

    fn read_links(&mut self, id: ShardId) {
        for _ in 0..self.rng.between(0, self.config.inputs_per_turn) {
            let waiting: Vec<SlotId> = self
                .lines
                .iter()
                .filter(|(slot, line)| slot.shard == id && !line.to_shard.is_empty())
                .map(|(slot, _)| *slot)
                .collect();
            if waiting.is_empty() {
                return;
            }
            let slot = self.rng.pick(&waiting);
            self.apply_next(slot);
        }
    }

    fn apply_next(&mut self, slot: SlotId) {
        let Some(line) = self.lines.get_mut(&slot) else { return };
        let Some(op) = line.to_shard.pop_front() else { return };
        let home = line.home;
        self.note(Entry::Applied { slot, home, op: op.clone() });
        let (now, mut log) = (self.now, self.log.at(slot.shard));
        let shard = &mut self.shards[usize::from(slot.shard.0)];
        op.with_operation(|operation| shard.apply(now, slot, operation, &mut log));
        if matches!(op, Op::Disconnect(_)) {
            self.close(slot);
        }
        self.absorb();
    }

    fn close(&mut self, slot: SlotId) {
        self.lines.remove(&slot);
        if slot.number == 0 {
            let LinkId { index, generation } = slot.link;
            let next = LinkId { index, generation: generation + 1 };
            self.free_links[usize::from(slot.shard.0)].push(next);
        }
    }

    /// Takes what shards and stores have written down, and brings events on their way.
    fn absorb(&mut self) {
        self.lookups.extend(self.log.take_lookups());
        for entry in self.log.take() {
            self.note(entry.clone());
            let Entry::Emitted { slot, event } = entry else { continue };
            if matches!(event, Ev::Connected { .. } | Ev::Refused(_)) {
                self.unanswered.remove(&slot);
            }
            let Some(line) = self.lines.get_mut(&slot) else { continue };
            let is_end = matches!(event, Ev::Kicked(_) | Ev::Refused(_));
            line.to_client.push_back(event);
            if is_end {
                line.ended = true;
                line.to_shard.clear();
                if line.abandoned {
                    self.close(slot);
                }
            }
        }
    }

    fn empty_outboxes(&mut self, place: usize) {
        let count = self.shards.len();
        for to in 0..self.config.shards {
            if usize::from(to) == place {
                continue;
            }
            let outbox = self.shards[place].outbox(ShardId(to));
            self.outbox_max = self.outbox_max.max(outbox.len());
            let ring = &mut self.rings[place * count + usize::from(to)];
            if !outbox.is_empty() && ring.len() < self.config.ring_capacity {
                ring.push_back(std::mem::take(outbox));
            }
        }
    }

    /// Whether no mail is under way.
    pub fn mail_is_empty(&mut self) -> bool {
        self.rings.iter().all(VecDeque::is_empty)
            && (0..self.shards.len()).all(|place| self.outboxes_empty(place))
    }

    fn note_quiet(&mut self) {
        if self.mail_is_empty() {
            self.note(Entry::Quiet);
        }
    }

    /// Whether nothing will happen before a client or the clock does something.
    pub fn is_at_rest(&mut self) -> bool {
        self.mail_is_empty()
            && self.lookups.is_empty()
            && self.lines.values().all(|line| line.to_shard.is_empty())
            && self.shards.iter().all(|shard| !shard.has_work() && shard.is_restored())
            && self.next_deadline().is_none_or(|at| at > self.now)
    }

    /// A turn of a shard that is chosen by chance. Now and then another shard is lazy, and takes no
    /// turn for a while.
    pub fn random_turn(&mut self) {
        if self.rng.chance(3) {
            let lazy = self.rng.below(self.shards.len()) as u16;
            self.lazy = self.rng.chance(60).then_some(ShardId(lazy));
        }
        let id = ShardId(self.rng.below(self.shards.len()) as u16);
        if self.lazy != Some(id) || self.rng.chance(5) {
            self.turn(id);
        }
    }

    /// Forgets a slot that core has closed and whose client has read to the end.
    pub fn forget(&mut self, slot: SlotId) {
        if self.lines.contains_key(&slot) {
            self.close(slot);
        }
    }
}

fn make_shards(
    rng: &mut Rng,
    config: &NodeConfig,
    key: &HashKey,
    kept: &[Kept],
    log: &Log,
) -> Vec<Shard> {
    let limits = Arc::new(config.limits.clone());
    let plugins = Arc::new(if config.guarded { guards(log, &[]) } else { Plugins::default() });
    let shards = (0..config.shards).zip(kept).map(|(id, kept)| {
        let id = ShardId(id);
        let inner = MemoryStore::seeded(rng.number(), config.store_delay_max);
        let store = ObservedStore::new(id, inner, kept.clone(), log.clone());
        Shard::new(ShardConfig {
            id,
            shards: config.shards,
            key: key.clone(),
            limits: Arc::clone(&limits),
            plugins: Arc::clone(&plugins),
            store: Box::new(store),
            seed: rng.number(),
        })
    });
    shards.collect()
}
