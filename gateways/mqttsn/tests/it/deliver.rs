//! PUBLISH to the client, and REGISTER before it.

use codec_mqttsn::{Packet, QoS, Register, ShortName, TopicId};
use core_model::{Credit, Event, Message, Operation, Outcome, Reason};

use crate::harness::{Effects, Peer, ack, connect, deliver, deliver_again, delivery};

fn demands(effects: &Effects) -> Vec<u32> {
    let demand = |operation: &Operation<'_>| match operation {
        Operation::Demand(Credit::Messages(count)) => Some(*count),
        _ => None,
    };
    effects.operations.iter().filter_map(demand).collect()
}

fn register(topic_id: u16, msg_id: u16, topic_name: &str) -> Packet<'_> {
    Packet::Register(Register { topic_id, msg_id, topic_name })
}

//= mqttsn:GW-SN-16
#[test]
fn qos_1_and_2_have_the_sessions_number_and_are_settled() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("t/a");
    let effects = deliver(&mut peer, "t/a", 1, 0x1234);
    let publish = effects.publish();
    assert_eq!((publish.qos, publish.msg_id, publish.dup), (QoS::AtLeastOnce, 0x1234, false));
    assert_eq!((publish.topic_id, publish.data), (TopicId::Normal(id), &b"hi"[..]));
    let effects = peer.send(&Packet::Puback(ack(id, 0x1234, 0)));
    assert_eq!(effects.settled(), [(0x1234, Outcome::Accepted)]);

    let effects = deliver_again(&mut peer, "t/a", 2, 9, true);
    let publish = effects.publish();
    assert_eq!((publish.qos, publish.msg_id, publish.dup), (QoS::ExactlyOnce, 9, true));
    assert!(peer.send(&Packet::Puback(ack(id, 9, 0))).is_nothing(), "no answer to QoS 2");
    assert_eq!(peer.send(&Packet::Pubrec(9)).settled(), [(9, Outcome::Received)]);
}

//= mqttsn:GW-SN-16
#[test]
fn retain_and_payload_are_as_delivered() {
    let mut peer = Peer::connected();
    let message = Message::new("city/ab", b"\x00\xff");
    let delivery = core_model::Delivery { retain: true, ..delivery(&message, 0, 0, true) };
    let effects = peer.event(Event::Deliver(delivery));
    let publish = effects.publish();
    assert!(publish.retain && !publish.dup);
    assert_eq!((publish.msg_id, publish.data), (0, &b"\x00\xff"[..]));
}

//= mqttsn:GW-SN-16
#[test]
fn one_exchange_is_outstanding_and_qos_0_goes_by() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("t/a");
    deliver(&mut peer, "t/a", 1, 1).publish();
    assert!(deliver(&mut peer, "t/a", 1, 2).is_nothing());
    assert!(deliver(&mut peer, "t/a", 0, 0).is_nothing(), "it keeps its place behind the other");
    let effects = peer.send(&Packet::Puback(ack(id, 1, 0)));
    let packets = effects.packets();
    let [Packet::Publish(first), Packet::Publish(second)] = packets[..] else {
        panic!("{packets:?}")
    };
    assert_eq!((first.msg_id, second.qos), (2, QoS::AtMostOnce));
    assert!(matches!(deliver(&mut peer, "t/a", 0, 0).packet(), Packet::Publish(_)));
}

//= mqttsn:GW-SN-19
#[test]
fn a_topic_is_registered_before_its_first_message() {
    let mut peer = Peer::connected();
    assert_eq!(deliver(&mut peer, "t/a", 0, 0).only_packet(), register(1, 1, "t/a"));
    assert!(deliver(&mut peer, "t/a", 1, 7).is_nothing());
    assert!(deliver(&mut peer, "t/b", 0, 0).is_nothing());
    let effects = peer.send(&Packet::Regack(ack(1, 1, 0)));
    let packets = effects.packets();
    assert!(matches!(packets[..], [Packet::Publish(_), Packet::Publish(_)]), "{packets:?}");
    let effects = peer.send(&Packet::Puback(ack(1, 7, 0)));
    assert_eq!(effects.packet(), register(2, 2, "t/b"));
    let effects = peer.send(&Packet::Regack(ack(2, 2, 0)));
    assert_eq!(effects.publish().topic_id, TopicId::Normal(2));
    assert_eq!(deliver(&mut peer, "t/b", 0, 0).publish().topic_id, TopicId::Normal(2));
}

