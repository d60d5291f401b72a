use std::sync::Arc;

use core_model::{
    BrokerEvent, ClientKey, Connect, Connected, Credit, Disconnect, DisconnectCause, Event, Expiry,
    Filter, Identity, Permissions, Principal, Reason, SlotId, Timestamp, check_topic_name,
};
use core_store::Mutation;

use crate::context::Cx;
use crate::mail::MemberState;
use crate::outgoing::Habits;
use crate::routes::SessionIndex;
use crate::rules::is_alike;
use crate::session::Session;
use crate::shard::{Shard, Sink};
use crate::slots::Bound;
use crate::wills::publish_of;
use crate::work::Work;

impl Shard {
    pub(crate) fn refuse(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: &Connect,
        reason: Reason,
        sink: &mut dyn Sink,
    ) {
        self.counters.connects_refused += 1;
        for observer in &self.plugins.observers {
            let (client_id, evidence) = (&connect.client_id, &connect.evidence);
            observer.on_event(now, &BrokerEvent::Refused { client_id, evidence, reason });
        }
        let (_, mut cx) = self.split(now, sink);
        cx.event(slot, Event::Refused { reason, server_reference: None });
    }

    /// The client is believed: opens or resumes its session.
    pub(crate) fn open(
        &mut self,
        now: Timestamp,
        slot: SlotId,
        connect: Box<Connect>,
        identity: Identity,
        authentication_data: Option<Vec<u8>>,
        sink: &mut dyn Sink,
    ) {
        let assigned = connect.client_id.is_empty();
        let key = connect.key().unwrap_or_else(|| self.assign_key(&connect));
        let user = identity.user.as_deref().unwrap_or("");
        let mountpoint = match fill_mountpoint(&connect.mountpoint, &key.client_id, user) {
            Ok(mountpoint) => mountpoint,
            Err(reason) => return self.refuse(now, slot, &connect, reason, sink),
        };
        let evidence = &connect.evidence;
        let principal = Principal {
            client: key.clone(),
            gateway: evidence.gateway,
            listener: evidence.listener.clone(),
            peer: evidence.peer,
            transport: evidence.transport.clone(),
            identity,
        };
        let permissions = self.compile(&principal);
        if let Err(reason) = self.admit_client(&connect, &key, permissions.as_deref(), &mountpoint)
        {
            return self.refuse(now, slot, &connect, reason, sink);
        }
        //= mqtt5:3.1.4-3
        //= mqtt311:3.1.4-2
        let existing = self.by_key.get(&key).copied();
        if let Some(index) = existing {
            self.kick_slot(now, index, Reason::SESSION_TAKEN_OVER, sink);
            let cause = DisconnectCause::Lost(Reason::SESSION_TAKEN_OVER);
            // Its filters and queued messages lie below the prefix that it had: below another one
            // they are somebody else's, and could not even be cut to what the client may see.
            let moved = self
                .sessions
                .get(index.0 as usize)
                .is_some_and(|session| session.mountpoint != mountpoint);
            self.take_over(now, index, cause, connect.clean_start || moved, sink);
        }
        // Taking over may have ended it (its expiry was 0).
        let existing = self.by_key.get(&key).copied();
        let session_present = existing.is_some();
        let index = existing.unwrap_or_else(|| self.create(key));
        let habits = Habits {
            receive_max: connect.receive_max,
            may_retransmit: connect.may_retransmit,
            may_requeue: connect.may_requeue,
            keeps_qos0: connect.manners.keeps_qos0,
            credit: connect.manners.credit,
        };
        let who = Believed { principal, permissions, mountpoint };
        let was_other = self.enter_session(now, index, slot, *connect, who);
        if session_present && was_other {
            // Before anything of it is sent: its client may not have what an earlier one had.
            self.withdraw(now, index, true, sink);
            self.review(now, index, sink);
        }
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        for observer in &self.plugins.observers {
            let (client, principal) = (&session.key, &session.principal);
            observer.on_event(now, &BrokerEvent::Connected { client, principal, session_present });
        }
        let connected = Connected {
            session_present,
            //= mqtt5:3.1.3-7
            //= mqtt5:3.2.2-16
            assigned_client_id: assigned.then(|| session.key.client_id.clone()),
            expiry: session.expiry,
            authentication_data,
            will: session.kept_will().map(|will| Arc::clone(&will.message)),
            notes: session.notes().to_vec(),
        };
        self.with_session(now, sink, index, |session, cx| {
            cx.event(slot, Event::Connected(Box::new(connected)));
            let (to, outgoing) = session.sending();
            outgoing.resume(cx, to, habits);
        });
        self.settle_notes(now, sink);
        self.tell_groups(now, index, sink);
        self.resume_pulls(index);
        self.tell_drained(now, index, sink);
        self.set_online_alarm(now, index);
    }

