use std::collections::VecDeque;

use core_model::Reason;
use core_store::{Lsn, Mutation, Store};

use crate::mail::AckRef;
use crate::routes::SessionIndex;

/// What waits until the journal has become durable up to some point.
#[derive(Debug)]
pub(crate) enum Gated {
    /// A QoS 2 delivery whose handle must be known after a crash before the client sees it.
    Send { session: SessionIndex, generation: u32, handle: u16 },
    /// The release of a QoS 2 delivery that the client has received.
    Release { session: SessionIndex, generation: u32, handle: u16 },
    /// The answers to a publisher.
    Acks { session: SessionIndex, generation: u32 },
    /// The report to a publisher who waits.
    Reply { ack: AckRef, reason: Reason },
}

/// A shard's mutations on their way to the store, collected into one batch a turn, and the gates
/// that open as batches become durable.
pub(crate) struct Journal {
    store: Box<dyn Store>,
    batch: Vec<Mutation>,
    submitted: Lsn,
    durable: Lsn,
    gated: VecDeque<(Lsn, Gated)>,
}

impl Journal {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Journal {
            store,
            batch: Vec::new(),
            submitted: Lsn(0),
            durable: Lsn(0),
            gated: VecDeque::new(),
        }
    }

    /// What was durable when the process ended.
    pub(crate) fn load(&mut self) -> Vec<Mutation> {
        self.store.load()
    }

    /// Adds a mutation to this turn's batch.
    pub(crate) fn push(&mut self, mutation: Mutation) {
        self.batch.push(mutation);
    }

    /// The place of the newest mutation so far.
    pub(crate) fn current(&self) -> Lsn {
        if self.batch.is_empty() { self.submitted } else { Lsn(self.submitted.0 + 1) }
    }

    /// Whether everything up to `lsn` is durable.
    pub(crate) fn is_durable(&self, lsn: Lsn) -> bool {
        lsn <= self.durable
    }

    /// Holds `gated` back until everything so far is durable.
    pub(crate) fn gate(&mut self, gated: Gated) {
        let lsn = self.current();
        self.gated.push_back((lsn, gated));
    }

    /// Hands this turn's batch to the store and asks it how far it is.
    pub(crate) fn commit(&mut self) {
        if !self.batch.is_empty() {
            let size = self.batch.len();
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(size));
            self.submitted = self.store.submit(batch);
        }
        if self.durable < self.submitted {
            self.durable = self.store.durable();
        }
    }

    /// The next gate that is open.
    pub(crate) fn next_open(&mut self) -> Option<Gated> {
        let (lsn, _) = self.gated.front()?;
        if *lsn > self.durable {
            return None;
        }
        self.gated.pop_front().map(|(_, gated)| gated)
    }

    /// How many gates are closed.
    pub(crate) fn gates(&self) -> usize {
        self.gated.len()
    }

    /// Whether the store has not finished what it got.
    pub(crate) fn is_behind(&self) -> bool {
        self.durable < self.submitted || !self.batch.is_empty()
    }
}
