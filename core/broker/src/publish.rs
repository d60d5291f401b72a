use std::sync::Arc;

use core_model::{
    Action, Message, Publish, PublishMessage, QoS, Reason, StoredMessage, Ticket, Timestamp,
};
use core_store::{Lsn, Mutation};

use crate::context::Cx;
use crate::journal::Gated;
use crate::mail::{AckRef, Letter};
use crate::outgoing::{Arriving, Offered, Terms};
use crate::pulls::WriteRef;
use crate::routes::{Route, SessionIndex};
use crate::session::{AckKind, Answer, Session};
use crate::shard::{Shard, Sink};

/// Payloads from this size on are copied out of the read buffer at once, since every receiver's
/// output can then refer to the copy.
const DETACH_BYTES_MIN: usize = 4096;

/// Longest topic name in bytes, mountpoint included: there are clients that see all of it.
pub(crate) const TOPIC_BYTES_MAX: usize = 65_535;

/// What became of a message on this shard and what is still missing elsewhere.
#[derive(Default)]
pub(crate) struct Dispatched {
    /// Whether anybody wanted it.
    pub(crate) matched: bool,
    /// Reports of other shards that the publisher waits for.
    pub(crate) waits: u16,
    /// Whether the publisher waits for this shard's journal.
    pub(crate) durable: bool,
    /// Why it was not taken in full.
    pub(crate) refused: Option<Reason>,
    /// Receivers for which there was no room at all.
    pub(crate) lost: u32,
}

impl Dispatched {
    pub(crate) fn add(&mut self, offered: Offered) {
        self.matched = true;
        match offered {
            Offered::Taken { durable } => self.durable |= durable,
            Offered::Dropped => {}
            Offered::Refused => {
                self.refused = Some(Reason::QUOTA_EXCEEDED);
                self.lost += 1;
            }
        }
    }
}

impl Session {
    /// The publisher releases a QoS 2 message.
    pub(crate) fn release(&mut self, cx: &mut Cx<'_>, ticket: Ticket, id: u16) {
        //= mqtt5:4.3.3-11
        //= mqtt5:4.3.3-12
        //= mqtt5:4.3.3-13
        //= mqtt311:4.3.3-2
        let known = self.remove_incoming(id);
        if known && self.is_durable() {
            cx.journal.push(Mutation::IncomingReleased { session: self.origin, id });
        }
        //= mqtt5:GW-MQTT-12
        let reason = if known { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND };
        let lsn = if known && self.is_durable() { cx.journal.current() } else { Lsn(0) };
        self.answer(cx, AckKind::Released, Answer { ticket, id: None, reason, waits: 0, lsn });
    }
}

impl Shard {
    /// Takes a message of a client of this shard.
    #[inline]
    pub(crate) fn take_in(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        publish: &mut Publish<'_>,
        sink: &mut dyn Sink,
    ) {
        let (ticket, id) = (publish.ticket, publish.id);
        match &mut publish.message {
            PublishMessage::View(view) => self.take_in_view(now, index, ticket, id, view, sink),
            PublishMessage::Stored(stored) => {
                self.take_in_view(now, index, ticket, id, &mut stored.view(), sink);
            }
        }
    }

