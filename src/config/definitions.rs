use std::path::PathBuf;

use crate::settings::{ByName, Lapse, Never, Size, Unset};
use crate::{choice, settings};

settings! {
    /// The node.
    pub struct Node {
        /// Folder for what the server keeps: the store, `listeners.json` with the addresses in use,
        /// and a lock against a second server in the same folder. It is created if missing.
        data_dir: PathBuf = "manifold-data".into();
        /// Threads that own links and sessions; 0 for as many as there are CPUs that the process
        /// may use.
        shards: u16 = 0, 0..=1024;
        /// How long the server waits at its end for its clients to take their last bytes.
        drain_timeout: Lapse = Lapse::seconds(10), 0..=3_600_000;
        /// Time between two updates of the `$SYS` topics.
        sys_interval: Never<Lapse> = Never(Some(Lapse::seconds(10))), 1_000..=86_400_000;
        /// Sessions, queued and retained messages.
        store: Store = Store::default();
        /// What the server says about itself.
        log: Log = Log::default();
        /// Bounds of the core. Those of the whole node are divided evenly among the shards.
        limits: Limits = Limits::default();
    }
    later ["acl", "authentication", "banned", "cluster", "http", "metrics"]
}

settings! {
    /// Sessions, queued and retained messages.
    pub struct Store {
        /// What an acknowledgement promises. In this version all state is in memory and ends with
        /// the process, whatever is written here; the server says so when it starts.
        durability: Durability = Durability::Sync;
    }
    later ["path"]
}

choice! {
    /// What an acknowledgement promises.
    pub enum Durability {
        /// The message is on the disk.
        Sync = "sync",
        /// The message will soon be on the disk.
        Async = "async",
        /// Nothing beyond the process.
        Off = "off",
    }
}

settings! {
    /// What the server says about itself, on standard error.
    pub struct Log {
        /// The least severe lines that are written. The environment variable `RUST_LOG` overrules
        /// it and can choose by module, as in `warn,gateway_host=debug`.
        level: Level = Level::Info;
        /// Form of the lines: with the time, or without for a collector that adds its own.
        format: Format = Format::Text;
    }
}

choice! {
    /// Severity of a line.
    pub enum Level {
        /// The operator has to act.
        Error = "error",
        /// Something went wrong and was put right.
        Warn = "warn",
        /// Life cycle of the server.
        Info = "info",
        /// Life cycle of links.
        Debug = "debug",
        /// Every frame.
        Trace = "trace",
    }
    later ["off"]
}

choice! {
    /// Form of a line.
    pub enum Format {
        /// Time, level, module, message and fields.
        Text = "text",
        /// The same without the time.
        Journal = "journal",
    }
    later ["json"]
}

settings! {
    /// Bounds of the core. Those of the whole node are divided evenly among the shards, so that a
    /// shard can be full a little before the node is.
    pub struct Limits {
        /// Unsettled QoS 1 and 2 deliveries to a client at once, whatever more it allows.
        max_inflight: u16 = 1024, 1..=65_535;
        /// Messages that wait in one session beside those in flight.
        max_queued_messages: u32 = 10_000, 0..=100_000_000;
        /// Bytes that wait in one session beside those in flight.
        max_queued_bytes: Size = Size::mib(16), 0..=1_099_511_627_776;
        /// Bytes of all messages that the node keeps for sessions: those that wait, those in
        /// flight to sessions that outlive their connection, those held by shared groups, and
        /// wills. Above it, publishes that would have to be kept are refused with "Quota
        /// exceeded".
        max_kept_bytes_total: Size = Size::mib(512), 0..=1_099_511_627_776;
        /// What a full session queue drops.
        overflow: Overflow = Overflow::DropNewest;
        /// Whether QoS 0 messages wait for sessions whose client is away.
        queue_qos0_offline: bool = false;
        /// Longest session expiry that a client gets.
        max_session_expiry: Never<Lapse> = Never(None), 0..=315_360_000_000;
        /// Sessions of the node, with and without a client.
        max_sessions: u32 = 1_000_000, 1..=100_000_000;
        /// Subscriptions of one session.
        max_subscriptions: u32 = 100_000, 1..=100_000_000;
        /// Bytes of all subscriptions of the node, estimated from their filters' length. More are
        /// refused with "Quota exceeded".
        max_subscription_bytes_total: Size = Size::mib(512), 0..=1_099_511_627_776;
        /// Levels of a topic name or filter.
        max_topic_levels: u16 = 128, 1..=32_768;
        /// Longest client identifier, in bytes of UTF-8.
        max_client_id_bytes: u16 = 1_024, 1..=65_535;
        /// Retained messages of the node; more are refused with "Quota exceeded".
        max_retained_messages: u32 = 1_000_000, 0..=100_000_000;
        /// Bytes of retained messages of the node; more are refused with "Quota exceeded".
        max_retained_bytes: Size = Size::mib(512), 0..=1_099_511_627_776;
        /// Topics of the node whose receivers are remembered.
        max_route_cache_topics: u32 = 65_536, 0..=100_000_000;
        /// Time after which a delivery that an MQTT 3.1.1 client has not acknowledged is repeated.
        /// MQTT 5 forbids repeating it while the client stays connected.
        retransmit_after: Never<Lapse> = Never(None), 1_000..=86_400_000;
        /// Units of work that can be put off (expiries, retained messages, removed subscriptions)
        /// in one turn of a shard.
        max_work_per_turn: u32 = 1_000, 1..=1_000_000;
        /// Output to clients.
        links: Links = Links::default();
        /// Shared subscriptions.
        shared: Shared = Shared::default();
    }
}

