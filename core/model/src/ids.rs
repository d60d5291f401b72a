use std::fmt;

/// The number of a shard on this node, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// The number of a registered gateway. MQTT over TCP, TLS and WebSocket is one gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(pub u8);

/// A link of one shard: an index into its table and the generation of that place, so that a late
/// event for a closed link never reaches the one that took its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// Place in the shard's table of links.
    pub index: u32,
    /// How often the place has been taken before.
    pub generation: u32,
}

/// One client on a link: where events for it go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// The shard that owns the link.
    pub shard: ShardId,
    /// The link.
    pub link: LinkId,
    /// The client's number on the link; 0 on links that carry one client.
    pub number: u32,
}

/// Names an operation until its answer arrives. The machine chooses it; core returns it unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticket(pub u32);

/// Who published a message, as a keyed hash of the session key; equal on all shards of a node.
/// The default names no client: the server itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OriginId(pub u64);

/// The key of a session: two protocols may use the same client id and are two sessions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey {
    /// The gateway through which the client speaks.
    pub gateway: GatewayId,
    /// The client identifier; never empty once a session exists.
    pub client_id: Box<str>,
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.gateway.0, self.client_id)
    }
}
