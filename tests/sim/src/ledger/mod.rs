//! What every checker has to know: who was connected when, what was subscribed, what was published.
//! It is drawn from the trace alone, and says for sure only what no schedule can change.

use std::collections::{BTreeMap, BTreeSet};

use core_model::{DisconnectCause, Expiry, QoS, Reason, SlotId, Subscription, Ticket, Timestamp};

use crate::trace::{Draft, Entry, Ev, Hello, Op, Step};

mod questions;

/// A slot's life.
#[derive(Debug)]
pub struct SlotFacts {
    /// The number of its client.
    pub client: usize,
    /// Whether link and session live on one shard, so that nothing comes between them.
    pub local: bool,
    /// Its connect.
    pub hello: Hello,
    /// When the connect was applied.
    pub opened: Step,
    /// When and to which life of the session it was connected.
    pub connected: Option<(Step, usize)>,
    /// When it ended.
    pub ended: Option<Step>,
    /// How: `None` when core ended it.
    pub cause: Option<DisconnectCause>,
    /// Whether it was not let in.
    pub refused: bool,
    /// The number of the will that its session keeps.
    pub kept_will: Option<u64>,
}

impl SlotFacts {
    /// From when on it surely had its session; as good as never if nobody knows.
    #[must_use]
    pub fn let_in(&self) -> Step {
        self.connected.map_or(Step::MAX, |(step, _)| step)
    }
}

/// One life of a client's session, from a connect that did not find one to the next such.
#[derive(Debug)]
pub struct Life {
    /// The number of its client.
    pub client: usize,
    /// Its present expiry.
    pub expiry: Expiry,
    /// Whether one of its slots was on another shard than the session.
    pub was_remote: bool,
    /// Whether one of its clients could hand deliveries back.
    pub may_requeue: bool,
    /// Whether a subscription was revoked, and messages with it.
    pub revoked: bool,
    /// The slot that it has or had last.
    pub slot: SlotId,
    /// Since when it has no link, by the clock.
    pub offline_at: Option<Timestamp>,
    /// From here on it may be over.
    pub may_end: Option<Step>,
    /// When it was known to be over.
    pub over: Option<Step>,
}

/// One subscription, until it is replaced or removed.
#[derive(Debug)]
pub struct SubscriptionFacts {
    /// The life of the session that it belongs to.
    pub life: usize,
    /// Filter and options.
    pub options: Subscription,
    /// Its identifier.
    pub identifier: u32,
    /// When the subscribe was applied.
    pub applied: Step,
    /// When it was answered with success.
    pub acked: Option<Step>,
    /// Whether the same filter may have been subscribed before.
    pub is_again: bool,
    /// What ended it.
    pub end: Option<End>,
}

/// The end of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// When the operation was applied.
    pub applied: Step,
    /// When it was answered.
    pub acked: Option<Step>,
    /// The subscription that took its place.
    pub replaced_by: Option<usize>,
}

/// One way of a message into the core.
#[derive(Debug)]
pub struct Application {
    /// The publisher's slot.
    pub slot: SlotId,
    /// When.
    pub applied: Step,
    /// The answer.
    pub answer: Option<(Step, Reason)>,
    /// When all mail that it could have caused had arrived.
    pub routed: Option<Step>,
}

/// A message's life.
#[derive(Debug)]
pub struct MessageFacts {
    /// The message.
    pub draft: Draft,
    /// The number of its publisher.
    pub publisher: usize,
    /// Whether it is a will.
    pub is_will: bool,
    /// Its ways into the core; a will has none.
    pub applications: Vec<Application>,
    /// When it was first seen.
    pub first: Step,
    /// How often a link has ended that it was the kept will of.
    pub losses: usize,
}

/// While a message is on its way to its receivers.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// It may have been routed from here on.
    pub first: Step,
    /// It has certainly been routed here.
    pub routed: Option<Step>,
    /// The publisher's answer.
    pub acked: Option<Step>,
}