choice! {
    /// What a full session queue drops.
    pub enum Overflow {
        /// The arriving message.
        DropNewest = "drop-newest",
        /// The message that waits longest.
        DropOldest = "drop-oldest",
    }
}

settings! {
    /// Bounds of the connections of all listeners.
    pub struct Links {
        /// Bytes read from a connection at once; one such buffer for each shard.
        read_buffer: Size = Size::kib(64), 4_096..=16_777_216;
        /// Bytes on the way to a client from which on it counts as slow: more for it waits in its
        /// session.
        max_output: Size = Size::mib(1), 4_096..=1_073_741_824;
        /// Bytes beyond `max_output`, of answers that cannot wait, before a slow client is
        /// disconnected.
        max_output_overrun: Size = Size::mib(4), 0..=1_073_741_824;
        /// Bytes that all connections of the node hold together: output that waits and packets that
        /// are not complete. From half of it on clients count as slow at 64KiB, and above it those
        /// that hold more than 4KiB are disconnected.
        max_buffered_total: Size = Size::mib(1024), 1_048_576..=1_099_511_627_776;
        /// Time after which a client is disconnected that takes no byte of what waits for it.
        stall_timeout: Lapse = Lapse::seconds(60), 1_000..=86_400_000;
    }
}

settings! {
    /// Shared subscriptions.
    pub struct Shared {
        /// How the member for a message is picked: at random, one after the other, the same until
        /// it leaves, by a hash of the publisher's client id or of the topic, a member on the
        /// publisher's shard first, or the member with the most room.
        strategy: Strategy = Strategy::RoundRobin;
        /// Messages that one group holds while none of its members can take them.
        max_held_messages: u32 = 10_000, 0..=100_000_000;
        /// Strategies of single groups, by share name: the `NAME` of `$share/NAME/filter`.
        groups: ByName<Strategy> = ByName { list: Vec::new(), example: "NAME = \"sticky\"" };
    }
}

choice! {
    /// How the member for a message is picked.
    pub enum Strategy {
        /// One after the other.
        RoundRobin = "round-robin",
        /// Any member, evenly.
        Random = "random",
        /// The same member until it leaves or cannot take more.
        Sticky = "sticky",
        /// By the publisher's client id.
        HashClient = "hash-client",
        /// By the topic.
        HashTopic = "hash-topic",
        /// A member on the publisher's shard, if there is one.
        Local = "local",
        /// The member with the most room.
        Claim = "claim",
    }
}

settings! {
    /// An address where clients connect, with its protocol and policy; write one for each. A file
    /// without any has one like this.
    pub struct ListenerTable {
        /// Name in logs and in `listeners.json`; no two listeners have the same.
        name: String = "mqtt".into();
        /// Protocol spoken here.
        gateway: String = "mqtt".into();
        /// What carries the protocol.
        transport: Transport = Transport::Tcp;
        /// Address and port; port 0 lets the system choose.
        bind: std::net::SocketAddr = std::net::SocketAddr::from(([127, 0, 0, 1], 1883));
        /// Prefix of all topics of this listener's clients, which they do not see; `%c` stands for
        /// the client id, `%u` for the user name.
        mountpoint: String = String::new();
        /// Whether clients without credentials are let in. Unset it means yes on a loopback
        /// address; on any other address it must be set.
        allow_anonymous: Unset<bool> = Unset(None);
        /// Connections at once; one more is closed at once.
        max_connections: u32 = 100_000, 1..=10_000_000;
        /// Bounds of each connection.
        limits: ListenerLimits = ListenerLimits::default();
    }
    later ["authentication", "proxy_protocol", "proxy_protocol_from", "tls", "websocket"]
}

settings! {
    /// Bounds of each connection.
    pub struct ListenerLimits {
        /// Largest packet that a client may send, its header included.
        max_packet_size: Size = Size::mib(1), 128..=268_435_460;
        /// Largest packet of a client that is not yet connected, its header included.
        max_connect_size: Size = Size::kib(64), 128..=268_435_460;
        /// Time that a client has from the connection to its first complete packet.
        connect_timeout: Lapse = Lapse::seconds(10), 1_000..=65_535_000;
        /// Connections that the system keeps until they are accepted.
        backlog: u32 = 1024, 1..=65_535;
    }
    later [
        "byte_rate", "connection_rate", "max_queued_bytes", "max_queued_messages",
        "max_subscriptions", "message_rate",
    ]
}

choice! {
    /// What carries a protocol.
    pub enum Transport {
        /// TCP without encryption.
        Tcp = "tcp",
    }
    later ["tls", "ws", "wss", "unix", "udp", "dtls", "quic"]
}
