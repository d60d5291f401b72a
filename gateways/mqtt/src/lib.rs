//! MQTT 3.1, 3.1.1 and 5.0: the state machine between packets and core operations.
//!
//! [`MqttGateway`] opens one [`MqttMachine`] per link. The machine does what a connection does:
//! CONNECT and its checks, acknowledgements, topic aliases, Receive Maximum, Maximum Packet Size,
//! keep alive, enhanced authentication, and the answers to everything that a client may do wrong.
//! Sessions, routing, retained messages, wills and queues are core's, bytes are the codec's.
//!
//! Choices where the standards leave one:
//! - A will on a topic that nobody may publish to is refused at CONNECT.
//! - Publishing to `$` topics is not authorised; to `$share/...` and the like it is no topic name.
//! - A publish that is refused is acknowledged as if it were taken where the protocol has no reason
//!   codes (3.1 and 3.1.1), except when only room was missing: then the link is closed without an
//!   acknowledgement, so that the client keeps the message.
//! - A refused filter is answered with 0x80 in 3.1 too, which has no code for it.
//! - A bridge of 3.1 or 3.1.1 that says so in its protocol level gets retain flags as published and
//!   nothing of its own back.
//! - 3.1 and 3.1.1 have no Receive Maximum: a client that publishes faster than it is answered is
//!   not read for a while. A 5.0 client is told 0x93.
//!
//! Deliberately missing: WebSocket and QUIC framing (the transport's), and Reason Strings on
//! acknowledgements.
#![deny(missing_docs)]

use std::sync::Arc;

use codec_mqtt::Limits;
use core_model::{GatewayId, LayoutId, Timestamp};
use gateway_host::{Framed, Gateway, Link, LinkFacts};

mod aliases;
mod auth;
mod client;
mod closing;
mod codec;
mod config;
mod connack;
mod connect;
mod errors;
mod incoming;
mod machine;
mod mapping;
mod publish_in;
mod publish_out;
mod redact;
mod registration;
mod settings;
mod subscribe;

pub use codec::ServerCodec;
pub use config::{ConfigError, MqttConfig, ProtocolVersion};
pub use machine::MqttMachine;
pub use registration::REGISTRATION;

/// This gateway's number in session keys. All versions and transports of MQTT share their sessions.
pub const GATEWAY_ID: GatewayId = GatewayId(1);

/// Its name in configurations and rules.
pub const GATEWAY_NAME: &str = "mqtt";

/// Layout of the properties of an MQTT 5.0 PUBLISH that are the same for every receiver, without
/// Property Length: gateway number and version.
pub const LAYOUT_V5: LayoutId = LayoutId((GATEWAY_ID.0 as u16) << 8 | 5);

/// Opens machines for links of MQTT listeners that share one configuration.
#[derive(Clone, Debug)]
pub struct MqttGateway {
    config: Arc<MqttConfig>,
}

impl MqttGateway {
    /// A gateway with `config`.
    ///
    /// # Errors
    /// A setting is outside its range.
    pub fn new(config: MqttConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(MqttGateway { config: Arc::new(config) })
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &MqttConfig {
        &self.config
    }
}

impl Gateway for MqttGateway {
    fn name(&self) -> &'static str {
        GATEWAY_NAME
    }

    fn id(&self) -> GatewayId {
        GATEWAY_ID
    }

    fn open(&self, link: &LinkFacts, now: Timestamp) -> Box<dyn Link> {
        let config = &self.config;
        let codec = ServerCodec::new(Limits {
            max_packet_size: config.max_packet_size,
            max_connect_size: config.max_connect_size,
            max_properties: config.max_properties,
            max_user_properties: config.max_properties,
            max_filters: config.max_filters,
        });
        Box::new(Framed::new(codec, MqttMachine::new(Arc::clone(config), link.clone(), now)))
    }

    fn redact(&self, bytes: &mut Vec<u8>, _connected: bool) -> bool {
        redact::redact(bytes)
    }
}
