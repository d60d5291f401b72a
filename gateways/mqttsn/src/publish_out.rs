use std::collections::VecDeque;
use std::sync::Arc;

use codec_mqttsn::{Packet, Publish, ReturnCode, TopicAck, TopicId};
use core_model::{Credit, Delivery, MessageRef, Operation, Outcome, QoS, Reason, StoredMessage};

use crate::{
    Shared,
    client::{Client, State},
    mapping,
    retry::{Exchange, Step},
    slot::Door,
    topics::{Form, Standing},
};

/// Deliveries that core may make ahead of the client, and so about as many as may wait here.
pub(crate) const CREDIT_MAX: u8 = 16;

/// What may wait here whatever core does. More than its credit comes when it was renewed while
/// deliveries were on their way from another shard.
const WAITING_MAX: usize = 4 * CREDIT_MAX as usize;

/// What is on its way to a client.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    pub(crate) exchange: Option<Exchange>,
    /// What waits for its turn, oldest first.
    waiting: VecDeque<Waiting>,
}

impl Sending {
    /// The messages with QoS 0 that wait, if there are any: nobody else has them.
    pub(crate) fn of_qos0(mut self: Box<Self>) -> Option<Box<Self>> {
        self.exchange = None;
        self.waiting.retain(|one| match one {
            Waiting::Letter(letter) => letter.qos == QoS::AtMostOnce,
            Waiting::Release(_) => false,
        });
        (!self.waiting.is_empty()).then_some(self)
    }
}

#[derive(Debug)]
enum Waiting {
    Letter(Letter),
    /// A PUBREL, by its handle.
    Release(u16),
}

/// A message for the client.
#[derive(Debug)]
pub(crate) struct Letter {
    message: Arc<StoredMessage>,
    /// Bytes of the topic that are not shown to the client.
    topic_skip: u16,
    /// The MsgId; 0 with QoS 0.
    handle: u16,
    qos: QoS,
    retain: bool,
    /// Whether it was sent before.
    dup: bool,
    /// Whether the client did not know the topic when it was sent.
    is_second: bool,
}

impl Letter {
    fn of(delivery: &Delivery<'_>) -> Self {
        Letter {
            message: match &delivery.message {
                MessageRef::View(view) => view.detach(),
                MessageRef::Stored(stored) => Arc::clone(stored),
                MessageRef::Owned(stored) => Arc::clone(stored),
            },
            topic_skip: delivery.topic_skip,
            handle: delivery.handle,
            qos: delivery.qos,
            retain: delivery.retain,
            dup: delivery.dup,
            is_second: false,
        }
    }

    fn topic(&self) -> &str {
        self.message.topic().get(usize::from(self.topic_skip)..).unwrap_or("")
    }
}

/// What can be done about the first that waits.
enum Turn {
    Release(u16),
    Publish(TopicId),
    Register,
    Discard(Reason),
}

impl Client {
    /// Handles a delivery: sends it, or lets it wait for its turn.
    pub(crate) fn on_deliver(
        &mut self,
        delivery: &Delivery<'_>,
        shared: &Shared,
        door: &mut Door<'_, 'static, '_>,
    ) {
        self.credit = self.credit.saturating_sub(1);
        if self.is_drained {
            // Core has to say again when it has nothing more.
            self.is_drained = false;
            self.credit = 0;
        }
        let topic_skip = usize::from(delivery.topic_skip);
        let topic = delivery.message.topic().get(topic_skip..).unwrap_or("");
        let waiting = self.sending.as_ref().map_or(0, |sending| sending.waiting.len());
        //= mqttsn:GW-SN-22
        if delivery.message.payload().len() >= usize::from(shared.config.max_packet_size) {
            discard(delivery.handle, Reason::PACKET_TOO_LARGE, door);
        } else if self.takes_messages()
            && delivery.qos == QoS::AtMostOnce
            && waiting == 0
            && let Form::Known(topic_id) = self.form(topic, false, shared)
        {
            let data = delivery.message.payload();
            door.send(&Packet::Publish(Publish {
                dup: false,
                qos: codec_mqttsn::QoS::AtMostOnce,
                retain: delivery.retain,
                topic_id,
                msg_id: 0,
                data,
            }));
        } else if waiting < WAITING_MAX {
            let waiting = &mut self.sending.get_or_insert_default().waiting;
            waiting.push_back(Waiting::Letter(Letter::of(delivery)));
            return self.pump(shared, door);
        } else {
            discard(delivery.handle, Reason::QUOTA_EXCEEDED, door);
        }
        self.renew_credit(door);
    }

