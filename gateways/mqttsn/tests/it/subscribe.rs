//! SUBSCRIBE and UNSUBSCRIBE.

use codec_mqttsn::{Packet, QoS, ShortName, Subscribe, Topic, TopicId};
use core_model::{Event, Operation, Reason, RetainHandling, Subscription, Ticket};

use crate::harness::{Effects, Peer, connect, deliver, subscribe, unsubscribe};

fn short(name: &str) -> Topic<'static> {
    Topic::Short(ShortName::of_topic(name).unwrap())
}

fn asked(effects: &Effects) -> (Ticket, &Subscription) {
    assert!(effects.frames.is_empty());
    let Some(Operation::Subscribe(asked)) = effects.operations.last() else {
        panic!("{effects:?}")
    };
    let [Ok(subscription)] = &asked.subscriptions[..] else { panic!("{effects:?}") };
    (asked.ticket, subscription)
}

fn subscribed(peer: &mut Peer, ticket: Ticket, reason: Reason) -> Effects {
    peer.event(Event::Subscribed { ticket, reasons: vec![reason] })
}

//= mqttsn:GW-SN-18
#[test]
fn a_name_gets_an_id_that_its_messages_have() {
    let mut peer = Peer::connected();
    let effects = peer.send(&Packet::Subscribe(subscribe(Topic::Name("t/a"))));
    let (ticket, subscription) = asked(&effects);
    assert_eq!(subscription.filter.as_str(), "t/a");
    assert_eq!(subscription.qos, core_model::QoS::ExactlyOnce);
    assert_eq!(subscription.retain_handling, RetainHandling::Send);
    let suback = subscribed(&mut peer, ticket, Reason::GRANTED_QOS_1).suback();
    assert_eq!((suback.qos, suback.topic_id, suback.msg_id), (QoS::AtLeastOnce, 1, 4));
    assert!(suback.return_code.is_accepted());
    assert_eq!(deliver(&mut peer, "t/a", 0, 0).publish().topic_id, TopicId::Normal(1));
}

//= mqttsn:GW-SN-18
#[test]
fn a_name_of_two_bytes_has_the_id_that_it_was_given() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("ab");
    assert_eq!(deliver(&mut peer, "ab", 0, 0).publish().topic_id, TopicId::Normal(id));
    // Without the subscription it is its own name.
    peer.send(&Packet::Unsubscribe(unsubscribe(Topic::Name("ab"))));
    let publish = deliver(&mut peer, "ab", 0, 0).publish().topic_id;
    assert_eq!(publish, TopicId::Short(ShortName::of_topic("ab").unwrap()));
}

//= mqttsn:GW-SN-18
#[test]
fn wildcards_and_short_names_get_no_id() {
    let mut peer = Peer::connected();
    let effects = peer.send_hex("08122000 04742f23".replace(' ', "").as_str());
    let (ticket, subscription) = asked(&effects);
    assert_eq!((effects.operations.len(), subscription.filter.as_str()), (1, "t/#"));
    assert_eq!(subscription.qos, core_model::QoS::AtLeastOnce);
    let effects = subscribed(&mut peer, ticket, Reason::GRANTED_QOS_1);
    assert_eq!(effects.only_hex(), "0813200000000400");

    let effects = peer.send(&Packet::Subscribe(subscribe(short("ab"))));
    let (ticket, subscription) = asked(&effects);
    assert_eq!(subscription.filter.as_str(), "ab");
    assert_eq!(subscribed(&mut peer, ticket, Reason::SUCCESS).suback().topic_id, 0);
}

//= mqttsn:GW-SN-18
#[test]
fn an_unknown_pre_defined_id_is_an_invalid_topic() {
    let mut peer = Peer::connected();
    assert_eq!(peer.send_hex("07120100050005").only_hex(), "0813000005000502");
}

//= mqttsn:GW-SN-18
#[test]
fn a_shared_subscription_has_the_id_of_its_topic() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("$share/g/t/a");
    assert_eq!(deliver(&mut peer, "t/a", 0, 0).publish().topic_id, TopicId::Normal(id));
}

