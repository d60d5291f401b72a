//! A gateway that is not one of this project's.

use std::path::Path;
use std::sync::Arc;

use core_model::{GatewayId, Timestamp};
use gateway_host::{Gateway, Link, LinkFacts};
use manifold::config::{Config, ListenerLimits, Transport, default_file, markdown};
use manifold::{GatewaySettings, Registration, settings};

settings! {
    /// A protocol for kettles.
    pub struct Kettle {
        /// Temperature at which it stops, in degrees.
        stop_at: u16 = 96, 20..=100;
        /// Temperature at which it starts again, in degrees.
        start_at: u16 = 60, 20..=100;
    }
    later ["remote"]
}

impl GatewaySettings for Kettle {
    fn open(&self, _: &ListenerLimits) -> Result<Arc<dyn Gateway>, String> {
        if self.start_at >= self.stop_at {
            return Err(format!(
                "start_at {} is not below stop_at {}",
                self.start_at, self.stop_at
            ));
        }
        Ok(Arc::new(KettleGateway))
    }

    fn connection_bytes(&self, _: &ListenerLimits) -> u64 {
        7
    }
}

struct KettleGateway;

impl Gateway for KettleGateway {
    fn name(&self) -> &'static str {
        "kettle"
    }

    fn id(&self) -> GatewayId {
        GatewayId(128)
    }

    fn open(&self, _: &LinkFacts, _: Timestamp) -> Box<dyn Link> {
        panic!("no test opens a link")
    }
}

fn gateways() -> Vec<Registration> {
    let mut gateways = manifold::gateways().to_vec();
    gateways.push(Registration {
        name: "kettle",
        transports: &[Transport::Tcp],
        settings: || Box::new(Kettle::default()),
        decoder: None,
    });
    gateways
}

fn read(text: &str) -> Result<Config, String> {
    Config::read(Path::new("k.toml"), text, &gateways()).map_err(|c| c.to_string())
}

#[test]
fn it_is_configured_as_the_others_are() {
    let config =
        read("[[listener]]\ngateway = \"kettle\"\n[listener.kettle]\nstop_at = 80\n").unwrap();
    assert_eq!(config.listeners[0].gateway.name(), "kettle");
    let text = markdown(&gateways());
    assert!(text.contains("## `[listener.kettle]`\n\nA protocol for kettles.\n"));
    let range = "| `stop_at` | `96` | an integer from 20 to 100 | Temperature at which it stops, in degrees. |";
    assert!(text.contains(range), "{text}");
    assert_eq!(default_file(&gateways()), default_file(manifold::gateways()));
}

#[test]
fn its_mistakes_are_named_as_the_others_are() {
    let kettle = |rest: &str| {
        let text = format!("[[listener]]\ngateway = \"kettle\"\n[listener.kettle]\n{rest}\n");
        read(&text).map(drop).unwrap_err()
    };
    assert!(kettle("stop_ad = 1").contains("did you mean `stop_at`?"));
    assert!(kettle("remote = 1").contains("remote: not available in this version"));
    let together = kettle("stop_at = 50");
    assert!(
        together.contains("listener[0].kettle: start_at 60 is not below stop_at 50"),
        "{together}"
    );
    let wrong =
        read("[[listener]]\ngateway = \"mqtt\"\n[listener.kettle]\n").map(drop).unwrap_err();
    assert!(wrong.contains("listener[0].kettle: this listener's gateway is mqtt"), "{wrong}");
    let near = read("[[listener]]\ngateway = \"ketle\"\n").map(drop).unwrap_err();
    assert!(near.contains("listener[0].gateway: no such gateway"), "{near}");
    assert!(near.contains("did you mean \"kettle\"?"), "{near}");
}
