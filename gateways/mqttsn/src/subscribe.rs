use codec_mqttsn::{Packet, ReturnCode, Suback, Subscribe, Topic, Unsubscribe};
use core_model::{
    Filter, Operation, Reason, RetainHandling, Subscribe as CoreSubscribe, Subscription, Ticket,
    Unsubscribe as CoreUnsubscribe,
};

use crate::{
    Shared,
    client::{Admission, Client, Request, UNASKED, Unanswered},
    mapping,
    slot::Door,
    topics::Standing,
};

impl Client {
    /// Handles a SUBSCRIBE.
    pub(crate) fn on_subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) {
        self.finished.note(subscribe.msg_id);
        if let Err(return_code) = self.subscribe(subscribe, shared, door) {
            let topic_id = match subscribe.topic {
                Topic::Predefined(id) => id,
                Topic::Name(_) | Topic::Short(_) => 0,
            };
            let qos = codec_mqttsn::QoS::AtMostOnce;
            let msg_id = subscribe.msg_id;
            door.send(&Packet::Suback(Suback { qos, topic_id, msg_id, return_code }));
        }
    }

    /// Subscribes, unless there is something to be said against it.
    fn subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) -> Result<(), ReturnCode> {
        let qos = mapping::qos_in(subscribe.qos).ok_or(ReturnCode::NOT_SUPPORTED)?;
        let filter = self.filter(&subscribe.topic, shared)?;
        //= mqttsn:GW-SN-18
        let (topic_id, request) = match subscribe.topic {
            Topic::Name(_) if !filter.has_wildcard() => {
                let id = self.assign(filter.topic_filter(), shared, door);
                (id.ok_or(ReturnCode::CONGESTION)?, Request::SubscribeNamed)
            }
            Topic::Name(_) | Topic::Short(_) => (0, Request::Subscribe),
            Topic::Predefined(id) => (id, Request::Subscribe),
        };
        match self.admit(Unanswered { msg_id: subscribe.msg_id, topic_id, request }) {
            Admission::Admitted => {}
            Admission::Repeated => return Ok(()),
            Admission::Full => return Err(ReturnCode::CONGESTION),
        }
        let subscription = Subscription {
            filter,
            qos: qos.min(shared.config.max_qos()),
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let subscriptions = vec![Ok(subscription)];
        let ticket = Ticket(subscribe.msg_id.into());
        let operation = CoreSubscribe { ticket, identifier: None, subscriptions };
        door.operation(Operation::Subscribe(Box::new(operation)));
        Ok(())
    }

    /// The filter that a SUBSCRIBE or UNSUBSCRIBE names.
    fn filter(&self, topic: &Topic<'_>, shared: &Shared) -> Result<Filter, ReturnCode> {
        let text = match topic {
            Topic::Name(name) => name,
            Topic::Short(name) => name.as_str(),
            //= mqttsn:GW-SN-18
            Topic::Predefined(id) => {
                let topic = shared.config.predefined.topic(&self.client_id, *id);
                topic.ok_or(ReturnCode::INVALID_TOPIC_ID)?
            }
        };
        Filter::parse(text).map_err(|_| mapping::return_code(Reason::TOPIC_FILTER_INVALID))
    }

    /// Core has subscribed, or not.
    pub(crate) fn on_subscribed(
        &mut self,
        ticket: Ticket,
        reasons: &[Reason],
        door: &mut Door<'_, 'static, '_>,
    ) {
        let Some(done) = self.answered(ticket, Request::is_subscribe) else { return };
        let reason = reasons.first().copied().unwrap_or(Reason::UNSPECIFIED);
        let is_granted = !reason.is_error();
        let is_named = done.request == Request::SubscribeNamed;
        if is_granted
            && is_named
            && let Some(entry) = self.topics.of_id_mut(done.topic_id)
        {
            entry.standing = Standing::Known;
            entry.is_subscribed = true;
        }
        let suback = Suback {
            qos: match reason {
                Reason::GRANTED_QOS_1 => codec_mqttsn::QoS::AtLeastOnce,
                Reason::GRANTED_QOS_2 => codec_mqttsn::QoS::ExactlyOnce,
                _ => codec_mqttsn::QoS::AtMostOnce,
            },
            topic_id: if is_granted || !is_named { done.topic_id } else { 0 },
            msg_id: done.msg_id,
            return_code: mapping::return_code(reason),
        };
        //= mqttsn:GW-SN-18
        door.send(&Packet::Suback(suback));
    }

    /// Handles an UNSUBSCRIBE.
    pub(crate) fn on_unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe<'_>,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) {
        let msg_id = unsubscribe.msg_id;
        let Ok(filter) = self.filter(&unsubscribe.topic, shared) else {
            // There is no such subscription, and no code that could say so.
            door.send(&Packet::Unsuback(msg_id));
            return;
        };
        let request = Request::Unsubscribe;
        // One without an answer is sent again.
        if self.admit(Unanswered { msg_id, topic_id: 0, request }) != Admission::Admitted {
            return;
        }
        if let Topic::Name(_) = unsubscribe.topic {
            self.forget_subscribed(filter.topic_filter());
        }
        unsubscribe_from(filter.as_str(), Ticket(msg_id.into()), door);
    }

    /// Core has unsubscribed.
    pub(crate) fn on_unsubscribed(&mut self, ticket: Ticket, door: &mut Door<'_, 'static, '_>) {
        let is_unsubscribe = |request| request == Request::Unsubscribe;
        if let Some(done) = self.answered(ticket, is_unsubscribe) {
            door.send(&Packet::Unsuback(done.msg_id));
        }
    }

    /// The client has refused the id of a topic, which unsubscribes from it.
    //= mqttsn:GW-SN-20
    pub(crate) fn unsubscribe_refused(&mut self, topic: &str, door: &mut Door<'_, '_, '_>) {
        self.forget_subscribed(topic);
        unsubscribe_from(topic, UNASKED, door);
    }

    fn forget_subscribed(&mut self, topic: &str) {
        if let Some(id) = self.topics.of_name(topic).map(|entry| entry.id)
            && let Some(entry) = self.topics.of_id_mut(id)
        {
            entry.is_subscribed = false;
        }
    }
}

fn unsubscribe_from(filter: &str, ticket: Ticket, door: &mut Door<'_, '_, '_>) {
    let operation = CoreUnsubscribe { ticket, filters: vec![filter.into()] };
    door.operation(Operation::Unsubscribe(Box::new(operation)));
}
