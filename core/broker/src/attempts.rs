//! Connects that are not decided yet.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use core_model::{Authenticator, ClientKey, Connect, Exchange, SlotId};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::LookupId;

/// A connect whose client is not believed yet.
pub(crate) struct Attempt {
    /// Its place among all connects of this shard: the newest one of a client wins.
    pub(crate) number: u64,
    pub(crate) connect: Box<Connect>,
    pub(crate) stage: Stage,
}

/// What an undecided connect waits for.
pub(crate) enum Stage {
    /// The client's next round of an enhanced authentication.
    Exchange(Box<dyn Exchange>),
    /// A look-up.
    Lookup {
        /// The look-up's own number.
        number: u32,
        /// Who asked for it.
        asked: Arc<dyn Authenticator>,
    },
}

/// The undecided connects of one shard, and the look-ups that run.
#[derive(Default)]
pub(crate) struct Attempts {
    by_slot: BTreeMap<SlotId, Attempt>,
    by_client: HashMap<ClientKey, SmallVec<[SlotId; 1]>, foldhash::fast::RandomState>,
    /// Look-ups without an answer, also those that nobody waits for any more.
    running: HashSet<u32, foldhash::fast::FixedState>,
    next_number: u64,
    next_lookup: u32,
}

impl Attempts {
    /// The number of a connect that has just come.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(crate) fn insert(&mut self, slot: SlotId, attempt: Attempt) {
        if let Some(client) = attempt.connect.key() {
            self.by_client.entry(client).or_default().push(slot);
        }
        self.by_slot.insert(slot, attempt);
    }

    pub(crate) fn remove(&mut self, slot: SlotId) -> Option<Attempt> {
        let attempt = self.by_slot.remove(&slot)?;
        if let Some(client) = attempt.connect.key()
            && let Some(slots) = self.by_client.get_mut(&client)
        {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.by_client.remove(&client);
            }
        }
        Some(attempt)
    }

    pub(crate) fn exchange(&mut self, slot: SlotId) -> Option<&mut dyn Exchange> {
        match &mut self.by_slot.get_mut(&slot)?.stage {
            Stage::Exchange(exchange) => Some(exchange.as_mut()),
            Stage::Lookup { .. } => None,
        }
    }

    /// The slots through which a client tries to connect.
    pub(crate) fn of_client(&self, client: &ClientKey) -> SmallVec<[SlotId; 1]> {
        self.by_client.get(client).cloned().unwrap_or_default()
    }

    /// Those of them whose connect came before this one.
    pub(crate) fn older(&self, client: &ClientKey, number: u64) -> SmallVec<[SlotId; 1]> {
        let mut slots = self.of_client(client);
        slots.retain(|slot| self.by_slot.get(slot).is_some_and(|a| a.number < number));
        slots
    }

    /// The first slot behind another one.
    pub(crate) fn after(&self, slot: Option<SlotId>) -> Option<SlotId> {
        let from = slot.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_slot.range((from, Bound::Unbounded)).next().map(|(slot, _)| *slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotId, &Connect)> {
        self.by_slot.iter().map(|(slot, attempt)| (*slot, &*attempt.connect))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_slot.len()
    }

    /// Look-ups without an answer.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// The number of one more look-up.
    pub(crate) fn begin_lookup(&mut self) -> u32 {
        self.next_lookup = self.next_lookup.wrapping_add(1);
        self.running.insert(self.next_lookup);
        self.next_lookup
    }

    /// A look-up is answered: takes the connect that waits for it, if it still does.
    pub(crate) fn end_lookup(&mut self, id: LookupId) -> Option<(Attempt, Arc<dyn Authenticator>)> {
        if !self.running.remove(&id.number) {
            return None;
        }
        let asked = match &self.by_slot.get(&id.slot)?.stage {
            Stage::Lookup { number, asked } if *number == id.number => Arc::clone(asked),
            Stage::Lookup { .. } | Stage::Exchange(_) => return None,
        };
        Some((self.remove(id.slot)?, asked))
    }
}
