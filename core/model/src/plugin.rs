use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{ClientKey, Evidence, Expiry, Identity, Message, Principal, QoS, Reason, Timestamp};

/// A look-up that takes time: run beside the shards by whoever drives them, bounded in number and
/// time. Nothing in the core polls it.
pub type Lookup = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// What one authenticator of the chain says.
pub enum Verdict {
    /// Believed; the chain ends.
    Accept(Identity),
    /// Refused; the chain ends.
    Refuse(Reason),
    /// This authenticator does not know the client; the next one is asked.
    Unknown,
    /// It takes time to say: the look-up's own verdict counts, which must not be `Later` again.
    Later(Lookup),
}

impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Accept(identity) => f.debug_tuple("Accept").field(identity).finish(),
            Verdict::Refuse(reason) => f.debug_tuple("Refuse").field(reason).finish(),
            Verdict::Unknown => f.write_str("Unknown"),
            Verdict::Later(_) => f.write_str("Later"),
        }
    }
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

    /// Begins an enhanced authentication if it knows the method, or if it refuses the client
    /// whatever the authenticators behind it say: then one that is refused at its first step.
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

/// Rules on topics, for all clients. Called on a shard: it must not block.
pub trait Authorizer: Send + Sync {
    /// The rules that concern one client, with its placeholders replaced. Called when it connects,
    /// and again for each client when the rules have changed.
    fn compile(&self, client: &Principal) -> Arc<dyn Permissions>;
}

/// What one client may do. Called on a shard for every message: it must not block. Topics are as
/// the core sees them, with the mountpoint applied.
pub trait Permissions: Send + Sync {
    /// Whether the client may do it. A filter with wildcards is allowed only if every topic that it
    /// matches is.
    fn permits(&self, action: Action, topic: &str) -> bool;
}

/// Decides who may connect at all, whoever he proves to be: bans, lists of client ids. Called on a
/// shard: it must not block.
pub trait Gate: Send + Sync {
    /// Asked twice: before the authenticators, without an identity, and after them.
    ///
    /// # Errors
    /// The reason with which the connect is refused.
    fn admit(
        &self,
        now: Timestamp,
        client_id: &str,
        evidence: &Evidence,
        identity: Option<&Identity>,
    ) -> Result<(), Reason>;
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
        /// Who the client is.
        principal: &'a Principal,
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
        /// Where it came from.
        evidence: &'a Evidence,
        /// Why.
        reason: Reason,
    },
    /// A session ended.
    SessionEnded {
        /// The session.
        client: &'a ClientKey,
    },
    /// A client may not do what it wanted; at most one a second for each client, with the number of
    /// those since the last one.
    Denied {
        /// The client.
        client: &'a ClientKey,
        /// What it wanted.
        action: Action,
        /// To this topic or filter.
        topic: &'a str,
        /// How often it was denied something since the last event, this time included.
        times: u64,
    },
    /// Messages of a session were dropped by a named policy; at most one a second for each
    /// session.
    Dropped {
        /// The session.
        client: &'a ClientKey,
        /// Why.
        reason: Reason,
        /// How many since the last event.
        messages: u64,
    },
    /// A standing subscription ended since the rules have changed.
    SubscriptionRevoked {
        /// The client.
        client: &'a ClientKey,
        /// The filter.
        filter: &'a str,
    },
}

/// Hears what happens. Called on a shard: it must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn on_event(&self, now: Timestamp, event: &BrokerEvent<'_>);
}

/// The plug-ins of one node, shared by all shards; replaced as a whole.
#[derive(Clone, Default)]
pub struct Plugins {
    /// Asked in order; when none knows the client, a client without credentials is let in where
    /// its listener allows that, and any other is refused.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// The authenticators of listeners that have a chain of their own, by the listener's name.
    pub chains: HashMap<Box<str>, Vec<Arc<dyn Authenticator>>>,
    /// All of them must agree.
    pub gates: Vec<Arc<dyn Gate>>,
    /// Without one, whoever is connected may do everything.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Run in order on every publish.
    pub interceptors: Vec<Arc<dyn Interceptor>>,
    /// Told in order.
    pub observers: Vec<Arc<dyn Observer>>,
}

impl Plugins {
    /// The authenticators for clients of a listener.
    #[must_use]
    pub fn chain(&self, listener: &str) -> &[Arc<dyn Authenticator>] {
        self.chains.get(listener).unwrap_or(&self.authenticators)
    }
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins")
            .field("authenticators", &self.authenticators.len())
            .field("authorizer", &self.authorizer.is_some())
            .finish_non_exhaustive()
    }
}
