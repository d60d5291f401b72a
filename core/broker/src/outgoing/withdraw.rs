use core_model::{QoS, Reason};
use core_store::Mutation;

use super::{InFlight, Outgoing, Queued, Receiver, Returned, State};
use crate::context::{Cx, Note};

/// Messages that a client may not have any more.
impl Outgoing {
    /// Takes out the messages for which the client has no permission: those that were never sent
    /// and, with `begun`, those that it has not received. What a group gave and the client has not
    /// begun goes back to the group.
    pub(crate) fn withdraw(
        &mut self,
        cx: &mut Cx<'_>,
        to: Receiver<'_>,
        begun: bool,
        permits: &dyn Fn(&str, QoS) -> bool,
    ) {
        for queued in std::mem::take(&mut self.queue) {
            if permits(queued.message.topic(), queued.qos) {
                self.queue.push_back(queued);
            } else {
                self.account_unqueued(cx, &queued);
                self.give_up(cx, to, queued, true);
            }
        }
        for place in (0..self.inflight.len()).rev() {
            let is_denied = |entry: &InFlight| (begun || !entry.begun) && is_denied(entry, permits);
            if self.inflight.get(place).is_some_and(is_denied)
                && let Some(entry) = self.take(place)
                && let Some(message) = entry.message
            {
                cx.let_go(&message);
                if entry.in_quota && !entry.begun {
                    self.allowance.refund();
                }
                let untouched = entry.qos == QoS::AtLeastOnce || !entry.begun;
                let queued = Queued {
                    sequence: entry.sequence,
                    message,
                    group: entry.group,
                    identifiers: entry.identifiers,
                    qos: entry.qos,
                    retain: entry.retain,
                };
                self.give_up(cx, to, queued, untouched);
            }
        }
        self.pump(cx, to);
    }

    fn give_up(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, queued: Queued, untouched: bool) {
        let Queued { sequence, message, group, qos, .. } = queued;
        match group {
            Some(group) if untouched && qos != QoS::AtMostOnce => {
                if to.durable {
                    cx.journal.push(Mutation::Settled { session: to.origin, sequence });
                }
                cx.notes.push(Note::GroupReturned {
                    returned: Returned { group, message },
                    session: to.index,
                    generation: to.generation,
                });
            }
            group => {
                cx.counters.dropped_discarded += 1;
                cx.report_drop(to, Reason::NOT_AUTHORIZED);
                self.forget(cx, to, sequence, qos, group);
            }
        }
    }
}

fn is_denied(entry: &InFlight, permits: &dyn Fn(&str, QoS) -> bool) -> bool {
    match entry.state {
        State::AwaitDurable | State::AwaitResend | State::Sent => {
            entry.message.as_ref().is_some_and(|message| !permits(message.topic(), entry.qos))
        }
        // It has it: only the handle matters.
        State::AwaitRelease | State::Released => false,
    }
}
