use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use core_model::{
    BrokerLimits, ClientKey, Connect, DisconnectCause, Event, Exchange, GatewayId, Lookup, Message,
    Operation, Plugins, Publish, Reason, ShardId, SlotId, Ticket, Timestamp,
};
use core_store::Store;
use hashbrown::HashMap;
use slab::Slab;

use crate::attempts::Attempts;
use crate::context::{Cx, Note, Outboxes};
use crate::groups::Groups;
use crate::journal::{Gated, Journal};
use crate::mail::Letter;
use crate::named::Named;
use crate::pulls::{Pulls, WriteRef};
use crate::reports::Reports;
use crate::retained::RetainedStore;
use crate::routes::{Routes, SessionIndex};
use crate::session::Session;
use crate::slots::{Bound, Slots};
use crate::subscribe::Requests;
use crate::timers::Timers;
use crate::work::Work;
use crate::{Counters, HashKey, Mail};

/// Where a shard's events for its own links go. Called while an operation is applied, so it must
/// not call back into the shard; operations that an event provokes are applied afterwards.
pub trait Sink {
    /// An event for a slot of this shard. A slot that is gone ignores it.
    fn event(&mut self, slot: SlotId, event: Event<'_>);

    /// A look-up that is to run beside the shard, for a limited time. Its verdict goes to
    /// [`Shard::answer`], exactly once; when it took too long or panicked, a refusal with "Server
    /// unavailable" does.
    fn look_up(&mut self, id: LookupId, lookup: Lookup);
}

/// Names a look-up until its answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupId {
    /// The slot that waits for it.
    pub(crate) slot: SlotId,
    /// Tells it from earlier ones of the same slot.
    pub(crate) number: u32,
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
    pub(crate) id: ShardId,
    pub(crate) shards: u16,
    pub(crate) key: HashKey,
    pub(crate) limits: Arc<BrokerLimits>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) sessions: Slab<Session>,
    /// In order, so that an operator can go through them page by page.
    pub(crate) by_key: BTreeMap<ClientKey, SessionIndex>,
    pub(crate) next_generation: u32,
    /// Shards, this one too, whose interest is not known yet after a restart.
    pub(crate) restoring: u16,
    /// Groups that restored sessions have not joined yet.
    pub(crate) rejoining: usize,
    pub(crate) slots: Slots,
    /// Connects that are not decided yet.
    pub(crate) attempts: Attempts,
    /// Connected clients that authenticate again.
    pub(crate) reauthenticating: HashMap<SlotId, Box<dyn Exchange>, foldhash::fast::FixedState>,
    pub(crate) routes: Routes,
    pub(crate) retained: RetainedStore,
    pub(crate) requests: Requests,
    pub(crate) pulls: Pulls,
    pub(crate) groups: Groups,
    pub(crate) journal: Journal,
    pub(crate) out: Outboxes,
    pub(crate) notes: Vec<Note>,
    pub(crate) reports: Reports,
    /// How often the node's rules have changed.
    pub(crate) rules_round: u32,
    /// The node stops.
    pub(crate) draining: bool,
    pub(crate) timers: Timers,
    pub(crate) work: VecDeque<Work>,
    pub(crate) counters: Counters,
    pub(crate) random: Random,
    /// Where mountpoint and topic are joined, so that no publish allocates.
    pub(crate) scratch: String,
}