    /// Core has noted the receipt of a QoS 2 message.
    pub(crate) fn on_release(
        &mut self,
        handle: u16,
        reason: Reason,
        shared: &Shared,
        door: &mut Door<'_, 'static, '_>,
    ) {
        if reason.is_error() {
            // Of a message that is forgotten: the client may forget it, too.
            door.send(&Packet::Pubrel(handle));
            return;
        }
        match self.step() {
            Some(Step::AwaitRelease { handle: awaited }) if *awaited == handle => {
                self.take_step();
            }
            Some(Step::Release { handle: released }) if *released == handle => return,
            _ => {}
        }
        let waiting = &mut self.sending.get_or_insert_default().waiting;
        let is_same = |one: &Waiting| matches!(one, Waiting::Release(other) if *other == handle);
        if waiting.len() < WAITING_MAX && !waiting.iter().any(is_same) {
            // It is older than all that waits.
            waiting.push_front(Waiting::Release(handle));
        }
        self.pump(shared, door);
    }

    /// Sends what waits, as far as the client's answers allow.
    pub(crate) fn pump(&mut self, shared: &Shared, door: &mut Door<'_, '_, '_>) {
        while self.takes_messages()
            && let Some(turn) = self.next_turn(shared)
        {
            self.take_turn(turn, shared, door);
        }
        let is_idle =
            |sending: &mut Box<Sending>| sending.exchange.is_none() && sending.waiting.is_empty();
        self.sending.take_if(is_idle);
        self.renew_credit(door);
        self.fall_asleep(door);
    }

    fn next_turn(&self, shared: &Shared) -> Option<Turn> {
        let sending = self.sending.as_ref()?;
        //= mqttsn:GW-SN-16
        let is_free = sending.exchange.is_none();
        match sending.waiting.front()? {
            Waiting::Release(handle) => is_free.then_some(Turn::Release(*handle)),
            Waiting::Letter(letter) => match self.form(letter.topic(), letter.is_second, shared) {
                Form::Known(topic) => {
                    (is_free || letter.qos == QoS::AtMostOnce).then_some(Turn::Publish(topic))
                }
                //= mqttsn:GW-SN-19
                Form::Unknown => is_free.then_some(Turn::Register),
                //= mqttsn:GW-SN-20
                Form::Refused => Some(Turn::Discard(Reason::TOPIC_NAME_INVALID)),
            },
        }
    }

    fn take_turn(&mut self, turn: Turn, shared: &Shared, door: &mut Door<'_, '_, '_>) {
        match turn {
            Turn::Release(handle) => {
                self.take_first();
                door.send(&Packet::Pubrel(handle));
                self.begin(Step::Release { handle }, shared, door.now());
            }
            Turn::Publish(topic) => {
                let Some(Waiting::Letter(letter)) = self.take_first() else { return };
                if !send_letter(&letter, topic, letter.dup, door) {
                    //= mqttsn:GW-SN-22
                    discard(letter.handle, Reason::PACKET_TOO_LARGE, door);
                } else if letter.qos != QoS::AtMostOnce {
                    self.begin(Step::Publish { letter, topic }, shared, door.now());
                }
            }
            Turn::Register => self.register_first(shared, door),
            Turn::Discard(reason) => self.discard_first(reason, door),
        }
    }

    /// Tells the client the id of the topic of the first letter that waits.
    //= mqttsn:GW-SN-19
    fn register_first(&mut self, shared: &Shared, door: &mut Door<'_, '_, '_>) {
        let sending = self.sending.as_ref();
        let Some(Waiting::Letter(letter)) = sending.and_then(|sending| sending.waiting.front())
        else {
            return;
        };
        let (message, topic_skip) = (Arc::clone(&letter.message), letter.topic_skip);
        let topic = message.topic().get(usize::from(topic_skip)..).unwrap_or("");
        let Some(topic_id) = self.assign(topic, shared, door) else {
            return self.discard_first(Reason::QUOTA_EXCEEDED, door);
        };
        self.register_id = self.register_id.checked_add(1).unwrap_or(1);
        let msg_id = self.register_id;
        if self.send_register(topic_id, msg_id, door) {
            self.begin(Step::Register { topic_id, msg_id }, shared, door.now());
        } else {
            //= mqttsn:GW-SN-22
            self.discard_first(Reason::PACKET_TOO_LARGE, door);
        }
    }

