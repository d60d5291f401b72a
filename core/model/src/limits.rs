use std::sync::Arc;

/// What happens to a message for which a full session queue has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The arriving message is dropped and counted.
    #[default]
    DropNewest,
    /// The oldest queued message is dropped and counted, the arriving one queued.
    DropOldest,
}

/// How a shared subscription picks the member for a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShareStrategy {
    /// Any member, evenly at random.
    Random,
    /// One after the other.
    #[default]
    RoundRobin,
    /// The same member until it leaves or cannot take more.
    Sticky,
    /// By the publisher's identity.
    HashClient,
    /// By the topic name.
    HashTopic,
    /// A member on the publisher's shard where there is one, else round robin.
    Local,
    /// The member with the most free credit; nobody is given more than he can take at once.
    Claim,
}

/// The bounds and habits of one session. A listener may have its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Unsettled QoS 1 and 2 deliveries to a client at once, whatever more it allows (1 to 65 535).
    pub inflight_max: u16,
    /// Messages waiting in one session beside those in flight.
    pub queued_messages_max: usize,
    /// Bytes waiting in one session beside those in flight.
    pub queued_bytes_max: usize,
    /// What a full session queue does.
    pub overflow: Overflow,
    /// Whether QoS 0 messages are queued for sessions without a link.
    pub queue_qos0_offline: bool,
    /// Longest session expiry that a client gets, in seconds; `u32::MAX` allows "never".
    pub session_expiry_max_s: u32,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// Levels of a topic name or filter.
    pub topic_levels_max: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits {
            inflight_max: 1024,
            queued_messages_max: 10_000,
            queued_bytes_max: 16 << 20,
            overflow: Overflow::default(),
            queue_qos0_offline: false,
            session_expiry_max_s: u32::MAX,
            subscriptions_max: 100_000,
            topic_levels_max: 128,
        }
    }
}

/// The bounds and habits of one node's core.
#[derive(Clone, Debug)]
pub struct BrokerLimits {
    /// Those of sessions whose listener has no others.
    pub session: Arc<SessionLimits>,
    /// Look-ups of authenticators that may run for one shard at once; a connect that needs one more
    /// is refused with "Server busy".
    pub lookups_max: usize,
    /// Bytes of messages that one shard keeps for its sessions: waiting, in flight to sessions that
    /// outlive their link, held by shared groups, wills; notes of gateways count too. Above it publishes that would have to be
    /// kept are refused with "Quota exceeded".
    pub kept_bytes_total_max: usize,
    /// Sessions of one shard, with and without a link.
    pub sessions_max: usize,
    /// Bytes of the subscriptions of one shard, estimated from their filters' length; more are
    /// refused with "Quota exceeded".
    pub subscription_bytes_total_max: usize,
    /// Longest client identifier in bytes.
    pub client_id_bytes_max: usize,
    /// Retained messages of one shard; more are refused with "Quota exceeded".
    pub retained_messages_max: usize,
    /// Bytes of retained messages of one shard.
    pub retained_bytes_max: usize,
    /// Topics in the cache from topic to receivers of one shard.
    pub route_cache_topics_max: usize,
    /// Messages that one shared group holds while no member can take them.
    pub group_held_messages_max: usize,
    /// Strategy of shared groups that have none of their own.
    pub share_strategy: ShareStrategy,
    /// Strategies by share name.
    pub share_strategy_by_name: Vec<(Box<str>, ShareStrategy)>,
    /// Seconds after which an unsettled delivery to an MQTT 3.1.1 client is repeated; 0 for never,
    /// which is what MQTT 5 demands and 3.1.1 recommends.
    pub retransmit_after_s: u32,
    /// Units of resumable work (expiries, retained messages, subscriptions removed) in one turn.
    pub work_per_turn_max: usize,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        BrokerLimits {
            session: Arc::default(),
            lookups_max: 1_000,
            kept_bytes_total_max: 512 << 20,
            sessions_max: 1_000_000,
            subscription_bytes_total_max: 512 << 20,
            client_id_bytes_max: 1_024,
            retained_messages_max: 1_000_000,
            retained_bytes_max: 512 << 20,
            route_cache_topics_max: 65_536,
            group_held_messages_max: 10_000,
            share_strategy: ShareStrategy::default(),
            share_strategy_by_name: Vec::new(),
            retransmit_after_s: 0,
            work_per_turn_max: 1_000,
        }
    }
}
