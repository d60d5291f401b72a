//! PUBLISH of the client.

use codec_mqttsn::{Packet, QoS, ShortName, TopicId};
use core_model::{Event, Operation, Reason, Ticket};
use gateway_host::Rate;

use crate::harness::{Effects, Peer, ack, connect, connected, publish};

fn short(name: &str) -> TopicId {
    TopicId::Short(ShortName::of_topic(name).unwrap())
}

fn send(peer: &mut Peer, qos: QoS, topic_id: TopicId, msg_id: u16) -> Effects {
    peer.send(&Packet::Publish(publish(qos, topic_id, msg_id)))
}

fn published(peer: &mut Peer, ticket: Ticket, reason: Reason) -> Effects {
    peer.event(Event::Published { ticket, reason })
}

//= mqttsn:GW-SN-16
#[test]
fn qos_0_is_not_answered() {
    let mut peer = Peer::connected();
    let id = peer.register("t/a");
    let effects = peer.send(&Packet::Publish(codec_mqttsn::Publish {
        retain: true,
        ..publish(QoS::AtMostOnce, TopicId::Normal(id), 0)
    }));
    let message = effects.published().2;
    assert_eq!((message.topic(), message.payload()), ("t/a", &b"hi"[..]));
    assert_eq!((message.qos(), message.retain()), (core_model::QoS::AtMostOnce, true));
}

//= mqttsn:GW-SN-16
#[test]
fn qos_1_is_acknowledged_when_core_has_it() {
    let mut peer = Peer::connected();
    peer.register("t/a");
    let (ticket, _, message) = peer.send_hex("090c20000100026869").published();
    assert_eq!(message.qos(), core_model::QoS::AtLeastOnce);
    assert_eq!(published(&mut peer, ticket, Reason::SUCCESS).only_hex(), "070d0001000200");
}

//= mqttsn:GW-SN-16
//= mqttsn:GW-SN-31
#[test]
fn qos_2_goes_its_way_by_a_short_name() {
    let mut peer = Peer::connected();
    let (ticket, id, message) = peer.send_hex("090c42616200036869").published();
    assert_eq!((id, message.topic()), (3, "ab"));
    assert_eq!(message.qos(), core_model::QoS::ExactlyOnce);
    assert_eq!(published(&mut peer, ticket, Reason::SUCCESS).only_hex(), "040f0003");
    for reason in [Reason::SUCCESS, Reason::PACKET_ID_NOT_FOUND] {
        let effects = peer.send_hex("04100003");
        let Operation::Release { ticket, id: 3 } = effects.only_operation() else {
            panic!("{effects:?}")
        };
        let ticket = *ticket;
        assert_eq!(peer.event(Event::Released { ticket, reason }).only_hex(), "040e0003");
    }
}

//= mqttsn:GW-SN-29
#[test]
fn a_repetition_is_cores_to_recognise_and_is_answered_again() {
    let mut peer = Peer::connected();
    let (ticket, ..) = send(&mut peer, QoS::ExactlyOnce, short("ab"), 3).published();
    assert!(send(&mut peer, QoS::ExactlyOnce, short("ab"), 3).is_nothing(), "answer under way");
    published(&mut peer, ticket, Reason::SUCCESS);
    let (ticket, id, _) = send(&mut peer, QoS::ExactlyOnce, short("ab"), 3).published();
    assert_eq!(id, 3);
    assert_eq!(published(&mut peer, ticket, Reason::SUCCESS).packet(), Packet::Pubrec(3));
}

//= mqttsn:GW-SN-14
#[test]
fn an_unknown_topic_is_named_whatever_the_qos() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for topic in [TopicId::Normal(7), TopicId::Predefined(7)] {
            let effects = send(&mut Peer::connected(), qos, topic, 9);
            assert_eq!(effects.only_packet(), Packet::Puback(ack(7, 9, 2)));
        }
    }
}

//= mqttsn:GW-SN-15
#[test]
fn what_is_beyond_the_rate_is_congestion() {
    let rate = Rate { per_second: 1, burst: 2 };
    let mut peer = Peer::fresh_on(|_| {}, |listener| listener.message_rate = Some(rate));
    peer.send(&Packet::Connect(connect()));
    peer.event(connected());
    send(&mut peer, QoS::AtMostOnce, short("ab"), 0).published();
    send(&mut peer, QoS::AtLeastOnce, short("ab"), 1).published();
    let effects = send(&mut peer, QoS::AtLeastOnce, short("ab"), 2);
    assert_eq!(effects.only_packet(), Packet::Puback(ack(0x6162, 2, 1)));
    assert!(send(&mut peer, QoS::MinusOne, short("ab"), 0).is_nothing());
    peer.wait_s(1);
    send(&mut peer, QoS::AtLeastOnce, short("ab"), 2).published();
}

//= mqttsn:GW-SN-15
#[test]
fn who_does_not_wait_for_answers_is_slowed_down() {
    let mut peer = Peer::connected();
    let refused = (1..200).find(|msg_id| {
        let effects = send(&mut peer, QoS::AtLeastOnce, short("ab"), *msg_id);
        effects.operations.is_empty() && effects.packet() == Packet::Puback(ack(0x6162, *msg_id, 1))
    });
    let refused = refused.expect("there is a bound");
    published(&mut peer, Ticket(1), Reason::SUCCESS);
    send(&mut peer, QoS::AtLeastOnce, short("ab"), refused).published();
}

//= mqttsn:GW-SN-15
#[test]
fn what_core_refuses_is_told_by_puback() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for (reason, code) in [
            (Reason::QUOTA_EXCEEDED, 1),
            (Reason::TOPIC_NAME_INVALID, 2),
            (Reason::NOT_AUTHORIZED, 3),
        ] {
            let mut peer = Peer::connected();
            let (ticket, ..) = send(&mut peer, qos, short("ab"), 5).published();
            let effects = published(&mut peer, ticket, reason);
            assert_eq!(effects.only_packet(), Packet::Puback(ack(0x6162, 5, code)));
        }
    }
}

#[test]
fn topics_of_the_server_are_not_published_to() {
    let mut peer = Peer::connected();
    for (topic, code) in [("$SYS/a", 3), ("$share/g/a", 2), ("$a", 3)] {
        let id = peer.register(topic);
        let effects = send(&mut peer, QoS::AtLeastOnce, TopicId::Normal(id), 8);
        assert_eq!(effects.only_packet(), Packet::Puback(ack(id, 8, code)));
    }
}

#[test]
fn a_qos_above_the_maximum_is_not_supported() {
    let mut peer = Peer::connected_to(|config| config.max_qos = 1, &connect());
    send(&mut peer, QoS::AtLeastOnce, short("ab"), 1).published();
    let effects = send(&mut peer, QoS::ExactlyOnce, short("ab"), 2);
    assert_eq!(effects.only_packet(), Packet::Puback(ack(0x6162, 2, 3)));
}

//= mqttsn:GW-SN-17
#[test]
fn qos_minus_one_of_a_client_is_qos_0_without_any_answer() {
    let mut peer = Peer::connected();
    let message = send(&mut peer, QoS::MinusOne, short("ab"), 0).published().2;
    assert_eq!((message.qos(), message.topic()), (core_model::QoS::AtMostOnce, "ab"));
    assert!(send(&mut peer, QoS::MinusOne, TopicId::Predefined(7), 0).is_nothing());
}
