use core_model::{
    Action, Event, Filter, QoS, Read, Reason, RetainHandling, Retained, ShardId, SlotId,
    StoredMessage, Subscribe, Subscription, Timestamp, Unsubscribe,
};
use core_store::Mutation;
use hashbrown::HashMap;
use std::sync::Arc;

use crate::mail::{Caller, Letter};
use crate::publish::TOPIC_BYTES_MAX;
use crate::pulls::PullWish;
use crate::routes::{Change, Interest, SessionIndex};
use crate::session::{Session, Subscribed};
use crate::shard::{Shard, Sink};

/// Operations that wait for answers of other shards.
pub(crate) struct Requests {
    next: u32,
    subscribes: HashMap<u32, PendingSubscribe, foldhash::fast::FixedState>,
    reads: HashMap<u32, PendingRead, foldhash::fast::FixedState>,
    /// Retained messages sent to each shard so far.
    writes: Box<[u64]>,
    /// Retained messages arrived from each shard so far.
    arrived: Box<[u64]>,
}

struct PendingSubscribe {
    caller: Caller,
    session: SessionIndex,
    generation: u32,
    reasons: Vec<Reason>,
    /// Answers of other shards, and of groups' homes, that are missing.
    waits: u32,
    /// By answering shard: its retained writes to each shard when the interest was installed.
    writes: Vec<Box<[u64]>>,
    /// Pulls of retained messages that begin with the answer.
    pulls: Vec<u32>,
}

struct PendingRead {
    caller: Caller,
    topic_skip: u16,
    waits: u16,
    limit: usize,
    more: bool,
    messages: Vec<Arc<StoredMessage>>,
}

impl Requests {
    pub(crate) fn new(shards: u16) -> Self {
        let zeros = || vec![0; usize::from(shards.max(1))].into_boxed_slice();
        Requests {
            next: 0,
            subscribes: HashMap::default(),
            reads: HashMap::default(),
            writes: zeros(),
            arrived: zeros(),
        }
    }

    /// Operations that wait.
    pub(crate) fn len(&self) -> usize {
        self.subscribes.len() + self.reads.len()
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    pub(crate) fn count_write(&mut self, to: ShardId) {
        if let Some(count) = self.writes.get_mut(usize::from(to.0)) {
            *count += 1;
        }
    }

    /// The number that the next retained message for a shard will have.
    pub(crate) fn next_write(&self, to: ShardId) -> u64 {
        self.writes.get(usize::from(to.0)).map_or(0, |count| *count + 1)
    }

    /// Retained messages arrived from each shard so far.
    pub(crate) fn arrived(&self) -> Box<[u64]> {
        self.arrived.clone()
    }

    pub(crate) fn count_arrival(&mut self, from: ShardId) {
        if let Some(count) = self.arrived.get_mut(usize::from(from.0)) {
            *count += 1;
        }
    }

    /// Whether all writes that `barrier` names have arrived.
    pub(crate) fn has_passed(&self, barrier: &[u64]) -> bool {
        self.arrived.iter().zip(barrier).all(|(arrived, needed)| arrived >= needed)
    }
}

/// The parts of a subscribe operation on its way through its filters.
struct Plan {
    reasons: Vec<Reason>,
    interest: Vec<(Box<str>, bool)>,
    joins: Vec<Subscribed>,
    pulls: Vec<u32>,
}

impl Shard {
    /// Subscribes to several filters: installs what is local, tells the other shards, and answers
    /// when all of them have it.
    pub(crate) fn on_subscribe(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        slot: SlotId,
        subscribe: Subscribe,
        sink: &mut dyn Sink,
    ) {
        let identifier = subscribe.identifier.unwrap_or(0);
        let mut plan = Plan {
            reasons: Vec::with_capacity(subscribe.subscriptions.len()),
            interest: Vec::new(),
            joins: Vec::new(),
            pulls: Vec::new(),
        };
        //= mqtt5:3.8.4-5
        //= mqtt5:3.8.4-6
        //= mqtt311:3.8.4-4
        //= mqtt311:3.8.4-5
        for wanted in subscribe.subscriptions {
            let reason = match wanted {
                Ok(subscription) => {
                    self.add_subscription(index, &subscription, identifier, &mut plan)
                }
                Err(reason) => reason,
            };
            plan.reasons.push(reason);
        }
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let request = self.requests.number();
        let mut pending = PendingSubscribe {
            caller: Caller { slot, ticket: subscribe.ticket },
            session: index,
            generation: session.generation,
            reasons: plan.reasons,
            waits: plan.joins.len() as u32,
            writes: vec![Box::default(); usize::from(self.shards)],
            pulls: plan.pulls,
        };
        if self.shards > 1 && !plan.interest.is_empty() {
            pending.waits += u32::from(self.shards) - 1;
            let filters = plan.interest;
            self.out.broadcast(|| Letter::Interest { request, filters: filters.clone() });
        }
        if let Some(own) = pending.writes.get_mut(usize::from(self.id.0)) {
            // Our own writes travel in front of our pulls, on the same way.
            *own = vec![0; usize::from(self.shards)].into_boxed_slice();
        }
        self.requests.subscribes.insert(request, pending);
        for join in plan.joins {
            self.join_group(now, index, request, &join, sink);
        }
        self.finish_subscribe(now, request, sink);
    }

