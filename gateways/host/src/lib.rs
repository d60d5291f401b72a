//! What all gateways share: the contract of a protocol's state machine, and the shard loop that
//! owns sockets, machines and one shard of the core.
//!
//! A [`Node`] is one thread per shard. Each thread is one loop of turns (`shard_loop`); all its contact
//! with the asynchronous runtime is in one module, `reactor`, so that it can be replaced. Handshakes
//! (`lobby`) and look-ups (`lookups`) are futures on a runtime of their own (`side`).
//! Deliberately missing: any protocol, and any task, channel or timer of its own for a link.
#![deny(missing_docs)]

mod acceptor;
mod clock;
mod config;
mod control;
mod counters;
mod datagrams;
mod events;
mod forwarding;
mod gateway;
mod holders;
mod links;
mod listeners;
mod lobby;
mod lookups;
mod machine;
mod node;
mod outgoing;
mod output;
mod pages;
mod paths;
mod pool;
mod ports;
mod rates;
mod reactor;
mod reading;
mod ring;
mod shard_loop;
mod shared;
mod side;
mod sources;
mod sys;
mod table;
mod timers;
mod trace;
mod unread;
mod wire;
mod writing;

pub use core_broker::{
    ClientDetails, ClientInfo, ClientQuery, RetainedQuery, Selector, SubscriptionInfo,
    SubscriptionQuery, WillInfo,
};

pub use config::{
    Bind, DatagramRules, HealthCheck, HostLimits, ListenerConfig, ListenerRates, NodeConfig,
    OnFailure, OpenStore, Rate, Rebind, SourceLimits,
};
pub use control::{Control, ControlError};
pub use counters::{HostCounters, ListenerCounters, NodeCounters, PerListener};
pub use gateway::{Framed, Gateway, Link, LinkFacts, ListenerFacts, Progress, Whose};
pub use listeners::{ListenerChanges, ListenerStatus};
pub use machine::{Close, Context, Machine, Operations, Sender, SenderPath};
pub use node::{Node, StartError, StopReport};
pub use output::{Output, REFERENCE_BYTES_MIN};
pub use pages::{Client, LinkInfo, Page};
pub use rates::Bucket;
pub use trace::{TraceEvent, TraceFilter, TraceItem, TraceStream};
