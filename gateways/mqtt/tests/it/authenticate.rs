//! Enhanced authentication, at CONNECT and later.

use codec_mqtt::{
    Auth, AuthProperties, ConnackProperties, Connect, ConnectProperties, Disconnect, Packet, QoS,
    ReasonCode, Secret, Version,
};
use core_model::{Connected, DisconnectCause, Event, Operation, Reason};
use gateway_host::Close;

use crate::harness::{Effects, Peer, connect_with, publish};

const METHOD: &str = "SCRAM-SHA-256";

fn with_method() -> Connect<'static> {
    connect_with(ConnectProperties {
        authentication_method: Some(METHOD),
        authentication_data: Some(Secret(b"first")),
        ..ConnectProperties::default()
    })
}

fn auth<'a>(reason: ReasonCode, method: &'a str, data: &'a [u8]) -> Packet<'a> {
    let properties = AuthProperties {
        authentication_method: Some(method),
        authentication_data: Some(Secret(data)),
        ..AuthProperties::default()
    };
    Packet::Auth(Auth { reason, properties })
}

/// A client that has the server's challenge `data`.
fn challenged(data: &[u8]) -> Peer {
    let mut peer = Peer::fresh(Version::V5, |_| {});
    peer.send(&Packet::Connect(Box::new(with_method()))).connect();
    let effects = peer.event(Event::Challenge { data: data.to_vec() });
    assert_eq!(effects.packet(), auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD, data));
    peer
}

fn accepted(data: Option<&[u8]>) -> Event<'static> {
    Event::Connected(Box::new(Connected {
        authentication_data: data.map(<[u8]>::to_vec),
        ..Connected::default()
    }))
}

/// A client that has authenticated.
fn authenticated() -> Peer {
    let mut peer = challenged(b"challenge");
    peer.send(&auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD, b"answer"));
    let effects = peer.event(accepted(None));
    assert!(matches!(effects.packet(), Packet::Connack(_)));
    peer
}

fn step(effects: &Effects) -> (&str, &[u8]) {
    let Operation::Authenticate { method, data } = effects.operation() else {
        panic!("{effects:?}")
    };
    assert!(effects.bytes.is_empty() && effects.close.is_none());
    (method, data)
}

#[track_caller]
fn assert_refused(effects: &Effects, reason: ReasonCode) {
    let Packet::Connack(connack) = effects.packet() else { panic!("{effects:?}") };
    assert_eq!(connack.reason, reason);
    assert!(matches!(effects.close, Some(Close::Flush(_))));
}

//= mqtt5:4.12.0-2
//= mqtt5:4.12.0-3
//= mqtt5:4.12.0-5
//= mqtt5:3.15.2-1
#[test]
fn rounds_go_on_until_core_is_content() {
    let mut peer = Peer::fresh(Version::V5, |_| {});
    let effects = peer.send(&Packet::Connect(Box::new(with_method())));
    let evidence = &effects.connect().evidence;
    assert_eq!(evidence.method.as_deref(), Some(METHOD));
    assert_eq!(evidence.data.as_deref(), Some(&b"first"[..]));
    for round in [&b"one"[..], b"two"] {
        let effects = peer.event(Event::Challenge { data: round.to_vec() });
        assert_eq!(effects.packet(), auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD, round));
        assert!(peer.link.is_ready());
        let answer = auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD, b"answer");
        assert_eq!(step(&peer.send(&answer)), (METHOD, &b"answer"[..]));
        assert!(!peer.link.is_ready(), "nothing is read while core thinks");
    }
    let effects = peer.event(accepted(Some(b"last")));
    let Packet::Connack(connack) = effects.packet() else { panic!() };
    assert_eq!(connack.reason, ReasonCode::SUCCESS);
    let ConnackProperties { authentication_method, authentication_data, .. } = connack.properties;
    assert_eq!(authentication_method, Some(METHOD));
    assert_eq!(authentication_data, Some(Secret(b"last")));
    peer.send(&Packet::Publish(publish(QoS::AtMostOnce, 0))).publish();
}

