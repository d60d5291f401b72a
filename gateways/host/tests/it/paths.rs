//! Clients of datagram links that change their address, and addresses that change their client.

use core_model::Reason;
use gateway_host::{Control, Rebind};

use crate::post::{ID, Office, Peer, Post, wait};
use crate::toy::{Entry, any_port, config};

/// Makes a datagram long enough for the answer to somebody unknown.
const FILL: &str = ", please let it be long enough for the answer";

fn office(shards: u16, rebind: Rebind) -> Office {
    Office::with(config(shards), Post::default(), rebind, any_port(), |_| {})
}

/// The address that a client has for the core.
fn port_of(control: &Control, client_id: &str) -> Option<u16> {
    let key = core_model::ClientKey { gateway: ID, client_id: client_id.into() };
    let (details, _) = control.client(&key).unwrap()?;
    details.info.peer.map(|peer| peer.port())
}

/// Somebody with another IP address.
fn elsewhere(office: &Office) -> Peer {
    Peer::at("127.0.0.2:0".parse().unwrap(), office.address)
}

#[test]
fn a_client_reaches_its_link_from_any_port() {
    for shards in [1, 4] {
        let office = office(shards, Rebind::SameIp);
        let own = office.peer();
        own.connect("it");
        // Not so few that all of them come to one shard.
        for _ in 0..50 {
            let other = office.peer();
            let (own, port) = (own.port(), other.port());
            let path = "Candidate { may_adopt: true }";
            other
                .send(format!("Nit|i{FILL}"))
                .expect(format!("Some({own}) {port} {path} false false"));
        }
        own.send("Nit|i").expect(format!("Some({0}) {0} Known false false", own.port()));
        own.send("Pi").expect(format!("Some({0}) {0} Known false false", own.port()));
        assert_eq!(port_of(&office.node.control(), "it"), Some(own.port()));
        assert_eq!(office.log.count(|entry| *entry == Entry::Opened), 1);
        office.wait_counters(|c| c.links == 1 && (shards == 1 || c.datagrams_forwarded > 0));
    }
}

#[test]
fn who_may_move_a_client_is_the_listeners_rule() {
    for shards in [1, 4] {
        for (rebind, near, far) in [
            (Rebind::DtlsOnly, false, false),
            (Rebind::SameIp, true, false),
            (Rebind::Trust, true, true),
        ] {
            let office = office(shards, rebind);
            let mut own = office.peer();
            // What the machine was told when the link was opened does not change.
            let first = own.port();
            own.connect("it").send("Pst").expect("subscribed");
            for (other, may_adopt) in [(elsewhere(&office), far), (office.peer(), near)] {
                if may_adopt {
                    // The answer of an adopted path has no bounds.
                    other.send("Nit|a").expect("adopted");
                    let known = format!("Some({first}) {} Known false false", other.port());
                    other.send("Pi").expect(known);
                    // Who has the old address is a stranger now.
                    let stranger = format!("None {} Known false true", own.port());
                    own.send(format!("Pi{FILL}")).expect(stranger);
                    own = other;
                } else {
                    other.send("Nit|a").expect("not adopted");
                    let stranger = format!("None {} Known false true", other.port());
                    other.send(format!("Pi{FILL}")).expect(stranger);
                    own.send("Pe still here").expect("e still here");
                }
                assert_eq!(port_of(&office.node.control(), "it"), Some(own.port()));
                own.send("Ppt hello").expect("0 t hello");
            }
            assert_eq!(office.node.connections()[0].1, 1);
            assert_eq!(office.log.closed(), 0);
        }
    }
}

#[test]
fn a_client_may_move_again_and_again() {
    let office = office(4, Rebind::SameIp);
    let mut own = office.peer();
    own.connect("it").send("Pst").expect("subscribed");
    for round in 0..40 {
        let next = office.peer();
        next.send("Nit|a").expect("adopted");
        next.send(format!("Ppt {round}")).expect(format!("0 t {round}"));
        own.expect_nothing();
        own = next;
    }
    assert_eq!(port_of(&office.node.control(), "it"), Some(own.port()));
    own.send("Px").expect("bye");
    office.wait_connections(0);
    office.wait_counters(|c| c.links == 0);
}

#[test]
fn to_a_candidate_goes_no_more_than_three_times_what_came() {
    for shards in [1, 4] {
        let office = office(shards, Rebind::DtlsOnly);
        let own = office.peer();
        own.connect("it");
        for _ in 0..8 {
            let other = office.peer();
            // Eight bytes: twelve frames of two bytes fit, not thirteen.
            other.send("Nit|m013");
            for number in 0..10 {
                other.expect(format!("m{number}"));
            }
            // Three bytes do not fit any more after ten frames of two and one of three.
            other.expect("m10").send("Nit|e.").expect("e.").expect_nothing();
            other.send("Nit|b18").send("Nit|b22").send("Nit|e.").expect("b".repeat(18));
            other.expect("e.").expect_nothing();
        }
        office.wait_counters(|c| c.datagrams_withheld == 8 * 3);
        own.send("Pb10000").expect("b".repeat(10_000));
        assert_eq!(office.log.closed(), 0);
    }
}

