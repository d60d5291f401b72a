//! One message for many receivers: head, shared properties, payload.

use codec_mqtt::{
    Ack, AckKind, AckProperties, EncodeError, Limits, MqttCodec, PINGREQ, PINGRESP, Packet,
    Publish, PublishHead, PublishProperties, QoS, ReasonCode, Version, encode_ack,
    encode_publish_head, encode_shared_properties, publish_len,
};

use test_kit::codec::decode_whole;

use crate::common::encoded;

const PROPERTIES: PublishProperties<'_> = PublishProperties {
    payload_format_utf8: Some(true),
    message_expiry_s: None,
    topic_alias: None,
    content_type: Some("text/plain"),
    response_topic: Some("r"),
    correlation_data: Some(&[1, 2]),
    subscription_ids: codec_mqtt::List::empty(),
    user_properties: codec_mqtt::List::empty(),
};

fn with_head(head: &PublishHead<'_>, version: Version, shared: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee];
    encode_publish_head(head, version, shared, payload.len(), &mut out).unwrap();
    out.extend_from_slice(payload);
    assert_eq!(out.len() - 1, publish_len(head, version, shared.len(), payload.len()).unwrap());
    out.split_off(1)
}

//= mqtt5:3.3.2-18
#[test]
fn head_shared_properties_and_payload_make_the_packet() {
    let pairs = [("k", "2"), ("a", "1"), ("k", "2")];
    let shared_properties = PublishProperties { user_properties: (&pairs).into(), ..PROPERTIES };
    let mut shared = Vec::new();
    encode_shared_properties(&shared_properties, &mut shared).unwrap();
    let ids = [1, 200, 268_435_455];
    for payload in [0, 1, 60, 127, 128, 16_383, 70_000].map(|len| vec![7; len]) {
        for version in Version::ALL {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let head = PublishHead {
                    dup: qos != QoS::AtMostOnce,
                    qos,
                    retain: true,
                    topic: "a/b",
                    packet_id: 9,
                    topic_alias: Some(3),
                    message_expiry_s: Some(60),
                    subscription_ids: &ids,
                };
                let bytes = with_head(&head, version, &shared, &payload);
                let properties = PublishProperties {
                    message_expiry_s: Some(60),
                    topic_alias: Some(3),
                    subscription_ids: (&ids).into(),
                    ..shared_properties
                };
                let expected = Packet::Publish(Publish {
                    dup: head.dup,
                    qos,
                    retain: true,
                    topic: "a/b",
                    packet_id: if qos == QoS::AtMostOnce { 0 } else { 9 },
                    properties: if version == Version::V5 {
                        properties
                    } else {
                        Default::default()
                    },
                    raw_properties: &[],
                    payload: &payload,
                });
                let mut codec = MqttCodec::with_version(version, Limits::UNLIMITED);
                assert_eq!(decode_whole(&mut codec, &bytes).unwrap(), expected);
                assert_eq!(encoded(&expected, version), bytes);
            }
        }
    }
}

#[test]
fn received_properties_without_receiver_specific_ones_go_out_as_they_are() {
    let pairs = [("k", "v")];
    let properties = PublishProperties { user_properties: (&pairs).into(), ..PROPERTIES };
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "a",
        packet_id: 0,
        properties,
        raw_properties: &[],
        payload: b"x",
    };
    let bytes = encoded(&Packet::Publish(publish), Version::V5);
    let mut codec = MqttCodec::with_version(Version::V5, Limits::default());
    let Packet::Publish(received) = decode_whole(&mut codec, &bytes).unwrap() else { panic!() };
    assert!(received.properties.is_shareable());
    let head = PublishHead { topic: "a", ..PublishHead::default() };
    assert_eq!(with_head(&head, Version::V5, received.raw_properties, b"x"), bytes);

    let ids = [1];
    for properties in [
        PublishProperties { topic_alias: Some(1), ..properties },
        PublishProperties { message_expiry_s: Some(0), ..properties },
        PublishProperties { subscription_ids: (&ids).into(), ..properties },
    ] {
        let bytes = encoded(&Packet::Publish(Publish { properties, ..publish }), Version::V5);
        let Packet::Publish(received) = decode_whole(&mut codec, &bytes).unwrap() else { panic!() };
        assert!(!received.properties.is_shareable());
    }
}

//= mqtt5:3.3.1-2
//= mqtt5:4.3.1-1
//= mqtt5:2.2.1-2
//= mqtt311:3.3.1-2
//= mqtt311:4.3.1-1
//= mqtt311:2.3.1-5
#[test]
fn qos_0_goes_out_without_dup_and_packet_identifier() {
    let head = PublishHead { dup: true, packet_id: 5, topic: "a", ..PublishHead::default() };
    assert_eq!(with_head(&head, Version::V311, &[], b"x"), b"\x30\x04\x00\x01ax");
    assert_eq!(with_head(&head, Version::V5, &[], b"x"), b"\x30\x05\x00\x01a\x00x");
}

//= mqtt5:4.7.3-3
//= mqtt311:4.7.3-3
#[test]
fn what_does_not_fit_is_not_begun() {
    let topic = "a".repeat(65_536);
    let mut out = vec![1];
    let head = PublishHead { topic: &topic, ..PublishHead::default() };
    let error = encode_publish_head(&head, Version::V311, &[], 0, &mut out).unwrap_err();
    assert_eq!(error, EncodeError::TooLong { field: "topic name", len: 65_536, max: 65_535 });
    assert_eq!(out, [1]);
    let head = PublishHead { topic: "a", ..PublishHead::default() };
    assert_eq!(publish_len(&head, Version::V311, 0, 268_435_452), Ok(268_435_460));
    assert!(publish_len(&head, Version::V311, 0, 268_435_453).is_err());
    assert!(publish_len(&head, Version::V5, 0, 268_435_452).is_err());
    assert!(publish_len(&head, Version::V5, usize::MAX / 2, 0).is_err());
    assert!(encode_publish_head(&head, Version::V311, &[], 268_435_453, &mut out).is_err());
    assert_eq!(out, [1]);
}

//= mqtt5:2.2.1-5
//= mqtt311:2.3.1-6
#[test]
fn acks_without_properties() {
    type Wrap = fn(Ack<'static>) -> Packet<'static>;
    let kinds: [(AckKind, Wrap); 4] = [
        (AckKind::Puback, Packet::Puback),
        (AckKind::Pubrec, Packet::Pubrec),
        (AckKind::Pubrel, Packet::Pubrel),
        (AckKind::Pubcomp, Packet::Pubcomp),
    ];
    for (kind, wrap) in kinds {
        for version in Version::ALL {
            for reason in [ReasonCode::SUCCESS, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND] {
                let mut out = Vec::new();
                encode_ack(kind, 0x1234, reason, version, &mut out);
                let properties = AckProperties::default();
                let ack = wrap(Ack { packet_id: 0x1234, reason, properties });
                assert_eq!(out, encoded(&ack, version));
                assert_eq!(
                    out.len(),
                    if version == Version::V5 && reason.is_error() { 6 } else { 4 }
                );
            }
        }
    }
}

#[test]
fn pings() {
    for version in Version::ALL {
        assert_eq!(encoded(&Packet::Pingreq, version), PINGREQ);
        assert_eq!(encoded(&Packet::Pingresp, version), PINGRESP);
    }
}