    fn admit_client(
        &self,
        connect: &Connect,
        key: &ClientKey,
        permissions: Option<&dyn Permissions>,
        mountpoint: &str,
    ) -> Result<(), Reason> {
        if !mountpoint.is_empty() && check_topic_name(mountpoint).is_err() {
            return Err(Reason::CLIENT_ID_NOT_VALID);
        }
        let full = self.sessions.len() >= self.limits.sessions_max;
        if full && !self.by_key.contains_key(key) {
            return Err(Reason::QUOTA_EXCEEDED);
        }
        let Some(will) = &connect.will else { return Ok(()) };
        let existing = self.by_key.get(key).and_then(|index| self.sessions.get(index.0 as usize));
        let topic = format!("{mountpoint}{}", will.message.topic());
        self.admit_will(existing.and_then(Session::will), &topic, will)?;
        if permissions.is_none_or(|rules| rules.permits(publish_of(will), &topic)) {
            Ok(())
        } else {
            Err(Reason::NOT_AUTHORIZED)
        }
    }

    //= mqtt5:3.1.3-6
    //= mqtt311:3.1.3-6
    fn assign_key(&mut self, connect: &Connect) -> ClientKey {
        loop {
            // Chosen to be at home here, so that the link need not move.
            let client_id = format!("auto-{:016x}", self.random.next()).into();
            let key = ClientKey { gateway: connect.gateway, client_id };
            if self.home_of(&key) == self.id && !self.by_key.contains_key(&key) {
                return key;
            }
        }
    }

