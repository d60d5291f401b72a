//! Following single clients or topics while the node runs.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use core_model::{Filter, QoS, Reason, Timestamp};
use ipnet::IpNet;

/// What is to be followed.
#[derive(Clone, Debug)]
pub enum TraceFilter {
    /// The links of clients with this client id, of all gateways.
    Client(Box<str>),
    /// The links from these addresses.
    Address(IpNet),
    /// The messages published to topics that match.
    Topic(Filter),
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct TraceEvent {
    /// When.
    pub at: Timestamp,
    /// Name of the gateway.
    pub gateway: &'static str,
    /// Name of the listener; empty for a message of the server itself.
    pub listener: Box<str>,
    /// Number of the link on its shard, to tell links apart; `None` for messages.
    pub link: Option<u32>,
    /// The peer's address, where it is known.
    pub peer: Option<SocketAddr>,
    /// The client id, as soon as it is known.
    pub client_id: Option<Box<str>>,
    /// What.
    pub item: TraceItem,
}

/// What happened to a traced link, or to a traced topic.
#[derive(Clone, Debug)]
pub enum TraceItem {
    /// A link was opened, or its trace has begun.
    Opened,
    /// A frame came. Secrets in it are blanked.
    Received {
        /// Its bytes, or their beginning.
        bytes: Box<[u8]>,
        /// How many there were.
        len: usize,
    },
    /// Frames were sent: what one input or event made.
    Sent {
        /// Their bytes, or the beginning.
        bytes: Box<[u8]>,
        /// How many there were.
        len: usize,
    },
    /// A frame came, or was sent, that may hold secrets and is not shown.
    Hidden {
        /// Its bytes.
        len: usize,
        /// Whether it came in.
        received: bool,
    },
    /// A message was published.
    Published {
        /// Its topic.
        topic: Box<str>,
        /// Its payload, or the beginning.
        payload: Box<[u8]>,
        /// The length of its payload.
        len: usize,
        /// Its QoS.
        qos: QoS,
        /// Its retain flag.
        retain: bool,
    },
    /// The link is closed.
    Closed {
        /// Why.
        reason: Reason,
    },
    /// So many events were dropped since the reader was too slow.
    Dropped {
        /// How many.
        events: u64,
    },
}

/// The events of a trace, which ends when this is dropped.
#[derive(Debug)]
pub struct TraceStream {
    events: Receiver<TraceEvent>,
    _keep: SyncSender<TraceEvent>,
}

impl TraceStream {
    pub(crate) fn new(capacity: usize) -> Self {
        let (keep, events) = mpsc::sync_channel(capacity.max(1));
        TraceStream { events, _keep: keep }
    }

    /// Waits for the next event, at most `timeout`. `None` after the time-out, and at once when the
    /// node has ended.
    #[must_use]
    pub fn next(&mut self, timeout: Duration) -> Option<TraceEvent> {
        self.events.recv_timeout(timeout).ok()
    }
}
