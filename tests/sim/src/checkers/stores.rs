use std::collections::{BTreeMap, BTreeSet, VecDeque};

use core_model::ShardId;
use core_store::{Lsn, Mutation};

use super::{Checker, Faults};
use crate::ledger::Ledger;
use crate::trace::{Entry, Step, number_of};

/// What is done with is taken out of the stores, or they would grow for ever and a restart would
/// bring it back.
#[derive(Default)]
pub struct Stores {
    /// By shard: batches that are not durable yet, and the newest that is.
    late: BTreeMap<ShardId, VecDeque<(Lsn, Vec<Mutation>)>>,
    kept: Kept,
}

#[derive(Default)]
struct Kept {
    /// Messages of a session, by sequence.
    queued: BTreeMap<u64, BTreeMap<u64, u64>>,
    held: BTreeMap<(Box<str>, i64), u64>,
    /// Sessions with numbers of QoS 2 messages that were not released.
    incoming: BTreeMap<u64, BTreeSet<u16>>,
}

impl Kept {
    fn apply(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Queued { session, sequence, message, .. } => {
                let of_session = self.queued.entry(session.0).or_default();
                of_session.insert(*sequence, number_of(message));
            }
            Mutation::Settled { session, sequence } => {
                if let Some(of_session) = self.queued.get_mut(&session.0) {
                    of_session.remove(sequence);
                }
            }
            Mutation::SessionEnded { session } => {
                self.queued.remove(&session.0);
                self.incoming.remove(&session.0);
            }
            Mutation::GroupHeld { group, sequence, message } => {
                let key = (group.as_ref().into(), *sequence);
                self.held.insert(key, number_of(message));
            }
            Mutation::GroupTaken { group, sequence } => {
                self.held.remove(&(group.as_ref().into(), *sequence));
            }
            Mutation::IncomingId { session, id } => {
                self.incoming.entry(session.0).or_default().insert(*id);
            }
            Mutation::IncomingReleased { session, id } => {
                if let Some(ids) = self.incoming.get_mut(&session.0) {
                    ids.remove(id);
                }
            }
            Mutation::SessionOpened { .. }
            | Mutation::LinkClosed { .. }
            | Mutation::Subscribed { .. }
            | Mutation::Unsubscribed { .. }
            | Mutation::Will { .. }
            | Mutation::Note { .. }
            | Mutation::HandleAllotted { .. }
            | Mutation::Received { .. }
            | Mutation::Retained { .. } => {}
        }
    }
}

impl Checker for Stores {
    fn see(&mut self, _: &Ledger, _: Step, entry: &Entry, _: &mut Faults) {
        match entry {
            Entry::Submitted { shard, lsn, batch } => {
                self.late.entry(*shard).or_default().push_back((*lsn, batch.clone()));
            }
            Entry::Durable { shard, lsn } => {
                let late = self.late.entry(*shard).or_default();
                while late.front().is_some_and(|(at, _)| at <= lsn) {
                    let (_, batch) = late.pop_front().expect("there is a first");
                    batch.iter().for_each(|mutation| self.kept.apply(mutation));
                }
            }
            Entry::Crash => self.late.clear(),
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        if self.late.values().any(|late| !late.is_empty()) {
            faults.add("at rest, but a store is not done".into());
        }
        for (session, messages) in &self.kept.queued {
            if !messages.is_empty() {
                faults.add(format!("session {session:x} is still stored with {messages:?}"));
            }
        }
        if !self.kept.held.is_empty() {
            faults.add(format!("groups are still stored with {:?}", self.kept.held));
        }
        // A client that lost its session has nothing to release any more; that session is gone too.
        let ids = self.kept.incoming.iter().find(|(_, ids)| !ids.is_empty());
        if let (Some((session, ids)), true) = (ids, ledger.crashes.is_empty()) {
            faults.add(format!("session {session:x} still remembers the numbers {ids:?}"));
        }
    }
}
