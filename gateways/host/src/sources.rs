//! How much one source of connections may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use core_model::Timestamp;

use crate::rates::Bucket;
use crate::shared::lock;
use crate::{Rate, SourceLimits};

/// Sources without a connection that are remembered for their rate.
const IDLE_SOURCES_MAX: usize = 16_384;

/// The sources of one listener's connections. Only looked at when a connection comes or goes, and
/// only if the listener has limits for them; shared by all shards.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    table: Mutex<Table>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    sources: HashMap<Source, Usage>,
    /// How many of them have no connection.
    idle: usize,
}

#[derive(Debug)]
struct Usage {
    connections: u32,
    /// Connections that it may still open, if that is limited.
    bucket: Option<Bucket>,
}

/// Where connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4([u8; 4]),
    /// A subscriber usually has a network of 64 bits to himself.
    V6([u8; 8]),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Source::V4(address.octets()),
            IpAddr::V6(address) => {
                let octets = address.octets();
                let (net, _) = octets.split_first_chunk::<8>().expect("an address has 16 bytes");
                Source::V6(*net)
            }
        }
    }
}

impl Sources {
    /// Takes a connection from `address` in, unless its source has too many or is too fast.
    /// `Ok(None)` when nothing is to be remembered of it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        limits: &SourceLimits,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Box<SourceHold>>, Refused> {
        let is_limited = limits.connections.is_some() || limits.connection.is_some();
        let address = address.to_canonical();
        if !is_limited || limits.exempt.iter().any(|net| net.contains(&address)) {
            return Ok(None);
        }
        let source = Source::of(address);
        if !lock(&self.table).admit(source, limits, now) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refused);
        }
        Ok(Some(Box::new(SourceHold { sources: Arc::clone(self), source })))
    }

    /// Connections that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Table {
    fn admit(&mut self, source: Source, limits: &SourceLimits, now: Timestamp) -> bool {
        if !self.sources.contains_key(&source) {
            self.make_room(limits.connection, now);
            self.sources.insert(source, Usage { connections: 0, bucket: None });
            self.idle += 1;
        }
        let Some(usage) = self.sources.get_mut(&source) else { return false };
        let too_many = limits.connections.is_some_and(|max| usage.connections >= max);
        let too_fast = !too_many
            && limits.connection.is_some_and(|rate| {
                let bucket = usage.bucket.get_or_insert_with(|| Bucket::new(rate, now));
                !bucket.take(rate, now, 1)
            });
        if too_many || too_fast {
            return false;
        }
        if usage.connections == 0 {
            self.idle -= 1;
        }
        usage.connections += 1;
        true
    }

    fn release(&mut self, source: Source) {
        let Some(usage) = self.sources.get_mut(&source) else { return };
        usage.connections = usage.connections.saturating_sub(1);
        if usage.connections > 0 {
            return;
        }
        if usage.bucket.is_some() {
            self.idle += 1;
        } else {
            self.sources.remove(&source);
        }
    }

    /// Forgets idle sources when there are too many: those that have been quiet, and if that is not
    /// much, all of them, so that the next search does not come soon.
    fn make_room(&mut self, rate: Option<Rate>, now: Timestamp) {
        if self.idle < IDLE_SOURCES_MAX {
            return;
        }
        self.sources.retain(|_, usage| {
            let quiet = match (&mut usage.bucket, rate) {
                (Some(bucket), Some(rate)) => bucket.is_full(rate, now),
                (_, _) => true,
            };
            usage.connections > 0 || !quiet
        });
        let is_idle = |usage: &&Usage| usage.connections == 0;
        self.idle = self.sources.values().filter(is_idle).count();
        if self.idle > IDLE_SOURCES_MAX / 2 {
            self.sources.retain(|_, usage| usage.connections > 0);
            self.idle = 0;
        }
    }
}

/// How many datagrams that are of no link come from each source, as one shard sees it.
#[derive(Debug, Default)]
pub(crate) struct Strays(HashMap<Source, Bucket>);

impl Strays {
    /// Whether one more from `address` may be looked at.
    pub(crate) fn admit(&mut self, limits: &SourceLimits, address: IpAddr, now: Timestamp) -> bool {
        let Some(rate) = limits.stray else { return true };
        let address = address.to_canonical();
        if limits.exempt.iter().any(|net| net.contains(&address)) {
            return true;
        }
        let source = Source::of(address);
        if self.0.len() >= IDLE_SOURCES_MAX && !self.0.contains_key(&source) {
            self.0.retain(|_, bucket| !bucket.is_full(rate, now));
            if self.0.len() > IDLE_SOURCES_MAX / 2 {
                // As with connections: the next search must not come soon.
                self.0.clear();
            }
        }
        self.0.entry(source).or_insert_with(|| Bucket::new(rate, now)).take(rate, now, 1)
    }
}

/// A connection was refused for its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// One of the connections that a source may have; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct SourceHold {
    sources: Arc<Sources>,
    source: Source,
}

