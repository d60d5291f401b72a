//! The settings of a __Name__ listener, `[listener.__name__]`. There are none of its own yet. One is a
//! line in the table, with its meaning, type, default and range:
//!
//! ```text
//! /// Publishes of a client that may wait for their answer at once.
//! receive_maximum: u16 = 1024, 1..=65_535;
//! ```

use std::sync::Arc;

use codec___name__::PACKET_SIZE_MAX;
use gateway_host::Gateway;
use gateway_settings::{GatewaySettings, ListenerLimits, settings};

use crate::{__Name__Config, __Name__Gateway, __Name__Machine};

settings! {
    /// __Name__.
    pub(crate) struct __Name__Settings {
    }
}

impl GatewaySettings for __Name__Settings {
    fn open(&self, limits: &ListenerLimits) -> Result<Arc<dyn Gateway>, String> {
        Ok(Arc::new(__Name__Gateway::new(config(limits))))
    }

    fn connection_bytes(&self, _: &ListenerLimits) -> u64 {
        /// The greatest client id, user and password, while core looks at them.
        const IDENTITY_BYTES_MAX: usize = 3 * u8::MAX as usize;
        (size_of::<__Name__Machine>() + IDENTITY_BYTES_MAX) as u64
    }
}

fn config(limits: &ListenerLimits) -> __Name__Config {
    let size = u32::try_from(limits.max_packet_size.0).unwrap_or(u32::MAX);
    __Name__Config {
        connect_timeout_ms: limits.connect_timeout.ms,
        max_packet_size: size.min(PACKET_SIZE_MAX),
        ..__Name__Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_gateways_own() {
        assert_eq!(config(&ListenerLimits::default()), __Name__Config::default());
    }
}
