use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use core_model::Timestamp;

/// The node's clock: the wall clock at the start, the monotonic clock from there on. All shards
/// share one, so that their timestamps compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_ms: u64,
}

impl Clock {
    /// Anchors the clock now.
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), start_ms: millis(wall) }
    }

    /// The time.
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.start_ms.saturating_add(millis(self.start.elapsed())))
    }

    /// How long the clock has run.
    pub(crate) fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// `time` on the monotonic clock; the start when it lies before it.
    pub(crate) fn instant(&self, time: Timestamp) -> Instant {
        // A deadline in the far future must not overflow the system's clock.
        const FAR_MS: u64 = 365 * 24 * 3_600_000;
        let offset_ms = time.as_millis().saturating_sub(self.start_ms).min(FAR_MS);
        self.start + Duration::from_millis(offset_ms)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_timestamps_agree() {
        let clock = Clock::start();
        let now = clock.now();
        let later = now.plus_seconds(5);
        let between = clock.instant(later).duration_since(clock.instant(now));
        assert_eq!(between, Duration::from_secs(5));
        assert_eq!(clock.instant(Timestamp::ZERO), clock.start);
        assert!(clock.instant(Timestamp::from_millis(u64::MAX)) > clock.start);
    }
}
