use std::sync::Arc;

use core_model::{Event, Outcome, QoS, Reason};
use core_store::Mutation;

use super::{InFlight, Outgoing, Queued, Receiver, Returned, State};
use crate::context::{Cx, Note};
use crate::journal::Gated;

/// What clients say of deliveries.
impl Outgoing {
    /// What the client says became of a delivery.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        cx: &mut Cx<'_>,
        to: Receiver<'_>,
        handle: u16,
        outcome: Outcome,
    ) {
        let Some((index, qos, state)) = self
            .find(handle)
            .and_then(|index| self.inflight.get(index).map(|e| (index, e.qos, e.state)))
        else {
            return unknown_handle(cx, to, handle, outcome);
        };
        match outcome {
            Outcome::Received if qos == QoS::ExactlyOnce => self.receive(cx, to, index, handle),
            Outcome::Received => {}
            Outcome::Accepted => {
                //= mqtt5:4.3.2-3
                //= mqtt5:4.3.3-5
                //= mqtt311:4.3.2-1
                let done = qos == QoS::AtLeastOnce || state == State::Released;
                if done {
                    self.finish(cx, to, index);
                }
            }
            Outcome::Discarded(_) => {
                //= mqtt5:4.4.0-2
                //= mqtt5:4.8.2-6
                cx.counters.dropped_discarded += 1;
                self.finish(cx, to, index);
            }
            Outcome::Requeued => self.requeue(cx, to, index),
        }
    }

    fn receive(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, index: usize, handle: u16) {
        let Some(entry) = self.inflight.get_mut(index) else { return };
        match entry.state {
            //= mqtt5:4.3.3-3
            State::Sent if to.durable => {
                entry.state = State::AwaitRelease;
                cx.journal.push(Mutation::Received { session: to.origin, handle });
                cx.journal.gate(Gated::Release {
                    session: to.index,
                    generation: to.generation,
                    handle,
                });
            }
            //= mqtt5:4.3.3-4
            //= mqtt311:4.3.3-1
            State::Sent | State::Released => {
                entry.state = State::Released;
                // From here only the handle matters.
                if let Some(message) = entry.message.take() {
                    cx.let_go(&message);
                }
                if let Some(slot) = to.slot {
                    cx.event(slot, Event::Release { handle, reason: Reason::SUCCESS });
                }
            }
            State::AwaitRelease | State::AwaitDurable | State::AwaitResend => {}
        }
    }

    pub(super) fn finish(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, index: usize) {
        if let Some(entry) = self.take(index) {
            if let Some(message) = &entry.message {
                cx.let_go(message);
            }
            self.forget(cx, to, entry.sequence, entry.qos, entry.group);
        }
        if !self.queue.is_empty() || self.resends > 0 {
            self.pump(cx, to);
        }
    }

    pub(super) fn take(&mut self, index: usize) -> Option<InFlight> {
        let entry =
            if index == 0 { self.inflight.pop_front() } else { self.inflight.remove(index) }?;
        if entry.in_quota {
            self.quota_used -= 1;
        }
        if entry.waits() {
            self.resends -= 1;
        }
        if self.inflight.is_empty() {
            self.ascending = true;
        }
        Some(entry)
    }

    pub(super) fn requeue(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, index: usize) {
        let Some(entry) = self.take(index) else { return };
        match (entry.group, entry.message) {
            (Some(group), Some(message)) => {
                if to.durable {
                    let sequence = entry.sequence;
                    cx.journal.push(Mutation::Settled { session: to.origin, sequence });
                }
                cx.let_go(&message);
                let returned = Returned { group, message };
                cx.notes.push(Note::GroupReturned {
                    returned,
                    session: to.index,
                    generation: to.generation,
                });
            }
            (group, Some(message)) => {
                let size = message.size();
                self.queued_bytes += size;
                cx.counters.queued_messages += 1;
                cx.counters.queued_bytes += size as u64;
                let queued = Queued {
                    sequence: entry.sequence,
                    message,
                    group,
                    identifiers: entry.identifiers,
                    qos: entry.qos,
                    retain: entry.retain,
                };
                // Behind older ones that were given back before it.
                let newer = self.queue.iter().position(|other| other.sequence > queued.sequence);
                self.queue.insert(newer.unwrap_or(self.queue.len()), queued);
            }
            (_, None) => cx.counters.dropped_discarded += 1,
        }
        self.pump(cx, to);
    }

    /// A message is done with: tells the journal, and the group that gave it.
    pub(super) fn forget(
        &mut self,
        cx: &mut Cx<'_>,
        to: Receiver<'_>,
        sequence: u64,
        qos: QoS,
        group: Option<Arc<str>>,
    ) {
        if to.durable && qos != QoS::AtMostOnce {
            cx.journal.push(Mutation::Settled { session: to.origin, sequence });
        }
        if let Some(group) = group {
            cx.notes.push(Note::GroupSettled {
                group,
                session: to.index,
                generation: to.generation,
            });
        }
    }
}

fn unknown_handle(cx: &mut Cx<'_>, to: Receiver<'_>, handle: u16, outcome: Outcome) {
    //= mqtt5:GW-MQTT-13
    if let (Outcome::Received, Some(slot)) = (outcome, to.slot) {
        cx.event(slot, Event::Release { handle, reason: Reason::PACKET_ID_NOT_FOUND });
    }
    // Acknowledgements of unknown handles are ignored, as GW-MQTT-14 has it.
    //= mqtt5:GW-MQTT-14
}
