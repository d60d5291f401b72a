//! A node with the gateway under test.

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use core_model::{Authorizer, BrokerLimits, Plugins, Reason, SessionLimits, Timestamp};
use gateway_host::{
    Bind, ClientQuery, HostLimits, ListenerConfig, ListenerFacts, ListenerRates, Node, NodeConfig,
    NodeCounters, Rebind, Selector,
};
use plugin_access::{AclRules, Ban, BanList, BanTarget, parse_rules};

use super::people::{CROWD, Doorkeeper, Latch, NAMES, Witness};
use super::{Client, Login, PATIENCE, Settings, Subject, Transport};

/// Where clients come from if nothing else is said.
pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Another address of the same machine.
pub(crate) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// What a case needs.
pub(crate) struct Plan {
    pub(crate) shards: u16,
    pub(crate) max_packet_size: u32,
    pub(crate) session: SessionLimits,
    pub(crate) broker: BrokerLimits,
    pub(crate) host: HostLimits,
    pub(crate) max_connections: usize,
    pub(crate) rates: ListenerRates,
    pub(crate) rebind: Rebind,
    /// Rules as `[[acl]]` tables; everything is allowed without.
    pub(crate) rules: Option<&'static str>,
    /// Mountpoint of the second listener.
    pub(crate) mountpoint: &'static str,
    /// What authentication waits for.
    pub(crate) latch: Option<Arc<Latch>>,
}

impl Plan {
    pub(crate) fn new(shards: u16) -> Plan {
        // Nothing has to be waited for.
        let host = HostLimits { counters_interval_ms: 1, ..HostLimits::default() };
        Plan {
            shards,
            max_packet_size: 64 << 10,
            session: SessionLimits::default(),
            broker: BrokerLimits::default(),
            host,
            max_connections: 1_000,
            rates: ListenerRates::default(),
            rebind: Rebind::default(),
            rules: None,
            mountpoint: "",
            latch: None,
        }
    }
}

/// A node with two listeners of the gateway, `first` and `second`.
pub(crate) struct World<S: Subject> {
    pub(crate) node: Node,
    pub(crate) witness: Arc<Witness>,
    bans: Arc<BanList>,
    first: SocketAddr,
    second: SocketAddr,
    gateway: PhantomData<S>,
}

impl<S: Subject> World<S> {
    pub(crate) fn start(plan: Plan) -> World<S> {
        let witness = Arc::new(Witness::default());
        let bans = Arc::new(BanList::open(None, 100).unwrap());
        let listeners = listeners::<S>(&plan);
        let plugins = Plugins {
            authenticators: vec![Arc::new(Doorkeeper { latch: plan.latch.clone() })],
            gates: vec![bans.clone()],
            authorizer: plan.rules.map(|text| {
                let rules = parse_rules(Path::new("rules"), text).unwrap();
                Arc::new(AclRules::new(rules)) as Arc<dyn Authorizer>
            }),
            interceptors: vec![witness.clone()],
            observers: vec![witness.clone()],
            ..Plugins::default()
        };
        let node = Node::start(NodeConfig {
            shards: plan.shards,
            seed: Some(42),
            sys_interval_s: 0,
            limits: plan.host,
            broker_limits: Arc::new(BrokerLimits {
                session: Arc::new(plan.session),
                ..plan.broker
            }),
            plugins: Arc::new(plugins),
            listeners,
            ..NodeConfig::default()
        });
        let node = node.unwrap();
        let addresses = node.addresses();
        let address = |at: usize| addresses[at].1.address().unwrap();
        let (first, second) = (address(0), address(1));
        World { node, witness, bans, first, second, gateway: PhantomData }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.first
    }

    /// A client of the first listener.
    pub(crate) fn client(&self) -> S::Client {
        self.client_from(HERE)
    }

    pub(crate) fn client_from(&self, from: IpAddr) -> S::Client {
        S::client(self.first, from)
    }

    /// A client of the second listener, which has the mountpoint.
    pub(crate) fn mounted_client(&self) -> S::Client {
        S::client(self.second, HERE)
    }

