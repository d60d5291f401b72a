//! Where connections wait until their handshake is done: PROXY header, TLS, WebSocket. It is beside
//! the shards, since a handshake costs as much as thousands of messages and may never end.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use core_model::{ShardId, Timestamp};
use gateway_transport::{Entrance, Established, Handshake, HandshakeFault};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::acceptor::{Accepted, Permit};
use crate::events::HostEvent;
use crate::reactor::{Socket, Stream};
use crate::shard_loop::ShardLoop;
use crate::shared::{Command, NodeShared, lock};
use crate::sources::{Refused, SourceHold, Sources};
use crate::{HostLimits, NodeCounters, Output, SourceLimits};

/// Bytes that a handshake reads at once.
const READ_BYTES: usize = 8 * 1024;
/// Bytes that a peer may send before its handshake is done.
const HANDSHAKE_BYTES_MAX: usize = 128 * 1024;

/// So many sources it takes to fill the lobby.
const SOURCES_MIN: usize = 4;

/// The lobby of a node.
#[derive(Debug)]
pub(crate) struct Lobby {
    /// Connections in it.
    guests: AtomicUsize,
    /// How many handshakes may compute at once. Those that wait hold no thread, so that other work
    /// of the side gets its turn between two of them.
    computing: Semaphore,
    next_shard: AtomicU16,
    /// Who has taken the seats.
    sources: Arc<Sources>,
    /// What became of handshakes.
    counters: Mutex<NodeCounters>,
}

impl Lobby {
    /// An empty one, in which so many handshakes compute at once.
    pub(crate) fn new(computing: usize) -> Self {
        Lobby {
            guests: AtomicUsize::new(0),
            computing: Semaphore::new(computing.max(1)),
            next_shard: AtomicU16::new(0),
            sources: Arc::default(),
            counters: Mutex::default(),
        }
    }

    /// Holds a source to its part of the seats, so that nobody keeps all others out by connections
    /// that say nothing. Connections from this machine are not limited.
    fn share(
        &self,
        peer: Option<SocketAddr>,
        seats: usize,
        now: Timestamp,
    ) -> Result<Option<Box<SourceHold>>, Refused> {
        let Some(peer) = peer else { return Ok(None) };
        let part = u32::try_from(seats / SOURCES_MIN).unwrap_or(u32::MAX).max(1);
        let limits = SourceLimits { connections: Some(part), ..SourceLimits::default() };
        self.sources.admit(&limits, peer.ip(), now)
    }

    /// What became of handshakes.
    pub(crate) fn counters(&self) -> NodeCounters {
        let mut counters = lock(&self.counters).clone();
        counters.host.handshakes = self.guests.load(Ordering::Relaxed) as u64;
        counters
    }
}

/// Takes a connection in until its handshake is done, and then hands it to one of the shards.
/// `false` when too many are there already: it is closed without a word.
fn receive(
    node: &Arc<NodeShared>,
    accepted: Accepted<Stream>,
    entrance: &Arc<Entrance>,
    limits: &HostLimits,
) -> bool {
    let Some(seat) = Seat::take(node, limits.handshakes_max) else { return false };
    // A proxy connects for everybody.
    let source = accepted.peer.filter(|_| entrance.proxy.is_none());
    let Ok(share) = node.lobby.share(source, limits.handshakes_max, node.clock.now()) else {
        return false;
    };
    let entrance = Arc::clone(entrance);
    let bounds = Bounds {
        handshake: Duration::from_millis(limits.handshake_timeout_ms),
        linger: Duration::from_secs(u64::from(limits.linger_timeout_s)),
    };
    node.side.spawn(async move {
        greet(&seat.0, accepted, &entrance, bounds).await;
        drop(share);
    });
    true
}

/// A place in the lobby; given back when it is dropped.
struct Seat(Arc<NodeShared>);