//= mqtt5:4.12.0-6
#[test]
fn without_a_method_nothing_is_said_about_authentication() {
    let mut peer = Peer::fresh(Version::V5, |_| {});
    let plain = connect_with(ConnectProperties::default());
    peer.send(&Packet::Connect(Box::new(plain)));
    let effects = peer.event(accepted(Some(b"data")));
    let Packet::Connack(connack) = effects.packet() else { panic!() };
    assert_eq!(connack.properties.authentication_method, None);
    assert_eq!(connack.properties.authentication_data, None);
    assert!(peer.event(Event::Challenge { data: vec![1] }).is_nothing());
    assert!(peer.event(Event::Authenticated { data: None }).is_nothing());
}

//= mqtt5:4.12.0-1
//= mqtt5:4.12.0-4
#[test]
fn a_refusal_at_any_step_is_told_and_closes() {
    let refused = |reason| Event::Refused { reason, server_reference: None };
    let mut peer = Peer::fresh(Version::V5, |_| {});
    peer.send(&Packet::Connect(Box::new(with_method())));
    let effects = peer.event(refused(Reason::BAD_AUTHENTICATION_METHOD));
    assert_refused(&effects, ReasonCode::BAD_AUTHENTICATION_METHOD);
    assert!(effects.operations.is_empty());

    let mut peer = challenged(b"x");
    peer.send(&auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD, b"wrong"));
    let effects = peer.event(refused(Reason::NOT_AUTHORIZED));
    assert_refused(&effects, ReasonCode::NOT_AUTHORIZED);
}

//= mqtt5:3.1.2-30
//= mqtt5:4.12.0-3
//= mqtt5:4.12.0-5
//= mqtt5:3.14.0-1
#[test]
fn anything_but_the_next_step_is_refused_while_authenticating() {
    for packet in [
        Packet::Publish(publish(QoS::AtMostOnce, 0)),
        Packet::Pingreq,
        Packet::Connect(Box::new(with_method())),
        auth(ReasonCode::RE_AUTHENTICATE, METHOD, b""),
        auth(ReasonCode::SUCCESS, METHOD, b""),
        auth(ReasonCode::CONTINUE_AUTHENTICATION, "other", b""),
        Packet::Auth(Auth::default()),
    ] {
        let effects = challenged(b"x").send(&packet);
        assert_refused(&effects, ReasonCode::PROTOCOL_ERROR);
        let lost = DisconnectCause::Lost(Reason::PROTOCOL_ERROR);
        assert_eq!(effects.disconnect().cause, lost);
    }
    let effects = challenged(b"x").send_hex("f0 01");
    assert!(effects.is_nothing());
    let effects = challenged(b"x").send_hex("f1 00");
    assert_refused(&effects, ReasonCode::MALFORMED_PACKET);
    assert_eq!(effects.disconnect().cause, DisconnectCause::Lost(Reason::MALFORMED));
}

