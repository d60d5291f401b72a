//! Shards with datagram links: what the host does, without sockets.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use core_broker::{HashKey, LookupId, Shard, ShardConfig, Sink};
use core_model::{
    BrokerLimits, Event, LinkId, Lookup, Operation, Plugins, Reason, ShardId, SlotId, Timestamp,
};
use core_store::MemoryStore;
use gateway_host::{
    Context, Gateway, Link, LinkFacts, ListenerFacts, Operations, Output, Rebind, Sender,
    SenderPath, Whose,
};

use crate::rng::Rng;

/// A node with one datagram listener.
pub struct Host {
    gateway: Arc<dyn Gateway>,
    facts: Arc<ListenerFacts>,
    seats: Vec<Seat>,
}

struct Seat {
    shard: Shard,
    links: Links,
}

/// The links of one shard.
struct Links {
    now: Timestamp,
    shard: ShardId,
    table: BTreeMap<u32, Place>,
    next: u32,
    pending: VecDeque<(SlotId, Operation<'static>)>,
    sent: Vec<(SocketAddr, Vec<u8>)>,
}

struct Place {
    machine: Box<dyn Link>,
    peer: Option<SocketAddr>,
    client_id: Option<Box<str>>,
}

/// The place of what takes datagrams that are nobody's.
const COMMONS: u32 = 0;

impl Host {
    /// A node of so many shards.
    #[must_use]
    pub fn new(gateway: Arc<dyn Gateway>, facts: ListenerFacts, shards: u16, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (key, facts) = (HashKey::new(rng.number()), Arc::new(facts));
        let limits = Arc::new(BrokerLimits::default());
        let now = Timestamp::from_millis(1_000_000);
        let seats = (0..shards).map(|number| {
            let id = ShardId(number);
            let shard = Shard::new(ShardConfig {
                id,
                shards,
                key: key.clone(),
                limits: Arc::clone(&limits),
                plugins: Arc::new(Plugins::default()),
                store: Box::new(MemoryStore::seeded(rng.number(), 3)),
                seed: rng.number(),
            });
            Seat { shard, links: Links::new(id, now) }
        });
        let mut host = Host { gateway, facts, seats: seats.collect() };
        for number in 0..usize::from(shards) {
            let facts = host.link_facts(number, None, false);
            if let Some(machine) = host.gateway.open_commons(&facts, now) {
                host.seats[number].links.put(machine, None, None);
            }
        }
        host.settle(now);
        host
    }

    /// What the node has sent since the last call.
    pub fn take_sent(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.seats.iter_mut().flat_map(|seat| std::mem::take(&mut seat.links.sent)).collect()
    }

    /// Links of peers, without those for nobody's datagrams.
    #[must_use]
    pub fn links(&self) -> usize {
        self.seats
            .iter()
            .flat_map(|seat| seat.links.table.values())
            .filter(|p| p.peer.is_some())
            .count()
    }

    fn link_facts(&self, seat: usize, peer: Option<SocketAddr>, is_relay: bool) -> LinkFacts {
        LinkFacts {
            listener: Arc::clone(&self.facts),
            shard: ShardId(seat as u16),
            peer,
            is_relay,
            transport: None,
            client_id: None,
        }
    }

    /// A datagram arrives, at any shard.
    pub fn input(&mut self, now: Timestamp, from: SocketAddr, datagram: &[u8]) {
        let gateway = Arc::clone(&self.gateway);
        let target = match gateway.whose(datagram) {
            Whose::Client { client_id, opens } => self.named(now, from, client_id, opens),
            Whose::Nobody => None,
            Whose::Peer => self.of_address(from).map(|at| (at, SenderPath::Known)),
            Whose::Newcomer | Whose::Relayed { .. } => unreachable!("no simulated client does it"),
        };
        let ((seat, index), path) = target.unwrap_or(((0, COMMONS), SenderPath::Known));
        let sender = Sender { address: from, path };
        let links = &mut self.seats[seat].links;
        links.now = now;
        links.call(index, Some(sender), |machine, context| {
            machine.on_input(datagram, context);
        });
        self.settle(now);
    }

    fn of_address(&self, address: SocketAddr) -> Option<(usize, u32)> {
        self.seats.iter().enumerate().find_map(|(seat, one)| {
            let mut places = one.links.table.iter();
            places.find(|(_, place)| place.peer == Some(address)).map(|(at, _)| (seat, *at))
        })
    }

    /// The link for a datagram that names its client.
    fn named(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        client_id: &str,
        opens: bool,
    ) -> Option<((usize, u32), SenderPath)> {
        let id = self.gateway.id();
        let seat = usize::from(self.seats[0].shard.home_of_name(id, client_id).0);
        let of_address = self.of_address(from);
        if let Some((there, index)) = of_address
            && self.seats[there].links.table[&index].client_id.as_deref() == Some(client_id)
        {
            return Some(((there, index), SenderPath::Known));
        }
        if opens {
            if let Some((there, index)) = of_address {
                self.seats[there].links.close(index, Reason::UNSPECIFIED);
                self.settle(now);
            }
            let facts = self.link_facts(seat, Some(from), false);
            let machine = self.gateway.open(&facts, now);
            let index = self.seats[seat].links.put(machine, Some(from), Some(client_id.into()));
            return Some(((seat, index), SenderPath::Known));
        }
        let slot = self.seats[seat].shard.slot_of(id, client_id)?;
        let index = slot.link.index;
        let peer = self.seats[seat].links.table.get(&index)?.peer?;
        let may_adopt = match self.facts.rebind {
            Rebind::DtlsOnly => false,
            Rebind::SameIp => peer.ip() == from.ip(),
            Rebind::Trust => true,
        };
        Some(((seat, index), SenderPath::Candidate { may_adopt }))
    }

