//! Shared subscriptions. A group (share name and filter) has one home shard, which picks a member
//! for each message and holds what nobody can take yet. All other shards only know that the group
//! exists.

mod held;
mod pick;

use std::collections::VecDeque;
use std::sync::Arc;

use core_model::{Credit, Filter, QoS, ShardId, StoredMessage, Timestamp};
use core_store::Mutation;
use hashbrown::HashMap;

use crate::mail::{AckRef, Letter, MemberRef};
use crate::outgoing::{Arriving, Offered, Returned, Terms};
use crate::publish::Dispatched;
use crate::routes::{GroupTarget, SessionIndex};
use crate::session::{Session, Subscribed};
use crate::shard::{Shard, Sink};
use pick::{Group, Member, Question};

/// What became of a message that a member was given.
#[derive(Clone, Copy)]
struct Given {
    offered: Offered,
    qos: QoS,
}

impl Given {
    /// Whether the member will settle it.
    fn is_counted(self) -> bool {
        self.qos != QoS::AtMostOnce && matches!(self.offered, Offered::Taken { .. })
    }
}

/// The groups at home on this shard.
#[derive(Default)]
pub(crate) struct Groups {
    by_name: HashMap<Arc<str>, Group, foldhash::fast::FixedState>,
}

impl Groups {
    /// How many groups are at home here.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }
}

impl Shard {
    fn group_home(&self, group: &str) -> ShardId {
        self.key.group_shard(group, self.shards)
    }

    fn own_member(&self, index: SessionIndex) -> Option<MemberRef> {
        let session = self.sessions.get(index.0 as usize)?;
        Some(MemberRef { shard: self.id, session: index, generation: session.generation })
    }

    /// A session of this shard joins a group, wherever it is at home.
    //= mqtt5:4.8.2-1
    pub(crate) fn join_group(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        request: u32,
        subscribed: &Subscribed,
        sink: &mut dyn Sink,
    ) {
        let Some(member) = self.own_member(index) else { return };
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        let state = Self::member_state(session);
        let letter = Letter::GroupJoin {
            request,
            group: subscribed.filter.as_str().into(),
            filter: subscribed.filter.topic_filter().into(),
            member,
            qos: subscribed.qos,
            state,
        };
        self.mail_group_home(now, subscribed.filter.as_str(), letter, sink);
    }

    pub(crate) fn leave_group(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        filter: &Filter,
        sink: &mut dyn Sink,
    ) {
        let Some(member) = self.own_member(index) else { return };
        let letter = Letter::GroupLeave { group: filter.as_str().into(), member };
        self.mail_group_home(now, filter.as_str(), letter, sink);
    }

    /// Tells the homes of a session's groups whether it can be given messages.
    pub(crate) fn tell_groups(&mut self, now: Timestamp, index: SessionIndex, sink: &mut dyn Sink) {
        let Some(session) = self.sessions.get(index.0 as usize) else { return };
        if session.shared == 0 {
            return;
        }
        let state = Self::member_state(session);
        let groups: Vec<Box<str>> = session
            .subscriptions
            .values()
            .filter(|subscribed| subscribed.filter.share_name().is_some())
            .map(|subscribed| subscribed.filter.as_str().into())
            .collect();
        let Some(member) = self.own_member(index) else { return };
        for group in groups {
            let letter = Letter::GroupMember { group: group.clone(), member, state };
            self.mail_group_home(now, &group, letter, sink);
        }
    }

    /// The same for a session with credit by number, of which groups only guess how much is left.
    fn tell_counted(
        &mut self,
        now: Timestamp,
        index: SessionIndex,
        generation: u32,
        sink: &mut dyn Sink,
    ) {
        let is_counted = |session: &Session| {
            session.generation == generation
                && matches!(session.outgoing.credit(), Credit::Messages(_))
        };
        if self.sessions.get(index.0 as usize).is_some_and(is_counted) {
            self.tell_groups(now, index, sink);
        }
    }

    /// Messages that an ended session had from groups go back to them.
    pub(crate) fn return_to_groups(
        &mut self,
        now: Timestamp,
        returned: Vec<Returned>,
        sink: &mut dyn Sink,
    ) {
        for Returned { group, message } in returned {
            let letter = Letter::GroupReturned { group: Arc::clone(&group), message, ack: None };
            self.mail_group_home(now, &group, letter, sink);
        }
    }

