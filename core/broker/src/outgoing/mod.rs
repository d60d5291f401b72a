//! The sending half of a session.

mod credit;
mod restore;
mod resume;
mod settle;
mod withdraw;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use core_model::{
    Credit, Delivery, Message, MessageRef, OriginId, Overflow, QoS, Reason, SessionLimits, SlotId,
    StoredMessage, Timestamp,
};
use core_store::{Mutation, QueuedTerms};
use smallvec::SmallVec;

use crate::context::Cx;
use crate::journal::Gated;
use crate::routes::SessionIndex;
use credit::Allowance;

/// Subscription identifiers of one delivery, fixed when it matched.
pub(crate) type Identifiers = SmallVec<[u32; 2]>;

/// A message on its way to receivers: in the read buffer until somebody has to keep it, copied
/// once for all of them then.
pub(crate) struct Arriving<'m> {
    pub(crate) view: &'m Message<'m>,
    stored: Option<Arc<StoredMessage>>,
}

impl<'m> Arriving<'m> {
    pub(crate) fn new(view: &'m Message<'m>, stored: Option<Arc<StoredMessage>>) -> Self {
        Arriving { view, stored }
    }

    /// The copy that outlives the turn, made at the first call.
    pub(crate) fn stored(&mut self) -> &Arc<StoredMessage> {
        self.stored.get_or_insert_with(|| self.view.detach())
    }

    fn reference(&self) -> MessageRef<'_> {
        match &self.stored {
            Some(stored) => MessageRef::Stored(stored),
            None => MessageRef::View(self.view),
        }
    }
}

/// On which terms one session gets a message.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'t> {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) identifiers: &'t [u32],
    /// The shared group on whose behalf the session gets it.
    pub(crate) group: Option<&'t Arc<str>>,
}

impl Terms<'_> {
    fn to_journal(self) -> QueuedTerms {
        QueuedTerms {
            qos: self.qos,
            retain: self.retain,
            identifiers: self.identifiers.into(),
            group: self.group.cloned(),
        }
    }
}

/// What became of an offered message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Sent or queued; `durable`: the publisher must wait for the journal.
    Taken { durable: bool },
    /// Dropped by a policy that has a counter.
    Dropped,
    /// The shard has no room for it at all.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// QoS 2: the handle is not durable yet, so nothing was sent.
    AwaitDurable,
    /// To be sent on this link, as soon as its turn and the quota allow.
    AwaitResend,
    /// Sent; not acknowledged (QoS 1) or not received (QoS 2).
    Sent,
    /// QoS 2: received by the client; not durable yet, so no release was sent.
    AwaitRelease,
    /// QoS 2: the release was sent.
    Released,
}

struct InFlight {
    sequence: u64,
    sent_at: Timestamp,
    /// `None` where nobody can ever ask for it again: the session ends with this link.
    message: Option<Arc<StoredMessage>>,
    group: Option<Arc<str>>,
    identifiers: Identifiers,
    handle: u16,
    qos: QoS,
    retain: bool,
    state: State,
    in_quota: bool,
    /// Whether it was ever sent.
    begun: bool,
}

impl InFlight {
    /// Whether it has to wait for its turn among those that this link has not seen yet.
    fn waits(&self) -> bool {
        match self.state {
            State::AwaitResend => true,
            State::AwaitDurable => !self.in_quota,
            State::Sent | State::AwaitRelease | State::Released => false,
        }
    }
}

struct Queued {
    sequence: u64,
    message: Arc<StoredMessage>,
    group: Option<Arc<str>>,
    identifiers: Identifiers,
    qos: QoS,
    retain: bool,
}

/// A message that a group gets back from a session that ended.
pub(crate) struct Returned {
    pub(crate) group: Arc<str>,
    pub(crate) message: Arc<StoredMessage>,
}

/// How a client takes deliveries on its present link.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    pub(crate) receive_max: u16,
    pub(crate) may_retransmit: bool,
    pub(crate) may_requeue: bool,
    pub(crate) keeps_qos0: bool,
    /// How much it can take at first.
    pub(crate) credit: Credit,
}

/// Who the deliveries are for; the facts of the session that sending needs.
#[derive(Clone, Copy)]
pub(crate) struct Receiver<'r> {
    pub(crate) slot: Option<SlotId>,
    pub(crate) index: SessionIndex,
    pub(crate) generation: u32,
    pub(crate) origin: OriginId,
    pub(crate) durable: bool,
    pub(crate) topic_skip: u16,
    pub(crate) limits: &'r SessionLimits,
}

