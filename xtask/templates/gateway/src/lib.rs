//! __Name__: the state machine between packets and core operations.
//!
//! [`__Name__Gateway`] opens one [`__Name__Machine`] per link, which has one client. Sessions, routing
//! and queues are core's, bytes are the codec's.
//!
//! Deliberately missing: wills, retained messages, and taking subscriptions back.
#![deny(missing_docs)]

use std::sync::Arc;

use codec___name__::{Limits, __Name__Codec};
use core_model::{GatewayId, Timestamp};
use gateway_host::{Framed, Gateway, Link, LinkFacts};

mod client;
mod config;
mod machine;
mod mapping;
mod redact;
mod registration;
mod settings;

pub use config::__Name__Config;
pub use machine::__Name__Machine;
pub use registration::REGISTRATION;

/// This gateway's number in session keys, which must never change.
pub const GATEWAY_ID: GatewayId = GatewayId(__id__);

/// Its name in configurations and rules.
pub const GATEWAY_NAME: &str = "__name__";

/// Opens machines for links of __Name__ listeners that share one configuration.
#[derive(Clone, Debug)]
pub struct __Name__Gateway {
    config: Arc<__Name__Config>,
}

impl __Name__Gateway {
    /// A gateway with `config`.
    #[must_use]
    pub fn new(config: __Name__Config) -> Self {
        __Name__Gateway { config: Arc::new(config) }
    }
}

impl Gateway for __Name__Gateway {
    fn name(&self) -> &'static str {
        GATEWAY_NAME
    }

    fn id(&self) -> GatewayId {
        GATEWAY_ID
    }

    fn open(&self, link: &LinkFacts, now: Timestamp) -> Box<dyn Link> {
        let codec = __Name__Codec::new(Limits { max_packet_size: self.config.max_packet_size });
        let machine = __Name__Machine::new(Arc::clone(&self.config), link.clone(), now);
        Box::new(Framed::new(codec, machine))
    }

    fn redact(&self, bytes: &mut Vec<u8>, _connected: bool) -> bool {
        redact::redact(bytes)
    }
}