    //= mqtt5:3.1.2-6
    //= mqtt311:3.1.2-4
    pub(crate) fn create(&mut self, key: ClientKey) -> SessionIndex {
        let entry = self.sessions.vacant_entry();
        let index = SessionIndex(entry.key() as u32);
        let generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1);
        let origin = self.key.origin(&key);
        let limits = Arc::clone(&self.limits.session);
        entry.insert(Session::new(key.clone(), origin, index, generation, limits));
        self.by_key.insert(key, index);
        index
    }

    /// Puts a client in its session; whether rules may judge it otherwise than the one before.
    fn enter_session(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        slot: SlotId,
        connect: Connect,
        who: Believed,
    ) -> bool {
        let limits = connect.limits.unwrap_or_else(|| Arc::clone(&self.limits.session));
        let expiry = capped(connect.expiry, limits.session_expiry_max_s);
        self.slots.bind(slot, Bound::Session(index));
        self.counters.clients_connected += 1;
        self.counters.clients_maximum =
            self.counters.clients_maximum.max(self.counters.clients_connected);
        let rules_round = self.rules_round;
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return false };
        let was_other = session.rules_round != rules_round
            || session.is_restored
            || !is_alike(&session.principal, &who.principal);
        let was_durable = session.is_durable();
        session.slot = Some(slot);
        // Nothing is sent before the client knows that it is connected.
        session.outgoing.suspend();
        session.since = now;
        session.expiry = expiry;
        session.ends_at = None;
        *session.principal = who.principal;
        session.permissions = who.permissions;
        session.rules_round = rules_round;
        session.limits = limits;
        session.is_mounted_by_user = connect.mountpoint.contains("%u");
        session.mountpoint = who.mountpoint;
        session.is_restored = false;
        session.manners = connect.manners;
        if connect.will.is_some() || !session.manners.keeps_will {
            //= mqtt5:3.1.2-7
            //= mqtt311:3.1.2-8
            session.set_will(connect.will, &mut self.counters);
        }
        session.arm_will();
        //= mqtt5:3.1.3-9
        session.will_at = None;
        if session.is_durable() {
            let (origin, client) = (session.origin, session.key.clone());
            let mountpoint = session.mountpoint.clone();
            self.journal.push(Mutation::SessionOpened {
                session: origin,
                client,
                expiry,
                mountpoint,
                keeps_will: session.manners.keeps_will,
            });
            self.journal.push(session.will_mutation());
        } else if was_durable {
            // From here on it ends with its link, which a crash closes.
            self.journal.push(Mutation::SessionEnded { session: session.origin });
        }
        if session.is_durable() != was_durable && !session.subscriptions.is_empty() {
            self.refresh_durability(index);
        }
        was_other
    }

    /// Has a session with a link looked at when its credentials expire or a delivery may have to be
    /// repeated.
    pub(crate) fn set_online_alarm(&mut self, now: Timestamp, index: SessionIndex) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let after_s = self.limits.retransmit_after_s;
        let repeats =
            (session.outgoing.retransmits() && after_s > 0).then(|| now.plus_seconds(after_s));
        let at = repeats.into_iter().chain(self.credentials_expire_at(index)).min();
        self.set_alarm(index, at);
    }

    pub(crate) fn credentials_expire_at(&self, index: SessionIndex) -> Option<Timestamp> {
        self.sessions.get(index.0 as usize)?.principal.identity.expires_at
    }

    /// Tells the client of a session that its link has lost it.
    pub(crate) fn kick_slot(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        reason: Reason,
        sink: &mut dyn Sink,
    ) {
        self.with_session(now, sink, index, |session, cx: &mut Cx<'_>| {
            if let Some(slot) = session.slot {
                cx.event(slot, Event::Kicked { reason, server_reference: None });
            }
        });
    }

    /// A new link takes the session: ends the old one's hold, and the session itself to `discard`
    /// it.
    fn take_over(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        cause: DisconnectCause,
        discard: bool,
        sink: &mut dyn Sink,
    ) {
        self.close_link(now, index, cause, None, sink);
        //= mqtt5:3.1.2-4
        //= mqtt311:3.1.2-6
        let alive = self.sessions.get(index.0 as usize).is_some_and(|s| !s.is_ending());
        if discard && alive {
            self.end_session(now, index, sink);
        }
    }

    /// The link of a slot ends.
    pub(crate) fn on_disconnect(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        slot: SlotId,
        disconnect: Disconnect,
        sink: &mut dyn Sink,
    ) {
        if self.sessions.get(index.0 as usize).is_some_and(|s| s.slot == Some(slot)) {
            self.close_link(now, index, disconnect.cause, disconnect.expiry, sink);
        }
    }

    /// Ends a link's hold on its session: the will by its rules, then the session's end now, later,
    /// or never.
    pub(crate) fn close_link(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        cause: DisconnectCause,
        expiry: Option<Expiry>,
        sink: &mut dyn Sink,
    ) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        let cap = session.limits.session_expiry_max_s;
        let Some(slot) = session.slot.take() else { return };
        session.since = now;
        self.slots.unbind(slot);
        self.reauthenticating.remove(&slot);
        self.counters.clients_connected -= 1;
        session.outgoing.suspend();
        session.forsake_acks();
        let was_durable = session.is_durable();
        // Of a session that was to end with its link nothing is kept that could last longer, and
        // MQTT 5 forbids to ask for it.
        //= mqtt5:GW-MQTT-19
        if let (Some(expiry), true) = (expiry, was_durable) {
            session.expiry = capped(expiry, cap);
        }
        //= mqtt5:3.14.4-3
        //= mqtt5:3.1.2-10
        //= mqtt311:3.14.4-3
        //= mqtt311:3.1.2-10
        if cause == DisconnectCause::Farewell {
            session.disarm_will(&mut self.counters);
        }
        //= mqtt5:4.1.0-1
        //= mqtt311:4.1.0-1
        //= mqtt311:4.1.0-2
        session.ends_at = session.expiry.deadline(now);
        //= mqtt5:3.1.2-8
        session.will_at = session.armed_will().map(|will| now.plus_seconds(will.delay_s));
        if session.is_durable() {
            let (origin, expiry) = (session.origin, session.expiry);
            self.journal.push(Mutation::LinkClosed { session: origin, at: now, expiry });
            if session.armed_will().is_none() {
                self.journal.push(session.will_mutation());
            }
        } else if was_durable {
            self.journal.push(Mutation::SessionEnded { session: session.origin });
        }
        let reason = match cause {
            DisconnectCause::Farewell => Reason::SUCCESS,
            DisconnectCause::FarewellWithWill => Reason::DISCONNECT_WITH_WILL,
            DisconnectCause::Lost(reason) => reason,
        };
        for observer in &self.plugins.observers {
            let (client, expiry) = (&session.key, session.expiry);
            observer.on_event(now, &BrokerEvent::Disconnected { client, reason, expiry });
        }
        self.tell_groups(now, index, sink);
        self.on_offline_alarm(now, index, sink);
    }

    /// Does what is due for a session without a link, and sets the alarm for what is not.
    pub(crate) fn on_offline_alarm(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        sink: &mut dyn Sink,
    ) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        if session.slot.is_some() || session.is_ending() {
            return;
        }
        //= mqtt5:4.1.0-2
        if session.ends_at.is_some_and(|at| at <= now) {
            self.counters.sessions_expired += u64::from(session.is_durable());
            return self.end_session(now, index, sink);
        }
        if session.will_at.is_some_and(|at| at <= now) {
            self.publish_will(now, index, sink);
        }
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let next = session.ends_at.into_iter().chain(session.will_at).min();
        self.set_alarm(index, next);
    }

    /// The session is over: its will if it has one, then all that belongs to it, the many
    /// subscriptions of a large one in portions.
    //= mqtt311:3.1.2-7 retained messages are not the session's
    pub(crate) fn end_session(&mut self, now: Timestamp, index: SessionIndex, sink: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        if session.is_durable() {
            self.journal.push(Mutation::SessionEnded { session: session.origin });
        }
        // From here on nothing more is written for it, not even its own will: the next session of
        // its client has the same name in the store.
        session.set_ending();
        session.ends_at = None;
        self.by_key.remove(&session.key);
        self.reports.keep_name(session);
        self.set_alarm(index, None);
        self.publish_will(now, index, sink);
        if let Some(session) = self.sessions.get_mut(index.0 as usize) {
            session.set_will(None, &mut self.counters);
            session.forget_notes(&mut self.counters);
        }
        let mut returned = Vec::new();
        let filters = self.with_session(now, sink, index, |session, cx| {
            session.outgoing.end(cx, &mut returned);
            session.shared = 0;
            std::mem::take(&mut session.subscriptions)
                .into_values()
                .map(|subscribed| subscribed.filter)
                .collect::<Vec<Filter>>()
        });
        if let Some(session) = self.sessions.get(index.0 as usize) {
            for observer in &self.plugins.observers {
                observer.on_event(now, &BrokerEvent::SessionEnded { client: &session.key });
            }
        }
        self.drop_pulls(index);
        let mut filters = filters.unwrap_or_default();
        let budget = self.limits.work_per_turn_max.max(1);
        self.remove_filters(now, index, &mut filters, budget, sink);
        if filters.is_empty() {
            self.sessions.try_remove(index.0 as usize);
        } else {
            self.work.push_back(Work::EndSession { index, filters });
        }
        self.return_to_groups(now, returned, sink);
    }

    pub(crate) fn on_demand(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        credit: Credit,
        sink: &mut dyn Sink,
    ) {
        self.with_session(now, sink, index, |session, cx| {
            let (to, outgoing) = session.sending();
            outgoing.set_credit(cx, to, credit);
        });
        // What groups of this shard hold comes first, or the client would hear that nothing waits.
        self.tell_groups(now, index, sink);
        self.after_settle(now, index, sink);
    }

    /// What a shared group's home must know of a member.
    pub(crate) fn member_state(session: &Session) -> MemberState {
        MemberState {
            online: session.slot.is_some() && session.outgoing.is_open(),
            window: session.outgoing.window(),
            credit: session.outgoing.spare_credit(),
        }
    }
}

