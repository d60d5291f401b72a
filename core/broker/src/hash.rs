use std::hash::{BuildHasher, Hasher};

use core_model::{ClientKey, GatewayId, OriginId, ShardId};

/// The node's secret key for placing sessions, topics and groups on shards, so that nobody outside
/// can choose client ids or topics that all fall on one shard. Equal on all shards of a node.
#[derive(Clone, Debug)]
pub struct HashKey(foldhash::fast::FixedState);

impl HashKey {
    /// A key from a random seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        HashKey(foldhash::fast::FixedState::with_seed(seed))
    }

    fn text(&self, salt: u8, text: &str) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u8(salt);
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    /// The keyed hash of a session key; also the identity of its messages.
    #[must_use]
    pub fn origin(&self, client: &ClientKey) -> OriginId {
        OriginId(self.text(client.gateway.0, &client.client_id))
    }

    /// The home shard of a session.
    #[must_use]
    pub fn home(&self, client: &ClientKey, shards: u16) -> ShardId {
        self.home_of_name(client.gateway, &client.client_id, shards)
    }

    /// The home shard of the session of `client_id` at `gateway`.
    #[must_use]
    pub fn home_of_name(&self, gateway: GatewayId, client_id: &str, shards: u16) -> ShardId {
        reduce(self.text(gateway.0, client_id), shards)
    }

    /// The shard that keeps the retained message of a topic.
    #[must_use]
    pub fn topic_shard(&self, topic: &str, shards: u16) -> ShardId {
        reduce(self.text(254, topic), shards)
    }

    /// The shard that runs a shared group, by its whole filter (`$share/name/filter`).
    #[must_use]
    pub fn group_shard(&self, group: &str, shards: u16) -> ShardId {
        reduce(self.text(255, group), shards)
    }
}

fn reduce(hash: u64, shards: u16) -> ShardId {
    // The high bits are the best mixed ones of this hash.
    ShardId(((u128::from(hash) * u128::from(shards.max(1))) >> 64) as u16)
}
