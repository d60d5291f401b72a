use codec_mqttsn::{Connect, Packet};
use core_model::{DisconnectCause, Event, Operation, Reason};
use gateway_host::Close;

use crate::harness::{connect, connected};
use crate::links::Line;

/// The link of a connected client.
fn connected_line() -> Line {
    let mut line = Line::own();
    line.send(Packet::Connect(connect()));
    line.event(0, connected());
    line
}

//= mqttsn:GW-SN-25
#[test]
fn a_link_without_a_client_says_so_and_ends() {
    for packet in [Packet::Pingreq(None), Packet::Pingresp, Packet::WillMsg(b"bye")] {
        let outcome = Line::own().send(packet);
        assert_eq!(outcome.packet(), Packet::Disconnect(None));
        assert_eq!(outcome.close, Some(Close::Flush(Reason::PROTOCOL_ERROR)));
    }
    for packet in [Packet::Disconnect(None), Packet::Searchgw(1), Packet::WillMsgReq] {
        let outcome = Line::own().send(packet);
        assert!(outcome.frames.is_empty() && outcome.close.is_some(), "{outcome:?}");
    }
}

//= mqttsn:GW-SN-01
#[test]
fn what_is_no_packet_is_dropped_and_opens_nothing() {
    for hex in ["0a040c01003c736e31", "08040c01003c736e31", "00", "0302", "04fe0001"] {
        let outcome = Line::own().send_hex(hex);
        assert!(outcome.is_broken && outcome.close.is_some(), "{hex}");
        // A client stays.
        let outcome = connected_line().send_hex(hex);
        assert!(outcome.is_broken && outcome.is_nothing(), "{hex}");
    }
}

#[test]
fn an_address_that_has_become_another_client_loses_the_first() {
    let mut line = connected_line();
    let outcome = line.send(Packet::Connect(Connect { client_id: "sn2", ..connect() }));
    let [(0, Operation::Disconnect(lost)), (0, Operation::Connect(next))] =
        outcome.operations.as_slice()
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(lost.cause, DisconnectCause::Lost(Reason::SESSION_TAKEN_OVER));
    assert_eq!(&*next.client_id, "sn2");
}

//= mqttsn:GW-SN-30
#[test]
fn a_client_that_is_taken_over_is_told_and_its_link_ends() {
    let mut line = connected_line();
    let kicked = Event::Kicked { reason: Reason::SESSION_TAKEN_OVER, server_reference: None };
    let outcome = line.event(0, kicked);
    assert_eq!(outcome.packet(), Packet::Disconnect(None));
    assert_eq!(outcome.close, Some(Close::Flush(Reason::SESSION_TAKEN_OVER)));
    assert!(outcome.operations.is_empty());
}

#[test]
fn a_closed_link_loses_its_client_once() {
    let mut line = connected_line();
    let close = |line: &mut Line| {
        line.call(|link, context| link.on_close(Reason::KEEP_ALIVE_TIMEOUT, context))
    };
    let outcome = close(&mut line);
    assert!(matches!(outcome.operation(), (0, Operation::Disconnect(_))));
    assert!(close(&mut line).is_nothing());
    assert_eq!((line.link.next_deadline(), line.link.quiet_until()), (None, None));
}
