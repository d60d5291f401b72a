//! Listeners that come, go and change while the node runs.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use gateway_host::{ListenerConfig, ListenerFacts, ListenerStatus, Node, NodeConfig, StartError};

use crate::toy::{Client, Entry, PATIENCE, Toy, any_port, config};

fn listener(name: &str, bind: SocketAddr, toy: &Toy) -> ListenerConfig {
    let facts = ListenerFacts { name: name.into(), ..ListenerFacts::default() };
    ListenerConfig::new(Arc::new(facts), bind, Arc::new(toy.clone()))
}

fn start(shards: u16, listeners: Vec<ListenerConfig>) -> Node {
    Node::start(NodeConfig { listeners, ..config(shards) }).unwrap()
}

fn status(node: &Node, name: &str) -> ListenerStatus {
    node.control().listeners().into_iter().find(|status| *status.name == *name).unwrap()
}

fn address(node: &Node, name: &str) -> SocketAddr {
    status(node, name).bind.address().unwrap()
}

fn names(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| (*name).into()).collect()
}

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind(any_port()).unwrap().local_addr().unwrap()
}

fn is_refused(address: SocketAddr) -> bool {
    let error = TcpStream::connect(address).err();
    error.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn one_is_added_and_another_removed_with_its_links_told() {
    let toy = Toy::default();
    let node = start(3, vec![listener("a", any_port(), &toy), listener("b", any_port(), &toy)]);
    let (a, b) = (address(&node, "a"), address(&node, "b"));
    let mut stays = Client::new(a);
    stays.connect("stays");
    let mut goes: Vec<Client> = (0..5).map(|_| Client::new(b)).collect();
    for (number, client) in goes.iter_mut().enumerate() {
        client.connect(&format!("goes {number}"));
    }
    let mut stranger = Client::new(b);
    stranger.send("Ehello").expect("Ehello");

    let wanted = vec![listener("c", any_port(), &toy), listener("a", any_port(), &toy)];
    let plan = node.control().plan_listeners(&wanted);
    let changes = node.control().apply_listeners(wanted).unwrap();
    assert_eq!(plan, changes);
    assert_eq!(changes.opened, names(&["c"]));
    assert_eq!(changes.kept, names(&["a"]));
    assert_eq!(changes.closed, [("b".into(), 6)]);
    assert_eq!(changes.connections_closed(), 6);

    for client in &mut goes {
        client.expect("draining").expect_end();
    }
    stranger.expect_end();
    assert!(is_refused(b));
    assert_eq!(toy.log.count(|entry| *entry == Entry::Draining), 5);
    stays.send("Estill here").expect("Estill here");
    Client::new(a).connect("new at a");
    Client::new(address(&node, "c")).connect("new at c");
    let order: Vec<_> = node.addresses().into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, names(&["c", "a"]));
}

#[test]
fn new_settings_count_for_new_links_and_leave_old_ones_alone() {
    let (before, after) = (Toy::default(), Toy::default());
    let node = start(2, vec![listener("a", any_port(), &before)]);
    let mut old = Client::new(address(&node, "a"));
    old.send("E1").expect("E1");

    let mut wanted = listener("a", any_port(), &after);
    wanted.max_connections = 2;
    let changes = node.control().apply_listeners(vec![wanted]).unwrap();
    assert_eq!((changes.kept, changes.closed), (names(&["a"]), vec![]));
    old.send("E2").expect("E2");
    let mut new = Client::new(address(&node, "a"));
    new.send("E3").expect("E3");
    assert_eq!(before.log.count(|entry| *entry == Entry::Opened), 1);
    assert_eq!(after.log.count(|entry| *entry == Entry::Opened), 1);
    // The old link counts.
    Client::new(address(&node, "a")).expect_end();
    let status = status(&node, "a");
    assert_eq!((status.connections, status.max_connections), (2, 2));
}

#[test]
fn a_listener_that_moves_keeps_its_links() {
    let toy = Toy::default();
    let node = start(2, vec![listener("a", any_port(), &toy)]);
    let old = address(&node, "a");
    let mut client = Client::new(old);
    client.connect("moved");
    let new = free_address();
    let changes = node.control().apply_listeners(vec![listener("a", new, &toy)]).unwrap();
    assert_eq!((changes.moved, changes.closed), (names(&["a"]), vec![]));
    assert!(is_refused(old));
    client.send("Estill here").expect("Estill here");
    Client::new(new).send("Enew").expect("Enew");
    assert_eq!(address(&node, "a"), new);
}

