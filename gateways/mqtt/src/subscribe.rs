use codec_mqtt::{
    AckProperties, Packet, PacketType, ReasonCode, Suback, Subscribe, Subscription, Unsuback,
    Unsubscribe, Version,
};
use core_model::{
    Filter, Operation, Reason, Subscribe as CoreSubscribe, Subscription as CoreSubscription,
    Ticket, Unsubscribe as CoreUnsubscribe,
};
use gateway_host::Context;
use smallvec::SmallVec;

use crate::{
    MqttConfig,
    client::{Client, SLOT, write_packet},
    errors::Fault,
    mapping,
};

/// Codes of SUBACK and UNSUBACK; most packets have few filters.
type Codes = SmallVec<[u8; 32]>;

impl Client {
    /// Handles a SUBSCRIBE.
    pub(crate) fn on_subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        config: &MqttConfig,
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        let identifier = subscribe.properties.subscription_id;
        let subscriptions = subscribe
            .subscriptions
            .iter()
            .map(|subscription| self.judge(&subscription, identifier, config))
            .collect::<Result<Vec<_>, Fault>>()?;
        let packet_id = subscribe.packet_id;
        if !self.incoming.admit_filters(packet_id, self.version) {
            let reasons = vec![Reason::PACKET_ID_IN_USE; subscriptions.len()];
            return self.write_suback(packet_id, &reasons, context);
        }
        //= mqtt5:3.8.4-5
        //= mqtt311:3.8.4-4
        let ticket = Ticket(packet_id.into());
        let operation = CoreSubscribe { ticket, identifier, subscriptions };
        context.operation(SLOT, Operation::Subscribe(Box::new(operation)));
        Ok(())
    }

    /// Core has subscribed: writes SUBACK.
    pub(crate) fn on_subscribed(
        &mut self,
        packet_id: u16,
        reasons: &[Reason],
        context: &mut Context<'static, '_>,
    ) -> Result<(), Fault> {
        self.incoming.on_filters_done(packet_id);
        self.write_suback(packet_id, reasons, context)
    }

    fn write_suback(
        &self,
        packet_id: u16,
        reasons: &[Reason],
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        //= mqtt5:3.8.4-6
        //= mqtt5:3.8.4-7
        //= mqtt5:3.9.3-1
        //= mqtt5:3.9.3-2
        //= mqtt311:3.8.4-5
        //= mqtt311:3.9.3-1
        //= mqtt311:3.9.3-2
        let reasons = codes(reasons, PacketType::Suback);
        //= mqtt5:3.8.4-1
        //= mqtt5:3.8.4-2
        //= mqtt5:2.2.1-6
        //= mqtt5:3.9.2-1
        //= mqtt5:3.9.2-2
        //= mqtt311:3.8.4-1
        //= mqtt311:3.8.4-2
        //= mqtt311:2.3.1-7
        let suback = Suback { packet_id, properties: AckProperties::default(), reasons: &reasons };
        // 3.1 has no way to refuse a filter; its clients know 0x80 from 3.1.1 better than silence.
        let version = self.version.max(Version::V311);
        match write_packet(&Packet::Suback(suback), version, self.max_packet_size, context.output())
        {
            true => Ok(()),
            false => Err(Fault::answer_too_large()),
        }
    }

    /// Handles an UNSUBSCRIBE.
    pub(crate) fn on_unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe<'_>,
        config: &MqttConfig,
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        let filters: Vec<Box<str>> = unsubscribe.filters.iter().map(Box::from).collect();
        if filters.iter().any(|filter| is_malformed(filter, config)) {
            return Err(Fault::new(Reason::MALFORMED, "control character in a topic filter"));
        }
        let packet_id = unsubscribe.packet_id;
        if !self.incoming.admit_filters(packet_id, self.version) {
            let reasons = vec![Reason::PACKET_ID_IN_USE; filters.len()];
            return self.write_unsuback(packet_id, &reasons, context);
        }
        //= mqtt5:3.10.4-6
        //= mqtt311:3.10.4-6
        let operation = CoreUnsubscribe { ticket: Ticket(packet_id.into()), filters };
        context.operation(SLOT, Operation::Unsubscribe(Box::new(operation)));
        Ok(())
    }

    /// Core has unsubscribed: writes UNSUBACK.
    pub(crate) fn on_unsubscribed(
        &mut self,
        packet_id: u16,
        reasons: &[Reason],
        context: &mut Context<'static, '_>,
    ) -> Result<(), Fault> {
        self.incoming.on_filters_done(packet_id);
        self.write_unsuback(packet_id, reasons, context)
    }

    fn write_unsuback(
        &self,
        packet_id: u16,
        reasons: &[Reason],
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        //= mqtt5:3.11.3-1
        //= mqtt5:3.11.3-2
        let reasons = codes(reasons, PacketType::Unsuback);
        //= mqtt5:3.10.4-4
        //= mqtt5:3.10.4-5
        //= mqtt5:3.11.2-1
        //= mqtt5:3.11.2-2
        //= mqtt311:3.10.4-4
        //= mqtt311:3.10.4-5
        let unsuback =
            Unsuback { packet_id, properties: AckProperties::default(), reasons: &reasons };
        match self.write(&Packet::Unsuback(unsuback), context.output()) {
            true => Ok(()),
            false => Err(Fault::answer_too_large()),
        }
    }

    /// One subscription as core is to make it, or why it is refused.
    fn judge(
        &self,
        subscription: &Subscription<'_>,
        identifier: Option<u32>,
        config: &MqttConfig,
    ) -> Result<Result<CoreSubscription, Reason>, Fault> {
        if is_malformed(subscription.filter, config) {
            return Err(Fault::new(Reason::MALFORMED, "control character in a topic filter"));
        }
        //= mqtt5:GW-MQTT-16
        //= mqtt311:3.8.4-5
        let Ok(filter) = Filter::parse(subscription.filter) else {
            return Ok(Err(Reason::TOPIC_FILTER_INVALID));
        };
        let is_shared = filter.share_name().is_some();
        //= mqtt5:3.8.3-4
        if is_shared && subscription.no_local {
            return Err(Fault::protocol("No Local on a shared subscription"));
        }
        //= mqtt5:GW-MQTT-15
        //= mqtt311:3.8.3-2
        if is_shared && !config.shared_available {
            return Ok(Err(Reason::SHARED_NOT_SUPPORTED));
        }
        if filter.has_wildcard() && !config.wildcard_available {
            return Ok(Err(Reason::WILDCARDS_NOT_SUPPORTED));
        }
        if identifier.is_some() && !config.subscription_ids_available {
            return Ok(Err(Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED));
        }
        //= mqtt5:3.2.2-10
        let qos = mapping::qos_in(subscription.qos).min(config.max_qos());
        Ok(Ok(CoreSubscription {
            filter,
            qos,
            no_local: subscription.no_local || (self.is_bridge && !is_shared),
            retain_as_published: subscription.retain_as_published || self.is_bridge,
            retain_handling: mapping::retain_handling(subscription.retain_handling),
        }))
    }
}

fn codes(reasons: &[Reason], packet_type: PacketType) -> Codes {
    let code = |&reason| mapping::reason_out(reason, packet_type, ReasonCode::UNSPECIFIED_ERROR);
    reasons.iter().map(code).map(ReasonCode::value).collect()
}

fn is_malformed(filter: &str, config: &MqttConfig) -> bool {
    config.reject_control_characters && mapping::has_control_character(filter)
}
