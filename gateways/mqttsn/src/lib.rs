//! MQTT-SN 1.2: the state machines between packets and core operations.
//!
//! [`MqttSnGateway`] opens a machine for each client with an address of its own, one for each
//! forwarder with many clients behind it, and one for what is of no client. Sessions, routing,
//! retained messages, wills and queues are core's, bytes are the codec's.
//!
//! Choices where the specification leaves one:
//! - GWINFO goes to the sender of the SEARCHGW, and a gateway that stands by sends it too.
//! - A sleeping client that wakes up (PINGREQ with its ClientId) keeps its sleep on its own link only,
//!   wherever that has moved to. Behind a forwarder that does not know the node, or where no link is
//!   left, it gets a DISCONNECT: only its CONNECT says how long it may be silent.
//! - A node behind a forwarder that connects with another ClientId has left its first client, which
//!   is lost.
//! - What is published with QoS -1 belongs to a client of each shard's end of a listener,
//!   `qos-1.LISTENER.SHARD`, which has to be let in as others are.
//! - A sleeping client that publishes, subscribes or registers is answered and sleeps on, its time
//!   begun anew; only a PINGREQ with its client identifier lets it have its messages.
//! - A sleep of no seconds is a goodbye.
//! - The id of a SUBACK stands in the messages of its topic. Elsewhere a pre-defined id comes before
//!   a short name, and that before an id that has to be registered.
//! - A client whose topic ids are used up gets no messages of further topics.
//! - A client that answers a PUBLISH with congestion is asked again for as long as it does so.
//! - A client that does not answer any more gets a DISCONNECT, unless it sleeps.
//! - A CONNECT on a live link ends its session without the will before it begins another one.
//!
//! Deliberately missing: MQTT-SN 2.0, aggregation of clients into one session, and broadcasts
//! of GWINFO.
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
mod late;
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
