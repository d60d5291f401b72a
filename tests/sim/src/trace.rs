//! What happens in a run, in the order in which it happens. Checkers know nothing else.

use std::sync::{Arc, Mutex};

use core_broker::{LookupId, Sink};
use core_model::{
    BrokerEvent, Connect, Credit, Delivery, Disconnect, Event, Evidence, Expiry, Filter, GatewayId,
    Lookup, Manners, Message, Observer, Operation, Outcome, Publish, PublishMessage, QoS, Read,
    Reason, Secret, ShardId, SlotId, StoredMessage, Subscribe, Subscription, Ticket, Timestamp,
    Unsubscribe, Will,
};
use core_store::{Lsn, Mutation};

/// The place of an entry in the trace.
pub type Step = usize;

/// A message as its publisher wrote it. Its number travels as correlation data, so that an empty
/// message has one too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Unique in the run, ascending in the order of writing.
    pub number: u64,
    /// Topic name.
    pub topic: Arc<str>,
    /// QoS as published.
    pub qos: QoS,
    /// Retain flag as published.
    pub retain: bool,
    /// Whether the payload is empty.
    pub empty: bool,
    /// Expiry deadline.
    pub expires_at: Option<Timestamp>,
}

impl Draft {
    /// The message as a gateway hands it over.
    pub fn with_message<R>(&self, act: impl FnOnce(Message<'_>) -> R) -> R {
        let number = self.number.to_be_bytes();
        let mut message = Message::new(&self.topic, if self.empty { &[] } else { &number });
        message.qos = self.qos;
        message.retain = self.retain;
        message.expires_at = self.expires_at;
        message.properties.correlation_data = Some(&number);
        act(message)
    }

    /// The same, detached.
    #[must_use]
    pub fn detach(&self) -> Arc<StoredMessage> {
        self.with_message(|message| message.detach())
    }
}

/// The number of a message on its way out; `u64::MAX` if it was damaged on the way.
#[must_use]
pub fn number_of(message: &StoredMessage) -> u64 {
    let view = message.view();
    let number = view.properties.correlation_data.and_then(|data| data.try_into().ok());
    let number = number.map_or(u64::MAX, u64::from_be_bytes);
    let whole = view.payload.is_empty() || view.payload == number.to_be_bytes();
    if whole { number } else { u64::MAX }
}

/// A will: message, delay and expiry in seconds.
pub type DraftWill = (Draft, u32, Option<u32>);

/// A connect.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The number of the client.
    pub client: usize,
    /// Its identifier.
    pub client_id: Box<str>,
    /// Clean start.
    pub clean_start: bool,
    /// Session expiry asked for.
    pub expiry: Expiry,
    /// Receive maximum.
    pub receive_max: u16,
    /// Whether it may hand deliveries back.
    pub may_requeue: bool,
    /// Whether deliveries may be repeated on the same link.
    pub may_retransmit: bool,
    /// Will, its delay and its expiry in seconds.
    pub will: Option<DraftWill>,
    /// What it does otherwise than MQTT clients.
    pub manners: Manners,
    /// Last number of its address.
    pub address: u8,
    /// Whether its credentials are wrong, which counts where somebody looks at them.
    pub wrong: bool,
    /// Whether it takes a look-up to tell.
    pub slow: bool,
}

/// An operation on its way to a shard.
#[derive(Clone, Debug)]
pub enum Op {
    /// Connect.
    Connect(Box<Hello>),
    /// Subscribe.
    Subscribe {
        /// Names the answer.
        ticket: Ticket,
        /// Subscription identifier.
        identifier: Option<u32>,
        /// What to.
        subscriptions: Vec<Subscription>,
    },
    /// Unsubscribe.
    Unsubscribe {
        /// Names the answer.
        ticket: Ticket,
        /// From what.
        filters: Vec<Box<str>>,
    },
    /// Publish.
    Publish {
        /// Names the answer.
        ticket: Ticket,
        /// The client's number of a QoS 2 message.
        id: u16,
        /// The message.
        draft: Draft,
        /// Whether the gateway hands it over detached.
        stored: bool,
    },
    /// Release of a QoS 2 message.
    Release {
        /// Names the answer.
        ticket: Ticket,
        /// The client's number of the message.
        id: u16,
    },
    /// Settle.
    Settle {
        /// The delivery.
        handle: u16,
        /// What became of it.
        outcome: Outcome,
    },
    /// Read retained messages.
    Read {
        /// Names the answer.
        ticket: Ticket,
        /// Which.
        filter: Filter,
        /// At most so many.
        limit: u32,
        /// From where.
        cursor: Option<Box<str>>,
    },
    /// Update of the will.
    UpdateWill {
        /// Names the answer.
        ticket: Ticket,
        /// The new one.
        will: Option<DraftWill>,
    },
    /// Note.
    Note {
        /// Its name.
        key: u32,
        /// What is noted.
        value: Option<u64>,
    },
    /// Demand.
    Demand(Credit),
    /// Disconnect.
    Disconnect(Disconnect),
}

/// All simulated clients speak through one gateway.
pub const GATEWAY: GatewayId = GatewayId(1);

