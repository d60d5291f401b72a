use std::sync::Arc;

use core_model::{
    BrokerLimits, Delivery, Event, Reason, ShardId, SlotId, StoredMessage, Timestamp,
};

use crate::journal::Journal;
use crate::mail::Letter;
use crate::outgoing::{Receiver, Returned};
use crate::reports::Reports;
use crate::routes::SessionIndex;
use crate::{Counters, Mail, Sink};

/// Mail for the other shards, in order per shard.
pub(crate) struct Outboxes {
    own: ShardId,
    boxes: Vec<Vec<Mail>>,
}

impl Outboxes {
    pub(crate) fn new(own: ShardId, shards: u16) -> Self {
        Outboxes { own, boxes: (0..shards.max(1)).map(|_| Vec::new()).collect() }
    }

    /// Mail for `to`, which must be another shard.
    pub(crate) fn send(&mut self, to: ShardId, letter: Letter) {
        debug_assert_ne!(to, self.own, "mail to oneself");
        self.of(to).push(Mail(letter));
    }

    /// The same mail to every other shard.
    pub(crate) fn broadcast(&mut self, letter: impl Fn() -> Letter) {
        for (index, mailbox) in self.boxes.iter_mut().enumerate() {
            if index != usize::from(self.own.0) {
                mailbox.push(Mail(letter()));
            }
        }
    }

    pub(crate) fn of(&mut self, to: ShardId) -> &mut Vec<Mail> {
        let last = self.boxes.len().saturating_sub(1);
        self.boxes.get_mut(usize::from(to.0).min(last)).expect("there is at least one shard")
    }
}

/// What a session's code leaves for the shard to do when the session is no longer borrowed.
pub(crate) enum Note {
    /// A message of a group is settled: its member has credit again.
    GroupSettled { group: Arc<str>, session: SessionIndex, generation: u32 },
    /// A member gave a message back.
    GroupReturned { returned: Returned, session: SessionIndex, generation: u32 },
    /// A client's credit is used up: it can be given no more.
    CreditSpent { session: SessionIndex, generation: u32 },
}

/// The shard's parts that a session works on, borrowed beside the session itself.
pub(crate) struct Cx<'x> {
    pub(crate) now: Timestamp,
    pub(crate) limits: &'x BrokerLimits,
    pub(crate) journal: &'x mut Journal,
    pub(crate) counters: &'x mut Counters,
    pub(crate) out: &'x mut Outboxes,
    pub(crate) sink: &'x mut dyn Sink,
    pub(crate) notes: &'x mut Vec<Note>,
    pub(crate) reports: &'x mut Reports,
}

impl Cx<'_> {
    /// An event for a slot, wherever its link lives.
    #[inline]
    pub(crate) fn event(&mut self, slot: SlotId, event: Event<'_>) {
        if slot.shard == self.out.own {
            self.sink.event(slot, event);
        } else {
            self.out.send(slot.shard, Letter::Event { slot, event: event.detach() });
        }
    }

    /// Makes room for a message that is kept for a session; `false` when there is none.
    pub(crate) fn keep(&mut self, message: &StoredMessage) -> bool {
        let size = message.size() as u64;
        let fits = self.counters.kept_bytes + size <= self.limits.kept_bytes_total_max as u64;
        if fits {
            self.counters.kept_bytes += size;
        }
        fits
    }

    /// A message is kept for a session no more.
    pub(crate) fn let_go(&mut self, message: &StoredMessage) {
        self.counters.kept_bytes -= message.size() as u64;
    }

    /// A message for a session was dropped, which its client's observers are to hear of.
    #[cold]
    pub(crate) fn report_drop(&mut self, to: Receiver<'_>, why: Reason) {
        self.reports.drop_one(to.origin, to.index, to.generation, why);
    }

    /// A delivery, counted.
    #[inline]
    pub(crate) fn deliver(&mut self, slot: SlotId, delivery: Delivery<'_>, payload_len: usize) {
        self.counters.messages_sent += 1;
        self.counters.bytes_sent += payload_len as u64;
        self.event(slot, Event::Deliver(delivery));
    }
}