#[test]
fn an_address_that_is_not_to_be_had_leaves_everything_as_it_was() {
    let toy = Toy::default();
    let node = start(2, vec![listener("a", any_port(), &toy), listener("b", any_port(), &toy)]);
    let (a, b) = (address(&node, "a"), address(&node, "b"));
    let mut client = Client::new(a);
    client.connect("here");
    let foreign = TcpListener::bind(any_port()).unwrap();
    let taken = foreign.local_addr().unwrap();
    let new = free_address();
    let wanted = vec![listener("b", new, &toy), listener("c", taken, &toy)];
    let error = node.control().apply_listeners(wanted).unwrap_err();
    assert!(matches!(&error, StartError::Listen { name, .. } if &**name == "c"));
    assert!(is_refused(new));
    // Nor may two listen at one address, whoever of them has it.
    let wanted = vec![listener("a", any_port(), &toy), listener("c", a, &toy)];
    assert!(node.control().apply_listeners(wanted).is_err());
    let wanted = vec![listener("a", any_port(), &toy), listener("a", new, &toy)];
    let error = node.control().apply_listeners(wanted).unwrap_err();
    assert_eq!(error.to_string(), "two listeners are called a");

    client.send("Estill here").expect("Estill here");
    for address in [a, b] {
        Client::new(address).send("Ehello").expect("Ehello");
    }
    let order: Vec<_> = node.addresses().into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, names(&["a", "b"]));
}

#[test]
fn listeners_may_swap_their_addresses_and_their_names() {
    let (first, second) = (Toy::default(), Toy::default());
    let (one, two) = (free_address(), free_address());
    let node = start(2, vec![listener("a", one, &first), listener("b", two, &second)]);
    // Until somebody accepts them, connections wait with the socket.
    let wanted = vec![listener("a", two, &first), listener("b", one, &second)];
    let changes = node.control().apply_listeners(wanted).unwrap();
    assert_eq!(changes.moved, names(&["a", "b"]));
    Client::new(two).send("Ehello").expect("Ehello");
    assert_eq!(first.log.count(|entry| *entry == Entry::Opened), 1);

    let mut old = Client::new(one);
    old.connect("of b");
    let wanted = vec![listener("c", one, &first), listener("d", two, &second)];
    let changes = node.control().apply_listeners(wanted).unwrap();
    assert_eq!((changes.opened, changes.closed.len()), (names(&["c", "d"]), 2));
    old.expect("draining").expect_end();
    Client::new(one).send("Ehello").expect("Ehello");
    assert_eq!(first.log.count(|entry| *entry == Entry::Opened), 2);
}

#[test]
fn what_listeners_do_is_counted_apart() {
    let toy = Toy::default();
    let node = start(2, vec![listener("a", any_port(), &toy), listener("b", any_port(), &toy)]);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::new(address(&node, "a"))).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.connect(&format!("client {number}")).send("E12345").expect("E12345");
    }
    Client::new(address(&node, "b")).raw(&[0, 0, 0, 0]).expect("broken").expect_end();
    clients[0].subscribe("t");
    clients[1].publish("t", "1").publish("u", "2");
    clients[0].expect("m t 1");
    clients[1].send("E").expect("E");
    let start = std::time::Instant::now();
    loop {
        let (a, b) = (status(&node, "a").counters, status(&node, "b").counters);
        let counted = a.accepted == 3
            && a.links_opened == 3
            && a.frames == 6 + 4
            && (a.publishes, a.deliveries) == (2, 1)
            // Two heads of four bytes, "Cclient n" and "E12345".
            && a.bytes_read == 3 * (8 + 9 + 6) + (4 + 2) + 2 * (4 + 4) + (4 + 1)
            // "connected" is as long.
            && a.bytes_written == 3 * (8 + 9 + 6) + (4 + 10) + (4 + 5) + (4 + 1)
            && a.input_refused == 0
            && (b.accepted, b.frames, b.input_refused) == (1, 0, 1);
        if counted {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{a:?} {b:?}");
        std::thread::yield_now();
    }
}
