//! PUBLISH from the client.

use codec_mqtt::{
    ConnectProperties, List, Packet, Publish, PublishProperties, QoS, ReasonCode, Version,
};
use core_model::{Operation, Publish as CorePublish, PublishMessage, Reason, Timestamp};
use gateway_host::{Close, Context, Operations, Output};
use gateway_mqtt::LAYOUT_V5;

use crate::harness::{Peer, connect, connect_with, publish, published};

//= mqtt311:3.3.4-1
//= mqtt5:3.3.4-1
#[test]
fn a_message_reaches_core_with_all_that_it_says() {
    for version in Version::ALL {
        for (qos, id) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 10), (QoS::ExactlyOnce, 11)] {
            let mut peer = Peer::connected(version);
            let packet = Publish { retain: true, ..publish(qos, id) };
            let effects = peer.send(&Packet::Publish(packet));
            let (_, sent_id, message) = effects.publish();
            assert_eq!(sent_id, id);
            assert_eq!((message.topic(), message.payload()), ("a/b", &b"hi"[..]));
            assert_eq!(message.qos() as u8, qos as u8);
            assert!(message.retain());
            assert_eq!(message.expires_at(), None);
            assert!(effects.bytes.is_empty(), "it is acknowledged when core has it");
        }
    }
}

//= mqtt5:3.3.2-4
//= mqtt5:3.3.2-15
//= mqtt5:3.3.2-16
//= mqtt5:3.3.2-17
//= mqtt5:3.3.2-18
//= mqtt5:3.3.2-20
#[test]
fn properties_reach_core_as_they_are() {
    let pairs = [("k", "v"), ("a", "1"), ("k", "w")];
    let properties = PublishProperties {
        payload_format_utf8: Some(true),
        content_type: Some("text/plain"),
        response_topic: Some("answer/here"),
        correlation_data: Some(b"\x00\xff"),
        user_properties: (&pairs).into(),
        ..PublishProperties::default()
    };
    let packet = Publish { properties, ..publish(QoS::AtMostOnce, 0) };
    let effects = Peer::connected(Version::V5).send(&Packet::Publish(packet));
    let (_, _, stored) = effects.publish();
    let message = stored.view();
    assert_eq!(message.properties.payload_format_utf8, Some(true));
    assert_eq!(message.properties.content_type, Some("text/plain"));
    assert_eq!(message.properties.response_topic, Some("answer/here"));
    assert_eq!(message.properties.correlation_data, Some(&b"\x00\xff"[..]));
    assert_eq!(message.properties.user.iter().collect::<Vec<_>>(), pairs);
    let mut encoded = Vec::new();
    codec_mqtt::encode_shared_properties(&properties, &mut encoded).unwrap();
    assert_eq!(message.wire, Some((LAYOUT_V5, &encoded[..])), "ready for other receivers");
}

#[test]
fn bytes_for_one_receiver_or_one_moment_are_not_handed_on() {
    let mut peer = Peer::connected(Version::V5);
    for properties in [
        PublishProperties { topic_alias: Some(1), ..PublishProperties::default() },
        PublishProperties { message_expiry_s: Some(1), ..PublishProperties::default() },
        PublishProperties::default(),
    ] {
        let packet = Publish { properties, ..publish(QoS::AtMostOnce, 0) };
        let effects = peer.send(&Packet::Publish(packet));
        let (_, _, message) = effects.publish();
        assert_eq!(message.view().wire, None);
        assert!(message.view().properties.is_empty());
    }
}

#[test]
fn a_message_with_a_topic_borrows_from_the_read_buffer() {
    let mut peer = Peer::connected(Version::V311);
    let bytes = b"\x31\x07\x00\x03a/bhi".to_vec();
    let (mut output, mut operations, mut close) = (Output::default(), Operations::new(), None);
    let mut context = Context::new(Timestamp::ZERO, &mut output, &mut operations, &mut close);
    peer.link.on_input(&bytes, &mut context);
    let [(0, Operation::Publish(CorePublish { message: PublishMessage::View(view), .. }))] =
        operations.as_slice()
    else {
        panic!("{operations:?}")
    };
    assert_eq!(
        (view.topic.as_ptr(), view.payload.as_ptr()),
        (bytes[4..].as_ptr(), bytes[7..].as_ptr())
    );
}

