use core_model::{DisconnectCause, Expiry, Filter, Outcome, Subscription};

use crate::trace::Draft;

/// One thing that a client, or the clock, does. After each the node comes to rest.
#[derive(Clone, Debug)]
pub enum Act {
    /// Connects, also over a link that it has.
    Connect {
        /// Who.
        client: usize,
        /// Clean start.
        clean_start: bool,
        /// Session expiry.
        expiry: Expiry,
        /// Receive maximum.
        receive_max: u16,
        /// Will, delay and expiry in seconds.
        will: Option<(Draft, u32, Option<u32>)>,
    },
    /// Subscribes.
    Subscribe {
        /// Who.
        client: usize,
        /// Subscription identifier.
        identifier: Option<u32>,
        /// What to.
        subscriptions: Vec<Subscription>,
    },
    /// Unsubscribes.
    Unsubscribe {
        /// Who.
        client: usize,
        /// From what.
        filters: Vec<Box<str>>,
    },
    /// Publishes.
    Publish {
        /// Who.
        client: usize,
        /// The client's number of a QoS 2 message.
        id: u16,
        /// What.
        draft: Draft,
    },
    /// Releases a QoS 2 message.
    Release {
        /// Who.
        client: usize,
        /// The client's number of it.
        id: u16,
    },
    /// Settles a delivery.
    Settle {
        /// Who.
        client: usize,
        /// Which.
        handle: u16,
        /// What became of it.
        outcome: Outcome,
    },
    /// Takes messages, or takes none for a while.
    Demand {
        /// Who.
        client: usize,
        /// Whether it takes them.
        open: bool,
    },
    /// Leaves, or is lost.
    Disconnect {
        /// Who.
        client: usize,
        /// How.
        cause: DisconnectCause,
        /// New session expiry.
        expiry: Option<Expiry>,
    },
    /// Reads retained messages.
    Read {
        /// Who.
        client: usize,
        /// Which.
        filter: Filter,
        /// How many at most.
        limit: u32,
        /// Behind which topic.
        after: Option<Box<str>>,
    },
    /// Time passes.
    Pass {
        /// How much.
        millis: u64,
    },
}

impl Act {
    /// Who does it; nobody where time passes.
    #[must_use]
    pub fn client(&self) -> Option<usize> {
        match self {
            Act::Connect { client, .. }
            | Act::Subscribe { client, .. }
            | Act::Unsubscribe { client, .. }
            | Act::Publish { client, .. }
            | Act::Release { client, .. }
            | Act::Settle { client, .. }
            | Act::Demand { client, .. }
            | Act::Disconnect { client, .. }
            | Act::Read { client, .. } => Some(*client),
            Act::Pass { .. } => None,
        }
    }
}
