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
