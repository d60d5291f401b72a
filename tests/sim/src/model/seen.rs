use std::collections::{BTreeMap, VecDeque};

use core_model::Ticket;

use super::{Entry, Fit};
use crate::trace::{Arrival, Ev};

/// What the real broker has sent, as far as the model has not explained it yet: deliveries by QoS,
/// since only those of one QoS have an order, and all other events in order.
#[derive(Debug, Default)]
pub struct Seen {
    arrivals: BTreeMap<(usize, u8), VecDeque<Arrival>>,
    others: BTreeMap<usize, VecDeque<Ev>>,
    lost: BTreeMap<usize, VecDeque<Ev>>,
}

impl Seen {
    pub(super) fn new(events: BTreeMap<usize, Vec<Ev>>, lost: BTreeMap<usize, Vec<Ev>>) -> Self {
        let mut seen = Seen::default();
        for (client, events) in events {
            for event in events {
                match event {
                    Ev::Deliver(arrival) => {
                        let key = (client, arrival.qos as u8);
                        seen.arrivals.entry(key).or_default().push_back(arrival);
                    }
                    other => seen.others.entry(client).or_default().push_back(other),
                }
            }
        }
        seen.lost = lost.into_iter().map(|(client, events)| (client, events.into())).collect();
        seen
    }

    /// The next event of a client that is no delivery must be this; tickets do not count.
    pub(super) fn expect(&mut self, client: usize, event: &Ev) -> Fit {
        let found = self.others.get_mut(&client).and_then(VecDeque::pop_front);
        let found = found.map(without_ticket);
        if found.as_ref() == Some(event) {
            Ok(())
        } else {
            Err(format!("client {client}: expected {event:?}, got {found:?}"))
        }
    }

    /// The slot that a client has lost must have got this.
    pub(super) fn lost(&mut self, client: usize, event: &Ev) -> Fit {
        let found = self.lost.get_mut(&client).and_then(VecDeque::pop_front);
        if found.as_ref() == Some(event) {
            Ok(())
        } else {
            Err(format!("client {client}: expected {event:?} on its old link, got {found:?}"))
        }
    }

    /// The next delivery of this QoS must be this message; its handle.
    pub(super) fn deliver(
        &mut self,
        client: usize,
        entry: &Entry,
        dup: bool,
    ) -> Result<u16, String> {
        let next = self.arrivals.get_mut(&(client, entry.qos as u8)).and_then(VecDeque::pop_front);
        match next {
            Some(arrival) if fits(&arrival, entry) && arrival.dup == dup => Ok(arrival.handle),
            other => Err(format!("client {client}: expected {entry:?} dup {dup}, got {other:?}")),
        }
    }

    /// The handle of the next delivery of its QoS, if that is this message.
    pub(super) fn next_handle(&self, client: usize, entry: &Entry) -> Option<u16> {
        let next = self.arrivals.get(&(client, entry.qos as u8))?.front()?;
        (!next.dup && fits(next, entry)).then_some(next.handle)
    }

    /// The deliveries that may be this message: their places among those of its QoS, and their
    /// handles, which are given in the order of sending.
    pub(super) fn found(&self, client: usize, entry: &Entry) -> impl Iterator<Item = (usize, u16)> {
        let of_qos = self.arrivals.get(&(client, entry.qos as u8)).into_iter().flatten();
        let new = of_qos.enumerate().filter(|(_, a)| !a.dup && fits(a, entry));
        new.map(|(place, arrival)| (place, arrival.handle))
    }

    pub(super) fn nothing_left(&self) -> Fit {
        let arrivals = self.arrivals.iter().find(|(_, rest)| !rest.is_empty());
        let others = self.others.iter().chain(&self.lost).find(|(_, rest)| !rest.is_empty());
        match (arrivals, others) {
            (None, None) => Ok(()),
            (arrivals, others) => Err(format!("unexpected: {arrivals:?} {others:?}")),
        }
    }
}

fn fits(arrival: &Arrival, entry: &Entry) -> bool {
    arrival.number == entry.draft.number
        && arrival.topic == entry.draft.topic
        && arrival.empty == entry.draft.empty
        && arrival.qos == entry.qos
        && arrival.retain == entry.retain
        && arrival.identifiers == entry.identifiers
}

fn without_ticket(event: Ev) -> Ev {
    let none = Ticket::default();
    match event {
        Ev::Published(_, reason) => Ev::Published(none, reason),
        Ev::Released(_, reason) => Ev::Released(none, reason),
        Ev::Subscribed(_, reasons) => Ev::Subscribed(none, reasons),
        Ev::Unsubscribed(_, reasons) => Ev::Unsubscribed(none, reasons),
        Ev::Retained(_, messages, cursor) => Ev::Retained(none, messages, cursor),
        other => other,
    }
}