    fn take_first(&mut self) -> Option<Waiting> {
        self.sending.as_mut()?.waiting.pop_front()
    }

    fn discard_first(&mut self, reason: Reason, door: &mut Door<'_, '_, '_>) {
        if let Some(Waiting::Letter(letter)) = self.take_first() {
            discard(letter.handle, reason, door);
        }
    }

    /// Handles a REGACK.
    pub(crate) fn on_regack(
        &mut self,
        ack: &TopicAck,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) {
        let is_awaited = matches!(
            self.step(),
            Some(Step::Register { topic_id, msg_id })
                if (*topic_id, *msg_id) == (ack.topic_id, ack.msg_id)
        );
        if !is_awaited {
            return;
        }
        self.take_step();
        if ack.return_code.is_accepted() {
            self.set_standing(ack.topic_id, Standing::Known);
        } else {
            self.on_topic_refused(ack, door);
        }
        self.pump(shared, door);
    }

    /// The client does not take the id of a topic.
    //= mqttsn:GW-SN-20
    fn on_topic_refused(&mut self, ack: &TopicAck, door: &mut Door<'_, '_, '_>) {
        let Some(topic) = self.topics.of_id(ack.topic_id).map(|entry| entry.name().to_owned())
        else {
            return;
        };
        if let Some(sending) = &mut self.sending {
            sending.waiting.retain(|waiting| match waiting {
                Waiting::Letter(letter) if letter.topic() == topic => {
                    discard(letter.handle, Reason::TOPIC_NAME_INVALID, door);
                    false
                }
                Waiting::Letter(_) | Waiting::Release(_) => true,
            });
        }
        // A congested client may have room for the topic's next message.
        if ack.return_code != ReturnCode::CONGESTION {
            self.set_standing(ack.topic_id, Standing::Refused);
            self.unsubscribe_refused(&topic, door);
        }
    }

    /// Handles a PUBACK.
    pub(crate) fn on_puback(
        &mut self,
        ack: &TopicAck,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) {
        let Some(Step::Publish { letter, .. }) = self.step() else {
            return self.on_unknown_topic(ack, shared);
        };
        if letter.handle != ack.msg_id {
            return self.on_unknown_topic(ack, shared);
        }
        let (handle, qos) = (letter.handle, letter.qos);
        match ack.return_code {
            ReturnCode::ACCEPTED if qos == QoS::AtLeastOnce => {
                self.take_step();
                settle(handle, Outcome::Accepted, door);
            }
            // It is the answer to QoS 1.
            ReturnCode::ACCEPTED => return,
            ReturnCode::INVALID_TOPIC_ID => self.send_once_more(door),
            ReturnCode::CONGESTION => {
                // The client is there, but has no room yet.
                self.postpone_retry(shared, door.now());
                return;
            }
            _ => {
                self.take_step();
                discard(handle, Reason::IMPLEMENTATION_SPECIFIC, door);
            }
        }
        self.pump(shared, door);
    }

    /// The client does not know the topic of the message in the exchange: it is told of it, and gets
    /// the message once more.
    //= mqttsn:GW-SN-21
    fn send_once_more(&mut self, door: &mut Door<'_, '_, '_>) {
        let Some(Step::Publish { mut letter, topic }) = self.take_step() else { return };
        if let TopicId::Predefined(_) = topic {
            self.lacks_predefined = true;
        } else if letter.is_second {
            return discard(letter.handle, Reason::TOPIC_NAME_INVALID, door);
        }
        if let TopicId::Normal(id) = topic {
            self.set_standing(id, Standing::Unknown);
        }
        (letter.is_second, letter.dup) = (true, true);
        let waiting = &mut self.sending.get_or_insert_default().waiting;
        waiting.push_front(Waiting::Letter(letter));
    }

