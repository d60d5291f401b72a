//! A CONNECT that does not lead to a session.

use codec_mqtt::{
    Connack, Connect, ConnectProperties, Packet, QoS, ReasonCode, Secret, Version, Will,
    WillProperties, encode,
};
use core_model::{DisconnectCause, Event, Reason};
use gateway_host::Close;
use gateway_mqtt::{MqttConfig, ProtocolVersion};

use crate::harness::{Effects, Peer, connect, connect_with, connected, publish};

fn send_to(config: impl FnOnce(&mut MqttConfig), connect: &Connect<'_>) -> (Peer, Effects) {
    let mut peer = Peer::fresh(connect.version, config);
    let effects = peer.send(&Packet::Connect(Box::new(*connect)));
    (peer, effects)
}

fn connack(effects: &Effects) -> Connack<'_> {
    let Packet::Connack(connack) = effects.packet() else { panic!("{effects:?}") };
    *connack
}

/// Asserts a CONNACK with `reason`, a close, and nothing for core.
#[track_caller]
fn assert_refused(effects: &Effects, reason: ReasonCode) {
    let connack = connack(effects);
    assert_eq!(connack.reason, reason);
    assert!(!connack.session_present);
    assert!(matches!(effects.close, Some(Close::Flush(_))));
    assert!(effects.operations.is_empty());
}

/// Asserts a close without any packet, and nothing for core.
#[track_caller]
fn assert_closed_silently(effects: &Effects) {
    assert!(effects.bytes.is_empty(), "{effects:?}");
    assert!(effects.close.is_some());
    assert!(effects.operations.is_empty());
}

fn will(topic: &str) -> Will<'_> {
    Will {
        qos: QoS::ExactlyOnce,
        retain: true,
        topic,
        payload: b"\xff",
        properties: WillProperties::default(),
    }
}

//= mqtt5:GW-MQTT-01
//= mqtt5:3.1.0-1
//= mqtt311:3.1.0-1
#[test]
fn another_first_packet_closes_the_link() {
    for first in
        ["c0 00", "30 05 00 03 61 2f 62", "82 08 00 07 00 03 61 2f 23 02", "f0 00", "e0 00"]
    {
        assert_closed_silently(&Peer::fresh(Version::V5, |_| {}).send_hex(first));
    }
}

//= mqtt5:GW-MQTT-01
#[test]
fn a_client_that_does_not_connect_in_time_is_closed() {
    for bytes in ["", "10", "10 16 00 04 4d 51"] {
        let mut peer = Peer::fresh(Version::V5, |config| config.connect_timeout_s = 7);
        assert!(peer.send_hex(bytes).is_nothing());
        peer.wait_s(6);
        assert!(peer.tick().is_nothing());
        peer.wait_s(1);
        assert_closed_silently(&peer.tick());
        assert!(!peer.link.is_ready());
        assert_eq!(peer.link.next_deadline(), None);
    }
}

//= mqtt5:GW-MQTT-02
//= mqtt5:3.1.2-1
//= mqtt311:3.1.2-1
#[test]
fn what_is_not_mqtt_is_closed_silently() {
    for first in [
        "10 10 00 05 41 4d 51 50 21 05 02 00 00 00 00 01 63 00",
        "10 ff ff ff ff 01",
        "1f 00",
        "00 00",
        "16 03 01 02 00 01 00 01 fc 03 03",
        "47 45 54 20 2f",
    ] {
        assert_closed_silently(&Peer::fresh(Version::V311, |_| {}).send_hex(first));
    }
}

