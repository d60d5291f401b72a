use std::collections::BTreeMap;

use core_model::SlotId;

use super::{Checker, Faults};
use crate::ledger::Ledger;
use crate::trace::{Entry, Ev, Op, Step};

/// A session remembers what its links have noted, as long as it lives. Of a session that had a link
/// on another shard nobody can tell which note was the last.
#[derive(Default)]
pub struct Notes {
    /// By life of a session.
    noted: BTreeMap<usize, BTreeMap<u32, u64>>,
}

impl Notes {
    fn check(&self, ledger: &Ledger, slot: SlotId, found: &[(u32, u64)], faults: &mut Faults) {
        let Some(life) = ledger.life(slot) else { return };
        let empty = BTreeMap::new();
        let noted = self.noted.get(&life).unwrap_or(&empty);
        let same = noted.iter().map(|(key, value)| (*key, *value)).eq(found.iter().copied());
        if !same && !ledger.lives[life].was_remote {
            faults.add(format!("{slot:?} has noted {noted:?}, and {found:?} is remembered"));
        }
    }
}

impl Checker for Notes {
    fn see(&mut self, ledger: &Ledger, _step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Applied { slot, op: Op::Note { key, value }, .. } => {
                let Some(life) = ledger.life(*slot) else { return };
                let noted = self.noted.entry(life).or_default();
                match value {
                    Some(value) => drop(noted.insert(*key, *value)),
                    None => drop(noted.remove(key)),
                }
            }
            Entry::Emitted { slot, event: Ev::Connected { notes, .. } } => {
                self.check(ledger, *slot, notes, faults);
            }
            _ => {}
        }
    }
}