/// An operation whose answer is awaited.
#[derive(Debug)]
pub enum Pending {
    /// A publish: message and application.
    Publish(u64, usize),
    /// A release of a message with this number of the client.
    Release(u16),
    /// A subscribe.
    Subscribe(Vec<usize>),
    /// An unsubscribe.
    Unsubscribe(Vec<Option<usize>>),
    /// A read.
    Read,
    /// An update of the will.
    Will(Option<u64>),
}

/// The facts.
#[derive(Default)]
pub struct Ledger {
    /// Now.
    pub now: Timestamp,
    /// Slots.
    pub slots: BTreeMap<SlotId, SlotFacts>,
    /// Lives of sessions.
    pub lives: Vec<Life>,
    /// The present life of each client's session.
    pub life_of: BTreeMap<usize, usize>,
    /// Subscriptions.
    pub subscriptions: Vec<SubscriptionFacts>,
    /// Present subscriptions of a life by filter.
    current: BTreeMap<(usize, Box<str>), usize>,
    /// Messages.
    pub messages: BTreeMap<u64, MessageFacts>,
    /// Operations without an answer.
    pub pending: BTreeMap<(SlotId, u32), Pending>,
    /// Topics that were ever forbidden: messages may have been taken back for it.
    forbidden: BTreeSet<&'static str>,
    /// Subscriptions that were revoked, and when.
    pub revoked: Vec<(Step, usize)>,
    /// When the process was killed.
    pub crashes: Vec<Step>,
    unrouted: Vec<(u64, usize)>,
    /// When an administrator ended a client's link.
    kicks: BTreeMap<usize, Vec<(Step, Timestamp)>>,
}

impl Ledger {
    /// Takes one more entry into account.
    pub fn see(&mut self, step: Step, entry: &Entry) {
        match entry {
            Entry::Applied { slot, home, op } => {
                if let Op::Connect(hello) = op {
                    self.on_hello(step, *slot, *home == slot.shard, hello);
                }
                self.on_op(step, *slot, op);
            }
            Entry::Emitted { slot, event } => self.on_event(step, *slot, event),
            Entry::Clock(now) => {
                self.now = *now;
                self.find_expired(step);
            }
            Entry::Quiet => {
                for (number, application) in std::mem::take(&mut self.unrouted) {
                    let message = self.messages.get_mut(&number).expect("it was noted");
                    message.applications[application].routed = Some(step);
                }
            }
            Entry::Kick(client) => {
                // For a link of another shard the news takes time.
                self.kicks.entry(*client).or_default().push((step, self.now));
                if let Some(life) = self.life_of.get(client) {
                    let life = &mut self.lives[*life];
                    life.offline_at.get_or_insert(self.now);
                    // A farewell with another expiry from another shard may come too late.
                    if life.expiry == Expiry::WithLink || life.was_remote {
                        life.may_end.get_or_insert(step);
                    }
                }
            }
            Entry::Revoked { client_id, filter } => self.on_revoked(step, client_id, filter),
            Entry::Rules(forbidden) => self.forbidden.extend(forbidden),
            Entry::Crash => self.on_crash(step),
            Entry::Accepted { .. }
            | Entry::Submitted { .. }
            | Entry::Durable { .. }
            | Entry::Settling => {}
        }
    }

    /// The life of the session that a slot is or was connected to.
    #[must_use]
    pub fn life(&self, slot: SlotId) -> Option<usize> {
        self.slots.get(&slot)?.connected.map(|(_, life)| life)
    }

    /// Whether the life is the client's present one.
    #[must_use]
    pub fn is_present(&self, life: usize) -> bool {
        self.life_of.get(&self.lives[life].client) == Some(&life)
    }

    fn on_hello(&mut self, step: Step, slot: SlotId, local: bool, hello: &Hello) {
        if let Some(life) = self.life_of.get(&hello.client) {
            let life = &mut self.lives[*life];
            let with_link = hello.expiry == Expiry::WithLink || life.expiry == Expiry::WithLink;
            if hello.clean_start || with_link {
                life.may_end.get_or_insert(step);
            }
        }
        if let Some((draft, ..)) = &hello.will {
            self.note_will(step, hello.client, draft);
        }
        let facts = SlotFacts {
            client: hello.client,
            local,
            hello: hello.clone(),
            opened: step,
            connected: None,
            ended: None,
            cause: None,
            refused: false,
            kept_will: None,
        };
        self.slots.insert(slot, facts);
    }

