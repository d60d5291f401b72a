use gateway_host::Rebind;

use super::{expect, expect_end};
use crate::gateway::world::{ELSEWHERE, HERE, Plan, World};
use crate::gateway::{Accepted, Client, Login, Subject, Transport, skipped};

/// Who connects again takes over: the old link is told and ends, the session and what waits in it
/// stay, unless a clean one is wanted.
pub fn an_identity_is_taken_over_by_its_owner<S: Subject>(shards: u16) {
    let world = World::<S>::start(Plan::new(shards));
    let mut bob = world.join("bob");
    let login = Login::of("alice").durable();
    let mut old = world.join_as(&login);
    if !S::ABILITIES.has_sessions {
        skipped("what stays after a take-over", "the protocol has no sessions");
        let _new = world.join("alice");
        expect_end::<S>(&mut old);
        return;
    }
    old.subscribe("t/1").unwrap();
    for round in 0..3 {
        let mut new = world.client();
        let accepted = new.connect(&login).unwrap();
        assert_present::<S>(accepted, true);
        expect_end::<S>(&mut old);
        let payload = format!("round {round}");
        bob.publish("t/1", payload.as_bytes(), false).unwrap();
        expect(&mut new, "t/1", payload.as_bytes());
        // Or its acknowledgement may be lost with the link.
        assert!(new.ping());
        old = new;
    }
    world.kick("alice");
    expect_end::<S>(&mut old);
    bob.publish("t/1", b"while away", false).unwrap();
    let mut back = world.join_as(&login);
    expect(&mut back, "t/1", b"while away");
    assert!(back.ping());
    let mut clean = world.client();
    let accepted = clean.connect(&Login::of("alice")).unwrap();
    assert_present::<S>(accepted, false);
    expect_end::<S>(&mut back);
    bob.publish("t/1", b"to nobody", false).unwrap();
    clean.subscribe("t/2").unwrap();
    bob.publish("t/2", b"to you", false).unwrap();
    expect(&mut clean, "t/2", b"to you");
}

fn assert_present<S: Subject>(accepted: Accepted, is_present: bool) {
    if S::ABILITIES.tells_session {
        assert_eq!(accepted.session_present, is_present);
    }
}

/// While a client is there, another address gets its identity only where the listener allows that.
pub fn an_identity_moves_only_as_the_listener_allows<S: Subject>(shards: u16) {
    if S::ABILITIES.transport == Transport::Tcp {
        skipped("identities that move", "an address proves nothing of a stream");
        return;
    }
    for (rebind, same_ip, other_ip) in [
        (Rebind::DtlsOnly, false, false),
        (Rebind::SameIp, true, false),
        (Rebind::Trust, true, true),
    ] {
        for (from, moves) in [(HERE, same_ip), (ELSEWHERE, other_ip)] {
            identity_moves::<S>(Plan { rebind, ..Plan::new(shards) }, from, moves);
        }
    }
}

fn identity_moves<S: Subject>(plan: Plan, from: std::net::IpAddr, moves: bool) {
    let world = World::<S>::start(plan);
    let login = Login::of("alice").durable();
    let mut owner = world.join_as(&login);
    owner.subscribe("t/1").unwrap();
    let mut bob = world.join("bob");
    let mut other = world.client_from(from);
    let connected = other.connect(&login);
    assert_eq!(connected.is_ok(), moves, "{connected:?}");
    bob.publish("t/1", b"for alice", false).unwrap();
    if moves {
        expect(&mut other, "t/1", b"for alice");
        return;
    }
    expect(&mut owner, "t/1", b"for alice");
    assert!(owner.ping(), "a thief ends the link of the owner");
    // Without a link there is nobody to protect.
    owner.disconnect();
    world.wait_connected("alice", false);
    other.connect(&login).unwrap();
    bob.publish("t/1", b"again", false).unwrap();
    expect(&mut other, "t/1", b"again");
}
