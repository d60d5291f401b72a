use std::borrow::Cow;
use std::sync::Arc;

use crate::{Expiry, Message, QoS, Reason, StoredMessage, Ticket};

/// What the core tells a slot.
#[derive(Debug)]
pub enum Event<'e> {
    /// The session is open; the first event of a slot that was not refused.
    Connected(Box<Connected>),
    /// Enhanced authentication wants another round.
    Challenge {
        /// The server's data.
        data: Vec<u8>,
    },
    /// Re-authentication succeeded.
    Authenticated {
        /// The server's last data.
        data: Option<Vec<u8>>,
    },
    /// The connect or re-authentication failed: answer in the protocol's terms, then close.
    Refused {
        /// Why.
        reason: Reason,
        /// Another server to go to, with "Use another server" and "Server moved".
        server_reference: Option<Box<str>>,
    },
    /// A published message was taken over, or refused. Answers come in the order of publishing.
    Published {
        /// The operation's ticket.
        ticket: Ticket,
        /// Success, "No matching subscribers", or why it was refused.
        reason: Reason,
    },
    /// A QoS 2 message was released.
    Released {
        /// The operation's ticket.
        ticket: Ticket,
        /// Success, or "Packet Identifier not found".
        reason: Reason,
    },
    /// Filters were subscribed.
    Subscribed {
        /// The operation's ticket.
        ticket: Ticket,
        /// One per filter, in order: granted QoS, or why not.
        reasons: Vec<Reason>,
    },
    /// Filters were unsubscribed.
    Unsubscribed {
        /// The operation's ticket.
        ticket: Ticket,
        /// One per filter, in order.
        reasons: Vec<Reason>,
    },
    /// A message for the client.
    Deliver(Delivery<'e>),
    /// The client's receipt of a QoS 2 delivery is safe: send the release.
    Release {
        /// The delivery's handle.
        handle: u16,
        /// Success, or "Packet Identifier not found" for a receipt of something unknown.
        reason: Reason,
    },
    /// The answer to a read.
    Retained(Box<Retained>),
    /// The will was replaced or removed, or the client may not leave it and it is as it was.
    WillUpdated {
        /// The operation's ticket.
        ticket: Ticket,
        /// Success, or why it was refused.
        reason: Reason,
    },
    /// The answer to a credit of so many messages ([`Credit::Messages`](crate::Credit::Messages)),
    /// once: nothing waits for the client, and all that it got is settled.
    Drained,
    /// Core ended the slot's hold on its session (take-over, ban, administrator, expiry of
    /// credentials): say so in the protocol's terms, then close. No `Disconnect` is due.
    Kicked {
        /// Why.
        reason: Reason,
        /// Another server to go to, with "Use another server" and "Server moved".
        server_reference: Option<Box<str>>,
    },
    /// The node stops: say so in the protocol's terms, disconnect, close.
    Draining,
}

/// What a client must know about its session.
#[derive(Debug, Default)]
pub struct Connected {
    /// Whether a session was resumed.
    pub session_present: bool,
    /// The client identifier that core assigned, if it did.
    pub assigned_client_id: Option<Box<str>>,
    /// The expiry that the session got, which may be less than asked for.
    pub expiry: Expiry,
    /// Last data of an enhanced authentication.
    pub authentication_data: Option<Vec<u8>>,
    /// The will that the session has now, if [`Manners::keeps_will`](crate::Manners::keeps_will).
    pub will: Option<Arc<StoredMessage>>,
    /// What earlier links had the session remember ([`Note`](crate::Operation::Note)), by key.
    pub notes: Vec<(u32, Arc<[u8]>)>,
}

/// A page of retained messages.
#[derive(Debug)]
pub struct Retained {
    /// The operation's ticket.
    pub ticket: Ticket,
    /// Bytes of each topic that belong to the client's mountpoint and are not shown to it.
    pub topic_skip: u16,
    /// The messages in the order of their topics.
    pub messages: Vec<Arc<StoredMessage>>,
    /// Where to continue, to be handed back as it is; `None` at the end.
    pub cursor: Option<Box<str>>,
}

/// One message for one client.
#[derive(Debug)]
pub struct Delivery<'e> {
    /// Number of a delivery with QoS above 0, to be settled; 0 for QoS 0.
    pub handle: u16,
    /// QoS for this client.
    pub qos: QoS,
    /// Retain flag for this client.
    pub retain: bool,
    /// Whether this delivery was begun before.
    pub dup: bool,
    /// Bytes of the topic that belong to the client's mountpoint and are not shown to it.
    pub topic_skip: u16,
    /// Identifiers of the subscriptions that asked for it.
    pub subscription_ids: Cow<'e, [u32]>,
    /// The message.
    pub message: MessageRef<'e>,
}

/// A message on its way out of the core.
#[derive(Clone, Debug)]
pub enum MessageRef<'e> {
    /// Still in the read buffer of the turn.
    View(&'e Message<'e>),
    /// Queued or retained.
    Stored(&'e Arc<StoredMessage>),
    /// On its way to another shard.
    Owned(Arc<StoredMessage>),
}

impl MessageRef<'_> {
    /// The stored message, where it is one: its payload can be referenced instead of copied.
    #[must_use]
    pub fn stored(&self) -> Option<&Arc<StoredMessage>> {
        match self {
            MessageRef::View(_) => None,
            MessageRef::Stored(stored) => Some(stored),
            MessageRef::Owned(stored) => Some(stored),
        }
    }

    /// The topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        match self {
            MessageRef::View(view) => view.topic,
            MessageRef::Stored(stored) => stored.topic(),
            MessageRef::Owned(stored) => stored.topic(),
        }
    }

    /// The application's bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self {
            MessageRef::View(view) => view.payload,
            MessageRef::Stored(stored) => stored.payload(),
            MessageRef::Owned(stored) => stored.payload(),
        }
    }

    fn detach(self) -> Arc<StoredMessage> {
        match self {
            MessageRef::View(view) => view.detach(),
            MessageRef::Stored(stored) => Arc::clone(stored),
            MessageRef::Owned(stored) => stored,
        }
    }
}

impl Event<'_> {
    /// The same event, free of the turn's buffers, to go to a slot of another shard.
    #[must_use]
    pub fn detach(self) -> Event<'static> {
        match self {
            Event::Deliver(d) => Event::Deliver(Delivery {
                handle: d.handle,
                qos: d.qos,
                retain: d.retain,
                dup: d.dup,
                topic_skip: d.topic_skip,
                subscription_ids: Cow::Owned(d.subscription_ids.into_owned()),
                message: MessageRef::Owned(d.message.detach()),
            }),
            Event::Connected(c) => Event::Connected(c),
            Event::Challenge { data } => Event::Challenge { data },
            Event::Authenticated { data } => Event::Authenticated { data },
            Event::Refused { reason, server_reference } => {
                Event::Refused { reason, server_reference }
            }
            Event::Published { ticket, reason } => Event::Published { ticket, reason },
            Event::Released { ticket, reason } => Event::Released { ticket, reason },
            Event::Subscribed { ticket, reasons } => Event::Subscribed { ticket, reasons },
            Event::Unsubscribed { ticket, reasons } => Event::Unsubscribed { ticket, reasons },
            Event::Release { handle, reason } => Event::Release { handle, reason },
            Event::Retained(r) => Event::Retained(r),
            Event::WillUpdated { ticket, reason } => Event::WillUpdated { ticket, reason },
            Event::Drained => Event::Drained,
            Event::Kicked { reason, server_reference } => {
                Event::Kicked { reason, server_reference }
            }
            Event::Draining => Event::Draining,
        }
    }
}
