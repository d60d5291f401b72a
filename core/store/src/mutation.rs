use std::sync::Arc;

use core_model::{ClientKey, Expiry, OriginId, QoS, StoredMessage, Subscription, Timestamp, Will};

/// On which terms a session gets a message, fixed when it matched.
#[derive(Clone, Debug)]
pub struct QueuedTerms {
    /// QoS of the delivery.
    pub qos: QoS,
    /// Retain flag of the delivery.
    pub retain: bool,
    /// Identifiers of the subscriptions that asked for it.
    pub identifiers: Box<[u32]>,
    /// The shared group on whose behalf the session gets it.
    pub group: Option<Arc<str>>,
}

/// One change of durable state. A session is named by its keyed hash, which costs no allocation; the
/// key itself is in [`Mutation::SessionOpened`].
#[derive(Clone, Debug)]
pub enum Mutation {
    /// A session exists; replaces what was there.
    SessionOpened {
        /// The session.
        session: OriginId,
        /// Its key.
        client: ClientKey,
        /// How long it outlives its link.
        expiry: Expiry,
        /// Its topic prefix, placeholders replaced.
        mountpoint: Box<str>,
        /// Whether its will belongs to the session rather than to the link.
        keeps_will: bool,
    },
    /// The session's link closed; from here its expiry counts.
    LinkClosed {
        /// The session.
        session: OriginId,
        /// When.
        at: Timestamp,
        /// Its expiry from now on.
        expiry: Expiry,
    },
    /// The session is over; all that belongs to it goes.
    SessionEnded {
        /// The session.
        session: OriginId,
    },
    /// A subscription was added or replaced.
    Subscribed {
        /// The session.
        session: OriginId,
        /// The subscription.
        subscription: Subscription,
        /// Its identifier.
        identifier: Option<u32>,
    },
    /// A subscription was removed.
    Unsubscribed {
        /// The session.
        session: OriginId,
        /// The filter as it was subscribed.
        filter: Box<str>,
    },
    /// The will was set or removed, or came to rest.
    Will {
        /// The session.
        session: OriginId,
        /// The will.
        will: Option<Box<Will>>,
        /// Whether it waits for the next link: its client has said farewell, or it was published.
        at_rest: bool,
    },
    /// Something of the gateway's own is to be remembered, or forgotten.
    Note {
        /// The session.
        session: OriginId,
        /// Its name within the session.
        key: u32,
        /// What it is; `None` to forget it.
        value: Option<Arc<[u8]>>,
    },
    /// A message waits for the session.
    Queued {
        /// The session.
        session: OriginId,
        /// Its place in the session's order.
        sequence: u64,
        /// The message; many sessions may refer to one.
        message: Arc<StoredMessage>,
        /// On which terms the session gets it.
        terms: QueuedTerms,
    },
    /// A waiting message got a handle and is about to be sent.
    HandleAllotted {
        /// The session.
        session: OriginId,
        /// The message's place in the session's order.
        sequence: u64,
        /// The handle.
        handle: u16,
    },
    /// The client has received a QoS 2 message.
    Received {
        /// The session.
        session: OriginId,
        /// The delivery.
        handle: u16,
    },
    /// A waiting or sent message is done with.
    Settled {
        /// The session.
        session: OriginId,
        /// The message's place in the session's order.
        sequence: u64,
    },
    /// A QoS 2 message came from the client and must not be taken twice.
    IncomingId {
        /// The session.
        session: OriginId,
        /// The client's number of it.
        id: u16,
    },
    /// The client released a QoS 2 message; its number is free.
    IncomingReleased {
        /// The session.
        session: OriginId,
        /// The client's number of it.
        id: u16,
    },
    /// A shared group holds a message that no member can take yet.
    GroupHeld {
        /// The group's filter with its share name.
        group: Box<str>,
        /// Its place in the group's order.
        sequence: i64,
        /// The message.
        message: Arc<StoredMessage>,
    },
    /// A message that a group held went to a member, or was dropped.
    GroupTaken {
        /// The group's filter with its share name.
        group: Box<str>,
        /// The message's place in the group's order.
        sequence: i64,
    },
    /// A topic's retained message was set or removed.
    Retained {
        /// The topic.
        topic: Box<str>,
        /// The message.
        message: Option<Arc<StoredMessage>>,
    },
}