//= mqtt5:3.1.2-2
//= mqtt311:3.1.2-2
#[test]
fn an_unknown_level_is_told_so() {
    let mut old = Peer::fresh(Version::V311, |_| {});
    let effects = old.send_hex("10 0d 00 04 4d 51 54 54 02 02 00 00 00 01 63");
    assert_refused(&effects, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
    assert_eq!(effects.bytes, [0x20, 2, 0, 1]);

    let mut new = Peer::fresh(Version::V5, |_| {});
    let effects = new.send_hex("10 0e 00 04 4d 51 54 54 06 02 00 00 00 00 01 63");
    assert_refused(&effects, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
}

//= mqtt5:3.1.2-2
//= mqtt311:3.1.2-2
#[test]
fn a_version_that_is_switched_off_is_told_so() {
    for version in Version::ALL {
        let others = |config: &mut MqttConfig| {
            config.versions.retain(|one| *one as usize != version as usize);
            assert_eq!(config.versions.len(), 2);
        };
        let (_, effects) = send_to(others, &connect(version));
        assert_refused(&effects, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
        let (_, effects) = send_to(
            |config| {
                config.versions = vec![match version {
                    Version::V31 => ProtocolVersion::V31,
                    Version::V311 => ProtocolVersion::V311,
                    Version::V5 => ProtocolVersion::V5,
                }];
            },
            &connect(version),
        );
        effects.connect();
    }
}

//= mqtt5:GW-MQTT-02
//= mqtt5:GW-MQTT-20
//= mqtt5:3.1.2-3
//= mqtt5:3.1.4-1
//= mqtt311:3.1.2-3
//= mqtt311:3.1.4-1
//= mqtt5:3.1.4-2
#[test]
fn a_malformed_connect_is_answered_in_5_0_and_closed_silently_before() {
    // Reserved flag; a byte too many; a client identifier that runs past the end.
    for (v311, v5) in [
        (
            "10 0d 00 04 4d 51 54 54 04 03 00 00 00 01 63",
            "10 0e 00 04 4d 51 54 54 05 03 00 00 00 00 01 63",
        ),
        (
            "10 0e 00 04 4d 51 54 54 04 02 00 00 00 01 63 00",
            "10 0f 00 04 4d 51 54 54 05 02 00 00 00 00 01 63 00",
        ),
        (
            "10 0d 00 04 4d 51 54 54 04 02 00 00 00 02 63",
            "10 0e 00 04 4d 51 54 54 05 02 00 00 00 00 02 63",
        ),
    ] {
        assert_closed_silently(&Peer::fresh(Version::V311, |_| {}).send_hex(v311));
        let effects = Peer::fresh(Version::V5, |_| {}).send_hex(v5);
        assert_refused(&effects, ReasonCode::MALFORMED_PACKET);
    }
}

//= mqtt5:GW-MQTT-03
#[test]
fn a_connect_above_the_limit_is_refused_before_it_is_read() {
    let small = |config: &mut MqttConfig| config.max_connect_size = 128;
    let id = "i".repeat(200);
    for version in Version::ALL {
        let mut bytes = Vec::new();
        let connect = Connect { client_id: &id, ..connect(version) };
        encode(&Packet::Connect(Box::new(connect)), version, &mut bytes).unwrap();
        let effects = Peer::fresh(version, small).send_bytes(&bytes[..16]);
        match version {
            Version::V5 => assert_refused(&effects, ReasonCode::PACKET_TOO_LARGE),
            _ => assert_closed_silently(&effects),
        }
    }
}

//= mqtt311:3.1.3-7
//= mqtt311:3.1.3-8
//= mqtt311:3.1.3-9
//= mqtt311:3.2.2-4
//= mqtt311:3.2.2-5
#[test]
fn an_empty_client_identifier_without_clean_session_is_rejected() {
    let empty = Connect { client_id: "", clean_start: false, ..connect(Version::V311) };
    let (peer, effects) = send_to(|_| {}, &empty);
    assert_eq!(effects.bytes, [0x20, 2, 0, 2]);
    assert_refused(&effects, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
    assert!(!peer.link.is_ready());
    // 3.1 has no empty identifiers at all.
    let (_, effects) = send_to(|_| {}, &Connect { client_id: "", ..connect(Version::V31) });
    assert_eq!(effects.bytes, [0x20, 2, 0, 2]);
}

//= mqtt5:3.2.2-12
//= mqtt5:3.2.2-13
//= mqtt311:3.2.2-6
#[test]
fn a_will_that_the_server_cannot_keep_is_refused() {
    type Change = fn(&mut MqttConfig);
    let cases: [(&str, Change, ReasonCode); 5] = [
        ("w", |c| c.max_qos = 1, ReasonCode::QOS_NOT_SUPPORTED),
        ("w", |c| c.retain_available = false, ReasonCode::RETAIN_NOT_SUPPORTED),
        ("$SYS/w", |_| {}, ReasonCode::NOT_AUTHORIZED),
        ("$share/g/w", |_| {}, ReasonCode::TOPIC_NAME_INVALID),
        ("w\u{7}", |c| c.reject_control_characters = true, ReasonCode::MALFORMED_PACKET),
    ];
    for (topic, config, reason) in cases {
        let v5 = Connect { will: Some(will(topic)), ..connect(Version::V5) };
        assert_refused(&send_to(config, &v5).1, reason);
        let v311 = Connect { will: Some(will(topic)), ..connect(Version::V311) };
        let effects = send_to(config, &v311).1;
        match reason.connect_return_code() {
            Some(code) => assert_eq!(effects.bytes, [0x20, 2, 0, code]),
            None => assert_closed_silently(&effects),
        }
        send_to(|_| {}, &Connect { will: Some(will("w")), ..v5 }).1.connect();
    }
}

#[test]
fn a_will_that_claims_to_be_text_is_checked_if_configured() {
    let properties =
        WillProperties { payload_format_utf8: Some(true), ..WillProperties::default() };
    let text = Connect { will: Some(Will { properties, ..will("w") }), ..connect(Version::V5) };
    let (_, effects) = send_to(|config| config.check_payload_format = true, &text);
    assert_refused(&effects, ReasonCode::PAYLOAD_FORMAT_INVALID);
    send_to(|_| {}, &text).1.connect();
}

//= mqtt5:GW-MQTT-21
#[test]
fn control_characters_are_refused_only_if_configured() {
    let odd = [
        Connect { client_id: "a\u{1}", ..connect(Version::V5) },
        Connect { user_name: Some("a\u{9f}"), ..connect(Version::V5) },
    ];
    for connect in &odd {
        let (_, effects) = send_to(|config| config.reject_control_characters = true, connect);
        assert_refused(&effects, ReasonCode::MALFORMED_PACKET);
        send_to(|_| {}, connect).1.connect();
    }
}

//= mqtt5:3.1.3-8
//= mqtt5:3.1.4-2
//= mqtt5:3.2.2-6
//= mqtt5:3.2.2-7
//= mqtt5:3.2.2-8
//= mqtt311:3.2.2-4
//= mqtt311:3.2.2-5
//= mqtt311:3.2.2-6
#[test]
fn cores_refusal_is_told_in_the_terms_of_the_version() {
    for (reason, v5, v311) in [
        (Reason::BAD_CREDENTIALS, 0x86, Some(4)),
        (Reason::NOT_AUTHORIZED, 0x87, Some(5)),
        (Reason::BANNED, 0x8a, Some(5)),
        (Reason::CLIENT_ID_NOT_VALID, 0x85, Some(2)),
        (Reason::SERVER_UNAVAILABLE, 0x88, Some(3)),
        (Reason::SERVER_BUSY, 0x89, Some(3)),
        (Reason::QUOTA_EXCEEDED, 0x97, Some(3)),
        (Reason::CONNECTION_RATE_EXCEEDED, 0x9f, Some(3)),
        (Reason::BAD_AUTHENTICATION_METHOD, 0x8c, Some(4)),
        (Reason::IMPLEMENTATION_SPECIFIC, 0x83, None),
        // Not a code of CONNACK.
        (Reason::SESSION_TAKEN_OVER, 0x80, None),
    ] {
        for version in Version::ALL {
            let (mut peer, _) = send_to(|_| {}, &connect(version));
            let effects = peer.event(Event::Refused { reason, server_reference: None });
            match (version, v311) {
                (Version::V5, _) => assert_refused(&effects, ReasonCode::new(v5)),
                (_, Some(code)) => assert_eq!(effects.bytes, [0x20, 2, 0, code]),
                (_, None) => assert_closed_silently(&effects),
            }
            assert_eq!(effects.close, Some(Close::Flush(reason)));
            assert!(effects.operations.is_empty());
            assert!(!peer.link.is_ready());
            assert!(peer.event(connected()).is_nothing(), "one CONNACK at most");
        }
    }
}

//= mqtt5:3.1.4-6
//= mqtt311:3.1.4-5
#[test]
fn nothing_is_read_after_a_refusal() {
    let (mut peer, _) = send_to(|_| {}, &connect(Version::V311));
    peer.event(Event::Refused { reason: Reason::NOT_AUTHORIZED, server_reference: None });
    let effects = peer.send(&Packet::Publish(publish(QoS::AtMostOnce, 0)));
    assert!(effects.is_nothing());
    assert!(effects.unread > 0);
    let effects = peer.call(|link, context| link.on_close(Reason::UNSPECIFIED, context));
    assert!(effects.is_nothing(), "core has no session for it");
}

#[test]
fn another_server_is_named() {
    let (mut peer, _) = send_to(|_| {}, &connect(Version::V5));
    let effects = peer.event(Event::Refused {
        reason: Reason::SERVER_MOVED,
        server_reference: Some("elsewhere:1883".into()),
    });
    assert_refused(&effects, ReasonCode::SERVER_MOVED);
    assert_eq!(connack(&effects).properties.server_reference, Some("elsewhere:1883"));
}

//= mqtt5:3.2.2-19
//= mqtt5:3.2.2-20
//= mqtt5:3.1.2-24
#[test]
fn the_reason_string_is_left_out_if_it_is_not_wanted_or_does_not_fit() {
    let refused = |properties: ConnectProperties<'_>| {
        let connect = Connect { will: Some(will("w")), ..connect_with(properties) };
        send_to(|config| config.max_qos = 0, &connect).1
    };
    let effects = refused(ConnectProperties::default());
    assert!(connack(&effects).properties.reason_string.unwrap().contains("QoS"));

    let quiet = ConnectProperties {
        request_problem_information: Some(false),
        ..ConnectProperties::default()
    };
    assert_eq!(connack(&refused(quiet)).properties.reason_string, None);

    let whole = effects.bytes.len() as u32;
    for (size, is_told) in [(whole, true), (whole - 1, false), (6, false)] {
        let effects = refused(ConnectProperties {
            max_packet_size: Some(size),
            ..ConnectProperties::default()
        });
        assert_refused(&effects, ReasonCode::QOS_NOT_SUPPORTED);
        assert_eq!(connack(&effects).properties.reason_string.is_some(), is_told, "{size}");
        assert!(effects.bytes.len() <= size as usize);
    }
}

//= mqtt5:3.1.2-24
#[test]
fn a_client_that_takes_no_packets_is_refused_within_its_limit() {
    let tiny = |size| {
        let properties =
            ConnectProperties { max_packet_size: Some(size), ..ConnectProperties::default() };
        send_to(|_| {}, &connect_with(properties)).1
    };
    assert_refused(&tiny(5), ReasonCode::PACKET_TOO_LARGE);
    assert_closed_silently(&tiny(4));
    tiny(6).connect();
}

//= mqtt5:3.14.0-1
#[test]
fn a_link_that_ends_before_connack_tells_core() {
    for version in Version::ALL {
        let (mut peer, _) = send_to(|_| {}, &connect(version));
        let effects = peer.call(|link, context| link.on_close(Reason::UNSPECIFIED, context));
        assert_eq!(effects.disconnect().cause, DisconnectCause::Lost(Reason::UNSPECIFIED));
        assert!(peer.event(connected()).is_nothing());
    }
    let mut fresh = Peer::fresh(Version::V5, |_| {});
    assert!(fresh.call(|link, context| link.on_close(Reason::UNSPECIFIED, context)).is_nothing());
}

//= mqtt5:3.14.0-1
//= mqtt5:GW-MQTT-22
#[test]
fn a_server_that_stops_or_does_not_answer_refuses() {
    for version in Version::ALL {
        let (mut peer, _) = send_to(|_| {}, &connect(version));
        let effects = peer.event(Event::Draining);
        assert_eq!(connack(&effects).reason, ReasonCode::SERVER_UNAVAILABLE);
        let lost = DisconnectCause::Lost(Reason::SERVER_SHUTTING_DOWN);
        assert_eq!(effects.disconnect().cause, lost);

        let (mut peer, _) = send_to(|_| {}, &connect(version));
        peer.wait_s(10);
        let effects = peer.tick();
        assert_eq!(connack(&effects).reason, ReasonCode::SERVER_UNAVAILABLE);
        let lost = DisconnectCause::Lost(Reason::SERVER_UNAVAILABLE);
        assert_eq!(effects.disconnect().cause, lost);
        assert!(peer.event(connected()).is_nothing());

        let mut fresh = Peer::fresh(version, |_| {});
        assert_closed_silently(&fresh.event(Event::Draining));

        let (mut peer, _) = send_to(|_| {}, &connect(version));
        let effects = peer.event(Event::Kicked { reason: Reason::BANNED, server_reference: None });
        assert!(matches!(connack(&effects).reason.value(), 0x8a | 0x87));
        assert!(effects.operations.is_empty() && effects.close.is_some());
    }
}

#[test]
fn secrets_are_in_no_answer() {
    let connect = Connect {
        user_name: Some("ada"),
        password: Some(Secret(b"s3cret")),
        client_id: "a\u{1}",
        ..connect(Version::V5)
    };
    let (_, effects) = send_to(|config| config.reject_control_characters = true, &connect);
    let text = String::from_utf8_lossy(&effects.bytes).into_owned();
    assert!(!text.contains("s3cret") && !text.contains("ada"), "{text}");
}
