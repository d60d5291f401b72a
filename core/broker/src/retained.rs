use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use core_model::{StoredMessage, Timestamp};

/// The retained messages that one shard keeps.
pub(crate) struct RetainedStore {
    messages: BTreeSet<ByTopic>,
    /// Those that expire, by when.
    deadlines: BTreeSet<(Timestamp, ByTopic)>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
}

/// There is no room for a retained message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// How a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// There is nothing behind it.
    Done,
    /// There may be more behind this topic.
    More { cursor: Box<str> },
}

impl RetainedStore {
    /// An empty store that takes at most this many messages and bytes.
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        RetainedStore {
            messages: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            bytes: 0,
            messages_max,
            bytes_max,
        }
    }

    /// From now on at most so many messages and bytes are taken; what is there stays.
    pub(crate) fn set_limits(&mut self, messages_max: usize, bytes_max: usize) {
        self.messages_max = messages_max;
        self.bytes_max = bytes_max;
    }

    /// How many messages are retained.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Bytes of memory that they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Retains a message in place of that of the same topic, which is returned.
    ///
    /// # Errors
    /// [`Full`] when there is no room; the old message stays.
    pub(crate) fn set(
        &mut self,
        message: Arc<StoredMessage>,
    ) -> Result<Option<Arc<StoredMessage>>, Full> {
        let old = self.messages.get(message.topic()).map(|old| Arc::clone(&old.0));
        let len = self.messages.len() + usize::from(old.is_none());
        let bytes = self.bytes + message.size() - old.as_ref().map_or(0, |old| old.size());
        if len > self.messages_max || bytes > self.bytes_max {
            return Err(Full);
        }
        if let Some(old) = &old {
            self.forget_deadline(old);
        }
        if let Some(at) = message.expires_at() {
            self.deadlines.insert((at, ByTopic(Arc::clone(&message))));
        }
        self.bytes = bytes;
        self.messages.replace(ByTopic(message));
        Ok(old)
    }

    /// Removes the message of a topic.
    pub(crate) fn remove(&mut self, topic: &str) -> Option<Arc<StoredMessage>> {
        let ByTopic(message) = self.messages.take(topic)?;
        self.bytes -= message.size();
        self.forget_deadline(&message);
        Some(message)
    }

    /// The message of a topic, unless it has expired at `now`.
    pub(crate) fn message(&self, topic: &str, now: Timestamp) -> Option<&Arc<StoredMessage>> {
        let ByTopic(message) = self.messages.get(topic)?;
        (!is_expired(message, now)).then_some(message)
    }

    /// Appends to `page` the messages whose topics match `filter` and come behind `after`, in the
    /// order of their topics, without those that have expired at `now`. It ends after `limit`
    /// messages or `steps_max` visited ones, whether they match or not; both count as 1 at least.
    pub(crate) fn page(
        &self,
        filter: &str,
        after: Option<&str>,
        limit: usize,
        steps_max: usize,
        now: Timestamp,
        page: &mut Vec<Arc<StoredMessage>>,
    ) -> Page {
        let Some(start) = literal_start(filter) else {
            if after.is_none_or(|after| after < filter) {
                page.extend(self.message(filter, now).cloned());
            }
            return Page::Done;
        };
        let full = page.len() + limit.max(1);
        let mut cursor = after.unwrap_or("");
        let mut rest = match after {
            Some(after) if after >= start => self.range(Bound::Excluded(after)),
            _ => self.range(Bound::Included(start)),
        };
        for _ in 0..steps_max.max(1) {
            let Some(ByTopic(message)) = rest.next() else { return Page::Done };
            cursor = message.topic();
            match place(filter, cursor) {
                Place::Match => {
                    //= mqtt5:3.3.2-5
                    if !is_expired(message, now) {
                        page.push(Arc::clone(message));
                    }
                    if page.len() == full {
                        break;
                    }
                }
                Place::Gap => {}
                Place::GapUpTo(topic) => rest = self.range(Bound::Included(&topic)),
                Place::End => return Page::Done,
            }
        }
        Page::More { cursor: cursor.into() }
    }

    /// Removes up to `limit` messages that have expired at `now` and appends them to `expired`.
    pub(crate) fn expire(
        &mut self,
        now: Timestamp,
        limit: usize,
        expired: &mut Vec<Arc<StoredMessage>>,
    ) {
        for _ in 0..limit {
            //= mqtt5:3.3.2-5
            match self.deadlines.first() {
                Some((at, _)) if *at <= now => {}
                _ => return,
            }
            if let Some((_, message)) = self.deadlines.pop_first() {
                expired.extend(self.remove(message.0.topic()));
            }
        }
    }

    /// When the next message expires.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn range(&self, from: Bound<&str>) -> std::collections::btree_set::Range<'_, ByTopic> {
        self.messages.range::<str, _>((from, Bound::Unbounded))
    }

    fn forget_deadline(&mut self, message: &Arc<StoredMessage>) {
        if let Some(at) = message.expires_at() {
            self.deadlines.remove(&(at, ByTopic(Arc::clone(message))));
        }
    }
}

