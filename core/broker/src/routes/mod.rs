//! Which receivers a topic has: this shard's sessions, other shards, shared groups.

mod arena;
mod cache;
mod trie;

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use core_model::{QoS, ShardId};
use foldhash::fast::FixedState;
use smallvec::SmallVec;

use cache::Cache;
use trie::{Entry, Subscriber, Trie};

/// The place of a session in its shard's table of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionIndex(pub u32);

/// The terms of one subscription that is not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionOptions {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Whether the publisher must wait until the session has a message durably.
    pub(crate) durable: bool,
    /// 0 for none.
    pub(crate) identifier: u32,
}

/// How much a shard's sessions want a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interest {
    /// Nobody wants it.
    None,
    /// Somebody does, but nobody durably.
    Volatile,
    /// Somebody does, and the publisher must wait for him.
    Durable,
}

/// What a subscribe or unsubscribe has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The session's options for the filter before, if it was subscribed.
    pub(crate) previous: Option<SubscriptionOptions>,
    /// This shard's interest in the filter before.
    pub(crate) before: Interest,
    /// The same now: other shards must know of a difference.
    pub(crate) after: Interest,
}

/// The receivers of one topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// Sessions of this shard, each once, ascending.
    pub(crate) local: SmallVec<[Target; 1]>,
    /// Other shards that want it, each once, ascending.
    pub(crate) remote: SmallVec<[RemoteShard; 4]>,
    /// Shared groups that want it.
    pub(crate) groups: Box<[GroupTarget]>,
}

/// A session that wants a topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) session: SessionIndex,
    grant: Grant,
    /// What differs for the session's own messages; `None` where nothing does.
    own: Option<Box<Own>>,
}

/// What a session gets of its own messages.
#[derive(Debug, PartialEq, Eq)]
enum Own {
    /// Nothing: all its subscriptions have No Local.
    Nothing,
    /// What its subscriptions without No Local grant.
    Reduced(Grant),
}

/// On which terms a session gets a message: those of all its subscriptions that match, in one copy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The highest of them; a message has this or its own, whichever is less.
    pub(crate) qos: QoS,
    /// Whether one of them wants the retain flag as it was published.
    pub(crate) retain_as_published: bool,
    /// The identifiers of those that have one.
    pub(crate) identifiers: SmallVec<[u32; 2]>,
}

/// Another shard that wants a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteShard {
    pub(crate) shard: ShardId,
    /// Whether the publisher must wait for its answer.
    pub(crate) durable: bool,
}

/// A shared group that wants a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupTarget {
    /// The whole filter, `$share/{name}/{filter}`.
    pub(crate) key: Arc<str>,
    /// The shard that runs it, which may be this one.
    pub(crate) home: ShardId,
}

/// All filters that are wanted on one shard or were announced to it by others, and the routes that
/// follow from them.
pub(crate) struct Routes {
    trie: Trie,
    cache: Cache,
}

impl Routes {
    /// No filters. At most `topics_max` topics are cached; `seed` keys the hash tables.
    pub(crate) fn new(topics_max: usize, seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Routes { trie: Trie::new(hasher.clone()), cache: Cache::new(topics_max, hasher) }
    }

    /// Subscribes a session of this shard to a topic filter, or replaces its options.
    pub(crate) fn subscribe(
        &mut self,
        filter: &str,
        session: SessionIndex,
        options: SubscriptionOptions,
    ) -> Change {
        let entry = self.trie.entry_or_insert(filter);
        let before = entry.interest();
        let previous = entry.subscribe((session, options));
        let after = entry.interest();
        // Routes do not say whether a session is durable.
        let of_routes = |o: SubscriptionOptions| SubscriptionOptions { durable: false, ..o };
        if previous.map(of_routes) != Some(of_routes(options)) {
            self.cache.invalidate(filter);
        }
        Change { previous, before, after }
    }

    /// Ends a session's subscription to a topic filter.
    pub(crate) fn unsubscribe(&mut self, filter: &str, session: SessionIndex) -> Change {
        let edited = self.trie.edit(filter, |entry| {
            let before = entry.interest();
            let previous = entry.unsubscribe(session);
            Change { previous, before, after: entry.interest() }
        });
        let nothing = Change { previous: None, before: Interest::None, after: Interest::None };
        let change = edited.unwrap_or(nothing);
        if change.previous.is_some() {
            self.cache.invalidate(filter);
        }
        change
    }

    /// Another shard wants a topic filter.
    pub(crate) fn set_interest(&mut self, filter: &str, shard: ShardId, durable: bool) {
        let shards =
            &mut self.trie.entry_or_insert(filter).elsewhere.get_or_insert_default().shards;
        if add_shard(shards, RemoteShard { shard, durable }) {
            self.cache.invalidate(filter);
        }
    }

    /// Another shard wants a topic filter no more.
    pub(crate) fn clear_interest(&mut self, filter: &str, shard: ShardId) {
        let found = self.trie.edit(filter, |entry| {
            let shards = &mut entry.elsewhere.as_mut()?.shards;
            let at = shards.binary_search_by_key(&shard, |r| r.shard).ok()?;
            Some(shards.remove(at))
        });
        if found.flatten().is_some() {
            self.cache.invalidate(filter);
        }
    }

    /// The shared group `key` (the whole filter) wants a topic filter; `home` runs it.
    pub(crate) fn set_group(&mut self, filter: &str, key: &Arc<str>, home: ShardId) {
        let entry = self.trie.entry_or_insert(filter);
        let groups = &mut entry.elsewhere.get_or_insert_default().groups;
        let target = GroupTarget { key: Arc::clone(key), home };
        match groups.binary_search_by(|g| g.key.cmp(key)) {
            Ok(at) => match groups.get_mut(at) {
                Some(known) if *known != target => *known = target,
                _ => return,
            },
            Err(at) => groups.insert(at, target),
        }
        self.cache.invalidate(filter);
    }

