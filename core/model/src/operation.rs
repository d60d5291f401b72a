use std::net::SocketAddr;
use std::sync::Arc;

use crate::{
    ClientKey, Evidence, Expiry, Filter, GatewayId, Message, QoS, Reason, SessionLimits,
    StoredMessage, Ticket,
};

/// What a gateway asks of the core on behalf of one slot. Those with a ticket are answered by a
/// later event that carries it.
#[derive(Debug)]
pub enum Operation<'a> {
    /// Opens or resumes a session; answered by `Connected`, `Challenge` or `Refused`.
    Connect(Box<Connect>),
    /// Goes on with an enhanced authentication, or starts it again on a live session; answered by
    /// `Challenge`, `Connected` (while connecting), `Authenticated` or `Refused`.
    Authenticate {
        /// The method; the same as in [`Connect`].
        method: Box<str>,
        /// The client's data.
        data: Vec<u8>,
    },
    /// Subscribes; answered by `Subscribed`.
    Subscribe(Box<Subscribe>),
    /// Unsubscribes; answered by `Unsubscribed`.
    Unsubscribe(Box<Unsubscribe>),
    /// Publishes; answered by `Published` when the QoS is above 0.
    Publish(Publish<'a>),
    /// The sender's release of a QoS 2 message; answered by `Released`.
    Release {
        /// Names the answer.
        ticket: Ticket,
        /// The sender's own number of the message.
        id: u16,
    },
    /// What became of a delivery with QoS above 0.
    Settle {
        /// The number under which it was delivered.
        handle: u16,
        /// What became of it.
        outcome: Outcome,
    },
    /// Reads retained messages; answered by `Retained`.
    Read(Box<Read>),
    /// Replaces or removes the will; answered by `WillUpdated`.
    UpdateWill {
        /// Names the answer.
        ticket: Ticket,
        /// The new will, or none.
        will: Option<Box<Will>>,
    },
    /// Has the session remember something of the gateway's own, which [`Connected`] hands to the
    /// next link; or forget it. It lives as long as the session and is as durable. The gateway
    /// bounds how much that is.
    ///
    /// [`Connected`]: crate::Connected
    Note {
        /// Names it within the session.
        key: u32,
        /// What is to be remembered; `None` to forget it.
        value: Option<Arc<[u8]>>,
    },
    /// The client has another address now.
    Moved(SocketAddr),
    /// How much the client can take now.
    Demand(Credit),
    /// Ends the link's hold on the session. No answer; the slot is free afterwards.
    Disconnect(Disconnect),
}

/// Opens or resumes a session.
#[derive(Debug)]
pub struct Connect {
    /// The gateway, and so one half of the session key.
    pub gateway: GatewayId,
    /// Client identifier as sent; empty asks core to assign one.
    pub client_id: Box<str>,
    /// Discards a session that exists.
    pub clean_start: bool,
    /// How long the session outlives the link.
    pub expiry: Expiry,
    /// Deliveries with QoS above 0 that the client takes before it settles one (1 to 65 535).
    pub receive_max: u16,
    /// Whether unsettled deliveries may be repeated on the same link after a time-out (MQTT 3.1.1).
    pub may_retransmit: bool,
    /// Whether the client may hand a delivery back ([`Outcome::Requeued`]), so that core keeps it
    /// until it is settled. MQTT clients cannot.
    pub may_requeue: bool,
    /// Published when the link ends without a farewell.
    pub will: Option<Box<Will>>,
    /// What its protocol does otherwise than MQTT.
    pub manners: Manners,
    /// Topic prefix of this client, `%c` and `%u` not yet replaced; empty for none.
    pub mountpoint: Box<str>,
    /// The bounds of its session; `None` for the node's.
    pub limits: Option<Arc<SessionLimits>>,
    /// Who it says it is and where it comes from.
    pub evidence: Box<Evidence>,
}

impl Connect {
    /// The session key; `None` while the client identifier is still to be assigned.
    #[must_use]
    pub fn key(&self) -> Option<ClientKey> {
        (!self.client_id.is_empty())
            .then(|| ClientKey { gateway: self.gateway, client_id: self.client_id.clone() })
    }
}

/// What a client's protocol does otherwise than MQTT, which is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The will belongs to the session as subscriptions do: a connect without one leaves the will
    /// of a session that is resumed, a farewell keeps it unpublished, and it is there again after it
    /// was published. It goes with the session, or by `UpdateWill`.
    pub keeps_will: bool,
    /// QoS 0 messages wait for a client without credit as others do, but are the first to go when
    /// its queue is full, the oldest of them first.
    pub keeps_qos0: bool,
    /// Who may take the session from this link as long as it holds it.
    pub takeover: Takeover,
    /// How much the client can take at first; messages by number are answered by `Drained` as those
    /// of a demand are.
    pub credit: Credit,
}

impl Default for Manners {
    fn default() -> Self {
        Manners {
            keeps_will: false,
            keeps_qos0: false,
            takeover: Takeover::Anybody,
            credit: Credit::Open,
        }
    }
}

/// Who may take a session from a link that holds it. Somebody else is refused with "Not
/// authorized", and the link goes on. It is no question for a session without a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// Whoever connects with its client identifier and is let in.
    #[default]
    Anybody,
    /// Who comes from the same IP address, whatever the port.
    SameAddress,
    /// Nobody but the link itself.
    Nobody,
}

