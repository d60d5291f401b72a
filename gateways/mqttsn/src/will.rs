use std::sync::Arc;

use codec_mqttsn::{Packet, WillTopic};
use core_model::{Message, Operation, QoS, Reason, StoredMessage, Ticket, Will, check_topic_name};

use crate::{MqttSnConfig, Shared, client::Client, mapping, slot::Door};

/// What WILLTOPIC says of a Will.
#[derive(Debug)]
pub(crate) struct Envelope {
    topic: Box<str>,
    qos: QoS,
    retain: bool,
}

impl Envelope {
    /// Checks what is the gateway's to check.
    pub(crate) fn new(topic: &WillTopic<'_>, config: &MqttSnConfig) -> Result<Self, Reason> {
        let qos = mapping::qos_in(topic.qos).filter(|qos| *qos <= config.max_qos());
        let qos = qos.ok_or(Reason::QOS_NOT_SUPPORTED)?;
        check_topic_name(topic.topic).map_err(|_| Reason::TOPIC_NAME_INVALID)?;
        match mapping::forbidden_topic(topic.topic) {
            Some(reason) => Err(reason),
            None => Ok(Envelope { topic: topic.topic.into(), qos, retain: topic.retain }),
        }
    }

    /// The Will's message.
    pub(crate) fn seal(&self, payload: &[u8]) -> Arc<StoredMessage> {
        let message = Message::new(&self.topic, payload);
        Message { qos: self.qos, retain: self.retain, ..message }.detach()
    }
}

/// A Will as core has it: published at once.
pub(crate) fn of(message: Arc<StoredMessage>) -> Box<Will> {
    Box::new(Will { message, delay_s: 0, expiry_s: None })
}

/// A change of the Will that core has not answered yet.
#[derive(Debug)]
pub(crate) struct WillUpdate {
    part: Part,
    will: Option<Arc<StoredMessage>>,
}

/// What of a Will is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Topic,
    Message,
}

impl Part {
    const fn ticket(self) -> Ticket {
        match self {
            Part::Topic => Ticket(0),
            Part::Message => Ticket(1),
        }
    }

    fn respond(self, reason: Reason, door: &mut Door<'_, '_, '_>) {
        let code = mapping::connack_code(reason);
        door.send(&match self {
            Part::Topic => Packet::WillTopicResp(code),
            Part::Message => Packet::WillMsgResp(code),
        });
    }
}

impl Client {
    /// Handles a WILLTOPICUPD.
    //= mqttsn:GW-SN-11
    pub(crate) fn on_will_topic_upd(
        &mut self,
        topic: Option<&WillTopic<'_>>,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) {
        let Some(topic) = topic else { return self.update_will(Part::Topic, None, door) };
        match Envelope::new(topic, &shared.config) {
            Ok(envelope) => {
                let payload = self.will.as_ref().map_or(&[][..], |will| will.payload());
                let will = envelope.seal(payload);
                self.update_will(Part::Topic, Some(will), door);
            }
            Err(reason) => Part::Topic.respond(reason, door),
        }
    }

    /// Handles a WILLMSGUPD.
    //= mqttsn:GW-SN-11
    pub(crate) fn on_will_msg_upd(&mut self, payload: &[u8], door: &mut Door<'_, '_, '_>) {
        // Without a topic there is no Will that could have a message.
        let Some(will) = &self.will else {
            return Part::Message.respond(Reason::TOPIC_NAME_INVALID, door);
        };
        let changed = Message { payload, ..will.view() }.detach();
        self.update_will(Part::Message, Some(changed), door);
    }

    fn update_will(
        &mut self,
        part: Part,
        will: Option<Arc<StoredMessage>>,
        door: &mut Door<'_, '_, '_>,
    ) {
        // The client is to wait for its answer, and sends again what gets none.
        if self.will_update.is_some() {
            return;
        }
        self.will_update = Some(Box::new(WillUpdate { part, will: will.clone() }));
        let (ticket, will) = (part.ticket(), will.map(of));
        door.operation(Operation::UpdateWill { ticket, will });
    }

    /// Core has changed the Will, or not.
    pub(crate) fn on_will_updated(
        &mut self,
        ticket: Ticket,
        reason: Reason,
        door: &mut Door<'_, 'static, '_>,
    ) {
        let update = self.will_update.take_if(|update| update.part.ticket() == ticket);
        let Some(update) = update else { return };
        if !reason.is_error() {
            self.will = update.will;
        }
        //= mqttsn:GW-SN-11
        update.part.respond(reason, door);
    }
}