impl Op {
    /// Calls `act` with the operation in the core's form.
    pub fn with_operation<R>(&self, act: impl FnOnce(Operation<'_>) -> R) -> R {
        if let Op::Publish { ticket, id, draft, stored: false } = self {
            return draft.with_message(|message| {
                let message = PublishMessage::View(message);
                act(Operation::Publish(Publish { ticket: *ticket, id: *id, message }))
            });
        }
        act(match self.clone() {
            Op::Connect(hello) => Operation::Connect(connect_of(&hello)),
            Op::Subscribe { ticket, identifier, subscriptions } => {
                let subscriptions = subscriptions.into_iter().map(Ok).collect();
                Operation::Subscribe(Box::new(Subscribe { ticket, identifier, subscriptions }))
            }
            Op::Unsubscribe { ticket, filters } => {
                Operation::Unsubscribe(Box::new(Unsubscribe { ticket, filters }))
            }
            Op::Publish { ticket, id, draft, .. } => {
                let message = PublishMessage::Stored(draft.detach());
                Operation::Publish(Publish { ticket, id, message })
            }
            Op::Release { ticket, id } => Operation::Release { ticket, id },
            Op::Settle { handle, outcome } => Operation::Settle { handle, outcome },
            Op::Read { ticket, filter, limit, cursor } => {
                Operation::Read(Box::new(Read { ticket, filter, limit, cursor }))
            }
            Op::UpdateWill { ticket, will } => {
                Operation::UpdateWill { ticket, will: will.as_ref().map(will_of) }
            }
            Op::Note { key, value } => {
                let value = value.map(|value| value.to_be_bytes().into());
                Operation::Note { key, value }
            }
            Op::Demand(credit) => Operation::Demand(credit),
            Op::Disconnect(disconnect) => Operation::Disconnect(disconnect),
        })
    }
}

fn will_of((draft, delay_s, expiry_s): &DraftWill) -> Box<Will> {
    Box::new(Will { message: draft.detach(), delay_s: *delay_s, expiry_s: *expiry_s })
}

fn connect_of(hello: &Hello) -> Box<Connect> {
    Box::new(Connect {
        gateway: GATEWAY,
        client_id: hello.client_id.clone(),
        clean_start: hello.clean_start,
        expiry: hello.expiry,
        receive_max: hello.receive_max,
        may_retransmit: hello.may_retransmit,
        may_requeue: hello.may_requeue,
        manners: hello.manners,
        will: hello.will.as_ref().map(will_of),
        mountpoint: "".into(),
        limits: None,
        evidence: Box::new(Evidence {
            allow_anonymous: true,
            peer: Some(([10, 0, 0, hello.address], 7).into()),
            user: Some(if hello.wrong { "wrong" } else { "right" }.into()),
            password: hello.slow.then(|| Secret::new(b"slow")),
            ..Evidence::default()
        }),
    })
}

/// A delivery as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// The number of the message.
    pub number: u64,
    /// Its topic.
    pub topic: Arc<str>,
    /// Whether it has no payload.
    pub empty: bool,
    /// Number of the delivery; 0 for QoS 0.
    pub handle: u16,
    /// QoS of the delivery.
    pub qos: QoS,
    /// Retain flag of the delivery.
    pub retain: bool,
    /// Whether it is a repetition.
    pub dup: bool,
    /// Subscription identifiers, ascending.
    pub identifiers: Vec<u32>,
}

/// An event on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ev {
    /// The session is open.
    Connected {
        /// Whether it was there before.
        session_present: bool,
        /// Its expiry.
        expiry: Expiry,
        /// The will that it keeps.
        will: Option<u64>,
        /// What it remembers.
        notes: Vec<(u32, u64)>,
    },
    /// It is not.
    Refused(Reason),
    /// Answer to a publish.
    Published(Ticket, Reason),
    /// Answer to a release.
    Released(Ticket, Reason),
    /// Answer to a subscribe.
    Subscribed(Ticket, Vec<Reason>),
    /// Answer to an unsubscribe.
    Unsubscribed(Ticket, Vec<Reason>),
    /// A message.
    Deliver(Arrival),
    /// Release of a delivery.
    Release(u16, Reason),
    /// Answer to a read: topics with message numbers, and where to go on.
    Retained(Ticket, Vec<(Box<str>, u64)>, Option<Box<str>>),
    /// Answer to an update of the will.
    WillUpdated(Ticket, Reason),
    /// Nothing waits for the client.
    Drained,
    /// The slot has lost its session.
    Kicked(Reason),
    /// The node stops.
    Draining,
    /// An event of enhanced authentication.
    Authentication,
}

/// The number in a note; `u64::MAX` if it was damaged.
fn noted(value: &[u8]) -> u64 {
    value.try_into().map_or(u64::MAX, u64::from_be_bytes)
}

fn arrival_of(delivery: Delivery<'_>) -> Arrival {
    let Event::Deliver(delivery) = Event::Deliver(delivery).detach() else { unreachable!() };
    let stored = delivery.message.stored().expect("a detached message is stored");
    let mut identifiers = delivery.subscription_ids.to_vec();
    identifiers.sort_unstable();
    Arrival {
        number: number_of(stored),
        topic: stored.topic().into(),
        empty: stored.payload().is_empty(),
        handle: delivery.handle,
        qos: delivery.qos,
        retain: delivery.retain,
        dup: delivery.dup,
        identifiers,
    }
}

