//! What a version cannot say is not written, and what it can leave out is left out.

use codec_mqtt::{
    Ack, AckProperties, Auth, Connack, ConnackProperties, Connect, ConnectProperties, Disconnect,
    DisconnectProperties, EncodeError, List, Packet, Publish, PublishProperties, QoS, ReasonCode,
    RetainHandling, Secret, Suback, Subscribe, SubscribeProperties, Subscription, Unsuback,
    Unsubscribe, UnsubscribeProperties, Version, encode,
};

use crate::common::encoded;

fn assert_refused(packet: &Packet<'_>, version: Version) {
    let mut out = vec![1, 2, 3];
    let error = encode(packet, version, &mut out).unwrap_err();
    assert!(matches!(error, EncodeError::Unrepresentable(_)), "{packet:?}: {error}");
    assert_eq!(out, [1, 2, 3], "{packet:?}");
}

fn connack(reason: ReasonCode) -> Packet<'static> {
    let properties = ConnackProperties { reason_string: Some("why"), ..Default::default() };
    Packet::Connack(Box::new(Connack { session_present: true, reason, properties }))
}

fn subscribe<'a>(subscriptions: &'a [Subscription<'a>]) -> Packet<'a> {
    Packet::Subscribe(Subscribe {
        packet_id: 1,
        properties: SubscribeProperties { subscription_id: Some(1), ..Default::default() },
        subscriptions: subscriptions.into(),
    })
}

//= mqtt5:2.2.1-4
//= mqtt311:2.3.1-1
#[test]
fn packet_identifier_0() {
    let ack = Ack { packet_id: 0, reason: ReasonCode::SUCCESS, properties: Default::default() };
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a",
        packet_id: 0,
        properties: PublishProperties::default(),
        raw_properties: &[],
        payload: b"",
    };
    let subscription = [Subscription { filter: "a", ..Default::default() }];
    let subscriptions = (&subscription).into();
    let properties = SubscribeProperties::default();
    let unsubscribe = UnsubscribeProperties::default();
    for version in Version::ALL {
        for packet in [
            Packet::Puback(ack),
            Packet::Pubrec(ack),
            Packet::Pubrel(ack),
            Packet::Pubcomp(ack),
            Packet::Publish(publish),
            Packet::Subscribe(Subscribe { packet_id: 0, properties, subscriptions }),
            Packet::Suback(Suback { packet_id: 0, properties: Default::default(), reasons: &[0] }),
            Packet::Unsubscribe(Unsubscribe {
                packet_id: 0,
                properties: unsubscribe,
                filters: (&["a"]).into(),
            }),
            Packet::Unsuback(Unsuback {
                packet_id: 0,
                properties: Default::default(),
                reasons: &[0],
            }),
        ] {
            assert_refused(&packet, version);
        }
    }
}

//= mqtt311:3.2.2-6
//= mqtt311:3.2.2-4
//= mqtt5:3.2.2-6
#[test]
fn connack_before_5_0_has_six_codes() {
    assert_eq!(encoded(&connack(ReasonCode::SUCCESS), Version::V311), [0x20, 2, 1, 0]);
    for (reason, code) in [
        (ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, 1),
        (ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, 2),
        (ReasonCode::SERVER_BUSY, 3),
        (ReasonCode::BAD_AUTHENTICATION_METHOD, 4),
        (ReasonCode::BANNED, 5),
    ] {
        assert_eq!(encoded(&connack(reason), Version::V311), [0x20, 2, 0, code]);
        assert_eq!(encoded(&connack(reason), Version::V31), [0x20, 2, 0, code]);
        assert_eq!(encoded(&connack(reason), Version::V5)[..4], [0x20, 9, 0, reason.value()]);
    }
    assert_refused(&connack(ReasonCode::MALFORMED_PACKET), Version::V311);
}

