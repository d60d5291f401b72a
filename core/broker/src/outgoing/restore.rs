use std::sync::Arc;

use core_model::{StoredMessage, Timestamp};
use core_store::QueuedTerms;

use super::{Identifiers, InFlight, Outgoing, Queued, State, following};

/// Taking up what the store kept. No link is there yet, and counters are settled at the end.
impl Outgoing {
    pub(crate) fn restore_queued(
        &mut self,
        sequence: u64,
        message: Arc<StoredMessage>,
        terms: &QueuedTerms,
    ) {
        self.next_sequence = self.next_sequence.max(sequence + 1);
        self.queued_bytes += message.size();
        self.queue.push_back(Queued {
            sequence,
            message,
            group: terms.group.clone(),
            identifiers: Identifiers::from_slice(&terms.identifiers),
            qos: terms.qos,
            retain: terms.retain,
        });
    }

    pub(crate) fn restore_handle(&mut self, sequence: u64, handle: u16) {
        let Some(queued) = self.unqueue_restored(sequence) else { return };
        self.next_handle = following(handle);
        // A crash does not keep the order in which handles were used up; look each one up.
        self.ascending = false;
        self.inflight.push_back(InFlight {
            sequence,
            sent_at: Timestamp::ZERO,
            message: Some(queued.message),
            group: queued.group,
            identifiers: queued.identifiers,
            handle,
            qos: queued.qos,
            retain: queued.retain,
            state: State::Sent,
            in_quota: false,
            begun: true,
        });
    }

    pub(crate) fn restore_received(&mut self, handle: u16) {
        if let Some(entry) = self.inflight.iter_mut().find(|entry| entry.handle == handle) {
            entry.state = State::Released;
        }
    }

    pub(crate) fn restore_settled(&mut self, sequence: u64) {
        if let Some(place) = self.inflight.iter().position(|entry| entry.sequence == sequence) {
            self.inflight.remove(place);
        } else {
            self.unqueue_restored(sequence);
        }
    }

    fn unqueue_restored(&mut self, sequence: u64) -> Option<Queued> {
        let place = self.queue.iter().position(|queued| queued.sequence == sequence)?;
        let queued = self.queue.remove(place)?;
        self.queued_bytes -= queued.message.size();
        Some(queued)
    }
}
