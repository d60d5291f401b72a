//! The end of a link.

use codec_mqtt::{
    ConnectProperties, Disconnect, DisconnectProperties, Packet, QoS, ReasonCode, Version,
};
use core_model::{DisconnectCause, Event, Expiry, Message, MessageRef, Reason};
use gateway_host::Close;

use crate::harness::{Effects, Peer, connect_with, connected, delivery, publish};

fn goodbye(reason: ReasonCode, session_expiry_s: Option<u32>) -> Packet<'static> {
    let properties = DisconnectProperties { session_expiry_s, ..DisconnectProperties::default() };
    Packet::Disconnect(Disconnect { reason, properties })
}

/// A client of 5.0 with a session expiry of `seconds`.
fn lasting(seconds: u32) -> Peer {
    let properties =
        ConnectProperties { session_expiry_s: Some(seconds), ..ConnectProperties::default() };
    Peer::connected_to(Version::V5, |_| {}, &connect_with(properties))
}

fn told(effects: &Effects) -> Disconnect<'_> {
    let Packet::Disconnect(disconnect) = effects.packet() else { panic!("{effects:?}") };
    disconnect
}

//= mqtt5:3.1.2-10
//= mqtt5:3.14.4-3
//= mqtt311:3.1.2-10
//= mqtt311:3.14.4-3
#[test]
fn a_normal_disconnect_is_a_farewell() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        let effects = peer.send(&goodbye(ReasonCode::SUCCESS, None));
        assert!(effects.bytes.is_empty());
        assert_eq!(effects.disconnect().cause, DisconnectCause::Farewell);
        assert_eq!(effects.disconnect().expiry, None);
        assert_eq!(effects.close, Some(Close::Flush(Reason::SUCCESS)));
        assert!(!peer.link.is_ready());
        let effects = peer.call(|link, context| link.on_close(Reason::UNSPECIFIED, context));
        assert!(effects.is_nothing(), "core was told before");
    }
}

//= mqtt5:3.1.2-8
#[test]
fn any_other_disconnect_wants_the_will() {
    let cause =
        |reason| Peer::connected(Version::V5).send(&goodbye(reason, None)).disconnect().cause;
    let with_will = ReasonCode::DISCONNECT_WITH_WILL_MESSAGE;
    assert_eq!(cause(with_will), DisconnectCause::FarewellWithWill);
    for (code, reason) in [
        (ReasonCode::UNSPECIFIED_ERROR, Reason::UNSPECIFIED),
        (ReasonCode::ADMINISTRATIVE_ACTION, Reason::ADMINISTRATIVE_ACTION),
    ] {
        assert_eq!(cause(code), DisconnectCause::Lost(reason));
    }
}

//= mqtt5:GW-MQTT-19
#[test]
fn a_disconnect_may_change_a_session_expiry_but_not_begin_one() {
    for (asked, told, expected) in [
        (60, 0, Expiry::WithLink),
        (60, 5, Expiry::After(5)),
        (60, 3600, Expiry::After(3600)),
        (60, u32::MAX, Expiry::Never),
        (0, 0, Expiry::WithLink),
    ] {
        let effects = lasting(asked).send(&goodbye(ReasonCode::SUCCESS, Some(told)));
        assert_eq!(effects.disconnect().expiry, Some(expected));
        assert_eq!(effects.disconnect().cause, DisconnectCause::Farewell);
    }
    for mut peer in [lasting(0), Peer::connected(Version::V5)] {
        let effects = peer.send(&goodbye(ReasonCode::SUCCESS, Some(1)));
        effects.assert_fails(Reason::PROTOCOL_ERROR);
        assert_eq!(effects.disconnect().expiry, None);
    }
}

#[test]
fn a_client_names_no_other_server() {
    let properties = DisconnectProperties {
        server_reference: Some("elsewhere"),
        ..DisconnectProperties::default()
    };
    let packet = Packet::Disconnect(Disconnect { reason: ReasonCode::SUCCESS, properties });
    Peer::connected(Version::V5).send(&packet).assert_fails(Reason::PROTOCOL_ERROR);
}

//= mqtt5:3.1.2-8
//= mqtt311:3.1.2-8
#[test]
fn a_link_that_breaks_is_lost() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        let effects = peer.call(|link, context| link.on_close(Reason::UNSPECIFIED, context));
        assert_eq!(effects.disconnect().cause, DisconnectCause::Lost(Reason::UNSPECIFIED));
        assert!(effects.bytes.is_empty());
        assert!(!peer.link.is_ready());
    }
}