impl Seat {
    fn take(node: &Arc<NodeShared>, seats: usize) -> Option<Self> {
        let seat = Seat(Arc::clone(node));
        // Dropping the seat gives back what was taken too much.
        let taken = node.lobby.guests.fetch_add(1, Ordering::Relaxed);
        (taken < seats).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.lobby.guests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a guest may stay.
#[derive(Clone, Copy)]
struct Bounds {
    handshake: Duration,
    /// After it was told to go.
    linger: Duration,
}

/// Why a connection does not get further.
enum Refusal {
    Fault(HandshakeFault),
    /// It sends on and on.
    TooLong,
    /// The peer is gone.
    Lost,
}

async fn greet(
    node: &NodeShared,
    accepted: Accepted<Stream>,
    entrance: &Arc<Entrance>,
    bounds: Bounds,
) {
    let Accepted { socket: stream, peer, permit } = accepted;
    // Without memory in the kernel there is nothing to tell this client.
    let Ok(socket) = Socket::register(stream) else { return };
    let mut guest = Guest {
        socket,
        handshake: entrance.begin(peer),
        output: Output::default(),
        bytes_left: HANDSHAKE_BYTES_MAX,
    };
    let outcome = timeout(bounds.handshake, guest.shake_hands(&node.lobby.computing)).await;
    let refusal = match outcome {
        Ok(Ok(established)) => {
            return hand_over(node, guest.socket, permit, established, entrance);
        }
        Ok(Err(refusal)) => Some(refusal),
        Err(_) => None,
    };
    note(node, &permit, peer, &guest, refusal.as_ref());
    if matches!(refusal, Some(Refusal::Fault(_))) {
        // Closing with unread input would destroy what the peer is told.
        let _ = timeout(bounds.linger, guest.leave()).await;
    }
}

fn hand_over(
    node: &NodeShared,
    socket: Socket,
    mut permit: Permit,
    established: Established,
    entrance: &Entrance,
) {
    let number = permit.listener().number;
    // What connected was the proxy, so the source is known only now.
    if entrance.proxy.is_some()
        && let Some(peer) = established.peer
        && !permit.admit_source(peer, node.clock.now())
    {
        let mut counters = lock(&node.lobby.counters);
        counters.host.refused += 1;
        counters.listeners.at(number).refused += 1;
        return;
    }
    let Ok(stream) = socket.release() else { return };
    let turn = node.lobby.next_shard.fetch_add(1, Ordering::Relaxed);
    let to = ShardId(turn % node.shards.max(1));
    let mut counters = lock(&node.lobby.counters);
    counters.host.handshakes_done += 1;
    drop(counters);
    // A shard that has ended drops it.
    let open = Command::Run(Box::new(move |shard| shard.establish(stream, permit, established)));
    node.command(to, open);
}

/// Counts and logs a handshake that came to nothing; without a refusal its time was over.
fn note(
    node: &NodeShared,
    permit: &Permit,
    peer: Option<SocketAddr>,
    guest: &Guest,
    refusal: Option<&Refusal>,
) {
    let listener = permit.listener();
    let mut counters = lock(&node.lobby.counters);
    counters.listeners.at(listener.number).handshakes_failed += 1;
    match refusal {
        Some(_) => counters.host.handshakes_failed += 1,
        None => counters.host.handshakes_timed_out += 1,
    }
    drop(counters);
    let name = &listener.facts.name;
    let waits_for = guest.handshake.waits_for().name();
    let (part, fault): (_, &dyn std::fmt::Display) = match refusal {
        Some(Refusal::Fault(fault)) => (fault.kind.name(), &fault.text),
        Some(Refusal::TooLong) => (waits_for, &"too many bytes"),
        Some(Refusal::Lost) => (waits_for, &"the peer is gone"),
        None => (waits_for, &"it took too long"),
    };
    HostEvent::HandshakeFailed { listener: name, peer, part, fault }.emit();
}

/// A connection in the lobby.
struct Guest {
    socket: Socket,
    handshake: Handshake,
    output: Output,
    /// Bytes that the peer may still send.
    bytes_left: usize,
}

impl Guest {
    async fn shake_hands(&mut self, computing: &Semaphore) -> Result<Established, Refusal> {
        loop {
            self.readable().await;
            let turn = computing.acquire().await;
            let step = self.advance();
            drop(turn);
            self.write_all().await.map_err(|_| Refusal::Lost)?;
            if let Some(established) = step? {
                return Ok(established);
            }
        }
    }

    /// Reads once, and goes on with what it brought.
    fn advance(&mut self) -> Result<Option<Established>, Refusal> {
        // On the stack of a thread, not in the memory of every guest.
        let mut buffer = [0; READ_BYTES];
        let wire = match self.socket.read(Waker::noop(), &mut buffer) {
            Ok(None) => return Ok(None),
            Ok(Some(0)) | Err(_) => return Err(Refusal::Lost),
            Ok(Some(count)) => buffer.get(..count).unwrap_or(&[]),
        };
        self.bytes_left = self.bytes_left.checked_sub(wire.len()).ok_or(Refusal::TooLong)?;
        let handshake = &mut self.handshake;
        self.output.write_with(|out| handshake.input(wire, out)).map_err(Refusal::Fault)
    }

    async fn readable(&mut self) {
        let socket = &mut self.socket;
        poll_fn(|context| match socket.watch(context.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    async fn write_all(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let (socket, output) = (&mut self.socket, &self.output);
            let written = poll_fn(|context| match socket.write(context.waker(), output) {
                Ok(None) => Poll::Pending,
                Ok(Some(count)) => Poll::Ready(Ok(count)),
                Err(error) => Poll::Ready(Err(error)),
            });
            let count = written.await?;
            self.output.advance(count, &mut Vec::new());
        }
        Ok(())
    }

    /// Says that nothing more comes, and throws away what the peer still sends until it closes.
    async fn leave(&mut self) {
        self.socket.end_output(Waker::noop());
        loop {
            self.readable().await;
            let mut buffer = [0; READ_BYTES];
            match self.socket.read(Waker::noop(), &mut buffer) {
                Ok(None) => {}
                Ok(Some(count)) if count > 0 && count < self.bytes_left => self.bytes_left -= count,
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }
}

impl ShardLoop {
    /// Has a connection do its handshake before it becomes a link.
    pub(crate) fn send_to_lobby(&mut self, accepted: Accepted<Socket>, entrance: &Arc<Entrance>) {
        let Accepted { socket, peer, permit } = accepted;
        let number = permit.listener().number;
        let Ok(socket) = socket.release() else { return };
        let accepted = Accepted { socket, peer, permit };
        if !receive(&self.node, accepted, entrance, &self.links.limits) {
            self.links.counters.handshakes_refused += 1;
            self.links.per_listener.at(number).refused += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_takes_all_seats() {
        let lobby = Lobby::new(1);
        let share = |peer: &str| lobby.share(peer.parse().ok(), 8, Timestamp::ZERO);
        let first = share("192.0.2.1:1000").unwrap();
        let _second = share("192.0.2.1:1001").unwrap();
        assert_eq!(share("192.0.2.1:1002").err(), Some(Refused), "a quarter of 8 is 2");
        assert!(share("192.0.2.2:1000").is_ok(), "another one has his own part");
        drop(first);
        assert!(share("192.0.2.1:1002").is_ok(), "there is room again");
        for port in 1..100 {
            assert!(share(&format!("127.0.0.1:{port}")).unwrap().is_none());
        }
    }
}
