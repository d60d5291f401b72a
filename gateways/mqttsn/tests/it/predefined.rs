//! Topic ids that client and gateway knew before.

use codec_mqttsn::{Packet, QoS, Topic, TopicId};
use core_model::{Event, Operation, Reason, Ticket};

use crate::harness::{Peer, ack, connect, deliver, publish, subscribe, unsubscribe};

fn peer() -> Peer {
    let change = |config: &mut gateway_mqttsn::MqttSnConfig| {
        config.predefined.add(None, 5, "t/all").unwrap();
        config.predefined.add(Some("sn1"), 6, "t/mine").unwrap();
        config.predefined.add(Some("sn2"), 7, "t/other").unwrap();
    };
    Peer::connected_to(change, &connect())
}

//= mqttsn:GW-SN-14
#[test]
fn what_is_pre_defined_for_the_client_can_be_published_to() {
    let mut peer = peer();
    for (id, topic) in [(5, "t/all"), (6, "t/mine")] {
        let publish = publish(QoS::AtMostOnce, TopicId::Predefined(id), 0);
        assert_eq!(peer.send(&Packet::Publish(publish)).published().2.topic(), topic);
    }
    let other = publish(QoS::AtLeastOnce, TopicId::Predefined(7), 3);
    assert_eq!(peer.send(&Packet::Publish(other)).only_packet(), Packet::Puback(ack(7, 3, 2)));
}

//= mqttsn:GW-SN-18
#[test]
fn a_subscription_by_a_pre_defined_id_has_it_in_all_answers() {
    let mut peer = peer();
    let effects = peer.send_hex("07120100050005");
    let Operation::Subscribe(asked) = effects.only_operation() else { panic!("{effects:?}") };
    assert_eq!(asked.subscriptions[0].as_ref().unwrap().filter.as_str(), "t/all");
    let (ticket, reasons) = (asked.ticket, vec![Reason::SUCCESS]);
    assert_eq!(peer.event(Event::Subscribed { ticket, reasons }).only_hex(), "0813000005000500");
    assert_eq!(deliver(&mut peer, "t/all", 0, 0).publish().topic_id, TopicId::Predefined(5));

    let effects = peer.send(&Packet::Subscribe(subscribe(Topic::Predefined(6))));
    assert_eq!(effects.operations.len(), 1);
    let (ticket, reasons) = (Ticket(4), vec![Reason::NOT_AUTHORIZED]);
    let suback = peer.event(Event::Subscribed { ticket, reasons }).suback();
    assert_eq!((suback.topic_id, suback.return_code.value()), (6, 3));

    let effects = peer.send(&Packet::Unsubscribe(unsubscribe(Topic::Predefined(5))));
    let Operation::Unsubscribe(asked) = effects.only_operation() else { panic!("{effects:?}") };
    assert_eq!(asked.filters, ["t/all".into()]);
}

//= mqttsn:GW-SN-18
#[test]
fn a_subscription_by_name_has_the_id_of_its_suback_all_the_same() {
    let mut peer = peer();
    let id = peer.subscribe("t/all");
    assert_eq!(deliver(&mut peer, "t/all", 0, 0).publish().topic_id, TopicId::Normal(id));
    // A REGISTER alone is for the client's own messages.
    peer.register("t/mine");
    assert_eq!(deliver(&mut peer, "t/mine", 0, 0).publish().topic_id, TopicId::Predefined(6));
}

//= mqttsn:GW-SN-19
#[test]
fn what_is_pre_defined_for_another_client_is_registered() {
    assert!(matches!(deliver(&mut peer(), "t/other", 0, 0).packet(), Packet::Register(_)));
}

//= mqttsn:GW-SN-21
#[test]
fn a_pre_defined_id_that_the_client_does_not_know_is_replaced() {
    let mut peer = peer();
    assert_eq!(deliver(&mut peer, "t/all", 1, 7).publish().topic_id, TopicId::Predefined(5));
    let effects = peer.send(&Packet::Puback(ack(5, 7, 2)));
    assert!(matches!(effects.only_packet(), Packet::Register(_)));
    let effects = peer.send(&Packet::Regack(ack(1, 1, 0)));
    let publish = effects.publish();
    assert_eq!((publish.topic_id, publish.msg_id), (TopicId::Normal(1), 7));
}
