//! What all gateways share: the contract of a protocol's state machine, and the shard loop that owns
//! sockets, machines and one shard of the core.
//!
//! All contact with the asynchronous runtime is in one module, [`shard_loop`](self), so that it can
//! be replaced. Deliberately missing: any protocol.
#![deny(missing_docs)]

mod gateway;
mod machine;
mod output;

pub use gateway::{Framed, Gateway, Link, LinkFacts, ListenerFacts, Progress};
pub use machine::{Close, Context, Machine, Operations};
pub use output::{Output, REFERENCE_BYTES_MIN};
