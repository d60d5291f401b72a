use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::Route;

/// Levels of a topic by which changes are told apart.
const BUCKET_LEVELS: usize = 4;
/// Buckets for prefixes of up to [`BUCKET_LEVELS`] levels.
const BUCKETS: usize = 1024;
/// Bytes of memory that the cached topics and routes may hold together, for each topic that may be
/// cached: most need less than 200, but one can have many receivers or a long name.
const BYTES_PER_TOPIC: usize = 1024;

/// The routes of topics that were seen lately.
///
/// A change of a filter counts up the epoch and marks one bucket with it: the one of the filter's
/// literal levels before its first wildcard, at most [`BUCKET_LEVELS`] of them. A route is good while
/// no bucket of its topic's leading levels has a mark later than the epoch at which it was good
/// before. So a change touches only topics that begin as the filter does, and those that share its
/// bucket by chance.
pub(super) struct Cache {
    topics: HashTable<Slot>,
    hasher: FixedState,
    topics_max: usize,
    bytes: usize,
    bytes_max: usize,
    epoch: u64,
    /// Last change of a filter that begins with a wildcard.
    any_changed: u64,
    /// Last changes by bucket.
    changed: Box<[u64]>,
}

struct Slot {
    topic: Box<str>,
    route: Rc<Route>,
    good_at: u64,
    /// Of the topic's first level, its first two levels, and so on; the last is repeated.
    buckets: [u16; BUCKET_LEVELS],
    /// Whether it was found since the last search for room passed it.
    used: bool,
}

impl Cache {
    pub(super) fn new(topics_max: usize, hasher: FixedState) -> Self {
        Cache {
            topics: HashTable::new(),
            hasher,
            topics_max,
            bytes: 0,
            bytes_max: topics_max.saturating_mul(BYTES_PER_TOPIC),
            epoch: 0,
            any_changed: 0,
            changed: vec![0; BUCKETS].into(),
        }
    }

    /// Who wants topics that match `filter` has changed.
    pub(super) fn invalidate(&mut self, filter: &str) {
        self.epoch += 1;
        let literals = filter.split('/').take_while(|level| !matches!(*level, "+" | "#"));
        match self.buckets(literals).last() {
            None => self.any_changed = self.epoch,
            Some(bucket) => {
                if let Some(changed) = self.changed.get_mut(usize::from(bucket)) {
                    *changed = self.epoch;
                }
            }
        }
    }

    /// The hash of a topic for [`Self::find`] and [`Self::insert`].
    #[inline]
    pub(super) fn hash(&self, topic: &str) -> u64 {
        hash_topic(&self.hasher, topic)
    }

    /// The route of a topic, if it is known and good.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, topic: &str) -> Option<&Rc<Route>> {
        let slot = self.topics.find_mut(hash, |slot| *slot.topic == *topic)?;
        if slot.good_at != self.epoch {
            let is_good = |bucket: u16| {
                self.changed.get(usize::from(bucket)).is_some_and(|at| *at <= slot.good_at)
            };
            if self.any_changed > slot.good_at || !slot.buckets.into_iter().all(is_good) {
                return None;
            }
            slot.good_at = self.epoch;
        }
        slot.used = true;
        Some(&slot.route)
    }

    /// Remembers the route of a topic that [`Self::find`] has not found.
    pub(super) fn insert(&mut self, hash: u64, topic: &str, route: &Rc<Route>) {
        if let Ok(old) = self.topics.find_entry(hash, |slot| *slot.topic == *topic) {
            self.bytes -= old.remove().0.bytes();
        }
        let slot = Slot {
            topic: topic.into(),
            route: Rc::clone(route),
            good_at: self.epoch,
            buckets: self.buckets_of(topic),
            used: false,
        };
        // To rebuild a large route costs little against sending to all its receivers, but it would
        // push out a good part of the others.
        let bytes = slot.bytes();
        if bytes > self.bytes_max / 4 {
            return;
        }
        while self.topics.len() >= self.topics_max || self.bytes + bytes > self.bytes_max {
            if !self.evict(hash) {
                return;
            }
        }
        self.bytes += bytes;
        let hasher = &self.hasher;
        self.topics.insert_unique(hash, slot, |slot| hash_topic(hasher, &slot.topic));
    }

    /// From now on at most `topics_max` topics are cached; what is there is replaced little by
    /// little.
    pub(super) fn set_max(&mut self, topics_max: usize) {
        self.topics_max = topics_max;
        self.bytes_max = topics_max.saturating_mul(BYTES_PER_TOPIC);
    }

    /// How many topics are cached, and the bytes they hold.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        assert_eq!(self.bytes, self.topics.iter().map(Slot::bytes).sum::<usize>());
        (self.topics.len(), self.bytes)
    }

    /// Makes room, unless there is nothing to remove: a slot gets a second chance if it was used. The
    /// search starts at a place given by the newcomer's hash instead of where the last one ended, so
    /// that a round of more topics than have room does not push out each of them just before it
    /// comes again.
    fn evict(&mut self, hash: u64) -> bool {
        if self.topics.is_empty() {
            return false;
        }
        let places = self.topics.num_buckets();
        let mut index = hash as usize % places;
        loop {
            match self.topics.get_bucket_mut(index) {
                Some(slot) if !slot.used => break,
                Some(slot) => slot.used = false,
                None => {}
            }
            index = (index + 1) % places;
        }
        if let Ok(slot) = self.topics.get_bucket_entry(index) {
            self.bytes -= slot.remove().0.bytes();
        }
        true
    }

    fn buckets_of(&self, topic: &str) -> [u16; BUCKET_LEVELS] {
        let mut buckets = self.buckets(topic.split('/'));
        let mut last = 0;
        std::array::from_fn(|_| {
            last = buckets.next().unwrap_or(last);
            last
        })
    }

    /// The bucket of the first level, of the first two, and so on.
    fn buckets<'l>(&self, levels: impl Iterator<Item = &'l str>) -> impl Iterator<Item = u16> {
        levels.take(BUCKET_LEVELS).scan(0_u64, |before, level| {
            let mut hasher = self.hasher.build_hasher();
            hasher.write_u64(*before);
            hasher.write(level.as_bytes());
            *before = hasher.finish();
            Some((*before % BUCKETS as u64) as u16)
        })
    }
}

impl Slot {
    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of::<Route>() + self.topic.len() + self.route.list_bytes()
    }
}

#[inline]
fn hash_topic(hasher: &FixedState, topic: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(topic.as_bytes());
    hasher.finish()
}