    fn note_will(&mut self, step: Step, publisher: usize, draft: &Draft) {
        let facts = MessageFacts {
            draft: draft.clone(),
            publisher,
            is_will: true,
            applications: Vec::new(),
            first: step,
            losses: 0,
        };
        self.messages.insert(draft.number, facts);
    }

    fn on_op(&mut self, step: Step, slot: SlotId, op: &Op) {
        match op {
            Op::Publish { ticket, draft, .. } => {
                let publisher = self.slots[&slot].client;
                let message = self.messages.entry(draft.number).or_insert_with(|| MessageFacts {
                    draft: draft.clone(),
                    publisher,
                    is_will: false,
                    applications: Vec::new(),
                    first: step,
                    losses: 0,
                });
                let application = message.applications.len();
                message.applications.push(Application {
                    slot,
                    applied: step,
                    answer: None,
                    routed: None,
                });
                self.unrouted.push((draft.number, application));
                if draft.qos != QoS::AtMostOnce {
                    self.expect(slot, *ticket, Pending::Publish(draft.number, application));
                }
            }
            Op::Release { ticket, id } => self.expect(slot, *ticket, Pending::Release(*id)),
            Op::Subscribe { ticket, identifier, subscriptions } => {
                let Some(life) = self.life(slot) else { return };
                let of = subscriptions
                    .iter()
                    .map(|options| self.subscribe(step, life, options, identifier.unwrap_or(0)))
                    .collect();
                self.expect(slot, *ticket, Pending::Subscribe(of));
            }
            Op::Unsubscribe { ticket, filters } => {
                let Some(life) = self.life(slot) else { return };
                let of = filters
                    .iter()
                    .map(|filter| {
                        let ended = self.current.remove(&(life, filter.clone()))?;
                        let end = End { applied: step, acked: None, replaced_by: None };
                        self.subscriptions[ended].end = Some(end);
                        Some(ended)
                    })
                    .collect();
                self.expect(slot, *ticket, Pending::Unsubscribe(of));
            }
            Op::Read { ticket, .. } => self.expect(slot, *ticket, Pending::Read),
            Op::Disconnect(disconnect) => {
                self.end_slot(step, slot, disconnect.expiry, Some(disconnect.cause));
            }
            Op::UpdateWill { ticket, will } => {
                if let Some((draft, ..)) = will {
                    self.note_will(step, self.slots[&slot].client, draft);
                }
                let number = will.as_ref().map(|(draft, ..)| draft.number);
                self.expect(slot, *ticket, Pending::Will(number));
            }
            Op::Connect(_) | Op::Settle { .. } | Op::Note { .. } | Op::Demand(_) => {}
        }
    }

    fn expect(&mut self, slot: SlotId, ticket: Ticket, pending: Pending) {
        let before = self.pending.insert((slot, ticket.0), pending);
        assert!(before.is_none(), "a client uses the ticket {ticket:?} twice");
    }

    fn subscribe(
        &mut self,
        step: Step,
        life: usize,
        options: &Subscription,
        identifier: u32,
    ) -> usize {
        let new = self.subscriptions.len();
        let key = (life, options.filter.as_str().into());
        let replaced = self.current.insert(key, new);
        if let Some(replaced) = replaced {
            let end = End { applied: step, acked: None, replaced_by: Some(new) };
            self.subscriptions[replaced].end = Some(end);
        }
        let is_again = self
            .subscriptions
            .iter()
            .any(|other| other.life == life && other.options.filter == options.filter);
        self.subscriptions.push(SubscriptionFacts {
            life,
            options: options.clone(),
            identifier,
            applied: step,
            acked: None,
            is_again,
            end: None,
        });
        new
    }

