//! Many devices on one bad network, and the verdict on what they got.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use core_model::Timestamp;

use crate::radio::device::{Device, Wish};
use crate::radio::host::Host;
use crate::radio::network::{Datagram, Network, Weather};
use crate::rng::Rng;

/// Milliseconds between two wishes of a device at most.
const PAUSE_MS: usize = 20_000;
/// Virtual time after which a town has to be quiet.
const LIMIT_S: u32 = 30 * 24 * 3_600;

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// Requests that were answered and messages of QoS 1 and 2 that came.
    pub exchanges: u64,
    /// Datagrams that were sent, lost and repeated.
    pub datagrams: [u64; 3],
    /// How often a device had to connect anew.
    pub reconnects: u64,
    /// Messages of QoS 1 and QoS 2 that were published.
    pub published: [u64; 2],
    /// Copies of QoS 1 messages beyond the first, which the protocol allows.
    pub copies: u64,
    /// What is wrong.
    pub faults: Vec<String>,
}

/// A message that somebody has published.
struct Published {
    group: usize,
    exactly_once: bool,
}

/// Devices in groups. Each one publishes to the topic of a group, which all of the group subscribe
/// to, half of them by a wildcard.
pub struct Town {
    now: Timestamp,
    rng: Rng,
    host: Host,
    network: Network,
    devices: Vec<Device>,
    /// When each has its next wish.
    next_wish: Vec<Timestamp>,
    /// How many messages each may still publish.
    left: Vec<usize>,
    groups: usize,
    /// Whether everybody has subscribed.
    is_open: bool,
    published: BTreeMap<u64, Published>,
}

impl Town {
    /// `devices` in `groups`, of which each publishes so many messages.
    #[must_use]
    pub fn new(seed: u64, host: Host, weather: Weather, devices: usize, messages: usize) -> Self {
        let groups = devices.div_ceil(4);
        let now = Timestamp::from_millis(1_000_000);
        let device = |i: usize| {
            let address = SocketAddr::from(([10, 0, 0, 1 + i as u8], 2_000));
            let group = i % groups;
            let filter =
                if i < groups * 2 { format!("g/{group}/x") } else { format!("g/{group}/+") };
            // More requests than the gateway remembers exchanges, so that it sees how ids are counted.
            let mut filters: Vec<String> = (0..6).map(|n| format!("quiet/{i}/{n}")).collect();
            filters.push(filter);
            Device::new(&format!("d{i}"), address, filters)
        };
        Town {
            now,
            rng: Rng::new(seed),
            host,
            network: Network::new(weather),
            devices: (0..devices).map(device).collect(),
            next_wish: vec![now; devices],
            left: vec![messages; devices],
            groups,
            is_open: false,
            published: BTreeMap::new(),
        }
    }

    /// Runs until all messages are where they belong, or the time is over.
    #[must_use]
    pub fn run(mut self) -> Report {
        let end = self.now.plus_seconds(LIMIT_S);
        while self.now < end && !self.is_done() {
            self.turn();
        }
        self.report()
    }

    fn is_done(&self) -> bool {
        self.devices.iter().all(Device::is_idle) && self.has_all()
    }

    /// Whether all is published and where it belongs.
    fn has_all(&self) -> bool {
        self.left.iter().all(|left| *left == 0) && self.missing().next().is_none()
    }

    fn turn(&mut self) {
        let due = self.devices.iter().filter_map(Device::due);
        let events = [self.network.next(), self.host.next_deadline()].into_iter().flatten();
        let next = due.chain(events).chain(self.next_wish.iter().copied()).min();
        // A deadline in the past is due at once.
        self.now = next.unwrap_or(self.now).max(self.now);
        self.host.tick(self.now);
        while let Some(datagram) = self.network.arrived(self.now) {
            self.arrive(&datagram);
        }
        for i in 0..self.devices.len() {
            if self.next_wish[i] <= self.now {
                self.wish(i);
            }
            self.devices[i].tick(self.now);
            self.send_of_device(i);
        }
        self.send_of_host();
    }

    fn arrive(&mut self, datagram: &Datagram) {
        if datagram.upwards {
            self.host.input(self.now, datagram.device, &datagram.bytes);
            return self.send_of_host();
        }
        let at = |device: &Device| device.address == datagram.device && !device.is_asleep();
        // What goes to a sleeper, or to where nobody is any more, is lost.
        if let Some(i) = self.devices.iter().position(at) {
            self.devices[i].on_datagram(self.now, &datagram.bytes);
            self.send_of_device(i);
        }
    }

    fn wish(&mut self, i: usize) {
        let pause = self.rng.between(PAUSE_MS / 10, PAUSE_MS) as u64;
        self.next_wish[i] = self.now.plus_millis(pause);
        // Nobody publishes before everybody has subscribed.
        self.is_open |= self.devices.iter().all(Device::is_ready);
        if !self.is_open || !self.devices[i].is_idle() || self.has_all() {
            return;
        }
        let device = &mut self.devices[i];
        let publishes = self.left[i] > 0 && self.rng.chance(70);
        if publishes {
            self.left[i] -= 1;
            let (group, exactly_once) = (self.rng.below(self.groups), self.rng.chance(60));
            let number = self.published.len() as u64;
            self.published.insert(number, Published { group, exactly_once });
            device.wish(Wish::Publish { topic: format!("g/{group}/x"), number, exactly_once });
        } else if self.rng.chance(50) {
            device.wish(Wish::Sleep(3_600));
        } else {
            device.wish(Wish::Collect { from_elsewhere: self.rng.chance(50) });
        }
    }

    fn send_of_device(&mut self, i: usize) {
        let device = self.devices[i].address;
        for bytes in self.devices[i].take_sent() {
            let datagram = Datagram { device, upwards: true, bytes };
            self.network.send(self.now, &mut self.rng, &datagram);
        }
    }

    fn send_of_host(&mut self) {
        for (device, bytes) in self.host.take_sent() {
            let datagram = Datagram { device, upwards: false, bytes };
            self.network.send(self.now, &mut self.rng, &datagram);
        }
    }

    /// Messages that a device should have and has not.
    fn missing(&self) -> impl Iterator<Item = (usize, u64)> {
        self.published.iter().flat_map(move |(number, message)| {
            let members = (0..self.devices.len()).filter(|i| i % self.groups == message.group);
            let without = members.filter(|i| !self.devices[*i].got.contains_key(number));
            without.map(|i| (i, *number))
        })
    }

    fn report(&self) -> Report {
        let mut faults: Vec<String> =
            self.missing().map(|(i, number)| format!("d{i} misses message {number}")).collect();
        let mut copies = 0;
        for (i, device) in self.devices.iter().enumerate() {
            for (number, times) in &device.got {
                let message = &self.published[number];
                if message.group != i % self.groups {
                    faults.push(format!("d{i} got message {number} of another group"));
                }
                if *times > 1 && message.exactly_once {
                    faults.push(format!("d{i} got message {number} {times} times"));
                }
                copies += u64::from(times - 1);
            }
            if !device.is_idle() {
                faults.push(format!("d{i} is not done"));
            }
        }
        let of = |exactly_once| {
            self.published.values().filter(|p| p.exactly_once == exactly_once).count() as u64
        };
        Report {
            exchanges: self.devices.iter().map(|device| device.exchanges).sum(),
            datagrams: self.network.counts,
            reconnects: self.devices.iter().map(|device| device.reconnects).sum(),
            published: [of(false), of(true)],
            copies,
            faults,
        }
    }
}
