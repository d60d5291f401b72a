//! Some shards with their mail and their time, driven to rest after every step.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use core_broker::{Counters, HashKey, LookupId, Mail, Shard, ShardConfig, Sink};
use core_model::{
    BrokerLimits, ClientKey, Connected, Credit, Delivery, Disconnect, DisconnectCause, Event,
    Expiry, GatewayId, LinkId, Lookup, MessageRef, Operation, Outcome, Plugins, Publish,
    PublishMessage, Reason, ShardId, SlotId, Subscribe, Ticket, Timestamp, Unsubscribe, Verdict,
    Will,
};
use core_store::{Lsn, MemoryStore, Mutation, Store};

use crate::words::{Connecting, Msg, Wanted, text_of};

/// What a test expects of somebody who should hear nothing.
pub(crate) const NOTHING: [&str; 0] = [];

/// Turns after which a world that does not come to rest is broken.
const TURNS_MAX: usize = 20_000;

/// How many shards there are, and whether links lie away from their sessions' home.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) shards: u16,
    away: bool,
}

pub(crate) const ONE: Layout = Layout { shards: 1, away: false };
pub(crate) const HOME: Layout = Layout { shards: 4, away: false };
pub(crate) const AWAY: Layout = Layout { shards: 4, away: true };

/// Runs a test with one shard, with four, and with four and all links away from home.
pub(crate) fn everywhere(test: impl Fn(Layout)) {
    for layout in [ONE, HOME, AWAY] {
        println!("{layout:?}");
        test(layout);
    }
}

/// What a test may change before the shards start.
pub(crate) struct Setup {
    pub(crate) limits: BrokerLimits,
    pub(crate) plugins: Plugins,
    /// By shard: turns until a batch is durable.
    pub(crate) delays: Vec<u64>,
    pub(crate) seed: u64,
}

pub(crate) struct World {
    pub(crate) key: HashKey,
    layout: Layout,
    shards: Vec<Shard>,
    /// By sender and receiver.
    rings: Vec<Vec<VecDeque<Mail>>>,
    /// Rings (sender, receiver) that pass nothing on for now.
    pub(crate) blocked: HashSet<(u16, u16)>,
    pub(crate) now: Timestamp,
    log: Log,
    setup: Setup,
    /// By shard.
    written: Vec<Written>,
    links: u32,
    tickets: u32,
}

/// A client's link, and what it was told when it connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) slot: SlotId,
    /// Whether its session was resumed.
    pub(crate) present: bool,
    pub(crate) expiry: Expiry,
}

/// An event with what is lost when it is detached.
pub(crate) struct Seen {
    pub(crate) event: Event<'static>,
    /// Whether the payload came in a buffer that outlives the turn.
    pub(crate) stored: bool,
}

#[derive(Default)]
struct Log {
    /// The shard that speaks.
    at: ShardId,
    /// Look-ups without an answer, and the shards that asked for them.
    lookups: Vec<(ShardId, LookupId)>,
    seen: HashMap<SlotId, VecDeque<Seen>>,
}

impl Sink for Log {
    fn event(&mut self, slot: SlotId, event: Event<'_>) {
        let stored = match &event {
            Event::Deliver(delivery) => {
                assert_eq!(delivery.handle == 0, delivery.qos as u8 == 0, "{delivery:?}");
                !matches!(delivery.message, MessageRef::View(_))
            }
            _ => false,
        };
        let seen = Seen { event: event.detach(), stored };
        self.seen.entry(slot).or_default().push_back(seen);
    }

    fn look_up(&mut self, id: LookupId, _lookup: Lookup) {
        self.lookups.push((self.at, id));
    }
}

type Written = Arc<Mutex<Vec<Mutation>>>;

/// Writes down what it passes on.
struct Spy {
    store: MemoryStore,
    written: Written,
}

impl Store for Spy {
    fn submit(&mut self, batch: Vec<Mutation>) -> Lsn {
        self.written.lock().unwrap().extend(batch.iter().cloned());
        self.store.submit(batch)
    }

    fn durable(&mut self) -> Lsn {
        self.store.durable()
    }

    fn load(&mut self) -> Vec<Mutation> {
        self.written.lock().unwrap().clone()
    }
}

