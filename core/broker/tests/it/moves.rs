//! Clients whose address changes under their link.

use std::net::IpAddr;
use std::sync::Arc;

use core_broker::{ClientQuery, Selector};
use core_model::{
    Action, Authorizer, Evidence, Gate, Identity, Permissions, Principal, Reason, Timestamp,
};

use crate::words::{id, msg, sub};
use crate::world::{NOTHING, World, everywhere};

/// Lets in who comes from elsewhere, and to topics that the address names.
struct ByAddress(&'static str);

fn address(peer: Option<std::net::SocketAddr>) -> Option<IpAddr> {
    peer.map(|peer| peer.ip())
}

impl Gate for ByAddress {
    fn admit(
        &self,
        _now: Timestamp,
        _client_id: &str,
        evidence: &Evidence,
        _identity: Option<&Identity>,
    ) -> Result<(), Reason> {
        let banned = address(evidence.peer) == self.0.parse().ok();
        if banned { Err(Reason::BANNED) } else { Ok(()) }
    }
}

impl Authorizer for ByAddress {
    fn compile(&self, principal: &Principal) -> Arc<dyn Permissions> {
        Arc::new(Below(address(principal.peer).map_or(String::new(), |ip| ip.to_string())))
    }
}

struct Below(String);

impl Permissions for Below {
    fn permits(&self, _action: Action, topic: &str) -> bool {
        topic.starts_with(&self.0)
    }
}

#[test]
fn an_operator_sees_the_new_address() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        let a = w.connect(id("a").from("10.0.0.1:5"));
        w.moved(a, "10.0.0.2:6");
        let mut found = 0;
        w.on_shards(|shard, _, _| {
            let selector =
                Selector { net: Some("10.0.0.2/32".parse().unwrap()), ..Selector::default() };
            let page = shard.clients(&ClientQuery { selector, limit: 10, ..Default::default() });
            found += page.clients.len();
        });
        assert_eq!((found, w.take(a)), (1, vec![]));
    });
}

#[test]
fn rules_on_addresses_follow_a_client() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        w.set_plugins(|plugins| plugins.authorizer = Some(Arc::new(ByAddress(""))));
        let a = w.connect(id("a").from("10.0.0.1:5"));
        assert_eq!(w.subscribe(a, vec![sub("10.0.0.1/t", 1)]), [1]);
        assert_eq!(w.publish(a, msg("10.0.0.2/t", "x", 1)), 0x87);
        // Another port is the same place.
        w.moved(a, "10.0.0.1:6");
        assert_eq!(w.counters().subscriptions, 1);
        w.moved(a, "10.0.0.2:6");
        assert_eq!(w.counters().subscriptions, 0);
        assert_eq!(w.publish(a, msg("10.0.0.2/t", "x", 1)), 0x10);
        assert_eq!(w.take(a), NOTHING);
    });
}

#[test]
fn a_client_is_kicked_where_it_may_not_come_from() {
    everywhere(|layout| {
        let mut w = World::new(layout);
        w.set_plugins(|plugins| plugins.gates = vec![Arc::new(ByAddress("10.0.0.2"))]);
        let a = w.connect(id("a").from("10.0.0.1:5"));
        w.moved(a, "10.0.0.3:5");
        assert_eq!(w.take(a), NOTHING);
        w.moved(a, "10.0.0.2:5");
        assert_eq!(w.take(a), ["kicked 0x8A"]);
        assert_eq!(w.counters().clients_connected, 0);
    });
}