    /// The shared group `key` is no more.
    pub(crate) fn clear_group(&mut self, filter: &str, key: &str) {
        let found = self.trie.edit(filter, |entry| {
            let groups = &mut entry.elsewhere.as_mut()?.groups;
            let at = groups.binary_search_by(|g| (*g.key).cmp(key)).ok()?;
            Some(groups.remove(at))
        });
        if found.flatten().is_some() {
            self.cache.invalidate(filter);
        }
    }

    /// From now on at most `topics_max` topics are cached.
    pub(crate) fn set_cache_max(&mut self, topics_max: usize) {
        self.cache.set_max(topics_max);
    }

    /// Whether no filter is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.trie.is_empty()
    }

    /// Who gets a message with this topic name.
    #[inline]
    pub(crate) fn route(&mut self, topic: &str) -> Rc<Route> {
        let hash = self.cache.hash(topic);
        if let Some(route) = self.cache.find(hash, topic) {
            return Rc::clone(route);
        }
        let route = Rc::new(self.build(topic));
        self.cache.insert(hash, topic, &route);
        route
    }

    fn build(&self, topic: &str) -> Route {
        let mut subscribed: SmallVec<[&Entry; 8]> = SmallVec::new();
        let mut remote = SmallVec::new();
        let mut groups = Vec::new();
        self.trie.matches(topic, |entry| {
            if entry.subscriber_count() > 0 {
                subscribed.push(entry);
            }
            if let Some(elsewhere) = &entry.elsewhere {
                for shard in &elsewhere.shards {
                    merge_shard(&mut remote, *shard);
                }
                groups.extend_from_slice(&elsewhere.groups);
            }
        });
        Route { local: targets(&subscribed), remote, groups: groups.into() }
    }
}

/// The sessions that subscribed to at least one of the filters, each once.
fn targets(filters: &[&Entry]) -> SmallVec<[Target; 1]> {
    let count = filters.iter().map(|entry| entry.subscriber_count()).sum();
    let mut targets = SmallVec::with_capacity(count);
    if let [entry] = filters {
        entry.subscribers(|s| targets.push(Target::of(&[s])));
        return targets;
    }
    let mut subscribers: SmallVec<[Subscriber; 16]> = SmallVec::with_capacity(count);
    for entry in filters {
        entry.subscribers(|s| subscribers.push(s));
    }
    // Each filter's subscribers are sorted already, and this kind of sort merges such runs.
    subscribers.sort_by_key(|s| s.0);
    targets.extend(subscribers.chunk_by(|a, b| a.0 == b.0).map(Target::of));
    targets
}

/// Adds or replaces a shard in a list that ascends; whether that made a difference.
fn add_shard(shards: &mut SmallVec<[RemoteShard; 4]>, shard: RemoteShard) -> bool {
    match shards.binary_search_by_key(&shard.shard, |r| r.shard) {
        Ok(at) => shards.get_mut(at).is_some_and(|s| std::mem::replace(s, shard) != shard),
        Err(at) => {
            shards.insert(at, shard);
            true
        }
    }
}

/// Adds a shard that wants a topic for one more filter.
fn merge_shard(shards: &mut SmallVec<[RemoteShard; 4]>, shard: RemoteShard) {
    match shards.binary_search_by_key(&shard.shard, |r| r.shard) {
        Ok(at) => {
            if let Some(known) = shards.get_mut(at) {
                known.durable |= shard.durable;
            }
        }
        Err(at) => shards.insert(at, shard),
    }
}

impl Route {
    /// Bytes of memory that its lists hold.
    fn list_bytes(&self) -> usize {
        size_of_val(&*self.local) + size_of_val(&*self.remote) + size_of_val(&*self.groups)
    }
}

impl Target {
    /// From all subscriptions of one session that match; `run` is not empty.
    fn of(run: &[Subscriber]) -> Self {
        let session = run.first().map_or(SessionIndex(0), |s| s.0);
        let grant = Grant::of(run.iter().map(|s| s.1));
        let reduced = run.iter().map(|s| s.1).filter(|o| !o.no_local);
        let own = match reduced.clone().count() {
            0 => Some(Box::new(Own::Nothing)),
            all if all == run.len() => None,
            _ => Some(Box::new(Own::Reduced(Grant::of(reduced)))),
        };
        Target { session, grant, own }
    }

    /// On which terms the session gets a message, `from_itself` if its own client published it;
    /// `None` if it does not get it.
    #[inline]
    pub(crate) fn grant(&self, from_itself: bool) -> Option<&Grant> {
        match &self.own {
            //= mqtt5:3.8.3-3
            Some(own) if from_itself => match &**own {
                Own::Nothing => None,
                Own::Reduced(grant) => Some(grant),
            },
            _ => Some(&self.grant),
        }
    }
}

impl Grant {
    fn of(options: impl Iterator<Item = SubscriptionOptions>) -> Self {
        let mut grant = Grant::default();
        for option in options {
            //= mqtt5:3.3.4-2
            //= mqtt311:3.3.5-1
            grant.qos = grant.qos.max(option.qos);
            grant.retain_as_published |= option.retain_as_published;
            //= mqtt5:3.3.4-3
            //= mqtt5:3.3.4-4
            if option.identifier != 0 {
                grant.identifiers.push(option.identifier);
            }
        }
        grant
    }
}
