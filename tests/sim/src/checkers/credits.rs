use std::collections::{BTreeMap, BTreeSet};

use core_model::{Credit, Outcome, QoS, SlotId};

use super::{Checker, Class, Faults, class_of};
use crate::ledger::Ledger;
use crate::trace::{Arrival, Entry, Ev, Op, Step};

/// Nobody gets more than he has credit for, and who asked for so many messages hears once that
/// nothing waits: when it is true, and not before all that he got is settled. Of links on another
/// shard than their session nobody can tell what core knew when; at the end they have heard it too.
#[derive(Default)]
pub struct Credits {
    slots: BTreeMap<SlotId, Facts>,
}

#[derive(Default)]
struct Facts {
    /// Deliveries that the client can still get; `None` for any number.
    left: Option<u32>,
    /// Whether it is to hear that nothing waits.
    due: bool,
    /// When it heard so.
    drained: Option<Step>,
    unsettled: BTreeMap<u16, QoS>,
    /// QoS 2 deliveries that the client was told to release.
    released: BTreeSet<u16>,
}

impl Facts {
    fn demand(&mut self, credit: Credit) {
        self.left = match credit {
            Credit::None => Some(0),
            Credit::Open => None,
            Credit::Messages(count) => Some(count),
        };
        self.due = matches!(credit, Credit::Messages(_));
    }

    fn settle(&mut self, handle: u16, outcome: Outcome) {
        let exact = self.unsettled.get(&handle) == Some(&QoS::ExactlyOnce);
        let done = match outcome {
            Outcome::Received => false,
            Outcome::Accepted => !exact || self.released.contains(&handle),
            Outcome::Discarded(_) | Outcome::Requeued => true,
        };
        if done {
            self.unsettled.remove(&handle);
            self.released.remove(&handle);
        }
    }

    fn on_arrival(&mut self, ledger: &Ledger, slot: SlotId, a: &Arrival, faults: &mut Faults) {
        match &mut self.left {
            Some(0) => faults.add(format!("{slot:?} has no credit, and got {a:?}")),
            Some(left) => *left -= 1,
            None => {}
        }
        if a.qos > QoS::AtMostOnce {
            self.unsettled.insert(a.handle, a.qos);
        }
        let Some(drained) = self.drained else { return };
        let Some(message) = ledger.messages.get(&a.number) else { return };
        let all_routed = !message.applications.is_empty()
            && message.applications.iter().all(|by| by.routed.is_some_and(|at| at < drained));
        let life = ledger.life(slot).map(|life| &ledger.lives[life]);
        let came_back = life.is_none_or(|life| life.may_requeue);
        if all_routed && class_of(a) == Class::Live && !came_back {
            faults.add(format!("{slot:?} heard that nothing waits, but this did: {a:?}"));
        }
    }

    fn on_drained(&mut self, slot: SlotId, step: Step, local: bool, faults: &mut Faults) {
        if local && !self.due {
            faults.add(format!("{slot:?} heard that nothing waits, which it did not ask for"));
        }
        if local && !self.unsettled.is_empty() {
            let handles = &self.unsettled;
            faults.add(format!("{slot:?} heard that nothing waits before it settled {handles:?}"));
        }
        self.due = false;
        self.drained = Some(step);
    }
}

impl Checker for Credits {
    fn see(&mut self, ledger: &Ledger, step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Applied { slot, op: Op::Connect(hello), .. } => {
                let mut facts = Facts::default();
                facts.demand(hello.manners.credit);
                self.slots.insert(*slot, facts);
            }
            Entry::Applied { slot, op, .. } => {
                let Some(facts) = self.slots.get_mut(slot) else { return };
                match op {
                    Op::Demand(credit) => facts.demand(*credit),
                    Op::Settle { handle, outcome } => facts.settle(*handle, *outcome),
                    _ => {}
                }
            }
            Entry::Emitted { slot, event } => {
                let local = ledger.slots.get(slot).is_some_and(|facts| facts.local);
                let Some(facts) = self.slots.get_mut(slot) else { return };
                match event {
                    Ev::Deliver(arrival) if local => {
                        facts.on_arrival(ledger, *slot, arrival, faults);
                    }
                    Ev::Release(handle, reason) if !reason.is_error() => {
                        facts.unsettled.insert(*handle, QoS::ExactlyOnce);
                        facts.released.insert(*handle);
                    }
                    Ev::Drained => facts.on_drained(*slot, step, local, faults),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        for (slot, facts) in &self.slots {
            let open = ledger.slots.get(slot).is_some_and(|s| s.ended.is_none());
            if open && facts.due {
                faults.add(format!("{slot:?} never heard that nothing waits"));
            }
        }
    }
}
