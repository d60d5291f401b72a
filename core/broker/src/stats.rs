/// Counters of one shard, plain integers that a reader sums over the shards.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Sessions with a link now.
    pub clients_connected: u64,
    /// Sessions, with and without a link, now.
    pub sessions: u64,
    /// Most clients connected at once.
    pub clients_maximum: u64,
    /// Sessions that ended by expiry.
    pub sessions_expired: u64,
    /// Connects refused.
    pub connects_refused: u64,
    /// Connects that are not decided yet, now.
    pub authenticating: u64,
    /// Look-ups of authenticators that run now.
    pub lookups: u64,
    /// What clients were denied by rules on topics: publishes, filters, wills, reads.
    pub denied: u64,
    /// Standing subscriptions ended since the rules have changed.
    pub subscriptions_revoked: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Shared subscriptions (members) now.
    pub subscriptions_shared: u64,
    /// Retained messages now.
    pub retained: u64,
    /// Bytes of retained messages now.
    pub retained_bytes: u64,
    /// Messages published to this shard's clients' operations.
    pub messages_received: u64,
    /// Payload bytes of these.
    pub bytes_received: u64,
    /// Deliveries handed to clients.
    pub messages_sent: u64,
    /// Payload bytes of these.
    pub bytes_sent: u64,
    /// Messages dropped since a session's queue, or the room of all sessions together, was full and
    /// no publisher could be told.
    pub dropped_queue_full: u64,
    /// Messages dropped since they expired.
    pub dropped_expired: u64,
    /// QoS 0 messages dropped since their client could not take them.
    pub dropped_qos0: u64,
    /// Messages dropped since the client's packet size or another refusal discarded them, or since
    /// the client may not have them any more.
    pub dropped_discarded: u64,
    /// Messages refused to publishers.
    pub publishes_refused: u64,
    /// Messages waiting in sessions now.
    pub queued_messages: u64,
    /// Bytes waiting in sessions now.
    pub queued_bytes: u64,
    /// Bytes of messages kept for sessions now (waiting, in flight, held by shared groups, wills), and
    /// of what gateways have them remember.
    pub kept_bytes: u64,
    /// Bytes of subscriptions now, an estimate from their filters' length.
    pub subscription_bytes: u64,
    /// Topics in the route cache now.
    pub route_cache_topics: u64,
}

impl Counters {
    /// Adds another shard's counters.
    pub fn add(&mut self, other: &Counters) {
        self.clients_connected += other.clients_connected;
        self.sessions += other.sessions;
        self.clients_maximum += other.clients_maximum;
        self.sessions_expired += other.sessions_expired;
        self.connects_refused += other.connects_refused;
        self.authenticating += other.authenticating;
        self.lookups += other.lookups;
        self.denied += other.denied;
        self.subscriptions_revoked += other.subscriptions_revoked;
        self.subscriptions += other.subscriptions;
        self.subscriptions_shared += other.subscriptions_shared;
        self.retained += other.retained;
        self.retained_bytes += other.retained_bytes;
        self.messages_received += other.messages_received;
        self.bytes_received += other.bytes_received;
        self.messages_sent += other.messages_sent;
        self.bytes_sent += other.bytes_sent;
        self.dropped_queue_full += other.dropped_queue_full;
        self.dropped_expired += other.dropped_expired;
        self.dropped_qos0 += other.dropped_qos0;
        self.dropped_discarded += other.dropped_discarded;
        self.publishes_refused += other.publishes_refused;
        self.queued_messages += other.queued_messages;
        self.queued_bytes += other.queued_bytes;
        self.kept_bytes += other.kept_bytes;
        self.subscription_bytes += other.subscription_bytes;
        self.route_cache_topics += other.route_cache_topics;
    }
}
