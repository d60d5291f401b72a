use codec_mqttsn::{Connect, Packet, ReturnCode};
use core_model::{DisconnectCause, Event, Operation, Reason};
use gateway_host::Close;

use crate::harness::{connect, connected};
use crate::links::{Line, Outcome};

fn named(client_id: &str) -> Packet<'_> {
    Packet::Connect(Connect { client_id, ..connect() })
}

/// Connects a node; its slot.
fn join(line: &mut Line, node: &[u8], client_id: &str) -> u32 {
    let slot = connect_of(&line.relay_from(node, named(client_id)), client_id);
    let outcome = line.event(slot, connected());
    assert_eq!(outcome.relayed(), (node, Packet::Connack(ReturnCode::ACCEPTED)));
    slot
}

#[track_caller]
fn connect_of(outcome: &Outcome, client_id: &str) -> u32 {
    let connects = |(_, operation): &&(u32, Operation<'_>)| matches!(operation, Operation::Connect(connect) if &*connect.client_id == client_id);
    outcome.operations.iter().find(connects).unwrap_or_else(|| panic!("{outcome:?}")).0
}

#[track_caller]
fn assert_lost(operation: (u32, &Operation<'_>), slot: u32, reason: Reason) {
    let Operation::Disconnect(disconnect) = operation.1 else { panic!("{operation:?}") };
    assert_eq!((operation.0, disconnect.cause), (slot, DisconnectCause::Lost(reason)));
}

//= mqttsn:GW-SN-32
#[test]
fn each_node_behind_a_forwarder_is_a_client() {
    let mut line = Line::relay(|_| {});
    let first = join(&mut line, b"\x01", "sn1");
    let second = join(&mut line, b"\x01\x02", "sn2");
    assert_ne!(first, second);
    assert_eq!(line.relay_from(b"\x01\x02", Packet::Pingreq(None)).relayed().0, b"\x01\x02");
    let outcome = line.relay_from(b"\x01", Packet::Disconnect(None));
    assert_eq!(outcome.relayed(), (&b"\x01"[..], Packet::Disconnect(None)));
    assert_eq!(outcome.operation().0, first);
    assert_eq!(outcome.close, None);
    // It is forgotten, the other one is not.
    let outcome = line.relay_from(b"\x01", Packet::Pingreq(None));
    assert_eq!(outcome.relayed(), (&b"\x01"[..], Packet::Disconnect(None)));
    assert_eq!(
        line.relay_from(b"\x01\x02", Packet::Pingreq(None)).relayed(),
        (&b"\x01\x02"[..], Packet::Pingresp)
    );
}

//= mqttsn:GW-SN-32
#[test]
fn a_node_may_have_no_id_at_all() {
    let mut line = Line::relay(|_| {});
    join(&mut line, b"", "sn1");
    let outcome = line.relay_from(b"", Packet::Pingreq(None));
    assert_eq!(outcome.relayed(), (&b""[..], Packet::Pingresp));
}

#[test]
fn slots_are_not_used_again() {
    let mut line = Line::relay(|_| {});
    join(&mut line, b"stays", "sn0");
    let mut slots = Vec::new();
    for _ in 0..5 {
        slots.push(join(&mut line, b"\x01", "sn1"));
        line.relay_from(b"\x01", Packet::Disconnect(None));
    }
    assert!(slots.is_sorted_by(|one, next| one < next), "{slots:?}");
    assert!(slots.iter().all(|slot| *slot > 0));
}

#[test]
fn a_node_that_has_become_another_client_loses_the_first() {
    let mut line = Line::relay(|_| {});
    let first = join(&mut line, b"\x01", "sn1");
    let outcome = line.relay_from(b"\x01", named("sn2"));
    let second = connect_of(&outcome, "sn2");
    assert_ne!(first, second);
    let (slot, lost) = &outcome.operations[0];
    assert_lost((*slot, lost), first, Reason::SESSION_TAKEN_OVER);
    assert_eq!(line.event(first, Event::Draining).operations.len(), 0);
    line.event(second, connected());
    assert_eq!(line.relay_from(b"\x01", Packet::Pingreq(None)).relayed().1, Packet::Pingresp);
}

#[test]
fn a_node_that_connects_again_gets_another_slot() {
    let mut line = Line::relay(|_| {});
    let slot = join(&mut line, b"\x01", "sn1");
    // The network has repeated its CONNECT.
    let outcome = line.relay_from(b"\x01", named("sn1"));
    assert_eq!(outcome.relayed().1, Packet::Connack(ReturnCode::ACCEPTED));
    assert!(outcome.operations.is_empty());
    line.relay_from(b"\x01", Packet::Pingreq(None));
    let outcome = line.relay_from(b"\x01", named("sn1"));
    let successor = connect_of(&outcome, "sn1");
    assert_ne!(successor, slot);
    let (first, Operation::Disconnect(left)) = &outcome.operations[0] else { panic!() };
    assert_eq!((*first, left.cause), (slot, DisconnectCause::Farewell));
    // What core has said to the old one meanwhile is nobody's.
    let kicked = Event::Kicked { reason: Reason::SESSION_TAKEN_OVER, server_reference: None };
    assert!(line.event(slot, kicked).is_nothing());
    let outcome = line.event(successor, connected());
    assert_eq!(outcome.relayed().1, Packet::Connack(ReturnCode::ACCEPTED));
}

//= mqttsn:GW-SN-07
#[test]
fn no_more_nodes_are_taken_than_allowed() {
    let mut line = Line::relay(|config| config.max_nodes = 2);
    join(&mut line, b"\x01", "sn1");
    join(&mut line, b"\x02", "sn2");
    for node in 3..50u8 {
        let node = [node];
        let outcome = line.relay_from(&node, named("sn3"));
        assert_eq!(outcome.relayed(), (&node[..], Packet::Connack(ReturnCode::CONGESTION)));
        assert!(outcome.operations.is_empty());
    }
    line.relay_from(b"\x01", Packet::Disconnect(None));
    join(&mut line, b"\x03", "sn3");
}

//= mqttsn:GW-SN-25
#[test]
fn an_unknown_node_is_told_to_connect() {
    let mut line = Line::relay(|_| {});
    join(&mut line, b"\x01", "sn1");
    for packet in [Packet::Pingreq(None), Packet::Pingreq(Some("sn2")), Packet::Puback(ack())] {
        let outcome = line.relay_from(b"\x02", packet);
        assert_eq!(outcome.relayed(), (&b"\x02"[..], Packet::Disconnect(None)));
        assert!(outcome.operations.is_empty());
    }
    assert!(line.relay_from(b"\x02", Packet::Disconnect(None)).is_nothing());
    // Nor may a node wake up as somebody else.
    let outcome = line.relay_from(b"\x01", Packet::Pingreq(Some("sn2")));
    assert_eq!(outcome.relayed(), (&b"\x01"[..], Packet::Disconnect(None)));
}

fn ack() -> codec_mqttsn::TopicAck {
    crate::harness::ack(1, 1, 0)
}

//= mqttsn:GW-SN-32
#[test]
fn a_forwarder_behind_a_forwarder_is_dropped() {
    let mut line = Line::relay(|_| {});
    join(&mut line, b"\x01", "sn1");
    let outcome = line.send_hex("04fe0001 04fe0002 0216");
    assert!(outcome.is_broken && outcome.is_nothing(), "{outcome:?}");
    // And what is not wrapped is not its nodes'.
    assert!(line.send(Packet::Pingreq(None)).is_nothing());
}

#[test]
fn each_node_has_its_own_deadline() {
    let mut line = Line::relay(|_| {});
    let first = join(&mut line, b"\x01", "sn1");
    line.wait_s(10);
    let second = join(&mut line, b"\x02", "sn2");
    line.wait_s(79);
    assert!(line.tick().is_nothing());
    // A keep alive of 60 s and half as much again.
    line.wait_s(1);
    let outcome = line.tick();
    assert_lost(outcome.operation(), first, Reason::KEEP_ALIVE_TIMEOUT);
    assert_eq!((outcome.relayed().0, outcome.close), (&b"\x01"[..], None));
    line.wait_s(5);
    line.relay_from(b"\x02", Packet::Pingreq(None));
    line.wait_s(89);
    assert!(line.tick().is_nothing());
    line.wait_s(1);
    let outcome = line.tick();
    assert_lost(outcome.operation(), second, Reason::KEEP_ALIVE_TIMEOUT);
    assert_eq!(line.link.next_deadline(), None);
}

#[test]
fn many_deadlines_are_looked_at_in_parts() {
    let mut line = Line::relay(|_| {});
    for node in 0..200u8 {
        join(&mut line, &[node], &format!("sn{node}"));
    }
    line.wait_s(90);
    let mut lost = 0;
    while line.link.next_deadline().is_some() {
        let count = line.tick().operations.len();
        assert!((1..=64).contains(&count), "{count}");
        lost += count;
    }
    assert_eq!(lost, 200);
}

#[test]
fn a_link_may_be_silent_as_long_as_its_longest_sleeper() {
    let mut line = Line::relay(|_| {});
    join(&mut line, b"\x01", "sn1");
    join(&mut line, b"\x02", "sn2");
    line.relay_from(b"\x01", Packet::Disconnect(Some(3_600)));
    assert_eq!(line.link.quiet_until(), Some(line.now.plus_seconds(3_960)));
    line.relay_from(b"\x01", Packet::Disconnect(None));
    assert_eq!(line.link.quiet_until(), Some(line.now.plus_seconds(90)));
}

#[test]
fn the_link_ends_with_its_last_node() {
    let mut line = Line::relay(|_| {});
    join(&mut line, b"\x01", "sn1");
    let outcome = line.relay_from(b"\x01", Packet::Disconnect(None));
    assert_eq!(outcome.close, Some(Close::Flush(Reason::SUCCESS)));
    assert_eq!(outcome.operations.len(), 1);
    // One that never had a node holds nothing either.
    let mut line = Line::relay(|_| {});
    assert!(line.send_hex("04fe0001 0a040c01003c736e31").close.is_some());
}

#[test]
fn a_lost_forwarder_loses_all_nodes() {
    let mut line = Line::relay(|_| {});
    let slots = [join(&mut line, b"\x01", "sn1"), join(&mut line, b"\x02", "sn2")];
    let outcome = line.call(|link, context| link.on_close(Reason::KEEP_ALIVE_TIMEOUT, context));
    assert_eq!(outcome.operations.len(), 2);
    for ((slot, operation), expected) in outcome.operations.iter().zip(slots) {
        assert_lost((*slot, operation), expected, Reason::KEEP_ALIVE_TIMEOUT);
    }
    assert_eq!(line.link.next_deadline(), None);
}

#[test]
fn what_core_says_late_to_a_forgotten_node_is_nobodys() {
    let mut line = Line::relay(|_| {});
    let slot = join(&mut line, b"\x01", "sn1");
    join(&mut line, b"\x02", "sn2");
    line.relay_from(b"\x01", Packet::Disconnect(None));
    for event in [connected(), Event::Drained, Event::Draining] {
        assert!(line.event(slot, event).is_nothing());
    }
}

#[test]
fn the_end_of_the_listener_is_told_to_every_node() {
    let mut line = Line::relay(|_| {});
    let slots = [join(&mut line, b"\x01", "sn1"), join(&mut line, b"\x02", "sn2")];
    let outcome = line.event(0, Event::Draining);
    assert_eq!(outcome.frames.len(), slots.len());
    let goodbye = [2, 0x18];
    assert!(outcome.frames.iter().all(|(_, bytes)| bytes.ends_with(&goodbye)), "{outcome:?}");
    for ((slot, operation), expected) in outcome.operations.iter().zip(slots) {
        assert_lost((*slot, operation), expected, Reason::SERVER_SHUTTING_DOWN);
    }
    assert_eq!(outcome.close, Some(Close::Flush(Reason::SUCCESS)));
}
