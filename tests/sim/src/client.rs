//! A simulated client with its link's machine: it keeps what an MQTT 5 client keeps, repeats what was
//! not answered when it comes back, and knows a QoS 2 message that it already has.

use std::collections::{BTreeMap, VecDeque};

use core_model::{Expiry, Outcome, QoS, Reason, SlotId, Ticket};

use crate::rng::Rng;
use crate::trace::{Arrival, Draft, Ev, Op};

/// A message that the client has published and that is not done with.
#[derive(Debug)]
struct Sending {
    draft: Draft,
    id: u16,
    released: bool,
}

/// What an answer is awaited for.
#[derive(Debug)]
enum Awaited {
    Publish(u16),
    Release(u16),
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub index: usize,
    /// Its identifier.
    pub id: Box<str>,
    /// Where it is connected or connecting.
    pub slot: Option<SlotId>,
    /// Whether the connect was answered.
    pub online: bool,
    /// Whether it settles nothing for a while.
    pub stalled: bool,
    /// Whether it said that it takes nothing.
    pub asleep: bool,
    /// Whether it says by number how much it takes, leaves notes, keeps wills and guards its session.
    pub is_sleeper: bool,
    /// Whether it may hand deliveries back on its present link.
    pub may_requeue: bool,
    /// Per cent of deliveries that it refuses.
    pub discards: usize,
    /// Whether its session ends when its link does.
    ends_with_link: bool,
    sending: VecDeque<Sending>,
    receiving: BTreeMap<u16, u64>,
    unsettled: VecDeque<(u16, Outcome)>,
    awaited: BTreeMap<u32, Awaited>,
    next_ticket: u32,
    next_id: u16,
}

/// Messages that a client has under way at once.
const SENDING_MAX: usize = 30;

impl Client {
    /// A client that was never connected.
    #[must_use]
    pub fn new(index: usize, id: &str) -> Self {
        Client {
            index,
            id: id.into(),
            slot: None,
            online: false,
            stalled: false,
            asleep: false,
            is_sleeper: false,
            may_requeue: false,
            discards: 0,
            ends_with_link: false,
            sending: VecDeque::new(),
            receiving: BTreeMap::new(),
            unsettled: VecDeque::new(),
            awaited: BTreeMap::new(),
            next_ticket: 0,
            next_id: 0,
        }
    }

    /// A ticket that it has not used.
    pub fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// It begins to connect through a slot.
    pub fn open(&mut self, slot: SlotId, clean_start: bool) {
        if clean_start {
            self.forget();
        }
        self.slot = Some(slot);
        self.online = false;
        self.asleep = false;
    }

    /// Its link is gone, and with it what belonged to the link.
    pub fn close(&mut self) {
        self.slot = None;
        self.online = false;
        self.unsettled.clear();
        self.awaited.clear();
        if self.ends_with_link {
            self.forget();
        }
    }

    /// Its session is over.
    fn forget(&mut self) {
        self.receiving.clear();
        self.sending.clear();
        self.ends_with_link = false;
    }

    /// Whether it has room for one more message under way.
    #[must_use]
    pub fn may_publish(&self) -> bool {
        self.online && self.sending.len() < SENDING_MAX
    }

