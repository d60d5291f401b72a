use std::net::SocketAddr;

use codec_mqttsn::PACKET_SIZE_MAX;
use core_model::{Filter, QoS};
use thiserror::Error;

use crate::{Credentials, Predefined};

/// The least greatest packet, in bytes, with which a client can be served.
const MAX_PACKET_SIZE_MIN: u16 = 32;

/// Keep alives up to this many seconds get the greater tolerance.
const SHORT_KEEP_ALIVE_S: u16 = 60;

/// The options of an MQTT-SN listener.
#[derive(Clone, Debug)]
pub struct MqttSnConfig {
    /// The gateway's GwId, unique in its network.
    pub gateway_id: u8,
    /// Where ADVERTISE goes, such as a broadcast or multicast address; `None` for nowhere.
    pub advertise_to: Option<SocketAddr>,
    /// Seconds between two ADVERTISE (1 to 65 535).
    pub advertise_interval_s: u16,
    /// The gateway that this one stands by for: it advertises only while that one does not.
    pub standby_for: Option<u8>,
    /// Seconds until a packet that the client has not answered is sent again (1 to 65 535).
    pub t_retry_s: u16,
    /// How often it is sent again before the client is lost (0 to 255).
    pub n_retry: u8,
    /// Seconds that the session of a client without CleanSession outlives its link (1 to
    /// 4 294 967 294; 4 294 967 295 for ever).
    pub session_expiry_s: u32,
    /// Seconds that a client may take for the packets of its Will (1 to 65 535); at least as long
    /// as `t_retry_s` and `n_retry` make it.
    pub connect_timeout_s: u16,
    /// Topic ids of one client (1 to 65 534).
    pub max_topics: u16,
    /// Bytes that the topics behind one client's ids may have together.
    pub topic_bytes_max: u32,
    /// Clients behind one forwarder (1 to 65 535).
    pub max_nodes: u16,
    /// Greatest packet in bytes, in both directions and without a forwarder's wrapping (32 to
    /// 65 535).
    pub max_packet_size: u16,
    /// Highest QoS of messages in both directions (0 to 2).
    pub max_qos: u8,
    /// Whether a sleeping client may publish without a CONNECT before.
    pub publish_asleep: bool,
    /// The pre-defined topic ids.
    pub predefined: Predefined,
    /// What may be published without a connection (QoS -1); empty for nothing.
    pub qos_minus_one: Vec<Filter>,
    /// User names and passwords of clients, which MQTT-SN itself has none of.
    pub credentials: Credentials,
}

impl Default for MqttSnConfig {
    fn default() -> Self {
        MqttSnConfig {
            gateway_id: 1,
            advertise_to: None,
            advertise_interval_s: 900,
            standby_for: None,
            t_retry_s: 10,
            n_retry: 3,
            session_expiry_s: 7_200,
            connect_timeout_s: 10,
            max_topics: 1_024,
            topic_bytes_max: 32 << 10,
            max_nodes: 1_024,
            max_packet_size: 8 << 10,
            max_qos: 2,
            publish_asleep: true,
            predefined: Predefined::default(),
            qos_minus_one: Vec::new(),
            credentials: Credentials::default(),
        }
    }
}

impl MqttSnConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting that is outside its range, or does not go with another one.
    pub fn check(&self) -> Result<(), ConfigError> {
        let ranges: [(&'static str, u32, u32, u32); 8] = [
            ("advertise_interval_s", self.advertise_interval_s.into(), 1, u16::MAX.into()),
            ("t_retry_s", self.t_retry_s.into(), 1, u16::MAX.into()),
            ("session_expiry_s", self.session_expiry_s, 1, u32::MAX),
            ("connect_timeout_s", self.connect_timeout_s.into(), 1, u16::MAX.into()),
            ("max_topics", self.max_topics.into(), 1, u32::from(u16::MAX) - 1),
            ("max_nodes", self.max_nodes.into(), 1, u16::MAX.into()),
            (
                "max_packet_size",
                self.max_packet_size.into(),
                MAX_PACKET_SIZE_MIN.into(),
                PACKET_SIZE_MAX.into(),
            ),
            ("max_qos", self.max_qos.into(), 0, 2),
        ];
        for (setting, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::Range { setting, value, min, max });
            }
        }
        if self.standby_for.is_some() && self.advertise_to.is_none() {
            return Err(ConfigError::StandbyIsSilent);
        }
        if self.standby_for == Some(self.gateway_id) {
            return Err(ConfigError::StandbyForItself);
        }
        Ok(())
    }

    /// The highest QoS.
    pub(crate) fn max_qos(&self) -> QoS {
        QoS::from_u8(self.max_qos).unwrap_or(QoS::ExactlyOnce)
    }
}

/// The milliseconds of silence after which a client is lost that announced `duration_s` seconds, of
/// keep alive or of sleep; 0 for 0, which announces nothing.
//= mqttsn:GW-SN-26
pub(crate) fn silence_max_ms(duration_s: u16) -> u64 {
    let percent = if duration_s > SHORT_KEEP_ALIVE_S { 110 } else { 150 };
    u64::from(duration_s) * 10 * percent
}

/// What is wrong with the options of an MQTT-SN listener.
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
        /// The least allowed value.
        min: u32,
        /// The greatest allowed value.
        max: u32,
    },
    /// A gateway that stands by has nowhere to advertise.
    #[error("standby_for needs advertise_to: there is nowhere to advertise instead of the other")]
    StandbyIsSilent,
    /// A gateway stands by for itself.
    #[error("standby_for is this gateway's own gateway_id")]
    StandbyForItself,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_at_their_ends() {
        let with = |change: fn(&mut MqttSnConfig)| {
            let mut config = MqttSnConfig::default();
            change(&mut config);
            config.check()
        };
        assert_eq!(with(|_| {}), Ok(()));
        assert_eq!(with(|config| config.max_qos = 2), Ok(()));
        assert!(with(|config| config.max_qos = 3).is_err());
        assert_eq!(with(|config| config.max_packet_size = 32), Ok(()));
        assert!(with(|config| config.max_packet_size = 31).is_err());
        assert_eq!(with(|config| config.max_topics = 65_534), Ok(()));
        assert!(with(|config| config.max_topics = u16::MAX).is_err());
        assert!(with(|config| config.t_retry_s = 0).is_err());
        assert_eq!(
            with(|config| config.max_nodes = 0).unwrap_err().to_string(),
            "max_nodes is 0, allowed is 1 to 65535"
        );
    }

    #[test]
    fn a_standby_needs_somebody_else_and_an_address() {
        let mut config = MqttSnConfig { standby_for: Some(2), ..MqttSnConfig::default() };
        assert_eq!(config.check(), Err(ConfigError::StandbyIsSilent));
        config.advertise_to = Some("192.0.2.255:1884".parse().unwrap());
        assert_eq!(config.check(), Ok(()));
        config.gateway_id = 2;
        assert_eq!(config.check(), Err(ConfigError::StandbyForItself));
    }

    //= mqttsn:GW-SN-26
    #[test]
    fn short_keep_alives_get_half_more_and_long_ones_a_tenth() {
        assert_eq!(silence_max_ms(0), 0);
        assert_eq!(silence_max_ms(60), 90_000);
        assert_eq!(silence_max_ms(61), 67_100);
        assert_eq!(silence_max_ms(u16::MAX), 72_088_500);
    }
}