//= mqtt5:3.3.2-6
#[test]
fn an_expiry_becomes_a_deadline() {
    let mut peer = Peer::connected(Version::V5);
    peer.wait_s(5);
    let properties =
        PublishProperties { message_expiry_s: Some(30), ..PublishProperties::default() };
    let effects =
        peer.send(&Packet::Publish(Publish { properties, ..publish(QoS::AtMostOnce, 0) }));
    assert_eq!(effects.publish().2.expires_at(), Some(peer.now.plus_seconds(30)));
}

//= mqtt5:GW-MQTT-04
//= mqtt5:GW-MQTT-05
//= mqtt5:3.2.2-11
//= mqtt5:3.2.2-14
#[test]
fn what_was_announced_as_unavailable_ends_the_link() {
    for version in Version::ALL {
        let mut peer = Peer::connected_to(version, |c| c.max_qos = 1, &connect(version));
        peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 1))).publish();
        let effects = peer.send(&Packet::Publish(publish(QoS::ExactlyOnce, 2)));
        effects.assert_fails(Reason::QOS_NOT_SUPPORTED);

        let mut peer =
            Peer::connected_to(version, |c| c.retain_available = false, &connect(version));
        peer.send(&Packet::Publish(publish(QoS::AtMostOnce, 0))).publish();
        let retained = Publish { retain: true, ..publish(QoS::AtMostOnce, 0) };
        peer.send(&Packet::Publish(retained)).assert_fails(Reason::RETAIN_NOT_SUPPORTED);
    }
}

//= mqtt5:3.3.4-6
#[test]
fn a_subscription_identifier_from_a_client_ends_the_link() {
    let properties =
        PublishProperties { subscription_ids: List::from(&[7]), ..PublishProperties::default() };
    let packet = Publish { properties, ..publish(QoS::AtMostOnce, 0) };
    let effects = Peer::connected(Version::V5).send(&Packet::Publish(packet));
    effects.assert_fails(Reason::PROTOCOL_ERROR);
}

//= mqtt5:GW-MQTT-17
//= mqtt311:3.3.5-2
#[test]
fn topics_that_clients_may_not_publish_to_are_refused() {
    for (topic, reason) in [
        ("$SYS/broker/x", ReasonCode::NOT_AUTHORIZED),
        ("$SYS", ReasonCode::NOT_AUTHORIZED),
        ("$other", ReasonCode::NOT_AUTHORIZED),
        ("$share/g/t", ReasonCode::TOPIC_NAME_INVALID),
        ("$queue/t", ReasonCode::TOPIC_NAME_INVALID),
    ] {
        for version in Version::ALL {
            let reason = if version.is_v5() { reason } else { ReasonCode::SUCCESS };
            let mut peer = Peer::connected(version);
            let to = |qos, id| Packet::Publish(Publish { topic, ..publish(qos, id) });
            assert!(peer.send(&to(QoS::AtMostOnce, 0)).is_nothing());
            let effects = peer.send(&to(QoS::AtLeastOnce, 1));
            assert!(effects.operations.is_empty());
            let Packet::Puback(ack) = effects.packet() else { panic!() };
            assert_eq!((ack.packet_id, ack.reason), (1, reason));
            let effects = peer.send(&to(QoS::ExactlyOnce, 2));
            assert!(effects.operations.is_empty());
            let Packet::Pubrec(ack) = effects.packet() else { panic!() };
            assert_eq!((ack.packet_id, ack.reason), (2, reason));
        }
    }
}

#[test]
fn payloads_that_claim_to_be_text_are_checked_if_configured() {
    let properties =
        PublishProperties { payload_format_utf8: Some(true), ..PublishProperties::default() };
    let with =
        |payload, qos, id| Packet::Publish(Publish { properties, payload, ..publish(qos, id) });
    let mut peer = Peer::connected(Version::V5);
    peer.send(&with(b"\xff", QoS::AtMostOnce, 0)).publish();

    let check = |config: &mut gateway_mqtt::MqttConfig| config.check_payload_format = true;
    let mut peer = Peer::connected_to(Version::V5, check, &connect(Version::V5));
    peer.send(&with("grün".as_bytes(), QoS::AtMostOnce, 0)).publish();
    assert!(peer.send(&with(b"\xff", QoS::AtMostOnce, 0)).is_nothing());
    let effects = peer.send(&with(b"\xff", QoS::AtLeastOnce, 1));
    let Packet::Puback(ack) = effects.packet() else { panic!() };
    assert_eq!(ack.reason, ReasonCode::PAYLOAD_FORMAT_INVALID);
    let bytes = Publish { payload: b"\xff", ..publish(QoS::AtMostOnce, 0) };
    peer.send(&Packet::Publish(bytes)).publish();
}

