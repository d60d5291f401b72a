use codec_mqttsn::{Publish, TopicId};
use core_model::{
    Connect, Disconnect, DisconnectCause, Event, Expiry, Manners, Message, Operation,
    Publish as CorePublish, PublishMessage, Takeover, Ticket, Timestamp,
};
use gateway_host::{Bucket, Context, LinkFacts};

use crate::{
    GATEWAY_ID, MqttSnConfig,
    credentials::{QOS_MINUS_ONE, evidence},
};

/// The slot that publishes for those without a connection.
const SLOT: u32 = 0;

/// Seconds between the end of its session and another attempt.
const RECONNECT_PAUSE_S: u32 = 30;

/// What is published without a connection (QoS -1). All of it belongs to one client, which each
/// shard's end of a listener connects as soon as it is there. What comes before it is let in is
/// lost, as QoS -1 may be.
//= mqttsn:GW-SN-17
#[derive(Debug)]
pub(crate) struct MinusOne {
    facts: LinkFacts,
    state: State,
    bucket: Option<Bucket>,
}

#[derive(Debug)]
enum State {
    /// It has no session, and connects then.
    Waiting(Timestamp),
    /// Core judges it.
    Connecting,
    /// It may publish.
    Connected,
    /// The node stops.
    Ended,
}

impl MinusOne {
    /// The client of one shard's end of a listener; `None` if nothing may be published so.
    pub(crate) fn new(config: &MqttSnConfig, facts: &LinkFacts, now: Timestamp) -> Option<Self> {
        if config.qos_minus_one.is_empty() {
            return None;
        }
        let bucket = facts.listener.message_rate.map(|rate| Bucket::new(rate, now));
        Some(MinusOne { facts: facts.clone(), state: State::Waiting(now), bucket })
    }

    /// Publishes, if the topic is one that may be published to so.
    pub(crate) fn on_publish<'a>(
        &mut self,
        publish: &Publish<'a>,
        config: &MqttSnConfig,
        context: &mut Context<'a, '_>,
    ) {
        let State::Connected = self.state else { return };
        let topic = match &publish.topic_id {
            TopicId::Predefined(id) => config.predefined.common(*id).map(|topic| &**topic),
            TopicId::Short(name) => Some(name.as_str()),
            TopicId::Normal(_) => None,
        };
        let Some(topic) = topic else { return };
        let is_allowed = config.qos_minus_one.iter().any(|filter| filter.matches(topic));
        if !is_allowed || !self.take(context.now) {
            return;
        }
        let message =
            Message { retain: publish.retain, ..Message::new(topic, publish.data) }.detach();
        let publish =
            CorePublish { ticket: Ticket(0), id: 0, message: PublishMessage::Stored(message) };
        context.operation(SLOT, Operation::Publish(publish));
    }

    /// Whether the rate of the listener allows one more message.
    fn take(&mut self, now: Timestamp) -> bool {
        match (&mut self.bucket, self.facts.listener.message_rate) {
            (Some(bucket), Some(rate)) => bucket.take(rate, now, 1),
            _ => true,
        }
    }

    /// Handles what the core tells the client.
    pub(crate) fn on_event(&mut self, event: &Event<'_>, context: &mut Context<'static, '_>) {
        match event {
            Event::Connected(_) => self.state = State::Connected,
            Event::Refused { .. } | Event::Kicked { .. } => {
                self.state = State::Waiting(context.now.plus_seconds(RECONNECT_PAUSE_S));
            }
            Event::Draining => self.on_close(context),
            // It asks for nothing that would be answered.
            _ => {}
        }
    }

    /// Connects, if it is time.
    pub(crate) fn on_deadline(
        &mut self,
        config: &MqttSnConfig,
        context: &mut Context<'static, '_>,
    ) {
        let State::Waiting(until) = self.state else { return };
        if until <= context.now {
            context.operation(SLOT, Operation::Connect(Box::new(self.connect(config))));
            self.state = State::Connecting;
        }
    }

    fn connect(&self, config: &MqttSnConfig) -> Connect {
        let listener = &self.facts.listener;
        Connect {
            gateway: GATEWAY_ID,
            client_id: format!("{QOS_MINUS_ONE}.{}.{}", listener.name, self.facts.shard.0).into(),
            clean_start: true,
            expiry: Expiry::WithLink,
            receive_max: 1,
            may_retransmit: false,
            may_requeue: false,
            will: None,
            manners: Manners { takeover: Takeover::Nobody, ..Manners::default() },
            mountpoint: listener.mountpoint.clone(),
            limits: listener.session_limits.clone(),
            evidence: Box::new(evidence(config.credentials.of(QOS_MINUS_ONE), &self.facts)),
        }
    }

    /// Ends its session for good.
    pub(crate) fn on_close(&mut self, context: &mut Context<'static, '_>) {
        if matches!(self.state, State::Connecting | State::Connected) {
            let disconnect = Disconnect { cause: DisconnectCause::Farewell, expiry: None };
            context.operation(SLOT, Operation::Disconnect(disconnect));
        }
        self.state = State::Ended;
    }

    /// When [`Self::on_deadline`] is to be called.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting(until) => Some(until),
            State::Connecting | State::Connected | State::Ended => None,
        }
    }
}