impl From<Event<'_>> for Ev {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Connected(connected) => Ev::Connected {
                session_present: connected.session_present,
                expiry: connected.expiry,
                will: connected.will.as_deref().map(number_of),
                notes: connected.notes.iter().map(|(key, value)| (*key, noted(value))).collect(),
            },
            Event::Refused { reason, .. } => Ev::Refused(reason),
            Event::Published { ticket, reason } => Ev::Published(ticket, reason),
            Event::Released { ticket, reason } => Ev::Released(ticket, reason),
            Event::Subscribed { ticket, reasons } => Ev::Subscribed(ticket, reasons),
            Event::Unsubscribed { ticket, reasons } => Ev::Unsubscribed(ticket, reasons),
            Event::Deliver(delivery) => Ev::Deliver(arrival_of(delivery)),
            Event::Release { handle, reason } => Ev::Release(handle, reason),
            Event::Retained(page) => {
                let of = |m: &Arc<StoredMessage>| (m.topic().into(), number_of(m));
                Ev::Retained(page.ticket, page.messages.iter().map(of).collect(), page.cursor)
            }
            Event::Kicked { reason, .. } => Ev::Kicked(reason),
            Event::Draining => Ev::Draining,
            Event::Challenge { .. } | Event::Authenticated { .. } => Ev::Authentication,
            Event::WillUpdated { ticket, reason } => Ev::WillUpdated(ticket, reason),
            Event::Drained => Ev::Drained,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The shard that owns the link is about to apply an operation. The first of a slot is its
    /// connect; `home`: where the session lives.
    Applied {
        /// The slot.
        slot: SlotId,
        /// Home shard of the slot's session.
        home: ShardId,
        /// The operation.
        op: Op,
    },
    /// An event came out of the shard that owns the link.
    Emitted {
        /// The slot.
        slot: SlotId,
        /// The event.
        event: Ev,
    },
    /// A client has taken a message as new; `discarded`: it did not want it.
    Accepted {
        /// The slot.
        slot: SlotId,
        /// The message.
        arrival: Arrival,
        /// Whether it was refused.
        discarded: bool,
    },
    /// A store got a batch.
    Submitted {
        /// The shard.
        shard: ShardId,
        /// The batch's place.
        lsn: Lsn,
        /// The batch.
        batch: Vec<Mutation>,
    },
    /// Batches up to this one are safe.
    Durable {
        /// The shard.
        shard: ShardId,
        /// The newest safe batch.
        lsn: Lsn,
    },
    /// An administrator ends the link of the client with this number.
    Kick(usize),
    /// From here on nobody may subscribe to these topics.
    Rules(Vec<&'static str>),
    /// A standing subscription ended since the rules have changed.
    Revoked {
        /// The client's identifier.
        client_id: Box<str>,
        /// Its filter.
        filter: Box<str>,
    },
    /// The process was killed and starts again.
    Crash,
    /// Time has passed.
    Clock(Timestamp),
    /// No mail is under way between shards.
    Quiet,
    /// From here on nothing new is asked of the shards, and every client takes what comes.
    Settling,
}

/// A look-up that has no answer yet, and the shard that asked for it.
pub type Asked = (ShardId, LookupId, Lookup);

/// Where shards and stores write down what they do, between two looks of the world.
#[derive(Clone, Default)]
pub struct Log {
    entries: Arc<Mutex<Vec<Entry>>>,
    lookups: Arc<Mutex<Vec<Asked>>>,
    /// The shard that writes.
    at: ShardId,
}

impl Log {
    /// Adds an entry.
    pub fn push(&self, entry: Entry) {
        self.entries.lock().expect("no thread ever panics with the log").push(entry);
    }

    /// Takes all entries.
    #[must_use]
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.entries.lock().expect("no thread ever panics with the log"))
    }

    /// The same log, for a shard.
    #[must_use]
    pub fn at(&self, shard: ShardId) -> Self {
        Log { at: shard, ..self.clone() }
    }

    /// Takes all look-ups that were asked for.
    #[must_use]
    pub fn take_lookups(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lookups.lock().expect("no thread ever panics with the log"))
    }
}

impl Sink for Log {
    fn event(&mut self, slot: SlotId, event: Event<'_>) {
        self.push(Entry::Emitted { slot, event: event.into() });
    }

    fn look_up(&mut self, id: LookupId, lookup: Lookup) {
        let asked = (self.at, id, lookup);
        self.lookups.lock().expect("no thread ever panics with the log").push(asked);
    }
}

impl Observer for Log {
    fn on_event(&self, _now: Timestamp, event: &BrokerEvent<'_>) {
        if let BrokerEvent::SubscriptionRevoked { client, filter } = event {
            let (client_id, filter) = (client.client_id.clone(), (*filter).into());
            self.push(Entry::Revoked { client_id, filter });
        }
    }
}
