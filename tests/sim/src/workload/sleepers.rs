//! What clients do that sleep, say how much they take, leave notes, keep wills and guard their sessions.

use core_model::{Credit, Manners, Takeover};

use super::{Sim, TOPICS, any_qos};
use crate::trace::{DraftWill, Op};

/// More messages than a run has.
const PLENTY: u32 = 1_000_000;

impl Sim {
    /// Whether core may think that an earlier link of a client is there.
    pub(super) fn is_held(&self, client: usize) -> bool {
        let slots = &self.world.witness.ledger.slots;
        slots.iter().any(|(slot, facts)| facts.client == client && self.world.is_open(*slot))
    }

    /// How a client behaves on its next link, and where it comes from.
    pub(super) fn manners(&mut self, client: usize) -> (Manners, u8) {
        if !self.clients[client].is_sleeper {
            return (Manners::default(), 0);
        }
        let credit = if self.is_settling { Credit::Messages(PLENTY) } else { self.any_credit() };
        let manners = Manners {
            keeps_will: true,
            keeps_qos0: self.rng.chance(50),
            takeover: self.rng.pick(&[
                Takeover::Anybody,
                Takeover::Anybody,
                Takeover::SameAddress,
                Takeover::Nobody,
            ]),
            credit,
        };
        (manners, self.rng.below(2) as u8)
    }

    pub(super) fn any_credit(&mut self) -> Credit {
        let count = self.rng.pick(&[0, 1, 1, 1, 2, 3, 10]);
        self.rng.pick(&[
            Credit::None,
            Credit::Open,
            Credit::Messages(count),
            Credit::Messages(count),
            Credit::Messages(count),
        ])
    }

    /// A sleeper does what only sleepers do.
    pub(super) fn be_a_sleeper(&mut self, client: usize) {
        let Some(slot) = self.clients[client].slot.filter(|_| self.clients[client].online) else {
            return;
        };
        let op = match self.rng.below(10) {
            0..2 => {
                self.next_number += 1;
                let value = self.rng.chance(70).then_some(self.next_number);
                Op::Note { key: self.rng.below(4) as u32, value }
            }
            // From another shard it may come when another link has the session.
            2 if self.world.home_of(&self.clients[client].id) == slot.shard => {
                let ticket = self.clients[client].ticket();
                let will = self.rng.chance(70).then(|| self.any_will());
                Op::UpdateWill { ticket, will }
            }
            _ => Op::Demand(self.any_credit()),
        };
        self.world.send(slot, op);
    }

    pub(super) fn any_will(&mut self) -> DraftWill {
        let (topic, qos) = (self.rng.pick(TOPICS), any_qos(&mut self.rng));
        (self.draft(topic, qos, false, false), 0, None)
    }

    /// All that a client is given takes credit enough; what it says to get it.
    pub fn plenty(&self, client: usize) -> Credit {
        if self.clients[client].is_sleeper { Credit::Messages(PLENTY) } else { Credit::Open }
    }
}
