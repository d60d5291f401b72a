//! Datagram listeners that come, go and change while the node runs.

use std::net::{SocketAddr, UdpSocket};

use gateway_host::{ListenerConfig, Node, NodeConfig, Rebind, StartError};

use crate::post::{Office, Peer, Post, listener, wait};
use crate::toy::{Entry, any_port, config};

/// Makes a datagram long enough for the answer to somebody unknown.
const FILL: &str = ", please let it be long enough for the answer";

fn of(name: &str, bind: SocketAddr, post: &Post) -> ListenerConfig {
    listener(name, bind, post, Rebind::SameIp)
}

fn start(shards: u16, listeners: Vec<ListenerConfig>) -> Node {
    Node::start(NodeConfig { listeners, ..config(shards) }).unwrap()
}

fn address(node: &Node, name: &str) -> SocketAddr {
    let found = node.addresses().into_iter().find(|(found, _)| **found == *name);
    found.unwrap().1.address().unwrap()
}

/// Waits until nobody has an address.
fn wait_free(address: SocketAddr) {
    wait(|| UdpSocket::bind(address).is_ok(), || format!("{address} is in use"));
}

/// An address that nobody has.
fn free_address() -> SocketAddr {
    UdpSocket::bind(any_port()).unwrap().local_addr().unwrap()
}

#[test]
fn one_is_added_and_another_removed_with_its_links_told() {
    for shards in [1, 3] {
        let post = Post::default();
        let node = start(shards, vec![of("a", any_port(), &post), of("b", any_port(), &post)]);
        let (a, b) = (address(&node, "a"), address(&node, "b"));
        let stays = Peer::new(a);
        stays.connect("stays");
        let goes: Vec<Peer> = (0..5).map(|_| Peer::new(b)).collect();
        for (number, peer) in goes.iter().enumerate() {
            peer.connect(&format!("goes {number}"));
        }
        let wanted = vec![of("c", any_port(), &post), of("a", any_port(), &post)];
        let changes = node.control().apply_listeners(wanted).unwrap();
        assert_eq!(changes.closed, [("b".into(), 5)]);
        for peer in &goes {
            peer.expect("draining");
        }
        wait_free(b);
        assert_eq!(post.log.closed(), 5);
        stays.send("Pe still here").expect("e still here");
        Peer::new(a).connect("new at a");
        Peer::new(address(&node, "c")).connect("new at c");
        let report = node.drain(crate::toy::PATIENCE);
        assert_eq!(report.links_left, 0);
    }
}

#[test]
fn new_settings_count_for_new_links_and_for_strangers() {
    let (before, after) = (Post::default(), Post { has_no_commons: true, ..Post::default() });
    let node = start(4, vec![of("a", any_port(), &before)]);
    let old = Peer::new(address(&node, "a"));
    old.connect("old");
    let mut wanted = of("a", any_port(), &after);
    wanted.max_connections = 2;
    node.control().apply_listeners(vec![wanted]).unwrap();
    old.send("Pe hello").expect("e hello");
    let new = Peer::new(address(&node, "a"));
    new.send(format!("Zi{FILL}")).connect("new").expect_nothing();
    // The old link counts.
    Peer::new(address(&node, "a")).send("Clate|let it be long").expect("refused Server busy");
    let opened = |post: &Post| post.log.count(|entry| *entry == Entry::Opened);
    assert_eq!((opened(&before), opened(&after)), (1, 1));
    // The links for strangers are gone.
    assert_eq!(before.log.count(|entry| *entry == Entry::Draining), 4);
    assert_eq!(node.connections()[0].1, 2);
}

