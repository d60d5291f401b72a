//! PUBLISH to the client.

use std::borrow::Cow;

use codec_mqtt::{ConnectProperties, List, Packet, Publish, QoS, Version};
use core_model::{
    Credit, Delivery, Event, LayoutId, Message, MessageRef, Operation, Outcome, Properties, Reason,
    UserProperties,
};
use gateway_host::{Context, Operations, Output, REFERENCE_BYTES_MIN};
use gateway_mqtt::LAYOUT_V5;

use crate::harness::{Effects, Peer, connect_with, deliver, delivery};

fn seen(effects: &Effects) -> Publish<'_> {
    let Packet::Publish(publish) = effects.packet() else { panic!("{effects:?}") };
    assert!(effects.close.is_none());
    publish
}

fn full<'a>() -> Message<'a> {
    let mut user = UserProperties::default();
    user.push("b", "1");
    user.push("a", "2");
    user.push("b", "3");
    Message {
        properties: Properties {
            payload_format_utf8: Some(true),
            content_type: Some("text/plain"),
            response_topic: Some("answer"),
            correlation_data: Some(b"\x00\x01"),
            user,
        },
        ..Message::new("a/b", b"hi")
    }
}

//= mqtt5:3.3.1-1
//= mqtt5:3.3.1-3
//= mqtt5:2.2.1-4
//= mqtt5:4.3.2-2
//= mqtt5:4.3.3-2
//= mqtt311:3.3.1-1
//= mqtt311:3.3.1-3
//= mqtt311:2.3.1-4
#[test]
fn flags_and_identifier_are_cores() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        let message = Message { retain: true, ..Message::new("a/b", b"hi") };
        for (qos, handle, retain, dup) in [
            (0, 0, true, false),
            (1, 77, false, true),
            (2, 65_535, true, false),
            (1, 1, false, false),
        ] {
            let effects = peer.event(Event::Deliver(Delivery {
                handle,
                qos: core_model::QoS::from_u8(qos).unwrap(),
                retain,
                dup,
                ..delivery(MessageRef::View(&message))
            }));
            assert!(effects.operations.is_empty());
            let publish = seen(&effects);
            assert_eq!((publish.qos as u8, publish.packet_id), (qos, handle));
            assert_eq!((publish.retain, publish.dup), (retain, dup));
            assert_eq!((publish.topic, publish.payload), ("a/b", &b"hi"[..]));
        }
    }
}

//= mqtt5:3.3.1-2
//= mqtt5:4.3.1-1
//= mqtt311:3.3.1-2
//= mqtt311:4.3.1-1
#[test]
fn qos_0_is_never_a_duplicate() {
    for version in Version::ALL {
        let message = Message::new("a", b"");
        let again = Delivery { dup: true, ..delivery(MessageRef::View(&message)) };
        let effects = Peer::connected(version).event(Event::Deliver(again));
        assert!(!seen(&effects).dup);
    }
}

#[test]
fn the_mountpoint_is_not_shown() {
    let message = Message::new("city/a/b", b"");
    let mounted = Delivery { topic_skip: 5, ..delivery(MessageRef::View(&message)) };
    let effects = Peer::connected(Version::V5).event(Event::Deliver(mounted));
    assert_eq!(seen(&effects).topic, "a/b");
}