    fn take_in_view(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        ticket: Ticket,
        id: u16,
        message: &mut Message<'_>,
        sink: &mut dyn Sink,
    ) {
        self.refresh_rules(index);
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        self.counters.messages_received += 1;
        self.counters.bytes_received += message.payload.len() as u64;
        message.origin = session.origin;
        let id = (message.qos == QoS::ExactlyOnce).then_some(id);
        //= mqtt5:4.3.3-10
        //= mqtt311:4.3.3-2
        if id.is_some_and(|id| session.has_incoming(id)) {
            // The first copy's answer, if it is still due, goes out before.
            let answer = Answer { ticket, id, reason: Reason::SUCCESS, waits: 0, lsn: Lsn(0) };
            return self.answer_publish(now, index, AckKind::Repeated, answer, sink);
        }
        if session.mountpoint.is_empty() {
            return self.admit_and_dispatch(now, index, ticket, id, message, sink);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.push_str(&session.mountpoint);
        scratch.push_str(message.topic);
        let mut mounted = Message { topic: &scratch, ..message.clone() };
        self.admit_and_dispatch(now, index, ticket, id, &mut mounted, sink);
        self.scratch = scratch;
    }

    #[inline]
    fn admit_and_dispatch(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        ticket: Ticket,
        id: Option<u16>,
        message: &mut Message<'_>,
        sink: &mut dyn Sink,
    ) {
        let dispatched = match self.admit(index, message) {
            Ok(()) => {
                let ack = self.enter(index, message.qos, id);
                let dispatched = self.dispatch(now, message, ack, sink);
                self.count_refused(ack, &dispatched);
                dispatched
            }
            Err(reason) => {
                self.counters.publishes_refused += 1;
                Dispatched { refused: Some(reason), ..Dispatched::default() }
            }
        };
        if message.qos != QoS::AtMostOnce {
            self.answer_dispatched(now, index, ticket, id, &dispatched, sink);
        }
    }

    /// Whether the publisher may publish this; interceptors may change it.
    #[inline]
    fn admit(&mut self, index: SessionIndex, message: &mut Message<'_>) -> Result<(), Reason> {
        //= mqtt5:4.7.3-3
        //= mqtt311:4.7.3-3
        if message.topic.len() > TOPIC_BYTES_MAX {
            return Err(Reason::TOPIC_NAME_INVALID);
        }
        let Some(session) = self.sessions.get(index.0 as usize) else { return Ok(()) };
        let levels_max = session.limits.topic_levels_max;
        if message.topic.len() >= levels_max
            && message.topic.bytes().filter(|byte| *byte == b'/').count() >= levels_max
        {
            return Err(Reason::TOPIC_NAME_INVALID);
        }
        if let Some(rules) = &session.permissions {
            let action = Action::Publish { qos: message.qos, retain: message.retain };
            //= mqtt5:GW-MQTT-17
            if !rules.permits(action, message.topic) {
                self.counters.denied += 1;
                self.reports.deny(session, action, message.topic);
                return Err(Reason::NOT_AUTHORIZED);
            }
        }
        for interceptor in &self.plugins.interceptors {
            interceptor.on_publish(Some(&session.key), message)?;
            // The received bytes may no longer say what the message says.
            message.wire = None;
        }
        Ok(())
    }

    /// Remembers the number of a QoS 2 message, and names the answer that other shards report to.
    #[inline]
    fn enter(&mut self, index: SessionIndex, qos: QoS, id: Option<u16>) -> Option<AckRef> {
        if qos == QoS::AtMostOnce {
            return None;
        }
        let session = self.sessions.get_mut(index.0 as usize)?;
        if let Some(id) = id {
            session.add_incoming(id);
            if session.is_durable() {
                self.journal.push(Mutation::IncomingId { session: session.origin, id });
            }
        }
        Some(AckRef {
            shard: self.id,
            session: index,
            generation: session.generation,
            number: session.next_ack(),
        })
    }

    /// Counts a message that was not taken in full. `ack`: the publisher is told.
    #[inline]
    pub(crate) fn count_refused(&mut self, ack: Option<AckRef>, dispatched: &Dispatched) {
        if dispatched.refused.is_none() {
            return;
        }
        if ack.is_some() || dispatched.lost == 0 {
            self.counters.publishes_refused += 1;
        } else {
            self.counters.dropped_queue_full += u64::from(dispatched.lost);
        }
    }

    fn answer_dispatched(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        ticket: Ticket,
        id: Option<u16>,
        dispatched: &Dispatched,
        sink: &mut dyn Sink,
    ) {
        if let (Some(id), Some(reason)) = (id, dispatched.refused) {
            self.with_session(now, sink, index, |session, cx| session.take_back(cx, id, reason));
        }
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let gated = dispatched.durable || (id.is_some() && session.is_durable());
        let reason = match dispatched.refused {
            Some(reason) => reason,
            None if dispatched.matched => Reason::SUCCESS,
            None => Reason::NO_MATCHING_SUBSCRIBERS,
        };
        let lsn = if gated { self.journal.current() } else { Lsn(0) };
        let answer = Answer { ticket, id, reason, waits: dispatched.waits, lsn };
        self.answer_publish(now, index, AckKind::Published, answer, sink);
    }

    fn answer_publish(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        kind: AckKind,
        answer: Answer,
        sink: &mut dyn Sink,
    ) {
        self.with_session(now, sink, index, |session, cx| session.answer(cx, kind, answer));
    }

    /// Brings a message to everybody who wants it, on all shards. `ack` names the answer for which
    /// durable takers report.
    pub(crate) fn dispatch(
        &mut self,
        now: Timestamp,
        message: &Message<'_>,
        ack: Option<AckRef>,
        sink: &mut dyn Sink,
    ) -> Dispatched {
        //= mqtt5:3.3.2-3
        //= mqtt311:3.3.2-3
        let route = self.routes.route(message.topic);
        let mut arriving = Arriving::new(message, None);
        let mut dispatched = Dispatched::default();
        let write = if message.retain { self.next_write(message.topic) } else { 0 };
        let written = WriteRef { shard: self.id, write };
        self.dispatch_local(now, &route, written, &mut arriving, &mut dispatched, sink);
        for remote in &route.remote {
            let ack = ack.filter(|_| remote.durable);
            dispatched.matched = true;
            dispatched.waits += u16::from(ack.is_some());
            let message = Arc::clone(arriving.stored());
            self.out.send(remote.shard, Letter::Publish { message, ack, write });
        }
        for group in &route.groups {
            self.dispatch_group(now, group, &mut arriving, ack, &mut dispatched, sink);
        }
        //= mqtt5:3.3.1-8
        //= mqtt311:3.3.1-12
        //= mqtt311:3.3.1-7
        if message.retain {
            self.dispatch_retained(now, &mut arriving, ack, &mut dispatched);
        }
        dispatched
    }

    //= mqtt5:4.5.0-1
    //= mqtt311:4.5.0-1
    #[inline]
    fn dispatch_local(
        &mut self,
        now: Timestamp,
        route: &Route,
        written: WriteRef,
        arriving: &mut Arriving<'_>,
        dispatched: &mut Dispatched,
        sink: &mut dyn Sink,
    ) {
        if route.local.is_empty() {
            return;
        }
        if arriving.view.payload.len() >= DETACH_BYTES_MIN {
            arriving.stored();
        }
        let (published, retain, origin) =
            (arriving.view.qos, arriving.view.retain, arriving.view.origin);
        let mut pulling = false;
        let (sessions, mut cx) = self.split(now, sink);
        for target in &route.local {
            let Some(session) = sessions.get_mut(target.session.0 as usize) else { continue };
            if session.is_ending() {
                continue;
            }
            let Some(share) = target.grant(session.is_origin(origin)) else { continue };
            pulling |= !session.pulls.is_empty();
            let terms = Terms {
                //= mqtt5:3.8.4-8
                //= mqtt311:3.8.4-6
                qos: published.min(share.qos),
                //= mqtt5:3.3.1-12
                //= mqtt5:3.3.1-13
                //= mqtt311:3.3.1-9
                retain: retain && share.retain_as_published,
                identifiers: &share.identifiers,
                group: None,
            };
            let (to, outgoing) = session.sending();
            dispatched.add(outgoing.offer(&mut cx, to, arriving, terms));
        }
        if pulling && retain {
            self.note_live(route, written, arriving);
        }
    }

    /// A message of a client of another shard.
    pub(crate) fn on_publish_mail(
        &mut self,
        now: Timestamp,
        written: WriteRef,
        message: Arc<StoredMessage>,
        ack: Option<AckRef>,
        sink: &mut dyn Sink,
    ) {
        let route = self.routes.route(message.topic());
        let mut dispatched = Dispatched::default();
        let view = message.view();
        let mut arriving = Arriving::new(&view, Some(Arc::clone(&message)));
        self.dispatch_local(now, &route, written, &mut arriving, &mut dispatched, sink);
        match ack {
            Some(ack) => self.report(now, ack, &dispatched, sink),
            None => self.count_refused(None, &dispatched),
        }
        self.settle_notes(now, sink);
    }

    /// Tells a publisher that our share of his message is safe, once it is.
    pub(crate) fn report(
        &mut self,
        now: Timestamp,
        ack: AckRef,
        dispatched: &Dispatched,
        sink: &mut dyn Sink,
    ) {
        let reason = dispatched.refused.unwrap_or(Reason::SUCCESS);
        if dispatched.durable {
            self.journal.gate(Gated::Reply { ack, reason });
        } else {
            self.reply(now, ack, reason, sink);
        }
    }

    /// Tells a publisher, who may be a client of this shard, that our share is safe.
    pub(crate) fn reply(
        &mut self,
        now: Timestamp,
        ack: AckRef,
        reason: Reason,
        sink: &mut dyn Sink,
    ) {
        if ack.shard == self.id {
            self.on_taken(now, ack, reason, sink);
        } else {
            self.out.send(ack.shard, Letter::Taken { ack, reason });
        }
    }

    /// A share of a message of a client of this shard is safe.
    pub(crate) fn on_taken(
        &mut self,
        now: Timestamp,
        ack: AckRef,
        reason: Reason,
        sink: &mut dyn Sink,
    ) {
        self.with_generation(now, sink, ack.session, ack.generation, |session, cx| {
            session.on_taken(cx, ack.number, reason);
        });
    }

    /// The number that a retained message will have among those written to its keeper.
    fn next_write(&self, topic: &str) -> u64 {
        let keeper = self.key.topic_shard(topic, self.shards);
        if keeper == self.id { 0 } else { self.requests.next_write(keeper) }
    }

    //= mqtt5:3.3.1-5
    //= mqtt311:3.3.1-5
    fn dispatch_retained(
        &mut self,
        now: Timestamp,
        arriving: &mut Arriving<'_>,
        ack: Option<AckRef>,
        dispatched: &mut Dispatched,
    ) {
        let shard = self.key.topic_shard(arriving.view.topic, self.shards);
        let message = Arc::clone(arriving.stored());
        if shard == self.id {
            match self.retain(now, message) {
                Ok(()) => dispatched.durable = true,
                Err(reason) => dispatched.refused = Some(reason),
            }
        } else {
            self.requests.count_write(shard);
            dispatched.waits += u16::from(ack.is_some());
            self.out.send(shard, Letter::Retain { message, ack });
        }
    }
}
