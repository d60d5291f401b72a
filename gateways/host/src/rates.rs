//! Token buckets: how much may come, and how fast.

use core_model::Timestamp;

use crate::links::{Links, OpenLink};
use crate::{ListenerRates, Rate};

/// Parts of a unit that buckets count in, so that a rate per second comes out even each
/// millisecond.
const PARTS: u64 = 1_000;

/// A link that waits is read again by a timer, which is not exact. What comes together in the
/// meantime has to fit into its bucket, or it would never reach its rate.
const RESUMPTIONS_PER_SECOND: u32 = 5;

/// How much of a [`Rate`] is left. It has no clock and no timer: it is filled up as time is told.
///
/// A link that is over its rate waits ([`Bucket::ready_at`]). One client among many on a link must
/// not make the others wait: it is refused ([`Bucket::take`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// In parts of a unit.
    level: u64,
    filled_at: Timestamp,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(rate: Rate, now: Timestamp) -> Self {
        Bucket { level: capacity(rate), filled_at: now }
    }

    /// Whole units that may be used now.
    pub fn available(&mut self, rate: Rate, now: Timestamp) -> u32 {
        self.fill(rate, now);
        u32::try_from(self.level / PARTS).unwrap_or(u32::MAX)
    }

    /// Uses `units` if there are so many; whether there were.
    #[must_use]
    pub fn take(&mut self, rate: Rate, now: Timestamp, units: u32) -> bool {
        let enough = self.available(rate, now) >= units;
        if enough {
            self.spend(units);
        }
        enough
    }

    /// When there is a unit again; a time that is over if there is one now.
    #[must_use]
    pub fn ready_at(&self, rate: Rate) -> Timestamp {
        let missing = PARTS.saturating_sub(self.level);
        self.filled_at.plus_millis(missing.div_ceil(u64::from(rate.per_second.max(1))))
    }

    /// Whether nothing of it was used lately.
    pub(crate) fn is_full(&mut self, rate: Rate, now: Timestamp) -> bool {
        self.fill(rate, now);
        self.level == capacity(rate)
    }

    /// Uses `units`, or what is left.
    fn spend(&mut self, units: u32) {
        self.level = self.level.saturating_sub(u64::from(units) * PARTS);
    }

    fn fill(&mut self, rate: Rate, now: Timestamp) {
        let elapsed_ms = u64::try_from(now.since(self.filled_at).as_millis()).unwrap_or(u64::MAX);
        let more = elapsed_ms.saturating_mul(u64::from(rate.per_second));
        self.level = self.level.saturating_add(more).min(capacity(rate));
        self.filled_at = self.filled_at.max(now);
    }
}

fn capacity(rate: Rate) -> u64 {
    u64::from(rate.burst.max(1)) * PARTS
}

/// How fast one link may send. Links without rates have none.
#[derive(Debug)]
pub(crate) struct Pace {
    message: Option<(Rate, Bucket)>,
    byte: Option<(Rate, Bucket)>,
    /// While it is too fast: when it is read again.
    resume_at: Option<Timestamp>,
}

impl Pace {
    /// For a new link of a listener with `rates`.
    pub(crate) fn new(rates: &ListenerRates, now: Timestamp) -> Option<Box<Self>> {
        if rates.message.is_none() && rates.byte.is_none() {
            return None;
        }
        let bucket = |rate: Option<Rate>| {
            let Rate { per_second, burst } = rate?;
            let rate = Rate { per_second, burst: burst.max(per_second / RESUMPTIONS_PER_SECOND) };
            Some((rate, Bucket::new(rate, now)))
        };
        let (message, byte) = (bucket(rates.message), bucket(rates.byte));
        Some(Box::new(Pace { message, byte, resume_at: None }))
    }

    /// For a new datagram link, whose machine judges messages itself.
    pub(crate) fn of_datagrams(rates: &ListenerRates, now: Timestamp) -> Option<Box<Self>> {
        Self::new(&ListenerRates { byte: rates.byte, ..ListenerRates::default() }, now)
    }