fn is_expired(message: &StoredMessage, now: Timestamp) -> bool {
    message.expires_at().is_some_and(|at| at <= now)
}

/// What all topics that match a filter with a wildcard begin with; `None` without a wildcard.
fn literal_start(filter: &str) -> Option<&str> {
    let at = filter.find(['+', '#'])?;
    let start = filter.get(..at).unwrap_or("");
    // "a/#" matches "a" too.
    let with_parent = filter.ends_with("/#") && at + 1 == filter.len();
    Some(if with_parent { start.strip_suffix('/').unwrap_or(start) } else { start })
}

/// Where a topic stands among those that match a filter, in the order of topics.
enum Place {
    /// It is one of them.
    Match,
    /// Between two of them.
    Gap,
    /// Between two of them, and none comes before this one.
    GapUpTo(String),
    /// Behind all of them.
    End,
}

/// Finds the place of a topic that is not before the filter's [`literal_start`].
///
/// Topics are ordered by their bytes. So those that begin with `p/` are all in one piece, which ends
/// at `p0` (0 comes after `/`), but others may stand between `p` and `p/`, such as `p-`.
fn place(filter: &str, topic: &str) -> Place {
    //= mqtt5:4.7.2-1
    //= mqtt311:4.7.2-1
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return Place::GapUpTo("%".into());
    }
    let (mut filters, mut topics) = (filter.split('/').peekable(), topic.split('/').peekable());
    let mut level_at = 0;
    let mut plus_end = None;
    while let (Some(wanted), Some(level)) = (filters.next(), topics.next()) {
        let level_end = level_at + level.len();
        match wanted {
            "#" => return Place::Match,
            "+" => plus_end = Some(level_end),
            _ if wanted == level => {}
            _ => {
                let mut next = format!("{}{wanted}", up_to(topic, level_at));
                if *next > *topic {
                    return Place::GapUpTo(next);
                }
                next.push('/');
                if filters.peek().is_some() && *next > *topic {
                    return Place::GapUpTo(next);
                }
                return match plus_end {
                    Some(end) => Place::GapUpTo(format!("{}0", up_to(topic, end))),
                    None => Place::End,
                };
            }
        }
        match (filters.peek(), topics.peek()) {
            (None | Some(&"#"), None) => return Place::Match,
            (None, Some(_)) => return Place::GapUpTo(format!("{}0", up_to(topic, level_end))),
            // The next match may be a sibling such as "a-/b" behind "a".
            (Some(_), None) if wanted == "+" => return Place::Gap,
            (Some(_), None) => return Place::GapUpTo(format!("{topic}/")),
            (Some(_), Some(_)) => level_at = level_end + 1,
        }
    }
    Place::Gap
}

fn up_to(topic: &str, end: usize) -> &str {
    topic.get(..end).unwrap_or(topic)
}

/// A message in a set ordered by topics, which are not stored once more as keys.
struct ByTopic(Arc<StoredMessage>);

impl Borrow<str> for ByTopic {
    fn borrow(&self) -> &str {
        self.0.topic()
    }
}

impl Ord for ByTopic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.topic().cmp(other.0.topic())
    }
}

impl PartialOrd for ByTopic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByTopic {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByTopic {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use core_model::{Filter, Message, check_topic_name, filter_matches};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn message(topic: &str, expires_at: Option<u64>) -> Arc<StoredMessage> {
        let expires_at = expires_at.map(Timestamp::from_millis);
        Message { retain: true, expires_at, ..Message::new(topic, topic.as_bytes()) }.detach()
    }

    fn store() -> RetainedStore {
        RetainedStore::new(100_000, usize::MAX)
    }

    fn topics_of(messages: &[Arc<StoredMessage>]) -> Vec<&str> {
        messages.iter().map(|m| m.topic()).collect()
    }

