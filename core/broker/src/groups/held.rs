use std::sync::Arc;

use core_model::{Filter, QoS, StoredMessage, Timestamp};
use core_store::Mutation;

use super::pick::{Member, Question};
use crate::mail::AckRef;
use crate::outgoing::{Arriving, Offered};
use crate::publish::Dispatched;
use crate::shard::{Shard, Sink};

/// Messages that nobody could take yet.
impl Shard {
    /// Keeps a message until a member can take it. QoS 0 is not kept.
    pub(super) fn hold(
        &mut self,
        name: &Arc<str>,
        arriving: &mut Arriving<'_>,
        dispatched: &mut Dispatched,
    ) {
        if arriving.view.qos == QoS::AtMostOnce {
            self.counters.dropped_qos0 += 1;
            return;
        }
        let max = self.limits.group_held_messages_max;
        let Some(group) = self.groups.by_name.get_mut(name) else { return };
        let message = Arc::clone(arriving.stored());
        let kept = self.counters.kept_bytes + message.size() as u64;
        if group.held.len() >= max {
            self.counters.dropped_queue_full += 1;
            return;
        }
        if kept > self.limits.kept_bytes_total_max as u64 {
            return dispatched.add(Offered::Refused);
        }
        self.counters.kept_bytes = kept;
        let sequence = group.held.back().map_or(0, |(last, _)| last + 1);
        group.held.push_back((sequence, Arc::clone(&message)));
        let group = name.as_ref().into();
        self.journal.push(Mutation::GroupHeld { group, sequence, message });
        dispatched.add(Offered::Taken { durable: true });
    }

    //= mqtt5:4.8.2-4
    pub(super) fn on_group_returned(
        &mut self,
        now: Timestamp,
        name: &str,
        message: Arc<StoredMessage>,
        ack: Option<AckRef>,
        sink: &mut dyn Sink,
    ) {
        let mut dispatched = Dispatched::default();
        if let Some(group) = self.groups.by_name.get_mut(name) {
            // It is older than what is held, and had its room at the member that gives it back.
            self.counters.kept_bytes += message.size() as u64;
            let sequence = group.held.front().map_or(0, |(first, _)| first - 1);
            group.held.push_front((sequence, Arc::clone(&message)));
            self.journal.push(Mutation::GroupHeld { group: name.into(), sequence, message });
            dispatched.add(Offered::Taken { durable: true });
        } else {
            self.counters.dropped_discarded += 1;
        }
        if let Some(ack) = ack {
            self.report(now, ack, &dispatched, sink);
        }
        self.drain_held(now, name, sink);
    }

    /// Gives held messages to members that have credit.
    pub(super) fn drain_held(&mut self, now: Timestamp, name: &str, sink: &mut dyn Sink) {
        loop {
            let Some((key, group)) = self.groups.by_name.get_key_value_mut(name) else { return };
            let Some((sequence, message)) = group.held.front() else { return };
            let (sequence, message) = (*sequence, Arc::clone(message));
            let view = message.view();
            let expired = view.is_expired(now);
            if !expired && !group.members.iter().any(Member::has_credit) {
                return;
            }
            let question = Question {
                topic: view.topic,
                origin: view.origin,
                shard: self.id,
                needs_credit: true,
            };
            let place = if expired { None } else { group.pick(&question, &mut self.random) };
            if place.is_none() && !expired {
                return;
            }
            let key = Arc::clone(key);
            group.held.pop_front();
            self.counters.kept_bytes -= message.size() as u64;
            self.journal.push(Mutation::GroupTaken { group: name.into(), sequence });
            match place.and_then(|place| group.members.get_mut(place)) {
                Some(member) => {
                    let (who, qos) = (member.who, member.qos);
                    if view.qos.min(qos) != QoS::AtMostOnce {
                        member.count();
                    }
                    let mut arriving = Arriving::new(&view, Some(Arc::clone(&message)));
                    let mut dispatched = Dispatched::default();
                    self.give(now, &key, who, qos, &mut arriving, None, &mut dispatched, sink);
                    self.count_refused(None, &dispatched);
                }
                None => self.counters.dropped_expired += 1,
            }
        }
    }

    /// Takes up a held message from the store.
    pub(crate) fn restore_held(&mut self, name: &str, sequence: i64, message: Arc<StoredMessage>) {
        let Ok(filter) = Filter::parse(name) else { return };
        if !self.groups.by_name.contains_key(name) {
            self.open_group(name, filter.topic_filter());
        }
        let Some(group) = self.groups.by_name.get_mut(name) else { return };
        self.counters.kept_bytes += message.size() as u64;
        let place = group.held.partition_point(|(other, _)| *other < sequence);
        group.held.insert(place, (sequence, message));
    }

    /// A held message was taken before the process ended.
    pub(crate) fn forget_held(&mut self, name: &str, sequence: i64) {
        if let Some(group) = self.groups.by_name.get_mut(name)
            && let Some(place) = group.held.iter().position(|(other, _)| *other == sequence)
            && let Some((_, message)) = group.held.remove(place)
        {
            self.counters.kept_bytes -= message.size() as u64;
        }
    }
}
