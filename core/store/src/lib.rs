//! What the core writes down, and the contract of whoever keeps it.
//!
//! The engine runs against [`Store`] from its first line, so that every gate ("acknowledge only what
//! is durable") exists before a disk does. [`MemoryStore`] forgets everything at exit, but completes
//! its batches a chosen number of turns late, which is how the gates are tested.
#![deny(missing_docs)]

mod memory;
mod mutation;

pub use memory::MemoryStore;
pub use mutation::{Mutation, QueuedTerms};

/// A place in the order of all batches of one store: everything submitted up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lsn(pub u64);

/// Keeps what must survive. One per shard; never blocks the shard.
pub trait Store: Send {
    /// Takes a batch, which becomes durable as a whole and after all batches before it.
    fn submit(&mut self, batch: Vec<Mutation>) -> Lsn;

    /// The newest batch that is durable, with all before it. Asked once a turn.
    fn durable(&mut self) -> Lsn;

    /// What the mutations that were durable when the process ended add up to, as mutations in an
    /// order that can be applied again.
    fn load(&mut self) -> Vec<Mutation>;
}
