//! The words in which gateways and the core speak: messages, topics, operations, events, and the
//! traits of the plug-in points.
//!
//! The semantics are those of MQTT 5.0 (OASIS Standard, 2019), which contain those of 3.1.1; the wire
//! format of no protocol is known here. Nothing in this crate does I/O, reads a clock or draws a
//! random number. Deliberately missing: a class hierarchy of protocols. A gateway that cannot say
//! something in these words changes the words for everybody.
#![deny(missing_docs)]

mod certificate;
mod event;
mod evidence;
mod ids;
mod limits;
mod message;
mod operation;
mod plugin;
mod properties;
mod qos;
mod reason;
mod time;
mod topic;

pub use certificate::{CertificateField, UnknownField};
pub use event::{Connected, Delivery, Event, MessageRef, Retained};
pub use evidence::{
    CertificateFacts, Evidence, Identity, Principal, Secret, TransportFacts, shown_user,
};
pub use ids::{ClientKey, GatewayId, LinkId, OriginId, ShardId, SlotId, Ticket};
pub use limits::{BrokerLimits, Overflow, SessionLimits, ShareStrategy};
pub use message::{LayoutId, Message, StoredMessage};
pub use operation::{
    Connect, Credit, Disconnect, DisconnectCause, Manners, Operation, Outcome, Publish,
    PublishMessage, Read, RetainHandling, Subscribe, Subscription, Takeover, Unsubscribe, Will,
};
pub use plugin::{
    Action, Authenticator, Authorizer, BrokerEvent, Exchange, Gate, Interceptor, Lookup, Observer,
    Permissions, Plugins, Step, Verdict,
};
pub use properties::{Properties, UserProperties};
pub use qos::QoS;
pub use reason::Reason;
pub use time::{Expiry, Timestamp};
pub use topic::{Filter, TopicError, check_topic_name, filter_matches};
