//! What clients may do, and what happens when that changes.

use std::net::SocketAddr;
use std::sync::Arc;

use core_model::{
    Action, Authorizer, BrokerEvent, BrokerLimits, DisconnectCause, Permissions, Plugins,
    Principal, Timestamp,
};

use crate::authenticate::evidence_of;
use crate::routes::SessionIndex;
use crate::shard::{Shard, Sink};
use crate::work::Work;

impl Shard {
    /// Replaces the plug-ins, between two turns. When the authorizer is another one, rules are
    /// compiled again for each client before they are asked the next time, and standing
    /// subscriptions that are no longer permitted end in the course of the next turns. Those of a
    /// session that has not come back after a restart are looked at when it does.
    pub fn set_plugins(&mut self, plugins: Arc<Plugins>) {
        let before = std::mem::replace(&mut self.plugins, plugins);
        self.reports.enabled = !self.plugins.observers.is_empty();
        if !is_same(before.authorizer.as_ref(), self.plugins.authorizer.as_ref()) {
            self.rules_round = self.rules_round.wrapping_add(1);
            self.work.push_back(Work::ReviewAll { next: 0, round: self.rules_round });
        }
    }

    /// Replaces the node's limits, between two turns. Sessions get theirs when they connect; what
    /// is already kept stays.
    pub fn set_limits(&mut self, limits: Arc<BrokerLimits>) {
        self.retained.set_limits(limits.retained_messages_max, limits.retained_bytes_max);
        self.routes.set_cache_max(limits.route_cache_topics_max);
        self.limits = limits;
    }

    /// Asks the gates about every connected client again, in the course of the next turns, and
    /// kicks those that are refused now.
    pub fn recheck_gates(&mut self) {
        self.work.push_back(Work::RecheckGates { next: 0 });
    }

    /// The rules that bind a client; `None` when it may do everything.
    pub(crate) fn compile(&self, principal: &Principal) -> Option<Arc<dyn Permissions>> {
        let identity = &principal.identity;
        if identity.is_superuser {
            return None;
        }
        let rules = identity.rules.as_ref().or(self.plugins.authorizer.as_ref());
        rules.map(|rules| rules.compile(principal))
    }

