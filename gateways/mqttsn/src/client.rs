use std::sync::Arc;

use codec_mqttsn::{Connect, Packet};
use core_model::{
    Disconnect, DisconnectCause, Event, Operation, Reason, StoredMessage, Ticket, Timestamp,
};
use gateway_host::{Bucket, LinkFacts, Rate, SenderPath};
use smallvec::SmallVec;

use crate::{
    Shared,
    connect::{Greeting, Opening},
    late::Finished,
    publish_out::Sending,
    slot::Door,
    topics::Topics,
    will::WillUpdate,
};

/// Requests of a client that core has not answered yet. A client should have one.
const UNANSWERED_MAX: usize = 16;

/// The ticket of what is done for a client without its asking: nobody waits for the answer. Others
/// are MsgIds.
pub(crate) const UNASKED: Ticket = Ticket(u32::MAX);

/// One MQTT-SN client: its state between packets and core operations. What is rare is boxed, and
/// what is at rest holds no buffer.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) client_id: Box<str>,
    pub(crate) state: State,
    /// When the last packet came.
    pub(crate) heard_at: Timestamp,
    /// Milliseconds of silence after which the client is lost, by its keep alive or its sleep; 0
    /// for any.
    pub(crate) silence_max_ms: u64,
    /// Whether the session, and the topic ids with it, outlives the link.
    pub(crate) outlives_link: bool,
    /// Whether the link is full.
    pub(crate) is_blocked: bool,
    /// Whether core has nothing more for the client that is awake.
    pub(crate) is_drained: bool,
    /// Deliveries that core may still make.
    pub(crate) credit: u8,
    /// MsgId of the last REGISTER.
    pub(crate) register_id: u16,
    pub(crate) topics: Topics,
    /// What is on its way to the client.
    pub(crate) sending: Option<Box<Sending>>,
    /// The CONNECT that has made it active, while nothing else has come.
    pub(crate) fresh: Option<Greeting>,
    /// Whether it does not know the pre-defined ids.
    pub(crate) lacks_predefined: bool,
    /// QoS 2 messages of the client that are finished.
    pub(crate) finished: Finished,
    pub(crate) unanswered: SmallVec<[Unanswered; 2]>,
    /// The will of the session.
    pub(crate) will: Option<Arc<StoredMessage>>,
    pub(crate) will_update: Option<Box<WillUpdate>>,
    /// How fast the client may publish.
    pub(crate) pace: Option<Box<(Rate, Bucket)>>,
}

/// Where a client is between its first CONNECT and its end.
#[derive(Debug)]
pub(crate) enum State {
    /// It is asked for its Will.
    Prompting(Box<Opening>),
    /// Core judges it.
    Connecting(Box<Opening>),
    Active,
    Asleep,
    /// It gets what has come while it slept.
    Awake,
    Gone,
}

/// A request that core has not answered yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unanswered {
    pub(crate) msg_id: u16,
    /// The topic as the answer names it.
    pub(crate) topic_id: u16,
    pub(crate) request: Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// PUBLISH with QoS 1.
    PublishOnce,
    /// PUBLISH with QoS 2.
    PublishExactly,
    /// SUBSCRIBE to a topic that gets a topic id of the client's own.
    SubscribeNamed,
    /// SUBSCRIBE to anything else.
    Subscribe,
    Unsubscribe,
}

impl Client {
    /// A client that has sent a CONNECT. It is answered, or asked for its Will.
    pub(crate) fn connect(
        packet: &Connect<'_>,
        shared: &Arc<Shared>,
        facts: &LinkFacts,
        door: &mut Door<'_, '_, '_>,
    ) -> Client {
        let mut client = Client::new(packet.client_id, facts, door.now());
        client.open(packet, false, shared, facts, door);
        client
    }

    fn new(client_id: &str, facts: &LinkFacts, now: Timestamp) -> Client {
        let rate = facts.listener.message_rate;
        Client {
            client_id: client_id.into(),
            state: State::Gone,
            heard_at: now,
            silence_max_ms: 0,
            outlives_link: false,
            is_blocked: false,
            is_drained: false,
            credit: 0,
            register_id: 0,
            topics: Topics::default(),
            sending: None,
            fresh: None,
            lacks_predefined: false,
            finished: Finished::default(),
            unanswered: SmallVec::new(),
            will: None,
            will_update: None,
            pace: rate.map(|rate| Box::new((rate, Bucket::new(rate, now)))),
        }
    }