//= mqtt5:GW-MQTT-21
#[test]
fn control_characters_in_a_topic_are_refused_only_if_configured() {
    let odd = Packet::Publish(Publish { topic: "a\u{7f}", ..publish(QoS::AtMostOnce, 0) });
    Peer::connected(Version::V5).send(&odd).publish();
    let strict = |config: &mut gateway_mqtt::MqttConfig| config.reject_control_characters = true;
    for version in Version::ALL {
        let mut peer = Peer::connected_to(version, strict, &connect(version));
        peer.send(&odd).assert_fails(Reason::MALFORMED);
    }
}

//= mqtt5:GW-MQTT-06
//= mqtt5:3.3.4-7
#[test]
fn one_publish_above_the_receive_maximum_ends_the_link() {
    let mut peer =
        Peer::connected_to(Version::V5, |c| c.receive_maximum = 3, &connect(Version::V5));
    let qos1 = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 1)));
    let qos2 = peer.send(&Packet::Publish(publish(QoS::ExactlyOnce, 2)));
    peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 3))).publish();
    peer.send(&Packet::Publish(publish(QoS::AtMostOnce, 0))).publish();
    // PUBACK frees one place, PUBREC does not.
    peer.event(published(qos1.publish().0, Reason::SUCCESS));
    peer.event(published(qos2.publish().0, Reason::SUCCESS));
    peer.send(&Packet::Publish(publish(QoS::ExactlyOnce, 4))).publish();
    // A repetition takes no further place.
    let again = Publish { dup: true, ..publish(QoS::ExactlyOnce, 2) };
    peer.send(&Packet::Publish(again)).publish();
    let effects = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 5)));
    effects.assert_fails(Reason::RECEIVE_MAXIMUM_EXCEEDED);
}

//= mqtt5:GW-MQTT-06
#[test]
fn a_place_is_free_after_pubcomp_or_a_pubrec_that_refuses() {
    let mut peer =
        Peer::connected_to(Version::V5, |c| c.receive_maximum = 1, &connect(Version::V5));
    for round in 0..3 {
        let effects = peer.send(&Packet::Publish(publish(QoS::ExactlyOnce, round + 1)));
        let ticket = effects.publish().0;
        if round == 1 {
            peer.event(published(ticket, Reason::QUOTA_EXCEEDED));
            continue;
        }
        peer.event(published(ticket, Reason::SUCCESS));
        let effects = peer.send_bytes(&[0x62, 2, 0, round as u8 + 1]);
        let (ticket, id) = effects.release();
        assert_eq!(id, round + 1);
        let event = core_model::Event::Released { ticket, reason: Reason::SUCCESS };
        assert!(matches!(peer.event(event).packet(), Packet::Pubcomp(_)));
    }
}

//= mqtt5:GW-MQTT-06
#[test]
fn a_place_is_free_after_a_refusal_of_the_gateway() {
    let mut peer =
        Peer::connected_to(Version::V5, |c| c.receive_maximum = 1, &connect(Version::V5));
    for id in 1..5 {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let refused = Publish { topic: "$SYS/x", ..publish(qos, id) };
            let effects = peer.send(&Packet::Publish(refused));
            assert!(matches!(effects.packet(), Packet::Puback(_) | Packet::Pubrec(_)));
        }
    }
    peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 9))).publish();
}

//= mqtt5:GW-MQTT-11
#[test]
fn an_identifier_in_use_is_refused_without_a_close() {
    let mut peer = Peer::connected(Version::V5);
    let first = peer.send(&Packet::Publish(publish(QoS::ExactlyOnce, 9)));
    peer.event(published(first.publish().0, Reason::SUCCESS));
    let effects = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 9)));
    assert!(effects.operations.is_empty() && effects.close.is_none());
    let Packet::Puback(ack) = effects.packet() else { panic!() };
    assert_eq!((ack.packet_id, ack.reason), (9, ReasonCode::PACKET_IDENTIFIER_IN_USE));
    // It is still in use by the first.
    let effects = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 9)));
    assert!(matches!(effects.packet(), Packet::Puback(_)));
    // A repetition of the first goes to core, which recognises it.
    let again = Publish { dup: true, ..publish(QoS::ExactlyOnce, 9) };
    assert_eq!(peer.send(&Packet::Publish(again)).publish().1, 9);

    peer.send_hex("82 09 00 07 00 00 03 61 2f 23 01").subscribe();
    let effects = peer.send(&Packet::Publish(publish(QoS::ExactlyOnce, 7)));
    assert!(effects.bytes.is_empty(), "it waits for the answer to the repetition");
    let effects = peer.event(published(first.publish().0, Reason::SUCCESS));
    let [Packet::Pubrec(nine), Packet::Pubrec(seven)] = &effects.packets()[..] else { panic!() };
    assert_eq!((nine.packet_id, nine.reason), (9, ReasonCode::SUCCESS));
    assert_eq!((seven.packet_id, seven.reason), (7, ReasonCode::PACKET_IDENTIFIER_IN_USE));
}