#[test]
fn a_listener_that_moves_keeps_its_links() {
    for shards in [1, 4] {
        let post = Post::default();
        let node = start(shards, vec![of("a", any_port(), &post)]);
        let old = address(&node, "a");
        let sockets: Vec<UdpSocket> =
            (0..10).map(|_| UdpSocket::bind(any_port()).unwrap()).collect();
        let at = |server, socket: &UdpSocket| Peer::with(socket.try_clone().unwrap(), server);
        for (number, socket) in sockets.iter().enumerate() {
            at(old, socket).connect(&format!("c{number}"));
        }
        let new = free_address();
        let changes = node.control().apply_listeners(vec![of("a", new, &post)]).unwrap();
        assert_eq!((changes.moved.len(), changes.closed.len()), (1, 0));
        wait_free(old);
        for (number, socket) in sockets.iter().enumerate() {
            let peer = at(new, socket);
            // The system may bring the address to another shard, which learns whose it is.
            peer.send(format!("Nc{number}|e hello")).expect("e hello");
            peer.send(format!("Nc{number}|st{number}")).expect("subscribed");
            peer.send(format!("Ppt{number} here")).expect(format!("0 t{number} here"));
        }
        assert_eq!(post.log.closed(), 0);
        assert_eq!(node.connections()[0].1, 10);
        Peer::new(new).connect("new");
    }
}

#[test]
fn an_address_that_is_not_to_be_had_leaves_everything_as_it_was() {
    let post = Post::default();
    let node = start(2, vec![of("a", any_port(), &post), of("b", any_port(), &post)]);
    let (a, b) = (address(&node, "a"), address(&node, "b"));
    let peer = Peer::new(b);
    peer.connect("here");
    let foreign = UdpSocket::bind(any_port()).unwrap();
    let (taken, new) = (foreign.local_addr().unwrap(), free_address());
    for wanted in [
        vec![of("b", new, &post), of("c", taken, &post)],
        vec![of("a", any_port(), &post), of("c", a, &post)],
    ] {
        let error = node.control().apply_listeners(wanted).unwrap_err();
        assert!(matches!(&error, StartError::Listen { name, .. } if &**name == "c"), "{error}");
    }
    wait_free(new);
    peer.send("Pe still here").expect("e still here");
    for address in [a, b] {
        Peer::new(address).connect(&format!("at {address}"));
    }
    assert_eq!(post.log.closed(), 0);
}

#[test]
fn listeners_may_swap_their_addresses_and_their_names() {
    let (first, second) = (Post::default(), Post::default());
    let (one, two) = (free_address(), free_address());
    let node = start(3, vec![of("a", one, &first), of("b", two, &second)]);
    let changes =
        node.control().apply_listeners(vec![of("a", two, &first), of("b", one, &second)]).unwrap();
    assert_eq!(changes.moved.len(), 2);
    Peer::new(two).connect("at a");
    assert_eq!(first.log.count(|entry| *entry == Entry::Opened), 1);
    let old = Peer::new(one);
    old.connect("of b");
    let changes =
        node.control().apply_listeners(vec![of("c", one, &first), of("d", two, &second)]).unwrap();
    assert_eq!((changes.opened.len(), changes.closed.len()), (2, 2));
    old.expect("draining");
    Peer::new(one).connect("at c");
    assert_eq!(first.log.count(|entry| *entry == Entry::Opened), 2);
}

#[test]
fn the_end_of_the_node_is_told_and_nobody_is_let_in_any_more() {
    for shards in [1, 4] {
        let office = Office::start(config(shards));
        let peers: Vec<Peer> = (0..20).map(|_| office.peer()).collect();
        for (number, peer) in peers.iter().enumerate() {
            peer.connect(&format!("c{number}"));
        }
        let relay = office.peer();
        relay.send("R0Cslot").expect("connected");
        let address = office.address;
        let report = office.node.drain(crate::toy::PATIENCE);
        assert_eq!((report.links_left, report.failure), (0, None));
        for peer in peers.iter().chain([&relay]) {
            peer.expect("draining");
        }
        assert_eq!(office.log.closed(), 21);
        wait_free(address);
    }
}