    fn on_event(&mut self, step: Step, slot: SlotId, event: &Ev) {
        match event {
            Ev::Connected { session_present, expiry, will, .. } => {
                self.on_connected(step, slot, *session_present, *expiry, *will);
            }
            Ev::Published(ticket, reason) => {
                let Some(Pending::Publish(number, application)) = self.answered(slot, *ticket)
                else {
                    return;
                };
                let message = self.messages.get_mut(&number).expect("it was noted");
                message.applications[application].answer = Some((step, *reason));
            }
            Ev::Subscribed(ticket, reasons) => {
                let Some(Pending::Subscribe(of)) = self.answered(slot, *ticket) else { return };
                for (subscription, reason) in of.into_iter().zip(reasons) {
                    if !reason.is_error() {
                        self.subscriptions[subscription].acked = Some(step);
                    }
                    // What was not granted takes no place.
                    for other in self.subscriptions.iter_mut().filter(|_| !reason.is_error()) {
                        if let Some(end) = &mut other.end
                            && end.replaced_by == Some(subscription)
                        {
                            end.acked = Some(step);
                        }
                    }
                }
            }
            Ev::Unsubscribed(ticket, _) => {
                let Some(Pending::Unsubscribe(of)) = self.answered(slot, *ticket) else { return };
                for subscription in of.into_iter().flatten() {
                    if let Some(end) = &mut self.subscriptions[subscription].end {
                        end.acked = Some(step);
                    }
                }
            }
            Ev::Released(ticket, _) | Ev::Retained(ticket, ..) => {
                self.answered(slot, *ticket);
            }
            Ev::WillUpdated(ticket, reason) => {
                if let Some(Pending::Will(will)) = self.answered(slot, *ticket)
                    && let Some(facts) = self.slots.get_mut(&slot)
                    && !reason.is_error()
                {
                    facts.kept_will = will;
                }
            }
            Ev::Kicked(_) => self.end_slot(step, slot, None, None),
            Ev::Refused(_) => {
                if let Some(facts) = self.slots.get_mut(&slot) {
                    facts.refused = true;
                }
                self.end_slot(step, slot, None, None);
            }
            Ev::Deliver(_) | Ev::Release(..) | Ev::Drained | Ev::Draining | Ev::Authentication => {}
        }
    }

    fn on_revoked(&mut self, step: Step, client_id: &str, filter: &str) {
        let of_client = |life: &&usize| {
            let slot = self.lives[**life].slot;
            *self.slots[&slot].hello.client_id == *client_id
        };
        let Some(life) = self.life_of.values().find(of_client).copied() else { return };
        self.lives[life].revoked = true;
        let Some(ended) = self.current.remove(&(life, filter.into())) else { return };
        // On another shard a newer subscribe to the filter may be under way.
        let acked = (!self.lives[life].was_remote).then_some(step);
        self.subscriptions[ended].end = Some(End { applied: step, acked, replaced_by: None });
        self.revoked.push((step, ended));
    }

    /// Whether a message of a topic may have been taken back from receivers that may not have it.
    #[must_use]
    pub fn was_forbidden(&self, topic: &str) -> bool {
        self.forbidden.contains(topic)
    }

    /// Whether an operation came when its client had been let in; `None` if nobody can tell.
    #[must_use]
    pub fn was_let_in(&self, slot: SlotId, applied: Step) -> Option<bool> {
        let facts = self.slots.get(&slot)?;
        facts.local.then(|| facts.connected.is_some_and(|(connected, _)| connected < applied))
    }

    /// Whether nobody can tell how often wills that a client's session kept were due.
    #[must_use]
    pub fn has_loose_wills(&self, client: usize) -> bool {
        let mut of_client = self.slots.values().filter(|facts| facts.client == client);
        of_client.any(|facts| facts.hello.manners.keeps_will && !facts.local)
    }

    fn answered(&mut self, slot: SlotId, ticket: Ticket) -> Option<Pending> {
        self.pending.remove(&(slot, ticket.0))
    }

