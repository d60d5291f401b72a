use std::collections::{BTreeMap, BTreeSet};

use core_model::{DisconnectCause, Expiry, QoS, SlotId};

use super::{Checker, Class, Faults, Promises, class_of};
use crate::ledger::Ledger;
use crate::trace::{Entry, Ev, Op, Step};

/// A will that belongs to the session is there again on each link, and comes once for each link that
/// is lost; a farewell brings none. Only of links where the session is: of others nobody can tell
/// what core heard first.
pub struct KeptWills {
    promises: Promises,
    /// Deliveries that a life of a session has taken, of each will.
    taken: BTreeMap<(usize, u64), usize>,
    /// Losses: when, and of which will.
    losses: Vec<Loss>,
    /// Of these, those before the last quiet moment.
    routed: usize,
    /// Wills that may be late.
    delayed: BTreeSet<u64>,
}

struct Loss {
    slot: SlotId,
    will: u64,
    ended: Step,
    /// When all mail for it had arrived.
    routed: Option<Step>,
}

impl KeptWills {
    /// A checker for a run that promises this.
    #[must_use]
    pub fn new(promises: Promises) -> Self {
        KeptWills {
            promises,
            taken: BTreeMap::new(),
            losses: Vec::new(),
            routed: 0,
            delayed: BTreeSet::new(),
        }
    }

    /// Is it the will that the session must have now?
    fn check_known(ledger: &Ledger, slot: SlotId, found: Option<u64>, faults: &mut Faults) {
        let facts = &ledger.slots[&slot];
        let Some(life) = ledger.life(slot) else { return };
        if ledger.has_loose_wills(facts.client) {
            return;
        }
        let before = ledger
            .slots
            .values()
            .filter(|other| other.connected.is_some_and(|(_, of)| of == life))
            .filter(|other| other.opened < facts.opened)
            .max_by_key(|other| other.opened);
        let known = before.and_then(|before| before.kept_will);
        let own = facts.hello.will.as_ref().map(|(draft, ..)| draft.number);
        let expected = own.or(known).filter(|_| facts.hello.manners.keeps_will);
        if found != expected {
            faults.add(format!("{slot:?} has the will {found:?} instead of {expected:?}"));
        }
    }

    fn note_end(&mut self, ledger: &Ledger, slot: SlotId, step: Step) {
        let Some(facts) = ledger.slots.get(&slot) else { return };
        let Some((_, life)) = facts.connected else { return };
        let late = |will: &u64| self.delayed.contains(will);
        let with_link = ledger.lives[life].expiry == Expiry::WithLink;
        if let Some(will) = facts.kept_will.filter(|will| with_link || !late(will))
            && facts.local
            && facts.ended == Some(step)
        {
            self.losses.push(Loss { slot, will, ended: step, routed: None });
        }
    }

    fn check_wanted(ledger: &Ledger, to: SlotId, number: u64, faults: &mut Faults) {
        let Some(will) = ledger.messages.get(&number).filter(|message| message.is_will) else {
            return;
        };
        let mut of_client = ledger.slots.values().filter(|facts| facts.client == will.publisher);
        let keeps = of_client.any(|facts| facts.hello.manners.keeps_will);
        if keeps && will.losses == 0 && !ledger.has_loose_wills(will.publisher) {
            faults.add(format!("{to:?} got the will {number}, whose client was never lost"));
        }
    }
}

impl Checker for KeptWills {
    fn see(&mut self, ledger: &Ledger, step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Applied { op: Op::Connect(hello), .. } => {
                let late = hello.will.iter().filter(|(_, delay_s, _)| *delay_s > 0);
                self.delayed.extend(late.map(|(draft, ..)| draft.number));
            }
            Entry::Applied { slot, op: Op::Disconnect(disconnect), .. }
                if disconnect.cause != DisconnectCause::Farewell =>
            {
                self.note_end(ledger, *slot, step);
            }
            Entry::Emitted { slot, event } => match event {
                Ev::Kicked(_) => self.note_end(ledger, *slot, step),
                Ev::Connected { will, .. } => Self::check_known(ledger, *slot, *will, faults),
                Ev::Deliver(arrival) => {
                    Self::check_wanted(ledger, *slot, arrival.number, faults);
                }
                _ => {}
            },
            Entry::Accepted { slot, arrival, .. } => {
                if let (Some(life), Class::Live) = (ledger.life(*slot), class_of(arrival)) {
                    *self.taken.entry((life, arrival.number)).or_default() += 1;
                }
            }
            Entry::Quiet => {
                for loss in self.losses.iter_mut().skip(self.routed) {
                    loss.routed = Some(step);
                }
                self.routed = self.losses.len();
            }
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        if !self.promises.lossless {
            return;
        }
        let mut wanted: BTreeMap<(usize, u64), usize> = BTreeMap::new();
        for loss in &self.losses {
            let Some(routed) = loss.routed else { continue };
            let draft = &ledger.messages[&loss.will].draft;
            // Nobody waits until a will is safe with those who get it.
            if draft.qos == QoS::AtMostOnce || ledger.crashed_since(loss.ended) {
                continue;
            }
            let client = ledger.slots[&loss.slot].client;
            for life in ledger.life_of.values() {
                let must = ledger
                    .matching(*life, &draft.topic, false)
                    .filter_map(|(place, _)| ledger.holds(place, false, loss.ended, routed))
                    .any(|qos| qos > QoS::AtMostOnce);
                if must && ledger.lives[*life].client != client {
                    *wanted.entry((*life, loss.will)).or_default() += 1;
                }
            }
        }
        for ((life, will), times) in wanted {
            let taken = self.taken.get(&(life, will)).copied().unwrap_or(0);
            if taken < times {
                faults.add(format!("life {life} got the will {will} {taken} times, not {times}"));
            }
        }
    }
}
