//! PUBACK, PUBREC, PUBREL and PUBCOMP in both directions.

use codec_mqtt::{
    Ack, AckProperties, ConnectProperties, Packet, Publish, QoS, ReasonCode, Version,
};
use core_model::{Event, Outcome, Reason, Ticket};

use crate::harness::{Effects, Peer, connect_with, publish, published};

fn ack(packet_id: u16, reason: ReasonCode) -> Ack<'static> {
    Ack { packet_id, reason, properties: AckProperties::default() }
}

fn send(peer: &mut Peer, qos: QoS, id: u16) -> Ticket {
    peer.send(&Packet::Publish(publish(qos, id))).publish().0
}

/// Kinds, identifiers and reasons of acknowledgements.
fn acks(effects: &Effects) -> Vec<(char, u16, u8)> {
    assert!(effects.operations.is_empty() && effects.close.is_none());
    let row = |kind, ack: &Ack<'_>| {
        assert_eq!(ack.properties, AckProperties::default());
        (kind, ack.packet_id, ack.reason.value())
    };
    effects
        .packets()
        .iter()
        .map(|packet| match packet {
            Packet::Puback(ack) => row('A', ack),
            Packet::Pubrec(ack) => row('R', ack),
            Packet::Pubrel(ack) => row('L', ack),
            Packet::Pubcomp(ack) => row('C', ack),
            other => panic!("{other:?}"),
        })
        .collect()
}

//= mqtt5:2.2.1-5
//= mqtt5:3.3.4-1
//= mqtt5:4.3.2-4
//= mqtt5:4.3.3-8
//= mqtt5:4.3.3-11
//= mqtt311:2.3.1-6
//= mqtt311:3.3.4-1
//= mqtt311:4.3.2-2
//= mqtt311:4.3.3-2
#[test]
fn publishes_are_answered_by_their_qos() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        let one = send(&mut peer, QoS::AtLeastOnce, 0x1234);
        assert_eq!(acks(&peer.event(published(one, Reason::SUCCESS))), [('A', 0x1234, 0)]);
        let two = send(&mut peer, QoS::ExactlyOnce, 65_535);
        assert_eq!(acks(&peer.event(published(two, Reason::SUCCESS))), [('R', 65_535, 0)]);
        let effects = peer.send(&Packet::Pubrel(ack(65_535, ReasonCode::SUCCESS)));
        let (ticket, id) = effects.release();
        assert_eq!(id, 65_535);
        let released = Event::Released { ticket, reason: Reason::SUCCESS };
        assert_eq!(acks(&peer.event(released)), [('C', 65_535, 0)]);
    }
}

//= mqtt5:4.3.2-5
//= mqtt5:4.3.3-9
//= mqtt5:4.3.3-12
//= mqtt311:4.3.2-2
//= mqtt311:4.3.3-2
#[test]
fn an_identifier_is_new_once_its_flow_is_finished() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        for dup in [false, true, true] {
            let again = Publish { dup, ..publish(QoS::AtLeastOnce, 1) };
            let ticket = peer.send(&Packet::Publish(again)).publish().0;
            assert_eq!(acks(&peer.event(published(ticket, Reason::SUCCESS))), [('A', 1, 0)]);
        }
        let two = send(&mut peer, QoS::ExactlyOnce, 1);
        peer.event(published(two, Reason::NOT_AUTHORIZED));
        let two = send(&mut peer, QoS::ExactlyOnce, 1);
        peer.event(published(two, Reason::SUCCESS));
        let (ticket, _) = peer.send(&Packet::Pubrel(ack(1, ReasonCode::SUCCESS))).release();
        peer.event(Event::Released { ticket, reason: Reason::SUCCESS });
        send(&mut peer, QoS::AtLeastOnce, 1);
    }
}

//= mqtt5:4.3.3-10
#[test]
fn every_repetition_before_the_release_is_answered_with_pubrec() {
    let mut peer = Peer::connected(Version::V5);
    let first = send(&mut peer, QoS::ExactlyOnce, 5);
    let again = Publish { dup: true, ..publish(QoS::ExactlyOnce, 5) };
    let second = peer.send(&Packet::Publish(again)).publish().0;
    for ticket in [first, second] {
        assert_eq!(acks(&peer.event(published(ticket, Reason::SUCCESS))), [('R', 5, 0)]);
    }
}

//= mqtt5:3.4.2-1
//= mqtt5:3.5.2-1
//= mqtt5:GW-MQTT-17
//= mqtt311:3.3.5-2
#[test]
fn reasons_are_told_where_the_version_has_them() {
    for (reason, code) in [
        (Reason::NO_MATCHING_SUBSCRIBERS, 0x10),
        (Reason::NOT_AUTHORIZED, 0x87),
        (Reason::TOPIC_NAME_INVALID, 0x90),
        (Reason::IMPLEMENTATION_SPECIFIC, 0x83),
        (Reason::SERVER_BUSY, 0x80),
    ] {
        for version in Version::ALL {
            let code = if version.is_v5() { code } else { 0 };
            let mut peer = Peer::connected(version);
            let one = send(&mut peer, QoS::AtLeastOnce, 1);
            assert_eq!(acks(&peer.event(published(one, reason))), [('A', 1, code)]);
            let two = send(&mut peer, QoS::ExactlyOnce, 2);
            assert_eq!(acks(&peer.event(published(two, reason))), [('R', 2, code)]);
        }
    }
}

