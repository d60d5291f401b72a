use std::collections::BTreeMap;

use core_model::{Outcome, QoS, Reason, SlotId};

use super::{Checker, Faults, Promises};
use crate::ledger::Ledger;
use crate::trace::{Arrival, Entry, Ev, Op, Step};

/// Deliveries on one link: no more unsettled ones than the client takes, handles that name one
/// message until it is settled, the repetition flag on repetitions only, the steps of QoS 2 in
/// order.
pub struct Windows {
    promises: Promises,
    /// Unsettled deliveries of a life of a session, by handle.
    unsettled: BTreeMap<(usize, u16), Unsettled>,
}

struct Unsettled {
    number: u64,
    qos: QoS,
    stage: Stage,
    /// The link on which it was last delivered.
    slot: SlotId,
    /// Whether the process was killed since, which may have forgotten what the client said.
    shaken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Delivered,
    /// The client has said so.
    Received,
    /// It was told to release.
    Released,
    /// The client has settled it; on a link of another shard core may not know yet.
    Settled,
}

impl Windows {
    /// A checker for a run that promises this.
    #[must_use]
    pub fn new(promises: Promises) -> Self {
        Windows { promises, unsettled: BTreeMap::new() }
    }

    fn on_arrival(
        &mut self,
        ledger: &Ledger,
        slot: SlotId,
        arrival: &Arrival,
        faults: &mut Faults,
    ) {
        let Some(life) = ledger.life(slot) else { return };
        let local = ledger.slots[&slot].local;
        if !local && (ledger.lives[life].slot != slot || !ledger.is_present(life)) {
            // What comes late for a link of another shard reaches nobody.
            return;
        }
        if arrival.qos == QoS::AtMostOnce {
            if arrival.dup || arrival.handle != 0 {
                faults.add(format!("QoS 0 with a handle or as a repetition: {arrival:?}"));
            }
            return;
        }
        if arrival.handle == 0 {
            faults.add(format!("{slot:?}: no handle: {arrival:?}"));
        }
        self.check_handle(ledger, life, slot, arrival, faults);
        if let Some(known) = self.unsettled.get(&(life, arrival.handle))
            && (arrival.dup, known.number, known.slot) == (true, arrival.number, slot)
        {
            // Once more on the same link; what the client has said meanwhile still counts.
            return;
        }
        let new = Unsettled {
            number: arrival.number,
            qos: arrival.qos,
            stage: Stage::Delivered,
            slot,
            shaken: false,
        };
        self.unsettled.insert((life, arrival.handle), new);
        let max = ledger.slots[&slot].hello.receive_max;
        let used = self
            .unsettled
            .range((life, 0)..=(life, u16::MAX))
            .filter(|(_, u)| u.slot == slot && u.stage != Stage::Settled)
            .count();
        if used > usize::from(max) {
            faults.add(format!("{slot:?} takes {max} unsettled deliveries and has {used}"));
        }
    }

    fn check_handle(
        &self,
        ledger: &Ledger,
        life: usize,
        slot: SlotId,
        arrival: &Arrival,
        faults: &mut Faults,
    ) {
        let known = self.unsettled.get(&(life, arrival.handle));
        let remote = ledger.lives[life].was_remote || known.is_some_and(|known| known.shaken);
        let again = known.is_some_and(|known| {
            known.number == arrival.number
                && known.qos == arrival.qos
                && (known.stage == Stage::Delivered || (remote && known.stage != Stage::Released))
                && (known.slot != slot || !self.promises.no_retransmission)
        });
        // News for a link of another shard may come after those for its successor.
        let free = known.is_none_or(|known| known.stage == Stage::Settled || remote);
        // After a crash nobody knows whether it was sent, or under which handle.
        let certain = !remote && ledger.crashes.is_empty();
        if arrival.dup && !again && certain {
            faults.add(format!("{slot:?}: nothing to repeat: {arrival:?}"));
        }
        if !arrival.dup && !free {
            faults.add(format!("{slot:?}: the handle is in use: {arrival:?}"));
        }
    }

    fn on_release(
        &mut self,
        ledger: &Ledger,
        slot: SlotId,
        handle: u16,
        reason: Reason,
        faults: &mut Faults,
    ) {
        let Some(life) = ledger.life(slot) else { return };
        if reason.is_error() {
            return;
        }
        let known = self.unsettled.get(&(life, handle));
        let remote = ledger.lives[life].was_remote || known.is_some_and(|known| known.shaken);
        match self.unsettled.get_mut(&(life, handle)) {
            Some(known) if known.qos == QoS::ExactlyOnce && known.stage != Stage::Delivered => {
                if known.stage != Stage::Settled {
                    known.stage = Stage::Released;
                } else if !remote {
                    faults.add(format!("{slot:?}: release of {handle}, which is settled"));
                }
            }
            _ if remote => {}
            _ => faults.add(format!("{slot:?}: release of {handle}, which was not received")),
        }
    }

    fn on_settle(&mut self, ledger: &Ledger, slot: SlotId, handle: u16, outcome: Outcome) {
        let Some(life) = ledger.life(slot) else { return };
        let Some(known) = self.unsettled.get_mut(&(life, handle)) else { return };
        match outcome {
            Outcome::Received if known.stage == Stage::Delivered => known.stage = Stage::Received,
            Outcome::Received => {}
            Outcome::Accepted if known.qos == QoS::ExactlyOnce => {
                if known.stage == Stage::Released {
                    known.stage = Stage::Settled;
                }
            }
            Outcome::Accepted | Outcome::Discarded(_) | Outcome::Requeued => {
                known.stage = Stage::Settled;
            }
        }
    }
}

impl Checker for Windows {
    fn see(&mut self, ledger: &Ledger, _step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Applied { slot, op: Op::Settle { handle, outcome }, .. } => {
                self.on_settle(ledger, *slot, *handle, *outcome);
            }
            Entry::Crash => {
                // Handles of QoS 1 may be forgotten with it, and given to other messages.
                self.unsettled.retain(|_, known| known.qos == QoS::ExactlyOnce);
                self.unsettled.values_mut().for_each(|known| known.shaken = true);
            }
            Entry::Emitted { slot, event } => match event {
                Ev::Deliver(arrival) => self.on_arrival(ledger, *slot, arrival, faults),
                Ev::Release(handle, reason) => {
                    self.on_release(ledger, *slot, *handle, *reason, faults);
                }
                _ => {}
            },
            _ => {}
        }
    }
}