//= mqtt5:3.1.4-3
//= mqtt311:3.1.4-2
//= mqtt5:3.14.2-1
//= mqtt5:3.14.2-2
//= mqtt5:GW-MQTT-22
#[test]
fn a_client_that_core_drops_is_told_why() {
    for (reason, code) in [
        (Reason::SESSION_TAKEN_OVER, 0x8e),
        (Reason::ADMINISTRATIVE_ACTION, 0x98),
        (Reason::NOT_AUTHORIZED, 0x87),
        (Reason::BANNED, 0x98),
        (Reason::BAD_CREDENTIALS, 0x87),
        (Reason::SERVER_UNAVAILABLE, 0x80),
    ] {
        for version in Version::ALL {
            let mut peer = Peer::connected(version);
            let effects = peer.event(Event::Kicked { reason, server_reference: None });
            assert!(effects.operations.is_empty(), "core has let go already");
            assert_eq!(effects.close, Some(Close::Flush(reason)));
            match version {
                Version::V5 => {
                    assert_eq!(told(&effects).reason.value(), code);
                    assert_eq!(told(&effects).properties, DisconnectProperties::default());
                }
                _ => assert!(effects.bytes.is_empty()),
            }
            let effects = peer.call(|link, context| link.on_close(reason, context));
            assert!(effects.is_nothing());
        }
    }
}

#[test]
fn a_client_that_is_sent_elsewhere_is_told_where() {
    let kicked = || Event::Kicked {
        reason: Reason::USE_ANOTHER_SERVER,
        server_reference: Some("one.example:1883 two.example".into()),
    };
    let mut peer = Peer::connected(Version::V5);
    let effects = peer.event(kicked());
    assert_eq!(told(&effects).reason, ReasonCode::USE_ANOTHER_SERVER);
    let reference = told(&effects).properties.server_reference;
    assert_eq!(reference, Some("one.example:1883 two.example"));
    assert!(Peer::connected(Version::V311).event(kicked()).bytes.is_empty());
}

//= mqtt5:GW-MQTT-22
#[test]
fn a_server_that_stops_says_so() {
    for version in Version::ALL {
        Peer::connected(version).event(Event::Draining).assert_fails(Reason::SERVER_SHUTTING_DOWN);
    }
}

//= mqtt5:3.14.4-1
//= mqtt5:3.14.4-2
//= mqtt5:4.13.2-1
#[test]
fn nothing_follows_the_end() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, 1)));
        let ended = peer.event(Event::Draining);
        assert!(ended.close.is_some());
        let message = Message::new("t", b"");
        for event in [
            Event::Deliver(delivery(MessageRef::View(&message))),
            Event::Draining,
            connected(),
            Event::Kicked { reason: Reason::BANNED, server_reference: None },
        ] {
            assert!(peer.event(event).is_nothing());
        }
        assert!(peer.send(&Packet::Pingreq).is_nothing());
        peer.wait_s(1_000_000);
        assert!(peer.tick().is_nothing());
        assert!(peer.call(|link, context| link.on_backpressure(true, context)).is_nothing());
    }
}

//= mqtt5:3.14.2-3
//= mqtt5:3.14.2-4
#[test]
fn a_reason_string_is_sent_if_it_is_wanted_and_fits() {
    let failing = |properties: ConnectProperties<'_>| {
        let mut peer = Peer::connected_to(Version::V5, |_| {}, &connect_with(properties));
        peer.send_hex("20 03 00 00 00")
    };
    let effects = failing(ConnectProperties::default());
    let text = told(&effects).properties.reason_string.unwrap();
    assert!(text.contains("server"), "{text}");
    let whole = effects.bytes.len() as u32;
    for (size, is_told) in [(whole, true), (whole - 1, false)] {
        let effects = failing(ConnectProperties {
            max_packet_size: Some(size),
            ..ConnectProperties::default()
        });
        effects.assert_fails(Reason::PROTOCOL_ERROR);
        assert_eq!(told(&effects).properties.reason_string.is_some(), is_told);
    }
    let quiet = ConnectProperties {
        request_problem_information: Some(false),
        ..ConnectProperties::default()
    };
    assert_eq!(failing(quiet).bytes, [0xe0, 2, 0x82, 0]);
}