    /// Levels that are ordered otherwise as texts than as parts of topics: `a-/x` is before `a/x`.
    const LEVELS: &[&str] = &["", "a", "a-", "a0", "b", "$s"];

    fn topics() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(LEVELS), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("valid", |topic| check_topic_name(topic).is_ok())
    }

    fn filters() -> impl Strategy<Value = String> {
        let levels = [LEVELS, &["+", "+", "+"]].concat();
        (prop::collection::vec(prop::sample::select(levels), 0..5), prop::bool::weighted(0.3))
            .prop_map(|(mut levels, below)| {
                levels.extend(below.then_some("#"));
                levels.join("/")
            })
            .prop_filter("valid", |filter| Filter::parse(filter).is_ok())
    }

    proptest! {
        //= mqtt5:3.3.2-5
        //= mqtt5:4.7.2-1
        //= mqtt5:4.7.3-4
        //= mqtt311:4.7.2-1
        //= mqtt311:4.7.3-4
        #[test]
        fn pages_have_what_matches_in_order_while_messages_come_and_go(
            retained in prop::collection::vec((topics(), prop::option::of(999..1002_u64)), 0..80),
            filter in filters(),
            pages in prop::collection::vec((1..5_usize, 1..8_usize), 1..8),
            changes in prop::collection::vec((topics(), any::<bool>()), 0..20),
        ) {
            let (mut store, mut model) = (store(), BTreeMap::new());
            for (topic, expires_at) in retained {
                store.set(message(&topic, expires_at)).unwrap();
                model.insert(topic, expires_at);
            }
            let mut after = None;
            let (mut pages, mut changes) = (pages.into_iter().cycle(), changes.into_iter());
            loop {
                let (limit, steps_max) = pages.next().unwrap();
                let mut page = Vec::new();
                let end = store.page(&filter, after.as_deref(), limit, steps_max, NOW, &mut page);
                let expected: Vec<&str> = model
                    .iter()
                    .filter(|(topic, at)| filter_matches(&filter, topic) && at.is_none_or(|a| a > 1000))
                    .map(|(topic, _)| topic.as_str())
                    .filter(|topic| after.as_deref().is_none_or(|after| *topic > after))
                    .filter(|topic| match &end {
                        Page::Done => true,
                        Page::More { cursor } => *topic <= &**cursor,
                    })
                    .collect();
                prop_assert_eq!(topics_of(&page), expected);
                prop_assert!(page.len() <= limit);
                let Page::More { cursor } = end else { break };
                prop_assert!(after.is_none_or(|after| cursor > after));
                after = Some(cursor);
                match changes.next() {
                    Some((topic, true)) => {
                        let old = store.set(message(&topic, None)).unwrap();
                        prop_assert_eq!(old.is_some(), model.insert(topic, None).is_some());
                    }
                    Some((topic, false)) => {
                        let old = store.remove(&topic);
                        prop_assert_eq!(old.is_some(), model.remove(&topic).is_some());
                    }
                    None => {}
                }
            }
            prop_assert_eq!(store.len(), model.len());
            let sizes = store.messages.iter().map(|m| m.0.size());
            prop_assert_eq!(store.bytes(), sizes.sum::<usize>());
            let mut expired = Vec::new();
            store.expire(NOW, usize::MAX, &mut expired);
            prop_assert_eq!(expired.len(), model.values().flatten().filter(|at| **at <= 1000).count());
            let left = model.values().flatten().filter(|at| **at > 1000).min();
            prop_assert_eq!(store.next_deadline(), left.map(|at| Timestamp::from_millis(*at)));
        }
    }

    #[test]
    fn a_message_replaces_that_of_its_topic() {
        let mut store = store();
        assert_eq!(store.set(message("a", Some(5_000))).unwrap().map(|m| m.size()), None);
        let old = store.set(message("a", Some(5_000))).unwrap().unwrap();
        assert_eq!(old.topic(), "a");
        assert_eq!((store.len(), store.deadlines.len()), (1, 1));
        assert!(!Arc::ptr_eq(&old, store.message("a", NOW).unwrap()));
        assert_eq!(store.next_deadline(), Some(Timestamp::from_millis(5_000)));

        store.set(message("a", None)).unwrap();
        assert_eq!(store.next_deadline(), None);
        assert_eq!(store.remove("a").unwrap().expires_at(), None);
        assert!(store.remove("a").is_none());
        assert_eq!((store.len(), store.bytes()), (0, 0));

        store.set(message("a", Some(5_000))).unwrap();
        store.remove("a").unwrap();
        assert_eq!(store.next_deadline(), None);
    }