//= mqtt5:4.6.0-2
//= mqtt5:4.6.0-3
//= mqtt311:4.6.0-2
//= mqtt311:4.6.0-3
#[test]
fn acknowledgements_keep_the_order_of_the_publishes() {
    let mut peer = Peer::connected(Version::V5);
    let to_sys = |qos, id| Packet::Publish(Publish { topic: "$SYS/x", ..publish(qos, id) });
    let one = send(&mut peer, QoS::AtLeastOnce, 1);
    assert!(peer.send(&to_sys(QoS::AtLeastOnce, 2)).is_nothing());
    assert!(peer.send(&to_sys(QoS::ExactlyOnce, 3)).is_nothing());
    let four = send(&mut peer, QoS::ExactlyOnce, 4);
    assert!(peer.send(&to_sys(QoS::AtLeastOnce, 5)).is_nothing());
    let effects = peer.event(published(one, Reason::SUCCESS));
    assert_eq!(acks(&effects), [('A', 1, 0), ('A', 2, 0x87), ('R', 3, 0x87)]);
    let effects = peer.event(published(four, Reason::SUCCESS));
    assert_eq!(acks(&effects), [('R', 4, 0), ('A', 5, 0x87)]);
}

//= mqtt5:3.7.2-1
//= mqtt5:GW-MQTT-12
#[test]
fn a_release_of_something_unknown_is_answered() {
    for (version, code) in [(Version::V311, 0), (Version::V5, 0x92)] {
        let mut peer = Peer::connected(version);
        let (ticket, _) = peer.send(&Packet::Pubrel(ack(77, ReasonCode::SUCCESS))).release();
        let reason = Reason::PACKET_ID_NOT_FOUND;
        let effects = peer.event(Event::Released { ticket, reason });
        assert_eq!(acks(&effects), [('C', 77, code)]);
    }
}

#[test]
fn the_clients_answers_settle_deliveries() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        let ok = ack(9, ReasonCode::SUCCESS);
        assert_eq!(peer.send(&Packet::Puback(ok)).settle(), (9, Outcome::Accepted));
        assert_eq!(peer.send(&Packet::Pubrec(ok)).settle(), (9, Outcome::Received));
        assert_eq!(peer.send(&Packet::Pubcomp(ok)).settle(), (9, Outcome::Accepted));
    }
    let mut peer = Peer::connected(Version::V5);
    let no_subscribers = ack(9, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    assert_eq!(peer.send(&Packet::Pubrec(no_subscribers)).settle(), (9, Outcome::Received));
    assert_eq!(peer.send(&Packet::Puback(no_subscribers)).settle(), (9, Outcome::Accepted));
}

//= mqtt5:4.4.0-2
#[test]
fn the_clients_refusal_discards_the_delivery() {
    let mut peer = Peer::connected(Version::V5);
    let refused = ack(9, ReasonCode::QUOTA_EXCEEDED);
    let discarded = (9, Outcome::Discarded(Reason::QUOTA_EXCEEDED));
    assert_eq!(peer.send(&Packet::Puback(refused)).settle(), discarded);
    assert_eq!(peer.send(&Packet::Pubrec(refused)).settle(), discarded);
    let unknown = ack(9, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
    let discarded = (9, Outcome::Discarded(Reason::PACKET_ID_NOT_FOUND));
    assert_eq!(peer.send(&Packet::Pubcomp(unknown)).settle(), discarded);
}

//= mqtt5:3.6.2-1
//= mqtt5:4.3.3-4
//= mqtt5:4.6.0-4
//= mqtt5:GW-MQTT-13
//= mqtt311:4.3.3-1
//= mqtt311:4.6.0-4
#[test]
fn pubrel_follows_pubrec_in_cores_order() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        for handle in [7, 3] {
            let effects = peer.event(Event::Release { handle, reason: Reason::SUCCESS });
            assert_eq!(acks(&effects), [('L', handle, 0)]);
        }
        let reason = Reason::PACKET_ID_NOT_FOUND;
        let effects = peer.event(Event::Release { handle: 9, reason });
        let code = if version.is_v5() { 0x92 } else { 0 };
        assert_eq!(acks(&effects), [('L', 9, code)]);
    }
}

//= mqtt5:GW-MQTT-14
#[test]
fn an_answer_to_something_unknown_is_only_passed_on() {
    let mut peer = Peer::connected(Version::V5);
    for packet in
        [Packet::Puback(ack(4, ReasonCode::SUCCESS)), Packet::Pubcomp(ack(4, ReasonCode::SUCCESS))]
    {
        let effects = peer.send(&packet);
        assert_eq!(effects.settle(), (4, Outcome::Accepted));
        assert!(effects.bytes.is_empty() && effects.close.is_none());
    }
}

//= mqtt5:3.4.2-2
//= mqtt5:3.4.2-3
//= mqtt5:3.5.2-2
//= mqtt5:3.5.2-3
//= mqtt5:3.6.2-2
//= mqtt5:3.6.2-3
//= mqtt5:3.7.2-2
//= mqtt5:3.7.2-3
//= mqtt5:3.1.2-29
#[test]
fn acknowledgements_fit_the_smallest_client() {
    let smallest = ConnectProperties { max_packet_size: Some(64), ..ConnectProperties::default() };
    let mut peer = Peer::connected_to(Version::V5, |_| {}, &connect_with(smallest));
    let one = send(&mut peer, QoS::AtLeastOnce, 1);
    let two = send(&mut peer, QoS::ExactlyOnce, 2);
    let (ticket, _) = peer.send(&Packet::Pubrel(ack(3, ReasonCode::SUCCESS))).release();
    let not_found = Reason::PACKET_ID_NOT_FOUND;
    for event in [
        published(one, Reason::NOT_AUTHORIZED),
        published(two, Reason::NOT_AUTHORIZED),
        Event::Released { ticket, reason: not_found },
        Event::Release { handle: 4, reason: not_found },
    ] {
        let effects = peer.event(event);
        assert_eq!(acks(&effects).len(), 1);
        assert_eq!(effects.bytes.len(), 6, "neither Reason String nor User Property");
    }
}