//= mqtt5:3.3.2-4
//= mqtt5:3.3.2-15
//= mqtt5:3.3.2-16
//= mqtt5:3.3.2-17
//= mqtt5:3.3.2-18
//= mqtt5:3.3.2-20
#[test]
fn properties_are_forwarded_unchanged_whatever_form_the_message_has() {
    let message = full();
    let stored = message.detach();
    let mut wire = Vec::new();
    let first = deliver(&mut Peer::connected(Version::V5), &message);
    wire.extend_from_slice(&first.bytes[8..first.bytes.len() - 2]);
    let of_wire = Message { wire: Some((LAYOUT_V5, &wire)), ..Message::new("a/b", b"hi") };
    let of_other = Message { wire: Some((LayoutId(9), b"other")), ..full() };
    let mut peer = Peer::connected(Version::V5);
    for reference in [
        MessageRef::View(&message),
        MessageRef::Stored(&stored),
        MessageRef::Stored(&stored),
        MessageRef::Owned(stored.clone()),
        MessageRef::View(&of_wire),
        MessageRef::View(&of_other),
        MessageRef::Stored(&of_other.detach()),
        MessageRef::View(&message),
    ] {
        let effects = peer.event(Event::Deliver(delivery(reference)));
        assert_eq!(effects.bytes, first.bytes);
        let properties = seen(&effects).properties;
        assert_eq!(properties.payload_format_utf8, Some(true));
        assert_eq!(properties.content_type, Some("text/plain"));
        assert_eq!(properties.response_topic, Some("answer"));
        assert_eq!(properties.correlation_data, Some(&b"\x00\x01"[..]));
        let pairs: Vec<_> = properties.user_properties.iter().collect();
        assert_eq!(pairs, [("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(properties.message_expiry_s, None);
    }
}

#[test]
fn received_bytes_go_out_as_they_came() {
    let sent = "30 12 00 03 61 2f 62 0a 26 00 01 6b 00 01 76 03 00 00 68 69";
    let effects = Peer::connected(Version::V5).send_hex(sent);
    let (_, _, stored) = effects.publish();
    let again =
        Peer::connected(Version::V5).event(Event::Deliver(delivery(MessageRef::Stored(stored))));
    assert_eq!(again.bytes, codec_wire::hex::decode(sent).unwrap());
}

#[test]
fn before_5_0_there_are_no_properties() {
    for version in [Version::V31, Version::V311] {
        let mut peer = Peer::connected(version);
        let message = Message { expires_at: Some(peer.now.plus_seconds(9)), ..full() };
        let with_ids = Delivery {
            subscription_ids: Cow::Borrowed(&[1, 2]),
            ..delivery(MessageRef::View(&message))
        };
        assert_eq!(peer.event(Event::Deliver(with_ids)).bytes, b"\x30\x07\x00\x03a/bhi");
    }
}

//= mqtt5:3.3.2-6
#[test]
fn the_expiry_is_what_is_left_of_it() {
    let mut peer = Peer::connected(Version::V5);
    let message = Message { expires_at: Some(peer.now.plus_seconds(10)), ..Message::new("a", b"") };
    for (wait_s, left) in [(0, 10), (4, 6), (5, 1), (20, 0)] {
        peer.wait_s(wait_s);
        let effects = deliver(&mut peer, &message);
        assert_eq!(seen(&effects).properties.message_expiry_s, Some(left));
    }
}

//= mqtt5:3.3.4-3
//= mqtt5:3.3.4-4
//= mqtt5:3.3.4-5
#[test]
fn subscription_identifiers_are_all_there() {
    let message = full();
    for ids in [&[][..], &[1], &[268_435_455, 1, 128]] {
        let with_ids = Delivery {
            subscription_ids: Cow::Borrowed(ids),
            ..delivery(MessageRef::View(&message))
        };
        let effects = Peer::connected(Version::V5).event(Event::Deliver(with_ids));
        assert_eq!(seen(&effects).properties.subscription_ids, List::from(ids));
    }
}

//= mqtt5:3.1.2-24
//= mqtt5:3.1.2-25
#[test]
fn a_message_above_the_clients_packet_size_is_dropped_as_if_it_had_been_delivered() {
    let message = full();
    let whole = deliver(&mut Peer::connected(Version::V5), &message).bytes.len() as u32;
    let taking = |size| {
        let properties =
            ConnectProperties { max_packet_size: Some(size), ..ConnectProperties::default() };
        Peer::connected_to(Version::V5, |_| {}, &connect_with(properties))
    };
    assert_eq!(deliver(&mut taking(whole), &message).bytes.len() as u32, whole);
    let mut peer = taking(whole - 1);
    assert!(deliver(&mut peer, &message).is_nothing());
    for reference in [MessageRef::View(&message), MessageRef::Owned(message.detach())] {
        let qos1 = Delivery { handle: 9, qos: core_model::QoS::AtLeastOnce, ..delivery(reference) };
        let effects = peer.event(Event::Deliver(qos1));
        assert!(effects.bytes.is_empty());
        assert_eq!(effects.settle(), (9, Outcome::Discarded(Reason::PACKET_TOO_LARGE)));
    }
    // The next one is not harmed.
    assert_eq!(seen(&deliver(&mut peer, &Message::new("a", b"x"))).payload, b"x");
}

#[test]
fn a_large_payload_is_referenced_and_not_copied() {
    let payload = vec![7; REFERENCE_BYTES_MIN];
    let stored = Message::new("a/b", &payload).detach();
    let mut peer = Peer::connected(Version::V5);
    let (mut output, mut operations, mut close) = (Output::default(), Operations::new(), None);
    let mut context = Context::new(peer.now, &mut output, &mut operations, &mut close);
    let event = Event::Deliver(delivery(MessageRef::Stored(&stored)));
    peer.link.on_event(0, event, &mut context);
    let mut slices = Vec::new();
    output.slices(&mut slices, 8);
    assert_eq!(slices.len(), 2);
    assert_eq!(slices[1].as_ptr(), stored.payload().as_ptr());
    let effects = peer.event(Event::Deliver(delivery(MessageRef::Stored(&stored))));
    assert_eq!(seen(&effects).payload, payload);
}

//= mqtt5:3.3.4-10
//= mqtt5:4.9.0-3
#[test]
fn a_full_link_stops_deliveries_and_nothing_else() {
    let mut peer = Peer::connected(Version::V5);
    let effects = peer.call(|link, context| link.on_backpressure(true, context));
    assert!(matches!(effects.operation(), Operation::Demand(Credit::None)));
    assert_eq!(peer.send(&Packet::Pingreq).packet(), Packet::Pingresp);
    let publish = crate::harness::publish(QoS::AtLeastOnce, 1);
    let ticket = peer.send(&Packet::Publish(publish)).publish().0;
    let effects = peer.event(crate::harness::published(ticket, Reason::SUCCESS));
    assert!(matches!(effects.packet(), Packet::Puback(_)));
    let effects = peer.call(|link, context| link.on_backpressure(false, context));
    assert!(matches!(effects.operation(), Operation::Demand(Credit::Open)));

    let mut fresh = Peer::fresh(Version::V5, |_| {});
    assert!(fresh.call(|link, context| link.on_backpressure(true, context)).is_nothing());
}
