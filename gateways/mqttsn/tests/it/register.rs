//! REGISTER and topic ids.

use std::sync::Arc;

use codec_mqttsn::{Packet, QoS, Register, TopicId};
use core_model::{Connected, Message, Operation};

use crate::harness::{Effects, Peer, ack, connect, deliver, publish};

fn register(peer: &mut Peer, topic_name: &str) -> Effects {
    peer.send(&Packet::Register(Register { topic_id: 0, msg_id: 1, topic_name }))
}

//= mqttsn:GW-SN-12
#[test]
fn each_topic_gets_its_id_and_keeps_it() {
    let mut peer = Peer::connected();
    assert_eq!(peer.send_hex("090a00000001742f61").only_hex(), "070b0001000100");
    assert_eq!(register(&mut peer, "t/b").only_packet(), Packet::Regack(ack(2, 1, 0)));
    assert_eq!(register(&mut peer, "t/a").only_packet(), Packet::Regack(ack(1, 1, 0)));
    assert_eq!(register(&mut peer, "ab").only_packet(), Packet::Regack(ack(3, 1, 0)));
}

//= mqttsn:GW-SN-12
#[test]
fn a_wildcard_gets_no_id() {
    for topic in ["t/+", "#", "t/#"] {
        let effects = register(&mut Peer::connected(), topic);
        assert_eq!(effects.only_packet(), Packet::Regack(ack(0, 1, 3)));
    }
}

//= mqttsn:GW-SN-12
#[test]
fn a_full_table_is_congestion() {
    let mut peer = Peer::connected_to(|config| config.max_topics = 2, &connect());
    assert_eq!((peer.register("a"), peer.register("b")), (1, 2));
    assert_eq!(register(&mut peer, "c").only_packet(), Packet::Regack(ack(0, 1, 1)));
    assert_eq!(peer.register("a"), 1);
}

//= mqttsn:GW-SN-13
#[test]
fn a_session_that_is_kept_remembers_its_ids() {
    let mut peer = Peer::resumed(Connected::default());
    let effects = register(&mut peer, "t/a");
    assert_eq!(effects.packet(), Packet::Regack(ack(1, 1, 0)));
    let Operation::Note { key: 1, value: Some(name) } = effects.operation() else {
        panic!("{effects:?}")
    };
    assert_eq!(&**name, b"t/a");
    assert!(register(&mut peer, "t/a").operations.is_empty(), "noted once");
}

//= mqttsn:GW-SN-13
//= mqttsn:GW-SN-19
#[test]
fn remembered_ids_can_be_published_to_and_are_announced_before_messages() {
    let note = |key, name: &[u8]| (key, Arc::from(name));
    let notes = vec![note(5, b"t/a"), note(9, b"t/b")];
    let mut peer = Peer::resumed(Connected { notes, ..Connected::default() });
    let effects = peer.send(&Packet::Publish(publish(QoS::AtMostOnce, TopicId::Normal(5), 0)));
    assert_eq!(effects.published().2.topic(), "t/a");
    let effects = deliver(&mut peer, "t/b", 0, 0);
    let expected = Register { topic_id: 9, msg_id: 1, topic_name: "t/b" };
    assert_eq!(effects.only_packet(), Packet::Register(expected));
    assert_eq!(peer.register("t/c"), 10);
}

//= mqttsn:GW-SN-08
//= mqttsn:GW-SN-13
#[test]
fn a_clean_session_notes_nothing() {
    let mut peer = Peer::connected();
    assert!(register(&mut peer, "t/a").operations.is_empty());
    // And its ids end with it.
    peer.send(&Packet::Connect(connect()));
    peer.event(crate::harness::connected());
    let effects = peer.send(&Packet::Publish(publish(QoS::AtMostOnce, TopicId::Normal(1), 0)));
    assert_eq!(effects.only_packet(), Packet::Puback(ack(1, 0, 2)));
}

#[test]
fn what_was_registered_need_not_be_announced() {
    let mut peer = Peer::connected();
    let id = peer.register("t/a");
    let message = Message::new("city/t/a", b"hi");
    let delivery = crate::harness::delivery(&message, 0, 0, false);
    let effects = peer.event(core_model::Event::Deliver(delivery));
    assert_eq!(effects.publish().topic_id, TopicId::Normal(id));
}