    /// Does what sessions left to do.
    pub(crate) fn settle_notes(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        use crate::context::Note;
        while !self.notes.is_empty() {
            for note in std::mem::take(&mut self.notes) {
                let (group, session, generation, returned) = match note {
                    Note::GroupSettled { group, session, generation } => {
                        (group, session, generation, None)
                    }
                    Note::GroupReturned { returned, session, generation } => {
                        (returned.group, session, generation, Some(returned.message))
                    }
                    Note::CreditSpent { session, generation } => {
                        if self.is_generation(session, generation) {
                            self.tell_groups(now, session, sink);
                        }
                        continue;
                    }
                };
                self.tell_counted(now, session, generation, sink);
                let member = MemberRef { shard: self.id, session, generation };
                let letter = Letter::GroupSettled { group: Arc::clone(&group), member };
                self.mail_group_home(now, &group, letter, sink);
                if let Some(message) = returned {
                    let letter =
                        Letter::GroupReturned { group: Arc::clone(&group), message, ack: None };
                    self.mail_group_home(now, &group, letter, sink);
                }
            }
        }
    }

    fn mail_group_home(
        &mut self,
        now: Timestamp,
        group: &str,
        letter: Letter,
        sink: &mut dyn Sink,
    ) {
        let home = self.group_home(group);
        if home == self.id {
            self.receive_group(now, self.id, letter, sink);
        } else {
            self.out.send(home, letter);
        }
    }

