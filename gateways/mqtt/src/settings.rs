//! The settings of an MQTT listener, `[listener.mqtt]`.

use std::sync::Arc;

use gateway_host::Gateway;
use gateway_settings::{
    GatewaySettings, Lapse, ListenerLimits, Never, Size, Unset, choice, settings,
};

use crate::{MqttConfig, MqttGateway, ProtocolVersion};

settings! {
    /// MQTT 3.1, 3.1.1 and 5.0.
    pub(crate) struct MqttSettings {
        /// Versions that are spoken; a client of another one is refused.
        versions: Vec<Version> = vec![Version::V31, Version::V311, Version::V5];
        /// Highest QoS of messages in both directions.
        max_qos: u8 = 2, 0..=2;
        /// QoS 1 and 2 messages that a client may have unanswered at once. A 5.0 client is told,
        /// and disconnected when it sends more; any other client is not read meanwhile.
        receive_maximum: u16 = 1024, 1..=65_535;
        /// Topic aliases that a client may set; 0 for none.
        max_topic_aliases_in: u16 = 32, 0..=65_535;
        /// Bytes that the topics behind one client's aliases may have together.
        max_topic_alias_bytes: Size = Size::kib(32), 0..=4_294_967_295;
        /// Topic aliases that the server sets, if the client takes so many; 0 for none.
        max_topic_aliases_out: u16 = 32, 0..=65_535;
        /// Longest keep alive that a 5.0 client gets; with a value here, none at all is not
        /// allowed. Unset, as the limits say.
        max_keep_alive: Unset<Never<Lapse>> = Unset(None), 1_000..=65_535_000;
        /// Keep alive that every 5.0 client gets, whatever it wants; "never" leaves it to the
        /// client.
        server_keep_alive: Never<Lapse> = Never(None), 1_000..=65_535_000;
        /// Properties in one packet.
        max_properties: u32 = 128, 1..=4_294_967_295;
        /// Topic filters in one SUBSCRIBE or UNSUBSCRIBE.
        max_filters: u32 = 1024, 1..=4_294_967_295;
        /// Whether clients may publish retained messages.
        retain_available: bool = true;
        /// Whether filters may have wildcards.
        wildcard_available: bool = true;
        /// Whether shared subscriptions may be made.
        shared_available: bool = true;
        /// Whether subscriptions may have identifiers.
        subscription_ids_available: bool = true;
        /// What 5.0 clients that ask for Response Information get; `%c` stands for the client
        /// id. Empty for nothing.
        response_information: String = String::new();
        /// Whether payloads that claim to be UTF-8 are checked.
        check_payload_format: bool = false;
        /// Whether control characters in client ids, user names and topics are refused.
        reject_control_characters: bool = false;
    }
}

choice! {
    /// A version of MQTT.
    pub(crate) enum Version {
        /// MQTT 3.1
        V31 = "3.1",
        /// MQTT 3.1.1
        V311 = "3.1.1",
        /// MQTT 5.0
        V5 = "5.0",
    }
}

impl MqttSettings {
    fn config(&self, limits: &ListenerLimits) -> MqttConfig {
        let seconds = |lapse: Lapse| u16::try_from(lapse.whole_seconds()).unwrap_or(u16::MAX);
        let longest = self.max_keep_alive.0.map_or(limits.max_keep_alive, |own| own.0);
        MqttConfig {
            versions: self.versions.iter().map(|version| (*version).into()).collect(),
            connect_timeout_s: seconds(limits.connect_timeout),
            max_packet_size: to_u32(limits.max_packet_size),
            max_connect_size: to_u32(limits.max_connect_size),
            max_properties: self.max_properties,
            max_filters: self.max_filters,
            max_qos: self.max_qos,
            retain_available: self.retain_available,
            wildcard_available: self.wildcard_available,
            shared_available: self.shared_available,
            subscription_ids_available: self.subscription_ids_available,
            receive_maximum: self.receive_maximum,
            topic_alias_max_in: self.max_topic_aliases_in,
            topic_alias_bytes_max: to_u32(self.max_topic_alias_bytes),
            topic_alias_max_out: self.max_topic_aliases_out,
            keep_alive_min_s: limits.min_keep_alive.map_or(0, seconds),
            keep_alive_max_s: longest.map_or(0, seconds),
            server_keep_alive_s: self.server_keep_alive.0.map_or(0, seconds),
            response_information: self.response_information.clone(),
            check_payload_format: self.check_payload_format,
            reject_control_characters: self.reject_control_characters,
        }
    }
}

impl GatewaySettings for MqttSettings {
    fn open(&self, limits: &ListenerLimits) -> Result<Arc<dyn Gateway>, String> {
        let gateway = MqttGateway::new(self.config(limits)).map_err(|error| error.to_string())?;
        Ok(Arc::new(gateway))
    }

    fn connection_bytes(&self, _: &ListenerLimits) -> u64 {
        /// A table's entry for an alias or a packet identifier.
        const ENTRY_BYTES: u64 = 64;
        /// The gateway gives longer topics no alias.
        const ALIASED_TOPIC_BYTES_MAX: u64 = 1024;
        let (incoming, outgoing) = (self.max_topic_aliases_in, self.max_topic_aliases_out);
        let topics_in = if incoming == 0 { 0 } else { self.max_topic_alias_bytes.0 };
        let topics_out = u64::from(outgoing) * ALIASED_TOPIC_BYTES_MAX;
        let entries = [incoming, outgoing, self.receive_maximum];
        topics_in + topics_out + ENTRY_BYTES * entries.map(u64::from).iter().sum::<u64>()
    }
}

impl From<Version> for ProtocolVersion {
    fn from(version: Version) -> Self {
        match version {
            Version::V31 => ProtocolVersion::V31,
            Version::V311 => ProtocolVersion::V311,
            Version::V5 => ProtocolVersion::V5,
        }
    }
}

/// The ranges of the settings keep within 32 bits.
fn to_u32(size: Size) -> u32 {
    u32::try_from(size.0).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_gateways_own() {
        let config = MqttSettings::default().config(&ListenerLimits::default());
        assert_eq!(config, MqttConfig::default());
        assert_eq!(config.check(), Ok(()));
    }
}