    /// Whether a datagram of so many bytes may be looked at; it is dropped otherwise. One that is
    /// longer than all that may come at once needs all of that.
    pub(crate) fn take_datagram(&mut self, now: Timestamp, bytes: usize) -> bool {
        let Some((rate, bucket)) = &mut self.byte else { return true };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(rate.burst.max(1));
        bucket.take(*rate, now, bytes)
    }

    /// When the link is read again, while it is too fast.
    pub(crate) fn resume_at(&self) -> Option<Timestamp> {
        self.resume_at
    }

    /// Whether the link has to wait.
    pub(crate) fn judge(&mut self, now: Timestamp) -> Wait {
        let buckets = [&mut self.message, &mut self.byte].into_iter().flatten();
        let resume_at = buckets
            .filter_map(|(rate, bucket)| {
                (bucket.available(*rate, now) == 0).then(|| bucket.ready_at(*rate))
            })
            .max();
        match (resume_at, std::mem::replace(&mut self.resume_at, resume_at)) {
            (None, _) => Wait::No,
            (Some(_), None) => Wait::Begins,
            (Some(_), Some(_)) => Wait::GoesOn,
        }
    }

    /// Messages that it may publish now.
    pub(crate) fn messages_allowed(&mut self, now: Timestamp) -> u32 {
        match &mut self.message {
            Some((rate, bucket)) => bucket.available(*rate, now),
            None => u32::MAX,
        }
    }

    /// Bytes that may be read from it now.
    pub(crate) fn bytes_allowed(&mut self, now: Timestamp) -> usize {
        match &mut self.byte {
            Some((rate, bucket)) => bucket.available(*rate, now) as usize,
            None => usize::MAX,
        }
    }

    /// It has published so many messages.
    pub(crate) fn spend_messages(&mut self, messages: u32) {
        if let Some((_, bucket)) = &mut self.message {
            bucket.spend(messages);
        }
    }

    /// So many bytes were read from it.
    pub(crate) fn spend_bytes(&mut self, bytes: usize) {
        if let Some((_, bucket)) = &mut self.byte {
            bucket.spend(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }
}

/// Whether a link has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    Begins,
    GoesOn,
}

impl OpenLink {
    /// Whether its rate keeps it from being heard: no silence of it means anything then.
    pub(crate) fn is_held_up(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.resume_at.is_some() || self.queued)
    }
}

impl Links {
    /// Whether a link with a pace may be read now. If not, its timer has it read later.
    #[cold]
    pub(crate) fn may_go_on(&mut self, index: u32) -> bool {
        let now = self.now;
        let Some(link) = self.at(index) else { return false };
        let Some(pace) = &mut link.pace else { return true };
        let wait = pace.judge(now);
        if wait == Wait::Begins {
            let number = link.listener;
            self.per_listener.at(number).throttled += 1;
        }
        // The end of the turn arms the timer: for its return, or for its machine again.
        self.touch(index);
        wait == Wait::No
    }

    /// Counts what was read from a link.
    #[inline]
    pub(crate) fn count_read(&mut self, index: u32, bytes: usize) {
        self.counters.reads += 1;
        self.counters.bytes_read += bytes as u64;
        let now = self.now;
        let Some(link) = self.table.at_mut(index) else { return };
        link.traffic.read(now, bytes);
        // A datagram has been charged when it was let in.
        if let Some(pace) = link.pace.as_mut().filter(|_| !link.output.is_datagrams()) {
            pace.spend_bytes(bytes);
        }
        self.per_listener.at(link.listener).bytes_read += bytes as u64;
    }

