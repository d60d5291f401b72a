use std::sync::{Arc, mpsc};
use std::time::Duration;

use core_model::{Authenticator, Evidence, Exchange, Plugins, ShardId, Step, Verdict};
use gateway_host::{ListenerConfig, ListenerFacts, Node, NodeConfig, StartError};

use crate::toy::{Client, Entry, PATIENCE, Server, Toy, any_port, config};

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let server = Server::limited(config(2), Toy::default(), 3);
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send("Ein").expect("Ein");
    }
    server.client().expect_end();
    server.wait_counters(|c| c.host.refused == 1 && c.host.accepted == 3);
    drop(clients.pop());
    server.wait_connections(2);
    server.client().send("Ein").expect("Ein");
}

#[test]
fn a_drained_node_says_goodbye_to_everybody() {
    for shards in [1, 3] {
        let server = Server::start(config(shards), Toy::default());
        let mut clients: Vec<Client> = (0..9).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.connect(&format!("c{number}"));
        }
        let mut stranger = server.client();
        stranger.send("Ehello").expect("Ehello");
        let address = server.address;
        let reader = std::thread::spawn(move || {
            for client in &mut clients {
                client.expect("draining").expect_end();
            }
            stranger.expect_end();
        });
        let report = server.node.drain(PATIENCE);
        reader.join().unwrap();
        assert_eq!((report.links_left, report.failure), (0, None));
        assert_eq!(server.log.count(|entry| *entry == Entry::Draining), 9);
        assert_eq!(server.log.closed(), 10);
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}

/// Never comes to an end with anybody.
struct Endless;

impl Authenticator for Endless {
    fn authenticate(&self, _client_id: &str, _evidence: &Evidence) -> Verdict {
        Verdict::Unknown
    }

    fn begin(&self, _method: &str, _id: &str, _evidence: &Evidence) -> Option<Box<dyn Exchange>> {
        Some(Box::new(Endless))
    }
}

impl Exchange for Endless {
    fn step(&mut self, _data: &[u8]) -> Step {
        Step::Continue(Vec::new())
    }
}

#[test]
fn who_is_still_authenticating_is_told_of_the_end_too() {
    let plugins = Plugins { authenticators: vec![Arc::new(Endless)], ..Plugins::default() };
    let config = NodeConfig { plugins: Arc::new(plugins), ..config(2) };
    let server = Server::start(config, Toy::default());
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("Ac{number}")).expect("Challenge { data: [] }");
    }
    let reader = std::thread::spawn(move || {
        for client in &mut clients {
            client.expect("draining").expect_end();
        }
    });
    let report = server.node.drain(PATIENCE);
    reader.join().unwrap();
    assert_eq!(report.links_left, 0);
    assert_eq!(server.log.count(|entry| *entry == Entry::Draining), 4);
}

#[test]
fn a_node_does_not_wait_for_ever_for_a_client_that_does_not_read() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    client.connect("deaf").send("B50000000");
    server.log.wait_for(Entry::Congested(true));
    let report = server.node.drain(Duration::from_millis(300));
    assert_eq!(report.links_left, 1);
    assert_eq!(server.log.closed(), 1);
}

#[test]
fn a_panic_is_reported() {
    let (report, reported) = mpsc::channel();
    let mut config = config(2);
    config.on_failure = Arc::new(move |shard, message| {
        report.send((shard, message.to_owned())).unwrap();
    });
    let server = Server::start(config, Toy::default());
    assert_eq!(server.node.failure(), None);
    server.client().send("!");
    let (shard, message) = reported.recv_timeout(PATIENCE).unwrap();
    assert_eq!(message, "the machine is broken");
    assert_eq!(server.node.failure(), Some((shard, message.clone())));
    let report = server.node.drain(PATIENCE);
    assert_eq!(report.failure, Some((shard, message)));
    assert!(shard < ShardId(2));
}

#[test]
fn an_address_in_use_is_named() {
    let server = Server::start(config(1), Toy::default());
    let facts = ListenerFacts { name: "second".into(), ..ListenerFacts::default() };
    let toy = Arc::new(Toy::default());
    let listeners = vec![ListenerConfig::new(Arc::new(facts), server.address, toy)];
    let error = Node::start(NodeConfig { listeners, ..config(1) }).err().unwrap();
    assert!(matches!(&error, StartError::Listen { name, .. } if &**name == "second"));
    assert_eq!(error.to_string(), format!("listener second: cannot listen on {}", server.address));
}

#[test]
fn several_listeners_are_served_by_all_shards() {
    let listener = |name: &str, toy: &Toy| {
        let facts = ListenerFacts { name: name.into(), ..ListenerFacts::default() };
        ListenerConfig::new(Arc::new(facts), any_port(), Arc::new(toy.clone()))
    };
    let toys = [Toy::default(), Toy::default(), Toy::default()];
    let names = ["one", "two", "three"];
    let listeners = names.iter().zip(&toys).map(|(name, toy)| listener(name, toy)).collect();
    let node = Node::start(NodeConfig { listeners, ..config(2) }).unwrap();
    assert_eq!(node.shards(), 2);
    for ((name, bind), toy) in node.addresses().into_iter().zip(&toys) {
        let address = bind.address().unwrap();
        let mut clients: Vec<Client> = (0..4).map(|_| Client::new(address)).collect();
        for client in &mut clients {
            client.send("Ehi").expect("Ehi");
        }
        assert_eq!(toy.log.count(|entry| *entry == Entry::Opened), 4, "{name}");
    }
}

#[test]
fn the_server_tells_about_itself() {
    let mut config = config(3);
    config.sys_interval_s = 1;
    config.version = "manifold test".into();
    let server = Server::start(config, Toy::default());
    let mut client = server.client();
    client.connect("curious").subscribe("$SYS/#");
    let mut seen = std::collections::BTreeMap::new();
    let enough = |seen: &std::collections::BTreeMap<String, String>| {
        seen.get("$SYS/broker/clients/connected").is_some_and(|count| count == "1")
            && seen.contains_key("$SYS/broker/version")
    };
    while !enough(&seen) {
        let body = String::from_utf8(client.receive()).unwrap();
        // "retained messages/count" has a space in its name.
        let (topic, value) = body[2..].split_once("count ").map_or_else(
            || body[2..].split_once(' ').unwrap(),
            |(head, value)| (&body[2..2 + head.len() + 5], value),
        );
        seen.insert(topic.to_owned(), value.to_owned());
    }
    assert_eq!(seen["$SYS/broker/version"], "manifold test");
}