//= mqttsn:GW-SN-19
#[test]
fn only_the_answer_to_the_register_counts() {
    let mut peer = Peer::connected();
    deliver(&mut peer, "t/a", 0, 0);
    assert!(peer.send(&Packet::Regack(ack(1, 2, 0))).is_nothing());
    assert!(peer.send(&Packet::Regack(ack(2, 1, 0))).is_nothing());
    peer.send(&Packet::Regack(ack(1, 1, 0))).publish();
    assert!(peer.send(&Packet::Regack(ack(1, 1, 0))).is_nothing());
}

//= mqttsn:GW-SN-31
#[test]
fn a_topic_of_two_bytes_needs_no_register() {
    let mut peer = Peer::connected();
    for topic in ["ab", "é", "/a"] {
        let short = TopicId::Short(ShortName::of_topic(topic).unwrap());
        assert_eq!(deliver(&mut peer, topic, 0, 0).publish().topic_id, short);
    }
}

//= mqttsn:GW-SN-20
#[test]
fn a_refused_topic_is_unsubscribed_and_its_messages_are_dropped() {
    let mut peer = Peer::connected();
    deliver(&mut peer, "t/a", 1, 7);
    deliver(&mut peer, "t/a", 0, 0);
    deliver(&mut peer, "ab", 0, 0);
    let effects = peer.send(&Packet::Regack(ack(1, 1, 3)));
    let reason = Reason::TOPIC_NAME_INVALID;
    assert_eq!(effects.settled(), [(7, Outcome::Discarded(reason))]);
    let unsubscribe = effects.operations.iter().find_map(|operation| match operation {
        Operation::Unsubscribe(unsubscribe) => Some(unsubscribe),
        _ => None,
    });
    let unsubscribe = unsubscribe.unwrap();
    assert_eq!(unsubscribe.filters, ["t/a".into()]);
    assert!(matches!(effects.publish().topic_id, TopicId::Short(_)), "the others go on");
    let (ticket, reasons) = (unsubscribe.ticket, vec![Reason::SUCCESS]);
    assert!(peer.event(Event::Unsubscribed { ticket, reasons }).is_nothing());

    // What a wildcard still brings is not offered again.
    let effects = deliver(&mut peer, "t/a", 1, 8);
    assert_eq!(effects.settled(), [(8, Outcome::Discarded(reason))]);
    assert!(effects.frames.is_empty());
    // Until the client asks for the topic itself.
    peer.register("t/a");
    assert_eq!(deliver(&mut peer, "t/a", 1, 9).publish().msg_id, 9);
}

//= mqttsn:GW-SN-20
#[test]
fn a_congested_client_is_asked_again_for_the_next_message() {
    let mut peer = Peer::connected();
    deliver(&mut peer, "t/a", 1, 7);
    let effects = peer.send(&Packet::Regack(ack(1, 1, 1)));
    assert_eq!(effects.settled(), [(7, Outcome::Discarded(Reason::TOPIC_NAME_INVALID))]);
    assert_eq!(effects.operations.len(), 1);
    assert_eq!(deliver(&mut peer, "t/a", 0, 0).packet(), register(1, 2, "t/a"));
}

//= mqttsn:GW-SN-21
#[test]
fn a_topic_that_the_client_has_forgotten_is_registered_and_the_message_sent_once_more() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("t/a");
    deliver(&mut peer, "t/a", 1, 7);
    let effects = peer.send(&Packet::Puback(ack(id, 7, 2)));
    assert_eq!(effects.only_packet(), register(id, 1, "t/a"));
    let effects = peer.send(&Packet::Regack(ack(id, 1, 0)));
    let publish = effects.publish();
    assert_eq!((publish.msg_id, publish.dup), (7, true));
    let effects = peer.send(&Packet::Puback(ack(id, 7, 2)));
    let given_up = Outcome::Discarded(Reason::TOPIC_NAME_INVALID);
    assert_eq!(effects.settled(), [(7, given_up)]);
    assert!(effects.frames.is_empty());
}

//= mqttsn:GW-SN-21
#[test]
fn a_short_name_that_the_client_does_not_take_gets_an_id() {
    let mut peer = Peer::connected();
    deliver(&mut peer, "ab", 2, 7);
    let effects = peer.send(&Packet::Puback(ack(0x6162, 7, 2)));
    assert_eq!(effects.only_packet(), register(1, 1, "ab"));
    let effects = peer.send(&Packet::Regack(ack(1, 1, 0)));
    assert_eq!(effects.publish().topic_id, TopicId::Normal(1));
}