    /// The client did not know the topic of a message with QoS 0.
    //= mqttsn:GW-SN-21
    fn on_unknown_topic(&mut self, ack: &TopicAck, shared: &Shared) {
        let is_known = |standing| standing == Standing::Known;
        self.lacks_predefined |= ack.return_code == ReturnCode::INVALID_TOPIC_ID
            && shared.config.predefined.topic(&self.client_id, ack.topic_id).is_some();
        if ack.return_code == ReturnCode::INVALID_TOPIC_ID
            && let Some(entry) = self.topics.of_id_mut(ack.topic_id)
            && is_known(entry.standing)
        {
            entry.standing = Standing::Unknown;
        }
    }

    /// Handles a PUBREC.
    pub(crate) fn on_pubrec(&mut self, msg_id: u16, shared: &Shared, door: &mut Door<'_, '_, '_>) {
        let is_letter = |letter: &Letter| letter.handle == msg_id && letter.qos != QoS::AtMostOnce;
        match self.step() {
            Some(Step::Publish { letter, .. }) if is_letter(letter) => {
                if letter.qos == QoS::ExactlyOnce {
                    self.take_step();
                    let step = Step::AwaitRelease { handle: msg_id };
                    self.begin(step, shared, door.now());
                    settle(msg_id, Outcome::Received, door);
                }
                return;
            }
            Some(Step::AwaitRelease { handle }) if *handle == msg_id => return,
            Some(Step::Release { handle }) if *handle == msg_id => {
                door.send(&Packet::Pubrel(msg_id));
                return;
            }
            _ => {}
        }
        // What is about to be sent, or sent again, is answered then.
        let waits = self.sending.as_ref().is_some_and(|sending| {
            sending.waiting.iter().any(|waiting| match waiting {
                Waiting::Letter(letter) => is_letter(letter),
                Waiting::Release(handle) => *handle == msg_id,
            })
        });
        if !waits {
            settle(msg_id, Outcome::Received, door);
        }
    }

    /// Handles a PUBCOMP.
    pub(crate) fn on_pubcomp(&mut self, msg_id: u16, shared: &Shared, door: &mut Door<'_, '_, '_>) {
        if matches!(self.step(), Some(Step::Release { handle }) if *handle == msg_id) {
            self.take_step();
            settle(msg_id, Outcome::Accepted, door);
            self.pump(shared, door);
        }
    }

    /// Lets core deliver as much as there is room for, when it has little credit left. A client that
    /// is awake gets what has come one after another, whatever the QoS.
    pub(crate) fn renew_credit(&mut self, door: &mut Door<'_, '_, '_>) {
        if !self.takes_messages() || self.is_blocked || self.credit > CREDIT_MAX / 2 {
            return;
        }
        //= mqttsn:GW-SN-27
        if matches!(self.state, State::Awake) {
            if self.credit == 0 && self.sending.is_none() {
                self.credit = 1;
                door.operation(Operation::Demand(Credit::Messages(1)));
            }
            return;
        }
        let waiting = self.sending.as_ref().map_or(0, |sending| sending.waiting.len());
        let room = CREDIT_MAX.saturating_sub(u8::try_from(waiting).unwrap_or(u8::MAX));
        if room > self.credit {
            self.credit = room;
            door.operation(Operation::Demand(Credit::Messages(room.into())));
        }
    }
}

/// Sends a message; `false` if it is too long for that.
pub(crate) fn send_letter(
    letter: &Letter,
    topic_id: TopicId,
    dup: bool,
    door: &mut Door<'_, '_, '_>,
) -> bool {
    door.send(&Packet::Publish(Publish {
        //= mqttsn:GW-SN-28
        dup: dup && letter.qos != QoS::AtMostOnce,
        qos: mapping::qos_out(letter.qos),
        retain: letter.retain,
        topic_id,
        msg_id: letter.handle,
        data: letter.message.payload(),
    }))
}

fn settle(handle: u16, outcome: Outcome, door: &mut Door<'_, '_, '_>) {
    door.operation(Operation::Settle { handle, outcome });
}

/// Gives a message up; one with QoS 0 just ends.
fn discard(handle: u16, reason: Reason, door: &mut Door<'_, '_, '_>) {
    if handle != 0 {
        settle(handle, Outcome::Discarded(reason), door);
    }
}
