//! A CONNECT that the gateway lets through to core.

use codec_mqtt::{Connect, Packet, QoS, Secret, Version, Will, WillProperties};
use core_model::{Expiry, Operation};
use gateway_mqtt::GATEWAY_ID;

use crate::harness::{Peer, connect, connected, publish};

fn send(connect: &Connect<'_>) -> (Peer, crate::harness::Effects) {
    let mut peer = Peer::fresh(connect.version, |_| {});
    let effects = peer.send(&Packet::Connect(Box::new(*connect)));
    assert!(effects.bytes.is_empty() && effects.close.is_none(), "{effects:?}");
    (peer, effects)
}

//= mqtt5:3.1.2-5
//= mqtt5:3.1.2-6
//= mqtt5:3.1.2-7
//= mqtt5:3.1.2-9
//= mqtt5:3.1.2-15
//= mqtt5:3.1.2-23
//= mqtt5:3.1.3-2
#[test]
fn everything_in_a_connect_of_5_0_reaches_core() {
    let mut peer = Peer::fresh(Version::V5, |_| {});
    let effects = peer.send_hex(
        "10 31 00 04 4d 51 54 54 05 2c 00 1e 0b 11 00 00 0e 10 21 00 0a 22 00 05 00 04 64 65 76 31
         0a 18 00 00 00 05 02 00 00 00 3c 00 03 77 2f 74 00 03 62 79 65",
    );
    let connect = effects.connect();
    assert_eq!(connect.gateway, GATEWAY_ID);
    assert_eq!(&*connect.client_id, "dev1");
    assert!(!connect.clean_start);
    assert_eq!(connect.expiry, Expiry::After(3600));
    assert_eq!(connect.receive_max, 10);
    assert!(!connect.may_retransmit && !connect.may_requeue);
    assert_eq!(&*connect.mountpoint, "city/");
    let will = connect.will.as_ref().unwrap();
    assert_eq!((will.delay_s, will.expiry_s), (5, Some(60)));
    assert_eq!((will.message.topic(), will.message.payload()), ("w/t", &b"bye"[..]));
    assert_eq!(will.message.qos(), core_model::QoS::AtLeastOnce);
    assert!(will.message.retain());
    assert_eq!(will.message.expires_at(), None, "its expiry starts when it is published");
}

#[test]
fn core_is_told_where_the_client_comes_from_and_what_it_shows() {
    let (_, effects) = send(&Connect {
        user_name: Some("ada"),
        password: Some(Secret(b"pw")),
        ..connect(Version::V311)
    });
    let evidence = &effects.connect().evidence;
    assert_eq!(&*evidence.listener, "front");
    assert!(evidence.allow_anonymous);
    assert_eq!(evidence.peer, Some("192.0.2.7:4711".parse().unwrap()));
    assert_eq!(evidence.user.as_deref(), Some("ada"));
    assert_eq!(evidence.password.as_ref().unwrap().expose(), b"pw");
    assert_eq!((&evidence.method, &evidence.data), (&None, &None));
    assert!(!format!("{effects:?}").contains("112, 119"), "the password is never shown");
}

//= mqtt5:3.1.2-18
//= mqtt5:3.1.2-19
#[test]
fn a_password_without_a_user_name_is_legal_in_5_0() {
    let (_, effects) = send(&Connect { password: Some(Secret(b"token")), ..connect(Version::V5) });
    let evidence = &effects.connect().evidence;
    assert_eq!(evidence.user, None);
    assert_eq!(evidence.password.as_ref().unwrap().expose(), b"token");
}

//= mqtt5:3.1.2-4
//= mqtt311:3.1.4-3
//= mqtt5:3.1.4-4
//= mqtt311:3.1.2-4
//= mqtt311:3.1.2-6
#[test]
fn clean_session_means_clean_start_and_a_session_that_ends_with_the_link() {
    for version in [Version::V31, Version::V311] {
        let (_, clean) = send(&connect(version));
        assert!(clean.connect().clean_start);
        assert_eq!(clean.connect().expiry, Expiry::WithLink);
        let (_, kept) = send(&Connect { clean_start: false, ..connect(version) });
        assert!(!kept.connect().clean_start);
        assert_eq!(kept.connect().expiry, Expiry::Never);
        assert_eq!(kept.connect().receive_max, u16::MAX);
    }
    let (_, v5) = send(&connect(Version::V5));
    assert!(v5.connect().clean_start);
    assert_eq!(v5.connect().expiry, Expiry::WithLink);
    assert_eq!(v5.connect().receive_max, u16::MAX);
}

