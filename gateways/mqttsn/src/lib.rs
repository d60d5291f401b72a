//! MQTT-SN 1.2: the state machines between packets and core operations.
//!
//! [`MqttSnGateway`] opens a machine for each client with an address of its own, one for each
//! forwarder with many clients behind it, and one for what is of no client. Sessions, routing,
//! retained messages, wills and queues are core's, bytes are the codec's.
//!
//! Deliberately missing: MQTT-SN 2.0, aggregation of clients into one session, and broadcasts of
//! GWINFO, which go to the sender of the SEARCHGW.
#![deny(missing_docs)]

use std::sync::Arc;

use codec_mqttsn::{Limits, MqttSnCodec};
use core_model::{GatewayId, Reason, Timestamp};
use gateway_host::{Framed, Gateway, Link, LinkFacts, Output, Whose};

use commons::ActiveGateway;

mod client;
mod commons;
mod config;
mod connect;
mod credentials;
mod machine;
mod mapping;
mod minus_one;
mod predefined;
mod publish_in;
mod publish_out;
mod registration;
mod relay;
mod retry;
mod settings;
mod sleep;
mod slot;
mod strangers;
mod subscribe;
mod topics;
mod whose;
mod will;

pub use commons::CommonsMachine;
pub use config::{ConfigError, MqttSnConfig};
pub use credentials::{Credentials, CredentialsError, Login};
pub use machine::MqttSnMachine;
pub use predefined::{Predefined, PredefinedError, PredefinedFileError};
pub use registration::REGISTRATION;
pub use relay::RelayMachine;

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
    pub(crate) active_gateway: ActiveGateway,
}

impl MqttSnGateway {
    /// A gateway with `config`.
    ///
    /// # Errors
    /// A setting is outside its range.
    pub fn new(config: MqttSnConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let shared = Shared { config, active_gateway: ActiveGateway::default() };
        Ok(MqttSnGateway { shared: Arc::new(shared) })
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &MqttSnConfig {
        &self.shared.config
    }

    fn codec(&self) -> MqttSnCodec {
        MqttSnCodec::new(Limits { max_packet_size: self.shared.config.max_packet_size })
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
        let (shared, facts) = (Arc::clone(&self.shared), link.clone());
        if link.is_relay {
            Box::new(Framed::new(self.codec(), RelayMachine::new(shared, facts)))
        } else {
            Box::new(Framed::new(self.codec(), MqttSnMachine::new(shared, facts)))
        }
    }

    fn whose<'d>(&self, datagram: &'d [u8]) -> Whose<'d> {
        whose::whose(datagram, self.shared.config.max_packet_size)
    }

    fn open_commons(&self, link: &LinkFacts, now: Timestamp) -> Option<Box<dyn Link>> {
        let machine = CommonsMachine::new(Arc::clone(&self.shared), link, now);
        Some(Box::new(Framed::new(self.codec(), machine)))
    }

    /// MQTT-SN has no secrets.
    fn redact(&self, _bytes: &mut Vec<u8>, _connected: bool) -> bool {
        true
    }

    fn refuse_datagram(&self, datagram: &[u8], reason: Reason, output: &mut Output) {
        strangers::refuse(self.codec(), datagram, reason, output);
    }
}