    fn on_connected(
        &mut self,
        step: Step,
        slot: SlotId,
        session_present: bool,
        expiry: Expiry,
        kept_will: Option<u64>,
    ) {
        let Some(facts) = self.slots.get_mut(&slot) else { return };
        facts.kept_will = kept_will;
        let client = facts.client;
        let before = self.life_of.get(&client).copied();
        let life = match before {
            Some(life) if session_present => life,
            _ => {
                if let Some(life) = before {
                    self.lives[life].over = Some(step);
                }
                self.lives.push(Life {
                    client,
                    expiry,
                    was_remote: false,
                    may_requeue: false,
                    revoked: false,
                    slot,
                    offline_at: None,
                    may_end: None,
                    over: None,
                });
                self.lives.len() - 1
            }
        };
        self.life_of.insert(client, life);
        // A slot on another shard may have been closed before the news came to it.
        let kick = first_after(&self.kicks, client, facts.opened);
        let gone = facts.ended.map(|_| self.now).into_iter().chain(kick).min();
        facts.connected = Some((step, life));
        let (local, may_requeue) = (facts.local, facts.hello.may_requeue);
        let life = &mut self.lives[life];
        life.expiry = expiry;
        life.was_remote |= !local;
        life.may_requeue |= may_requeue;
        life.slot = slot;
        life.may_end = gone.filter(|_| expiry == Expiry::WithLink).map(|_| step);
        life.offline_at = gone;
        self.find_expired(step);
    }

    fn end_slot(
        &mut self,
        step: Step,
        slot: SlotId,
        expiry: Option<Expiry>,
        cause: Option<DisconnectCause>,
    ) {
        let Some(facts) = self.slots.get_mut(&slot) else { return };
        facts.ended = Some(step);
        facts.cause = cause;
        let kick = first_after(&self.kicks, facts.client, facts.opened);
        let since = kick.filter(|_| cause.is_none()).unwrap_or(self.now);
        let Some((_, life)) = facts.connected else { return };
        if let Some(will) = facts.kept_will
            && cause != Some(DisconnectCause::Farewell)
            && let Some(will) = self.messages.get_mut(&will)
        {
            will.losses += 1;
        }
        let life = &mut self.lives[life];
        if life.slot == slot {
            life.expiry = expiry.unwrap_or(life.expiry);
            life.offline_at.get_or_insert(since);
            if life.expiry == Expiry::WithLink {
                life.may_end.get_or_insert(step);
            }
        }
        self.find_expired(step);
    }

    fn on_crash(&mut self, step: Step) {
        self.crashes.push(step);
        self.unrouted.clear();
        let open = self.slots.iter().filter(|(_, facts)| facts.ended.is_none());
        let open: Vec<SlotId> = open.map(|(slot, _)| *slot).collect();
        let cause = DisconnectCause::Lost(Reason::UNSPECIFIED);
        for slot in open {
            self.end_slot(step, slot, None, Some(cause));
        }
        // The last words of a link of another shard may have been lost on their way.
        for life in self.lives.iter_mut().filter(|life| life.was_remote) {
            life.may_end.get_or_insert(step);
        }
    }

    /// Whether the process was killed after this.
    #[must_use]
    pub fn crashed_since(&self, step: Step) -> bool {
        self.crashes.last().is_some_and(|last| *last > step)
    }

    fn find_expired(&mut self, step: Step) {
        for life in &mut self.lives {
            let deadline = life.offline_at.and_then(|at| life.expiry.deadline(at));
            if deadline.is_some_and(|at| at <= self.now) {
                life.may_end.get_or_insert(step);
            }
        }
    }
}

/// The time of a client's first kick after a step.
fn first_after(
    kicks: &BTreeMap<usize, Vec<(Step, Timestamp)>>,
    client: usize,
    after: Step,
) -> Option<Timestamp> {
    let mut of_client = kicks.get(&client).into_iter().flatten();
    of_client.find(|(step, _)| *step > after).map(|(_, at)| *at)
}