impl Drop for SourceHold {
    fn drop(&mut self) {
        lock(&self.sources.table).release(self.source);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + ms)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_source_has_its_own_connections() {
        let sources = Arc::new(Sources::default());
        let limits = SourceLimits { connections: Some(2), ..SourceLimits::default() };
        let admit = |text| sources.admit(&limits, ip(text), at(0));
        let first = admit("192.0.2.1").unwrap().unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap().unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Refused);
        let _other = admit("192.0.2.2").unwrap().unwrap();
        assert_eq!(sources.refused(), 1);
        drop(first);
        let _third = admit("192.0.2.1").unwrap().unwrap();
        assert!(admit("192.0.2.1").is_err());
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let sources = Arc::new(Sources::default());
        let limits = SourceLimits { connections: Some(1), ..SourceLimits::default() };
        let _hold = sources.admit(&limits, ip("2001:db8:0:1::1"), at(0)).unwrap();
        assert!(sources.admit(&limits, ip("2001:db8:0:1:ffff::2"), at(0)).is_err());
        assert!(sources.admit(&limits, ip("2001:db8:0:2::1"), at(0)).is_ok());
    }

    #[test]
    fn loopback_and_listeners_without_limits_are_free() {
        let sources = Arc::new(Sources::default());
        let limits = SourceLimits { connections: Some(0), ..SourceLimits::default() };
        for address in ["127.0.0.1", "127.8.7.6", "::1", "::ffff:127.0.0.1"] {
            assert!(sources.admit(&limits, ip(address), at(0)).unwrap().is_none());
        }
        assert!(sources.admit(&limits, ip("192.0.2.1"), at(0)).is_err());
        let free = SourceLimits::default();
        assert!(sources.admit(&free, ip("192.0.2.1"), at(0)).unwrap().is_none());
        let exempt = Vec::new();
        let strict = SourceLimits { connections: Some(0), exempt, ..SourceLimits::default() };
        assert!(sources.admit(&strict, ip("127.0.0.1"), at(0)).is_err());
    }

    #[test]
    fn a_source_that_is_too_fast_is_refused_until_time_has_passed() {
        let sources = Arc::new(Sources::default());
        let rate = Rate { per_second: 1, burst: 2 };
        let limits = SourceLimits { connection: Some(rate), ..SourceLimits::default() };
        let admit = |ms| sources.admit(&limits, ip("192.0.2.1"), at(ms)).map(drop);
        assert_eq!((admit(0), admit(0), admit(0)), (Ok(()), Ok(()), Err(Refused)));
        assert_eq!((admit(999), admit(1_000), admit(1_001)), (Err(Refused), Ok(()), Err(Refused)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let sources = Arc::new(Sources::default());
        let rate = Rate { per_second: 1, burst: 2 };
        let limits = SourceLimits {
            connection: Some(rate),
            connections: Some(9),
            exempt: Vec::new(),
            stray: None,
        };
        let hold = sources.admit(&limits, Ipv6Addr::LOCALHOST.into(), at(0)).unwrap();
        for number in 0..100_000_u32 {
            let address = Ipv4Addr::from_bits(number);
            sources.admit(&limits, address.into(), at(u64::from(number) / 10)).unwrap();
            let table = lock(&sources.table);
            assert!(table.sources.len() <= IDLE_SOURCES_MAX + 1);
            assert_eq!(table.idle, table.sources.len() - 1);
        }
        drop(hold);
        let table = lock(&sources.table);
        assert_eq!(table.idle, table.sources.len());
    }

    #[test]
    fn strays_are_limited_for_each_source_and_what_is_remembered_is_bounded() {
        let mut strays = Strays::default();
        let stray = Some(Rate { per_second: 1, burst: 2 });
        let limits = SourceLimits { stray, ..SourceLimits::default() };
        let mut admit = |text, ms| strays.admit(&limits, ip(text), at(ms));
        assert!(admit("192.0.2.1", 0) && admit("192.0.2.1", 0) && !admit("192.0.2.1", 0));
        assert!(admit("192.0.2.2", 0) && admit("192.0.2.1", 1_000));
        assert!((0..100).all(|_| admit("127.0.0.1", 0)));
        for number in 0..100_000_u32 {
            let time = at(2_000 + u64::from(number) / 10);
            assert!(strays.admit(&limits, Ipv4Addr::from_bits(0x0a00_0000 + number).into(), time));
            assert!(strays.0.len() <= IDLE_SOURCES_MAX);
        }
        let free = SourceLimits::default();
        assert!((0..100).all(|_| strays.admit(&free, ip("192.0.2.1"), at(0))));
    }

    #[test]
    fn without_a_rate_nothing_stays_of_a_source() {
        let sources = Arc::new(Sources::default());
        let limits = SourceLimits { connections: Some(1), ..SourceLimits::default() };
        drop(sources.admit(&limits, ip("192.0.2.1"), at(0)).unwrap());
        assert!(lock(&sources.table).sources.is_empty());
    }
}