    /// A link with a pace has published so many messages.
    #[cold]
    pub(crate) fn spend_messages(&mut self, index: u32, messages: u32) {
        if let Some(pace) = self.at(index).and_then(|link| link.pace.as_mut()) {
            pace.spend_messages(messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 3, burst: 5 };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + ms)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(RATE, at(0));
        assert!((0..5).all(|_| bucket.take(RATE, at(0), 1)));
        assert!(!bucket.take(RATE, at(0), 1));
        // A third of a second is 333.3 ms.
        assert_eq!(bucket.ready_at(RATE), at(334));
        assert!(!bucket.take(RATE, at(333), 1));
        assert!(bucket.take(RATE, at(334), 1));
        let taken = (335..=60_334).filter(|ms| bucket.take(RATE, at(*ms), 1)).count();
        assert_eq!(taken, 180);
    }

    #[test]
    fn no_more_than_a_burst_is_saved() {
        let mut bucket = Bucket::new(RATE, at(0));
        assert!(bucket.take(RATE, at(0), 2));
        assert!(!bucket.is_full(RATE, at(600)));
        assert!(bucket.is_full(RATE, at(667)));
        assert_eq!(bucket.available(RATE, at(1_000_000)), 5);
        assert!(!bucket.take(RATE, at(1_000_000), 6));
        assert!(bucket.take(RATE, at(1_000_000), 5));
    }

    #[test]
    fn time_that_runs_back_gives_nothing() {
        let mut bucket = Bucket::new(RATE, at(1_000));
        assert!(bucket.take(RATE, at(1_000), 5));
        assert_eq!(bucket.available(RATE, at(0)), 0);
        assert_eq!(bucket.available(RATE, at(1_000)), 0);
        assert_eq!(bucket.available(RATE, at(1_334)), 1);
    }

    #[test]
    fn the_largest_rate_does_not_overflow() {
        let rate = Rate { per_second: u32::MAX, burst: u32::MAX };
        let mut bucket = Bucket::new(rate, Timestamp::ZERO);
        assert!(bucket.take(rate, Timestamp::ZERO, u32::MAX));
        assert_eq!(bucket.available(rate, Timestamp::from_millis(u64::MAX)), u32::MAX);
    }

    #[test]
    fn datagrams_beyond_the_rate_are_dropped_and_the_longest_passes_now_and_then() {
        let byte = Some(Rate { per_second: 100, burst: 50 });
        let rates = ListenerRates { message: byte, byte, ..ListenerRates::default() };
        let mut pace = Pace::of_datagrams(&rates, at(0)).unwrap();
        assert_eq!(pace.messages_allowed(at(0)), u32::MAX);
        assert!(pace.take_datagram(at(0), 30) && !pace.take_datagram(at(0), 30));
        assert!(pace.take_datagram(at(0), 20) && !pace.take_datagram(at(499), 1_000));
        assert!(pace.take_datagram(at(500), 1_000) && !pace.take_datagram(at(500), 1));
        let messages = ListenerRates { message: byte, ..ListenerRates::default() };
        assert!(Pace::of_datagrams(&messages, at(0)).is_none());
    }

    #[test]
    fn a_link_waits_for_the_scarcer_of_its_rates() {
        let rates = ListenerRates {
            message: Some(Rate { per_second: 10, burst: 2 }),
            // Raised to what comes in a fifth of a second.
            byte: Some(Rate { per_second: 1_000, burst: 1 }),
            ..ListenerRates::default()
        };
        assert!(Pace::new(&ListenerRates::default(), at(0)).is_none());
        let mut pace = Pace::new(&rates, at(0)).unwrap();
        assert_eq!((pace.messages_allowed(at(0)), pace.bytes_allowed(at(0))), (2, 200));
        pace.spend_bytes(200);
        pace.spend_messages(2);
        assert_eq!(pace.judge(at(0)), Wait::Begins);
        assert_eq!(pace.resume_at(), Some(at(100)));
        assert_eq!(pace.judge(at(50)), Wait::GoesOn);
        assert_eq!(pace.judge(at(100)), Wait::No);
        assert_eq!(pace.resume_at(), None);
        assert_eq!((pace.messages_allowed(at(100)), pace.bytes_allowed(at(100))), (1, 100));
    }
}
