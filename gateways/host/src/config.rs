use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use core_model::{BrokerLimits, Plugins, ShardId};
use core_store::{MemoryStore, Store};
use gateway_transport::Entrance;
use ipnet::IpNet;

use crate::{Gateway, ListenerFacts};

/// Makes the store of a shard, on the shard's own thread.
pub type OpenStore = dyn Fn(ShardId) -> Box<dyn Store> + Send + Sync;

/// Called when a shard has panicked, with its number and what it said. The node is of no use any
/// more: its sessions on that shard are gone.
pub type OnFailure = dyn Fn(ShardId, &str) + Send + Sync;

/// Everything that a node needs to know at its start.
pub struct NodeConfig {
    /// Threads that own links and sessions; 0 for as many as there are CPUs that this process may
    /// use.
    pub shards: u16,
    /// Batches that may wait in the ring from one shard to another, at least 1.
    pub ring_capacity: usize,
    /// Bounds of links.
    pub limits: HostLimits,
    /// Bounds and habits of the core.
    pub broker_limits: Arc<BrokerLimits>,
    /// Plug-ins.
    pub plugins: Arc<Plugins>,
    /// Where durable state goes.
    pub store: Arc<OpenStore>,
    /// Source of all random choices; `None` for a fresh one.
    pub seed: Option<u64>,
    /// Seconds between two updates of the `$SYS` topics; 0 for none.
    pub sys_interval_s: u32,
    /// Name and version of the server, for `$SYS/broker/version`.
    pub version: Box<str>,
    /// Where clients connect.
    pub listeners: Vec<ListenerConfig>,
    /// Told of a panic.
    pub on_failure: Arc<OnFailure>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        NodeConfig {
            shards: 0,
            ring_capacity: 64,
            limits: HostLimits::default(),
            broker_limits: Arc::default(),
            plugins: Arc::default(),
            store: Arc::new(|_| Box::new(MemoryStore::immediate())),
            seed: None,
            sys_interval_s: 10,
            version: concat!("manifold ", env!("CARGO_PKG_VERSION")).into(),
            listeners: Vec::new(),
            on_failure: Arc::new(|_, _| {}),
        }
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A UDP address; port 0 lets the system choose.
    Udp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// Its file.
        path: PathBuf,
        /// Permissions of the file, such as 0o660; `None` for the system's default.
        mode: Option<u32>,
    },
}

impl Bind {
    /// The address; `None` for a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Bind::Tcp(address) | Bind::Udp(address) => Some(*address),
            Bind::Unix { .. } => None,
        }
    }
}

impl From<SocketAddr> for Bind {
    fn from(address: SocketAddr) -> Self {
        Bind::Tcp(address)
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp(address) | Bind::Udp(address) => address.fmt(f),
            Bind::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How much there may be in the long run, and how much at once. For a link, a burst smaller than
/// what comes in a fifth of a second counts as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units that come back each second, at least 1.
    pub per_second: u32,
    /// Units that may be used at once after a pause, at least 1.
    pub burst: u32,
}

/// The rates of a listener. Whatever is `None` is not limited, and costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerRates {
    /// New connections; one beyond it is closed at once.
    pub connection: Option<Rate>,
    /// Messages that one link publishes. A link beyond it is read no more until it may go on.
    pub message: Option<Rate>,
    /// Bytes that come from one link's socket, in the same way.
    pub byte: Option<Rate>,
    /// For each address that connections come from.
    pub source: SourceLimits,
}

/// What one source may have: an IPv4 address, or the IPv6 addresses that share their first 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLimits {
    /// Connections at once.
    pub connections: Option<u32>,
    /// New connections.
    pub connection: Option<Rate>,
    /// Datagrams that are of no link; those beyond it are dropped. Each shard counts for itself.
    pub stray: Option<Rate>,
    /// Sources that are not limited.
    pub exempt: Vec<IpNet>,
}

impl Default for SourceLimits {
    /// No limits; loopback would be exempt from them.
    fn default() -> Self {
        let loopback = [
            IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
            IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128),
        ];
        SourceLimits { connections: None, connection: None, stray: None, exempt: loopback.into() }
    }
}

/// One listener.
#[derive(Clone)]
pub struct ListenerConfig {
    /// What its links are told about it.
    pub facts: Arc<ListenerFacts>,
    /// Where it listens.
    pub bind: Bind,
    /// Connections that the system keeps until they are accepted.
    pub backlog: u32,
    /// Links at once; a connection beyond it is accepted and closed without a byte, so that its
    /// client learns of it at once and does not wait in the backlog.
    pub max_connections: usize,
    /// The protocol spoken here.
    pub gateway: Arc<dyn Gateway>,
    /// What stands between a connection and the gateway: PROXY protocol, TLS, WebSocket. `None`
    /// if nothing does.
    pub entrance: Option<Arc<Entrance>>,
    /// How much may come, and how fast.
    pub rates: ListenerRates,
    /// Habits of a datagram listener.
    pub datagrams: DatagramRules,
}

/// Who may move a client to another address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rebind {
    /// Whoever proves its identity by DTLS; over plain UDP nobody.
    DtlsOnly,
    /// Who has the same IP address, whatever the port.
    #[default]
    SameIp,
    /// Everybody who names the client.
    Trust,
}