    fn add_subscription(
        &mut self,
        index: SessionIndex,
        subscription: &Subscription,
        identifier: u32,
        plan: &mut Plan,
    ) -> Reason {
        self.refresh_rules(index);
        let Some(session) = self.sessions.get(index.0 as usize) else {
            return Reason::UNSPECIFIED;
        };
        let filter = subscription.filter.mounted(&session.mountpoint);
        let topic = filter.topic_filter();
        let levels = topic.split('/').count();
        if topic.len() > TOPIC_BYTES_MAX || levels > session.limits.topic_levels_max {
            return Reason::TOPIC_FILTER_INVALID;
        }
        if let Some(rules) = &session.permissions {
            let action = Action::Subscribe { qos: subscription.qos };
            //= mqtt5:GW-MQTT-17
            if !rules.permits(action, topic) {
                self.counters.denied += 1;
                self.reports.deny(session, action, topic);
                return Reason::NOT_AUTHORIZED;
            }
        }
        let is_new = !session.subscriptions.contains_key(subscription.filter.as_str());
        if is_new && session.subscriptions.len() >= session.limits.subscriptions_max {
            return Reason::QUOTA_EXCEEDED;
        }
        let bytes = subscription_bytes(&filter);
        let total = self.counters.subscription_bytes + bytes;
        if is_new && total > self.limits.subscription_bytes_total_max as u64 {
            return Reason::QUOTA_EXCEEDED;
        }
        let subscribed = Subscribed {
            filter,
            qos: subscription.qos,
            no_local: subscription.no_local,
            retain_as_published: subscription.retain_as_published,
            identifier,
        };
        self.remember(index, subscription, &subscribed, is_new);
        if subscribed.filter.share_name().is_some() {
            plan.joins.push(subscribed);
        } else {
            self.install(index, &subscribed, plan);
            //= mqtt5:3.3.1-9
            //= mqtt5:3.3.1-10
            //= mqtt5:3.3.1-11
            //= mqtt5:3.8.4-4
            //= mqtt311:3.3.1-6
            //= mqtt311:3.8.4-3
            let wanted = match subscription.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            let wish = PullWish {
                filter: subscribed.filter.topic_filter().into(),
                qos: subscribed.qos,
                identifier,
            };
            // A new subscription has no pull yet, and a client that subscribes to ten thousand
            // filters should not have all of them looked at each time.
            match (wanted, is_new) {
                (true, true) => plan.pulls.extend(self.register_pull(index, wish)),
                (true, false) => {
                    self.cancel_pull(index, &wish.filter);
                    plan.pulls.extend(self.register_pull(index, wish));
                }
                (false, true) => {}
                (false, false) => self.change_pull(index, &wish),
            }
        }
        granted(subscription.qos)
    }

