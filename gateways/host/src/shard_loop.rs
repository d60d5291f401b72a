use std::sync::Arc;
use std::task::Waker;

use core_broker::{Mail, Shard, ShardConfig};
use core_model::{LinkId, Message, Operation, Reason, ShardId, Timestamp};
use gateway_transport::Established;

use crate::acceptor::{Accepted, Acceptor, Permit};
use crate::events::HostEvent;
use crate::forwarding::Held;
use crate::links::{Links, LooseLink, MovedLink, Traffic};
use crate::listeners::Sweep;
use crate::outgoing::{Arrival, Outgoing};
use crate::rates::Pace;
use crate::reactor::{Next, ReadyList, Reception, Socket, Stream, Token, Turn};
use crate::ring::Batch;
use crate::shared::{Command, NodeShared};
use crate::sys::Sys;
use crate::unread::{Buffer, Unread};
use crate::wire::{Passage, Wire};
use crate::writing::earlier;
use crate::{Close, HostLimits, LinkFacts, NodeCounters, Output};

/// Times that the end of a turn looks at links again, since finishing one touched others.
const FINISH_ROUNDS_MAX: usize = 3;
/// Least size of the memory that all links are read into.
const READ_BUFFER_BYTES_MIN: usize = 4096;

/// One shard: its links, its part of the core, and the loop that drives both.
///
/// A turn takes all that has happened since the last one and does, in this order: mail of other
/// shards, input, timers, the core's own work, output, mail to other shards.
pub(crate) struct ShardLoop {
    pub(crate) id: ShardId,
    pub(crate) shard: Shard,
    pub(crate) links: Links,
    pub(crate) outgoing: Outgoing,
    /// Memory that all links are read into.
    pub(crate) scratch: Buffer,
    /// Memory that links with filters are read through.
    pub(crate) passage: Passage,
    /// Memory that datagrams are received into.
    pub(crate) reception: Reception,
    /// Datagrams of other shards that wait until links may be read.
    pub(crate) held: Held,
    /// Shared by the look-ups that run for this shard, to count them.
    pub(crate) lookups_running: Arc<()>,
    /// The list of links to read that is not in use.
    pub(crate) reading: Vec<u32>,
    pub(crate) acceptors: Vec<Acceptor>,
    /// Links that are being closed, a part in each turn.
    pub(crate) sweeps: Vec<Sweep>,
    pub(crate) ready: Arc<ReadyList>,
    pub(crate) node: Arc<NodeShared>,
    woken: Vec<Token>,
    incoming: Vec<(ShardId, Batch<Mail, Arrival>)>,
    expired: Vec<u32>,
    sys: Option<Sys>,
    /// Whether anything has happened in this turn.
    busy: bool,
    /// When the others get to see the counters, if something has happened.
    counters_due: Option<Timestamp>,
    drain: Drain,
    stopping: bool,
}

/// How far the end of the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    /// Not begun.
    No,
    /// Links are closing.
    Begun,
    /// No link is left.
    Done,
}

/// What a shard needs to know at its start.
pub(crate) struct ShardStart {
    pub(crate) core: ShardConfig,
    pub(crate) limits: HostLimits,
    pub(crate) node: Arc<NodeShared>,
    pub(crate) sys: Option<Sys>,
}

impl ShardLoop {
    /// Builds the shard, on its own thread and inside the reactor.
    ///
    pub(crate) fn new(start: ShardStart, ready: Arc<ReadyList>, waker: &Waker) -> Self {
        let (id, node) = (start.core.id, start.node);
        node.mesh.set_waker(id, waker);
        let scratch_len = start.limits.read_buffer_bytes.max(READ_BUFFER_BYTES_MIN);
        let mut links = Links::new(id, node.clock.now(), start.limits, Arc::clone(&ready));
        let mut shard = Shard::new(start.core);
        shard.restore(links.now, &mut links);
        ShardLoop {
            id,
            shard,
            links,
            outgoing: Outgoing::new(id, Arc::clone(&node.mesh)),
            scratch: Buffer::with_len(scratch_len),
            passage: Passage::default(),
            reception: Reception::default(),
            held: Held::default(),
            lookups_running: Arc::default(),
            reading: Vec::new(),
            node,
            acceptors: Vec::new(),
            sweeps: Vec::new(),
            ready,
            woken: Vec::new(),
            incoming: Vec::new(),
            expired: Vec::new(),
            sys: start.sys,
            busy: false,
            counters_due: None,
            drain: Drain::No,
            stopping: false,
        }
    }

