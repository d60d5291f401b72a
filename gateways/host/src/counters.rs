use core_broker::Counters;

/// What a shard counts about its links; plain integers that a reader sums over the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounters {
    /// Links now.
    pub links: u64,
    /// Links opened, not counting those that came from another shard.
    pub links_opened: u64,
    /// Links that came from another shard, which is their session's home.
    pub links_moved: u64,
    /// Links closed since they took no output for too long.
    pub links_stalled: u64,
    /// Links closed since their output grew although they were congested.
    pub links_overrun: u64,
    /// Links closed since their input was no frame of the protocol, and datagrams dropped for that.
    pub input_refused: u64,
    /// Frames handled.
    pub frames: u64,
    /// Bytes read from sockets.
    pub bytes_read: u64,
    /// Bytes written to sockets.
    pub bytes_written: u64,
    /// Reads that brought something.
    pub reads: u64,
    /// Writes that took something.
    pub writes: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Turns at whose end a ring had no room.
    pub ring_full: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once: the listener or their source had too many, or they came too
    /// fast.
    pub refused: u64,
    /// Connections whose handshake is not done.
    pub handshakes: u64,
    /// Handshakes that were done.
    pub handshakes_done: u64,
    /// Handshakes that came to nothing: the peer may not enter, or has gone.
    pub handshakes_failed: u64,
    /// Handshakes that took too long.
    pub handshakes_timed_out: u64,
    /// Connections closed at once since too many handshakes were under way.
    pub handshakes_refused: u64,
    /// Times that a listener rested since the system was out of descriptors.
    pub accept_pauses: u64,
    /// Datagrams that came.
    pub datagrams_received: u64,
    /// Datagrams that were sent.
    pub datagrams_sent: u64,
    /// Datagrams that went to the shard of their link.
    pub datagrams_forwarded: u64,
    /// Datagrams dropped since they are nobody's, and nobody takes such or too many came.
    pub datagrams_stray: u64,
    /// Datagrams dropped since their link sent too fast.
    pub datagrams_throttled: u64,
    /// Datagrams dropped since their link waited for an answer, or was closing.
    pub datagrams_unready: u64,
    /// Datagrams dropped since the shard of their link was too busy to take them.
    pub datagrams_crowded: u64,
    /// Datagrams dropped since the header of their proxy is missing or wrong.
    pub datagrams_unproxied: u64,
    /// Datagrams not sent, since the answer to somebody unknown was too long.
    pub datagrams_withheld: u64,
    /// Datagrams not sent since the system could not.
    pub datagrams_unsent: u64,
}

impl HostCounters {
    /// Adds another shard's counters.
    pub fn add(&mut self, other: &HostCounters) {
        self.links += other.links;
        self.links_opened += other.links_opened;
        self.links_moved += other.links_moved;
        self.links_stalled += other.links_stalled;
        self.links_overrun += other.links_overrun;
        self.input_refused += other.input_refused;
        self.frames += other.frames;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.reads += other.reads;
        self.writes += other.writes;
        self.turns += other.turns;
        self.ring_full += other.ring_full;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.handshakes += other.handshakes;
        self.handshakes_done += other.handshakes_done;
        self.handshakes_failed += other.handshakes_failed;
        self.handshakes_timed_out += other.handshakes_timed_out;
        self.handshakes_refused += other.handshakes_refused;
        self.accept_pauses += other.accept_pauses;
        self.datagrams_received += other.datagrams_received;
        self.datagrams_sent += other.datagrams_sent;
        self.datagrams_forwarded += other.datagrams_forwarded;
        self.datagrams_stray += other.datagrams_stray;
        self.datagrams_throttled += other.datagrams_throttled;
        self.datagrams_unready += other.datagrams_unready;
        self.datagrams_crowded += other.datagrams_crowded;
        self.datagrams_unproxied += other.datagrams_unproxied;
        self.datagrams_withheld += other.datagrams_withheld;
        self.datagrams_unsent += other.datagrams_unsent;
    }
}

/// What a shard counts about the links of one listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once: the listener or their source had too many, or they came too
    /// fast.
    pub refused: u64,
    /// Handshakes that came to nothing: the peer may not enter, has gone, or took too long.
    pub handshakes_failed: u64,
    /// Links opened.
    pub links_opened: u64,
    /// Links closed since their input was no frame of the protocol, and datagrams dropped for that.
    pub input_refused: u64,
    /// Times that a link was not read for a while since it sent too fast, and datagrams dropped for
    /// that.
    pub throttled: u64,
    /// Frames handled.
    pub frames: u64,
    /// Messages that clients published, those that were refused included.
    pub publishes: u64,
    /// Messages handed to clients.
    pub deliveries: u64,
    /// Bytes read from sockets.
    pub bytes_read: u64,
    /// Bytes written to sockets.
    pub bytes_written: u64,
}

impl ListenerCounters {
    /// Adds another shard's counters.
    pub fn add(&mut self, other: &ListenerCounters) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.handshakes_failed += other.handshakes_failed;
        self.links_opened += other.links_opened;
        self.input_refused += other.input_refused;
        self.throttled += other.throttled;
        self.frames += other.frames;
        self.publishes += other.publishes;
        self.deliveries += other.deliveries;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
    }
}

/// The counters of all listeners, by a listener's number.
#[derive(Clone, Debug, Default)]
pub struct PerListener(Vec<ListenerCounters>);

impl PerListener {
    /// Those of one listener.
    #[must_use]
    pub fn of(&self, number: u16) -> ListenerCounters {
        self.0.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// Those of one listener, to be changed.
    #[inline]
    pub(crate) fn at(&mut self, number: u16) -> &mut ListenerCounters {
        let place = usize::from(number);
        if place >= self.0.len() {
            self.0.resize(place + 1, ListenerCounters::default());
        }
        self.0.get_mut(place).expect("the table has just been made long enough")
    }

    /// Adds another shard's counters.
    pub fn add(&mut self, other: &PerListener) {
        for (number, counters) in (0..).zip(&other.0) {
            self.at(number).add(counters);
        }
    }
}

/// All counters of a shard, or of a node.
#[derive(Clone, Debug, Default)]
pub struct NodeCounters {
    /// Sessions and messages.
    pub broker: Counters,
    /// Links and bytes.
    pub host: HostCounters,
    /// Links and bytes of each listener.
    pub listeners: PerListener,
}

impl NodeCounters {
    /// Adds another shard's counters.
    pub fn add(&mut self, other: &NodeCounters) {
        self.broker.add(&other.broker);
        self.host.add(&other.host);
        self.listeners.add(&other.listeners);
    }
}
