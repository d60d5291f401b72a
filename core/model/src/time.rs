use std::time::Duration;

/// A point in time in milliseconds since the Unix epoch.
///
/// The driver makes it from a monotonic clock anchored to the wall clock once at start, so that it
/// never runs backwards and can still be written to a store as a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time at which nothing has happened yet.
    pub const ZERO: Timestamp = Timestamp(0);

    /// A timestamp from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Timestamp(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time plus `seconds`; saturates.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        Timestamp(self.0.saturating_add(seconds as u64 * 1000))
    }

    /// This time plus `millis`; saturates.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Timestamp(self.0.saturating_add(millis))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// How long a session outlives its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Expiry {
    /// The session ends with its link (MQTT 5 value 0, MQTT 3.1.1 Clean Session 1).
    #[default]
    WithLink,
    /// The session ends this many seconds (1 to 4 294 967 294) after its link closed.
    After(u32),
    /// The session never ends by time (MQTT 5 value 0xFFFFFFFF).
    Never,
}

impl Expiry {
    /// From the seconds of MQTT 5's Session Expiry Interval.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        match seconds {
            0 => Expiry::WithLink,
            u32::MAX => Expiry::Never,
            s => Expiry::After(s),
        }
    }

    /// The seconds of MQTT 5's Session Expiry Interval.
    #[must_use]
    pub const fn as_seconds(self) -> u32 {
        match self {
            Expiry::WithLink => 0,
            Expiry::After(s) => s,
            Expiry::Never => u32::MAX,
        }
    }

    /// The moment at which a session whose link closed at `closed` ends; `None` for never.
    #[must_use]
    pub const fn deadline(self, closed: Timestamp) -> Option<Timestamp> {
        match self {
            Expiry::WithLink => Some(closed),
            Expiry::After(s) => Some(closed.plus_seconds(s)),
            Expiry::Never => None,
        }
    }
}