    /// Whether the node is ending.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain != Drain::No
    }

    /// Links that are still there.
    pub(crate) fn links_left(&self) -> usize {
        self.links.len()
    }

    /// Something has happened in this turn.
    pub(crate) fn note_busy(&mut self) {
        self.busy = true;
    }

    /// Applies the operations that machines asked for outside of input.
    #[inline]
    pub(crate) fn apply_pending(&mut self) {
        while let Some((slot, operation)) = self.links.pending.pop_front() {
            self.shard.apply(self.links.now, slot, operation, &mut self.links);
        }
    }

    /// Whether links may be read and connections accepted: the rings have room for what they may
    /// cause, and this shard knows what the others' sessions want, which a restart has to bring
    /// back first.
    pub(crate) fn may_read(&self) -> bool {
        self.outgoing.is_clear() && self.shard.is_restored()
    }

    fn take_woken(&mut self) {
        self.ready.take(&mut self.woken);
        self.busy = !self.woken.is_empty() || !self.links.to_read.is_empty();
        for token in self.woken.drain(..) {
            match token {
                Token::Link(index) => self.links.wake(index),
                Token::Listener(number) => {
                    let mut acceptors = self.acceptors.iter_mut();
                    if let Some(acceptor) = acceptors.find(|a| a.number() == number) {
                        acceptor.wake();
                    }
                }
                Token::Datagrams(number) => self.links.wake_port(number),
            }
        }
    }

    /// Hands over all mail that the rings have room for.
    pub(crate) fn hand_over(&mut self) {
        self.pack_news();
        if !self.outgoing.hand_over(&mut self.shard) {
            self.links.counters.ring_full += 1;
        }
    }

    /// Writes in the middle of a turn.
    pub(crate) fn write_early(&mut self) {
        self.hand_over_news();
        self.links.write_early();
        self.apply_pending();
    }

    /// Takes what other shards have sent and what the shard is asked for.
    pub(crate) fn take_mail(&mut self) {
        if !self.node.mesh.was_rung(self.id) {
            return;
        }
        self.busy = true;
        let mut incoming = std::mem::take(&mut self.incoming);
        self.node.mesh.take(self.id, &mut incoming);
        for (from, mut batch) in incoming.drain(..) {
            for mail in batch.mail.drain(..) {
                self.shard.receive(self.links.now, from, mail, &mut self.links);
                self.apply_pending();
            }
            for arrival in batch.arrivals {
                match arrival {
                    Arrival::Accepted(Accepted { socket, peer, permit }) => {
                        // Without memory in the kernel there is nothing to tell this client.
                        if let Ok(socket) = Socket::register(socket) {
                            self.open(Accepted { socket, peer, permit });
                        }
                    }
                    Arrival::Moved(moved) => self.settle_in(*moved),
                    Arrival::Parcel(parcel) => self.take_parcel(from, *parcel),
                }
            }
            self.node.mesh.recycle(from, self.id, batch.mail);
        }
        self.incoming = incoming;
        for command in self.node.take_commands(self.id) {
            match command {
                Command::Drain => self.begin_drain(),
                Command::Stop => self.stopping = true,
                Command::Run(job) => {
                    job(self);
                    self.apply_pending();
                }
            }
        }
    }

    fn accept(&mut self) {
        let (now, shards) = (self.links.now, self.node.shards);
        let may_read = self.may_read();
        let mut accepted = Vec::new();
        for acceptor in &mut self.acceptors {
            if may_read && self.outgoing.is_clear() && acceptor.is_ready(now) {
                self.busy = true;
                let Links { limits, counters, per_listener, .. } = &mut self.links;
                acceptor.accept(now, limits, shards, counters, per_listener, |to, connection| {
                    accepted.push((to, connection));
                });
            }
        }
        for (to, connection) in accepted {
            if let Some(entrance) = connection.permit.listener().entrance.clone() {
                self.send_to_lobby(connection, &entrance);
                continue;
            }
            if to == self.id {
                self.open(connection);
                continue;
            }
            let Accepted { socket, peer, permit } = connection;
            if let Ok(socket) = socket.release() {
                self.outgoing.send(to, Arrival::Accepted(Accepted { socket, peer, permit }));
            }
        }
    }

    /// Makes a link of a connection that needs no handshake.
    fn open(&mut self, accepted: Accepted<Socket>) {
        let Accepted { socket, peer, permit } = accepted;
        let listener = Arc::clone(&permit.listener().facts);
        let (shard, is_relay) = (self.id, false);
        let facts = LinkFacts { listener, shard, peer, is_relay, transport: None, client_id: None };
        self.open_link(socket, permit, &facts, None, Unread::Nothing);
    }

    /// Makes a link of a connection whose handshake is done.
    pub(crate) fn establish(&mut self, stream: Stream, permit: Permit, established: Established) {
        let Ok(socket) = Socket::register(stream) else { return };
        let Established { filter, plain, peer, facts: transport, client_id } = established;
        let listener = Arc::clone(&permit.listener().facts);
        let (shard, is_relay) = (self.id, false);
        let facts = LinkFacts { listener, shard, peer, is_relay, transport, client_id };
        let wire = filter.map(|filter| Box::new(Wire::new(filter)));
        let unread = Unread::of(plain, self.scratch.len());
        self.open_link(socket, permit, &facts, wire, unread);
    }

    fn open_link(
        &mut self,
        socket: Socket,
        permit: Permit,
        facts: &LinkFacts,
        wire: Option<Box<Wire>>,
        unread: Unread,
    ) {
        // A connection that arrives in the last moment is closed without a word.
        if self.drain != Drain::No || permit.listener().is_closed() {
            return;
        }
        let (listener, now) = (permit.listener(), self.links.now);
        let machine = listener.gateway.open(facts, now);
        self.links.counters.links_opened += 1;
        self.links.per_listener.at(listener.number).links_opened += 1;
        let (pace, traffic) = (Pace::new(&listener.rates, now), Traffic::new(now));
        let (output, may_move) = (Output::default(), true);
        let loose = LooseLink { machine, permit, output, unread, wire, pace, traffic, may_move };
        let link = self.links.insert(socket, loose);
        if self.links.tracer.is_some() {
            self.links.consider_trace(link.index, None, facts.peer);
        }
        let (listener, peer) = (&facts.listener.name, facts.peer);
        HostEvent::LinkOpened { listener, link, peer }.emit();
    }

    /// Takes over a link of another shard.
    fn settle_in(&mut self, moved: MovedLink) {
        let MovedLink { stream, mut link, operations } = moved;
        let Ok(socket) = Socket::register(stream) else {
            // The id of no link: the core knows no such slot and ignores what the machine asks for.
            let nobody = LinkId { index: u32::MAX, generation: u32::MAX };
            self.links.depart(link.machine.as_mut(), nobody, Reason::UNSPECIFIED);
            self.apply_pending();
            return;
        };
        self.links.counters.links_moved += 1;
        let id = self.links.insert(socket, link);
        let is_late = self.links.at(id.index).is_some_and(|l| l.permit.listener().is_closed());
        if self.drain != Drain::No || is_late {
            self.links.close(id.index, Close::Flush(Reason::SERVER_SHUTTING_DOWN));
            self.apply_pending();
            return;
        }
        if let Some(link) = self.links.at(id.index) {
            link.connected = true;
        }
        for (number, operation) in operations {
            if let Operation::Connect(connect) = &operation
                && self.links.tracer.is_some()
            {
                self.links.trace_moved(id.index, connect);
            }
            let slot = self.links.slot(id, number);
            self.shard.apply(self.links.now, slot, operation, &mut self.links);
            self.apply_pending();
        }
    }

    fn run_timers(&mut self) {
        let mut expired = std::mem::take(&mut self.expired);
        self.links.timers.expire(self.links.now, &mut expired);
        self.busy |= !expired.is_empty();
        for index in expired.drain(..) {
            self.links.on_timer(index);
            self.apply_pending();
        }
        self.expired = expired;
    }

    fn finish_links(&mut self) {
        for _ in 0..FINISH_ROUNDS_MAX {
            if self.links.touched.is_empty() {
                return;
            }
            self.links.finish();
            self.apply_pending();
        }
    }

    fn begin_drain(&mut self) {
        if self.drain != Drain::No {
            return;
        }
        self.drain = Drain::Begun;
        self.acceptors.clear();
        self.shard.drain(self.links.now, &mut self.links);
        self.apply_pending();
        self.sweeps.push(Sweep::of_drain());
    }

    /// Closes what is left, so that sessions know that their links are gone.
    fn close_all(&mut self) {
        for index in self.links.indices() {
            self.links.close(index, Close::Now(Reason::SERVER_SHUTTING_DOWN));
            self.apply_pending();
        }
        self.shard.tick(self.links.now, &mut self.links);
        self.show_counters();
    }

    fn show_counters(&mut self) {
        self.links.pool.shrink();
        let (broker, host) = (self.shard.counters().clone(), self.links.counters);
        let listeners = self.links.per_listener.clone();
        self.node.show_counters(self.id, NodeCounters { broker, host, listeners });
    }

    /// Shows the counters about once an interval, but only when something has happened. What
    /// happens late in a turn may be counted in the next one, so a busy turn always sees another.
    fn count(&mut self) {
        let now = self.links.now;
        if self.counters_due.is_some_and(|due| due <= now) {
            self.counters_due = None;
            self.show_counters();
        }
        if self.busy && self.counters_due.is_none() {
            let interval_ms = self.links.limits.counters_interval_ms;
            self.counters_due = Some(now.plus_millis(interval_ms));
        }
    }

    fn publish_sys(&mut self) {
        let now = self.links.now;
        let Some(sys) = &mut self.sys else { return };
        if sys.due_at() > now {
            return;
        }
        self.busy = true;
        let counters = self.node.counters();
        for (topic, value) in sys.update(now, self.node.clock.uptime(), &counters) {
            let mut message = Message::new(topic, value.as_bytes());
            message.retain = true;
            self.shard.publish(now, &message, &mut self.links);
        }
        self.apply_pending();
    }

    fn next(&mut self) -> Next {
        if self.drain == Drain::Begun && self.links.len() == 0 {
            self.drain = Drain::Done;
            self.node.shard_drained();
        }
        if self.stopping {
            self.close_all();
            return Next::Stop;
        }
        let now = self.links.now;
        let input = !self.links.to_read.is_empty()
            || self.acceptors.iter().any(|acceptor| acceptor.is_ready(now))
            || self.links.ports.is_ready(now)
            || !self.held.is_empty();
        let lookups = !self.links.lookups.is_empty();
        let work = self.shard.has_work() || !self.sweeps.is_empty() || lookups;
        if (input && self.may_read()) || !self.links.touched.is_empty() || work {
            return Next::Again;
        }
        let mut deadline = earlier(self.links.timers.next(), self.shard.next_deadline());
        deadline = earlier(deadline, self.counters_due);
        deadline = earlier(deadline, self.sys.as_ref().map(Sys::due_at));
        for acceptor in &self.acceptors {
            deadline = earlier(deadline, acceptor.resume_at());
        }
        for port in &self.links.ports.list {
            deadline = earlier(deadline, port.resume_at());
        }
        Next::Wait(deadline.map(|at| self.node.clock.instant(at)))
    }
}

impl Turn for ShardLoop {
    fn turn(&mut self) -> Next {
        self.links.now = self.node.clock.now();
        self.links.counters.turns += 1;
        self.take_woken();
        self.take_mail();
        self.accept();
        self.read_links();
        self.read_datagrams();
        self.run_timers();
        self.apply_pending();
        self.shard.tick(self.links.now, &mut self.links);
        self.apply_pending();
        self.sweep();
        self.publish_sys();
        self.start_lookups();
        self.hand_over_news();
        self.finish_links();
        self.hand_over();
        self.count();
        self.next()
    }
}
