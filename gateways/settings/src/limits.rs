use core_model::ShareStrategy;

use crate::{ByName, Lapse, Never, RateLimit, Size, Unset};
use crate::{choice, settings};

settings! {
    /// Bounds of all listeners and of the node. Those of the whole node are divided evenly among the
    /// shards, so that a shard can be full a little before the node is. A zone or a listener can
    /// have others for its clients.
    pub struct Limits {
        /// Largest packet that a client may send, its header included.
        max_packet_size: Size = Size::mib(1), 128..=268_435_460;
        /// Largest packet of a client that is not yet connected, its header included.
        max_connect_size: Size = Size::kib(64), 128..=268_435_460;
        /// Time that a client has from the established connection to its first complete packet.
        connect_timeout: Lapse = Lapse::seconds(10), 1_000..=65_535_000;
        /// Connections of a listener that the system keeps until they are accepted.
        backlog: u32 = 1024, 1..=65_535;
        /// New connections of a listener; those beyond it are closed at once.
        connection_rate: RateLimit = RateLimit(None);
        /// Packets from one connection. Beyond it the client is not read for a while.
        message_rate: RateLimit = RateLimit(None);
        /// Bytes from one connection. Beyond it the client is not read for a while.
        byte_rate: RateLimit = RateLimit(None);
        /// Shortest keep alive that a client gets, where the protocol can tell it another one than
        /// it asks for.
        min_keep_alive: Never<Lapse> = Never(None), 1_000..=65_535_000;
        /// Longest keep alive that a client gets, where the protocol can tell it another one than
        /// it asks for; with a value here, none at all is not allowed.
        max_keep_alive: Never<Lapse> = Never(None), 1_000..=65_535_000;
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

settings! {
    /// Bounds of some listeners' clients. What is unset here is as the listener's zone says if this is
    /// a listener's table, and else as in `[limits]`, where each key is explained.
    pub struct OwnLimits {
        /// Largest packet that a client may send.
        max_packet_size: Unset<Size> = Unset(None), 128..=268_435_460;
        /// Largest packet of a client that is not yet connected.
        max_connect_size: Unset<Size> = Unset(None), 128..=268_435_460;
        /// Time until a client's first complete packet.
        connect_timeout: Unset<Lapse> = Unset(None), 1_000..=65_535_000;
        /// Connections that wait to be accepted.
        backlog: Unset<u32> = Unset(None), 1..=65_535;
        /// New connections of each listener.
        connection_rate: Unset<RateLimit> = Unset(None);
        /// Packets from one connection.
        message_rate: Unset<RateLimit> = Unset(None);
        /// Bytes from one connection.
        byte_rate: Unset<RateLimit> = Unset(None);
        /// Shortest keep alive.
        min_keep_alive: Unset<Never<Lapse>> = Unset(None), 1_000..=65_535_000;
        /// Longest keep alive.
        max_keep_alive: Unset<Never<Lapse>> = Unset(None), 1_000..=65_535_000;
        /// Unsettled QoS 1 and 2 deliveries to a client at once.
        max_inflight: Unset<u16> = Unset(None), 1..=65_535;
        /// Messages that wait in one session.
        max_queued_messages: Unset<u32> = Unset(None), 0..=100_000_000;
        /// Bytes that wait in one session.
        max_queued_bytes: Unset<Size> = Unset(None), 0..=1_099_511_627_776;
        /// What a full session queue drops.
        overflow: Unset<Overflow> = Unset(None);
        /// Whether QoS 0 messages wait for sessions whose client is away.
        queue_qos0_offline: Unset<bool> = Unset(None);
        /// Longest session expiry.
        max_session_expiry: Unset<Never<Lapse>> = Unset(None), 0..=315_360_000_000;
        /// Subscriptions of one session.
        max_subscriptions: Unset<u32> = Unset(None), 1..=100_000_000;
        /// Levels of a topic name or filter.
        max_topic_levels: Unset<u16> = Unset(None), 1..=32_768;
    }
}

settings! {
    /// Connections that are not established yet, since a TLS, WebSocket or PROXY handshake is under
    /// way, and look-ups of credentials. They are worked on beside the shards.
    pub struct Handshakes {
        /// Handshakes at once; one more connection is closed at once. One address gets a quarter of
        /// them at most, unless it is this machine's own or connects by PROXY protocol.
        max: u32 = 1_024, 1..=1_000_000;
        /// Time that a handshake may take.
        timeout: Lapse = Lapse::seconds(10), 100..=3_600_000;
        /// Time that a look-up of credentials may take before the client is refused.
        lookup_timeout: Lapse = Lapse::seconds(10), 100..=3_600_000;
        /// Look-ups of credentials at once, those of clients that are gone included until they end;
        /// a client whose look-up would be one more is refused with "Server busy".
        max_lookups: u32 = 4_000, 1..=16_384;
        /// Threads for them; 0 for as many as there are CPUs that the process may use.
        threads: u16 = 0, 0..=1024;
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

impl From<Strategy> for ShareStrategy {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Random => ShareStrategy::Random,
            Strategy::RoundRobin => ShareStrategy::RoundRobin,
            Strategy::Sticky => ShareStrategy::Sticky,
            Strategy::HashClient => ShareStrategy::HashClient,
            Strategy::HashTopic => ShareStrategy::HashTopic,
            Strategy::Local => ShareStrategy::Local,
            Strategy::Claim => ShareStrategy::Claim,
        }
    }
}