    //= mqtt5:3.8.4-3
    fn remember(
        &mut self,
        index: SessionIndex,
        subscription: &Subscription,
        subscribed: &Subscribed,
        is_new: bool,
    ) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        if session.is_durable() {
            self.journal.push(Mutation::Subscribed {
                session: session.origin,
                subscription: subscription.clone(),
                identifier: (subscribed.identifier != 0).then_some(subscribed.identifier),
            });
        }
        session.subscriptions.insert(subscription.filter.as_str().into(), subscribed.clone());
        let shared = u64::from(subscribed.filter.share_name().is_some());
        if is_new {
            session.shared += shared as u32;
            self.counters.subscriptions += 1;
            self.counters.subscription_bytes += subscription_bytes(&subscribed.filter);
            self.counters.subscriptions_shared += shared;
        }
    }

    fn install(&mut self, index: SessionIndex, subscribed: &Subscribed, plan: &mut Plan) {
        let filter = subscribed.filter.topic_filter();
        let durable = self.sessions.get(index.0 as usize).is_some_and(Session::is_durable);
        let change = self.routes.subscribe(filter, index, subscribed.options(durable));
        if self.shards > 1 {
            plan.interest.push((filter.into(), change.after == Interest::Durable));
        }
    }

    /// Another shard wants filters.
    pub(crate) fn on_interest(
        &mut self,
        from: ShardId,
        request: u32,
        filters: &[(Box<str>, bool)],
    ) {
        for (filter, durable) in filters {
            self.routes.set_interest(filter, from, *durable);
        }
        let writes = self.requests.writes.clone();
        self.out.send(from, Letter::Interested { request, writes });
    }

    pub(crate) fn on_interested(
        &mut self,
        now: Timestamp,
        from: ShardId,
        request: u32,
        writes: Box<[u64]>,
        sink: &mut dyn Sink,
    ) {
        if let Some(pending) = self.requests.subscribes.get_mut(&request) {
            pending.waits -= 1;
            if let Some(place) = pending.writes.get_mut(usize::from(from.0)) {
                *place = writes;
            }
            self.finish_subscribe(now, request, sink);
        }
    }

    /// A group that a subscribe joins is known everywhere.
    pub(crate) fn on_joined(&mut self, now: Timestamp, request: u32, sink: &mut dyn Sink) {
        match self.requests.subscribes.get_mut(&request) {
            Some(pending) => {
                pending.waits = pending.waits.saturating_sub(1);
                self.finish_subscribe(now, request, sink);
            }
            None => self.on_rejoined(),
        }
    }

    //= mqtt5:3.8.4-1
    //= mqtt311:3.8.4-1
    fn finish_subscribe(&mut self, now: Timestamp, request: u32, sink: &mut dyn Sink) {
        if self.requests.subscribes.get(&request).is_none_or(|pending| pending.waits > 0) {
            return;
        }
        let Some(pending) = self.requests.subscribes.remove(&request) else { return };
        let Some(session) = self.sessions.get(pending.session.0 as usize) else { return };
        if session.generation != pending.generation || session.is_ending() {
            return;
        }
        if session.slot == Some(pending.caller.slot) {
            let (ticket, reasons) = (pending.caller.ticket, pending.reasons);
            let (_, mut cx) = self.split(now, sink);
            cx.event(pending.caller.slot, Event::Subscribed { ticket, reasons });
        }
        self.begin_pulls(&pending.pulls, &pending.writes);
    }

