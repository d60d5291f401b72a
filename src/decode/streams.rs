//! TCP streams put together from their segments.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::capture::{Carrier, Ends, Packet};

/// The connections of a capture.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Those that were seen first come first.
    list: Vec<[Direction; 2]>,
    /// The newest connection between two ends, the smaller one first.
    newest: HashMap<Ends, usize>,
}

/// A connection, with its directions in the order in which they began.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) directions: Vec<Piece>,
}

/// What went in one direction, from the first byte that was seen to the first that was not.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) ends: Ends,
    pub(super) bytes: Vec<u8>,
    /// Whether something came behind bytes that are missing.
    pub(super) has_gap: bool,
    /// From which byte on bytes are of which time.
    times: Vec<(usize, u64)>,
}

impl Piece {
    /// When the byte at `at`, or the last one before it, was seen, in microseconds since 1970.
    pub(super) fn time_us(&self, at: usize) -> u64 {
        let behind = self.times.partition_point(|(from, _)| *from <= at);
        behind.checked_sub(1).and_then(|last| self.times.get(last)).map_or(0, |(_, time)| *time)
    }
}

#[derive(Debug)]
struct Direction {
    piece: Piece,
    /// Whether a segment was seen.
    has_begun: bool,
    /// Number of the byte that comes next.
    next: u32,
    /// Segments that came early, by the place of their first byte.
    early: BTreeMap<usize, (u64, Vec<u8>)>,
}

impl Direction {
    fn new(ends: Ends) -> Direction {
        let piece = Piece { ends, bytes: Vec::new(), has_gap: false, times: Vec::new() };
        Direction { piece, has_begun: false, next: 0, early: BTreeMap::new() }
    }

    fn add(&mut self, sequence: u32, syn: bool, time_us: u64, payload: Vec<u8>) {
        // The opening of a connection takes a number.
        let sequence = sequence.wrapping_add(u32::from(syn));
        if !self.has_begun {
            self.has_begun = true;
            self.next = sequence;
        }
        // Numbers wrap, so only their distance says which one is earlier.
        let distance = i64::from(sequence.wrapping_sub(self.next).cast_signed());
        let have = i64::try_from(self.piece.bytes.len()).unwrap_or(i64::MAX);
        match usize::try_from(have + distance) {
            Ok(at) => drop(self.early.insert(at, (time_us, payload))),
            // It began before what was seen first.
            Err(_) => return,
        }
        while let Some(entry) = self.early.first_entry()
            && *entry.key() <= self.piece.bytes.len()
        {
            let (at, (time_us, payload)) = entry.remove_entry();
            // What was sent again is there already.
            let new = payload.get(self.piece.bytes.len() - at..).unwrap_or(&[]);
            if !new.is_empty() {
                self.piece.times.push((self.piece.bytes.len(), time_us));
                self.piece.bytes.extend_from_slice(new);
                self.next = self.next.wrapping_add(new.len() as u32);
            }
        }
    }
}

impl Streams {
    /// Adds a segment; anything else is left out.
    pub(super) fn add(&mut self, packet: Packet) {
        let Carrier::Tcp { sequence, syn } = packet.carrier else { return };
        let (from, to) = (packet.source, packet.destination);
        let key = if from <= to { (from, to) } else { (to, from) };
        let index = self.newest.get(&key).copied().filter(|index| !self.is_over(*index, from, syn));
        let index = index.unwrap_or_else(|| {
            self.list.push([Direction::new((from, to)), Direction::new((to, from))]);
            self.newest.insert(key, self.list.len() - 1);
            self.list.len() - 1
        });
        let directions = self.list.get_mut(index).into_iter().flatten();
        for direction in directions.filter(|direction| direction.piece.ends.0 == from) {
            let payload = packet.payload.clone();
            direction.add(sequence, syn, packet.time_us, payload);
        }
    }

    /// Whether an opening segment of `from` begins another connection between the same ends.
    fn is_over(&self, index: usize, from: SocketAddr, syn: bool) -> bool {
        let own = self.list.get(index).into_iter().flatten();
        let mut own = own.filter(|direction| direction.piece.ends.0 == from);
        syn && own.any(|direction| !direction.piece.bytes.is_empty())
    }

    /// All connections in which something was sent.
    pub(super) fn finish(self) -> Vec<Connection> {
        let finish = |direction: Direction| {
            let has_gap = direction.early.values().any(|(_, payload)| !payload.is_empty());
            Piece { has_gap, ..direction.piece }
        };
        let connections = self.list.into_iter().map(|directions| {
            let pieces = directions.into_iter().map(finish);
            let directions = pieces.filter(|piece| !piece.bytes.is_empty() || piece.has_gap);
            Connection { directions: directions.collect() }
        });
        connections.filter(|connection| !connection.directions.is_empty()).collect()
    }
}
