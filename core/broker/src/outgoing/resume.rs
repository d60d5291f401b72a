use core_model::{Credit, Event, QoS, Reason, SlotId, Timestamp};

use super::{Habits, Outgoing, Receiver, Returned, State, resend};
use crate::context::Cx;

/// Links that come and go, gates that open, and the end.
impl Outgoing {
    pub(super) fn pump_resends(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, slot: SlotId) {
        for entry in &mut self.inflight {
            if self.quota_used >= self.window || self.resends == 0 {
                return;
            }
            if !entry.waits() {
                continue;
            }
            if entry.state == State::AwaitDurable {
                // Those behind it wait with it, or the client would get them out of order.
                return;
            }
            if !self.allowance.spend(cx, &to) {
                return;
            }
            //= mqtt5:4.6.0-1
            //= mqtt5:4.4.0-1
            //= mqtt311:4.6.0-1
            entry.state = State::Sent;
            entry.sent_at = cx.now;
            entry.in_quota = true;
            self.quota_used += 1;
            self.resends -= 1;
            resend(cx, to, slot, entry);
        }
    }

    /// The client came (back): repeats what it has not settled, then sends what waits.
    pub(crate) fn resume(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, habits: Habits) {
        self.window = habits.receive_max.clamp(1, to.limits.inflight_max.max(1));
        self.retransmit = habits.may_retransmit && cx.limits.retransmit_after_s > 0;
        self.keep = self.retransmit || habits.may_requeue;
        self.keeps_qos0 = habits.keeps_qos0;
        self.begin_credit(habits.credit);
        self.quota_used = 0;
        self.resends = 0;
        for entry in &mut self.inflight {
            entry.in_quota = false;
            match entry.state {
                State::Sent | State::AwaitResend => {
                    entry.state = State::AwaitResend;
                    self.resends += 1;
                }
                State::Released => {
                    //= mqtt5:4.4.0-1
                    //= mqtt5:4.3.3-6
                    //= mqtt311:4.4.0-1
                    if let Some(slot) = to.slot {
                        let reason = Reason::SUCCESS;
                        cx.event(slot, Event::Release { handle: entry.handle, reason });
                    }
                }
                State::AwaitDurable => self.resends += 1,
                State::AwaitRelease => {}
            }
        }
        self.pump(cx, to);
    }

    /// The link is gone; what was sent stays in flight for the next one.
    pub(crate) fn suspend(&mut self) {
        if self.has_reserved {
            self.take_reserved_back();
        }
        self.begin_credit(Credit::None);
    }

    /// A gate opened: the handle is durable, the message may go.
    pub(crate) fn send_gated(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, handle: u16) {
        let Some(index) = self.find(handle) else { return };
        let Some(entry) = self.inflight.get_mut(index) else { return };
        if entry.state != State::AwaitDurable {
            return;
        }
        match to.slot {
            Some(slot) if entry.in_quota => {
                entry.state = State::Sent;
                entry.sent_at = cx.now;
                resend(cx, to, slot, entry);
            }
            // Its link is gone, or there is another one since, or other credit: it waits for its turn.
            _ => {
                if entry.in_quota {
                    entry.in_quota = false;
                    self.quota_used -= 1;
                    self.resends += 1;
                }
                entry.state = State::AwaitResend;
                self.pump(cx, to);
            }
        }
    }

    /// A gate opened: the client's receipt is durable, the release may go.
    pub(crate) fn release_gated(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, handle: u16) {
        let Some(index) = self.find(handle) else { return };
        let Some(entry) = self.inflight.get_mut(index) else { return };
        if entry.state == State::AwaitRelease {
            entry.state = State::Released;
            if let Some(slot) = to.slot {
                cx.event(slot, Event::Release { handle, reason: Reason::SUCCESS });
            }
        }
    }

    /// Repeats deliveries that have been unsettled for longer than the configured time, and says
    /// when to look again. Only for clients whose protocol allows it.
    pub(crate) fn retransmit(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>) -> Option<Timestamp> {
        let slot = to.slot?;
        if !self.retransmit {
            return None;
        }
        let after = u64::from(cx.limits.retransmit_after_s) * 1000;
        if self.allowance.is_spent() {
            return Some(cx.now.plus_millis(after));
        }
        for entry in &mut self.inflight {
            if entry.sent_at.plus_millis(after) > cx.now {
                continue;
            }
            entry.sent_at = cx.now;
            match entry.state {
                State::Sent => {
                    if self.allowance.spend(cx, &to) {
                        resend(cx, to, slot, entry);
                    }
                }
                State::Released => {
                    let reason = Reason::SUCCESS;
                    cx.event(slot, Event::Release { handle: entry.handle, reason });
                }
                State::AwaitDurable | State::AwaitResend | State::AwaitRelease => {}
            }
        }
        Some(cx.now.plus_millis(after))
    }

    /// The session ends: empties everything, and gives groups back what another member may take:
    /// unacknowledged QoS 1 and never-sent QoS 2 messages, never a QoS 2 message that was begun.
    pub(crate) fn end(&mut self, cx: &mut Cx<'_>, returned: &mut Vec<Returned>) {
        for entry in std::mem::take(&mut self.inflight) {
            if let Some(message) = &entry.message {
                cx.let_go(message);
            }
            //= mqtt5:4.8.2-5
            let untouched = entry.qos == QoS::AtLeastOnce || !entry.begun;
            if let (Some(group), Some(message), true) = (entry.group, entry.message, untouched) {
                returned.push(Returned { group, message });
            }
        }
        while let Some(queued) = self.unqueue(cx) {
            if let (Some(group), true) = (queued.group, queued.qos != QoS::AtMostOnce) {
                returned.push(Returned { group, message: queued.message });
            }
        }
        *self = Outgoing::new();
    }
}