    /// Whether it waits for nothing and owes nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.unsettled.is_empty() && self.sending.is_empty()
    }

    /// Whether it has something to settle.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Publishes.
    pub fn publish(&mut self, draft: Draft, stored: bool) -> Op {
        let ticket = self.ticket();
        let mut id = 0;
        if draft.qos > QoS::AtMostOnce {
            loop {
                self.next_id = self.next_id.checked_add(1).unwrap_or(1);
                if !self.sending.iter().any(|sending| sending.id == self.next_id) {
                    break;
                }
            }
            id = self.next_id;
            self.awaited.insert(ticket.0, Awaited::Publish(id));
            self.sending.push_back(Sending { draft: draft.clone(), id, released: false });
        }
        Op::Publish { ticket, id, draft, stored }
    }

    /// Settles up to `count` deliveries, in order.
    pub fn settle(&mut self, count: usize) -> Vec<Op> {
        let count = count.min(self.unsettled.len());
        let settle = |(handle, outcome)| Op::Settle { handle, outcome };
        self.unsettled.drain(..count).map(settle).collect()
    }

    /// Takes an event: what it sends at once, and the message that it takes as new, if any, with
    /// whether it refuses it.
    pub fn take(&mut self, event: Ev, rng: &mut Rng) -> (Vec<Op>, Option<(Arrival, bool)>) {
        let mut ops = Vec::new();
        let mut accepted = None;
        match event {
            Ev::Connected { session_present, expiry, .. } => {
                self.online = true;
                self.ends_with_link = expiry == Expiry::WithLink;
                self.resume(session_present, &mut ops);
            }
            Ev::Refused(_) | Ev::Kicked(_) => self.close(),
            Ev::Published(ticket, reason) => self.on_published(ticket, reason, &mut ops),
            Ev::Released(ticket, _) => {
                if let Some(Awaited::Release(id)) = self.awaited.remove(&ticket.0) {
                    self.sending.retain(|sending| sending.id != id);
                }
            }
            Ev::Deliver(arrival) => accepted = self.on_arrival(arrival, rng),
            Ev::Release(handle, reason) => {
                self.receiving.remove(&handle);
                if !reason.is_error() {
                    self.unsettled.push_back((handle, Outcome::Accepted));
                }
            }
            Ev::Subscribed(..)
            | Ev::Unsubscribed(..)
            | Ev::Retained(..)
            | Ev::WillUpdated(..)
            | Ev::Drained
            | Ev::Draining
            | Ev::Authentication => {}
        }
        (ops, accepted)
    }

    fn resume(&mut self, session_present: bool, ops: &mut Vec<Op>) {
        if !session_present {
            self.receiving.clear();
            self.sending.clear();
        }
        for place in 0..self.sending.len() {
            let ticket = self.ticket();
            let Sending { draft, id, released } = &self.sending[place];
            if *released {
                self.awaited.insert(ticket.0, Awaited::Release(*id));
                ops.push(Op::Release { ticket, id: *id });
            } else {
                self.awaited.insert(ticket.0, Awaited::Publish(*id));
                ops.push(Op::Publish { ticket, id: *id, draft: draft.clone(), stored: false });
            }
        }
    }

    fn on_published(&mut self, ticket: Ticket, reason: Reason, ops: &mut Vec<Op>) {
        let Some(Awaited::Publish(id)) = self.awaited.remove(&ticket.0) else { return };
        let Some(place) = self.sending.iter().position(|sending| sending.id == id) else { return };
        if reason.is_error() || self.sending[place].draft.qos == QoS::AtLeastOnce {
            self.sending.remove(place);
            return;
        }
        self.sending[place].released = true;
        let ticket = self.ticket();
        self.awaited.insert(ticket.0, Awaited::Release(id));
        ops.push(Op::Release { ticket, id });
    }

    fn on_arrival(&mut self, arrival: Arrival, rng: &mut Rng) -> Option<(Arrival, bool)> {
        let handle = arrival.handle;
        match arrival.qos {
            QoS::AtMostOnce => return Some((arrival, false)),
            QoS::AtLeastOnce => {
                if self.may_requeue && rng.chance(10) {
                    self.unsettled.push_back((handle, Outcome::Requeued));
                    return None;
                }
            }
            QoS::ExactlyOnce => {
                if arrival.dup && self.receiving.get(&handle) == Some(&arrival.number) {
                    self.unsettled.push_back((handle, Outcome::Received));
                    return None;
                }
            }
        }
        if rng.chance(self.discards) {
            let outcome = Outcome::Discarded(Reason::QUOTA_EXCEEDED);
            self.unsettled.push_back((handle, outcome));
            return Some((arrival, true));
        }
        if arrival.qos == QoS::ExactlyOnce {
            self.receiving.insert(handle, arrival.number);
            self.unsettled.push_back((handle, Outcome::Received));
        } else {
            self.unsettled.push_back((handle, Outcome::Accepted));
        }
        Some((arrival, false))
    }
}