/// The sending half of a session: what is in flight and what waits.
pub(crate) struct Outgoing {
    inflight: VecDeque<InFlight>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    next_sequence: u64,
    /// Deliveries of this link that hold a place of the client's receive maximum.
    quota_used: u16,
    window: u16,
    next_handle: u16,
    /// Entries in flight that wait for their turn on this link.
    resends: u16,
    queued_qos0: u32,
    /// Whether the handles in flight ascend (modulo 2^16) from the front, which lets one be found
    /// by halving.
    ascending: bool,
    /// What the client can take.
    allowance: Allowance,
    /// Whether it waits to hear that nothing waits for it.
    owes_drained: bool,
    /// Whether some that wait for the store may have taken their credit already.
    has_reserved: bool,
    retransmit: bool,
    /// Whether deliveries must be kept although the session ends with its link.
    keep: bool,
    /// Whether QoS 0 messages make room for others in a full queue.
    keeps_qos0: bool,
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Outgoing {
            inflight: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            next_sequence: 0,
            quota_used: 0,
            window: 1,
            next_handle: 1,
            resends: 0,
            queued_qos0: 0,
            ascending: true,
            allowance: Allowance::NONE,
            owes_drained: false,
            has_reserved: false,
            retransmit: false,
            keep: false,
            keeps_qos0: false,
        }
    }

    /// Messages that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Deliveries that are not settled.
    pub(crate) fn inflight(&self) -> usize {
        self.inflight.len()
    }

    /// Messages that wait, their bytes, and the bytes of those in flight.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        let inflight = self.inflight.iter().filter_map(|entry| entry.message.as_ref());
        (self.queue.len(), self.queued_bytes, inflight.map(|message| message.size()).sum())
    }

    /// Whether unsettled deliveries are repeated on this link.
    pub(crate) fn retransmits(&self) -> bool {
        self.retransmit
    }

    pub(crate) fn window(&self) -> u16 {
        self.window
    }

    /// Offers one message to the client.
    #[inline]
    pub(crate) fn offer(
        &mut self,
        cx: &mut Cx<'_>,
        to: Receiver<'_>,
        arriving: &mut Arriving<'_>,
        terms: Terms<'_>,
    ) -> Offered {
        if terms.qos == QoS::AtMostOnce {
            return self.offer_qos0(cx, to, arriving, terms);
        }
        let free = to.slot.is_some() && self.may_send();
        if free
            && self.queue.is_empty()
            && self.resends == 0
            && let Some(handle) = self.allot_handle()
        {
            return self.begin(cx, to, arriving, terms, handle);
        }
        self.enqueue(cx, to, arriving, terms)
    }

    fn offer_qos0(
        &mut self,
        cx: &mut Cx<'_>,
        to: Receiver<'_>,
        arriving: &mut Arriving<'_>,
        terms: Terms<'_>,
    ) -> Offered {
        match to.slot {
            Some(slot) if self.queued_qos0 == 0 && self.allowance.spend(cx, &to) => {
                let delivery = Delivery {
                    handle: 0,
                    qos: QoS::AtMostOnce,
                    retain: terms.retain,
                    dup: false,
                    topic_skip: to.topic_skip,
                    subscription_ids: Cow::Borrowed(terms.identifiers),
                    message: arriving.reference(),
                };
                cx.deliver(slot, delivery, arriving.view.payload.len());
                Offered::Taken { durable: false }
            }
            None if !to.limits.queue_qos0_offline => {
                cx.counters.dropped_qos0 += 1;
                Offered::Dropped
            }
            _ => self.enqueue(cx, to, arriving, terms),
        }
    }

    fn may_send(&self) -> bool {
        //= mqtt5:3.3.4-9
        //= mqtt5:4.9.0-1
        //= mqtt5:4.9.0-2
        !self.allowance.is_spent() && self.quota_used < self.window
    }

    /// The next unused packet identifier; `None` when all are in flight.
    fn allot_handle(&mut self) -> Option<u16> {
        //= mqtt5:2.2.1-4
        //= mqtt5:4.3.2-1
        //= mqtt5:4.3.3-1
        //= mqtt311:2.3.1-1
        //= mqtt311:2.3.1-4
        if self.inflight.len() >= usize::from(u16::MAX) {
            return None;
        }
        if self.inflight.front().is_some_and(|front| front.handle == self.next_handle) {
            // Somebody sits on the oldest delivery while 65 534 newer ones came and went.
            self.ascending = false;
        }
        while !self.ascending && self.find(self.next_handle).is_some() {
            self.next_handle = following(self.next_handle);
        }
        let handle = self.next_handle;
        self.next_handle = following(handle);
        Some(handle)
    }

    fn find(&self, handle: u16) -> Option<usize> {
        let front = self.inflight.front()?.handle;
        if front == handle {
            return Some(0);
        }
        if !self.ascending {
            return self.inflight.iter().position(|entry| entry.handle == handle);
        }
        let distance = handle.wrapping_sub(front);
        self.inflight.binary_search_by_key(&distance, |entry| entry.handle.wrapping_sub(front)).ok()
    }

    /// Puts a new delivery in flight, and sends it unless a gate holds it back.
    fn begin(
        &mut self,
        cx: &mut Cx<'_>,
        to: Receiver<'_>,
        arriving: &mut Arriving<'_>,
        terms: Terms<'_>,
        handle: u16,
    ) -> Offered {
        let keep = self.keeps(to, terms.group.is_some());
        if keep && !cx.keep(arriving.stored()) {
            return Offered::Refused;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if to.durable {
            let message = Arc::clone(arriving.stored());
            let terms = terms.to_journal();
            cx.journal.push(Mutation::Queued { session: to.origin, sequence, message, terms });
        }
        let entry = InFlight {
            sequence,
            sent_at: cx.now,
            message: keep.then(|| Arc::clone(arriving.stored())),
            group: terms.group.cloned(),
            identifiers: Identifiers::from_slice(terms.identifiers),
            handle,
            qos: terms.qos,
            retain: terms.retain,
            state: State::Sent,
            in_quota: true,
            begun: false,
        };
        self.quota_used += 1;
        self.launch(cx, to, entry, arriving.reference(), arriving.view.payload.len());
        Offered::Taken { durable: to.durable }
    }

    /// Whether a delivery's message must be kept while it is in flight: somebody may ask for it
    /// again.
    fn keeps(&self, to: Receiver<'_>, of_group: bool) -> bool {
        to.durable || of_group || self.keep
    }

    /// Files an entry with a fresh handle and sends it, or leaves it for the journal's gate.
    fn launch(
        &mut self,
        cx: &mut Cx<'_>,
        to: Receiver<'_>,
        mut entry: InFlight,
        message: MessageRef<'_>,
        payload_len: usize,
    ) {
        self.allowance.spend(cx, &to);
        if to.durable {
            cx.journal.push(Mutation::HandleAllotted {
                session: to.origin,
                sequence: entry.sequence,
                handle: entry.handle,
            });
            if entry.qos == QoS::ExactlyOnce {
                // A client that saw this handle must find the same message behind it after a
                // crash, or "exactly once" breaks; QoS 1 only risks a repetition.
                entry.state = State::AwaitDurable;
                self.has_reserved = true;
                cx.journal.gate(Gated::Send {
                    session: to.index,
                    generation: to.generation,
                    handle: entry.handle,
                });
            }
        }
        if let (State::Sent, Some(slot)) = (entry.state, to.slot) {
            let delivery = delivery_of(&entry, to, false, message);
            cx.deliver(slot, delivery, payload_len);
            entry.begun = true;
        }
        self.inflight.push_back(entry);
    }

    fn enqueue(
        &mut self,
        cx: &mut Cx<'_>,
        to: Receiver<'_>,
        arriving: &mut Arriving<'_>,
        terms: Terms<'_>,
    ) -> Offered {
        let size = arriving.stored().size();
        while self.queue.len() >= to.limits.queued_messages_max
            || self.queued_bytes + size > to.limits.queued_bytes_max
        {
            cx.counters.dropped_queue_full += 1;
            cx.report_drop(to, Reason::QUOTA_EXCEEDED);
            // What does not fit into an empty queue is no reason to empty this one.
            let fits = size <= to.limits.queued_bytes_max;
            let Some(dropped) = self.first_to_go(to, terms.qos).filter(|_| fits) else {
                return Offered::Dropped;
            };
            if let Some(queued) = self.queue.remove(dropped) {
                self.account_unqueued(cx, &queued);
                self.forget(cx, to, queued.sequence, queued.qos, queued.group);
            }
        }
        if !cx.keep(arriving.stored()) {
            return Offered::Refused;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let message = Arc::clone(arriving.stored());
        let durable = to.durable && terms.qos != QoS::AtMostOnce;
        if durable {
            let message = Arc::clone(&message);
            let terms = terms.to_journal();
            cx.journal.push(Mutation::Queued { session: to.origin, sequence, message, terms });
        }
        self.queued_bytes += size;
        self.queued_qos0 += u32::from(terms.qos == QoS::AtMostOnce);
        cx.counters.queued_messages += 1;
        cx.counters.queued_bytes += size as u64;
        //= mqtt311:3.1.2-5
        //= mqtt5:4.6.0-5
        //= mqtt5:4.6.0-6
        //= mqtt311:4.6.0-5
        //= mqtt311:4.6.0-6
        self.queue.push_back(Queued {
            sequence,
            message,
            group: terms.group.cloned(),
            identifiers: Identifiers::from_slice(terms.identifiers),
            qos: terms.qos,
            retain: terms.retain,
        });
        Offered::Taken { durable }
    }

    /// The place of the waiting message that makes room for one of a given QoS; `None` when that
    /// is the one to be dropped.
    fn first_to_go(&self, to: Receiver<'_>, arriving: QoS) -> Option<usize> {
        if self.keeps_qos0 && self.queued_qos0 > 0 {
            return self.queue.iter().position(|queued| queued.qos == QoS::AtMostOnce);
        }
        let yields = self.keeps_qos0 && arriving == QoS::AtMostOnce;
        let oldest = to.limits.overflow == Overflow::DropOldest && !yields;
        (oldest && !self.queue.is_empty()).then_some(0)
    }

    fn unqueue(&mut self, cx: &mut Cx<'_>) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.account_unqueued(cx, &queued);
        Some(queued)
    }

    /// A message is in the queue no more.
    fn account_unqueued(&mut self, cx: &mut Cx<'_>, queued: &Queued) {
        let size = queued.message.size();
        self.queued_bytes -= size;
        cx.let_go(&queued.message);
        self.queued_qos0 -= u32::from(queued.qos == QoS::AtMostOnce);
        cx.counters.queued_messages -= 1;
        cx.counters.queued_bytes -= size as u64;
    }

    /// Sends what waits, as far as the client can take it: repetitions first, in order.
    pub(crate) fn pump(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>) {
        let Some(slot) = to.slot else { return };
        if self.resends > 0 {
            self.pump_resends(cx, to, slot);
        }
        while !self.allowance.is_spent() && self.resends == 0 {
            let Some(next) = self.queue.front() else { return };
            //= mqtt5:4.3.3-7 only what waits expires; what was sent once goes on
            if next.message.view().is_expired(cx.now) {
                //= mqtt5:3.3.2-5
                cx.counters.dropped_expired += 1;
                if let Some(queued) = self.unqueue(cx) {
                    self.forget(cx, to, queued.sequence, queued.qos, queued.group);
                }
                continue;
            }
            let handle = match next.qos {
                QoS::AtMostOnce => 0,
                _ if !self.may_send() => return,
                _ => match self.allot_handle() {
                    Some(handle) => handle,
                    None => return,
                },
            };
            if let Some(queued) = self.unqueue(cx) {
                self.send_queued(cx, to, queued, handle);
            }
        }
    }

    fn send_queued(&mut self, cx: &mut Cx<'_>, to: Receiver<'_>, queued: Queued, handle: u16) {
        let message = queued.message;
        let keep = queued.qos != QoS::AtMostOnce && self.keeps(to, queued.group.is_some());
        if keep {
            // It had its room a moment ago.
            cx.counters.kept_bytes += message.size() as u64;
        }
        let entry = InFlight {
            sequence: queued.sequence,
            sent_at: cx.now,
            message: keep.then(|| Arc::clone(&message)),
            group: queued.group,
            identifiers: queued.identifiers,
            handle,
            qos: queued.qos,
            retain: queued.retain,
            state: State::Sent,
            in_quota: true,
            begun: false,
        };
        let (len, reference) = (message.payload().len(), MessageRef::Stored(&message));
        if entry.qos == QoS::AtMostOnce {
            if let Some(slot) = to.slot {
                let delivery = delivery_of(&entry, to, false, reference);
                cx.deliver(slot, delivery, len);
                self.allowance.spend(cx, &to);
            }
        } else {
            self.quota_used += 1;
            self.launch(cx, to, entry, reference, len);
        }
    }
}

fn following(handle: u16) -> u16 {
    handle.checked_add(1).unwrap_or(1)
}

fn delivery_of<'d>(
    entry: &'d InFlight,
    to: Receiver<'_>,
    dup: bool,
    message: MessageRef<'d>,
) -> Delivery<'d> {
    Delivery {
        handle: entry.handle,
        qos: entry.qos,
        retain: entry.retain,
        //= mqtt5:3.3.1-1
        //= mqtt5:3.3.1-3
        //= mqtt5:4.3.2-2
        //= mqtt5:4.3.3-2
        //= mqtt311:3.3.1-1
        //= mqtt311:3.3.1-3
        dup,
        topic_skip: to.topic_skip,
        subscription_ids: Cow::Borrowed(&entry.identifiers),
        message,
    }
}

/// Sends an entry on a link that has not seen it, or once more.
fn resend(cx: &mut Cx<'_>, to: Receiver<'_>, slot: SlotId, entry: &mut InFlight) {
    if let Some(message) = &entry.message {
        let len = message.payload().len();
        cx.deliver(slot, delivery_of(entry, to, entry.begun, MessageRef::Stored(message)), len);
    }
    entry.begun = true;
}
