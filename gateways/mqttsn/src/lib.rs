//! MQTT-SN 1.2: the state machines between packets and core operations.
//!
//! [`MqttSnGateway`] opens a machine for each client with an address of its own, one for each
//! forwarder with many clients behind it, and one for what is of no client. Sessions, routing,
//! retained messages, wills and queues are core's, bytes are the codec's.
//!
//! Deliberately missing: MQTT-SN 2.0, aggregation of clients into one session, and broadcasts of
//! GWINFO, which go to the sender of the SEARCHGW.
#![deny(missing_docs)]
#![allow(dead_code, reason = "the client does not use what it is given yet")]

use std::sync::Arc;

use codec_mqttsn::{Limits, MqttSnCodec};
use core_model::{GatewayId, Timestamp};
use gateway_host::{Framed, Gateway, Link, LinkFacts, Whose};

mod client;
mod config;
mod credentials;
mod machine;
mod predefined;
mod slot;
mod whose;

pub use config::{ConfigError, MqttSnConfig};
pub use credentials::{Credentials, Login};
pub use machine::MqttSnMachine;
pub use predefined::Predefined;

/// This gateway's number in session keys.
pub const GATEWAY_ID: GatewayId = GatewayId(2);

/// Its name in configurations and rules.
pub const GATEWAY_NAME: &str = "mqtt-sn";

/// Opens machines for links of MQTT-SN listeners that share one configuration.
#[derive(Clone, Debug)]
pub struct MqttSnGateway {
    shared: Arc<Shared>,
}

/// What the machines of a gateway share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: MqttSnConfig,
}

impl MqttSnGateway {
    /// A gateway with `config`.
    ///
    /// # Errors
    /// A setting is outside its range.
    pub fn new(config: MqttSnConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(MqttSnGateway { shared: Arc::new(Shared { config }) })
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &MqttSnConfig {
        &self.shared.config
    }
}

impl Gateway for MqttSnGateway {
    fn name(&self) -> &'static str {
        GATEWAY_NAME
    }

    fn id(&self) -> GatewayId {
        GATEWAY_ID
    }

    fn open(&self, link: &LinkFacts, _now: Timestamp) -> Box<dyn Link> {
        let limits = Limits { max_packet_size: self.shared.config.max_packet_size };
        let machine = MqttSnMachine::new(Arc::clone(&self.shared), link.clone());
        Box::new(Framed::new(MqttSnCodec::new(limits), machine))
    }

    fn whose<'d>(&self, datagram: &'d [u8]) -> Whose<'d> {
        whose::whose(datagram)
    }
}
