use std::net::SocketAddr;
use std::sync::Arc;

use crate::{ClientKey, Expiry, Message, QoS, Reason};

/// What is known of a client before it is believed.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Name of the listener that it came through.
    pub listener: Box<str>,
    /// Whether that listener lets clients without credentials in.
    pub allow_anonymous: bool,
    /// Its address, as seen or as a trusted proxy reports it.
    pub peer: Option<SocketAddr>,
    /// User name.
    pub user: Option<Box<str>>,
    /// Password.
    pub password: Option<Secret>,
    /// Method of enhanced authentication.
    pub method: Option<Box<str>>,
    /// First data of enhanced authentication.
    pub data: Option<Vec<u8>>,
}

/// Bytes that are never shown in a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Wraps `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Secret(bytes.into())
    }

    /// The bytes, for comparing and hashing only.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Who a client turned out to be.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// User name for rules and mountpoints.
    pub user: Option<Box<str>>,
}

/// What one authenticator of the chain says.
#[derive(Debug)]
pub enum Verdict {
    /// Believed; the chain ends.
    Accept(Identity),
    /// Refused; the chain ends.
    Refuse(Reason),
    /// This authenticator does not know the client; the next one is asked.
    Unknown,
}

/// One round of an enhanced authentication.
#[derive(Debug)]
pub enum Step {
    /// Another round with this data for the client.
    Continue(Vec<u8>),
    /// Believed, with last data for the client.
    Accept(Identity, Option<Vec<u8>>),
    /// Refused.
    Refuse(Reason),
}

/// A running enhanced authentication of one client.
pub trait Exchange: Send {
    /// Takes the client's data and says what comes next.
    fn step(&mut self, data: &[u8]) -> Step;
}

/// One link of the authenticator chain. Called on a shard: it must not block.
pub trait Authenticator: Send + Sync {
    /// Judges credentials.
    fn authenticate(&self, client_id: &str, evidence: &Evidence) -> Verdict;

    /// Begins an enhanced authentication if it knows the method.
    fn begin(
        &self,
        _method: &str,
        _client_id: &str,
        _evidence: &Evidence,
    ) -> Option<Box<dyn Exchange>> {
        None
    }
}

/// What a client wants to do to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Publish a message (or leave a will).
    Publish {
        /// QoS of the message.
        qos: QoS,
        /// Whether it is to be retained.
        retain: bool,
    },
    /// Subscribe; the topic is the filter without its share name.
    Subscribe {
        /// Highest QoS asked for.
        qos: QoS,
    },
}

/// Rules on topics. Called on a shard: it must not block. Topics are as the core sees them, with
/// the mountpoint applied.
pub trait Authorizer: Send + Sync {
    /// Whether the client may do it.
    fn authorize(
        &self,
        client: &ClientKey,
        identity: &Identity,
        action: Action,
        topic: &str,
    ) -> bool;
}

/// Changes or drops messages as they are published. Called on a shard: it must not block.
pub trait Interceptor: Send + Sync {
    /// Changes the message in place; an error drops it and is the publisher's answer.
    ///
    /// # Errors
    /// The reason with which the publisher is answered.
    fn on_publish(
        &self,
        client: Option<&ClientKey>,
        message: &mut Message<'_>,
    ) -> Result<(), Reason>;
}

/// Life cycle, refusals and drops, for logs and metrics; never one per message.
#[derive(Debug)]
#[non_exhaustive]
pub enum BrokerEvent<'a> {
    /// A session got a link.
    Connected {
        /// The session.
        client: &'a ClientKey,
        /// Whether the session existed.
        session_present: bool,
    },
    /// A session lost its link.
    Disconnected {
        /// The session.
        client: &'a ClientKey,
        /// Why.
        reason: Reason,
        /// How long the session lives on.
        expiry: Expiry,
    },
    /// A connect was refused.
    Refused {
        /// The client identifier that it gave.
        client_id: &'a str,
        /// Why.
        reason: Reason,
    },
    /// A session ended.
    SessionEnded {
        /// The session.
        client: &'a ClientKey,
    },
}

/// Hears what happens. Called on a shard: it must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &BrokerEvent<'_>);
}

/// The plug-ins of one node, shared by all shards.
#[derive(Clone, Default)]
pub struct Plugins {
    /// Asked in order; when none knows the client, a client without credentials is let in where
    /// its listener allows that, and any other is refused.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// Without one, whoever is connected may do everything.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Run in order on every publish.
    pub interceptors: Vec<Arc<dyn Interceptor>>,
    /// Told in order.
    pub observers: Vec<Arc<dyn Observer>>,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins")
            .field("authenticators", &self.authenticators.len())
            .field("authorizer", &self.authorizer.is_some())
            .finish_non_exhaustive()
    }
}