impl Shard {
    /// A shard without sessions.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let ShardConfig { id, shards, key, limits, plugins, store, seed } = config;
        Shard {
            id,
            shards: shards.max(1),
            sessions: Slab::new(),
            by_key: BTreeMap::new(),
            next_generation: 1,
            restoring: 0,
            rejoining: 0,
            slots: Slots::new(id),
            attempts: Attempts::default(),
            reauthenticating: HashMap::default(),
            routes: Routes::new(limits.route_cache_topics_max, seed),
            retained: RetainedStore::new(limits.retained_messages_max, limits.retained_bytes_max),
            requests: Requests::new(shards),
            pulls: Pulls::default(),
            groups: Groups::default(),
            journal: Journal::new(store),
            out: Outboxes::new(id, shards),
            notes: Vec::new(),
            reports: Reports::new(!plugins.observers.is_empty()),
            rules_round: 0,
            draining: false,
            timers: Timers::default(),
            work: VecDeque::new(),
            counters: Counters::default(),
            random: Random::new(seed),
            scratch: String::new(),
            key,
            limits,
            plugins,
        }
    }

    /// This shard's number.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// The home shard of a session.
    #[must_use]
    pub fn home_of(&self, client: &ClientKey) -> ShardId {
        self.key.home(client, self.shards)
    }

    /// The home shard of the session of `client_id` at `gateway`.
    #[must_use]
    pub fn home_of_name(&self, gateway: GatewayId, client_id: &str) -> ShardId {
        self.key.home_of_name(gateway, client_id, self.shards)
    }

    /// Where the client is whose session lives on this shard, if it has a link.
    #[must_use]
    pub fn slot_of(&self, gateway: GatewayId, client_id: &str) -> Option<SlotId> {
        let name: &dyn Named = &(gateway, client_id);
        self.sessions.get(self.by_key.get(name)?.0 as usize)?.slot
    }

    /// Applies an operation of a slot of this shard. A connect whose session lives elsewhere makes
    /// a remote slot: its operations and events travel by mail (a driver that can move the link
    /// does that instead, before it applies the connect).
    #[inline]
    pub fn apply(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        operation: Operation<'_>,
        sink: &mut dyn Sink,
    ) {
        match self.slots.find(slot) {
            Some(Bound::Session(index)) => self.apply_to(now, index, slot, operation, sink),
            Some(Bound::Authenticating) => self.apply_unknown(now, slot, operation, sink),
            Some(Bound::Remote(home)) => {
                if matches!(operation, Operation::Disconnect(_)) {
                    self.slots.unbind(slot);
                }
                self.out.send(home, Letter::Operation { slot, operation: operation.detach() });
            }
            None => {
                // Anything but a connect: the session was taken over or ended meanwhile.
                if let Operation::Connect(connect) = operation {
                    self.place_connect(now, slot, connect, sink);
                }
            }
        }
    }

    fn place_connect(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        sink: &mut dyn Sink,
    ) {
        let home = connect.key().map_or(self.id, |key| self.home_of(&key));
        if home == self.id {
            return self.on_connect(now, slot, connect, sink);
        }
        self.slots.bind(slot, Bound::Remote(home));
        self.out.send(home, Letter::Operation { slot, operation: Operation::Connect(connect) });
    }

    /// An operation of a slot that has no session yet.
    fn apply_unknown(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        operation: Operation<'_>,
        sink: &mut dyn Sink,
    ) {
        match operation {
            Operation::Authenticate { data, .. } => self.on_authenticate(now, slot, &data, sink),
            Operation::Disconnect(_) => {
                self.slots.unbind(slot);
                self.attempts.remove(slot);
            }
            // A slot connects once at a time; machines refuse a second connect themselves.
            Operation::Connect(_)
            | Operation::Subscribe(_)
            | Operation::Unsubscribe(_)
            | Operation::Publish(_)
            | Operation::Release { .. }
            | Operation::Settle { .. }
            | Operation::Read(_)
            | Operation::UpdateWill { .. }
            | Operation::Note { .. }
            | Operation::Moved(_)
            | Operation::Demand(_) => {}
        }
    }

    #[inline]
    fn apply_to(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        slot: SlotId,
        mut operation: Operation<'_>,
        sink: &mut dyn Sink,
    ) {
        match operation {
            // By reference: a message is large enough for its copies to show in a profile.
            Operation::Publish(ref mut publish) => self.on_publish(now, index, publish, sink),
            Operation::Settle { handle, outcome } => {
                self.with_session(now, sink, index, |session, cx| {
                    let (to, outgoing) = session.sending();
                    outgoing.settle(cx, to, handle, outcome);
                });
                self.after_settle(now, index, sink);
            }
            Operation::Release { ticket, id } => self.on_release(now, index, ticket, id, sink),
            Operation::Subscribe(subscribe) => {
                self.on_subscribe(now, index, slot, *subscribe, sink);
            }
            Operation::Unsubscribe(unsubscribe) => {
                self.on_unsubscribe(now, index, slot, &unsubscribe, sink);
            }
            Operation::Demand(credit) => self.on_demand(now, index, credit, sink),
            Operation::Disconnect(disconnect) => {
                self.on_disconnect(now, index, slot, disconnect, sink);
            }
            Operation::Read(read) => self.on_read(now, index, slot, *read, sink),
            Operation::UpdateWill { ticket, will } => {
                self.on_update_will(now, index, ticket, will, sink);
            }
            Operation::Note { key, value } => self.on_note(index, key, value),
            Operation::Moved(peer) => self.on_moved(now, index, peer, sink),
            Operation::Authenticate { method, data } => {
                self.on_reauthenticate(now, index, slot, &method, &data, sink);
            }
            // A slot connects once; machines refuse a second connect themselves.
            Operation::Connect(_) => {}
        }
    }

    /// Takes one piece of mail from shard `from`.
    pub fn receive(&mut self, now: Timestamp, from: ShardId, mail: Mail, sink: &mut dyn Sink) {
        match mail.0 {
            Letter::Operation { slot, operation } => match (self.slots.find(slot), operation) {
                (None, Operation::Connect(connect)) => self.on_connect(now, slot, connect, sink),
                (_, operation) => self.apply(now, slot, operation, sink),
            },
            Letter::Event { slot, event } => {
                if matches!(event, Event::Kicked { .. } | Event::Refused { .. }) {
                    self.slots.unbind(slot);
                }
                sink.event(slot, event);
            }
            Letter::Publish { message, ack, write } => {
                self.on_publish_mail(now, WriteRef { shard: from, write }, message, ack, sink);
            }
            Letter::Taken { ack, reason } => self.on_taken(now, ack, reason, sink),
            Letter::Restored => self.on_restored(),
            Letter::Interest { request, filters } => self.on_interest(from, request, &filters),
            Letter::Interested { request, writes } => {
                self.on_interested(now, from, request, writes, sink);
            }
            Letter::InterestChanged { filter, durable } => {
                self.routes.set_interest(&filter, from, durable);
            }
            Letter::NoInterest { filters } => {
                for filter in filters {
                    self.routes.clear_interest(&filter, from);
                }
            }
            Letter::Retain { message, ack } => self.on_retain_mail(now, from, message, ack, sink),
            Letter::Pull { pull, filter, cursor, barrier } => {
                self.on_pull(now, from, pull, filter, cursor, barrier);
            }
            Letter::Page { pull, messages, cursor, arrived } => {
                self.on_page(now, pull, messages, cursor, &arrived, sink);
            }
            Letter::Read { request, filter, cursor, limit } => {
                self.on_read_mail(now, from, request, &filter, cursor.as_deref(), limit);
            }
            Letter::ReadPage { request, messages, more } => {
                self.on_read_page(now, request, messages, more, sink);
            }
            letter => self.receive_group(now, from, letter, sink),
        }
    }

    /// Ends a turn: passes what has become durable, runs timers, does a budget of resumable work.
    /// To be called once after all input of a turn, also when there was none but
    /// [`Self::next_deadline`] has passed or [`Self::has_work`] says so.
    pub fn tick(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        let mut budget = self.limits.work_per_turn_max.max(1);
        while budget > 0 {
            let Some(index) = self.pop_alarm(now) else { break };
            let before = self.counters.subscriptions;
            self.on_alarm(now, index, sink);
            let removed = before.saturating_sub(self.counters.subscriptions);
            budget = budget.saturating_sub(1 + removed as usize);
        }
        self.do_work(now, budget, sink);
        self.expire_retained(now, budget);
        self.settle_notes(now, sink);
        self.journal.commit();
        while let Some(gated) = self.journal.next_open() {
            self.pass(now, gated, sink);
        }
        self.report_troubles(now);
        self.counters.sessions = self.sessions.len() as u64;
        self.counters.authenticating = self.attempts.len() as u64;
        self.counters.lookups = self.attempts.running() as u64;
        self.counters.retained = self.retained.len() as u64;
        self.counters.retained_bytes = self.retained.bytes() as u64;
    }

    fn pass(&mut self, now: Timestamp, gated: Gated, sink: &mut dyn Sink) {
        match gated {
            Gated::Send { session, generation, handle } => {
                self.with_generation(now, sink, session, generation, |session, cx| {
                    let (to, outgoing) = session.sending();
                    outgoing.send_gated(cx, to, handle);
                });
            }
            Gated::Release { session, generation, handle } => {
                self.with_generation(now, sink, session, generation, |session, cx| {
                    let (to, outgoing) = session.sending();
                    outgoing.release_gated(cx, to, handle);
                });
            }
            Gated::Acks { session, generation } => {
                self.with_generation(now, sink, session, generation, Session::flush_acks);
            }
            Gated::Reply { ack, reason } => self.reply(now, ack, reason, sink),
        }
    }

    /// When [`Self::tick`] must be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines =
            [self.timers.next(), self.retained.next_deadline(), self.reports.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Whether [`Self::tick`] has more to do at once.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.work.is_empty() || self.journal.is_behind()
    }

    /// Mail for another shard, in order. The driver takes it at the end of a turn when the ring has
    /// room, and leaves it otherwise; while any is left it must not read links.
    pub fn outbox(&mut self, to: ShardId) -> &mut Vec<Mail> {
        self.out.of(to)
    }

    /// Publishes a message of the server itself (such as `$SYS`), without any gate.
    pub fn publish(&mut self, now: Timestamp, message: &Message<'_>, sink: &mut dyn Sink) {
        let dispatched = self.dispatch(now, message, None, sink);
        self.count_refused(None, &dispatched);
        self.settle_notes(now, sink);
    }

    /// Tells every slot that the node stops, also those whose connect is not decided yet, and lets
    /// nobody in any more.
    pub fn drain(&mut self, _now: Timestamp, _sink: &mut dyn Sink) {
        self.draining = true;
        self.work.push_back(Work::DrainAttempts { after: None });
        self.work.push_back(Work::Drain { next: 0 });
    }

    /// Ends the hold of whatever link a session has, and refuses what connects to it, with the given
    /// reason; whether there was such a session or connect.
    pub fn kick(
        &mut self,
        now: Timestamp,
        client: &ClientKey,
        reason: Reason,
        sink: &mut dyn Sink,
    ) -> bool {
        let waited = self.give_up_client(now, client, reason, sink);
        let Some(index) = self.by_key.get(client).copied() else { return waited };
        self.kick_slot(now, index, reason, sink);
        self.close_link(now, index, DisconnectCause::Lost(reason), None, sink);
        true
    }

    /// The shard's counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The sessions beside the parts that their code works on.
    #[inline]
    pub(crate) fn split<'s>(
        &'s mut self,
        now: Timestamp,
        sink: &'s mut dyn Sink,
    ) -> (&'s mut Slab<Session>, Cx<'s>) {
        let cx = Cx {
            now,
            limits: &self.limits,
            journal: &mut self.journal,
            counters: &mut self.counters,
            out: &mut self.out,
            sink,
            notes: &mut self.notes,
            reports: &mut self.reports,
        };
        (&mut self.sessions, cx)
    }

    #[inline]
    pub(crate) fn with_session<R>(
        &mut self,
        now: Timestamp,
        sink: &mut dyn Sink,
        index: SessionIndex,
        act: impl FnOnce(&mut Session, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let (sessions, mut cx) = self.split(now, sink);
        let session = sessions.get_mut(index.0 as usize)?;
        Some(act(session, &mut cx))
    }

    /// As [`Self::with_session`], unless another session has taken the place; then settles what it
    /// left to do.
    pub(crate) fn with_generation(
        &mut self,
        now: Timestamp,
        sink: &mut dyn Sink,
        index: SessionIndex,
        generation: u32,
        act: impl FnOnce(&mut Session, &mut Cx<'_>),
    ) {
        self.with_session(now, sink, index, |session, cx| {
            if session.generation == generation {
                act(session, cx);
            }
        });
        self.settle_notes(now, sink);
    }

    /// After a session's deliveries moved on: groups learn of free credit, retained messages that
    /// waited for room go on.
    #[inline]
    pub(crate) fn after_settle(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        sink: &mut dyn Sink,
    ) {
        if !self.notes.is_empty() {
            self.settle_notes(now, sink);
        }
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let (owes_drained, pulls) = (session.outgoing.owes_drained(), !session.pulls.is_empty());
        if pulls {
            self.resume_pulls(index);
        } else if owes_drained {
            self.tell_drained(now, index, sink);
        }
    }

    /// Tells a client that nothing waits for it any more, if it is to hear that and it is so.
    pub(crate) fn tell_drained(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        sink: &mut dyn Sink,
    ) {
        self.with_session(now, sink, index, |session, cx| {
            if let Some(slot) = session.slot
                && session.pulls.is_empty()
                && session.outgoing.take_drained()
            {
                cx.event(slot, Event::Drained);
            }
        });
    }

    /// Whether a session is still the one that was in its place.
    pub(crate) fn is_generation(&self, index: SessionIndex, generation: u32) -> bool {
        self.sessions.get(index.0 as usize).is_some_and(|session| session.generation == generation)
    }

    /// With a link its credentials may have expired or a delivery may have to be repeated, without
    /// one the will or the end may be due.
    fn on_alarm(&mut self, now: Timestamp, index: SessionIndex, sink: &mut dyn Sink) {
        if self.sessions.get(index.0 as usize).is_some_and(|session| session.slot.is_none()) {
            return self.on_offline_alarm(now, index, sink);
        }
        let expires_at = self.credentials_expire_at(index);
        if expires_at.is_some_and(|at| at <= now) {
            let reason = Reason::NOT_AUTHORIZED;
            self.kick_slot(now, index, reason, sink);
            return self.close_link(now, index, DisconnectCause::Lost(reason), None, sink);
        }
        let again = self.with_session(now, sink, index, |session, cx| {
            let (to, outgoing) = session.sending();
            outgoing.retransmit(cx, to)
        });
        self.set_alarm(index, again.flatten().into_iter().chain(expires_at).min());
    }

    fn on_release(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        ticket: Ticket,
        id: u16,
        sink: &mut dyn Sink,
    ) {
        self.with_session(now, sink, index, |session, cx| session.release(cx, ticket, id));
    }

    fn on_publish(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        publish: &mut Publish<'_>,
        sink: &mut dyn Sink,
    ) {
        self.take_in(now, index, publish, sink);
        if !self.notes.is_empty() {
            self.settle_notes(now, sink);
        }
    }
}

/// A small random generator (xorshift64*), seeded once: good enough to spread load, and the same
/// seed makes the same choices.
pub(crate) struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound.max(1) as u128) >> 64) as usize
    }
}
