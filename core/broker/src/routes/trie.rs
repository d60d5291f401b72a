use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::{SmallVec, smallvec};

use super::arena::Arena;
use super::{GroupTarget, Interest, RemoteShard, SessionIndex, SubscriptionOptions};

/// Above this many subscribers of one filter they are kept in a tree instead of a sorted list.
const FEW_SUBSCRIBERS_MAX: usize = 64;

const ROOT: u32 = 0;

/// All filters of a shard, level by level. The literal children of all nodes are in one hash table,
/// so that a node costs the same with one child as with a million.
pub(super) struct Trie {
    nodes: Arena<Node>,
    children: HashTable<u32>,
    hasher: FixedState,
}

struct Node {
    level: SmallVec<[u8; 16]>,
    parent: u32,
    literal_children: u32,
    plus: Option<NonZeroU32>,
    /// The filter that ends with this level.
    exact: Option<Box<Entry>>,
    /// The filter that ends with `#` below this level.
    below: Option<Box<Entry>>,
}

/// Where a filter ends.
#[derive(Clone, Copy)]
struct Place {
    node: u32,
    below: bool,
}

/// Who wants one filter.
#[derive(Default)]
pub(super) struct Entry {
    subscribers: Subscribers,
    /// How many of the subscribers have durable state.
    durable: u32,
    pub(super) elsewhere: Option<Box<Elsewhere>>,
}

/// Who wants one filter beside the sessions of this shard.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// Ascending by shard.
    pub(super) shards: SmallVec<[RemoteShard; 4]>,
    pub(super) groups: Vec<GroupTarget>,
}

/// A session with the terms of its subscription.
pub(super) type Subscriber = (SessionIndex, SubscriptionOptions);

enum Subscribers {
    /// Ascending by session.
    Few(SmallVec<[Subscriber; 1]>),
    Many(BTreeMap<SessionIndex, SubscriptionOptions>),
}

impl Trie {
    pub(super) fn new(hasher: FixedState) -> Self {
        let mut nodes = Arena::new();
        nodes.insert(Node::new(&[], ROOT));
        Trie { nodes, children: HashTable::new(), hasher }
    }

    /// The entry of a filter, made if there is none.
    pub(super) fn entry_or_insert(&mut self, filter: &str) -> &mut Entry {
        let mut node = ROOT;
        let mut below = false;
        for level in filter.split('/') {
            match level {
                "#" => below = true,
                "+" => node = self.plus_or_insert(node),
                literal => node = self.child_or_insert(node, literal.as_bytes()),
            }
        }
        self.slot(Place { node, below }).get_or_insert_default()
    }

    /// Changes the entry of a filter if there is one, and removes it if nobody wants it any more.
    pub(super) fn edit<R>(
        &mut self,
        filter: &str,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let place = self.locate(filter)?;
        let slot = self.slot(place);
        let entry = slot.as_deref_mut()?;
        let result = change(entry);
        if entry.is_empty() {
            *slot = None;
            self.prune(place.node);
        }
        Some(result)
    }

    /// Calls `visit` with the entry of every filter that matches `topic`. The work is proportional to
    /// the branches that match: each node is visited once at most.
    pub(super) fn matches<'t>(&'t self, topic: &str, mut visit: impl FnMut(&'t Entry)) {
        let mut branches: SmallVec<[(u32, Option<&str>); 16]> = smallvec![(ROOT, Some(topic))];
        let reserved = topic.starts_with('$');
        while let Some((index, rest)) = branches.pop() {
            let node = self.node(index);
            //= mqtt5:4.7.2-1
            //= mqtt311:4.7.2-1
            let wildcards = index != ROOT || !reserved;
            if wildcards && let Some(entry) = &node.below {
                visit(entry);
            }
            let Some(rest) = rest else {
                if let Some(entry) = &node.exact {
                    visit(entry);
                }
                continue;
            };
            let (level, rest) = match rest.split_once('/') {
                Some((level, rest)) => (level, Some(rest)),
                None => (rest, None),
            };
            if wildcards && let Some(plus) = node.plus {
                branches.push((plus.get(), rest));
            }
            //= mqtt5:4.7.3-4
            //= mqtt311:4.7.3-4
            if node.literal_children > 0
                && let Some(child) = self.child(index, level.as_bytes())
            {
                branches.push((child, rest));
            }
        }
    }

    fn node(&self, index: u32) -> &Node {
        self.nodes.get(index)
    }

    fn node_mut(&mut self, index: u32) -> &mut Node {
        self.nodes.get_mut(index)
    }

    fn slot(&mut self, place: Place) -> &mut Option<Box<Entry>> {
        let node = self.node_mut(place.node);
        if place.below { &mut node.below } else { &mut node.exact }
    }

    fn locate(&self, filter: &str) -> Option<Place> {
        let mut node = ROOT;
        for level in filter.split('/') {
            node = match level {
                "#" => return Some(Place { node, below: true }),
                "+" => self.node(node).plus?.get(),
                literal => self.child(node, literal.as_bytes())?,
            };
        }
        Some(Place { node, below: false })
    }

    fn child(&self, parent: u32, level: &[u8]) -> Option<u32> {
        let hash = hash_child(&self.hasher, parent, level);
        let found = self.children.find(hash, |&index| {
            let node = self.node(index);
            node.parent == parent && *node.level == *level
        });
        found.copied()
    }

    fn child_or_insert(&mut self, parent: u32, level: &[u8]) -> u32 {
        if let Some(child) = self.child(parent, level) {
            return child;
        }
        let child = self.nodes.insert(Node::new(level, parent));
        self.node_mut(parent).literal_children += 1;
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        let hash_of = |&index: &u32| {
            let node = nodes.get(index);
            hash_child(hasher, node.parent, &node.level)
        };
        self.children.insert_unique(hash_of(&child), child, hash_of);
        child
    }

