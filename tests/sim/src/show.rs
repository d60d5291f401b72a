//! A trace that fits a screen.

use std::fmt::{self, Display, Formatter};

use core_model::{Manners, SlotId};
use core_store::Mutation;

use crate::trace::{Arrival, Draft, Entry, Ev, Op, number_of};

/// A slot, in short: shard, link, and its number on a link with many.
pub struct Short(pub SlotId);

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let SlotId { shard, link, number } = self.0;
        write!(f, "s{}l{}.{}", shard.0, link.index, link.generation)?;
        if number > 0 { write!(f, "#{number}") } else { Ok(()) }
    }
}

impl Display for Arrival {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m{} {} q{}", self.number, self.topic, self.qos as u8)?;
        for (is, text) in [(self.retain, " retain"), (self.dup, " dup"), (self.empty, " empty")] {
            if is {
                write!(f, "{text}")?;
            }
        }
        write!(f, " handle {} ids {:?}", self.handle, self.identifiers)
    }
}

impl Display for Draft {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m{} {} q{}", self.number, self.topic, self.qos as u8)?;
        for (is, text) in [(self.retain, " retain"), (self.empty, " empty")] {
            if is {
                write!(f, "{text}")?;
            }
        }
        self.expires_at.map_or(Ok(()), |at| write!(f, " expires {}", at.as_millis()))
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Op::Connect(hello) => {
                let start = if hello.clean_start { "clean " } else { "" };
                write!(f, "connect {} {start}{:?}", hello.client_id, hello.expiry)?;
                write!(f, " window {}", hello.receive_max)?;
                if hello.manners != Manners::default() {
                    write!(f, " {:?} from {}", hello.manners, hello.address)?;
                }
                hello.will.as_ref().map_or(Ok(()), |(will, delay_s, _)| {
                    write!(f, " will {will} after {delay_s} s")
                })
            }
            Op::Subscribe { ticket, subscriptions, .. } => {
                write!(f, "subscribe {}:", ticket.0)?;
                for s in subscriptions {
                    write!(f, " {} q{} {:?}", s.filter.as_str(), s.qos as u8, s.retain_handling)?;
                    if s.no_local {
                        write!(f, " no-local")?;
                    }
                }
                Ok(())
            }
            Op::Unsubscribe { ticket, filters } => {
                write!(f, "unsubscribe {}: {filters:?}", ticket.0)
            }
            Op::Publish { ticket, id, draft, .. } => {
                write!(f, "publish {} id {id}: {draft}", ticket.0)
            }
            Op::Release { ticket, id } => write!(f, "release {} id {id}", ticket.0),
            Op::Settle { handle, outcome } => write!(f, "settle {handle} {outcome:?}"),
            Op::Read { ticket, filter, .. } => write!(f, "read {} {filter:?}", ticket.0),
            Op::UpdateWill { ticket, will } => {
                let number = will.as_ref().map(|(draft, ..)| draft.number);
                write!(f, "will {} {number:?}", ticket.0)
            }
            Op::Note { key, value } => write!(f, "note {key} {value:?}"),
            Op::Demand(credit) => write!(f, "demand {credit:?}"),
            Op::Disconnect(d) => write!(f, "disconnect {:?} {:?}", d.cause, d.expiry),
        }
    }
}

impl Display for Ev {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Ev::Deliver(arrival) => write!(f, "deliver {arrival}"),
            Ev::Published(ticket, reason) => write!(f, "published {} {reason:?}", ticket.0),
            Ev::Released(ticket, reason) => write!(f, "released {} {reason:?}", ticket.0),
            other => write!(f, "{other:?}"),
        }
    }
}

struct Change<'m>(&'m Mutation);

impl Display for Change<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Mutation::Queued { session, sequence, message, .. } => {
                write!(f, "queued {:x}/{sequence} m{}", session.0 >> 48, number_of(message))
            }
            Mutation::HandleAllotted { session, sequence, handle } => {
                write!(f, "handle {:x}/{sequence} {handle}", session.0 >> 48)
            }
            Mutation::Received { session, handle } => {
                write!(f, "received {:x} {handle}", session.0 >> 48)
            }
            Mutation::Settled { session, sequence } => {
                write!(f, "settled {:x}/{sequence}", session.0 >> 48)
            }
            Mutation::GroupHeld { group, sequence, message } => {
                write!(f, "held {group}/{sequence} m{}", number_of(message))
            }
            Mutation::Retained { topic, message } => {
                write!(f, "retained {topic} {:?}", message.as_deref().map(number_of))
            }
            Mutation::Will { session, will, at_rest } => {
                let rest = if *at_rest { " at rest" } else { "" };
                write!(f, "will {:x} {}{rest}", session.0 >> 48, will.is_some())
            }
            Mutation::Note { session, key, value } => {
                write!(f, "note {:x} {key} {:?}", session.0 >> 48, value.as_deref())
            }
            Mutation::SessionOpened { session, client, expiry, .. } => {
                write!(f, "opened {:x} {client:?} {expiry:?}", session.0 >> 48)
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl Display for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Applied { slot, home, op } => {
                write!(f, "{} (home {}) > {op}", Short(*slot), home.0)
            }
            Entry::Emitted { slot, event } => write!(f, "{} < {event}", Short(*slot)),
            Entry::Accepted { slot, arrival, discarded } => {
                let verb = if *discarded { "refuses" } else { "takes" };
                write!(f, "{} {verb} {arrival}", Short(*slot))
            }
            Entry::Submitted { shard, lsn, batch } => {
                write!(f, "store {} #{}:", shard.0, lsn.0)?;
                batch.iter().try_for_each(|mutation| write!(f, " [{}]", Change(mutation)))
            }
            Entry::Durable { shard, lsn } => write!(f, "store {} durable #{}", shard.0, lsn.0),
            Entry::Kick(client) => write!(f, "kick of client {client}"),
            Entry::Rules(denied) => write!(f, "rules: no {denied:?}"),
            Entry::Revoked { client_id, filter } => write!(f, "revoked {client_id} {filter}"),
            Entry::Crash => write!(f, "crash"),
            Entry::Clock(now) => write!(f, "clock {}", now.as_millis()),
            Entry::Quiet => write!(f, "quiet"),
            Entry::Settling => write!(f, "settling"),
        }
    }
}
