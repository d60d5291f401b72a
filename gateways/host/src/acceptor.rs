use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use core_model::{Reason, ShardId, Timestamp};
use gateway_transport::{AcceptFault, Entrance};

use crate::events::HostEvent;
use crate::rates::Bucket;
use crate::reactor::{ListenSocket, Listening, Socket};
use crate::shared::lock;
use crate::sources::{Refused, SourceHold, Sources};
use crate::{
    DatagramRules, Gateway, HostCounters, HostLimits, ListenerConfig, ListenerFacts, ListenerRates,
    PerListener,
};

/// Connections that go to the lobby in one turn: their handshakes take longer than a few turns
/// anyway, and links that are served already shall not feel a rush of new ones.
const LOBBY_ACCEPTS_MAX: u32 = 4;
/// Milliseconds for which repeated exhaustion is counted, but not logged again.
pub(crate) const LOG_PAUSE_MS: u64 = 60_000;

/// A listener, as the links of all shards see it. Links that were there before its settings changed
/// keep the value with the settings that they were opened with.
pub(crate) struct Listener {
    /// Its place in the counters of every shard, which no other listener of the node ever has.
    pub(crate) number: u16,
    pub(crate) facts: Arc<ListenerFacts>,
    pub(crate) gateway: Arc<dyn Gateway>,
    /// Its transport as the configuration names it.
    pub(crate) transport: &'static str,
    /// What its connections have to pass; `None` if they need no handshake.
    pub(crate) entrance: Option<Arc<Entrance>>,
    pub(crate) max_connections: usize,
    pub(crate) rates: ListenerRates,
    pub(crate) datagrams: DatagramRules,
    /// What it shares with what it was before its settings changed.
    state: Arc<ListenerState>,
}

#[derive(Debug, Default)]
struct ListenerState {
    connections: AtomicUsize,
    sources: Arc<Sources>,
    /// Datagram links that it may open, if that is limited. Only looked at when one is opened.
    openings: Mutex<Option<Bucket>>,
    closed: AtomicBool,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Listener {
    /// From its configuration.
    pub(crate) fn new(number: u16, config: &ListenerConfig) -> Arc<Self> {
        Self::build(number, config, Arc::default())
    }

    /// The same listener with new settings, for links to come.
    pub(crate) fn renewed(&self, config: &ListenerConfig) -> Arc<Self> {
        Self::build(self.number, config, Arc::clone(&self.state))
    }

    fn build(number: u16, config: &ListenerConfig, state: Arc<ListenerState>) -> Arc<Self> {
        Arc::new(Listener {
            number,
            facts: Arc::clone(&config.facts),
            gateway: Arc::clone(&config.gateway),
            transport: config.transport(),
            entrance: config.entrance.clone().filter(|entrance| !entrance.is_open()),
            max_connections: config.max_connections,
            rates: config.rates.clone(),
            datagrams: config.datagrams.clone(),
            state,
        })
    }

    /// Connections that hold a permit now.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// It is gone: no connection of it becomes a link any more.
    pub(crate) fn close(&self) {
        self.state.closed.store(true, Ordering::Relaxed);
    }

    /// Whether it is gone. Connections may still be on their way to a shard that has closed its
    /// links already.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.closed.load(Ordering::Relaxed)
    }

    fn admit(self: &Arc<Self>) -> Option<Permit> {
        let connections = &self.state.connections;
        connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < self.max_connections).then_some(count + 1)
            })
            .ok()?;
        Some(Permit { listener: Arc::clone(self), source: None })
    }

    /// Takes in a peer that has sent its first datagram.
    ///
    /// # Errors
    /// There are too many of them, or of its source, or they come too fast; or the listener is gone.
    pub(crate) fn admit_peer(
        self: &Arc<Self>,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Result<Permit, Reason> {
        if self.is_closed() {
            return Err(Reason::SERVER_SHUTTING_DOWN);
        }
        let mut permit = self.admit().ok_or(Reason::SERVER_BUSY)?;
        if let Some(rate) = self.rates.connection {
            let mut openings = lock(&self.state.openings);
            if !openings.get_or_insert_with(|| Bucket::new(rate, now)).take(rate, now, 1) {
                return Err(Reason::CONNECTION_RATE_EXCEEDED);
            }
        }
        match permit.admit_source(peer, now) {
            true => Ok(permit),
            false => Err(Reason::QUOTA_EXCEEDED),
        }
    }

    /// The permit of a link that is nobody's and does not count.
    pub(crate) fn admit_commons(&self) -> Permit {
        let listener = Listener {
            number: self.number,
            facts: Arc::clone(&self.facts),
            gateway: Arc::clone(&self.gateway),
            transport: self.transport,
            entrance: None,
            max_connections: usize::MAX,
            rates: ListenerRates::default(),
            datagrams: self.datagrams.clone(),
            state: Arc::default(),
        };
        Arc::new(listener).admit().expect("it has no limit")
    }

    /// Connections that were refused for their source.
    pub(crate) fn refused_by_source(&self) -> u64 {
        self.state.sources.refused()
    }
}

/// One of the connections that a listener may have; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    listener: Arc<Listener>,
    /// The same of its source.
    source: Option<Box<SourceHold>>,
}

