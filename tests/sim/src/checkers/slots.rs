use std::collections::BTreeMap;

use core_model::{Expiry, SlotId};

use super::{Checker, Faults};
use crate::ledger::Ledger;
use crate::trace::{Entry, Ev, Op, Step};

/// Slots begin and end once: connected first and only once, one farewell or one kick, then silence;
/// a session has one slot, and is there again exactly when it must be.
#[derive(Default)]
pub struct Slots {
    kicks: BTreeMap<SlotId, Step>,
    greeted: BTreeMap<SlotId, Step>,
    left: BTreeMap<SlotId, Step>,
}

impl Checker for Slots {
    fn see(&mut self, ledger: &Ledger, step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Applied { slot, op: Op::Disconnect(_), .. } => {
                self.left.insert(*slot, step);
            }
            Entry::Emitted { slot, event } => {
                let Some(facts) = ledger.slots.get(slot) else {
                    return faults.add(format!("{slot:?} never connected, but got {event:?}"));
                };
                if self.kicks.contains_key(slot) {
                    faults.add(format!("{slot:?} was kicked, and got {event:?} afterwards"));
                }
                if facts.local && self.left.contains_key(slot) {
                    faults.add(format!("{slot:?} has left, and got {event:?} afterwards"));
                }
                let is_first = !self.greeted.contains_key(slot);
                match event {
                    Ev::Connected { session_present, .. } => {
                        if !is_first {
                            faults.add(format!("{slot:?} was connected twice"));
                        }
                        self.greeted.insert(*slot, step);
                        check_presence(ledger, *slot, *session_present, faults);
                    }
                    Ev::Kicked(reason) => {
                        self.kicks.insert(*slot, step);
                        if !reason.is_error() {
                            faults.add(format!("{slot:?} was kicked with {reason:?}"));
                        }
                    }
                    Ev::Refused(_) => {}
                    _ if is_first => {
                        faults.add(format!("{slot:?} got {event:?} before it was connected"));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        let mut open = BTreeMap::new();
        for (slot, facts) in &ledger.slots {
            if facts.connected.is_some() && facts.ended.is_none() {
                let before = open.insert(facts.client, *slot);
                if let Some(before) = before {
                    faults.add(format!("{before:?} and {slot:?} hold the session together"));
                }
            }
        }
        for (slot, facts) in &ledger.slots {
            if facts.connected.is_none() && facts.ended.is_none() {
                faults.add(format!("{slot:?} never heard what became of its connect"));
            }
        }
    }
}

fn check_presence(ledger: &Ledger, slot: SlotId, present: bool, faults: &mut Faults) {
    let facts = &ledger.slots[&slot];
    if present && facts.hello.clean_start {
        faults.add(format!("{slot:?} asked for a clean start and found a session"));
    }
    let Some((_, life)) = facts.connected else { return };
    if present {
        // It is the life that the client had before.
        if ledger.lives[life].over.is_some() {
            faults.add(format!("{slot:?} found a session that was over"));
        }
        return;
    }
    let mut before = ledger.lives[..life].iter().rev();
    let lost = before.find(|other| other.client == facts.client).is_some_and(|before| {
        before.expiry != Expiry::WithLink && before.may_end.is_none() && !facts.hello.clean_start
    });
    if lost {
        faults.add(format!("{slot:?} did not find its session, which nothing had ended"));
    }
}
