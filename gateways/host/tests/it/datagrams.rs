//! Links of datagrams, over real sockets.

use std::net::SocketAddr;

use gateway_host::{Control, Rebind, Selector};

use crate::post::{Office, Peer, Post};
use crate::toy::{Entry, config};

/// The port of the address that a client has for the core.
fn port_of(control: &Control, client_id: &str) -> Option<u16> {
    let key = core_model::ClientKey { gateway: crate::post::ID, client_id: client_id.into() };
    let (details, _) = control.client(&key).unwrap()?;
    details.info.peer.map(|peer| peer.port())
}

#[test]
fn clients_connect_and_hear_each_other() {
    for (shards, ip) in [(1, "127.0.0.1"), (4, "127.0.0.1"), (4, "::1"), (3, "0.0.0.0"), (2, "::")]
    {
        let bind = SocketAddr::new(ip.parse().unwrap(), 0);
        let office = Office::with(config(shards), Post::default(), Rebind::default(), bind, |_| {});
        let mut address = office.address;
        match ip {
            "0.0.0.0" => address.set_ip([127, 0, 0, 1].into()),
            "::" => address.set_ip("::1".parse().unwrap()),
            _ => {}
        }
        let peers: Vec<Peer> = (0..20).map(|_| Peer::new(address)).collect();
        for (number, peer) in peers.iter().enumerate() {
            peer.connect(&format!("c{number}")).send(format!("Ps{number}")).expect("subscribed");
        }
        for (number, peer) in peers.iter().enumerate() {
            let to = (number + 1) % 20;
            peer.send(format!("Pp{to} from {number}"));
            peers[to].expect(format!("0 {to} from {number}"));
        }
        assert_eq!(office.node.connections()[0].1, 20);
        assert_eq!(office.log.closed(), 0);
        for peer in peers {
            peer.send("Px").expect("bye");
        }
        office.wait_connections(0);
    }
}

#[test]
fn a_client_reaches_its_link_from_any_port() {
    let office = Office::start(config(4));
    let own = office.peer();
    own.connect("it");
    // Not so few that all of them come to one shard.
    for _ in 0..50 {
        let other = office.peer();
        let port = other.port();
        other.send("Nit|i, please let it be long enough for the answer").expect(format!(
            "Some({}) {port} Candidate {{ may_adopt: true }} false false",
            own.port()
        ));
    }
    own.send("Nit|i").expect(format!("Some({0}) {0} Known false false", own.port()));
    own.send("Pi").expect(format!("Some({0}) {0} Known false false", own.port()));
    assert_eq!(port_of(&office.node.control(), "it"), Some(own.port()));
    assert_eq!(office.log.count(|entry| *entry == Entry::Opened), 1);
    office.wait_counters(|c| c.datagrams_forwarded > 0 && c.links == 1);
}

#[test]
fn what_is_nobodys_is_answered_by_the_commons() {
    for shards in [1, 4] {
        let office = Office::start(config(shards));
        for _ in 0..20 {
            let stranger = office.peer();
            let expected = format!("None {} Known false true", stranger.port());
            stranger.send("Pi, please let it be long enough for the answer").expect(&expected);
            stranger.send("Zi, please let it be long enough for the answer").expect(&expected);
            stranger.send("Nnobody|i, let it be long enough for the answer").expect(&expected);
            stranger.send("r1i, please let it be long enough for the answer").expect(&expected);
        }
        assert_eq!(office.node.connections()[0].1, 0);
        office.wait_counters(|c| c.datagrams_received == 80 && c.links == 0);
    }
}

#[test]
fn the_end_of_the_node_is_told() {
    for shards in [1, 4] {
        let office = Office::start(config(shards));
        let peers: Vec<Peer> = (0..20).map(|_| office.peer()).collect();
        for (number, peer) in peers.iter().enumerate() {
            peer.connect(&format!("c{number}"));
        }
        let report = office.node.drain(crate::toy::PATIENCE);
        assert_eq!((report.links_left, report.failure), (0, None));
        peers.iter().for_each(|peer| {
            peer.expect("draining");
        });
        assert_eq!(office.log.closed(), 20);
    }
}

#[test]
fn a_client_is_kicked() {
    let office = Office::start(config(2));
    let peer = office.peer();
    peer.connect("it");
    let selector = Selector { client_id: Some("it".into()), ..Selector::default() };
    let reason = core_model::Reason::ADMINISTRATIVE_ACTION;
    assert_eq!(office.node.control().kick(&selector, reason).unwrap(), 1);
    peer.expect("kicked");
    office.wait_connections(0);
    peer.expect_nothing();
    assert_eq!((office.status().transport, office.status().connections), ("udp", 0));
}
