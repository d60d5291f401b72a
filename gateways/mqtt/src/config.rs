use codec_mqtt::{PACKET_SIZE_MAX, Version};
use core_model::QoS;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::mapping;

/// The least Maximum Packet Size, in bytes, with which a client can be served.
const MAX_PACKET_SIZE_MIN: u32 = 128;

/// The options of an MQTT listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttConfig {
    /// Versions that are spoken; a client of another one is refused.
    pub versions: Vec<ProtocolVersion>,
    /// Seconds that a client may take from opening the link until it is connected, authentication
    /// included (1 to 65 535).
    pub connect_timeout_s: u16,
    /// Greatest packet in bytes, fixed header included (128 to 268 435 460). 5.0 clients are told.
    pub max_packet_size: u32,
    /// Greatest CONNECT in bytes, fixed header included (128 to 268 435 460), since it comes from
    /// someone unknown. `max_packet_size` holds as well.
    pub max_connect_size: u32,
    /// Most properties in one packet (1 to 4 294 967 295).
    pub max_properties: u32,
    /// Most topic filters in one SUBSCRIBE or UNSUBSCRIBE (1 to 4 294 967 295).
    pub max_filters: u32,
    /// Highest QoS of messages in both directions (0 to 2).
    pub max_qos: u8,
    /// Whether clients may publish retained messages.
    pub retain_available: bool,
    /// Whether filters may have wildcards.
    pub wildcard_available: bool,
    /// Whether shared subscriptions may be made.
    pub shared_available: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_ids_available: bool,
    /// QoS 1 and 2 messages that a client may have unanswered at a time (1 to 65 535). A 5.0 client
    /// is told and disconnected when it sends more; any other client is not read meanwhile.
    pub receive_maximum: u16,
    /// Topic aliases that a client may set (0 to 65 535); 0 for none.
    pub topic_alias_max_in: u16,
    /// Bytes that the topics behind one client's aliases may have together, in each direction.
    pub topic_alias_bytes_max: u32,
    /// Topic aliases that the server sets, if the client takes so many (0 to 65 535); 0 for none.
    pub topic_alias_max_out: u16,
    /// Shortest keep alive in seconds that a 5.0 client gets (1 to 65 535); 0 for any. A client that
    /// wants none at all gets none.
    pub keep_alive_min_s: u16,
    /// Longest keep alive in seconds that a 5.0 client gets (1 to 65 535); 0 for any, and for none
    /// at all where the client wants none.
    pub keep_alive_max_s: u16,
    /// Keep alive in seconds that every 5.0 client gets, whatever it wants (1 to 65 535); 0 to
    /// leave it to the client.
    pub server_keep_alive_s: u16,
    /// What 5.0 clients that ask for Response Information get, with `%c` replaced by the client
    /// identifier; empty for nothing.
    pub response_information: String,
    /// Whether payloads that claim to be UTF-8 are checked.
    pub check_payload_format: bool,
    /// Whether control characters and non-characters in client identifiers, user names, topic names
    /// and topic filters are refused as malformed (GW-MQTT-21).
    pub reject_control_characters: bool,
}

impl Default for MqttConfig {
    fn default() -> Self {
        MqttConfig {
            versions: vec![ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5],
            connect_timeout_s: 10,
            max_packet_size: 1 << 20,
            max_connect_size: 1 << 16,
            max_properties: 128,
            max_filters: 1024,
            max_qos: 2,
            retain_available: true,
            wildcard_available: true,
            shared_available: true,
            subscription_ids_available: true,
            receive_maximum: 1024,
            topic_alias_max_in: 32,
            topic_alias_bytes_max: 1 << 15,
            topic_alias_max_out: 32,
            keep_alive_min_s: 0,
            keep_alive_max_s: 0,
            server_keep_alive_s: 0,
            response_information: String::new(),
            check_payload_format: false,
            reject_control_characters: false,
        }
    }
}

impl MqttConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting that is outside its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let ranges: [(&'static str, u32, u32, u32); 7] = [
            ("connect_timeout_s", self.connect_timeout_s.into(), 1, u16::MAX.into()),
            ("max_packet_size", self.max_packet_size, MAX_PACKET_SIZE_MIN, PACKET_SIZE_MAX),
            ("max_connect_size", self.max_connect_size, MAX_PACKET_SIZE_MIN, PACKET_SIZE_MAX),
            ("max_properties", self.max_properties, 1, u32::MAX),
            ("max_filters", self.max_filters, 1, u32::MAX),
            ("max_qos", self.max_qos.into(), 0, 2),
            ("receive_maximum", self.receive_maximum.into(), 1, u16::MAX.into()),
        ];
        for (setting, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::Range { setting, value, min, max });
            }
        }
        if self.versions.is_empty() { Err(ConfigError::NoVersion) } else { Ok(()) }
    }

    /// The highest QoS.
    pub(crate) fn max_qos(&self) -> QoS {
        QoS::from_u8(self.max_qos).unwrap_or(QoS::ExactlyOnce)
    }

    /// Whether `version` is spoken.
    pub(crate) fn speaks(&self, version: Version) -> bool {
        self.versions.iter().any(|&one| mapping::version(one) == version)
    }
}

/// A version of MQTT in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProtocolVersion {
    /// MQTT 3.1
    #[serde(rename = "3.1")]
    V31,
    /// MQTT 3.1.1
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5.0
    #[serde(rename = "5.0")]
    V5,
}

/// What is wrong with the options of an MQTT listener.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is outside its range.
    #[error("{setting} is {value}, allowed is {min} to {max}")]
    Range {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: u32,
        /// The least value that is allowed.
        min: u32,
        /// The greatest value that is allowed.
        max: u32,
    },
    /// No version is spoken.
    #[error("versions is empty, allowed are \"3.1\", \"3.1.1\" and \"5.0\"")]
    NoVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default_and_unknown_keys_are_refused() {
        assert_eq!(toml::from_str(""), Ok(MqttConfig::default()));
        assert_eq!(MqttConfig::default().check(), Ok(()));
        let config: MqttConfig = toml::from_str("versions = [\"5.0\"]\nmax_qos = 1").unwrap();
        assert_eq!((config.versions, config.max_qos), (vec![ProtocolVersion::V5], 1));
        assert!(toml::from_str::<MqttConfig>("max_qs = 1").is_err());
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        let config = |change: fn(&mut MqttConfig)| {
            let mut config = MqttConfig::default();
            change(&mut config);
            config.check()
        };
        let wrong = |setting, value, min, max| Err(ConfigError::Range { setting, value, min, max });
        assert_eq!(config(|c| c.max_qos = 3), wrong("max_qos", 3, 0, 2));
        assert_eq!(config(|c| c.receive_maximum = 0), wrong("receive_maximum", 0, 1, 65_535));
        assert_eq!(
            config(|c| c.max_packet_size = 127),
            wrong("max_packet_size", 127, 128, PACKET_SIZE_MAX)
        );
        assert_eq!(config(|c| c.max_packet_size = 128), Ok(()));
        assert_eq!(config(|c| c.versions.clear()), Err(ConfigError::NoVersion));
    }
}
