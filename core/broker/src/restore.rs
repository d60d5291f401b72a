use core_model::{Expiry, OriginId, Timestamp};
use core_store::Mutation;
use hashbrown::HashMap;

use crate::mail::Letter;
use crate::routes::{Interest, SessionIndex};
use crate::session::{Session, Subscribed};
use crate::shard::{Shard, Sink};
use crate::subscribe::subscription_bytes;

type ByOrigin = HashMap<OriginId, SessionIndex, foldhash::fast::FixedState>;

impl Shard {
    /// Takes up what the store kept when the process ended. To be called once, before anything
    /// else, on all shards of the node; the interest that they announce to each other goes out by
    /// mail, and no link is to be served before it has arrived ([`Self::is_restored`]). Links that
    /// were open count as closed now.
    pub fn restore(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        let mut sessions = ByOrigin::default();
        for mutation in self.journal.load() {
            self.replay(&mut sessions, mutation);
        }
        let places: Vec<usize> = self.sessions.iter().map(|(place, _)| place).collect();
        self.restoring = self.shards;
        self.rejoining = 1;
        for place in places {
            self.settle_restored(now, SessionIndex(place as u32), sink);
        }
        self.answer_restored_joins(now, sink);
        self.on_rejoined();
    }

    /// One group more has its restored member back, and is known on all shards; or the own part is
    /// done. When nothing is missing, all that this shard wants is known everywhere.
    pub(crate) fn on_rejoined(&mut self) {
        let Some(missing) = self.rejoining.checked_sub(1) else { return };
        self.rejoining = missing;
        if missing == 0 {
            self.out.broadcast(|| Letter::Restored);
            self.on_restored();
        }
    }

    /// Whether the other shards' interest has arrived, after a [`Self::restore`].
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.restoring == 0
    }

    /// A shard has announced all of its interest. When all have, wills can be published and
    /// sessions end: before, a will would miss the subscribers of other shards.
    pub(crate) fn on_restored(&mut self) {
        self.restoring = self.restoring.saturating_sub(1);
        if self.restoring > 0 {
            return;
        }
        let offline = self.sessions.iter().filter(|(_, session)| session.slot.is_none());
        let alarms: Vec<_> = offline
            .map(|(_, session)| {
                (session.index, session.ends_at.into_iter().chain(session.will_at).min())
            })
            .collect();
        for (index, at) in alarms {
            self.set_alarm(index, at);
        }
    }

    fn replay(&mut self, sessions: &mut ByOrigin, mutation: Mutation) {
        match mutation {
            Mutation::SessionOpened { session, client, expiry, mountpoint, keeps_will } => {
                let existing = self.by_key.get(&client).copied();
                let index = existing.unwrap_or_else(|| self.create(client));
                sessions.insert(session, index);
                if let Some(session) = self.sessions.get_mut(index.0 as usize) {
                    session.expiry = expiry;
                    session.ends_at = None;
                    session.mountpoint = mountpoint;
                    session.manners.keeps_will = keeps_will;
                    session.is_restored = true;
                }
            }
            Mutation::SessionEnded { session } => {
                if let Some(index) = sessions.remove(&session)
                    && let Some(session) = self.sessions.try_remove(index.0 as usize)
                {
                    self.by_key.remove(&session.key);
                }
            }
            Mutation::GroupHeld { group, sequence, message } => {
                self.restore_held(&group, sequence, message);
            }
            Mutation::GroupTaken { group, sequence } => self.forget_held(&group, sequence),
            Mutation::Retained { topic, message } => match message {
                Some(message) => drop(self.retained.set(message)),
                None => drop(self.retained.remove(&topic)),
            },
            other => {
                let Some(origin) = session_of(&other) else { return };
                let Some(index) = sessions.get(&origin).copied() else { return };
                if let Some(session) = self.sessions.get_mut(index.0 as usize) {
                    replay_in(session, other);
                }
            }
        }
    }

    /// Puts a restored session in its place: routes, groups, counters, deadlines.
    fn settle_restored(&mut self, now: Timestamp, index: SessionIndex, sink: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        if session.ends_at.is_none() && session.expiry != Expiry::Never {
            session.ends_at = session.expiry.deadline(now);
        }
        if session.will_at.is_none() {
            session.will_at = session.armed_will().map(|will| now.plus_seconds(will.delay_s));
        }
        let (messages, queued, inflight) = session.outgoing.sizes();
        self.counters.queued_messages += messages as u64;
        self.counters.queued_bytes += queued as u64;
        let will = session.will().map_or(0, |will| will.message.size());
        self.counters.kept_bytes += (queued + inflight + will + session.note_bytes()) as u64;
        let subscriptions: Vec<Subscribed> = session.subscriptions.values().cloned().collect();
        for subscribed in &subscriptions {
            self.counters.subscriptions += 1;
            self.counters.subscription_bytes += subscription_bytes(&subscribed.filter);
            if subscribed.filter.share_name().is_some() {
                self.counters.subscriptions_shared += 1;
                if let Some(session) = self.sessions.get_mut(index.0 as usize) {
                    session.shared += 1;
                }
                // No client waits for the answer.
                let request = self.requests.number();
                self.rejoining += 1;
                self.join_group(now, index, request, subscribed, sink);
                continue;
            }
            let filter = subscribed.filter.topic_filter();
            let change = self.routes.subscribe(filter, index, subscribed.options(true));
            let request = self.requests.number();
            self.out.broadcast(|| Letter::Interest {
                request,
                filters: vec![(filter.into(), change.after == Interest::Durable)],
            });
        }
    }
}

