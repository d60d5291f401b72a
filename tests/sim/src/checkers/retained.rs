use std::collections::BTreeMap;
use std::sync::Arc;

use core_model::{QoS, SlotId};

use super::{Checker, Class, Faults, Promises, class_of};
use crate::ledger::{Ledger, MessageFacts};
use crate::trace::{Arrival, Entry, Ev, Step};

/// A new subscription converges on the last retained message of each topic, and no retained copy
/// follows a newer one. Holds for topics that one client writes.
pub struct RetainedCopies {
    promises: Promises,
    newest: BTreeMap<(usize, Arc<str>, QoS), u64>,
    /// What clients took, in order: life, step, copy.
    taken: Vec<(usize, Step, Arrival)>,
}

impl RetainedCopies {
    /// A checker for a run that promises this.
    #[must_use]
    pub fn new(promises: Promises) -> Self {
        RetainedCopies { promises, newest: BTreeMap::new(), taken: Vec::new() }
    }

    fn on_arrival(&mut self, ledger: &Ledger, slot: SlotId, a: &Arrival, faults: &mut Faults) {
        let class = class_of(a);
        if matches!(class, Class::Group(_)) {
            return;
        }
        let Some(life) = ledger.life(slot) else { return };
        if ledger.lives[life].slot != slot || ledger.slots[&slot].ended.is_some() {
            // What comes late for a link of another shard reaches nobody.
            return;
        }
        if class == Class::Retained {
            self.check_retained(ledger, life, slot, a, faults);
        }
        let newest = self.newest.entry((life, Arc::clone(&a.topic), a.qos)).or_insert(a.number);
        // A publisher that repeats itself may write an older message after a newer one, and a
        // message that was handed back comes again later.
        let in_order = !is_repeated(ledger, &a.topic)
            && !ledger.lives[life].may_requeue
            && ledger.crashes.is_empty();
        if class == Class::Retained && a.number < *newest && in_order && !a.dup {
            faults.add(format!("{slot:?}: a retained copy after {newest}: {a:?}"));
        }
        *newest = a.number.max(*newest);
    }

    fn check_retained(
        &self,
        ledger: &Ledger,
        life: usize,
        slot: SlotId,
        a: &Arrival,
        faults: &mut Faults,
    ) {
        let asked = ledger.matching(life, &a.topic, false).any(|(_, s)| {
            a.identifiers == [s.identifier]
                && s.options.retain_handling != core_model::RetainHandling::DoNotSend
        });
        if !asked || a.empty {
            faults.add(format!("{slot:?}: nobody asked for the retained copy {a:?}"));
        }
    }

    /// The last message of a topic, where it is certain: with or without payload.
    fn last_written(ledger: &Ledger, topic: &str) -> Option<(u64, bool, Step)> {
        let mut of_topic =
            ledger.messages.values().filter(|m| *m.draft.topic == *topic && m.draft.retain);
        let last = of_topic.next_back()?;
        // A repetition of an older message may have come after it.
        let newest = |m: &MessageFacts| m.applications.iter().map(|a| a.applied).max();
        let is_last = ledger
            .messages
            .values()
            .filter(|m| *m.draft.topic == *topic)
            .all(|m| newest(m) <= newest(last));
        let certain = is_last
            && last.applications.last().is_some_and(|application| {
                let local = ledger.slots[&application.slot].local
                    && !ledger.crashed_since(application.applied);
                local || application.answer.is_some_and(|(_, reason)| !reason.is_error())
            });
        certain.then_some((last.draft.number, last.draft.empty, last.first))
    }

    fn check_converged(
        &self,
        ledger: &Ledger,
        topic: &Arc<str>,
        last: (u64, bool, Step),
        faults: &mut Faults,
    ) {
        let (number, empty, _) = last;
        let published = ledger.messages[&number].draft.qos;
        for (life, place) in ledger
            .life_of
            .values()
            .flat_map(|life| ledger.matching(*life, topic, false).map(|(place, _)| (*life, place)))
        {
            let s = &ledger.subscriptions[place];
            let own = ledger.messages[&number].publisher == ledger.lives[life].client;
            let online = s.applied > ledger.slots[&ledger.lives[life].slot].let_in();
            let reliable = s.options.qos.min(published) > QoS::AtMostOnce;
            let counts = s.acked.is_some()
                && !ledger.lives[life].revoked
                && !ledger.was_forbidden(topic)
                && s.end.is_none()
                && ledger.wants_retained(place)
                // What was still to come to a new subscription is not written down.
                && !ledger.crashed_since(s.applied)
                && !(own && s.options.no_local)
                && (online || reliable);
            if !counts {
                continue;
            }
            // What had reached its queue before has nothing to do with this subscription.
            let is_later = |m: &MessageFacts| {
                m.applications.iter().any(|a| a.routed.is_none_or(|routed| routed > s.applied))
            };
            let by_this = |a: &Arrival| match class_of(a) {
                Class::Retained => a.identifiers == [s.identifier],
                _ => ledger.messages.get(&a.number).is_some_and(is_later),
            };
            let seen: Vec<&Arrival> = self
                .taken
                .iter()
                .filter(|(l, step, a)| *l == life && a.topic == *topic && *step > s.applied)
                .map(|(.., a)| a)
                .filter(|a| by_this(a))
                .collect();
            let has_last = seen.iter().any(|a| a.number == number);
            let has_old = !s.is_again && seen.iter().any(|a| class_of(a) == Class::Retained);
            // Of a topic that has none any more nothing need come, unless something came before; and
            // that may have waited in the queue since before this subscription.
            let removed = || self.taken.iter().any(|(l, _, a)| *l == life && a.number == number);
            if !has_last && (!empty || (has_old && !removed())) {
                faults.add(format!(
                    "life {life}, {:?} of step {}: never saw {number}, the last on {topic}: {seen:?}",
                    s.options.filter, s.applied
                ));
            }
        }
    }
}

/// Whether a message of the topic went into the core twice.
fn is_repeated(ledger: &Ledger, topic: &str) -> bool {
    ledger.messages.values().any(|m| *m.draft.topic == *topic && m.applications.len() > 1)
}

impl Checker for RetainedCopies {
    fn see(&mut self, ledger: &Ledger, step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Emitted { slot, event: Ev::Deliver(arrival) } => {
                self.on_arrival(ledger, *slot, arrival, faults);
            }
            Entry::Accepted { slot, arrival, .. } => {
                if let Some(life) = ledger.life(*slot)
                    && !matches!(class_of(arrival), Class::Group(_))
                {
                    self.taken.push((life, step, arrival.clone()));
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        if !self.promises.lossless {
            return;
        }
        for topic in ledger.topics() {
            if let Some(last) = Self::last_written(ledger, &topic) {
                self.check_converged(ledger, &topic, last, faults);
            }
        }
    }
}