/// A client that is let in.
struct Believed {
    principal: Principal,
    permissions: Option<Arc<dyn Permissions>>,
    mountpoint: Box<str>,
}

/// A mountpoint with its placeholders replaced, once each: a name that looks like one is none.
///
/// # Errors
/// The client's name, or its user's, leads to topics that others may have: it has more than one
/// level, a wildcard, or would make the mountpoint begin with `$`.
fn fill_mountpoint(template: &str, client_id: &str, user: &str) -> Result<Box<str>, Reason> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('%') {
        filled.push_str(before);
        let (name, reason) = match behind.as_bytes().first() {
            Some(b'c') => (client_id, Reason::CLIENT_ID_NOT_VALID),
            Some(b'u') => (user, Reason::NOT_AUTHORIZED),
            _ => {
                filled.push('%');
                rest = behind;
                continue;
            }
        };
        let leads_away = name.contains(['/', '+', '#', '\0']);
        if leads_away || (filled.is_empty() && name.starts_with('$')) {
            return Err(reason);
        }
        filled.push_str(name);
        rest = behind.get(1..).unwrap_or("");
    }
    filled.push_str(rest);
    Ok(filled.into())
}

fn capped(expiry: Expiry, max_s: u32) -> Expiry {
    Expiry::from_seconds(expiry.as_seconds().min(max_s))
}