fn session_of(mutation: &Mutation) -> Option<OriginId> {
    match mutation {
        Mutation::SessionOpened { session, .. }
        | Mutation::LinkClosed { session, .. }
        | Mutation::SessionEnded { session }
        | Mutation::Subscribed { session, .. }
        | Mutation::Unsubscribed { session, .. }
        | Mutation::Will { session, .. }
        | Mutation::Note { session, .. }
        | Mutation::Queued { session, .. }
        | Mutation::HandleAllotted { session, .. }
        | Mutation::Received { session, .. }
        | Mutation::Settled { session, .. }
        | Mutation::IncomingId { session, .. }
        | Mutation::IncomingReleased { session, .. } => Some(*session),
        Mutation::GroupHeld { .. } | Mutation::GroupTaken { .. } | Mutation::Retained { .. } => {
            None
        }
    }
}

fn replay_in(session: &mut Session, mutation: Mutation) {
    match mutation {
        Mutation::LinkClosed { at, expiry, .. } => {
            session.expiry = expiry;
            session.ends_at = expiry.deadline(at);
            session.will_at = session.armed_will().map(|will| at.plus_seconds(will.delay_s));
        }
        Mutation::Subscribed { subscription, identifier, .. } => {
            let subscribed = Subscribed {
                filter: subscription.filter.mounted(&session.mountpoint),
                qos: subscription.qos,
                no_local: subscription.no_local,
                retain_as_published: subscription.retain_as_published,
                identifier: identifier.unwrap_or(0),
            };
            session.subscriptions.insert(subscription.filter.as_str().into(), subscribed);
        }
        Mutation::Unsubscribed { filter, .. } => drop(session.subscriptions.remove(&filter)),
        Mutation::Will { will, at_rest, .. } => {
            session.restore_will(will, at_rest);
            session.will_at = None;
        }
        Mutation::Note { key, value, .. } => drop(session.set_note(key, value)),
        Mutation::Queued { sequence, message, terms, .. } => {
            session.outgoing.restore_queued(sequence, message, &terms);
        }
        Mutation::HandleAllotted { sequence, handle, .. } => {
            session.outgoing.restore_handle(sequence, handle);
        }
        Mutation::Received { handle, .. } => session.outgoing.restore_received(handle),
        Mutation::Settled { sequence, .. } => session.outgoing.restore_settled(sequence),
        Mutation::IncomingId { id, .. } => session.add_incoming(id),
        Mutation::IncomingReleased { id, .. } => drop(session.remove_incoming(id)),
        Mutation::SessionOpened { .. }
        | Mutation::SessionEnded { .. }
        | Mutation::GroupHeld { .. }
        | Mutation::GroupTaken { .. }
        | Mutation::Retained { .. } => {}
    }
}
