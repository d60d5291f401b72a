use std::collections::BTreeMap;
use std::sync::Arc;

use core_model::{QoS, SlotId};

use super::{Checker, Class, Faults, Promises, class_of};
use crate::ledger::{Ledger, MessageFacts, Window};
use crate::trace::{Arrival, Entry, Ev, Step};

/// Every message reaches whom it must, as often as its QoS says, in order, and nobody else.
pub struct Deliveries {
    promises: Promises,
    taken: BTreeMap<Copy, Taken>,
    /// The newest message that came first-time, per receiver, publisher, topic and QoS.
    newest: BTreeMap<(usize, usize, Arc<str>, QoS), u64>,
}

/// Which copies of a message are the same for a receiver.
type Copy = (usize, u64, Class);

#[derive(Default)]
struct Taken {
    /// Taken as new by the client.
    accepted: usize,
    /// Of these, not marked as a repetition.
    fresh: usize,
    /// Refused by the client.
    discarded: usize,
    /// Of the accepted ones, with QoS 2.
    exactly: usize,
}

impl Deliveries {
    /// A checker for a run that promises this.
    #[must_use]
    pub fn new(promises: Promises) -> Self {
        Deliveries { promises, taken: BTreeMap::new(), newest: BTreeMap::new() }
    }

    /// Is the copy one that the receiver's subscriptions allow?
    fn check_terms(ledger: &Ledger, step: Step, slot: SlotId, a: &Arrival, faults: &mut Faults) {
        let Some(life) = ledger.life(slot) else { return };
        let Some(message) = ledger.messages.get(&a.number) else {
            return faults.add(format!("{slot:?}: nobody published {a:?}"));
        };
        let draft = &message.draft;
        if draft.topic != a.topic || draft.empty != a.empty {
            faults.add(format!("{slot:?}: {a:?} was published as {draft:?}"));
        }
        let class = class_of(a);
        if class == Class::Live && a.retain {
            faults.add(format!("{slot:?}: a live copy with the retain flag: {a:?}"));
        }
        let shared = matches!(class, Class::Group(_));
        let may: Vec<_> = ledger
            .matching(life, &a.topic, shared)
            .filter(|(place, _)| ledger.may_catch(*place, message.first))
            .collect();
        let named = |identifier: &u32| may.iter().any(|(_, s)| s.identifier == *identifier);
        if a.identifiers.is_empty() || !a.identifiers.iter().all(named) {
            return faults.add(format!("{slot:?}: no subscription asked for {a:?}"));
        }
        let highest = may
            .iter()
            .filter(|(_, s)| a.identifiers.contains(&s.identifier))
            .map(|(_, s)| s.options.qos)
            .max()
            .unwrap_or_default();
        if a.qos > draft.qos.min(highest) {
            faults.add(format!("{slot:?}: more than {highest:?} was granted for {a:?}"));
        }
        if class == Class::Live {
            Self::check_own(ledger, life, message, a, faults);
            Self::check_all_named(ledger, step, life, message, a, faults);
        }
    }

    /// No Local holds for the client's own messages.
    fn check_own(
        ledger: &Ledger,
        life: usize,
        message: &MessageFacts,
        a: &Arrival,
        faults: &mut Faults,
    ) {
        let own = message.publisher == ledger.lives[life].client;
        let all_no_local = ledger
            .matching(life, &a.topic, false)
            .filter(|(_, s)| a.identifiers.contains(&s.identifier))
            .all(|(_, s)| s.options.no_local);
        if own && all_no_local {
            faults.add(format!("No Local, but life {life} got its own {a:?}"));
        }
    }

    /// A copy names all subscriptions that certainly matched, with the highest QoS of them.
    fn check_all_named(
        ledger: &Ledger,
        step: Step,
        life: usize,
        message: &MessageFacts,
        a: &Arrival,
        faults: &mut Faults,
    ) {
        if message.applications.len() != 1 {
            return;
        }
        let own = message.publisher == ledger.lives[life].client;
        for (_, s) in ledger.matching(life, &a.topic, false) {
            let certain = s.acked.is_some_and(|acked| acked < message.first)
                && s.end.is_none_or(|end| end.applied > step)
                && !(own && s.options.no_local);
            if !certain {
                continue;
            }
            if !a.identifiers.contains(&s.identifier) {
                faults.add(format!("life {life}: {:?} is not named by {a:?}", s.options));
            }
            if a.qos < message.draft.qos.min(s.options.qos) {
                faults.add(format!("life {life}: less than {:?} grants: {a:?}", s.options));
            }
        }
    }