    /// When something is to be done although nothing arrives.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let of_seat = |seat: &Seat| {
            let machines = seat.links.table.values().filter_map(|p| p.machine.next_deadline());
            machines.chain(seat.shard.next_deadline()).min()
        };
        self.seats.iter().filter_map(of_seat).min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) {
        for seat in &mut self.seats {
            seat.links.now = now;
            let due = |(index, place): (&u32, &Place)| {
                place.machine.next_deadline().is_some_and(|at| at <= now).then_some(*index)
            };
            let due: Vec<u32> = seat.links.table.iter().filter_map(due).collect();
            for index in due {
                seat.links.call(index, None, |machine, context| machine.on_deadline(context));
            }
        }
        self.settle(now);
    }

    /// Applies what machines want and passes mail until nothing is left to do.
    fn settle(&mut self, now: Timestamp) {
        for _ in 0..10_000 {
            let mut quiet = true;
            for number in 0..self.seats.len() {
                let Seat { shard, links } = &mut self.seats[number];
                links.now = now;
                while let Some((slot, operation)) = links.pending.pop_front() {
                    quiet = false;
                    shard.apply(now, slot, operation, links);
                }
                shard.tick(now, links);
                quiet &= links.pending.is_empty() && !shard.has_work();
                quiet &= !self.pass_mail(now, number);
            }
            if quiet {
                return;
            }
        }
        panic!("the node does not come to rest");
    }

    fn pass_mail(&mut self, now: Timestamp, from: usize) -> bool {
        let mut any = false;
        for to in (0..self.seats.len()).filter(|to| *to != from) {
            let mail = std::mem::take(self.seats[from].shard.outbox(ShardId(to as u16)));
            any |= !mail.is_empty();
            let Seat { shard, links } = &mut self.seats[to];
            for one in mail {
                shard.receive(now, ShardId(from as u16), one, links);
            }
        }
        any
    }
}

impl Links {
    fn new(shard: ShardId, now: Timestamp) -> Self {
        Links {
            now,
            shard,
            table: BTreeMap::new(),
            next: COMMONS,
            pending: VecDeque::new(),
            sent: Vec::new(),
        }
    }

    fn put(
        &mut self,
        machine: Box<dyn Link>,
        peer: Option<SocketAddr>,
        client_id: Option<Box<str>>,
    ) -> u32 {
        let index = self.next;
        self.next += 1;
        self.table.insert(index, Place { machine, peer, client_id });
        index
    }

    fn call<'a>(
        &mut self,
        index: u32,
        sender: Option<Sender>,
        act: impl FnOnce(&mut dyn Link, &mut Context<'a, '_>),
    ) {
        let Some(place) = self.table.get_mut(&index) else { return };
        let (mut output, mut close) = (Output::for_datagrams(), None);
        let mut operations: Operations<'a> = Operations::new();
        let mut context = Context::new(self.now, &mut output, &mut operations, &mut close);
        if let Some(sender) = sender {
            context = context.of_sender(sender);
        }
        act(place.machine.as_mut(), &mut context);
        let sender = context.sender();
        self.collect(index, operations);
        let Some(place) = self.table.get_mut(&index) else { return };
        if let Some(Sender { address, path: SenderPath::Adopted }) = sender {
            place.peer = Some(address);
            let slot = slot(self.shard, index, 0);
            self.pending.push_back((slot, Operation::Moved(address)));
        }
        let answered = sender.map(|sender| sender.address).or(place.peer);
        for (to, frame) in output.datagrams() {
            if let Some(to) = to.or(answered) {
                self.sent.push((to, frame.to_vec()));
            }
        }
        if close.is_some() {
            self.close(index, Reason::SUCCESS);
        }
    }

    fn close(&mut self, index: u32, reason: Reason) {
        let Some(mut place) = self.table.remove(&index) else { return };
        let (mut output, mut close) = (Output::for_datagrams(), None);
        let mut operations = Operations::new();
        let mut context = Context::new(self.now, &mut output, &mut operations, &mut close);
        place.machine.on_close(reason, &mut context);
        self.collect(index, operations);
    }

    fn collect(&mut self, index: u32, operations: Operations<'_>) {
        for (number, operation) in operations {
            self.pending.push_back((slot(self.shard, index, number), operation.detach()));
        }
    }
}

fn slot(shard: ShardId, index: u32, number: u32) -> SlotId {
    SlotId { shard, link: LinkId { index, generation: index }, number }
}

impl Sink for Links {
    fn event(&mut self, slot: SlotId, event: Event<'_>) {
        let event = event.detach();
        self.call(slot.link.index, None, |machine, context| {
            machine.on_event(slot.number, event, context);
        });
    }

    fn look_up(&mut self, _: LookupId, _: Lookup) {
        unreachable!("no plug-in asks for it");
    }
}
