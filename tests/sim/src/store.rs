use std::sync::{Arc, Mutex};

use core_model::ShardId;
use core_store::{Lsn, MemoryStore, Mutation, Store};

use crate::trace::{Entry, Log};

/// What a store keeps beyond the end of its process.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    /// From earlier lives of the process.
    before: Vec<Mutation>,
    batches: Vec<(Lsn, Vec<Mutation>)>,
    durable: Lsn,
}

impl Kept {
    fn with<R>(&self, act: impl FnOnce(&mut Inside) -> R) -> R {
        act(&mut self.0.lock().expect("no thread ever panics with it"))
    }

    /// Whether sessions, subscriptions, wills or notes have changed in a batch that is not durable yet.
    /// Their answers wait for no gate, so that a crash may take them back.
    #[must_use]
    pub fn has_unsafe_sessions(&self) -> bool {
        self.with(|inside| {
            let durable = inside.durable;
            let late = inside.batches.iter().rev().take_while(|(lsn, _)| *lsn > durable);
            late.flat_map(|(_, batch)| batch).any(|mutation| {
                matches!(
                    mutation,
                    Mutation::SessionOpened { .. }
                        | Mutation::SessionEnded { .. }
                        | Mutation::LinkClosed { .. }
                        | Mutation::Subscribed { .. }
                        | Mutation::Unsubscribed { .. }
                        | Mutation::Will { .. }
                        | Mutation::Note { .. }
                )
            })
        })
    }

    /// The process ends: what is not durable is lost.
    pub fn crash(&self) {
        self.with(|inside| {
            for (lsn, batch) in std::mem::take(&mut inside.batches) {
                if lsn <= inside.durable {
                    inside.before.extend(batch);
                }
            }
            inside.durable = Lsn(0);
        });
    }
}

/// A store whose every batch and every completion is seen by the checkers.
pub struct ObservedStore {
    shard: ShardId,
    inner: MemoryStore,
    kept: Kept,
    log: Log,
}

impl ObservedStore {
    /// The store of `shard`, which completes batches when `inner` does, and has `kept` from before.
    #[must_use]
    pub fn new(shard: ShardId, inner: MemoryStore, kept: Kept, log: Log) -> Self {
        ObservedStore { shard, inner, kept, log }
    }
}

impl Store for ObservedStore {
    fn submit(&mut self, batch: Vec<Mutation>) -> Lsn {
        let lsn = self.inner.submit(Vec::new());
        self.kept.with(|inside| inside.batches.push((lsn, batch.clone())));
        self.log.push(Entry::Submitted { shard: self.shard, lsn, batch });
        lsn
    }

    fn durable(&mut self) -> Lsn {
        let lsn = self.inner.durable();
        let news = self.kept.with(|inside| std::mem::replace(&mut inside.durable, lsn) < lsn);
        if news {
            self.log.push(Entry::Durable { shard: self.shard, lsn });
        }
        lsn
    }

    fn load(&mut self) -> Vec<Mutation> {
        self.kept.with(|inside| inside.before.clone())
    }
}