    #[test]
    fn messages_and_bytes_have_their_limits() {
        let size = message("a", None).size();
        for mut store in [RetainedStore::new(2, usize::MAX), RetainedStore::new(9, 2 * size)] {
            store.set(message("a", None)).unwrap();
            store.set(message("b", None)).unwrap();
            assert_eq!(store.set(message("c", None)).unwrap_err(), Full);
            store.set(message("b", None)).unwrap();
            store.remove("a").unwrap();
            store.set(message("c", None)).unwrap();
            assert_eq!((store.len(), store.bytes()), (2, 2 * size));
        }
        let mut store = RetainedStore::new(9, size);
        let old = message("a", None);
        store.set(Arc::clone(&old)).unwrap();
        let larger = Message::new("a", b"larger").detach();
        assert_eq!(store.set(larger).unwrap_err(), Full);
        assert!(Arc::ptr_eq(&old, store.message("a", NOW).unwrap()));
    }

    //= mqtt5:3.3.2-5
    #[test]
    fn the_expired_are_neither_given_nor_kept() {
        let mut store = store();
        for (topic, at) in [("a", Some(1_000)), ("b", Some(1_001)), ("c", None), ("d", Some(999))] {
            store.set(message(topic, at)).unwrap();
        }
        assert!(store.message("a", NOW).is_none());
        let mut page = Vec::new();
        assert_eq!(store.page("a", None, 9, 9, NOW, &mut page), Page::Done);
        assert_eq!(store.page("#", None, 9, 9, NOW, &mut page), Page::Done);
        assert_eq!(topics_of(&page), ["b", "c"]);

        let mut expired = Vec::new();
        store.expire(NOW, 1, &mut expired);
        assert_eq!(topics_of(&expired), ["d"]);
        store.expire(NOW, 9, &mut expired);
        assert_eq!(topics_of(&expired), ["d", "a"]);
        assert_eq!(store.next_deadline(), Some(Timestamp::from_millis(1_001)));
        assert_eq!(store.len(), 2);
    }

    #[test]
    fn a_filter_without_wildcard_is_one_look_up() {
        let mut store = store();
        for topic in ["a", "a/b", "a/b/c"] {
            store.set(message(topic, None)).unwrap();
        }
        let mut page = Vec::new();
        assert_eq!(store.page("a/b", None, 1, 1, NOW, &mut page), Page::Done);
        assert_eq!(store.page("a/b", Some("a/b"), 1, 1, NOW, &mut page), Page::Done);
        assert_eq!(store.page("x", None, 1, 1, NOW, &mut page), Page::Done);
        assert_eq!(topics_of(&page), ["a/b"]);
    }

    #[test]
    fn branches_that_cannot_match_are_jumped_over() {
        let mut store = store();
        for number in 0..10_000 {
            store.set(message(&format!("c/{:02}/d/{number:04}", number / 100), None)).unwrap();
        }
        for (filter, found, steps_max) in [
            ("c/+/d/5042", 1, 300),
            ("c/50/+/5042", 1, 100),
            ("c/+", 0, 101),
            ("+/50/#", 100, 104),
            ("c/+/x/#", 0, 101),
            ("x/#", 0, 1),
        ] {
            let mut page = Vec::new();
            assert_eq!(store.page(filter, None, 999, steps_max, NOW, &mut page), Page::Done);
            assert_eq!(page.len(), found, "{filter}");
        }
    }

    #[test]
    fn the_deepest_topic_is_found() {
        let mut store = store();
        let topic = "/".repeat(65_535);
        store.set(message(&topic, None)).unwrap();
        let mut page = Vec::new();
        let filter = format!("{}#", "+/".repeat(32_767));
        assert_eq!(store.page(&filter, None, 9, 9, NOW, &mut page), Page::Done);
        assert_eq!(page.len(), 1);
    }

    #[test]
    fn a_message_costs_little_more_than_its_bytes() {
        let message = Message::new("city/012/dev/0123456", &[7; 64]).detach();
        // Two counters of the reference, and a place in a tree that is at least five elevenths full.
        let each = message.size() + 16 + size_of::<ByTopic>() * 11 / 5 + 4;
        assert!(each < 300, "{each} bytes");
    }
}
