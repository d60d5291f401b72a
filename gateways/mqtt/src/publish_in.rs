use codec_mqtt::{Publish, Version};
use core_model::{
    Message, Operation, OriginId, Properties, Publish as CorePublish, PublishMessage, QoS, Reason,
    Timestamp,
};
use gateway_host::Context;

use crate::{
    LAYOUT_V5, MqttConfig,
    aliases::IncomingAliases,
    client::{Client, SLOT},
    errors::Fault,
    incoming::{Admission, PublishId},
    mapping,
};

/// Nobody has said what the alias stands for.
const ALIAS_UNSET: Fault = Fault::protocol("topic alias that was never set");

impl Client {
    /// Handles a PUBLISH.
    #[inline]
    pub(crate) fn on_publish<'a>(
        &mut self,
        publish: &Publish<'a>,
        config: &MqttConfig,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Fault> {
        let qos = mapping::qos_in(publish.qos);
        // The alias is set whatever becomes of the message.
        if let Some(alias) = publish.properties.topic_alias {
            self.set_alias(alias, publish.topic, config)?;
        }
        check_available(publish, qos, config)?;
        if qos != QoS::AtMostOnce && self.version == Version::V5 {
            let id = PublishId { packet_id: publish.packet_id, qos };
            if self.incoming.admit(id, config.receive_maximum)? == Admission::InUse {
                self.incoming.refuse(id, Reason::PACKET_ID_IN_USE, self.version, context.output());
                return Ok(());
            }
        }
        if publish.topic.is_empty() {
            return self.publish_by_alias(publish, qos, config, context);
        }
        if let Some(id) = self.take_over(publish, publish.topic, qos, config, context)? {
            // Built in place: it is large, and there is one for every message.
            context.operation(
                SLOT,
                Operation::Publish(CorePublish {
                    ticket: id.ticket(),
                    id: id.packet_id,
                    message: PublishMessage::View(message(
                        publish,
                        publish.topic,
                        qos,
                        context.now,
                    )),
                }),
            );
        }
        Ok(())
    }

    /// Publishes a message whose topic is known by alias only. It cannot borrow everything from
    /// the read buffer, so it is copied.
    fn publish_by_alias<'a>(
        &mut self,
        publish: &Publish<'a>,
        qos: QoS,
        config: &MqttConfig,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Fault> {
        let Some(aliases) = self.aliases_in.take() else { return Err(ALIAS_UNSET) };
        //= mqtt5:GW-MQTT-08
        let topic = publish.properties.topic_alias.and_then(|alias| aliases.topic(alias));
        let topic = topic.ok_or(ALIAS_UNSET)?;
        if let Some(id) = self.take_over(publish, topic, qos, config, context)? {
            let stored = message(publish, topic, qos, context.now).detach();
            let message = PublishMessage::Stored(stored);
            let publish = CorePublish { ticket: id.ticket(), id: id.packet_id, message };
            context.operation(SLOT, Operation::Publish(publish));
        }
        self.aliases_in = Some(aliases);
        Ok(())
    }

    /// Judges a message by its topic and payload: its identity if core is to have it, `None` if it
    /// is refused, which is then answered.
    #[inline]
    fn take_over(
        &mut self,
        publish: &Publish<'_>,
        topic: &str,
        qos: QoS,
        config: &MqttConfig,
        context: &mut Context<'_, '_>,
    ) -> Result<Option<PublishId>, Fault> {
        let id = PublishId { packet_id: publish.packet_id, qos };
        if let Some(reason) = refusal(publish, topic, config)? {
            //= mqtt5:GW-MQTT-17
            //= mqtt311:3.3.5-2
            if qos != QoS::AtMostOnce {
                self.incoming.refuse(id, reason, self.version, context.output());
            }
            return Ok(None);
        }
        if qos != QoS::AtMostOnce {
            self.incoming.on_sent();
        }
        Ok(Some(id))
    }

    #[cold]
    fn set_alias(&mut self, alias: u16, topic: &str, config: &MqttConfig) -> Result<(), Fault> {
        //= mqtt5:GW-MQTT-09
        //= mqtt5:3.3.2-9
        //= mqtt5:3.2.2-17
        //= mqtt5:3.2.2-18
        if alias == 0 || alias > config.topic_alias_max_in {
            return Err(Fault::new(Reason::TOPIC_ALIAS_INVALID, "topic alias above the maximum"));
        }
        if topic.is_empty() {
            return Ok(());
        }
        //= mqtt5:3.3.2-7
        //= mqtt5:3.3.2-12
        self.aliases_in.get_or_insert_with(|| Box::new(IncomingAliases::default())).set(
            alias,
            topic,
            config.topic_alias_bytes_max,
        )
    }
}

/// Checks what CONNACK has said that the server does not do.
#[inline]
fn check_available(publish: &Publish<'_>, qos: QoS, config: &MqttConfig) -> Result<(), Fault> {
    //= mqtt5:GW-MQTT-04
    //= mqtt5:3.2.2-11
    if qos as u8 > config.max_qos {
        return Err(Fault::new(Reason::QOS_NOT_SUPPORTED, "QoS above the maximum"));
    }
    //= mqtt5:GW-MQTT-05
    //= mqtt5:3.2.2-14
    if publish.retain && !config.retain_available {
        return Err(Fault::new(Reason::RETAIN_NOT_SUPPORTED, "retained message"));
    }
    //= mqtt5:3.3.4-6
    if !publish.properties.subscription_ids.is_empty() {
        return Err(Fault::protocol("subscription identifier in a PUBLISH to the server"));
    }
    Ok(())
}

/// Why core does not get the message, if it does not.
#[inline]
fn refusal(
    publish: &Publish<'_>,
    topic: &str,
    config: &MqttConfig,
) -> Result<Option<Reason>, Fault> {
    if config.reject_control_characters && mapping::has_control_character(topic) {
        return Err(Fault::new(Reason::MALFORMED, "control character in the topic name"));
    }
    let is_mislabelled = config.check_payload_format
        && publish.properties.payload_format_utf8 == Some(true)
        && std::str::from_utf8(publish.payload).is_err();
    if is_mislabelled {
        return Ok(Some(Reason::PAYLOAD_FORMAT_INVALID));
    }
    Ok(mapping::forbidden_topic(topic))
}

/// The message in core's words.
#[inline(always)]
fn message<'m>(publish: &Publish<'m>, topic: &'m str, qos: QoS, now: Timestamp) -> Message<'m> {
    let p = &publish.properties;
    let raw = publish.raw_properties;
    //= mqtt5:3.3.2-4
    //= mqtt5:3.3.2-15
    //= mqtt5:3.3.2-16
    //= mqtt5:3.3.2-17
    //= mqtt5:3.3.2-20
    let wire = (!raw.is_empty() && p.is_shareable()).then_some((LAYOUT_V5, raw));
    let properties = if raw.is_empty() {
        Properties::default()
    } else {
        Properties {
            payload_format_utf8: p.payload_format_utf8,
            content_type: p.content_type,
            response_topic: p.response_topic,
            correlation_data: p.correlation_data,
            user: mapping::user_properties_in(p.user_properties),
        }
    };
    Message {
        topic,
        payload: publish.payload,
        qos,
        retain: publish.retain,
        expires_at: p.message_expiry_s.map(|s| now.plus_seconds(s)),
        origin: OriginId::default(),
        properties,
        wire,
    }
}