    /// Mail that concerns groups.
    pub(crate) fn receive_group(
        &mut self,
        now: Timestamp,
        from: ShardId,
        letter: Letter,
        sink: &mut dyn Sink,
    ) {
        match letter {
            Letter::GroupJoin { request, group, filter, member, qos, state } => {
                let member = Member { who: member, qos, state, outstanding: 0 };
                self.on_group_join(now, from, request, &group, &filter, member, sink);
            }
            Letter::GroupJoined { request } => self.on_joined(now, request, sink),
            Letter::GroupLeave { group, member } => self.on_group_leave(&group, member),
            Letter::GroupMember { group, member, state } => {
                if let Some(group) = self.groups.by_name.get_mut(&*group)
                    && let Some(member) = group.member(member)
                {
                    member.state = state;
                }
                self.drain_held(now, &group, sink);
            }
            Letter::GroupOpen { group, filter } => {
                self.routes.set_group(&filter, &Arc::from(&*group), from);
                self.out.send(from, Letter::GroupKnown { group });
            }
            Letter::GroupKnown { group } => self.on_group_known(now, &group, sink),
            Letter::GroupClose { group, filter } => self.routes.clear_group(&filter, &group),
            Letter::GroupPublish { group, message, ack } => {
                self.on_group_publish(now, from, &group, &message, ack, sink);
            }
            Letter::GroupDeliver { group, member, qos, message, ack } => {
                self.on_group_deliver(now, from, &group, member, qos, &message, ack, sink);
            }
            Letter::GroupSettled { group, member } => {
                if let Some(group) = self.groups.by_name.get_mut(&*group)
                    && let Some(member) = group.member(member)
                {
                    member.outstanding = member.outstanding.saturating_sub(1);
                }
                self.drain_held(now, &group, sink);
            }
            Letter::GroupReturned { group, message, ack } => {
                self.on_group_returned(now, &group, message, ack, sink);
            }
            other => unreachable!("{other:?} is no mail about groups"),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn on_group_join(
        &mut self,
        now: Timestamp,
        from: ShardId,
        request: u32,
        name: &str,
        filter: &str,
        member: Member,
        sink: &mut dyn Sink,
    ) {
        if !self.groups.by_name.contains_key(name) {
            self.open_group(name, filter);
        }
        let Some(group) = self.groups.by_name.get_mut(name) else { return };
        match group.member(member.who) {
            // The same session again: its terms change, it does not count twice.
            Some(known) => {
                known.qos = member.qos;
                known.state = member.state;
            }
            None => group.members.push(member),
        }
        group.joining.push((from, request));
        self.answer_joins(now, name, sink);
        self.drain_held(now, name, sink);
    }

    pub(super) fn open_group(&mut self, name: &str, filter: &str) {
        let strategy = Filter::parse(name)
            .ok()
            .and_then(|parsed| {
                let share = parsed.share_name()?;
                let by_name = &self.limits.share_strategy_by_name;
                by_name.iter().find(|(name, _)| **name == *share).map(|(_, s)| *s)
            })
            .unwrap_or(self.limits.share_strategy);
        let key: Arc<str> = name.into();
        self.routes.set_group(filter, &key, self.id);
        self.out.broadcast(|| Letter::GroupOpen { group: name.into(), filter: filter.into() });
        self.groups.by_name.insert(
            key,
            Group {
                filter: filter.into(),
                strategy,
                members: Vec::new(),
                next: 0,
                sticky: None,
                held: VecDeque::new(),
                unknown_to: self.shards - 1,
                joining: Vec::new(),
            },
        );
    }

    fn on_group_known(&mut self, now: Timestamp, name: &str, sink: &mut dyn Sink) {
        if let Some(group) = self.groups.by_name.get_mut(name) {
            group.unknown_to = group.unknown_to.saturating_sub(1);
        }
        self.answer_joins(now, name, sink);
    }

    fn answer_joins(&mut self, now: Timestamp, name: &str, sink: &mut dyn Sink) {
        let Some(group) = self.groups.by_name.get_mut(name) else { return };
        if group.unknown_to > 0 {
            return;
        }
        for (shard, request) in std::mem::take(&mut group.joining) {
            if shard == self.id {
                self.on_joined(now, request, sink);
            } else {
                self.out.send(shard, Letter::GroupJoined { request });
            }
        }
        self.close_if_empty(name);
    }

    /// All members of this shard are back in their groups: those that nobody is in any more are
    /// closed, which happens when all shards know them, or here when there is no other shard.
    pub(crate) fn answer_restored_joins(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        let names: Vec<Arc<str>> = self.groups.by_name.keys().cloned().collect();
        for name in names {
            self.answer_joins(now, &name, sink);
        }
    }

    fn on_group_leave(&mut self, name: &str, who: MemberRef) {
        let Some(group) = self.groups.by_name.get_mut(name) else { return };
        group.members.retain(|member| member.who != who);
        self.close_if_empty(name);
    }

    fn close_if_empty(&mut self, name: &str) {
        let Some(group) = self.groups.by_name.get_mut(name) else { return };
        if group.members.is_empty() && group.joining.is_empty() {
            let filter = std::mem::take(&mut group.filter);
            for (sequence, message) in std::mem::take(&mut group.held) {
                self.counters.dropped_discarded += 1;
                self.counters.kept_bytes -= message.size() as u64;
                // Or a restart would open a group for them that nobody is in.
                self.journal.push(Mutation::GroupTaken { group: name.into(), sequence });
            }
            self.groups.by_name.remove(name);
            self.routes.clear_group(&filter, name);
            self.out
                .broadcast(|| Letter::GroupClose { group: name.into(), filter: filter.clone() });
        }
    }

    /// A message of a client of this shard for one of the groups that match it.
    pub(crate) fn dispatch_group(
        &mut self,
        now: Timestamp,
        target: &GroupTarget,
        arriving: &mut Arriving<'_>,
        ack: Option<AckRef>,
        dispatched: &mut Dispatched,
        sink: &mut dyn Sink,
    ) {
        dispatched.matched = true;
        if target.home == self.id {
            return self.group_publish(now, &target.key, arriving, self.id, ack, dispatched, sink);
        }
        dispatched.waits += u16::from(ack.is_some());
        let (group, message) = (Arc::clone(&target.key), Arc::clone(arriving.stored()));
        self.out.send(target.home, Letter::GroupPublish { group, message, ack });
    }

    fn on_group_publish(
        &mut self,
        now: Timestamp,
        from: ShardId,
        name: &str,
        message: &Arc<StoredMessage>,
        ack: Option<AckRef>,
        sink: &mut dyn Sink,
    ) {
        let view = message.view();
        let mut arriving = Arriving::new(&view, Some(Arc::clone(message)));
        let mut dispatched = Dispatched::default();
        self.group_publish(now, name, &mut arriving, from, ack, &mut dispatched, sink);
        match ack {
            // Where a member on a third shard takes it, that shard reports.
            Some(ack) if dispatched.waits == 0 => self.report(now, ack, &dispatched, sink),
            Some(_) => {}
            None => self.count_refused(None, &dispatched),
        }
    }

    /// Gives a message to a member of a group of this shard, or holds it.
    #[allow(clippy::too_many_arguments)]
    fn group_publish(
        &mut self,
        now: Timestamp,
        name: &str,
        arriving: &mut Arriving<'_>,
        publisher: ShardId,
        ack: Option<AckRef>,
        dispatched: &mut Dispatched,
        sink: &mut dyn Sink,
    ) {
        let Some((key, group)) = self.groups.by_name.get_key_value_mut(name) else { return };
        let key = Arc::clone(key);
        let qos = arriving.view.qos;
        // Messages that wait go first, or the group would get them out of order.
        let waiting = qos != QoS::AtMostOnce && !group.held.is_empty();
        let question = Question {
            topic: arriving.view.topic,
            origin: arriving.view.origin,
            shard: publisher,
            needs_credit: qos != QoS::AtMostOnce,
        };
        let place = if waiting { None } else { group.pick(&question, &mut self.random) };
        match place.and_then(|place| group.members.get_mut(place)) {
            Some(member) => {
                let (who, granted) = (member.who, member.qos);
                if qos.min(granted) != QoS::AtMostOnce {
                    member.count();
                }
                self.give(now, &key, who, granted, arriving, ack, dispatched, sink);
            }
            None => self.hold(&key, arriving, dispatched),
        }
    }

    /// Hands a message to a member that was picked for it.
    #[allow(clippy::too_many_arguments)]
    fn give(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        who: MemberRef,
        qos: QoS,
        arriving: &mut Arriving<'_>,
        ack: Option<AckRef>,
        dispatched: &mut Dispatched,
        sink: &mut dyn Sink,
    ) {
        if who.shard != self.id {
            dispatched.waits += u16::from(ack.is_some());
            let (group, message) = (Arc::clone(group), Arc::clone(arriving.stored()));
            let letter = Letter::GroupDeliver { group, member: who, qos, message, ack };
            return self.out.send(who.shard, letter);
        }
        let counted = arriving.view.qos.min(qos) != QoS::AtMostOnce;
        let given = self.offer_member(now, group, who, qos, arriving, sink);
        dispatched.add(given.map_or(Offered::Dropped, |given| given.offered));
        if counted && !given.is_some_and(Given::is_counted) {
            self.uncount(group, who);
        }
    }

    fn uncount(&mut self, group: &Arc<str>, who: MemberRef) {
        if let Some(group) = self.groups.by_name.get_mut(group)
            && let Some(member) = group.member(who)
        {
            member.outstanding = member.outstanding.saturating_sub(1);
        }
    }

    /// Offers a group's message to a session of this shard; `None` when it is no member any more.
    /// `qos`: what the group's home knew that it was granted, which may not be the newest.
    fn offer_member(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        who: MemberRef,
        qos: QoS,
        arriving: &mut Arriving<'_>,
        sink: &mut dyn Sink,
    ) -> Option<Given> {
        let view = arriving.view;
        self.with_session(now, sink, who.session, |session, cx| {
            if session.generation != who.generation || session.is_ending() {
                return None;
            }
            //= mqtt5:3.10.4-2
            let own = session.membership(group)?;
            //= mqtt5:4.8.2-3
            let qos = view.qos.min(qos).min(own.qos);
            let retain = view.retain && own.retain_as_published;
            let identifiers = [own.identifier];
            let terms = Terms {
                qos,
                retain,
                identifiers: if own.identifier == 0 { &[] } else { &identifiers },
                group: (qos != QoS::AtMostOnce).then_some(group),
            };
            let (to, outgoing) = session.sending();
            Some(Given { offered: outgoing.offer(cx, to, arriving, terms), qos })
        })
        .flatten()
    }

    #[allow(clippy::too_many_arguments)]
    fn on_group_deliver(
        &mut self,
        now: Timestamp,
        from: ShardId,
        group: &Arc<str>,
        who: MemberRef,
        qos: QoS,
        message: &Arc<StoredMessage>,
        ack: Option<AckRef>,
        sink: &mut dyn Sink,
    ) {
        let view = message.view();
        let mut arriving = Arriving::new(&view, Some(Arc::clone(message)));
        let given = self.offer_member(now, group, who, qos, &mut arriving, sink);
        let counted = view.qos.min(qos) != QoS::AtMostOnce;
        if view.qos != QoS::AtMostOnce && given.is_none() {
            // It left meanwhile: somebody else may have it, on better terms perhaps, and the group's
            // home answers for it.
            let (group, message) = (Arc::clone(group), Arc::clone(message));
            return self.out.send(from, Letter::GroupReturned { group, message, ack });
        }
        if counted && !given.is_some_and(Given::is_counted) {
            let group = Arc::clone(group);
            self.out.send(from, Letter::GroupSettled { group, member: who });
        }
        let mut dispatched = Dispatched::default();
        dispatched.add(given.map_or(Offered::Dropped, |given| given.offered));
        match ack {
            Some(ack) => self.report(now, ack, &dispatched, sink),
            // To give it back would have it sent here again at once, and again.
            None => self.count_refused(None, &dispatched),
        }
        self.settle_notes(now, sink);
    }
}
