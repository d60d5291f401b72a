//! How a client ends.

use codec_mqttsn::{Connect, Packet, ReturnCode};
use core_model::{DisconnectCause, Event, Reason};
use gateway_host::Close;

use crate::harness::{Peer, connect, connected};

//= mqttsn:GW-SN-24
#[test]
fn goodbye_is_answered_and_leaves_the_will() {
    let mut peer = Peer::connected();
    let effects = peer.send_hex("0218");
    assert_eq!(effects.packet(), Packet::Disconnect(None));
    assert_eq!(effects.disconnected(), DisconnectCause::Farewell);
    assert!(matches!(effects.close, Some(Close::Flush(_))));
    assert!(peer.call(|link, context| link.on_close(Reason::SUCCESS, context)).is_nothing());
}

//= mqttsn:GW-SN-26
#[test]
fn silence_beyond_the_tolerance_loses_the_client() {
    for (duration_s, tolerated_ms) in [(10, 15_000), (60, 90_000), (100, 110_000)] {
        let connect = Connect { duration_s, ..connect() };
        let mut peer = Peer::connected_to(|_| {}, &connect);
        peer.wait_s(5);
        peer.send(&Packet::Pingreq(None));
        assert_eq!(peer.link.quiet_until(), Some(peer.now.plus_millis(tolerated_ms)));
        peer.wait_ms(tolerated_ms - 1);
        assert!(peer.tick().is_nothing());
        peer.wait_ms(1);
        let effects = peer.tick();
        assert_eq!(effects.disconnected(), DisconnectCause::Lost(Reason::KEEP_ALIVE_TIMEOUT));
        assert_eq!(effects.packet(), Packet::Disconnect(None));
        assert!(effects.close.is_some());
    }
}

//= mqttsn:GW-SN-26
#[test]
fn every_packet_counts_as_a_sign_of_life() {
    let mut peer = Peer::connected();
    for packet in [
        Packet::Pubrec(1),
        Packet::Pingresp,
        Packet::WillMsg(b""),
        Packet::Suback(codec_mqttsn::Suback {
            qos: codec_mqttsn::QoS::AtMostOnce,
            topic_id: 0,
            msg_id: 0,
            return_code: ReturnCode::ACCEPTED,
        }),
    ] {
        peer.wait_s(80);
        peer.send(&packet);
        assert!(peer.tick().is_nothing());
    }
}

//= mqttsn:GW-SN-26
#[test]
fn without_keep_alive_silence_is_not_agreed_on() {
    let connect = Connect { duration_s: 0, ..connect() };
    let peer = Peer::connected_to(|_| {}, &connect);
    assert_eq!((peer.link.quiet_until(), peer.link.next_deadline()), (None, None));
}

//= mqttsn:GW-SN-30
#[test]
fn who_is_kicked_is_told_so() {
    for mut peer in [Peer::connected(), Peer::asleep()] {
        let reason = Reason::SESSION_TAKEN_OVER;
        let effects = peer.event(Event::Kicked { reason, server_reference: None });
        assert_eq!(effects.packet(), Packet::Disconnect(None));
        assert!(effects.operations.is_empty());
        assert_eq!(effects.close, Some(Close::Flush(reason)));
    }
}

#[test]
fn a_node_that_stops_says_goodbye() {
    let mut peer = Peer::connected();
    let effects = peer.event(Event::Draining);
    let lost = DisconnectCause::Lost(Reason::SERVER_SHUTTING_DOWN);
    assert_eq!(effects.packet(), Packet::Disconnect(None));
    assert_eq!(effects.disconnected(), lost);
    assert!(effects.close.is_some());

    let mut peer = Peer::fresh(|_| {});
    peer.send(&Packet::Connect(connect()));
    let effects = peer.event(Event::Draining);
    effects.connack(ReturnCode::CONGESTION);
    assert_eq!(effects.disconnected(), lost);
}

#[test]
fn a_link_that_is_gone_is_a_lost_client() {
    let close =
        |peer: &mut Peer| peer.call(|link, context| link.on_close(Reason::UNSPECIFIED, context));
    let lost = DisconnectCause::Lost(Reason::UNSPECIFIED);
    assert_eq!(close(&mut Peer::connected()).disconnected(), lost);
    assert_eq!(close(&mut Peer::asleep()).disconnected(), lost);
    let mut connecting = Peer::fresh(|_| {});
    connecting.send(&Packet::Connect(connect()));
    assert_eq!(close(&mut connecting).disconnected(), lost);
    // Core does not know of who is still asked for its will.
    let mut prompting = Peer::fresh(|_| {});
    prompting.send(&Packet::Connect(Connect { will: true, ..connect() }));
    assert!(close(&mut prompting).is_nothing());
}

#[test]
fn what_core_says_of_an_earlier_session_is_not_heard() {
    let mut peer = Peer::connected();
    peer.send(&Packet::Connect(Connect { will: true, ..connect() }));
    assert!(crate::harness::deliver(&mut peer, "ab", 0, 0).is_nothing());
    peer.send(&Packet::WillTopic(None));
    assert!(crate::harness::deliver(&mut peer, "ab", 0, 0).is_nothing());
    peer.event(connected()).connack(ReturnCode::ACCEPTED);
}
