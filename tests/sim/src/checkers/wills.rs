use std::collections::{BTreeMap, BTreeSet};

use core_model::{DisconnectCause, Expiry, QoS, SlotId};

use super::{Checker, Class, Faults, Promises, class_of};
use crate::ledger::Ledger;
use crate::trace::{Entry, Ev, Op, Step};

/// A will comes when its client is lost, and never after a farewell.
pub struct Wills {
    promises: Promises,
    /// Wills that were sent to somebody.
    sent: BTreeSet<u64>,
    accepted: BTreeSet<(usize, u64)>,
    /// Slots that ended without a farewell: when, and whether the session ended with them.
    lost: BTreeMap<SlotId, (Step, bool)>,
    /// For the ends since the last quiet moment.
    fresh: Vec<SlotId>,
    routed: BTreeMap<SlotId, Step>,
}

impl Wills {
    /// A checker for a run that promises this.
    #[must_use]
    pub fn new(promises: Promises) -> Self {
        Wills {
            promises,
            sent: BTreeSet::new(),
            accepted: BTreeSet::new(),
            lost: BTreeMap::new(),
            fresh: Vec::new(),
            routed: BTreeMap::new(),
        }
    }

    fn note_end(&mut self, ledger: &Ledger, slot: SlotId, step: Step) {
        let Some(facts) = ledger.slots.get(&slot) else { return };
        let Some((_, life)) = facts.connected else { return };
        // Of a link on another shard nobody here knows when exactly core heard of its end.
        let keeps = facts.hello.manners.keeps_will;
        if facts.local && facts.hello.will.is_some() && !keeps && facts.ended == Some(step) {
            let with_link = ledger.lives[life].expiry == Expiry::WithLink;
            self.lost.insert(slot, (step, with_link));
            self.fresh.push(slot);
        }
    }

    fn check_published(
        &self,
        ledger: &Ledger,
        slot: SlotId,
        ended: Step,
        routed: Step,
        faults: &mut Faults,
    ) {
        let facts = &ledger.slots[&slot];
        let Some((draft, ..)) = &facts.hello.will else { return };
        if draft.qos == QoS::AtMostOnce {
            return;
        }
        for life in ledger.life_of.values() {
            let receiver = &ledger.lives[*life];
            let taken_back = receiver.revoked || ledger.was_forbidden(&draft.topic);
            if receiver.client == facts.client || taken_back {
                continue;
            }
            let must = ledger
                .matching(*life, &draft.topic, false)
                .filter_map(|(place, _)| ledger.holds(place, false, ended, routed))
                .any(|qos| qos > QoS::AtMostOnce);
            if must && !self.accepted.contains(&(*life, draft.number)) {
                faults.add(format!("life {life} never got the will of {slot:?}: {draft:?}"));
            }
        }
    }
}

impl Checker for Wills {
    fn see(&mut self, ledger: &Ledger, step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Applied { slot, op: Op::Disconnect(disconnect), .. }
                if disconnect.cause != DisconnectCause::Farewell =>
            {
                self.note_end(ledger, *slot, step);
            }
            Entry::Emitted { slot, event: Ev::Kicked(_) } => self.note_end(ledger, *slot, step),
            Entry::Emitted { slot, event: Ev::Deliver(arrival) } => {
                let is_will = ledger.messages.get(&arrival.number).is_some_and(|m| m.is_will);
                if is_will && self.sent.insert(arrival.number) {
                    check_wanted(ledger, *slot, arrival.number, faults);
                }
            }
            Entry::Accepted { slot, arrival, .. } => {
                if let (Some(life), Class::Live) = (ledger.life(*slot), class_of(arrival)) {
                    self.accepted.insert((life, arrival.number));
                }
            }
            Entry::Quiet => {
                for slot in std::mem::take(&mut self.fresh) {
                    self.routed.insert(slot, step);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        if !self.promises.lossless {
            return;
        }
        for (slot, (ended, with_link)) in &self.lost {
            let facts = &ledger.slots[slot];
            let delayed = facts.hello.will.as_ref().is_some_and(|(_, delay_s, _)| *delay_s > 0);
            // Nobody waits until a will is safe with those who get it.
            if (!delayed || *with_link)
                && !ledger.crashed_since(*ended)
                && let Some(routed) = self.routed.get(slot)
            {
                self.check_published(ledger, *slot, *ended, *routed, faults);
            }
        }
    }
}

/// Whether a will that is sent to somebody may be.
fn check_wanted(ledger: &Ledger, to: SlotId, number: u64, faults: &mut Faults) {
    let owner = ledger.slots.iter().find(|(_, facts)| {
        facts.hello.will.as_ref().is_some_and(|(draft, ..)| draft.number == number)
    });
    let Some((slot, facts)) = owner.filter(|(_, facts)| !facts.hello.manners.keeps_will) else {
        return;
    };
    let farewell = facts.cause == Some(DisconnectCause::Farewell);
    if facts.refused || (facts.local && facts.connected.is_none()) {
        faults.add(format!("{to:?} got the will {number} of {slot:?}, which was not let in"));
    }
    if ledger.crashed_since(facts.opened) {
        // The farewell may be forgotten.
        return;
    }
    // A link on another shard may have been lost to another one before its farewell arrived.
    if facts.local && (farewell || facts.ended.is_none()) {
        // The end of a local slot by a take-over is told before its will is published.
        faults.add(format!("{to:?} got the will {number} of {slot:?}, which ended {facts:?}"));
    }
}
