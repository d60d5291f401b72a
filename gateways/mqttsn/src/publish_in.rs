use codec_mqttsn::{Packet, Publish, Register, ReturnCode, TopicAck, TopicId};
use core_model::{
    Message, Operation, Publish as CorePublish, PublishMessage, QoS, Reason, Ticket,
    check_topic_name,
};

use crate::{
    Shared,
    client::{Admission, Client, Request, State, Unanswered},
    mapping,
    slot::Door,
    topics::Standing,
};

/// Periods of retransmission after which no copy of a finished QoS 2 message is expected.
const LATE_PERIODS: u32 = 2;

impl Client {
    /// Handles a REGISTER.
    pub(crate) fn on_register(
        &mut self,
        register: &Register<'_>,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) {
        self.finished.note(register.msg_id);
        //= mqttsn:GW-SN-12
        let (topic_id, return_code) = match check_topic_name(register.topic_name) {
            Err(_) => (0, ReturnCode::NOT_SUPPORTED),
            Ok(()) => match self.assign(register.topic_name, shared, door) {
                Some(id) => (id, ReturnCode::ACCEPTED),
                None => (0, ReturnCode::CONGESTION),
            },
        };
        self.set_standing(topic_id, Standing::Known);
        let msg_id = register.msg_id;
        door.send(&Packet::Regack(TopicAck { topic_id, msg_id, return_code }));
    }

    /// Handles a PUBLISH.
    pub(crate) fn on_publish(
        &mut self,
        publish: &Publish<'_>,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) {
        let is_silent = publish.qos == codec_mqttsn::QoS::MinusOne;
        if matches!(self.state, State::Asleep) && !shared.config.publish_asleep {
            // It has to connect first.
            if !is_silent {
                door.send(&Packet::Disconnect(None));
            }
            return;
        }
        if let Err(code) = self.publish(publish, shared, door)
            && !is_silent
        {
            //= mqttsn:GW-SN-14
            //= mqttsn:GW-SN-15
            //= mqttsn:GW-SN-17
            answer(publish.topic_id.value(), publish.msg_id, code, door);
        }
    }

    /// Publishes the message, unless there is something to be said against it.
    fn publish(
        &mut self,
        publish: &Publish<'_>,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) -> Result<(), ReturnCode> {
        //= mqttsn:GW-SN-15
        if !self.keeps_pace(door.now()) {
            return Err(ReturnCode::CONGESTION);
        }
        let topic = match &publish.topic_id {
            TopicId::Normal(id) => self.topics.of_id(*id).map(|entry| entry.name()),
            TopicId::Predefined(id) => {
                shared.config.predefined.topic(&self.client_id, *id).map(|topic| &**topic)
            }
            //= mqttsn:GW-SN-31
            TopicId::Short(name) => Some(name.as_str()),
        };
        //= mqttsn:GW-SN-14
        let topic = topic.ok_or(ReturnCode::INVALID_TOPIC_ID)?;
        if let Some(reason) = mapping::forbidden_topic(topic) {
            return Err(mapping::return_code(reason));
        }
        //= mqttsn:GW-SN-17
        let qos = mapping::qos_in(publish.qos).unwrap_or(QoS::AtMostOnce);
        if qos > shared.config.max_qos() {
            return Err(ReturnCode::NOT_SUPPORTED);
        }
        // Its topic is not in the read buffer, so that it is copied.
        let message = Message { qos, retain: publish.retain, ..Message::new(topic, publish.data) };
        let message = message.detach();
        let (msg_id, topic_id) = (publish.msg_id, publish.topic_id.value());
        if qos == QoS::AtLeastOnce {
            self.finished.note(msg_id);
        }
        //= mqttsn:GW-SN-29
        if qos == QoS::ExactlyOnce {
            let window_s = u32::from(shared.config.t_retry_s) * LATE_PERIODS;
            if self.finished.is_copy(publish, window_s, door.now()) {
                door.send(&Packet::Pubrec(msg_id));
                return Ok(());
            }
        }
        let request = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(Request::PublishOnce),
            QoS::ExactlyOnce => Some(Request::PublishExactly),
        };
        if let Some(request) = request {
            match self.admit(Unanswered { msg_id, topic_id, request }) {
                Admission::Admitted => {}
                //= mqttsn:GW-SN-29
                Admission::Repeated => return Ok(()),
                Admission::Full => return Err(ReturnCode::CONGESTION),
            }
        }
        let message = PublishMessage::Stored(message);
        let publish = CorePublish { ticket: Ticket(msg_id.into()), id: msg_id, message };
        door.operation(Operation::Publish(publish));
        Ok(())
    }

    /// Core has taken a message over, or refused it.
    pub(crate) fn on_published(
        &mut self,
        ticket: Ticket,
        reason: Reason,
        door: &mut Door<'_, 'static, '_>,
    ) {
        let Some(done) = self.answered(ticket, Request::is_publish) else { return };
        //= mqttsn:GW-SN-16
        if done.request == Request::PublishExactly && !reason.is_error() {
            door.send(&Packet::Pubrec(done.msg_id));
        } else {
            answer(done.topic_id, done.msg_id, mapping::return_code(reason), door);
        }
    }
}

fn answer(topic_id: u16, msg_id: u16, return_code: ReturnCode, door: &mut Door<'_, '_, '_>) {
    door.send(&Packet::Puback(TopicAck { topic_id, msg_id, return_code }));
}
