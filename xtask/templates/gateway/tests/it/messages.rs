use std::borrow::Cow;

use codec___name__::{Code, Done, Packet, Publish, Subscribe};
use core_model::{
    Credit, Delivery, Event, Message, MessageRef, Operation, Outcome, PublishMessage, QoS, Reason,
    Ticket,
};
use gateway___name__::__Name__Config;
use gateway_host::Close;

use crate::harness::Peer;

fn publish(number: u16, topic: &str) -> Packet<'_> {
    Packet::Publish(Publish { number, topic, payload: b"hi" })
}

fn done(number: u16, code: Code) -> Packet<'static> {
    Packet::Done(Done { number, code })
}

//= __name__:3-1
#[test]
fn a_publish_with_a_number_is_answered() {
    let mut peer = Peer::connected();
    let effects = peer.send(&[publish(7, "t")]);
    let Operation::Publish(operation) = effects.operation() else { panic!("{effects:?}") };
    let PublishMessage::Stored(message) = &operation.message else { panic!("{operation:?}") };
    assert_eq!((message.topic(), message.payload()), ("t", &b"hi"[..]));
    assert_eq!((message.qos(), operation.ticket), (QoS::AtLeastOnce, Ticket(7)));
    assert_eq!(effects.packets(), []);
    let reason = Reason::NOT_AUTHORIZED;
    let effects = peer.event(Event::Published { ticket: Ticket(7), reason });
    assert_eq!(effects.packets(), [done(7, Code::NOT_AUTHORIZED)]);
}

//= __name__:3-1
#[test]
fn a_publish_without_a_number_is_not_answered() {
    let effects = Peer::connected().send(&[publish(0, "t")]);
    let Operation::Publish(operation) = effects.operation() else { panic!("{effects:?}") };
    let PublishMessage::Stored(message) = &operation.message else { panic!("{operation:?}") };
    assert_eq!(message.qos(), QoS::AtMostOnce);
    let effects = Peer::connected().send(&[publish(0, "a/#")]);
    assert_eq!(effects.packets(), [Packet::Goodbye(Code::BAD_PACKET)]);
    assert_eq!(effects.close, Some(Close::Flush(Reason::TOPIC_NAME_INVALID)));
}

//= __name__:3-1
#[test]
fn a_bad_topic_is_refused() {
    let effects = Peer::connected().send(&[publish(7, "a/#"), publish(8, "")]);
    assert_eq!(effects.packets(), [done(7, Code::BAD_PACKET), done(8, Code::BAD_PACKET)]);
    assert!(effects.operations.is_empty());
}

#[test]
fn a_client_is_not_read_while_its_publishes_wait() {
    let config = __Name__Config { receive_maximum: 2, ..__Name__Config::default() };
    let mut peer = Peer::connected_to(config);
    let effects = peer.send(&[publish(1, "t"), publish(2, "t"), Packet::Ping]);
    assert_eq!((effects.operations.len(), effects.unread), (2, 3));
    // It is silent since it is not read.
    assert_eq!(peer.wait().close, None);
    let reason = Reason::SUCCESS;
    let effects = peer.event(Event::Published { ticket: Ticket(1), reason });
    assert_eq!(effects.packets(), [done(1, Code::OK)]);
    assert_eq!(peer.send(&[Packet::Ping]).packets(), [Packet::Pong]);
}

//= __name__:3-2
#[test]
fn a_subscription_is_answered() {
    let mut peer = Peer::connected();
    let effects = peer.send(&[Packet::Subscribe(Subscribe { number: 9, filter: "a/#" })]);
    let Operation::Subscribe(operation) = effects.operation() else { panic!("{effects:?}") };
    let subscription = operation.subscriptions[0].as_ref().unwrap();
    assert_eq!((subscription.filter.as_str(), subscription.qos), ("a/#", QoS::AtLeastOnce));
    let reasons = vec![Reason::GRANTED_QOS_1];
    let effects = peer.event(Event::Subscribed { ticket: operation.ticket, reasons });
    assert_eq!(effects.packets(), [done(9, Code::OK)]);
    let reasons = vec![Reason::QUOTA_EXCEEDED];
    let effects = peer.event(Event::Subscribed { ticket: Ticket(10), reasons });
    assert_eq!(effects.packets(), [done(10, Code::UNAVAILABLE)]);
}

//= __name__:3-2
#[test]
fn a_bad_filter_keeps_its_place_in_the_operation() {
    let bad = Packet::Subscribe(Subscribe { number: 9, filter: "a#" });
    let effects = Peer::connected().send(&[bad]);
    let Operation::Subscribe(operation) = effects.operation() else { panic!("{effects:?}") };
    assert_eq!(operation.subscriptions, [Err(Reason::TOPIC_FILTER_INVALID)]);
}

fn deliver(peer: &mut Peer, handle: u16, payload: &[u8]) -> crate::harness::Effects {
    let message = Message::new("city/t", payload);
    peer.event(Event::Deliver(Delivery {
        handle,
        qos: if handle == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
        retain: false,
        dup: false,
        topic_skip: 5,
        subscription_ids: Cow::Borrowed(&[]),
        message: MessageRef::View(&message),
    }))
}

//= __name__:3-3
#[test]
fn messages_come_as_publish_and_are_settled_by_done() {
    let mut peer = Peer::connected();
    for (code, outcome) in [
        (Code::OK, Outcome::Accepted),
        (Code::UNAVAILABLE, Outcome::Discarded(Reason::UNSPECIFIED)),
    ] {
        assert_eq!(deliver(&mut peer, 3, b"hi").packets(), [publish(3, "t")]);
        let effects = peer.send(&[done(3, code)]);
        let Operation::Settle { handle, outcome: settled } = effects.operation() else {
            panic!("{effects:?}")
        };
        assert_eq!((*handle, *settled), (3, outcome));
    }
    assert_eq!(deliver(&mut peer, 0, b"hi").packets(), [publish(0, "t")]);
}

#[test]
fn a_message_that_no_packet_can_hold_is_settled() {
    let mut peer = Peer::connected();
    let effects = deliver(&mut peer, 3, &[7; 65_535]);
    assert_eq!(effects.packets(), []);
    let Operation::Settle { handle: 3, outcome } = effects.operation() else { panic!("{effects:?}") };
    assert_eq!(*outcome, Outcome::Discarded(Reason::PACKET_TOO_LARGE));
    assert!(deliver(&mut peer, 0, &[7; 65_535]).operations.is_empty());
}

//= __name__:3-4
#[test]
fn ping_is_answered() {
    assert_eq!(Peer::connected().send(&[Packet::Ping]).packets(), [Packet::Pong]);
}

#[test]
fn a_client_that_takes_nothing_gets_nothing_more() {
    let mut peer = Peer::connected();
    for (blocked, expected) in [(true, Credit::None), (false, Credit::Open)] {
        let effects = peer.call(|link, context| link.on_backpressure(blocked, context));
        let Operation::Demand(credit) = effects.operation() else { panic!("{effects:?}") };
        assert_eq!(*credit, expected);
    }
}
