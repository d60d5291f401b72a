use std::collections::VecDeque;

use crate::{Lsn, Mutation, Store};

/// A store that keeps nothing beyond the process and counts a batch as durable some turns later.
#[derive(Debug)]
pub struct MemoryStore {
    submitted: u64,
    durable: u64,
    /// Turn at which each batch that is under way completes, oldest first.
    pending: VecDeque<u64>,
    turn: u64,
    delay: Delay,
    /// The batches with their places, where they are remembered.
    log: Option<Vec<(u64, Vec<Mutation>)>>,
}

#[derive(Debug)]
enum Delay {
    Turns(u64),
    /// A pseudo-random number of turns up to `max`, from an xorshift state.
    Seeded {
        state: u64,
        max: u64,
    },
}

impl MemoryStore {
    /// Every batch is durable as soon as it is submitted.
    #[must_use]
    pub fn immediate() -> Self {
        Self::with(Delay::Turns(0), None)
    }

    /// Every batch is durable `turns` turns after it was submitted.
    #[must_use]
    pub fn delayed(turns: u64) -> Self {
        Self::with(Delay::Turns(turns), Some(Vec::new()))
    }

    /// Every batch is durable 0 to `max` turns after it was submitted, but never before the one
    /// ahead of it; the same seed gives the same delays. Remembers all mutations, so that
    /// `load` gives back the durable ones.
    #[must_use]
    pub fn seeded(seed: u64, max: u64) -> Self {
        Self::with(Delay::Seeded { state: seed | 1, max }, Some(Vec::new()))
    }

    fn with(delay: Delay, log: Option<Vec<(u64, Vec<Mutation>)>>) -> Self {
        MemoryStore { submitted: 0, durable: 0, pending: VecDeque::new(), turn: 0, delay, log }
    }

    fn draw(&mut self) -> u64 {
        match &mut self.delay {
            Delay::Turns(turns) => *turns,
            Delay::Seeded { state, max } => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                *state % (*max + 1)
            }
        }
    }
}

impl Store for MemoryStore {
    fn submit(&mut self, batch: Vec<Mutation>) -> Lsn {
        self.submitted += 1;
        if let Some(log) = &mut self.log {
            log.push((self.submitted, batch));
        }
        let delay = self.draw();
        if delay == 0 && self.pending.is_empty() {
            self.durable = self.submitted;
        } else {
            let due = (self.turn + delay).max(self.pending.back().copied().unwrap_or(0));
            self.pending.push_back(due);
        }
        Lsn(self.submitted)
    }

    fn durable(&mut self) -> Lsn {
        self.turn += 1;
        while self.pending.front().is_some_and(|due| *due <= self.turn) {
            self.pending.pop_front();
            self.durable += 1;
        }
        Lsn(self.durable)
    }

    fn load(&mut self) -> Vec<Mutation> {
        let durable = self.durable;
        let log = self.log.iter().flatten().filter(|(lsn, _)| *lsn <= durable);
        log.flat_map(|(_, batch)| batch.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_complete_in_order_and_late() {
        let mut store = MemoryStore::delayed(2);
        let first = store.submit(Vec::new());
        assert!(store.durable() < first);
        let second = store.submit(Vec::new());
        assert_eq!(store.durable(), first);
        assert_eq!(store.durable(), second);
    }

    #[test]
    fn an_immediate_store_is_durable_at_once() {
        let mut store = MemoryStore::immediate();
        let lsn = store.submit(Vec::new());
        assert_eq!(store.durable(), lsn);
    }

    #[test]
    fn seeds_repeat() {
        let run = |seed| {
            let mut store = MemoryStore::seeded(seed, 7);
            (0..50).map(|_| (store.submit(Vec::new()), store.durable())).collect::<Vec<_>>()
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }
}
