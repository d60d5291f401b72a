use codec_mqtt::{
    Connack, ConnackProperties, PACKET_SIZE_MAX, Packet, ReasonCode, Secret, Version,
};
use core_model::{Connected, Expiry, Timestamp};
use gateway_host::Output;

use crate::{
    MqttConfig,
    aliases::OutgoingAliases,
    auth::{Authentication, Turn},
    client::{Client, write_packet},
    connect::Opening,
    incoming::Incoming,
};

/// Writes the CONNACK that accepts; false if it is too large for the client.
pub(crate) fn write(
    opening: &Opening,
    connected: &Connected,
    config: &MqttConfig,
    output: &mut Output,
) -> bool {
    let information = response_information(opening, connected, config);
    let mut properties = match opening.version {
        Version::V31 | Version::V311 => ConnackProperties::default(),
        Version::V5 => properties(opening, connected, config),
    };
    properties.response_information = information.as_deref();
    //= mqtt5:3.2.2-2
    //= mqtt5:3.2.2-3
    //= mqtt311:3.2.2-1
    //= mqtt311:3.2.2-2
    //= mqtt311:3.2.2-3
    let session_present = connected.session_present && opening.version != Version::V31;
    //= mqtt5:3.1.4-5
    //= mqtt311:3.1.4-4
    let mut connack = Connack { session_present, reason: ReasonCode::SUCCESS, properties };
    let mut write = |connack: &Connack<'_>| {
        let packet = Packet::Connack(Box::new(*connack));
        write_packet(&packet, opening.version, opening.max_packet_size, output)
    };
    if write(&connack) {
        return true;
    }
    // Of all that is in there, only this may be left out.
    connack.properties.response_information = None;
    write(&connack)
}

/// What differs from the defaults.
fn properties<'p>(
    opening: &'p Opening,
    connected: &'p Connected,
    config: &MqttConfig,
) -> ConnackProperties<'p> {
    let unless_available = |available: bool| (!available).then_some(false);
    ConnackProperties {
        session_expiry_s: (connected.expiry != opening.expiry)
            .then(|| connected.expiry.as_seconds()),
        receive_maximum: (config.receive_maximum != u16::MAX).then_some(config.receive_maximum),
        //= mqtt5:3.2.2-9
        maximum_qos_1: (config.max_qos < 2).then_some(config.max_qos == 1),
        retain_available: unless_available(config.retain_available),
        max_packet_size: (config.max_packet_size < PACKET_SIZE_MAX)
            .then_some(config.max_packet_size),
        //= mqtt5:3.1.3-7
        //= mqtt5:3.2.2-16
        assigned_client_id: connected
            .assigned_client_id
            .as_deref()
            .or_else(|| opening.is_named.then_some(&*opening.client_id)),
        topic_alias_maximum: (config.topic_alias_max_in > 0).then_some(config.topic_alias_max_in),
        wildcard_subscription_available: unless_available(config.wildcard_available),
        subscription_ids_available: unless_available(config.subscription_ids_available),
        shared_subscription_available: unless_available(config.shared_available),
        server_keep_alive_s: opening.keep_alive.is_told.then_some(opening.keep_alive.seconds),
        //= mqtt5:4.12.0-5
        //= mqtt5:4.12.0-6
        authentication_method: opening.method.as_deref(),
        authentication_data: match opening.method {
            Some(_) => connected.authentication_data.as_deref().map(Secret),
            None => None,
        },
        ..ConnackProperties::default()
    }
}

fn response_information(
    opening: &Opening,
    connected: &Connected,
    config: &MqttConfig,
) -> Option<String> {
    //= mqtt5:3.1.2-28
    if !opening.response_information || config.response_information.is_empty() {
        return None;
    }
    let client_id = connected.assigned_client_id.as_ref().unwrap_or(&opening.client_id);
    Some(config.response_information.replace("%c", client_id))
}

impl Client {
    /// The client that CONNACK has just let in.
    pub(crate) fn new(opening: Opening, config: &MqttConfig, now: Timestamp) -> Self {
        let aliases = OutgoingAliases::allowed(opening.topic_alias_maximum, config);
        Client {
            version: opening.version,
            is_bridge: opening.is_bridge,
            problem_information: opening.problem_information,
            ends_with_link: opening.expiry == Expiry::WithLink,
            max_packet_size: opening.max_packet_size,
            silence_max_ms: opening.keep_alive.silence_max_ms(),
            active_at: now,
            incoming: Incoming::default(),
            scratch: Vec::new(),
            aliases_in: None,
            aliases_out: aliases.map(Box::new),
            authentication: opening
                .method
                .map(|method| Box::new(Authentication { method, turn: Turn::Nobody })),
        }
    }
}