#[test]
fn what_is_no_filter_is_an_invalid_topic() {
    let mut peer = Peer::connected();
    for topic in [Topic::Name("a/#/b"), Topic::Name("a+"), Topic::Name("$share/g"), short("a#")] {
        let suback = peer.send(&Packet::Subscribe(subscribe(topic))).suback();
        assert_eq!((suback.return_code.value(), suback.topic_id), (2, 0));
    }
    let minus_one = Subscribe { qos: QoS::MinusOne, ..subscribe(Topic::Name("a")) };
    let suback = peer.send(&Packet::Subscribe(minus_one)).suback();
    assert_eq!(suback.return_code.value(), 3);
}

//= mqttsn:GW-SN-18
#[test]
fn a_refused_subscription_has_a_code_and_no_id() {
    for (reason, code) in [
        (Reason::QUOTA_EXCEEDED, 1),
        (Reason::TOPIC_FILTER_INVALID, 2),
        (Reason::NOT_AUTHORIZED, 3),
        (Reason::SHARED_NOT_SUPPORTED, 3),
    ] {
        let mut peer = Peer::connected();
        let effects = peer.send(&Packet::Subscribe(subscribe(Topic::Name("t/a"))));
        let (ticket, _) = asked(&effects);
        let suback = subscribed(&mut peer, ticket, reason).suback();
        assert_eq!((suback.return_code.value(), suback.topic_id), (code, 0));
        assert_eq!((suback.msg_id, suback.qos), (4, QoS::AtMostOnce));
    }
}

#[test]
fn no_more_is_granted_than_the_maximum() {
    let mut peer = Peer::connected_to(|config| config.max_qos = 1, &connect());
    let effects = peer.send(&Packet::Subscribe(subscribe(Topic::Name("t/+"))));
    assert_eq!(asked(&effects).1.qos, core_model::QoS::AtLeastOnce);
}

//= mqttsn:GW-SN-18
#[test]
fn too_many_topics_are_congestion() {
    let mut peer = Peer::connected_to(|config| config.max_topics = 1, &connect());
    peer.subscribe("a");
    let suback = peer.send(&Packet::Subscribe(subscribe(Topic::Name("b")))).suback();
    assert_eq!((suback.return_code.value(), suback.topic_id), (1, 0));
}

#[test]
fn a_subscription_that_is_under_way_is_not_made_twice() {
    let mut peer = Peer::connected();
    let (ticket, _) = asked(&peer.send(&Packet::Subscribe(subscribe(Topic::Name("t/#")))));
    let again = Subscribe { dup: true, ..subscribe(Topic::Name("t/#")) };
    assert!(peer.send(&Packet::Subscribe(again)).is_nothing());
    subscribed(&mut peer, ticket, Reason::SUCCESS).suback();
    assert!(subscribed(&mut peer, ticket, Reason::SUCCESS).is_nothing());
    asked(&peer.send(&Packet::Subscribe(again)));
}

#[test]
fn unsubscribe_is_answered_when_it_is_done() {
    let mut peer = Peer::connected();
    let effects = peer.send_hex("0814000006742f23");
    let Operation::Unsubscribe(asked) = effects.only_operation() else { panic!("{effects:?}") };
    assert_eq!(asked.filters, ["t/#".into()]);
    let (ticket, reasons) = (asked.ticket, vec![Reason::NO_SUBSCRIPTION_EXISTED]);
    assert_eq!(peer.event(Event::Unsubscribed { ticket, reasons }).only_hex(), "04150006");
}

#[test]
fn there_is_no_subscription_to_what_is_no_filter() {
    let mut peer = Peer::connected();
    for topic in [Topic::Name("a/#/b"), Topic::Predefined(5)] {
        let effects = peer.send(&Packet::Unsubscribe(unsubscribe(topic)));
        assert_eq!(effects.only_packet(), Packet::Unsuback(6));
    }
}

#[test]
fn requests_of_two_kinds_may_have_the_same_number() {
    let mut peer = Peer::connected();
    let (ticket, _) = asked(&peer.send(&Packet::Subscribe(subscribe(Topic::Name("t/#")))));
    let other = codec_mqttsn::Unsubscribe { msg_id: 4, topic: Topic::Name("t/+") };
    let effects = peer.send(&Packet::Unsubscribe(other));
    assert!(matches!(effects.only_operation(), Operation::Unsubscribe(_)));
    let reasons = vec![Reason::SUCCESS];
    let effects = peer.event(Event::Unsubscribed { ticket, reasons });
    assert_eq!(effects.only_packet(), Packet::Unsuback(4));
    assert_eq!(subscribed(&mut peer, ticket, Reason::SUCCESS).suback().msg_id, 4);
}
