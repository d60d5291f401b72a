use std::collections::BTreeMap;

use core_model::SlotId;

use super::{Checker, Faults};
use crate::ledger::Ledger;
use crate::trace::{Arrival, Entry, Ev, Op, Step};

/// Who is not let in changes nothing, and a subscription that was revoked brings nothing more of
/// what it was revoked for.
#[derive(Default)]
pub struct Guards {
    /// Topics that nobody may subscribe to now.
    forbidden: Vec<&'static str>,
    /// By client and identifier: what was forbidden when the subscription was revoked.
    revoked: BTreeMap<(usize, u32), Vec<&'static str>>,
    /// Revocations that were taken into account.
    seen: usize,
}

impl Guards {
    fn note_revoked(&mut self, ledger: &Ledger) {
        for (_, place) in &ledger.revoked[self.seen..] {
            let facts = &ledger.subscriptions[*place];
            let client = ledger.lives[facts.life].client;
            self.revoked.insert((client, facts.identifier), self.forbidden.clone());
        }
        self.seen = ledger.revoked.len();
    }

    fn on_delivery(&self, ledger: &Ledger, slot: SlotId, a: &Arrival, faults: &mut Faults) {
        let Some(message) = ledger.messages.get(&a.number) else { return };
        let by_stranger = !message.is_will
            && !message.applications.is_empty()
            && message
                .applications
                .iter()
                .all(|by| ledger.was_let_in(by.slot, by.applied) == Some(false));
        if by_stranger {
            faults.add(format!("{slot:?} got {a:?} of a client that was not let in"));
        }
        let facts = &ledger.slots[&slot];
        // What comes from another shard may have been on its way, and what was begun goes on, also
        // when the client hands it back.
        let requeues = ledger.life(slot).is_none_or(|life| ledger.lives[life].may_requeue);
        if !facts.local || requeues || a.dup || a.identifiers.is_empty() {
            return;
        }
        let is_revoked = |identifier: &u32| {
            let forbidden = self.revoked.get(&(facts.client, *identifier));
            forbidden.is_some_and(|forbidden| forbidden.contains(&&*a.topic))
        };
        if a.identifiers.iter().all(is_revoked) {
            faults.add(format!("{slot:?} got {a:?} of a subscription that was revoked"));
        }
    }
}

impl Checker for Guards {
    fn see(&mut self, ledger: &Ledger, _step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Rules(forbidden) => self.forbidden.clone_from(forbidden),
            Entry::Revoked { .. } => self.note_revoked(ledger),
            Entry::Applied { slot, op: Op::Subscribe { identifier, .. }, .. } => {
                let client = ledger.slots[slot].client;
                self.revoked.remove(&(client, identifier.unwrap_or(0)));
            }
            Entry::Emitted { slot, event: Ev::Deliver(arrival) } => {
                self.on_delivery(ledger, *slot, arrival, faults);
            }
            _ => {}
        }
    }
}