#[test]
fn before_5_0_identifiers_are_the_clients_own_matter() {
    let mut peer = Peer::connected(Version::V311);
    for _ in 0..2 {
        peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 9))).publish();
    }
}

#[test]
fn before_5_0_a_client_that_is_not_answered_is_not_read() {
    let mut peer =
        Peer::connected_to(Version::V311, |c| c.receive_maximum = 2, &connect(Version::V311));
    let mut ticket = None;
    let mut taken = 0;
    while taken < 1000 {
        let effects = peer.send(&Packet::Publish(publish(QoS::ExactlyOnce, taken + 1)));
        if effects.unread > 0 {
            assert!(effects.is_nothing());
            break;
        }
        ticket.get_or_insert(effects.publish().0);
        taken += 1;
    }
    assert_eq!(taken, 2 + 64);
    assert!(!peer.link.is_ready());
    peer.event(published(ticket.unwrap(), Reason::SUCCESS));
    assert!(peer.link.is_ready());
}

#[test]
fn a_client_whose_releases_are_not_answered_is_not_read() {
    for version in Version::ALL {
        let mut peer = Peer::connected_to(version, |c| c.receive_maximum = 1, &connect(version));
        for round in 0..2 {
            let mut tickets = Vec::new();
            while peer.link.is_ready() {
                tickets.push(peer.send_hex("62 02 00 01").release().0);
            }
            assert_eq!(tickets.len(), if round == 0 { 65 } else { 1 });
            let ticket = tickets[0];
            peer.event(core_model::Event::Released { ticket, reason: Reason::SUCCESS });
            assert!(peer.link.is_ready());
        }
    }
}

//= mqtt5:GW-MQTT-07
//= mqtt311:4.7.3-1
#[test]
fn an_empty_topic_without_alias_ends_the_link() {
    Peer::connected(Version::V5).send_hex("30 03 00 00 00").assert_fails(Reason::PROTOCOL_ERROR);
    Peer::connected(Version::V311).send_hex("30 02 00 00").assert_fails(Reason::PROTOCOL_ERROR);
}

//= mqtt5:GW-MQTT-03
//= mqtt5:3.2.2-15
#[test]
fn a_packet_above_the_maximum_ends_the_link_before_it_is_read() {
    for version in Version::ALL {
        let mut peer = Peer::connected_to(version, |c| c.max_packet_size = 200, &connect(version));
        let payload = [7; 300];
        let fitting = Publish { payload: &payload[..190], ..publish(QoS::AtMostOnce, 0) };
        peer.send(&Packet::Publish(fitting)).publish();
        let mut bytes = Vec::new();
        let large = Publish { payload: &payload, ..publish(QoS::AtMostOnce, 0) };
        codec_mqtt::encode(&Packet::Publish(large), version, &mut bytes).unwrap();
        peer.send_bytes(&bytes[..3]).assert_fails(Reason::PACKET_TOO_LARGE);
    }
}

//= mqtt311:4.8.0-2
#[test]
fn without_room_a_client_that_cannot_be_told_keeps_its_message() {
    let mut peer = Peer::connected(Version::V311);
    let effects = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 1)));
    let effects = peer.event(published(effects.publish().0, Reason::QUOTA_EXCEEDED));
    assert!(effects.bytes.is_empty());
    assert_eq!(effects.close, Some(Close::Flush(Reason::QUOTA_EXCEEDED)));

    let properties = ConnectProperties::default();
    let mut peer = Peer::connected_to(Version::V5, |_| {}, &connect_with(properties));
    let effects = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 1)));
    let effects = peer.event(published(effects.publish().0, Reason::QUOTA_EXCEEDED));
    let Packet::Puback(ack) = effects.packet() else { panic!() };
    assert_eq!(ack.reason, ReasonCode::QUOTA_EXCEEDED);
    assert_eq!(effects.close, None);
}