//= mqtt5:4.4.0-1
//= mqtt311:4.4.0-1
#[test]
fn core_may_repeat_deliveries_on_the_same_link_before_5_0_only() {
    assert!(send(&connect(Version::V311)).1.connect().may_retransmit);
    assert!(!send(&connect(Version::V5)).1.connect().may_retransmit);
}

//= mqtt5:3.1.3-5
//= mqtt311:3.1.3-5
//= mqtt311:3.1.3-2
#[test]
fn client_identifiers_of_1_to_23_letters_and_digits_and_longer_ones_are_taken() {
    let long = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".repeat(3);
    for version in Version::ALL {
        for client_id in ["a", &long[..23], &long[23..46], &long[40..62], &long, "ünï /+#"] {
            let (_, effects) = send(&Connect { client_id, ..connect(version) });
            assert_eq!(&*effects.connect().client_id, client_id);
        }
    }
}

//= mqtt5:3.1.3-6
//= mqtt311:3.1.3-6
#[test]
fn an_empty_client_identifier_is_left_to_core() {
    for (version, clean_start) in [(Version::V311, true), (Version::V5, true), (Version::V5, false)]
    {
        let (_, effects) = send(&Connect { client_id: "", clean_start, ..connect(version) });
        assert_eq!(&*effects.connect().client_id, "");
        assert!(effects.connect().key().is_none());
    }
}

//= mqtt5:3.1.3-10
//= mqtt5:3.1.2-14
//= mqtt311:3.1.2-8
//= mqtt311:3.1.2-16
//= mqtt311:3.1.2-17
#[test]
fn a_will_keeps_its_properties_and_their_order() {
    let pairs = [("b", "1"), ("a", "2"), ("b", "3")];
    let will = Will {
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "w",
        payload: b"",
        properties: WillProperties {
            payload_format_utf8: Some(true),
            content_type: Some("text/plain"),
            response_topic: Some("answer"),
            correlation_data: Some(b"\x01\x02"),
            user_properties: (&pairs).into(),
            ..WillProperties::default()
        },
    };
    let (_, effects) = send(&Connect { will: Some(will), ..connect(Version::V5) });
    let core_will = effects.connect().will.as_ref().unwrap();
    assert_eq!((core_will.delay_s, core_will.expiry_s), (0, None));
    let message = core_will.message.view();
    assert_eq!(message.qos, core_model::QoS::ExactlyOnce);
    assert!(!message.retain);
    let properties = message.properties;
    assert_eq!(properties.payload_format_utf8, Some(true));
    assert_eq!(properties.content_type, Some("text/plain"));
    assert_eq!(properties.response_topic, Some("answer"));
    assert_eq!(properties.correlation_data, Some(&b"\x01\x02"[..]));
    assert_eq!(properties.user.iter().collect::<Vec<_>>(), pairs);

    let will = Will { retain: true, properties: WillProperties::default(), ..will };
    let (_, effects) = send(&Connect { will: Some(will), ..connect(Version::V311) });
    assert!(effects.connect().will.as_ref().unwrap().message.retain());
}

//= mqtt311:3.1.2-12
#[test]
fn without_will_flag_core_gets_no_will() {
    for version in Version::ALL {
        assert!(send(&connect(version)).1.connect().will.is_none());
    }
}

//= mqtt5:3.1.4-6
//= mqtt311:3.1.4-5
//= mqtt5:3.2.0-1
//= mqtt311:3.2.0-1
#[test]
fn what_comes_before_connack_waits_for_it() {
    for version in Version::ALL {
        let mut peer = Peer::fresh(version, |_| {});
        let mut bytes = Vec::new();
        for packet in [
            Packet::Connect(Box::new(connect(version))),
            Packet::Publish(publish(QoS::AtMostOnce, 0)),
            Packet::Pingreq,
        ] {
            codec_mqtt::encode(&packet, version, &mut bytes).unwrap();
        }
        let effects = peer.send_bytes(&bytes);
        effects.connect();
        assert!(effects.bytes.is_empty());
        assert!(!peer.link.is_ready());
        let rest = bytes.split_off(bytes.len() - effects.unread);

        let accepted = peer.event(connected());
        assert!(matches!(accepted.packet(), Packet::Connack(_)));
        assert!(accepted.operations.is_empty());
        assert!(peer.link.is_ready());
        let effects = peer.send_bytes(&rest);
        assert_eq!(effects.unread, 0);
        assert!(matches!(effects.operation(), Operation::Publish(_)));
        assert_eq!(effects.packet(), Packet::Pingresp);
    }
}