//= mqtt311:3.9.3-2
#[test]
fn suback_before_5_0_has_one_failure_or_none() {
    let reasons = [0, 1, 2, 0x87, 0x80, 0x8f];
    let properties = AckProperties { reason_string: Some("why"), ..Default::default() };
    let suback = Packet::Suback(Suback { packet_id: 1, properties, reasons: &reasons });
    let written = [0x90, 8, 0, 1, 0, 1, 2, 0x80, 0x80, 0x80];
    assert_eq!(encoded(&suback, Version::V311), written);
    assert_refused(&suback, Version::V31);
    let granted = Packet::Suback(Suback { packet_id: 1, properties, reasons: &[2] });
    assert_eq!(encoded(&granted, Version::V31), [0x90, 3, 0, 1, 2]);
}

#[test]
fn reasons_and_properties_are_left_out_before_5_0() {
    let user = [("k", "v")];
    let properties = AckProperties { reason_string: Some("r"), user_properties: (&user).into() };
    let reason = ReasonCode::NOT_AUTHORIZED;
    let puback = Packet::Puback(Ack { packet_id: 1, reason, properties });
    assert_eq!(encoded(&puback, Version::V311), [0x40, 2, 0, 1]);
    let unsuback = Packet::Unsuback(Unsuback { packet_id: 1, properties, reasons: &[0x11] });
    assert_eq!(encoded(&unsuback, Version::V31), [0xb0, 2, 0, 1]);
    let subscription = [Subscription { filter: "a", qos: QoS::AtLeastOnce, ..Default::default() }];
    assert_eq!(encoded(&subscribe(&subscription), Version::V311), [0x82, 6, 0, 1, 0, 1, b'a', 1]);
}

#[test]
fn what_only_5_0_can_say() {
    let disconnect = |reason| {
        Packet::Disconnect(Disconnect { reason, properties: DisconnectProperties::default() })
    };
    let plain = Subscription { filter: "a", ..Default::default() };
    for version in [Version::V31, Version::V311] {
        assert_refused(&Packet::Auth(Auth::default()), version);
        assert_refused(&disconnect(ReasonCode::DISCONNECT_WITH_WILL_MESSAGE), version);
        assert_eq!(encoded(&disconnect(ReasonCode::SUCCESS), version), [0xe0, 0]);
        for subscription in [
            Subscription { no_local: true, ..plain },
            Subscription { retain_as_published: true, ..plain },
            Subscription { retain_handling: RetainHandling::DoNotSend, ..plain },
        ] {
            assert_refused(&subscribe(&[plain, subscription]), version);
        }
    }
}

//= mqtt5:3.8.3-2
//= mqtt5:3.10.3-2
//= mqtt311:3.8.3-3
//= mqtt311:3.10.3-2
//= mqtt311:3.1.2-22
#[test]
fn what_no_version_can_say() {
    let unsubscribe = Packet::Unsubscribe(Unsubscribe {
        packet_id: 1,
        properties: UnsubscribeProperties::default(),
        filters: List::empty(),
    });
    let connect = |version, bridge, user_name| {
        Packet::Connect(Box::new(Connect {
            version,
            bridge,
            clean_start: true,
            keep_alive_s: 0,
            client_id: "",
            will: None,
            user_name,
            password: Some(Secret(b"p")),
            properties: ConnectProperties::default(),
        }))
    };
    for version in Version::ALL {
        assert_refused(&subscribe(&[]), version);
        assert_refused(&unsubscribe, version);
        assert_refused(&connect(version, false, Some("\0")), version);
    }
    assert_refused(&connect(Version::V5, true, None), Version::V5);
    assert_refused(&connect(Version::V311, false, None), Version::V311);
    assert!(!encoded(&connect(Version::V5, false, None), Version::V311).is_empty());
}

//= mqtt5:4.7.3-3
#[test]
fn fields_above_65535_bytes() {
    let long = "a".repeat(65_536);
    let user = [("k", &*long)];
    for properties in [
        AckProperties { reason_string: Some(&long), ..Default::default() },
        AckProperties { reason_string: None, user_properties: (&user).into() },
    ] {
        let ack = Ack { packet_id: 1, reason: ReasonCode::SUCCESS, properties };
        let mut out = vec![1];
        let error = encode(&Packet::Puback(ack), Version::V5, &mut out).unwrap_err();
        assert!(matches!(error, EncodeError::TooLong { len: 65_536, max: 65_535, .. }));
        assert_eq!(out, [1]);
    }
}