#[test]
fn an_address_belongs_to_the_client_that_connected_last() {
    for shards in [1, 4] {
        let office = office(shards, Rebind::SameIp);
        let peers: Vec<Peer> = (0..6).map(|_| office.peer()).collect();
        for (round, peer) in (1..).zip(&peers) {
            for number in 0..10 {
                peer.connect(&format!("{round}.{number}"));
                office.wait_connections(round);
                peer.send("Pst").expect("subscribed").send("Ppt own").expect("0 t own");
                peer.send("Ppt own").expect("0 t own");
            }
            let lost = office.log.count(|e| *e == Entry::Closed(Reason::UNSPECIFIED));
            assert_eq!(lost, round * 9);
            assert_eq!(port_of(&office.node.control(), &format!("{round}.8")), None);
            // The next round's client must not hear of the topic.
            peer.send("Px").expect("bye");
            office.wait_connections(round - 1);
            peer.connect(&format!("{round}"));
        }
    }
}

#[test]
fn a_client_that_comes_back_on_its_path_keeps_its_link() {
    let office = office(4, Rebind::SameIp);
    let peers: Vec<Peer> = (0..10).map(|_| office.peer()).collect();
    for _ in 0..3 {
        for (number, peer) in peers.iter().enumerate() {
            peer.connect(&format!("c{number}"));
        }
    }
    assert_eq!(office.log.count(|entry| *entry == Entry::Opened), 10);
    assert_eq!(office.node.connections()[0].1, 10);
}

#[test]
fn a_client_that_connects_elsewhere_takes_its_session_over() {
    let office = office(4, Rebind::DtlsOnly);
    let peers: Vec<_> = (0..10).map(|_| (office.peer(), office.peer())).collect();
    for (number, (first, second)) in peers.iter().enumerate() {
        first.connect(&format!("c{number}"));
        second.connect(&format!("c{number}"));
        first.expect("kicked");
        office.wait_connections(number + 1);
        second.send("Pe hello").expect("e hello");
        assert_eq!(port_of(&office.node.control(), &format!("c{number}")), Some(second.port()));
    }
}

#[test]
fn a_peer_that_left_may_come_back_at_once() {
    let office = office(4, Rebind::SameIp);
    for number in 0..20 {
        let peer = office.peer();
        for _ in 0..3 {
            // In one batch.
            peer.send(format!("C{number}")).send("Px").send(format!("C{number}"));
            let mut got = [peer.receive(), peer.receive(), peer.receive()];
            got.sort();
            assert_eq!(got, ["bye", "connected", "connected"]);
            peer.send("Px").expect("bye");
        }
    }
    office.wait_connections(0);
}

#[test]
fn peers_without_a_name_have_links_too() {
    for shards in [1, 4] {
        let office = office(shards, Rebind::SameIp);
        let peers: Vec<Peer> = (0..20).map(|_| office.peer()).collect();
        for (number, peer) in (1..).zip(&peers) {
            let facts = format!("Some({0}) {0} Known false false", peer.port());
            peer.send("Wi").expect(&facts).send("Pi").expect(&facts);
            peer.send(format!("WCname {number}")).expect("connected");
            assert_eq!(office.node.connections()[0].1, number);
        }
    }
}

#[test]
fn a_relay_speaks_for_many_clients_and_may_be_one_itself() {
    for shards in [1, 4] {
        let office = office(shards, Rebind::SameIp);
        let relay = office.peer();
        relay.connect("itself").send("Pst").expect("subscribed");
        for slot in 0..6 {
            relay.send(format!("R{slot}Cslot {slot}")).expect("connected");
            relay.send(format!("r{slot}s{slot}/#")).expect("subscribed");
        }
        let facts = format!("Some({0}) {0} Known true false", relay.port());
        relay.send("r1i").expect(&facts);
        let other = office.peer();
        other.connect("other");
        for slot in 0..6 {
            other.send(format!("Pp{slot}/x hello"));
            relay.expect(format!("{slot} {slot}/x hello"));
        }
        relay.send("Ppt me").expect("0 t me");
        assert_eq!(office.node.connections()[0].1, 3);
        // A client behind a relay is not moved away from it.
        other.send(format!("Nslot 1|i{FILL}"));
        other.expect(format!("None {} Known false true", other.port()));
        relay.send("r0x").expect("bye");
        office.wait_connections(2);
        relay.send("Ppt me").expect("0 t me");
        let gone =
            || (0..6).all(|n| port_of(&office.node.control(), &format!("slot {n}")).is_none());
        wait(gone, || "a client of the relay is left".into());
    }
}
