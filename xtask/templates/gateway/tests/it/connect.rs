use codec___name__::{Code, Hello, Packet, Secret, Welcome};
use core_model::{
    Connected, Disconnect, DisconnectCause, Event, Expiry, Operation, Reason, Timestamp,
};
use gateway___name__::__Name__Config;
use gateway_host::Close;

use crate::harness::{Effects, HELLO, Peer};

fn fresh() -> Peer {
    Peer::fresh(__Name__Config::default())
}

/// The answer to a client that is not let in.
fn refusal(code: Code) -> Packet<'static> {
    Packet::Welcome(Welcome { code, session_present: false })
}

fn assert_lost(effects: &Effects, reason: Reason) {
    let lost = DisconnectCause::Lost(reason);
    let operation = effects.operation();
    assert!(
        matches!(operation, Operation::Disconnect(Disconnect { cause, .. }) if *cause == lost),
        "{operation:?}"
    );
    assert_eq!(effects.close, Some(Close::Flush(reason)));
}

//= __name__:2-3
#[test]
fn hello_opens_a_session_and_is_answered() {
    let mut peer = fresh();
    let effects = peer.send(&[Packet::Hello(Hello { keep: true, ..HELLO })]);
    let Operation::Connect(connect) = effects.operation() else { panic!("{effects:?}") };
    assert_eq!((&*connect.client_id, connect.clean_start), ("a", false));
    assert_eq!((connect.expiry, &*connect.mountpoint), (Expiry::Never, "city/"));
    assert_eq!(connect.evidence.user.as_deref(), Some("u"));
    assert_eq!(connect.evidence.password.as_ref().unwrap().expose(), b"s3cr");
    assert_eq!(effects.packets(), []);
    let connected = Connected { session_present: true, ..Connected::default() };
    let effects = peer.event(Event::Connected(Box::new(connected)));
    let welcome = Welcome { code: Code::OK, session_present: true };
    assert_eq!(effects.packets(), [Packet::Welcome(welcome)]);
    assert_eq!(effects.close, None);
}

#[test]
fn empty_credentials_are_none() {
    let hello = Hello { user: "", password: Secret(b""), ..HELLO };
    let effects = fresh().send(&[Packet::Hello(hello)]);
    let Operation::Connect(connect) = effects.operation() else { panic!("{effects:?}") };
    assert!(connect.evidence.user.is_none() && connect.evidence.password.is_none());
    assert_eq!((connect.clean_start, connect.expiry), (true, Expiry::WithLink));
}

//= __name__:2-3
//= __name__:1-5
#[test]
fn a_client_that_is_refused_is_told_so() {
    let mut peer = fresh();
    peer.send(&[Packet::Hello(HELLO)]);
    let reason = Reason::BAD_CREDENTIALS;
    let effects = peer.event(Event::Refused { reason, server_reference: None });
    assert_eq!(effects.packets(), [refusal(Code::NOT_AUTHORIZED)]);
    assert_eq!(effects.close, Some(Close::Flush(reason)));
    assert!(effects.operations.is_empty());
}

//= __name__:2-1
#[test]
fn nothing_comes_before_hello() {
    let others = [Packet::Ping, Packet::Pong, Packet::Goodbye(Code::OK), refusal(Code::OK)];
    for packet in others {
        let effects = fresh().send(&[packet]);
        assert_eq!(effects.packets(), [refusal(Code::BAD_PACKET)], "{packet:?}");
        assert_eq!(effects.close, Some(Close::Flush(Reason::PROTOCOL_ERROR)));
        assert!(effects.operations.is_empty());
    }
}

//= __name__:2-1
//= __name__:1-5
#[test]
fn a_client_keeps_to_what_a_client_sends() {
    for packet in [Packet::Hello(HELLO), Packet::Pong, refusal(Code::OK)] {
        let effects = Peer::connected().send(&[packet]);
        assert_eq!(effects.packets(), [Packet::Goodbye(Code::BAD_PACKET)], "{packet:?}");
        assert_lost(&effects, Reason::PROTOCOL_ERROR);
    }
}

//= __name__:1-5
#[test]
fn broken_packets_end_the_link_with_a_reason() {
    let effects = fresh().send_bytes(&[0, 1, 9]);
    assert_eq!(effects.packets(), [refusal(Code::BAD_PACKET)]);
    assert!(effects.operations.is_empty());
    let effects = Peer::connected().send_bytes(&[0, 1, 9]);
    assert_eq!(effects.packets(), [Packet::Goodbye(Code::BAD_PACKET)]);
    assert_lost(&effects, Reason::MALFORMED);
}

#[test]
fn nothing_is_read_before_core_has_answered() {
    let mut peer = fresh();
    let effects = peer.send(&[Packet::Hello(HELLO), Packet::Ping]);
    assert_eq!((effects.unread, effects.operations.len()), (3, 1));
}

#[test]
fn a_client_has_to_connect_in_time() {
    let mut peer = fresh();
    let effects = peer.wait();
    assert_eq!(peer.now, Timestamp::from_millis(1_010_000));
    assert_eq!(effects.close, Some(Close::Flush(Reason::MAXIMUM_CONNECT_TIME)));
    let mut peer = fresh();
    peer.send(&[Packet::Hello(HELLO)]);
    assert_lost(&peer.wait(), Reason::SERVER_UNAVAILABLE);
}

//= __name__:2-4
#[test]
fn a_silent_client_is_gone() {
    let mut peer = Peer::connected();
    peer.now = peer.now.plus_seconds(60);
    assert_eq!(peer.send(&[Packet::Ping]).packets(), [Packet::Pong]);
    // The first deadline was set before the client was heard again.
    assert!(peer.wait().operations.is_empty());
    let effects = peer.wait();
    assert_eq!(peer.now, Timestamp::from_millis(1_150_000));
    assert_eq!(effects.packets(), [Packet::Goodbye(Code::SILENT)]);
    assert_lost(&effects, Reason::KEEP_ALIVE_TIMEOUT);
}

//= __name__:2-5
#[test]
fn goodbye_ends_the_link() {
    let effects = Peer::connected().send(&[Packet::Goodbye(Code::OK)]);
    let Operation::Disconnect(disconnect) = effects.operation() else { panic!("{effects:?}") };
    assert_eq!(disconnect.cause, DisconnectCause::Farewell);
    assert_eq!((effects.packets(), effects.close), (vec![], Some(Close::Now(Reason::SUCCESS))));
}

//= __name__:1-5
#[test]
fn a_client_is_told_why_the_server_ends_its_link() {
    let reason = Reason::SESSION_TAKEN_OVER;
    let effects = Peer::connected().event(Event::Kicked { reason, server_reference: None });
    assert_eq!(effects.packets(), [Packet::Goodbye(Code::TAKEN_OVER)]);
    assert!(effects.operations.is_empty(), "core has let go already");
    let effects = Peer::connected().event(Event::Draining);
    assert_eq!(effects.packets(), [Packet::Goodbye(Code::STOPPING)]);
    assert_lost(&effects, Reason::SERVER_SHUTTING_DOWN);
    let effects = fresh().event(Event::Draining);
    assert_eq!(effects.packets(), [refusal(Code::STOPPING)]);
    assert!(effects.operations.is_empty());
}

#[test]
fn a_link_that_breaks_loses_the_session_once() {
    let mut peer = Peer::connected();
    let reason = Reason::UNSPECIFIED;
    let effects = peer.call(|link, context| link.on_close(reason, context));
    assert!(matches!(effects.operation(), Operation::Disconnect(_)));
    let effects = peer.call(|link, context| link.on_close(reason, context));
    assert!(effects.operations.is_empty());
}
