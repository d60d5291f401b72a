use std::collections::BTreeMap;

use core_model::{Expiry, Filter, QoS, SlotId};

use super::{Checker, Class, Faults, Promises, class_of};
use crate::ledger::{Ledger, Life, MessageFacts, Window};
use crate::trace::{Arrival, Entry, Ev, Step};

/// Each message goes to one member of a shared subscription: never to nobody while the group lives,
/// to a second one only when the first has died, and with QoS 2 once begun to no other.
pub struct Groups {
    promises: Promises,
    /// Deliveries begun, by group and message.
    given: BTreeMap<(u32, u64), Vec<Given>>,
    accepted: BTreeMap<(u32, u64), usize>,
}

struct Given {
    life: usize,
    qos: QoS,
    fresh: usize,
}

impl Groups {
    /// A checker for a run that promises this.
    #[must_use]
    pub fn new(promises: Promises) -> Self {
        Groups { promises, given: BTreeMap::new(), accepted: BTreeMap::new() }
    }

    fn on_arrival(&mut self, ledger: &Ledger, slot: SlotId, a: &Arrival, faults: &mut Faults) {
        let Class::Group(group) = class_of(a) else { return };
        let Some(life) = ledger.life(slot) else { return };
        let Some(message) = ledger.messages.get(&a.number) else { return };
        // A will that its session keeps comes once for each loss of a link.
        let losses = message.losses.max(1);
        let times = message.applications.len().max(losses) * (1 + ledger.crashes.len());
        let given = self.given.entry((group, a.number)).or_default();
        match given.iter_mut().find(|given| given.life == life && given.qos == a.qos) {
            Some(known) => known.fresh += usize::from(!a.dup),
            None => given.push(Given { life, qos: a.qos, fresh: usize::from(!a.dup) }),
        }
        let exact = message.draft.qos == QoS::ExactlyOnce;
        // What a session had that ended with its link is forgotten in a crash, and comes once more.
        let remembered = |given: &&Given| {
            ledger.crashes.is_empty() || ledger.lives[given.life].expiry != Expiry::WithLink
        };
        let exactly = given.iter().filter(|given| given.qos == QoS::ExactlyOnce);
        let begun = exactly.filter(remembered).count();
        if message.is_will && ledger.has_loose_wills(message.publisher) {
            return;
        }
        if exact && begun > losses {
            faults.add(format!("group {group}: two members got the QoS 2 message {a:?}"));
        }
        // A member that may be over has given back what it had.
        let may_give_back = |given: &Given| {
            let life = &ledger.lives[given.life];
            let ends = life.may_end.is_some() || life.over.is_some();
            ends || life.may_requeue || life.revoked || ledger.was_forbidden(&a.topic)
        };
        let firm: usize = given
            .iter()
            .filter(|given| !may_give_back(given))
            .map(|given| given.fresh.min(times).max(1))
            .sum();
        if firm > times {
            faults.add(format!("group {group}: {firm} living members got {a:?}"));
        }
    }

    fn check_given(
        &self,
        ledger: &Ledger,
        filter: &Filter,
        identifier: u32,
        message: &MessageFacts,
        window: Window,
        faults: &mut Faults,
    ) {
        let of_group = |s: &&crate::ledger::SubscriptionFacts| s.options.filter == *filter;
        // A QoS 0 delivery may get lost with its link, and with a crash what a member has whose
        // session ends with its link.
        let volatile = |life: &Life| life.expiry == Expiry::WithLink;
        let crashed = !ledger.crashes.is_empty();
        let reliable = ledger.subscriptions.iter().filter(of_group).all(|s| {
            let life = &ledger.lives[s.life];
            let gives_back = life.may_requeue || life.revoked || (crashed && volatile(life));
            s.options.qos > QoS::AtMostOnce && !gives_back
        });
        let lives = ledger.subscriptions.iter().enumerate().any(|(place, s)| {
            s.options.filter == *filter
                && ledger.is_present(s.life)
                && ledger.holds(place, false, window.first, Step::MAX).is_some()
        });
        // After a crash a QoS 2 message with a handle counts as begun, sent or not.
        let unknown = crashed && message.draft.qos == QoS::ExactlyOnce;
        let forbidden = ledger.was_forbidden(&message.draft.topic);
        if !lives || !reliable || unknown || forbidden {
            return;
        }
        let key = (identifier, message.draft.number);
        let given = self.given.get(&key).map_or(0, Vec::len);
        let begun = self
            .given
            .get(&key)
            .is_some_and(|given| given.iter().any(|given| given.qos == QoS::ExactlyOnce));
        let accepted = self.accepted.get(&key).copied().unwrap_or(0);
        if given == 0 || (accepted == 0 && !begun) {
            faults.add(format!("{filter:?} lost {:?}: {given} members got it", message.draft));
        }
    }
}

impl Checker for Groups {
    fn see(&mut self, ledger: &Ledger, _step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Emitted { slot, event: Ev::Deliver(arrival) } => {
                self.on_arrival(ledger, *slot, arrival, faults);
            }
            Entry::Accepted { arrival, .. } => {
                if let Class::Group(group) = class_of(arrival) {
                    *self.accepted.entry((group, arrival.number)).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        if !self.promises.lossless {
            return;
        }
        let mut groups: Vec<(&Filter, u32)> = ledger
            .subscriptions
            .iter()
            .filter(|s| s.options.filter.share_name().is_some())
            .map(|s| (&s.options.filter, s.identifier))
            .collect();
        groups.sort_unstable_by_key(|(_, identifier)| *identifier);
        groups.dedup();
        for message in ledger.messages.values() {
            let Some(window) = ledger.window(message) else { continue };
            if message.draft.qos == QoS::AtMostOnce {
                continue;
            }
            for (filter, identifier) in &groups {
                if filter.matches(&message.draft.topic) {
                    self.check_given(ledger, filter, *identifier, message, window, faults);
                }
            }
        }
    }
}
