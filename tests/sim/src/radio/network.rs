//! What lies between devices and the gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use core_model::Timestamp;

use crate::rng::Rng;

/// How bad it is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Datagrams of a hundred that never arrive.
    pub lost: usize,
    /// Datagrams of a hundred that arrive twice.
    pub repeated: usize,
    /// Milliseconds on the way at most; each datagram has its own, so they overtake each other.
    pub delay_ms_max: usize,
}

/// One datagram on its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// The device's address, whichever way it goes.
    pub device: SocketAddr,
    /// Whether it goes to the gateway.
    pub upwards: bool,
    /// What it carries.
    pub bytes: Vec<u8>,
}

/// Datagrams on their way, by the time of their arrival.
#[derive(Debug)]
pub struct Network {
    weather: Weather,
    under_way: BTreeMap<(Timestamp, u64), Datagram>,
    number: u64,
    /// Datagrams that were sent, lost and repeated.
    pub counts: [u64; 3],
}

impl Network {
    /// With nothing under way.
    #[must_use]
    pub fn new(weather: Weather) -> Self {
        Network { weather, under_way: BTreeMap::new(), number: 0, counts: [0; 3] }
    }

    /// Takes a datagram, which will arrive never, once or twice.
    pub fn send(&mut self, now: Timestamp, rng: &mut Rng, datagram: &Datagram) {
        self.counts[0] += 1;
        if rng.chance(self.weather.lost) {
            self.counts[1] += 1;
            return;
        }
        let copies = if rng.chance(self.weather.repeated) { 2 } else { 1 };
        self.counts[2] += copies - 1;
        for _ in 0..copies {
            let delay = rng.between(1, self.weather.delay_ms_max) as u64;
            self.number += 1;
            self.under_way.insert((now.plus_millis(delay), self.number), datagram.clone());
        }
    }

    /// When the next one arrives.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// What has arrived by now, one at a time.
    pub fn arrived(&mut self, now: Timestamp) -> Option<Datagram> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}
