use std::collections::{BTreeMap, VecDeque};

use core_model::{QoS, Reason, SlotId};

use super::{Checker, Faults, Promises};
use crate::ledger::Ledger;
use crate::trace::{Entry, Ev, Op, Step};

/// Publishers get one answer for each message, in the order of publishing; subscribers one for each
/// operation, with a reason for each filter.
pub struct Acks {
    promises: Promises,
    /// Tickets of publishes and releases, in order.
    awaited: BTreeMap<SlotId, VecDeque<u32>>,
    filters: BTreeMap<(SlotId, u32), Vec<Option<QoS>>>,
}

impl Checker for Acks {
    fn see(&mut self, ledger: &Ledger, _step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Applied { slot, op, .. } => match op {
                Op::Publish { draft, .. } if draft.qos == QoS::AtMostOnce => {}
                Op::Publish { ticket, .. } | Op::Release { ticket, .. } => {
                    self.awaited.entry(*slot).or_default().push_back(ticket.0);
                }
                // Nobody hears those who are not let in yet.
                Op::Subscribe { .. } if ledger.life(*slot).is_none() => {}
                Op::Subscribe { ticket, subscriptions, .. } => {
                    let of = subscriptions.iter().map(|s| Some(s.qos)).collect();
                    self.filters.insert((*slot, ticket.0), of);
                }
                Op::Unsubscribe { ticket, filters } => {
                    self.filters.insert((*slot, ticket.0), vec![None; filters.len()]);
                }
                _ => {}
            },
            Entry::Emitted { slot, event } => match event {
                Ev::Published(ticket, reason) => {
                    self.expect_next(*slot, ticket.0, faults);
                    if reason.is_error() {
                        faults.add(format!("{slot:?}: {ticket:?} was refused: {reason:?}"));
                    }
                }
                Ev::Released(ticket, _) => self.expect_next(*slot, ticket.0, faults),
                Ev::Subscribed(ticket, reasons) | Ev::Unsubscribed(ticket, reasons) => {
                    let asked = self.filters.remove(&(*slot, ticket.0));
                    if !asked.as_ref().is_some_and(|asked| self.fits(asked, reasons)) {
                        faults.add(format!("{slot:?}: {reasons:?} is no answer to {asked:?}"));
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        for (slot, awaited) in &self.awaited {
            if ledger.slots[slot].ended.is_none() && !awaited.is_empty() {
                faults.add(format!("{slot:?} never got answers to {awaited:?}"));
            }
        }
        for (slot, ticket) in self.filters.keys() {
            if ledger.slots[slot].ended.is_none() {
                faults.add(format!("{slot:?} never got an answer to {ticket}"));
            }
        }
    }
}

impl Acks {
    /// A checker for a run that promises this.
    #[must_use]
    pub fn new(promises: Promises) -> Self {
        Acks { promises, awaited: BTreeMap::new(), filters: BTreeMap::new() }
    }

    fn fits(&self, asked: &[Option<QoS>], reasons: &[Reason]) -> bool {
        asked.len() == reasons.len()
            && asked.iter().zip(reasons).all(|(asked, reason)| match asked {
                Some(_) if *reason == Reason::NOT_AUTHORIZED => self.promises.guarded,
                Some(qos) => reason.as_u8() == *qos as u8,
                None => matches!(*reason, Reason::SUCCESS | Reason::NO_SUBSCRIPTION_EXISTED),
            })
    }

    fn expect_next(&mut self, slot: SlotId, ticket: u32, faults: &mut Faults) {
        let next = self.awaited.get_mut(&slot).and_then(VecDeque::pop_front);
        if next != Some(ticket) {
            faults.add(format!("{slot:?} got the answer to {ticket} instead of {next:?}"));
        }
    }
}
