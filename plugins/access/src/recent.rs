use std::time::{Duration, Instant};

use hashbrown::HashSet;

/// A keyed hash.
pub(crate) type Digest = [u8; 32];

/// A bounded set of what was used lately.
///
/// It has two halves. What is used goes into the young one; when that is full, or half of the time
/// is over, it becomes the old one, and what is still in the old one is forgotten. So an entry that
/// is not used is forgotten after half of the time to the whole time, or when as many others as
/// half of the bound have been used since.
#[derive(Debug)]
pub(crate) struct Recent {
    young: HashSet<Digest, foldhash::fast::RandomState>,
    old: HashSet<Digest, foldhash::fast::RandomState>,
    half_max: usize,
    half_time: Duration,
    /// When the young half began; `None` before the first use.
    began: Option<Instant>,
}

impl Recent {
    pub(crate) fn new(entries_max: usize, time: Duration) -> Self {
        Recent {
            young: HashSet::default(),
            old: HashSet::default(),
            half_max: entries_max.div_ceil(2),
            half_time: time / 2,
            began: None,
        }
    }

    /// Whether it was used lately; this use counts.
    pub(crate) fn contains(&mut self, entry: &Digest, now: Instant) -> bool {
        self.age(now);
        if self.young.contains(entry) {
            return true;
        }
        let found = self.old.contains(entry);
        if found {
            self.insert(*entry, now);
        }
        found
    }

    pub(crate) fn insert(&mut self, entry: Digest, now: Instant) {
        self.age(now);
        if self.half_max == 0 {
            return;
        }
        if self.young.len() >= self.half_max {
            self.turn(now);
        }
        self.old.remove(&entry);
        self.young.insert(entry);
    }

    fn age(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        if passed >= self.half_time {
            self.turn(now);
        }
        if passed >= self.half_time.saturating_mul(2) {
            self.old.clear();
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn entry(n: u8) -> Digest {
        [n; 32]
    }

    #[test]
    fn unused_entries_are_forgotten_in_time() {
        let start = Instant::now();
        let mut recent = Recent::new(10, 2 * HOUR);
        recent.insert(entry(1), start);
        assert!(recent.contains(&entry(1), start + HOUR));
        assert!(recent.contains(&entry(1), start + 2 * HOUR), "was used an hour ago");
        assert!(!recent.contains(&entry(1), start + 4 * HOUR));
        assert!(!recent.contains(&entry(2), start));
    }

    #[test]
    fn a_long_pause_forgets_everything_at_once() {
        let start = Instant::now();
        let mut recent = Recent::new(10, 2 * HOUR);
        recent.insert(entry(1), start);
        assert!(!recent.contains(&entry(1), start + 2 * HOUR));
    }

    #[test]
    fn no_more_are_kept_than_allowed() {
        let now = Instant::now();
        let mut recent = Recent::new(10, HOUR);
        for n in 0..100 {
            recent.insert(entry(n), now);
            assert!(recent.young.len() + recent.old.len() <= 10);
            assert!(recent.contains(&entry(n), now));
        }
        assert!(recent.contains(&entry(95), now));
        assert!(!recent.contains(&entry(85), now));
    }

    #[test]
    fn what_is_used_stays_when_others_come() {
        let now = Instant::now();
        let mut recent = Recent::new(10, HOUR);
        recent.insert(entry(200), now);
        for n in 0..100 {
            recent.insert(entry(n), now);
            assert!(recent.contains(&entry(200), now));
        }
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let now = Instant::now();
        let mut recent = Recent::new(0, HOUR);
        recent.insert(entry(1), now);
        assert!(!recent.contains(&entry(1), now));
    }
}