    /// Compiles a session's rules again, as they are now.
    #[cold]
    pub(crate) fn compile_again(&mut self, index: SessionIndex) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        // Of a session that has not come back after a restart too little is known.
        let permissions = if session.is_restored { None } else { self.compile(&session.principal) };
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        session.permissions = permissions;
        session.rules_round = self.rules_round;
    }

    /// Sees to it that a session's rules are those of now.
    #[inline]
    pub(crate) fn refresh_rules(&mut self, index: SessionIndex) {
        let round = self.rules_round;
        if self.sessions.get(index.0 as usize).is_some_and(|s| s.rules_round != round) {
            self.compile_again(index);
        }
    }

    /// Whether a client may do something; if not, that is counted and reported.
    #[inline]
    pub(crate) fn permits(&mut self, index: SessionIndex, action: Action, topic: &str) -> bool {
        self.refresh_rules(index);
        let Some(session) = self.sessions.get(index.0 as usize) else { return false };
        let permitted = session.permissions.as_ref().is_none_or(|r| r.permits(action, topic));
        if !permitted {
            self.counters.denied += 1;
            self.reports.deny(session, action, topic);
        }
        permitted
    }

    /// Looks at a session's standing subscriptions and ends those that its client may not have:
    /// many of them in the course of the next turns.
    pub(crate) fn review(&mut self, now: Timestamp, index: SessionIndex, sink: &mut dyn Sink) {
        let mut budget = self.limits.work_per_turn_max.max(1);
        self.review_some(now, index, &mut budget, sink);
    }

    fn review_some(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        budget: &mut usize,
        sink: &mut dyn Sink,
    ) {
        self.refresh_rules(index);
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        if session.permissions.is_none() || session.is_ending() {
            return;
        }
        let generation = session.generation;
        let filters = session.subscriptions.keys().cloned().collect();
        self.go_on_reviewing(now, index, generation, filters, budget, sink);
    }

    /// Looks at some of a session's subscriptions, and leaves the rest for later.
    pub(crate) fn go_on_reviewing(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        generation: u32,
        mut filters: Vec<Box<str>>,
        budget: &mut usize,
        sink: &mut dyn Sink,
    ) {
        self.refresh_rules(index);
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        if session.generation != generation || session.is_ending() {
            return;
        }
        let Some(rules) = session.permissions.clone() else { return };
        let rest = filters.split_off(filters.len().min(*budget));
        *budget -= filters.len();
        filters.retain(|filter| {
            session.subscriptions.get(filter).is_some_and(|subscribed| {
                let action = Action::Subscribe { qos: subscribed.qos };
                !rules.permits(action, subscribed.filter.topic_filter())
            })
        });
        if !filters.is_empty() {
            self.revoke(now, index, &filters, sink);
            self.withdraw(now, index, false, sink);
        }
        if !rest.is_empty() {
            self.work.push_back(Work::Review { index, generation, filters: rest });
        }
    }

    /// Ends subscriptions of a session that its client may not have any more.
    fn revoke(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        filters: &[Box<str>],
        sink: &mut dyn Sink,
    ) {
        let mut removed = Vec::with_capacity(filters.len());
        for filter in filters {
            let Some(subscribed) = self.forget_subscription(index, filter) else { continue };
            self.counters.subscriptions_revoked += 1;
            if let Some(session) = self.sessions.get(index.0 as usize) {
                for observer in &self.plugins.observers {
                    let client = &session.key;
                    observer.on_event(now, &BrokerEvent::SubscriptionRevoked { client, filter });
                }
            }
            removed.push(subscribed.filter);
        }
        self.end_subscriptions(now, index, removed, sink);
    }

    /// Takes messages out of a session that its client may not subscribe to: those that wait, and
    /// with `begun` those that an earlier link has not settled.
    pub(crate) fn withdraw(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        begun: bool,
        sink: &mut dyn Sink,
    ) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let Some(rules) = session.permissions.clone() else { return };
        self.with_session(now, sink, index, |session, cx| {
            let (to, outgoing) = session.sending();
            let permits = |topic: &str, qos| rules.permits(Action::Subscribe { qos }, topic);
            outgoing.withdraw(cx, to, begun, &permits);
        });
        self.settle_notes(now, sink);
        self.tell_drained(now, index, sink);
    }

    /// A client has another address: what gates and rules say of it may be something else now.
    pub(crate) fn on_moved(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        peer: SocketAddr,
        sink: &mut dyn Sink,
    ) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        let before = session.principal.peer.replace(peer);
        if before.is_some_and(|before| before.ip() == peer.ip()) {
            return;
        }
        if self.recheck(now, index, sink) {
            self.compile_again(index);
            self.review(now, index, sink);
        }
    }

    /// Reviews sessions from a place on; where to go on.
    pub(crate) fn review_all_some(
        &mut self,
        now: Timestamp,
        next: usize,
        budget: &mut usize,
        sink: &mut dyn Sink,
    ) -> Option<usize> {
        for place in next..self.places() {
            if *budget == 0 {
                return Some(place);
            }
            *budget -= 1;
            self.review_some(now, SessionIndex(place as u32), budget, sink);
        }
        None
    }

    /// Asks the gates about clients from a place on; where to go on.
    pub(crate) fn recheck_some(
        &mut self,
        now: Timestamp,
        next: usize,
        budget: &mut usize,
        sink: &mut dyn Sink,
    ) -> Option<usize> {
        for place in next..self.places() {
            if *budget == 0 {
                return Some(place);
            }
            *budget -= 1;
            self.recheck(now, SessionIndex(place as u32), sink);
        }
        None
    }

    /// Asks the gates about a client that is connected, and kicks it if they refuse it now; whether
    /// it may stay.
    fn recheck(&mut self, now: Timestamp, index: SessionIndex, sink: &mut dyn Sink) -> bool {
        let Some(session) = self.sessions.get(index.0 as usize).filter(|s| s.slot.is_some()) else {
            return false;
        };
        let evidence = evidence_of(&session.principal);
        let identity = Some(&session.principal.identity);
        let passed = self.pass_gates(now, &session.key.client_id, &evidence, identity);
        if let Err(reason) = passed {
            self.kick_slot(now, index, reason, sink);
            self.close_link(now, index, DisconnectCause::Lost(reason), None, sink);
        }
        passed.is_ok()
    }

    /// One past the last place that a session has.
    pub(crate) fn places(&self) -> usize {
        self.sessions.iter().next_back().map_or(0, |(last, _)| last + 1)
    }
}

fn is_same(one: Option<&Arc<dyn Authorizer>>, other: Option<&Arc<dyn Authorizer>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Whether rules cannot tell two ways in which a client came apart.
pub(crate) fn is_alike(one: &Principal, other: &Principal) -> bool {
    let address = |principal: &Principal| principal.peer.map(|peer| peer.ip());
    let (a, b) = (&one.identity, &other.identity);
    one.gateway == other.gateway
        && one.listener == other.listener
        && address(one) == address(other)
        && one.transport == other.transport
        && a.user == b.user
        && a.authenticator == b.authenticator
        && a.is_superuser == b.is_superuser
        && a.rules.is_none()
        && b.rules.is_none()
}