    /// `client_id`, connected.
    pub(crate) fn join(&self, client_id: &str) -> S::Client {
        self.join_as(&Login::of(client_id))
    }

    pub(crate) fn join_as(&self, login: &Login) -> S::Client {
        let mut client = self.client();
        client.connect(login).unwrap();
        client
    }

    /// Somebody with a session that waits for the messages of `filters`. What was published and
    /// answered comes to it before what is published later.
    pub(crate) fn watch(&self, filters: &[&str]) -> S::Client {
        let mut watcher = self.join_as(&Login::of("watcher").durable());
        for filter in filters {
            watcher.subscribe(filter).unwrap();
        }
        watcher
    }

    /// Keeps `target` out, and ends the links that it has.
    pub(crate) fn ban(&self, target: BanTarget) {
        let ban = Ban { target, reason: "test".into(), by: "test".into(), until: None };
        self.bans.add(Timestamp::default(), ban).unwrap();
        self.node.control().recheck_gates().unwrap();
    }

    pub(crate) fn unban(&self, target: &BanTarget) {
        assert!(self.bans.remove(Timestamp::default(), target).unwrap());
    }

    /// Ends the link of `client_id` as an operator does.
    pub(crate) fn kick(&self, client_id: &str) {
        let whom = Selector { client_id: Some(client_id.into()), ..Selector::default() };
        assert_eq!(self.node.control().kick(&whom, Reason::ADMINISTRATIVE_ACTION).unwrap(), 1);
    }

    /// Identifiers of the clients that the node knows, those without a link included.
    pub(crate) fn sessions(&self) -> Vec<String> {
        let query = ClientQuery { limit: 100, ..ClientQuery::default() };
        let page = self.node.control().clients(&query).unwrap();
        page.items.into_iter().map(|it| it.session.client.client_id.to_string()).collect()
    }

    /// Waits until `client_id` has a link, or has none.
    pub(crate) fn wait_connected(&self, client_id: &str, connected: bool) {
        let selector = Selector { client_id: Some(client_id.into()), ..Selector::default() };
        let query = ClientQuery {
            selector,
            connected: Some(connected),
            limit: 1,
            ..ClientQuery::default()
        };
        wait_until(|| !self.node.control().clients(&query).unwrap().items.is_empty());
    }

    /// Waits until the node's counters satisfy `enough`.
    pub(crate) fn wait_counters(&self, enough: impl Fn(&NodeCounters) -> bool) {
        wait_until(|| enough(&self.node.counters()));
    }

    /// Nothing has happened to the node itself.
    pub(crate) fn is_well(&self) -> bool {
        self.node.failure().is_none()
    }
}

/// Waits until `enough` says so.
pub(crate) fn wait_until(enough: impl Fn() -> bool) {
    let start = Instant::now();
    while !enough() {
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        std::thread::yield_now();
    }
}

fn listeners<S: Subject>(plan: &Plan) -> Vec<ListenerConfig> {
    let crowd = (0..CROWD).map(|number| format!("c{number}"));
    let names = NAMES.iter().map(|name| (*name).to_owned()).chain(crowd);
    let settings = Settings {
        max_packet_size: plan.max_packet_size,
        logins: names.map(|name| Login::of(&name)).collect(),
    };
    let gateway = S::gateway(&settings);
    let listener = |name: &str, mountpoint: &str| {
        let facts = ListenerFacts {
            name: name.into(),
            mountpoint: mountpoint.into(),
            rebind: plan.rebind,
            ..ListenerFacts::default()
        };
        let any_port = SocketAddr::new(HERE, 0);
        let bind = match S::ABILITIES.transport {
            Transport::Tcp => Bind::Tcp(any_port),
            Transport::Udp => Bind::Udp(any_port),
        };
        let listener = ListenerConfig::new(Arc::new(facts), bind, Arc::clone(&gateway));
        ListenerConfig {
            max_connections: plan.max_connections,
            rates: plan.rates.clone(),
            ..listener
        }
    };
    vec![listener("first", ""), listener("second", plan.mountpoint)]
}