    fn on_accepted(
        &mut self,
        ledger: &Ledger,
        slot: SlotId,
        a: &Arrival,
        discarded: bool,
        faults: &mut Faults,
    ) {
        let Some(life) = ledger.life(slot) else { return };
        let Some(message) = ledger.messages.get(&a.number) else { return };
        let class = class_of(a);
        let taken = self.taken.entry((life, a.number, class)).or_default();
        if discarded {
            taken.discarded += 1;
            return;
        }
        taken.accepted += 1;
        taken.fresh += usize::from(!a.dup);
        taken.exactly += usize::from(a.qos == QoS::ExactlyOnce);
        let first_time = taken.accepted == 1 && taken.discarded == 0;
        // What was not written down when the process was killed may come once more.
        let lives = 1 + ledger.crashes.len();
        // A will that its session keeps comes once for each loss of a link.
        let losses = message.losses.max(1);
        let times = message.applications.len().max(losses) * lives;
        let requeues = ledger.lives[life].may_requeue;
        let wrong = match (class, message.draft.qos) {
            // Each new subscription may bring it once more, and a shared one another member's copy.
            (Class::Retained | Class::Group(_), _) => false,
            // After a crash it may have come with QoS 1 before.
            (Class::Live, QoS::ExactlyOnce) if a.qos == QoS::ExactlyOnce => {
                let came_once = lives == 1 && losses == 1;
                taken.exactly > losses || (came_once && taken.accepted > 1)
            }
            (Class::Live, QoS::ExactlyOnce) => taken.fresh > losses * lives,
            (Class::Live, _) => taken.fresh > times,
        };
        // Of a link on another shard nobody here knows when core heard of its end.
        let loose = message.is_will && ledger.has_loose_wills(message.publisher);
        if wrong && !requeues && !loose {
            faults.add(format!("{slot:?} took {a:?} once too often"));
        }
        // What its publisher repeated may have had a new receiver the second time only.
        let repeated = (message.draft.qos == QoS::AtLeastOnce && times > 1)
            || (!ledger.crashes.is_empty() && a.qos < QoS::ExactlyOnce);
        if class == Class::Live && first_time && !message.is_will && !requeues && !repeated {
            let key = (life, message.publisher, Arc::clone(&a.topic), a.qos);
            let newest = self.newest.entry(key).or_insert(a.number);
            if *newest > a.number {
                faults.add(format!("{slot:?} got {a:?} after {newest}, which is newer"));
            }
            *newest = a.number;
        }
    }

    /// Has everybody got the message who must have it?
    fn check_reached(
        &self,
        ledger: &Ledger,
        message: &MessageFacts,
        w: Window,
        faults: &mut Faults,
    ) {
        for life in ledger.life_of.values() {
            let facts = &ledger.lives[*life];
            if facts.revoked || ledger.was_forbidden(&message.draft.topic) {
                continue;
            }
            let own = message.publisher == facts.client;
            let online = |place: &usize| {
                // On the link through which it subscribed, the client has been all the time.
                ledger.subscriptions[*place].applied > ledger.slots[&facts.slot].let_in()
            };
            let granted = ledger
                .matching(*life, &message.draft.topic, false)
                .filter_map(|(place, s)| {
                    let durable = s.acked.is_some() && facts.expiry.as_seconds() > 0;
                    let until = if durable { min_of(w.acked, w.routed) } else { w.routed }?;
                    let qos = ledger.holds(place, own, w.first, until)?;
                    let qos = qos.min(message.draft.qos);
                    (qos > QoS::AtMostOnce || online(&place)).then_some(qos)
                })
                .max();
            let Some(qos) = granted else { continue };
            let taken = self.taken.get(&(*life, message.draft.number, Class::Live));
            let (accepted, discarded) = taken.map_or((0, 0), |t| (t.accepted, t.discarded));
            if accepted + discarded == 0 {
                faults.add(format!(
                    "life {life} (client {}) never got {:?}, granted {qos:?}",
                    facts.client, message.draft
                ));
            }
        }
    }
}

fn min_of(a: Option<Step>, b: Option<Step>) -> Option<Step> {
    a.into_iter().chain(b).min()
}

impl Checker for Deliveries {
    fn see(&mut self, ledger: &Ledger, step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Emitted { slot, event: Ev::Deliver(arrival) } => {
                Self::check_terms(ledger, step, *slot, arrival, faults);
            }
            Entry::Accepted { slot, arrival, discarded } => {
                self.on_accepted(ledger, *slot, arrival, *discarded, faults);
            }
            _ => {}
        }
    }

    fn finish(&mut self, ledger: &Ledger, faults: &mut Faults) {
        if !self.promises.lossless {
            return;
        }
        for message in ledger.messages.values() {
            if let Some(window) = ledger.window(message) {
                self.check_reached(ledger, message, window, faults);
            }
        }
    }
}
