use core_model::ShardId;
use core_store::{Lsn, MemoryStore, Mutation, Store};

use crate::trace::{Entry, Log};

/// A store whose every batch and every completion is seen by the checkers.
pub struct ObservedStore {
    shard: ShardId,
    inner: MemoryStore,
    durable: Lsn,
    log: Log,
}

impl ObservedStore {
    /// Watches `inner`, the store of `shard`.
    #[must_use]
    pub fn new(shard: ShardId, inner: MemoryStore, log: Log) -> Self {
        ObservedStore { shard, inner, durable: Lsn(0), log }
    }
}

impl Store for ObservedStore {
    fn submit(&mut self, batch: Vec<Mutation>) -> Lsn {
        let lsn = self.inner.submit(batch.clone());
        self.log.push(Entry::Submitted { shard: self.shard, lsn, batch });
        lsn
    }

    fn durable(&mut self) -> Lsn {
        let lsn = self.inner.durable();
        if lsn > self.durable {
            self.durable = lsn;
            self.log.push(Entry::Durable { shard: self.shard, lsn });
        }
        lsn
    }

    fn load(&mut self) -> Vec<Mutation> {
        self.inner.load()
    }
}