    fn plus_or_insert(&mut self, parent: u32) -> u32 {
        if let Some(plus) = self.node(parent).plus {
            return plus.get();
        }
        let child = self.nodes.insert(Node::new(b"+", parent));
        self.node_mut(parent).plus = NonZeroU32::new(child);
        child
    }

    /// Removes the node and those above it as far as nothing hangs on them.
    fn prune(&mut self, mut index: u32) {
        while index != ROOT && self.node(index).is_empty() {
            let node = self.nodes.remove(index);
            let parent = self.node_mut(node.parent);
            if parent.plus.is_some_and(|plus| plus.get() == index) {
                parent.plus = None;
            } else {
                parent.literal_children -= 1;
                let hash = hash_child(&self.hasher, node.parent, &node.level);
                self.children
                    .find_entry(hash, |&other| other == index)
                    .expect("every literal node is in the table")
                    .remove();
            }
            index = node.parent;
        }
    }

    /// Whether there is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.node(ROOT).is_empty()
    }

    /// How many nodes there are beside the root.
    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        let literal = self.nodes.values().filter(|node| *node.level != *b"+").count() - 1;
        assert_eq!(self.children.len(), literal);
        self.nodes.values().count() - 1
    }

    /// Bytes of memory, without lists of several subscribers and levels of more than 16 bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let entries = self.nodes.values().flat_map(|node| [&node.exact, &node.below]);
        self.nodes.values().count() * size_of::<Option<Node>>()
            + self.children.allocation_size()
            + entries.flatten().count() * size_of::<Entry>()
    }
}

fn hash_child(hasher: &FixedState, parent: u32, level: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u32(parent);
    hasher.write(level);
    hasher.finish()
}

impl Node {
    fn new(level: &[u8], parent: u32) -> Self {
        Node {
            level: SmallVec::from_slice(level),
            parent,
            literal_children: 0,
            plus: None,
            exact: None,
            below: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.literal_children == 0
            && self.plus.is_none()
            && self.exact.is_none()
            && self.below.is_none()
    }
}

impl Entry {
    /// Adds or replaces a subscriber; its options so far.
    pub(super) fn subscribe(&mut self, subscriber: Subscriber) -> Option<SubscriptionOptions> {
        let previous = self.subscribers.insert(subscriber);
        self.durable += u32::from(subscriber.1.durable);
        self.durable -= u32::from(previous.is_some_and(|p| p.durable));
        previous
    }

    /// Removes a subscriber; its options so far.
    pub(super) fn unsubscribe(&mut self, session: SessionIndex) -> Option<SubscriptionOptions> {
        let previous = self.subscribers.remove(session);
        self.durable -= u32::from(previous.is_some_and(|p| p.durable));
        previous
    }

    /// How much the sessions of this shard want the filter.
    pub(super) fn interest(&self) -> Interest {
        if self.durable > 0 {
            Interest::Durable
        } else if self.subscribers.is_empty() {
            Interest::None
        } else {
            Interest::Volatile
        }
    }

    /// How many sessions of this shard want the filter.
    pub(super) fn subscriber_count(&self) -> usize {
        match &self.subscribers {
            Subscribers::Few(few) => few.len(),
            Subscribers::Many(many) => many.len(),
        }
    }

    /// Calls `visit` with each of them, ascending by session.
    pub(super) fn subscribers(&self, mut visit: impl FnMut(Subscriber)) {
        match &self.subscribers {
            Subscribers::Few(few) => few.iter().for_each(|s| visit(*s)),
            Subscribers::Many(many) => many.iter().for_each(|(s, o)| visit((*s, *o))),
        }
    }

    fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
            && self.elsewhere.as_ref().is_none_or(|e| e.shards.is_empty() && e.groups.is_empty())
    }
}

impl Default for Subscribers {
    fn default() -> Self {
        Subscribers::Few(SmallVec::new())
    }
}

impl Subscribers {
    fn is_empty(&self) -> bool {
        match self {
            Subscribers::Few(few) => few.is_empty(),
            Subscribers::Many(many) => many.is_empty(),
        }
    }

    fn insert(&mut self, subscriber: Subscriber) -> Option<SubscriptionOptions> {
        let (session, options) = subscriber;
        match self {
            Subscribers::Few(few) => match few.binary_search_by_key(&session, |s| s.0) {
                Ok(at) => few.get_mut(at).map(|s| std::mem::replace(&mut s.1, options)),
                Err(at) if few.len() < FEW_SUBSCRIBERS_MAX => {
                    few.insert(at, subscriber);
                    None
                }
                Err(_) => {
                    let many = few.drain(..).chain([subscriber]).collect();
                    *self = Subscribers::Many(many);
                    None
                }
            },
            Subscribers::Many(many) => many.insert(session, options),
        }
    }

    fn remove(&mut self, session: SessionIndex) -> Option<SubscriptionOptions> {
        match self {
            Subscribers::Few(few) => {
                let at = few.binary_search_by_key(&session, |s| s.0).ok()?;
                Some(few.remove(at).1)
            }
            Subscribers::Many(many) => {
                let removed = many.remove(&session);
                // Half of the maximum, so that a count about the maximum does not convert each time.
                if many.len() <= FEW_SUBSCRIBERS_MAX / 2 {
                    *self = Subscribers::Few(std::mem::take(many).into_iter().collect());
                }
                removed
            }
        }
    }
}