    /// Unsubscribes from several filters.
    pub(crate) fn on_unsubscribe(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        slot: SlotId,
        unsubscribe: &Unsubscribe,
        sink: &mut dyn Sink,
    ) {
        let mut removed = Vec::new();
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            //= mqtt5:3.10.4-1
            //= mqtt311:3.10.4-1
            let Some(subscribed) = self.forget_subscription(index, filter) else {
                reasons.push(Reason::NO_SUBSCRIPTION_EXISTED);
                continue;
            };
            removed.push(subscribed.filter);
            reasons.push(Reason::SUCCESS);
        }
        self.end_subscriptions(now, index, removed, sink);
        let ticket = unsubscribe.ticket;
        let (_, mut cx) = self.split(now, sink);
        //= mqtt5:3.10.4-4
        //= mqtt311:3.10.4-4
        cx.event(slot, Event::Unsubscribed { ticket, reasons });
    }

    /// Drops a filter from a session's memory and its journal.
    pub(crate) fn forget_subscription(
        &mut self,
        index: SessionIndex,
        filter: &str,
    ) -> Option<Subscribed> {
        let session = self.sessions.get_mut(index.0 as usize)?;
        let subscribed = session.subscriptions.remove(filter)?;
        session.shared -= u32::from(subscribed.filter.share_name().is_some());
        if session.is_durable() {
            let (session, filter) = (session.origin, filter.into());
            self.journal.push(Mutation::Unsubscribed { session, filter });
        }
        Some(subscribed)
    }

    /// Ends subscriptions that a session has forgotten.
    pub(crate) fn end_subscriptions(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        mut removed: Vec<Filter>,
        sink: &mut dyn Sink,
    ) {
        //= mqtt5:3.10.4-2
        //= mqtt311:3.10.4-2
        for filter in removed.iter().filter(|filter| filter.share_name().is_none()) {
            self.cancel_pull(index, filter.topic_filter());
        }
        //= mqtt5:3.10.4-3
        //= mqtt311:3.10.4-3
        self.remove_filters(now, index, &mut removed, usize::MAX, sink);
        self.tell_drained(now, index, sink);
    }

    /// Takes up to `budget` filters of a session out of the routes, from the end of the list.
    pub(crate) fn remove_filters(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        filters: &mut Vec<Filter>,
        mut budget: usize,
        sink: &mut dyn Sink,
    ) {
        let mut gone = Vec::new();
        while budget > 0 {
            let Some(filter) = filters.pop() else { break };
            budget -= 1;
            self.counters.subscriptions -= 1;
            self.counters.subscription_bytes -= subscription_bytes(&filter);
            if filter.share_name().is_some() {
                self.counters.subscriptions_shared -= 1;
                self.leave_group(now, index, &filter, sink);
            } else {
                self.lose_interest(index, filter.topic_filter(), &mut gone);
            }
        }
        if !gone.is_empty() {
            self.out.broadcast(|| Letter::NoInterest { filters: gone.clone() });
        }
    }

    fn lose_interest(&mut self, index: SessionIndex, filter: &str, gone: &mut Vec<Box<str>>) {
        let change = self.routes.unsubscribe(filter, index);
        if self.shards == 1 || change.before == change.after {
            return;
        }
        match change.after {
            Interest::None => gone.push(filter.into()),
            _ => self.tell_interest(filter, change),
        }
    }

    fn tell_interest(&mut self, filter: &str, change: Change) {
        let durable = change.after == Interest::Durable;
        self.out.broadcast(|| Letter::InterestChanged { filter: filter.into(), durable });
    }

    /// A session came back with another expiry, and so with or without durable state: publishers
    /// must wait for it from now on, or no more.
    pub(crate) fn refresh_durability(&mut self, index: SessionIndex) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let durable = session.is_durable();
        let subscriptions: Vec<Subscribed> = session.subscriptions.values().cloned().collect();
        for subscribed in subscriptions {
            if subscribed.filter.share_name().is_some() {
                continue;
            }
            let filter = subscribed.filter.topic_filter();
            let change = self.routes.subscribe(filter, index, subscribed.options(durable));
            if self.shards > 1 && change.before != change.after {
                self.tell_interest(filter, change);
            }
        }
    }

    /// A gateway reads retained messages for a client, which finds those that it may subscribe to.
    pub(crate) fn on_read(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        slot: SlotId,
        read: Read,
        sink: &mut dyn Sink,
    ) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let filter = read.filter.mounted(&session.mountpoint);
        let filter = filter.topic_filter();
        let topic_skip = session.mountpoint.len() as u16;
        let action = Action::Subscribe { qos: QoS::AtMostOnce };
        let allowed = self.permits(index, action, filter);
        let mut pending = PendingRead {
            caller: Caller { slot, ticket: read.ticket },
            topic_skip,
            waits: 0,
            limit: read.limit.max(1) as usize,
            more: false,
            messages: Vec::new(),
        };
        let request = self.requests.number();
        if !allowed {
            self.requests.reads.insert(request, pending);
            return self.finish_read(now, request, sink);
        }
        (pending.messages, pending.more) =
            self.read_local(now, filter, read.cursor.as_deref(), pending.limit);
        pending.waits = self.shards - 1;
        self.requests.reads.insert(request, pending);
        self.out.broadcast(|| Letter::Read {
            request,
            filter: filter.into(),
            cursor: read.cursor.clone(),
            limit: read.limit.max(1),
        });
        self.finish_read(now, request, sink);
    }

    fn read_local(
        &mut self,
        now: Timestamp,
        filter: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> (Vec<Arc<StoredMessage>>, bool) {
        let mut messages = Vec::new();
        // One more than asked for tells whether there is more.
        self.retained.page(filter, cursor, limit + 1, usize::MAX, now, &mut messages);
        let more = messages.len() > limit;
        messages.truncate(limit);
        (messages, more)
    }

    pub(crate) fn on_read_mail(
        &mut self,
        now: Timestamp,
        from: ShardId,
        request: u32,
        filter: &str,
        cursor: Option<&str>,
        limit: u32,
    ) {
        let (messages, more) = self.read_local(now, filter, cursor, limit as usize);
        self.out.send(from, Letter::ReadPage { request, messages, more });
    }

    pub(crate) fn on_read_page(
        &mut self,
        now: Timestamp,
        request: u32,
        messages: Vec<Arc<StoredMessage>>,
        more: bool,
        sink: &mut dyn Sink,
    ) {
        if let Some(pending) = self.requests.reads.get_mut(&request) {
            pending.waits -= 1;
            pending.more |= more;
            pending.messages.extend(messages);
            self.finish_read(now, request, sink);
        }
    }

    fn finish_read(&mut self, now: Timestamp, request: u32, sink: &mut dyn Sink) {
        if self.requests.reads.get(&request).is_none_or(|pending| pending.waits > 0) {
            return;
        }
        let Some(mut pending) = self.requests.reads.remove(&request) else { return };
        pending.messages.sort_by(|a, b| a.topic().cmp(b.topic()));
        let more = pending.more || pending.messages.len() > pending.limit;
        pending.messages.truncate(pending.limit);
        let last = pending.messages.last().map(|message| message.topic().into());
        let (_, mut cx) = self.split(now, sink);
        let retained = Retained {
            ticket: pending.caller.ticket,
            topic_skip: pending.topic_skip,
            cursor: if more { last } else { None },
            messages: pending.messages,
        };
        cx.event(pending.caller.slot, Event::Retained(Box::new(retained)));
    }
}

/// What a subscription may cost: its filter in the session, in the routes and once more in transit,
/// and the entries around it.
pub(crate) fn subscription_bytes(filter: &Filter) -> u64 {
    const ENTRY_BYTES: u64 = 512;
    ENTRY_BYTES + 3 * filter.as_str().len() as u64
}

//= mqtt5:3.8.4-7
fn granted(qos: QoS) -> Reason {
    Reason::from_u8(qos as u8)
}
