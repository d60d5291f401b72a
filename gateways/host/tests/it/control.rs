//! What an operator asks of a running node.

use std::sync::Arc;
use std::time::Instant;

use core_model::{
    Authenticator, BrokerLimits, ClientKey, Evidence, Filter, GatewayId, Identity, Interceptor,
    Message, Plugins, Reason, SessionLimits, Verdict,
};
use gateway_host::{
    ClientQuery, HostLimits, ListenerConfig, ListenerFacts, Node, NodeConfig, RetainedQuery,
    Selector, SubscriptionQuery,
};

use crate::toy::{Client, PATIENCE, Server, Toy, any_port, config};

/// Believes every user, and knows nobody else.
struct Credulous;

impl Authenticator for Credulous {
    fn authenticate(&self, _client_id: &str, evidence: &Evidence) -> Verdict {
        match &evidence.user {
            Some(user) => Verdict::Accept(Identity::of_user(user)),
            None => Verdict::Unknown,
        }
    }
}

fn credulous(shards: u16) -> NodeConfig {
    let authenticators: Vec<Arc<dyn Authenticator>> = vec![Arc::new(Credulous)];
    let plugins = Arc::new(Plugins { authenticators, ..Plugins::default() });
    NodeConfig { plugins, ..config(shards) }
}

fn server(shards: u16) -> Server {
    Server::start(credulous(shards), Toy::default())
}

fn key(client_id: &str) -> ClientKey {
    ClientKey { gateway: GatewayId(7), client_id: client_id.into() }
}

fn connect_all(server: &Server, client_ids: &[&str]) -> Vec<Client> {
    let connect = |client_id: &&str| {
        let mut client = server.client();
        client.connect(client_id);
        client
    };
    client_ids.iter().map(connect).collect()
}

#[test]
fn clients_are_listed_in_order_page_by_page() {
    let server = server(3);
    let _clients =
        connect_all(&server, &["d@one", "a@two", "e@one", "c@two", "b@one", "f@one", "g"]);
    let control = server.node.control();
    let list = |mut query: ClientQuery| {
        let mut pages = Vec::new();
        loop {
            let page = control.clients(&query).unwrap();
            let ids: Vec<String> =
                page.items.iter().map(|c| c.session.client.client_id.to_string()).collect();
            pages.push(ids.concat());
            query.after = page.next;
            if query.after.is_none() {
                pages.retain(|page| !page.is_empty());
                return pages.join(" ");
            }
        }
    };
    let limit = |limit| ClientQuery { limit, ..ClientQuery::default() };
    assert_eq!(list(limit(100)), "abcdefg");
    assert_eq!(list(limit(3)), "abc def g");
    assert_eq!(list(limit(1)), "a b c d e f g");
    let selector = Selector { user: Some("one".into()), ..Selector::default() };
    assert_eq!(list(ClientQuery { selector, ..limit(2) }), "bd ef");
    assert_eq!(list(ClientQuery { connected: Some(false), ..limit(2) }), "");
}

#[test]
fn a_client_is_shown_with_its_link() {
    let server = server(2);
    let mut client = server.client();
    client.connect("it@somebody").subscribe("a/#").send("Ehello").expect("Ehello");
    let control = server.node.control();
    let (details, link) = control.client(&key("it")).unwrap().unwrap();
    assert_eq!(details.info.user.as_deref(), Some("somebody"));
    assert_eq!((&*details.info.listener, details.info.gateway), ("toy", "toy"));
    assert_eq!(details.info.peer, client.0.local_addr().ok());
    assert_eq!(details.info.subscriptions, 1);
    let link = link.unwrap();
    // Heads of four bytes, and "Cit@somebody", "Sa/#", "Ehello".
    assert_eq!(link.bytes_read, 3 * 4 + 12 + 4 + 6);
    assert_eq!(link.bytes_written, 3 * 4 + 9 + 10 + 6);
    assert_eq!((link.transport, link.output_bytes, link.is_throttled), ("tcp", 0, false));
    assert!(link.heard_at >= link.opened_at);
    assert!(control.client(&key("nobody")).unwrap().is_none());
}