//= mqttsn:GW-SN-21
#[test]
fn a_message_with_qos_0_is_not_sent_again_but_its_topic_is_registered() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("t/a");
    deliver(&mut peer, "t/a", 0, 0).publish();
    assert!(peer.send(&Packet::Puback(ack(id, 0, 2))).is_nothing());
    assert_eq!(deliver(&mut peer, "t/a", 0, 0).only_packet(), register(id, 1, "t/a"));
}

#[test]
fn a_message_that_the_client_does_not_support_is_discarded() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("t/a");
    deliver(&mut peer, "t/a", 1, 7);
    let effects = peer.send(&Packet::Puback(ack(id, 7, 3)));
    assert!(matches!(effects.settled()[..], [(7, Outcome::Discarded(_))]));
    assert_eq!(peer.link.next_deadline(), peer.link.quiet_until());
}

//= mqttsn:GW-SN-22
#[test]
fn what_is_too_long_is_given_up() {
    let mut peer = Peer::connected_to(|config| config.max_packet_size = 64, &connect());
    let id = peer.subscribe("t/a");
    // Length, MsgType, Flags, TopicId and MsgId take 7 bytes.
    for (len, fits) in [(57, true), (58, false), (5_000, false)] {
        let payload = vec![0; len];
        let message = Message::new("city/t/a", &payload);
        let effects = peer.event(Event::Deliver(delivery(&message, 0, 0, false)));
        assert_eq!(effects.frames.len(), usize::from(fits), "{len}");
        let effects = peer.event(Event::Deliver(delivery(&message, 1, 7, false)));
        assert_eq!(effects.frames.len(), usize::from(fits), "{len}");
        if fits {
            peer.send(&Packet::Puback(ack(id, 7, 0)));
        } else {
            let outcome = Outcome::Discarded(Reason::PACKET_TOO_LARGE);
            assert_eq!(effects.settled(), [(7, outcome)]);
        }
    }
    let topic = "t".repeat(59);
    let effects = deliver(&mut peer, &topic, 1, 8);
    assert_eq!(effects.settled(), [(8, Outcome::Discarded(Reason::PACKET_TOO_LARGE))]);
    assert!(effects.frames.is_empty());
}

#[test]
fn without_a_free_id_the_message_is_given_up() {
    let mut peer = Peer::connected_to(|config| config.max_topics = 1, &connect());
    peer.register("t/a");
    let effects = deliver(&mut peer, "t/b", 1, 7);
    assert_eq!(effects.settled(), [(7, Outcome::Discarded(Reason::QUOTA_EXCEEDED))]);
    assert!(effects.frames.is_empty());
    assert!(deliver(&mut peer, "t/b", 0, 0).frames.is_empty());
}

#[test]
fn credit_is_renewed_as_long_as_there_is_room() {
    let mut peer = Peer::connected();
    peer.subscribe("t/a");
    let mut credit: u32 = 16;
    for _ in 0..100 {
        let effects = deliver(&mut peer, "t/a", 0, 0);
        effects.publish();
        credit -= 1;
        credit = demands(&effects).last().copied().unwrap_or(credit);
        assert!((1..=16).contains(&credit));
    }
    // What waits takes up room, and is all that core may still send.
    deliver(&mut peer, "t/b", 0, 0);
    credit -= 1;
    let mut waiting = 1;
    while credit > 0 {
        let effects = deliver(&mut peer, "t/a", 0, 0);
        assert!(effects.frames.is_empty());
        credit -= 1;
        waiting += 1;
        credit = demands(&effects).last().copied().unwrap_or(credit);
        assert!(waiting <= 100, "there is a bound");
    }
    let effects = peer.send(&Packet::Regack(ack(1 + 1, 1, 0)));
    assert_eq!(effects.frames.len(), waiting);
    assert_eq!(demands(&effects), [16]);
}

#[test]
fn a_full_link_takes_nothing() {
    let mut peer = Peer::connected();
    let effects = peer.call(|link, context| link.on_backpressure(true, context));
    assert!(matches!(effects.only_operation(), Operation::Demand(Credit::None)));
    assert!(demands(&deliver(&mut peer, "ab", 0, 0)).is_empty());
    let effects = peer.call(|link, context| link.on_backpressure(false, context));
    assert_eq!(demands(&effects), [16]);
    let mut peer = Peer::asleep();
    assert!(peer.call(|link, context| link.on_backpressure(true, context)).is_nothing());
    assert!(peer.call(|link, context| link.on_backpressure(false, context)).is_nothing());
}
