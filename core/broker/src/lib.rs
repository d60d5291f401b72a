//! One shard of the core: sessions, publish/subscribe and routing, as a library of state machines.
//!
//! A [`Shard`] is driven by [`Shard::apply`] (an operation of a slot), [`Shard::receive`] (mail of
//! another shard) and [`Shard::tick`] (once at the end of every turn), and speaks through a [`Sink`]
//! and its outboxes. It has no thread, clock, socket or randomness of its own: time is an argument,
//! randomness comes from the seed. The semantics are those of MQTT 5.0, which contain 3.1.1's.
#![deny(missing_docs)]

mod attempts;
mod authenticate;
mod connect;
mod context;
mod groups;
mod hash;
mod inspect;
mod journal;
mod leftovers;
mod mail;
mod named;
mod notes;
mod outgoing;
mod publish;
mod pulls;
mod reports;
mod restore;
mod retained;
mod routes;
mod rules;
mod session;
mod shard;
mod slots;
mod stats;
mod subscribe;
mod timers;
mod wills;
mod work;

pub use hash::HashKey;
pub use inspect::{
    ClientDetails, ClientInfo, ClientPage, ClientQuery, Kicked, RetainedPage, RetainedQuery,
    Selector, SubscriptionInfo, SubscriptionPage, SubscriptionQuery, WillInfo,
};
pub use mail::Mail;
pub use shard::{LookupId, Shard, ShardConfig, Sink};
pub use stats::Counters;
