//! What the client does not answer is sent again, a few times.

use codec_mqttsn::{Packet, Register, TopicId};
use core_model::{DisconnectCause, Event, Operation, Outcome, Reason};

use crate::harness::{Effects, Peer, ack, connect, deliver};

fn peer() -> Peer {
    let change = |config: &mut gateway_mqttsn::MqttSnConfig| {
        config.t_retry_s = 10;
        config.n_retry = 2;
    };
    Peer::connected_to(change, &codec_mqttsn::Connect { duration_s: 0, ..connect() })
}

/// The packet that is sent again after the time for it, and only then.
fn again(peer: &mut Peer) -> Effects {
    peer.wait_ms(9_999);
    assert!(peer.tick().is_nothing());
    peer.wait_ms(1);
    peer.tick()
}

fn assert_given_up(peer: &mut Peer) {
    let effects = again(peer);
    assert_eq!(effects.packet(), Packet::Disconnect(None));
    assert!(matches!(effects.disconnected(), DisconnectCause::Lost(_)));
    assert!(effects.close.is_some());
    assert_eq!(peer.link.next_deadline(), None);
}

//= mqttsn:GW-SN-28
#[test]
fn publish_is_repeated_as_a_duplicate() {
    for qos in [1, 2] {
        let mut peer = peer();
        let id = peer.subscribe("t/a");
        assert!(!deliver(&mut peer, "t/a", qos, 7).publish().dup);
        for _ in 0..2 {
            let effects = again(&mut peer);
            let publish = effects.publish();
            assert_eq!((publish.dup, publish.msg_id), (true, 7));
            assert_eq!((publish.topic_id, publish.data), (TopicId::Normal(id), &b"hi"[..]));
        }
        assert_given_up(&mut peer);
    }
}

//= mqttsn:GW-SN-28
#[test]
fn register_is_repeated() {
    let mut peer = peer();
    let register = Packet::Register(Register { topic_id: 1, msg_id: 1, topic_name: "t/a" });
    assert_eq!(deliver(&mut peer, "t/a", 0, 0).packet(), register);
    assert_eq!(again(&mut peer).only_packet(), register);
    assert_eq!(again(&mut peer).only_packet(), register);
    assert_given_up(&mut peer);
}

//= mqttsn:GW-SN-28
#[test]
fn pubrel_is_repeated_but_not_before_core_knows_of_the_receipt() {
    let mut peer = peer();
    peer.subscribe("t/a");
    deliver(&mut peer, "t/a", 2, 7);
    let effects = peer.send(&Packet::Pubrec(7));
    assert_eq!(effects.settled(), [(7, Outcome::Received)]);
    peer.wait_s(1_000);
    assert!(peer.tick().is_nothing(), "it is core's turn");
    assert!(peer.send(&Packet::Pubrec(7)).is_nothing());
    let release = Event::Release { handle: 7, reason: Reason::SUCCESS };
    assert_eq!(peer.event(release).only_packet(), Packet::Pubrel(7));
    assert_eq!(again(&mut peer).only_packet(), Packet::Pubrel(7));
    assert_eq!(peer.send(&Packet::Pubrec(7)).only_packet(), Packet::Pubrel(7));
    let effects = peer.send(&Packet::Pubcomp(7));
    assert_eq!(effects.settled(), [(7, Outcome::Accepted)]);
    assert_eq!(peer.link.next_deadline(), None);
}

//= mqttsn:GW-SN-28
#[test]
fn an_answer_ends_the_repetitions() {
    let mut peer = peer();
    let id = peer.subscribe("t/a");
    deliver(&mut peer, "t/a", 1, 7);
    again(&mut peer).publish();
    peer.send(&Packet::Puback(ack(id, 7, 0)));
    peer.wait_s(1_000);
    assert!(peer.tick().is_nothing());
    // The next message has all its tries.
    deliver(&mut peer, "t/a", 1, 8);
    again(&mut peer).publish();
    again(&mut peer).publish();
    assert_given_up(&mut peer);
}

//= mqttsn:GW-SN-28
#[test]
fn a_congested_client_gets_more_time() {
    let mut peer = peer();
    let id = peer.subscribe("t/a");
    deliver(&mut peer, "t/a", 1, 7);
    for _ in 0..5 {
        peer.wait_s(5);
        assert!(peer.send(&Packet::Puback(ack(id, 7, 1))).is_nothing());
        assert!(again(&mut peer).publish().dup);
    }
    again(&mut peer).publish();
    assert_given_up(&mut peer);
}

//= mqttsn:GW-SN-16
#[test]
fn a_release_of_a_session_that_is_resumed_comes_first() {
    let mut peer = peer();
    peer.subscribe("t/a");
    let release = || Event::Release { handle: 5, reason: Reason::SUCCESS };
    assert_eq!(peer.event(release()).only_packet(), Packet::Pubrel(5));
    assert!(peer.event(release()).is_nothing());
    assert!(deliver(&mut peer, "t/a", 1, 6).is_nothing());
    assert_eq!(again(&mut peer).only_packet(), Packet::Pubrel(5));
    let effects = peer.send(&Packet::Pubcomp(5));
    assert_eq!(effects.settled(), [(5, Outcome::Accepted)]);
    assert_eq!(effects.publish().msg_id, 6);
}

#[test]
fn a_receipt_of_something_unknown_is_cores_to_judge() {
    let mut peer = peer();
    let effects = peer.send(&Packet::Pubrec(9));
    let Operation::Settle { handle: 9, outcome: Outcome::Received } = effects.only_operation()
    else {
        panic!("{effects:?}")
    };
    let reason = Reason::PACKET_ID_NOT_FOUND;
    let effects = peer.event(Event::Release { handle: 9, reason });
    assert_eq!(effects.only_packet(), Packet::Pubrel(9));
    assert_eq!(peer.link.next_deadline(), None, "it is not waited for");
    assert!(peer.send(&Packet::Pubcomp(9)).is_nothing());
}
