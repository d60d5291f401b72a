use core_model::{Reason, SlotId, Takeover};

use super::{Checker, Faults, Promises};
use crate::ledger::{Ledger, SlotFacts};
use crate::trace::{Entry, Ev, Step};

/// A session changes hands only where the link that holds it allows that, and nobody is turned away
/// for another reason. Of links on another shard nobody can tell who came first.
pub struct Takeovers {
    promises: Promises,
}

impl Takeovers {
    /// A checker for a run that promises this.
    #[must_use]
    pub fn new(promises: Promises) -> Self {
        Takeovers { promises }
    }
}

/// The slots of a client beside one of them, if all are where its session is.
fn others(ledger: &Ledger, slot: SlotId) -> Option<Vec<&SlotFacts>> {
    let client = ledger.slots.get(&slot)?.client;
    let of_client = ledger.slots.iter().filter(|(_, facts)| facts.client == client);
    let others: Vec<_> = of_client.filter(|(other, _)| **other != slot).collect();
    let is_local = ledger.slots[&slot].local && others.iter().all(|(_, facts)| facts.local);
    is_local.then(|| others.into_iter().map(|(_, facts)| facts).collect())
}

fn allows(holder: &SlotFacts, other: &SlotFacts) -> bool {
    match holder.hello.manners.takeover {
        Takeover::Anybody => true,
        Takeover::SameAddress => holder.hello.address == other.hello.address,
        Takeover::Nobody => false,
    }
}

impl Checker for Takeovers {
    fn see(&mut self, ledger: &Ledger, _step: Step, entry: &Entry, faults: &mut Faults) {
        let Entry::Emitted { slot, event } = entry else { return };
        match event {
            Ev::Kicked(Reason::SESSION_TAKEN_OVER) => {
                let Some(others) = others(ledger, *slot) else { return };
                let takers = others
                    .iter()
                    .filter(|other| other.connected.is_none() && other.ended.is_none());
                let holder = &ledger.slots[slot];
                if !takers.clone().any(|taker| allows(holder, taker)) {
                    faults.add(format!("{slot:?} lost its session, which it does not allow"));
                }
            }
            Ev::Refused(Reason::NOT_AUTHORIZED) if !self.promises.guarded => {
                let Some(others) = others(ledger, *slot) else { return };
                let is_held = others.iter().any(|holder| {
                    let holds = holder.connected.is_some() && holder.ended.is_none();
                    holds && !allows(holder, &ledger.slots[slot])
                });
                if !is_held {
                    faults.add(format!("{slot:?} was refused a session that nobody guards"));
                }
            }
            _ => {}
        }
    }
}