impl Permit {
    /// The listener.
    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Counts the connection for its source, as soon as that is known. `false` when the source has
    /// too many connections or opens them too fast: the connection is to be closed then.
    #[must_use]
    pub(crate) fn admit_source(&mut self, peer: SocketAddr, now: Timestamp) -> bool {
        let listener = &self.listener;
        match listener.state.sources.admit(&listener.rates.source, peer.ip(), now) {
            Ok(hold) => {
                self.source = hold;
                true
            }
            Err(Refused) => false,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.listener.state.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection without a link yet.
#[derive(Debug)]
pub(crate) struct Accepted<S> {
    /// A socket of this thread's reactor, or a stream on its way to another.
    pub(crate) socket: S,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) permit: Permit,
}

/// Accepts the connections of one listener and hands them to all shards in turn.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listening: Listening,
    waker: Waker,
    listener: Arc<Listener>,
    /// New connections that it may take, if that is limited.
    bucket: Option<Bucket>,
    /// Whether somebody may be waiting.
    ready: bool,
    resume_at: Option<Timestamp>,
    logged_at: Option<Timestamp>,
    next_shard: u16,
}

impl Acceptor {
    /// Registers `socket` with the reactor of this thread; `waker` marks it ready.
    pub(crate) fn new(
        socket: ListenSocket,
        waker: Waker,
        listener: Arc<Listener>,
    ) -> std::io::Result<Self> {
        Ok(Acceptor {
            listening: Listening::register(socket)?,
            waker,
            listener,
            bucket: None,
            ready: true,
            resume_at: None,
            logged_at: None,
            next_shard: 0,
        })
    }

    /// The number of its listener.
    pub(crate) fn number(&self) -> u16 {
        self.listener.number
    }

    /// Accepts for a listener with new settings from now on.
    pub(crate) fn renew(&mut self, listener: Arc<Listener>) {
        self.listener = listener;
    }

    /// Somebody waits.
    pub(crate) fn wake(&mut self) {
        self.ready = true;
    }

    /// When it has to be looked at although nobody called.
    pub(crate) fn resume_at(&self) -> Option<Timestamp> {
        self.resume_at
    }

    /// Whether [`Self::accept`] has something to do at `now`.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        self.ready && self.resume_at.is_none_or(|at| at <= now)
    }

    /// Accepts what waits, as far as one turn may, and passes each connection to `place`.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        limits: &HostLimits,
        shards: u16,
        counters: &mut HostCounters,
        per_listener: &mut PerListener,
        mut place: impl FnMut(ShardId, Accepted<Socket>),
    ) {
        self.resume_at = None;
        let accepts_max = match self.listener.entrance {
            Some(_) => limits.accepts_per_turn_max.min(LOBBY_ACCEPTS_MAX),
            None => limits.accepts_per_turn_max,
        };
        for _ in 0..accepts_max {
            match self.listening.accept(&self.waker) {
                Ok(None) => {
                    self.ready = false;
                    return;
                }
                Ok(Some((socket, peer))) => {
                    let Some(permit) = self.admit(now, peer) else {
                        counters.refused += 1;
                        per_listener.at(self.listener.number).refused += 1;
                        continue;
                    };
                    counters.accepted += 1;
                    per_listener.at(self.listener.number).accepted += 1;
                    self.next_shard = (self.next_shard + 1) % shards.max(1);
                    place(ShardId(self.next_shard), Accepted { socket, peer, permit });
                }
                Err(error) => match gateway_transport::accept_fault(&error) {
                    AcceptFault::Peer => {}
                    // A listener that fails for a reason unknown must not make the shard spin.
                    AcceptFault::Exhausted | AcceptFault::Listener => {
                        self.rest(now, limits, counters, &error);
                        return;
                    }
                },
            }
        }
    }

    /// Takes a connection in, unless there are too many of them or they come too fast.
    fn admit(&mut self, now: Timestamp, peer: Option<SocketAddr>) -> Option<Permit> {
        let mut permit = self.listener.admit()?;
        if let Some(rate) = self.listener.rates.connection {
            let bucket = self.bucket.get_or_insert_with(|| Bucket::new(rate, now));
            if !bucket.take(rate, now, 1) {
                return None;
            }
        }
        // A Unix socket has no sources to tell apart, and behind a proxy they are known later.
        let entrance = self.listener.entrance.as_ref();
        if entrance.is_some_and(|entrance| entrance.proxy.is_some()) {
            return Some(permit);
        }
        peer.is_none_or(|peer| permit.admit_source(peer, now)).then_some(permit)
    }

    fn rest(
        &mut self,
        now: Timestamp,
        limits: &HostLimits,
        counters: &mut HostCounters,
        error: &std::io::Error,
    ) {
        counters.accept_pauses += 1;
        self.resume_at = Some(now.plus_millis(limits.accept_pause_ms));
        if self.logged_at.is_none_or(|at| at.plus_millis(LOG_PAUSE_MS) <= now) {
            self.logged_at = Some(now);
            HostEvent::AcceptPaused { listener: &self.listener.facts.name, error }.emit();
        }
    }
}