    /// Begins anew on the same link; what it may still publish it does not get anew.
    pub(crate) fn reopen(
        &mut self,
        packet: &Connect<'_>,
        holds: bool,
        shared: &Arc<Shared>,
        facts: &LinkFacts,
        door: &mut Door<'_, '_, '_>,
    ) {
        let (pace, is_blocked) = (self.pace.take(), self.is_blocked);
        let mut finished = std::mem::take(&mut self.finished);
        finished.begin_anew(packet.clean_session);
        // Core repeats the others itself.
        let letters = if packet.clean_session { None } else { self.sending.take() };
        *self = Client::new(packet.client_id, facts, door.now());
        (self.pace, self.is_blocked) = (pace.or(self.pace.take()), is_blocked);
        self.finished = finished;
        self.sending = letters.and_then(|letters| letters.of_qos0());
        self.open(packet, holds, shared, facts, door);
    }

    /// Ends its hold on the session for another client of the same name, which may publish as fast
    /// as is left to it.
    pub(crate) fn give_way(&mut self, door: &mut Door<'_, '_, '_>) -> Option<Box<(Rate, Bucket)>> {
        disconnect(DisconnectCause::Farewell, door);
        self.state = State::Gone;
        self.pace.take()
    }

    /// A packet of the client came, another CONNECT of the same client identifier too.
    pub(crate) fn on_packet<'a>(
        &mut self,
        packet: &Packet<'a>,
        shared: &Arc<Shared>,
        facts: &LinkFacts,
        door: &mut Door<'_, 'a, '_>,
    ) {
        if !self.accepts_path(packet, door) {
            return;
        }
        self.heard_at = door.now();
        if !matches!(packet, Packet::Connect(_)) {
            self.fresh = None;
        }
        match packet {
            Packet::Connect(connect) => self.on_connect(connect, shared, facts, door),
            Packet::Disconnect(duration_s) => self.on_disconnect(*duration_s, door),
            Packet::WillTopic(topic) => self.on_will_topic(topic.as_ref(), shared, facts, door),
            Packet::WillMsg(payload) => self.on_will_msg(payload, shared, facts, door),
            other if self.is_live() => self.on_live_packet(other, shared, door),
            // What comes before CONNACK is too early, and is sent again.
            _ => {}
        }
    }

    fn on_live_packet(
        &mut self,
        packet: &Packet<'_>,
        shared: &Arc<Shared>,
        door: &mut Door<'_, '_, '_>,
    ) {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, shared, door),
            Packet::Puback(ack) => self.on_puback(ack, shared, door),
            Packet::Pubrec(msg_id) => self.on_pubrec(*msg_id, shared, door),
            Packet::Pubcomp(msg_id) => self.on_pubcomp(*msg_id, shared, door),
            Packet::Pubrel(msg_id) => {
                self.finished.finish(*msg_id, door.now());
                let ticket = Ticket((*msg_id).into());
                door.operation(Operation::Release { ticket, id: *msg_id });
            }
            Packet::Register(register) => self.on_register(register, shared, door),
            Packet::Regack(ack) => self.on_regack(ack, shared, door),
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, shared, door),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe, shared, door),
            Packet::Pingreq(client_id) => self.on_pingreq(*client_id, shared, door),
            Packet::WillTopicUpd(topic) => self.on_will_topic_upd(topic.as_ref(), shared, door),
            Packet::WillMsgUpd(payload) => self.on_will_msg_upd(payload, door),
            // The answer to nothing that is asked, what only gateways send, and what is of no
            // client.
            Packet::Pingresp
            | Packet::Connack(_)
            | Packet::WillTopicReq
            | Packet::WillMsgReq
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::WillTopicResp(_)
            | Packet::WillMsgResp(_)
            | Packet::Advertise(_)
            | Packet::Searchgw(_)
            | Packet::Gwinfo(_)
            | Packet::Connect(_)
            | Packet::Disconnect(_)
            | Packet::WillTopic(_)
            | Packet::WillMsg(_) => {}
        }
    }

    /// Whether the packet may be taken for the client's. One from another address moves the client
    /// there if that is allowed, and else is answered like a stranger's.
    fn accepts_path(&mut self, packet: &Packet<'_>, door: &mut Door<'_, '_, '_>) -> bool {
        let is_candidate =
            door.sender().is_some_and(|sender| matches!(sender.path, SenderPath::Candidate { .. }));
        if !is_candidate {
            return true;
        }
        //= mqttsn:GW-SN-27
        let names_client = matches!(packet, Packet::Pingreq(Some(id)) if *id == &*self.client_id);
        let is_accepted = names_client && self.is_live() && door.adopt_path();
        if !is_accepted && !matches!(packet, Packet::Disconnect(_)) {
            door.send(&Packet::Disconnect(None));
        }
        is_accepted
    }

    /// The core tells the client something.
    pub(crate) fn on_event(
        &mut self,
        event: Event<'_>,
        shared: &Arc<Shared>,
        door: &mut Door<'_, 'static, '_>,
    ) {
        match self.state {
            State::Connecting(_) => self.on_opening_event(event, shared, door),
            State::Active | State::Asleep | State::Awake => {
                self.on_live_event(event, shared, door);
            }
            State::Prompting(_) => self.on_prompting_event(&event, door),
            // Of a session that this client has left.
            State::Gone => {}
        }
    }

    /// What concerns the session that a client has while it is asked for another Will.
    fn on_prompting_event(&mut self, event: &Event<'_>, door: &mut Door<'_, 'static, '_>) {
        match event {
            Event::Kicked { reason, .. } => {
                if let State::Prompting(opening) = &mut self.state {
                    opening.holds_session = false;
                }
                door.send(&Packet::Disconnect(None));
                self.end(*reason, door);
            }
            Event::Draining => {
                door.send(&Packet::Disconnect(None));
                let reason = Reason::SERVER_SHUTTING_DOWN;
                self.leave_session(DisconnectCause::Lost(reason), door);
                self.end(reason, door);
            }
            // What is to be delivered comes again.
            _ => {}
        }
    }

    fn on_live_event(
        &mut self,
        event: Event<'_>,
        shared: &Arc<Shared>,
        door: &mut Door<'_, 'static, '_>,
    ) {
        match event {
            Event::Deliver(delivery) => self.on_deliver(&delivery, shared, door),
            Event::Release { handle, reason } => self.on_release(handle, reason, shared, door),
            Event::Drained => self.on_drained(door),
            Event::Published { ticket, reason } => self.on_published(ticket, reason, door),
            Event::Released { ticket, .. } => {
                //= mqttsn:GW-SN-16
                door.send(&Packet::Pubcomp(ticket.0 as u16));
            }
            Event::Subscribed { ticket, reasons } => self.on_subscribed(ticket, &reasons, door),
            Event::Unsubscribed { ticket, .. } => self.on_unsubscribed(ticket, door),
            Event::WillUpdated { ticket, reason } => self.on_will_updated(ticket, reason, door),
            //= mqttsn:GW-SN-30
            Event::Kicked { reason, .. } => {
                door.send(&Packet::Disconnect(None));
                self.end(reason, door);
            }
            Event::Draining => {
                door.send(&Packet::Disconnect(None));
                self.lose(Reason::SERVER_SHUTTING_DOWN, door);
            }
            // The rest answers nothing that was asked.
            Event::Connected(_)
            | Event::Refused { .. }
            | Event::Challenge { .. }
            | Event::Authenticated { .. }
            | Event::Retained(_) => {}
        }
    }

    /// The time that [`Self::next_deadline`] named has come.
    pub(crate) fn on_deadline(&mut self, shared: &Arc<Shared>, door: &mut Door<'_, 'static, '_>) {
        if let State::Prompting(_) = self.state {
            return self.on_prompt_deadline(shared, door);
        }
        if self.quiet_until().is_some_and(|at| at <= door.now()) {
            //= mqttsn:GW-SN-26
            return self.give_up(door);
        }
        self.on_retry_deadline(shared, door);
    }

    /// The client does not answer any more.
    pub(crate) fn give_up(&mut self, door: &mut Door<'_, '_, '_>) {
        // If it is alive after all, it connects again; while it sleeps it would not hear it.
        if self.takes_messages() {
            door.send(&Packet::Disconnect(None));
        }
        self.lose(Reason::KEEP_ALIVE_TIMEOUT, door);
    }

    /// The link is full (`true`), or takes frames again.
    pub(crate) fn on_backpressure(
        &mut self,
        blocked: bool,
        _shared: &Arc<Shared>,
        door: &mut Door<'_, 'static, '_>,
    ) {
        self.is_blocked = blocked;
        if self.takes_messages() {
            match blocked {
                true => self.withdraw_credit(door),
                false => self.renew_credit(door),
            }
        }
    }

    /// The link is gone, or the client's node has another client: last operations. Nothing can be
    /// sent.
    pub(crate) fn on_close(&mut self, reason: Reason, door: &mut Door<'_, '_, '_>) {
        match self.state {
            State::Connecting(_) | State::Active | State::Asleep | State::Awake => {
                disconnect(DisconnectCause::Lost(reason), door);
            }
            State::Prompting(_) => self.leave_session(DisconnectCause::Lost(reason), door),
            State::Gone => {}
        }
        self.state = State::Gone;
    }

    /// Ends the client, whom core takes for lost.
    pub(crate) fn lose(&mut self, reason: Reason, door: &mut Door<'_, '_, '_>) {
        disconnect(DisconnectCause::Lost(reason), door);
        self.end(reason, door);
    }

    /// Ends the client, of whom core knows nothing any more.
    pub(crate) fn end(&mut self, reason: Reason, door: &mut Door<'_, '_, '_>) {
        self.state = State::Gone;
        self.sending = None;
        door.leave(reason);
    }

    /// When [`Self::on_deadline`] is to be called.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        match &self.state {
            State::Prompting(opening) => Some(opening.deadline()),
            State::Connecting(_) | State::Gone => None,
            State::Active | State::Awake => {
                [self.quiet_until(), self.retry_at()].into_iter().flatten().min()
            }
            State::Asleep => self.quiet_until(),
        }
    }

    /// Until when the client may be silent, as agreed with it.
    //= mqttsn:GW-SN-26
    pub(crate) fn quiet_until(&self) -> Option<Timestamp> {
        let is_supervised = self.is_live() && self.silence_max_ms > 0;
        is_supervised.then(|| self.heard_at.plus_millis(self.silence_max_ms))
    }

    /// Its client identifier.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether it has ended and can be forgotten. A link of its own was told so by
    /// [`Door::leave`].
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Whether it has a session.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Active | State::Asleep | State::Awake)
    }

    /// Whether messages can be sent to it now.
    pub(crate) fn takes_messages(&self) -> bool {
        matches!(self.state, State::Active | State::Awake)
    }

    /// Whether it may publish one message more now.
    pub(crate) fn keeps_pace(&mut self, now: Timestamp) -> bool {
        self.pace.as_mut().is_none_or(|pace| {
            let (rate, bucket) = &mut **pace;
            bucket.take(*rate, now, 1)
        })
    }

    /// Notes a request that core is to answer.
    pub(crate) fn admit(&mut self, unanswered: Unanswered) -> Admission {
        let same = |other: &Unanswered| {
            other.msg_id == unanswered.msg_id
                && other.request.is_publish() == unanswered.request.is_publish()
                && other.request.is_subscribe() == unanswered.request.is_subscribe()
        };
        if self.unanswered.iter().any(same) {
            return Admission::Repeated;
        }
        if self.unanswered.len() >= UNANSWERED_MAX {
            return Admission::Full;
        }
        self.unanswered.push(unanswered);
        Admission::Admitted
    }

    /// The request that core has answered with `ticket`.
    pub(crate) fn answered(
        &mut self,
        ticket: Ticket,
        is_one: impl Fn(Request) -> bool,
    ) -> Option<Unanswered> {
        let place = self
            .unanswered
            .iter()
            .position(|one| Ticket(one.msg_id.into()) == ticket && is_one(one.request))?;
        let answered = self.unanswered.remove(place);
        self.unanswered.shrink_to_fit();
        Some(answered)
    }
}

/// Whether a request goes to core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Admitted,
    /// Its answer is under way.
    Repeated,
    /// The client does not wait for answers.
    Full,
}

impl Request {
    pub(crate) fn is_publish(self) -> bool {
        matches!(self, Request::PublishOnce | Request::PublishExactly)
    }

    pub(crate) fn is_subscribe(self) -> bool {
        matches!(self, Request::SubscribeNamed | Request::Subscribe)
    }
}

/// Tells core that the client is gone.
pub(crate) fn disconnect(cause: DisconnectCause, door: &mut Door<'_, '_, '_>) {
    door.operation(Operation::Disconnect(Disconnect { cause, expiry: None }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_at_rest_is_small() {
        // There is one for each of many sleepers: what is added here is to be boxed.
        assert!(size_of::<Client>() <= 224, "{} bytes", size_of::<Client>());
    }
}
