use std::fmt;
use std::io;
use std::net::SocketAddr;

use codec_wire::DecodeError;
use core_model::{LinkId, Reason, ShardId};
use gateway_transport::FilterFault;

use crate::Bind;

/// What happens to links, listeners and shards, for the log. Never one per message; what a peer can
/// cause at will is at most DEBUG.
pub(crate) enum HostEvent<'a> {
    /// A listener takes connections.
    ListenerOpened { listener: &'a str, gateway: &'static str, bind: &'a Bind },
    /// A listener takes no more connections, and those that it has are closed.
    ListenerClosed { listener: &'a str, links: usize },
    /// A listener rests, mostly since the system is out of descriptors or memory.
    AcceptPaused { listener: &'a str, error: &'a io::Error },
    /// A connection did not get through its handshake.
    HandshakeFailed {
        listener: &'a str,
        peer: Option<SocketAddr>,
        /// What it stopped in.
        part: &'static str,
        fault: &'a dyn fmt::Display,
    },
    /// A link is there.
    LinkOpened { listener: &'a str, link: LinkId, peer: Option<SocketAddr> },
    /// A link went to the home shard of its session.
    LinkMoved { link: LinkId, to: ShardId },
    /// A link's input is no frame of its protocol.
    InputRefused { listener: &'a str, link: LinkId, error: &'a DecodeError },
    /// What stands between a link and its socket carries no more.
    FilterFailed { listener: &'a str, link: LinkId, fault: &'a FilterFault },
    /// A link's machine is through with it.
    LinkClosed { listener: &'a str, link: LinkId, reason: Reason },
    /// A look-up took too long, as many do when clients come faster than they can be looked up.
    LookupTimedOut,
    /// A look-up is at fault.
    LookupFailed { fault: &'static str },
    /// A shard panicked.
    ShardFailed { shard: ShardId, message: &'a str },
    /// The node has stopped.
    Stopped { links_left: usize },
}

impl HostEvent<'_> {
    /// Writes the event to the log.
    pub(crate) fn emit(&self) {
        match self {
            HostEvent::ListenerOpened { listener, gateway, bind } => {
                tracing::info!(listener, gateway, address = %bind, "listener opened");
            }
            HostEvent::ListenerClosed { listener, links } => {
                tracing::info!(listener, links, "listener closed");
            }
            HostEvent::AcceptPaused { listener, error } => {
                tracing::warn!(listener, %error, "listener rests after a failure");
            }
            HostEvent::HandshakeFailed { listener, peer, part, fault } => {
                let peer = peer.map(tracing::field::display);
                tracing::debug!(listener, peer, part, %fault, "handshake failed");
            }
            HostEvent::LinkOpened { listener, link, peer } => {
                let peer = peer.map(tracing::field::display);
                tracing::debug!(listener, link = link.index, peer, "link opened");
            }
            HostEvent::LinkMoved { link, to } => {
                tracing::trace!(link = link.index, shard = to.0, "link moved to another shard");
            }
            HostEvent::InputRefused { listener, link, error } => {
                let requirement = error.requirement;
                tracing::debug!(listener, link = link.index, %error, requirement, "input refused");
            }
            HostEvent::FilterFailed { listener, link, fault } => {
                tracing::debug!(listener, link = link.index, %fault, "transport failed");
            }
            HostEvent::LinkClosed { listener, link, reason } => {
                tracing::debug!(listener, link = link.index, %reason, "link closed");
            }
            HostEvent::LookupTimedOut => tracing::debug!("look-up took too long"),
            HostEvent::LookupFailed { fault } => {
                tracing::warn!(fault, "look-up failed");
            }
            HostEvent::ShardFailed { shard, message } => {
                tracing::error!(shard = shard.0, error = message, "shard panicked");
            }
            HostEvent::Stopped { links_left } => {
                tracing::info!(links_left, "node stopped");
            }
        }
    }
}