/// The message published for a client that is gone.
#[derive(Clone, Debug)]
pub struct Will {
    /// The message, with QoS and retain flag; its expiry starts when it is published.
    pub message: Arc<StoredMessage>,
    /// Seconds between the end of the link and publishing.
    pub delay_s: u32,
    /// Seconds after publishing until it expires; `None` for never.
    pub expiry_s: Option<u32>,
}

/// When retained messages are sent for a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// At every subscribe.
    #[default]
    Send,
    /// At subscribe, if the subscription did not exist.
    SendIfNew,
    /// Never.
    DoNotSend,
}

/// One filter of a subscribe operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The filter as the client wrote it.
    pub filter: Filter,
    /// Highest QoS of its deliveries.
    pub qos: QoS,
    /// Not for messages that this client published.
    pub no_local: bool,
    /// Keep the publisher's retain flag on live messages.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// Subscribes to several filters, with one answer.
#[derive(Debug)]
pub struct Subscribe {
    /// Names the answer.
    pub ticket: Ticket,
    /// Number that deliveries of these subscriptions carry (1 to 268 435 455).
    pub identifier: Option<u32>,
    /// The filters in order; `Err` keeps the place of one that the gateway refused.
    pub subscriptions: Vec<Result<Subscription, Reason>>,
}

/// Unsubscribes from several filters, with one answer.
#[derive(Debug)]
pub struct Unsubscribe {
    /// Names the answer.
    pub ticket: Ticket,
    /// The filters exactly as they were subscribed, in order.
    pub filters: Vec<Box<str>>,
}

/// Publishes one message.
#[derive(Debug)]
pub struct Publish<'a> {
    /// Names the answer.
    pub ticket: Ticket,
    /// The sender's number of a QoS 2 message, under which repetitions are recognised.
    pub id: u16,
    /// The message.
    pub message: PublishMessage<'a>,
}

/// A message on its way into the core.
#[derive(Debug)]
pub enum PublishMessage<'a> {
    /// Still in the turn's read buffer.
    View(Message<'a>),
    /// Detached, on its way from another shard or from a gateway that keeps it.
    Stored(Arc<StoredMessage>),
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// QoS 2: it arrived; the client now waits for the release.
    Received,
    /// It is the client's now.
    Accepted,
    /// It could not be delivered and will not be tried again.
    Discarded(Reason),
    /// The client gives it back; another member of the group or a later delivery may take it.
    Requeued,
}

/// How much a client can take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Nothing: it sleeps, or its link is full.
    None,
    /// As much as its receive maximum allows.
    Open,
    /// So many more deliveries, whatever their QoS, as far as its receive maximum allows. Replaces
    /// what was left of an earlier credit. When nothing waits for the client any more and all that
    /// it got is settled, the session says so once by [`Drained`](crate::Event::Drained). It says
    /// nothing when the credit is used up and more waits: the client demands again, or goes without.
    Messages(u32),
}

/// Reads retained messages.
#[derive(Debug)]
pub struct Read {
    /// Names the answer.
    pub ticket: Ticket,
    /// Which topics.
    pub filter: Filter,
    /// At most so many.
    pub limit: u32,
    /// The cursor of the page before.
    pub cursor: Option<Box<str>>,
}

/// Ends a link's hold on a session.
#[derive(Clone, Copy, Debug)]
pub struct Disconnect {
    /// Why the link ends.
    pub cause: DisconnectCause,
    /// A new session expiry, if the client gave one with its farewell.
    pub expiry: Option<Expiry>,
}

/// Why a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectCause {
    /// The client said goodbye: the will is dropped.
    Farewell,
    /// The client said goodbye and asked for its will.
    FarewellWithWill,
    /// The link broke, went silent or was closed for an error: the will is published.
    Lost(Reason),
}

impl Operation<'_> {
    /// The same operation, free of the read buffer, to go to another shard.
    #[must_use]
    pub fn detach(self) -> Operation<'static> {
        match self {
            Operation::Publish(p) => Operation::Publish(Publish {
                ticket: p.ticket,
                id: p.id,
                message: PublishMessage::Stored(match p.message {
                    PublishMessage::View(view) => view.detach(),
                    PublishMessage::Stored(stored) => stored,
                }),
            }),
            Operation::Connect(c) => Operation::Connect(c),
            Operation::Authenticate { method, data } => Operation::Authenticate { method, data },
            Operation::Subscribe(s) => Operation::Subscribe(s),
            Operation::Unsubscribe(u) => Operation::Unsubscribe(u),
            Operation::Release { ticket, id } => Operation::Release { ticket, id },
            Operation::Settle { handle, outcome } => Operation::Settle { handle, outcome },
            Operation::Read(r) => Operation::Read(r),
            Operation::UpdateWill { ticket, will } => Operation::UpdateWill { ticket, will },
            Operation::Note { key, value } => Operation::Note { key, value },
            Operation::Moved(peer) => Operation::Moved(peer),
            Operation::Demand(c) => Operation::Demand(c),
            Operation::Disconnect(d) => Operation::Disconnect(d),
        }
    }
}