#[test]
fn clients_are_kicked_by_what_they_have_in_common() {
    let toy = Toy::default();
    let listener = |name: &str| {
        let facts = ListenerFacts { name: name.into(), ..ListenerFacts::default() };
        ListenerConfig::new(Arc::new(facts), any_port(), Arc::new(toy.clone()))
    };
    let listeners = vec![listener("a"), listener("b")];
    let node = Node::start(NodeConfig { listeners, ..credulous(3) }).unwrap();
    let addresses: Vec<_> =
        node.addresses().into_iter().map(|(_, bind)| bind.address().unwrap()).collect();
    let join = |address: usize, client_id: &str| {
        let mut client = Client::new(addresses[address]);
        client.connect(client_id);
        client
    };
    let control = node.control();
    let kick = |selector: Selector| control.kick(&selector, Reason::ADMINISTRATIVE_ACTION).unwrap();
    let mut stays = join(0, "stays");

    let mut it = join(0, "it");
    let client_id = Selector { client_id: Some("it".into()), ..Selector::default() };
    assert_eq!(kick(client_id.clone()), 1);
    it.expect("kicked").expect_end();
    assert_eq!(kick(client_id), 0);

    let mut users: Vec<_> = (0..4).map(|n| join(n % 2, &format!("u{n}@user"))).collect();
    assert_eq!(kick(Selector { user: Some("user".into()), ..Selector::default() }), 4);
    users.iter_mut().for_each(|client| client.expect("kicked").expect_end());

    let mut guests: Vec<_> = (0..4).map(|n| join(1, &format!("g{n}"))).collect();
    assert_eq!(kick(Selector { listener: Some("b".into()), ..Selector::default() }), 4);
    guests.iter_mut().for_each(|client| client.expect("kicked").expect_end());

    let net = |text: &str| Selector { net: text.parse().ok(), ..Selector::default() };
    assert_eq!(kick(net("192.0.2.0/24")), 0);
    stays.send("Estill here").expect("Estill here");
    assert_eq!(kick(net("127.0.0.0/8")), 1);
    stays.expect("kicked").expect_end();
}

#[test]
fn subscriptions_and_retained_messages_of_all_shards_are_listed() {
    let server = server(3);
    let mut clients = connect_all(&server, &["a", "b", "c", "d"]);
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe("t/+").subscribe(&format!("own/{number}"));
    }
    for number in 0..10 {
        // The echo comes after the retained message is on its way to its shard.
        clients[0].send(format!("Rt/{number}\0{number}")).expect(format!("m t/{number} {number}"));
    }
    let control = server.node.control();
    let mut query = SubscriptionQuery { limit: 3, ..SubscriptionQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = control.subscriptions(&query).unwrap();
        seen.extend(page.items.into_iter().map(|s| format!("{} {}", s.client.client_id, s.filter)));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let expected = ["a own/0", "a t/+", "b own/1", "b t/+", "c own/2", "c t/+", "d own/3", "d t/+"];
    assert_eq!(seen, expected);

    let topics = |filter: &str, limit| {
        let filter = Filter::parse(filter).unwrap();
        let page = control.retained(&RetainedQuery { filter, after: None, limit }).unwrap();
        let topics: Vec<String> = page.items.iter().map(|m| m.topic().to_owned()).collect();
        (topics.join(" "), page.next)
    };
    let start = Instant::now();
    while topics("t/#", 100).0.split(' ').count() < 10 {
        assert!(start.elapsed() < PATIENCE, "{:?}", topics("t/#", 100));
        std::thread::yield_now();
    }
    assert_eq!(topics("t/+", 3), ("t/0 t/1 t/2".to_owned(), Some("t/2".into())));
    assert_eq!(topics("t/5", 3), ("t/5".to_owned(), None));
}

/// Lets no message through.
struct Silence;

impl Interceptor for Silence {
    fn on_publish(
        &self,
        _client: Option<&ClientKey>,
        _message: &mut Message<'_>,
    ) -> Result<(), Reason> {
        Err(Reason::NOT_AUTHORIZED)
    }
}

#[test]
fn plug_ins_and_limits_are_replaced_while_clients_stay() {
    let server = server(2);
    let mut clients = connect_all(&server, &["a", "b"]);
    clients[0].subscribe("t").publish("t", "1").expect("m t 1");
    let control = server.node.control();
    let interceptors: Vec<Arc<dyn Interceptor>> = vec![Arc::new(Silence)];
    control.set_plugins(Arc::new(Plugins { interceptors, ..Plugins::default() })).unwrap();
    clients[1].publish("t", "2").publish("t", "3").send("Edone").expect("Edone");
    control.set_plugins(Arc::default()).unwrap();
    clients[1].publish("t", "4");
    clients[0].expect("m t 4");

    let session = SessionLimits { subscriptions_max: 0, ..SessionLimits::default() };
    let broker = BrokerLimits { session: Arc::new(session), ..BrokerLimits::default() };
    let host = HostLimits { write_buffer_high_bytes: 10_000, ..HostLimits::default() };
    control.set_limits(&Arc::new(broker), &host).unwrap();
    let mut new = server.client();
    new.connect("new").send("Sx");
    assert_eq!(control.client(&key("new")).unwrap().unwrap().0.limits.subscriptions_max, 0);
    assert_eq!(control.client(&key("a")).unwrap().unwrap().0.info.subscriptions, 1);
}

#[test]
fn a_node_that_has_ended_says_so() {
    let server = server(2);
    let control = server.node.control();
    server.node.stop();
    let start = Instant::now();
    let error = control.client(&key("it")).unwrap_err();
    assert_eq!(error.to_string(), "shard 0: no answer");
    assert!(start.elapsed() < PATIENCE / 10);
    assert!(control.listeners().is_empty());
    let error = control.apply_listeners(Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the node is ending");
}