#[test]
fn a_client_may_give_up_or_fall_silent_while_authenticating() {
    let mut peer = challenged(b"x");
    let effects = peer.send(&Packet::Disconnect(Disconnect::default()));
    assert!(effects.bytes.is_empty() && effects.close.is_some());
    assert_eq!(effects.disconnect().cause, DisconnectCause::Farewell);

    let mut peer = challenged(b"x");
    peer.wait_s(9);
    assert!(peer.tick().is_nothing());
    peer.wait_s(1);
    let effects = peer.tick();
    assert_refused(&effects, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(effects.disconnect().cause, DisconnectCause::Lost(Reason::NOT_AUTHORIZED));

    let mut peer = challenged(b"x");
    let effects = peer.call(|link, context| link.on_close(Reason::UNSPECIFIED, context));
    assert_eq!(effects.disconnect().cause, DisconnectCause::Lost(Reason::UNSPECIFIED));
}

//= mqtt5:4.12.1-1
//= mqtt5:4.12.0-5
//= mqtt5:3.15.2-1
#[test]
fn a_connected_client_can_authenticate_again_while_traffic_goes_on() {
    let mut peer = authenticated();
    for _ in 0..2 {
        let again = auth(ReasonCode::RE_AUTHENTICATE, METHOD, b"again");
        assert_eq!(step(&peer.send(&again)), (METHOD, &b"again"[..]));
        peer.send(&Packet::Publish(publish(QoS::AtMostOnce, 0))).publish();
        let effects = peer.event(Event::Challenge { data: b"c".to_vec() });
        assert_eq!(effects.packet(), auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD, b"c"));
        assert_eq!(peer.send(&Packet::Pingreq).packet(), Packet::Pingresp);
        let answer = auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD, b"a");
        assert_eq!(step(&peer.send(&answer)), (METHOD, &b"a"[..]));
        let effects = peer.event(Event::Authenticated { data: Some(b"done".to_vec()) });
        assert_eq!(effects.packet(), auth(ReasonCode::SUCCESS, METHOD, b"done"));
    }
}

//= mqtt5:4.12.0-7
//= mqtt5:4.12.1-1
//= mqtt5:GW-MQTT-18
#[test]
fn auth_out_of_turn_or_with_another_method_ends_the_link() {
    let continued = auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD, b"");
    let again = auth(ReasonCode::RE_AUTHENTICATE, METHOD, b"");
    Peer::connected(Version::V5).send(&again).assert_fails(Reason::PROTOCOL_ERROR);
    authenticated().send(&continued).assert_fails(Reason::PROTOCOL_ERROR);
    let other = auth(ReasonCode::RE_AUTHENTICATE, "other", b"");
    authenticated().send(&other).assert_fails(Reason::PROTOCOL_ERROR);
    let mut peer = authenticated();
    step(&peer.send(&again));
    peer.send(&again).assert_fails(Reason::PROTOCOL_ERROR);
    // AUTH without a method.
    authenticated().send_hex("f0 00").assert_fails(Reason::PROTOCOL_ERROR);
    authenticated().send_hex("f0 02 19 00").assert_fails(Reason::PROTOCOL_ERROR);
    // 3.1.1 has no AUTH.
    Peer::connected(Version::V311).send_hex("f0 00").assert_fails(Reason::MALFORMED);
}

//= mqtt5:4.12.1-2
#[test]
fn a_failed_re_authentication_ends_the_link() {
    let mut peer = authenticated();
    peer.send(&auth(ReasonCode::RE_AUTHENTICATE, METHOD, b""));
    let effects =
        peer.event(Event::Refused { reason: Reason::NOT_AUTHORIZED, server_reference: None });
    effects.assert_fails(Reason::NOT_AUTHORIZED);
}

//= mqtt5:3.15.2-2
//= mqtt5:3.15.2-3
//= mqtt5:3.1.2-24
#[test]
fn an_auth_has_no_optional_properties_and_one_that_cannot_fit_refuses() {
    let mut connect = with_method();
    connect.properties.max_packet_size = Some(60);
    let challenge = |len: usize| {
        let mut peer = Peer::fresh(Version::V5, |_| {});
        peer.send(&Packet::Connect(Box::new(connect)));
        peer.event(Event::Challenge { data: vec![7; len] })
    };
    let effects = challenge(37);
    assert_eq!(effects.bytes.len(), 60);
    let Packet::Auth(auth) = effects.packet() else { panic!() };
    assert_eq!(auth.properties.reason_string, None);
    assert!(auth.properties.user_properties.is_empty());
    let effects = challenge(38);
    assert_refused(&effects, ReasonCode::PACKET_TOO_LARGE);
    assert_eq!(effects.disconnect().cause, DisconnectCause::Lost(Reason::PACKET_TOO_LARGE));
}