impl World {
    pub(crate) fn new(layout: Layout) -> Self {
        Self::with(layout, |_| {})
    }

    pub(crate) fn with(layout: Layout, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            limits: BrokerLimits::default(),
            plugins: Plugins::default(),
            delays: vec![0; usize::from(layout.shards)],
            seed: 11,
        };
        change(&mut setup);
        let count = usize::from(layout.shards);
        let written: Vec<Written> = (0..count).map(|_| Written::default()).collect();
        let key = HashKey::new(7);
        World {
            shards: start(layout, &key, &setup, &written),
            key,
            layout,
            rings: (0..count).map(|_| (0..count).map(|_| VecDeque::new()).collect()).collect(),
            blocked: HashSet::new(),
            now: Timestamp::from_millis(1_000_000),
            log: Log::default(),
            setup,
            written,
            links: 0,
            tickets: 0,
        }
    }

    /// The process ends without a word, after all that it wrote became durable, and starts again.
    pub(crate) fn restart(&mut self) {
        self.rings.iter_mut().flatten().for_each(VecDeque::clear);
        self.log.seen.clear();
        self.log.lookups.clear();
        self.shards = start(self.layout, &self.key, &self.setup, &self.written);
        for shard in &mut self.shards {
            self.log.at = shard.id();
            shard.restore(self.now, &mut self.log);
            assert_eq!(shard.is_restored(), self.layout.shards == 1);
        }
        self.run();
        assert!(self.shards.iter().all(Shard::is_restored));
    }

    /// One turn of every shard: mail in, tick, mail out.
    pub(crate) fn turn(&mut self) {
        for (id, shard) in self.shards.iter_mut().enumerate() {
            self.log.at = ShardId(id as u16);
            for (from, rings) in self.rings.iter_mut().enumerate() {
                if self.blocked.contains(&(from as u16, id as u16)) {
                    continue;
                }
                for mail in rings[id].drain(..) {
                    shard.receive(self.now, ShardId(from as u16), mail, &mut self.log);
                }
            }
            shard.tick(self.now, &mut self.log);
        }
        for (from, shard) in self.shards.iter_mut().enumerate() {
            for (to, ring) in self.rings[from].iter_mut().enumerate() {
                ring.extend(shard.outbox(ShardId(to as u16)).drain(..));
            }
        }
    }

    pub(crate) fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn();
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        let rings = self.rings.iter().zip(0..).flat_map(|(rings, from)| {
            rings.iter().zip(0..).map(move |(ring, to)| ((from, to), ring))
        });
        let mut open = rings.filter(|(pair, _)| !self.blocked.contains(pair));
        open.any(|(_, ring)| !ring.is_empty()) || self.shards.iter().any(Shard::has_work)
    }

    /// Turns until nobody has anything left to do at this moment.
    pub(crate) fn run(&mut self) {
        for _ in 0..TURNS_MAX {
            self.turn();
            let due = self.next_deadline().is_some_and(|at| at <= self.now);
            if !due && !self.has_work() {
                return;
            }
        }
        panic!("the shards do not come to rest");
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(Shard::next_deadline).min()
    }

    /// Lets time pass, from deadline to deadline.
    pub(crate) fn advance_ms(&mut self, millis: u64) {
        let end = self.now.plus_millis(millis);
        while let Some(at) = self.next_deadline()
            && at <= end
        {
            self.now = self.now.max(at);
            self.run();
        }
        self.now = end;
        self.run();
    }

    pub(crate) fn advance_s(&mut self, seconds: u64) {
        self.advance_ms(seconds * 1000);
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for shard in &self.shards {
            sum.add(shard.counters());
        }
        sum
    }

    /// What the shards still remember, beside counters.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let left = self.shards.iter().flat_map(|shard| {
            shard.leftovers().into_iter().map(|(what, n)| format!("{} {n} {what}", shard.id().0))
        });
        left.collect()
    }

    pub(crate) fn shard(&mut self, id: u16) -> (&mut Shard, &mut dyn Sink) {
        self.log.at = ShardId(id);
        (&mut self.shards[usize::from(id)], &mut self.log)
    }

    /// Does something to each shard, then lets the world come to rest.
    pub(crate) fn on_shards(&mut self, mut act: impl FnMut(&mut Shard, Timestamp, &mut dyn Sink)) {
        for shard in &mut self.shards {
            self.log.at = shard.id();
            act(shard, self.now, &mut self.log);
        }
        self.run();
    }

    /// Replaces the plug-ins, after a restart too.
    pub(crate) fn set_plugins(&mut self, change: impl FnOnce(&mut Plugins)) {
        self.change_plugins(change);
        self.run();
    }

    /// The same without a turn.
    pub(crate) fn change_plugins(&mut self, change: impl FnOnce(&mut Plugins)) {
        change(&mut self.setup.plugins);
        let plugins = Arc::new(self.setup.plugins.clone());
        for shard in &mut self.shards {
            shard.set_plugins(Arc::clone(&plugins));
        }
    }

    /// Look-ups that run.
    pub(crate) fn lookups(&self) -> usize {
        self.log.lookups.len()
    }

    /// Answers one of the look-ups that run, by its place.
    pub(crate) fn answer_lookup(&mut self, place: usize, verdict: Verdict) {
        let (shard, id) = self.log.lookups.remove(place);
        self.log.at = shard;
        let at = usize::from(shard.0);
        self.shards[at].answer(self.now, id, verdict, &mut self.log);
        self.run();
    }

    pub(crate) fn home(&self, client_id: &str) -> ShardId {
        self.key.home(&key_of(client_id), self.layout.shards)
    }

    /// A client identifier that lives on a shard (of those that there are).
    pub(crate) fn id_on(&self, shard: u16, prefix: &str) -> String {
        let shard = ShardId(shard % self.layout.shards);
        let mut ids = (0..).map(|n| format!("{prefix}{n}"));
        ids.find(|id| self.home(id) == shard).expect("the hash reaches every shard")
    }

    /// A topic whose retained message lives on a shard.
    pub(crate) fn topic_on(&self, shard: u16, prefix: &str) -> String {
        let shard = ShardId(shard % self.layout.shards);
        let mut topics = (0..).map(|n| format!("{prefix}{n}"));
        topics
            .find(|topic| self.key.topic_shard(topic, self.layout.shards) == shard)
            .expect("the hash reaches every shard")
    }

    /// A shared filter whose group lives on a shard.
    pub(crate) fn group_on(&self, shard: u16, filter: &str) -> String {
        let shard = ShardId(shard % self.layout.shards);
        let mut groups = (0..).map(|n| format!("$share/g{n}/{filter}"));
        groups
            .find(|group| self.key.group_shard(group, self.layout.shards) == shard)
            .expect("the hash reaches every shard")
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Applies an operation without a turn.
    pub(crate) fn apply(&mut self, client: Client, operation: Operation<'_>) {
        self.log.at = client.slot.shard;
        let shard = &mut self.shards[usize::from(client.slot.shard.0)];
        shard.apply(self.now, client.slot, operation, &mut self.log);
    }

    /// A new link with its connect applied, but no turn yet.
    pub(crate) fn link(&mut self, connecting: Connecting) -> Client {
        let connect = connecting.0;
        let home = connect.key().map_or(0, |key| self.key.home(&key, self.layout.shards).0);
        let shard = ShardId((home + u16::from(self.layout.away)) % self.layout.shards);
        self.links += 1;
        let link = LinkId { index: self.links, generation: 0 };
        let slot = SlotId { shard, link, number: 0 };
        let client = Client { slot, present: false, expiry: Expiry::WithLink };
        self.apply(client, Operation::Connect(Box::new(connect)));
        client
    }

    /// Connects; the answer is left to be looked at.
    pub(crate) fn dial(&mut self, connecting: Connecting) -> Client {
        let client = self.link(connecting);
        self.run();
        client
    }

    /// Connects, and it must succeed.
    pub(crate) fn connect(&mut self, connecting: Connecting) -> Client {
        let client = self.dial(connecting);
        self.connected(client).0
    }

    /// Takes the first event of a link, which must be that it is connected.
    pub(crate) fn connected(&mut self, mut client: Client) -> (Client, Connected) {
        let first = self.log.seen.get_mut(&client.slot).and_then(VecDeque::pop_front);
        match first.map(|seen| seen.event) {
            Some(Event::Connected(connected)) => {
                client.present = connected.session_present;
                client.expiry = connected.expiry;
                (client, *connected)
            }
            other => panic!("not connected: {other:?}"),
        }
    }

    /// Takes the answer with a ticket out of what a client has seen.
    fn answer<R>(
        &mut self,
        client: Client,
        is_it: impl Fn(&Event<'static>) -> Option<R>,
    ) -> Option<R> {
        let seen = self.log.seen.get_mut(&client.slot)?;
        let place = seen.iter().position(|seen| is_it(&seen.event).is_some())?;
        is_it(&seen.remove(place)?.event)
    }

    /// Subscribes and returns the answer's codes.
    pub(crate) fn subscribe(&mut self, client: Client, wanted: Vec<Wanted>) -> Vec<u8> {
        self.subscribe_as(client, None, wanted)
    }

    pub(crate) fn subscribe_as(
        &mut self,
        client: Client,
        identifier: Option<u32>,
        wanted: Vec<Wanted>,
    ) -> Vec<u8> {
        let wait_for = self.begin_subscribe(client, identifier, wanted);
        self.run();
        self.answer(client, |event| match event {
            Event::Subscribed { ticket, reasons } if *ticket == wait_for => Some(codes(reasons)),
            _ => None,
        })
        .expect("a subscribe is answered")
    }

    /// A subscribe without a turn.
    pub(crate) fn begin_subscribe(
        &mut self,
        client: Client,
        identifier: Option<u32>,
        wanted: Vec<Wanted>,
    ) -> Ticket {
        let ticket = self.ticket();
        let subscriptions = wanted.into_iter().map(|wanted| wanted.0).collect();
        let subscribe = Subscribe { ticket, identifier, subscriptions };
        self.apply(client, Operation::Subscribe(Box::new(subscribe)));
        ticket
    }

    /// Unsubscribes and returns the answer's codes.
    pub(crate) fn unsubscribe(&mut self, client: Client, filters: &[&str]) -> Vec<u8> {
        let wait_for = self.begin_unsubscribe(client, filters);
        self.run();
        self.answer(client, |event| match event {
            Event::Unsubscribed { ticket, reasons } if *ticket == wait_for => Some(codes(reasons)),
            _ => None,
        })
        .expect("an unsubscribe is answered")
    }

    /// An unsubscribe without a turn.
    pub(crate) fn begin_unsubscribe(&mut self, client: Client, filters: &[&str]) -> Ticket {
        let ticket = self.ticket();
        let filters = filters.iter().map(|filter| (*filter).into()).collect();
        self.apply(client, Operation::Unsubscribe(Box::new(Unsubscribe { ticket, filters })));
        ticket
    }

    /// A publish without a turn; a QoS 2 message without a number of its own gets a fresh one.
    pub(crate) fn begin_publish(&mut self, client: Client, message: &Msg) -> Ticket {
        let ticket = self.ticket();
        let id = message.id.unwrap_or((ticket.0 % 60_000) as u16 + 1);
        let message = PublishMessage::View(message.view(self.now));
        self.apply(client, Operation::Publish(Publish { ticket, id, message }));
        ticket
    }

    /// Publishes and returns the answer's code; 0 for QoS 0, which must not be answered.
    pub(crate) fn publish(&mut self, client: Client, message: Msg) -> u8 {
        let wait_for = self.begin_publish(client, &message);
        self.run();
        let answer = self.answer(client, |event| match event {
            Event::Published { ticket, reason } if *ticket == wait_for => Some(reason.as_u8()),
            _ => None,
        });
        assert_eq!(answer.is_some(), message.qos as u8 > 0, "answer to a publish");
        answer.unwrap_or(0)
    }

    /// Releases a QoS 2 message and returns the answer's code.
    pub(crate) fn release(&mut self, client: Client, id: u16) -> u8 {
        let wait_for = self.ticket();
        self.apply(client, Operation::Release { ticket: wait_for, id });
        self.run();
        self.answer(client, |event| match event {
            Event::Released { ticket, reason } if *ticket == wait_for => Some(reason.as_u8()),
            _ => None,
        })
        .expect("a release is answered")
    }

    pub(crate) fn settle(&mut self, client: Client, handle: u16, outcome: Outcome) {
        self.apply(client, Operation::Settle { handle, outcome });
        self.run();
    }

    /// The client's PUBACK or PUBCOMP.
    pub(crate) fn ack(&mut self, client: Client, handle: u16) {
        self.settle(client, handle, Outcome::Accepted);
    }

    /// The client's PUBREC.
    pub(crate) fn rec(&mut self, client: Client, handle: u16) {
        self.settle(client, handle, Outcome::Received);
    }

    pub(crate) fn demand(&mut self, client: Client, credit: Credit) {
        self.apply(client, Operation::Demand(credit));
        self.run();
    }

    pub(crate) fn update_will(&mut self, client: Client, will: Option<Will>) {
        let (ticket, will) = (Ticket(0), will.map(Box::new));
        self.apply(client, Operation::UpdateWill { ticket, will });
        self.run();
    }

    pub(crate) fn note(&mut self, client: Client, key: u32, value: Option<&str>) {
        let value = value.map(|value| value.as_bytes().into());
        self.apply(client, Operation::Note { key, value });
        self.run();
    }

    pub(crate) fn moved(&mut self, client: Client, address: &str) {
        self.apply(client, Operation::Moved(address.parse().unwrap()));
        self.run();
    }

    /// A farewell.
    pub(crate) fn disconnect(&mut self, client: Client) {
        self.part(client, DisconnectCause::Farewell, None);
    }

    /// A link that breaks.
    pub(crate) fn lose(&mut self, client: Client) {
        self.part(client, DisconnectCause::Lost(Reason::UNSPECIFIED), None);
    }

    pub(crate) fn part(&mut self, client: Client, cause: DisconnectCause, expiry: Option<Expiry>) {
        self.apply(client, Operation::Disconnect(Disconnect { cause, expiry }));
        self.run();
    }

    /// Kicks a session off its link; whether there was one.
    pub(crate) fn kick(&mut self, client_id: &str, reason: Reason) -> bool {
        let home = usize::from(self.home(client_id).0);
        let key = key_of(client_id);
        self.log.at = ShardId(home as u16);
        let known = self.shards[home].kick(self.now, &key, reason, &mut self.log);
        self.run();
        known
    }

    /// Takes what a client has seen, as text.
    pub(crate) fn take(&mut self, client: Client) -> Vec<String> {
        self.take_seen(client).iter().map(|seen| text_of(&seen.event)).collect()
    }

    pub(crate) fn take_seen(&mut self, client: Client) -> Vec<Seen> {
        self.log.seen.remove(&client.slot).unwrap_or_default().into()
    }

    /// Takes what a client has seen, which must be one delivery.
    pub(crate) fn take_delivery(&mut self, client: Client) -> Delivery<'static> {
        let mut seen = self.take_seen(client);
        assert_eq!(seen.len(), 1, "one delivery");
        match seen.remove(0).event {
            Event::Deliver(delivery) => delivery,
            other => panic!("no delivery: {other:?}"),
        }
    }
}

fn start(layout: Layout, key: &HashKey, setup: &Setup, written: &[Written]) -> Vec<Shard> {
    let (limits, plugins) = (Arc::new(setup.limits.clone()), Arc::new(setup.plugins.clone()));
    let shard = |(id, written): (u16, &Written)| {
        let store = MemoryStore::delayed(setup.delays[usize::from(id)]);
        Shard::new(ShardConfig {
            id: ShardId(id),
            shards: layout.shards,
            key: key.clone(),
            limits: Arc::clone(&limits),
            plugins: Arc::clone(&plugins),
            store: Box::new(Spy { store, written: Arc::clone(written) }),
            seed: setup.seed + u64::from(id),
        })
    };
    (0..layout.shards).zip(written).map(shard).collect()
}

/// The key of a client of the first gateway.
pub(crate) fn key_of(client_id: &str) -> ClientKey {
    ClientKey { gateway: GatewayId(0), client_id: client_id.into() }
}

fn codes(reasons: &[Reason]) -> Vec<u8> {
    reasons.iter().map(|reason| reason.as_u8()).collect()
}
