//! Changes of the Will of a connected client.

use std::sync::Arc;

use codec_mqttsn::{Packet, QoS, ReturnCode, WillTopic};
use core_model::{Connected, Event, Message, Operation, Reason, StoredMessage, Ticket};

use crate::harness::{Effects, Peer, will_topic};

fn with_will() -> Peer {
    let will = Message { retain: true, ..Message::new("w/t", b"bye") };
    Peer::resumed(Connected { will: Some(will.detach()), ..Connected::default() })
}

fn updated(effects: &Effects) -> (Ticket, Option<Arc<StoredMessage>>) {
    let Operation::UpdateWill { ticket, will } = effects.only_operation() else {
        panic!("{effects:?}")
    };
    (*ticket, will.as_ref().map(|will| Arc::clone(&will.message)))
}

fn done(peer: &mut Peer, ticket: Ticket, reason: Reason) -> Effects {
    peer.event(Event::WillUpdated { ticket, reason })
}

//= mqttsn:GW-SN-11
#[test]
fn topic_and_message_change_by_themselves() {
    let mut peer = with_will();
    let (ticket, will) = updated(&peer.send_hex("061a20772f75"));
    let view = will.as_ref().unwrap().view();
    assert_eq!((view.topic, view.payload, view.retain), ("w/u", &b"bye"[..], false));
    assert_eq!(view.qos, core_model::QoS::AtLeastOnce);
    assert_eq!(done(&mut peer, ticket, Reason::SUCCESS).only_hex(), "031b00");

    let (ticket, will) = updated(&peer.send_hex("051c676f6e"));
    let view = will.as_ref().unwrap().view();
    assert_eq!((view.topic, view.payload), ("w/u", &b"gon"[..]));
    assert_eq!(done(&mut peer, ticket, Reason::SUCCESS).only_hex(), "031d00");
}

//= mqttsn:GW-SN-11
#[test]
fn an_empty_topic_deletes_both() {
    let mut peer = with_will();
    let (ticket, will) = updated(&peer.send_hex("021a"));
    assert!(will.is_none());
    assert_eq!(done(&mut peer, ticket, Reason::SUCCESS).only_hex(), "031b00");
    let effects = peer.send_hex("051c676f6e");
    assert_eq!(effects.only_packet(), Packet::WillMsgResp(ReturnCode::NOT_SUPPORTED));
    // A topic makes a will again, with a message that is still to come.
    let (_, will) = updated(&peer.send_hex("061a20772f75"));
    assert_eq!(will.unwrap().payload(), b"");
}

//= mqttsn:GW-SN-11
#[test]
fn a_refused_change_leaves_the_will() {
    let mut peer = with_will();
    let (ticket, _) = updated(&peer.send_hex("061a20772f75"));
    let effects = done(&mut peer, ticket, Reason::NOT_AUTHORIZED);
    assert_eq!(effects.only_packet(), Packet::WillTopicResp(ReturnCode::NOT_SUPPORTED));
    let (_, will) = updated(&peer.send_hex("051c676f6e"));
    assert_eq!(will.unwrap().topic(), "w/t");
}

//= mqttsn:GW-SN-11
#[test]
fn a_topic_that_cannot_be_published_to_is_refused_at_once() {
    for topic in ["a/+", "$SYS/a"] {
        let effects = with_will().send(&Packet::WillTopicUpd(Some(will_topic(topic))));
        assert_eq!(effects.only_packet(), Packet::WillTopicResp(ReturnCode::NOT_SUPPORTED));
    }
    let minus_one = WillTopic { qos: QoS::MinusOne, ..will_topic("w") };
    let effects = with_will().send(&Packet::WillTopicUpd(Some(minus_one)));
    assert_eq!(effects.only_packet(), Packet::WillTopicResp(ReturnCode::NOT_SUPPORTED));
}

//= mqttsn:GW-SN-11
#[test]
fn one_change_follows_the_other() {
    let mut peer = with_will();
    let (ticket, _) = updated(&peer.send_hex("061a20772f75"));
    assert!(peer.send_hex("051c676f6e").is_nothing(), "it is sent again");
    done(&mut peer, ticket, Reason::SUCCESS);
    assert!(done(&mut peer, ticket, Reason::SUCCESS).is_nothing(), "answered already");
    updated(&peer.send_hex("051c676f6e"));
}

//= mqttsn:GW-SN-11
#[test]
fn only_a_connected_client_changes_its_will() {
    let mut peer = Peer::fresh(|_| {});
    peer.send_hex("09040c01003c736e31");
    assert!(peer.send_hex("061a20772f75").is_nothing());
    assert!(peer.send_hex("051c676f6e").is_nothing());
}