/// Habits of a datagram listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatagramRules {
    /// Seconds of silence after which a link is closed, unless its machine has agreed to a longer
    /// one with the peer.
    pub idle_timeout_s: u32,
    /// Bytes that the kernel keeps for each shard's socket until they are read; 0 for the system's
    /// default.
    pub receive_buffer_bytes: usize,
    /// How a load balancer asks whether the listener is alive.
    pub health_check: Option<HealthCheck>,
}

/// A datagram that asks whether a listener is alive, and the answer, which is no longer than three
/// times as much.
pub type HealthCheck = (Box<[u8]>, Box<[u8]>);

impl Default for DatagramRules {
    fn default() -> Self {
        DatagramRules { idle_timeout_s: 180, receive_buffer_bytes: 0, health_check: None }
    }
}

impl ListenerConfig {
    /// A listener with the default bounds: a backlog of 1024, 100 000 connections, no rates.
    #[must_use]
    pub fn new(
        facts: Arc<ListenerFacts>,
        bind: impl Into<Bind>,
        gateway: Arc<dyn Gateway>,
    ) -> Self {
        ListenerConfig {
            facts,
            bind: bind.into(),
            backlog: 1024,
            max_connections: 100_000,
            gateway,
            entrance: None,
            rates: ListenerRates::default(),
            datagrams: DatagramRules::default(),
        }
    }

    /// The transport as the configuration names it.
    #[must_use]
    pub fn transport(&self) -> &'static str {
        let entrance = self.entrance.as_deref();
        let tls = entrance.is_some_and(|entrance| entrance.tls.is_some());
        let websocket = entrance.is_some_and(|entrance| entrance.websocket.is_some());
        match (websocket, tls, &self.bind) {
            (true, true, _) => "wss",
            (true, false, _) => "ws",
            (false, true, _) => "tls",
            (false, false, Bind::Tcp(_)) => "tcp",
            (false, false, Bind::Udp(_)) => "udp",
            (false, false, Bind::Unix { .. }) => "unix",
        }
    }
}

impl fmt::Debug for ListenerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerConfig")
            .field("name", &self.facts.name)
            .field("bind", &self.bind)
            .field("gateway", &self.gateway.name())
            .finish_non_exhaustive()
    }
}

/// Bounds of links and of the work in a turn of a shard.
#[derive(Clone, Debug)]
pub struct HostLimits {
    /// Bytes that a link reads in one turn, at least 4096. One such buffer per shard.
    pub read_buffer_bytes: usize,
    /// Output from which on a link counts as congested and its machine is told.
    pub write_buffer_high_bytes: usize,
    /// Output that a machine may add after it was told; more closes the link.
    pub write_overrun_bytes_max: usize,
    /// Bytes that all links of a shard may hold from turn to turn: output that waits and packets that
    /// are not complete. Above it the links that hold most are closed, but none that holds 4 KiB or
    /// less; from half of it on, links count as congested at 64 KiB.
    pub buffered_bytes_total_max: usize,
    /// Seconds after which a link is closed that takes none of the output that waits for it.
    pub write_stall_timeout_s: u32,
    /// Seconds that the last output of a closing link has.
    pub close_timeout_s: u32,
    /// Seconds that a peer has to close its side after our farewell.
    pub linger_timeout_s: u32,
    /// Input that is read and thrown away in that time.
    pub linger_bytes_max: usize,
    /// Connections accepted by one listener in one turn.
    pub accepts_per_turn_max: u32,
    /// Milliseconds that a listener rests when the system is out of descriptors.
    pub accept_pause_ms: u64,
    /// Pieces of mail to other shards after which a turn reads no more links.
    pub mail_per_turn_max: usize,
    /// Output of a shard after which a turn writes without waiting for its end.
    pub output_per_turn_bytes_max: usize,
    /// Bytes of free output buffers that a shard keeps.
    pub pool_bytes_max: usize,
    /// Milliseconds between two looks of others at a shard's counters.
    pub counters_interval_ms: u64,
    /// Handshakes of TLS, WebSocket and PROXY protocol under way at once in the whole node.
    pub handshakes_max: usize,
    /// Milliseconds that a handshake may take.
    pub handshake_timeout_ms: u64,
    /// Milliseconds that a look-up of an authenticator may take.
    pub lookup_timeout_ms: u64,
    /// Threads beside the shards for handshakes and look-ups; 0 for as many as there are shards.
    pub side_threads: usize,
}

impl Default for HostLimits {
    fn default() -> Self {
        HostLimits {
            read_buffer_bytes: 64 * 1024,
            write_buffer_high_bytes: 1 << 20,
            write_overrun_bytes_max: 4 << 20,
            buffered_bytes_total_max: 1 << 30,
            write_stall_timeout_s: 60,
            close_timeout_s: 5,
            linger_timeout_s: 2,
            linger_bytes_max: 4 << 20,
            accepts_per_turn_max: 64,
            accept_pause_ms: 1_000,
            mail_per_turn_max: 16_384,
            output_per_turn_bytes_max: 4 << 20,
            pool_bytes_max: 8 << 20,
            counters_interval_ms: 1_000,
            handshakes_max: 1_024,
            handshake_timeout_ms: 10_000,
            lookup_timeout_ms: 10_000,
            side_threads: 0,
        }
    }
}
