//! DISCONNECT with a duration, PINGREQ, and what happens between them.

use codec_mqttsn::{Packet, QoS, Register, ShortName, TopicId};
use core_model::{Credit, DisconnectCause, Event, Operation, Outcome, Reason};

use crate::harness::{Effects, Peer, ack, connect, connected, deliver, publish};

const WAKE: Packet<'static> = Packet::Pingreq(Some("sn1"));

fn demand(effects: &Effects) -> Vec<Credit> {
    let demand = |operation: &Operation<'_>| match operation {
        Operation::Demand(credit) => Some(*credit),
        _ => None,
    };
    effects.operations.iter().filter_map(demand).collect()
}

/// Wakes the client and says, after a while, that there is nothing for it.
fn wake_for_nothing(peer: &mut Peer) {
    assert!(peer.send(&WAKE).frames.is_empty());
    peer.wait_s(1);
    let effects = peer.event(Event::Drained);
    assert_eq!(effects.packet(), Packet::Pingresp);
}

//= mqttsn:GW-SN-23
#[test]
fn an_active_client_is_answered_at_once() {
    let mut peer = Peer::connected();
    assert_eq!(peer.send_hex("0216").only_hex(), "0217");
    assert_eq!(peer.send(&WAKE).only_packet(), Packet::Pingresp);
    assert_eq!(peer.send(&Packet::Pingreq(Some("sn2"))).only_packet(), Packet::Disconnect(None));
}

//= mqttsn:GW-SN-27
#[test]
fn a_client_falls_asleep_by_an_answered_disconnect() {
    let mut peer = Peer::connected();
    let effects = peer.send_hex("0418012c");
    assert_eq!(effects.packet(), Packet::Disconnect(None));
    assert!(effects.close.is_none());
    assert_eq!(demand(&effects), [Credit::None]);
    assert_eq!(effects.operations.len(), 1);
}

//= mqttsn:GW-SN-27
#[test]
fn who_wakes_for_nothing_is_answered_and_sleeps_on() {
    let mut peer = Peer::asleep();
    let effects = peer.send(&WAKE);
    assert!(effects.frames.is_empty());
    assert!(matches!(demand(&effects)[..], [Credit::Messages(1..)]));
    let effects = peer.event(Event::Drained);
    assert_eq!(effects.packet(), Packet::Pingresp);
    assert_eq!(demand(&effects), [Credit::None]);
    assert!(peer.event(Event::Drained).is_nothing());
}

//= mqttsn:GW-SN-27
#[test]
fn who_wakes_gets_one_message_after_the_other() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("t/a");
    peer.send(&Packet::Disconnect(Some(300)));
    assert!(matches!(demand(&peer.send(&WAKE))[..], [Credit::Messages(1)]));
    let effects = deliver(&mut peer, "t/a", 0, 0);
    assert_eq!(effects.publish().qos, QoS::AtMostOnce);
    assert!(matches!(demand(&effects)[..], [Credit::Messages(1)]), "{effects:?}");
    let effects = deliver(&mut peer, "t/a", 1, 7);
    assert_eq!(effects.publish().msg_id, 7);
    assert!(demand(&effects).is_empty(), "not before it is settled: {effects:?}");
    let effects = peer.send(&Packet::Puback(ack(id, 7, 0)));
    assert_eq!(effects.settled(), [(7, Outcome::Accepted)]);
    assert!(matches!(demand(&effects)[..], [Credit::Messages(1)]), "{effects:?}");
    assert!(effects.frames.is_empty(), "core has not said that this was all");
    assert_eq!(peer.event(Event::Drained).packet(), Packet::Pingresp);
}

//= mqttsn:GW-SN-19
//= mqttsn:GW-SN-27
#[test]
fn who_wakes_is_answered_after_what_still_waits_here() {
    let mut peer = Peer::asleep();
    peer.send(&WAKE);
    let effects = deliver(&mut peer, "t/a", 0, 0);
    assert!(matches!(effects.packet(), Packet::Register(_)));
    assert!(peer.event(Event::Drained).is_nothing(), "a REGISTER is not answered");
    let effects = peer.send(&Packet::Regack(ack(1, 1, 0)));
    let packets = effects.packets();
    assert!(matches!(packets[..], [Packet::Publish(_), Packet::Pingresp]), "{packets:?}");
}

//= mqttsn:GW-SN-27
#[test]
fn a_message_after_the_last_one_asks_core_again() {
    let mut peer = Peer::asleep();
    peer.send(&WAKE);
    deliver(&mut peer, "t/a", 0, 0);
    peer.event(Event::Drained);
    assert!(deliver(&mut peer, "t/b", 0, 0).is_nothing(), "the first is under way");
    let effects = peer.send(&Packet::Regack(ack(1, 1, 0)));
    assert!(matches!(effects.packets()[..], [Packet::Publish(_), Packet::Register(_)]));
    let effects = peer.send(&Packet::Regack(ack(2, 2, 0)));
    assert!(matches!(effects.packet(), Packet::Publish(_)));
    assert!(matches!(demand(&effects)[..], [Credit::Messages(1)]), "{effects:?}");
    assert_eq!(peer.event(Event::Drained).packet(), Packet::Pingresp);
}

#[test]
fn what_core_sends_while_the_client_sleeps_waits() {
    let mut peer = Peer::connected();
    peer.subscribe("t/a");
    peer.send(&Packet::Disconnect(Some(300)));
    assert!(deliver(&mut peer, "t/a", 0, 0).is_nothing());
    assert!(deliver(&mut peer, "t/a", 1, 7).is_nothing());
    let packets_of_wake = peer.send(&WAKE);
    let packets = packets_of_wake.packets();
    assert!(matches!(packets[..], [Packet::Publish(_), Packet::Publish(_)]), "{packets:?}");
}

//= mqttsn:GW-SN-26
//= mqttsn:GW-SN-27
#[test]
fn sleep_is_supervised_by_its_duration_from_the_last_answer_on() {
    let mut peer = Peer::asleep();
    peer.wait_s(329);
    assert!(peer.tick().is_nothing());
    wake_for_nothing(&mut peer);
    assert_eq!(peer.link.quiet_until(), Some(peer.now.plus_seconds(330)));
    peer.wait_ms(329_999);
    assert!(peer.tick().is_nothing());
    peer.wait_ms(1);
    let effects = peer.tick();
    assert!(effects.frames.is_empty(), "it would not hear it");
    assert_eq!(effects.disconnected(), DisconnectCause::Lost(Reason::KEEP_ALIVE_TIMEOUT));
    assert!(effects.close.is_some());
}

//= mqttsn:GW-SN-27
#[test]
fn another_duration_begins_another_sleep() {
    let mut peer = Peer::asleep();
    peer.wait_s(100);
    let effects = peer.send(&Packet::Disconnect(Some(10)));
    assert_eq!(effects.packet(), Packet::Disconnect(None));
    assert!(effects.close.is_none());
    assert_eq!(peer.link.quiet_until(), Some(peer.now.plus_seconds(15)));
    peer.send(&WAKE);
    peer.send(&Packet::Disconnect(Some(20)));
    assert_eq!(peer.link.quiet_until(), Some(peer.now.plus_seconds(30)));
    assert!(peer.event(Event::Drained).is_nothing());
}

//= mqttsn:GW-SN-24
//= mqttsn:GW-SN-27
#[test]
fn goodbye_is_said_from_every_state() {
    for duration_s in [None, Some(0)] {
        let mut awake = Peer::asleep();
        awake.send(&WAKE);
        for mut peer in [Peer::connected(), Peer::asleep(), awake] {
            let effects = peer.send(&Packet::Disconnect(duration_s));
            assert_eq!(effects.packet(), Packet::Disconnect(None));
            assert_eq!(effects.disconnected(), DisconnectCause::Farewell);
            assert!(effects.close.is_some());
        }
    }
}

//= mqttsn:GW-SN-27
#[test]
fn a_sleeper_may_come_from_another_address_if_that_is_allowed() {
    let mut peer = Peer::asleep();
    let effects = peer.send_from("192.0.2.7:5000", false, &WAKE);
    assert_eq!(effects.only_packet(), Packet::Disconnect(None));
    assert!(!effects.is_adopted);
    // It sleeps on as before.
    let until = peer.link.quiet_until();
    peer.wait_s(10);
    peer.send_from("192.0.2.7:5000", false, &WAKE);
    assert_eq!(peer.link.quiet_until(), until);
    let effects = peer.send_from("192.0.2.7:5000", true, &WAKE);
    assert!(effects.is_adopted && effects.frames.is_empty());
    assert_eq!(peer.event(Event::Drained).packet(), Packet::Pingresp);
}

#[test]
fn an_active_client_may_move_too() {
    let mut peer = Peer::connected();
    let effects = peer.send_from("192.0.2.7:5000", true, &WAKE);
    assert!(effects.is_adopted);
    assert_eq!(effects.only_packet(), Packet::Pingresp);
}

#[test]
fn only_who_names_the_client_moves_it() {
    let mut peer = Peer::connected();
    let other = Packet::Pingreq(Some("sn2"));
    for packet in [other, Packet::Pingreq(None), Packet::Connect(connect())] {
        let effects = peer.send_from("192.0.2.7:5000", true, &packet);
        assert_eq!(effects.only_packet(), Packet::Disconnect(None));
        assert!(!effects.is_adopted);
    }
    let goodbye = peer.send_from("192.0.2.7:5000", true, &Packet::Disconnect(None));
    assert!(goodbye.is_nothing(), "two who say goodbye would never end");
    let mut peer = Peer::fresh(|_| {});
    peer.send(&Packet::Connect(connect()));
    assert!(!peer.send_from("192.0.2.7:5000", true, &WAKE).is_adopted, "it is not let in yet");
}

//= mqttsn:GW-SN-27
#[test]
fn a_sleeper_may_publish() {
    let mut peer = Peer::asleep();
    peer.wait_s(200);
    let short = TopicId::Short(ShortName::of_topic("ab").unwrap());
    let (ticket, ..) = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, short, 3))).published();
    let effects = peer.event(Event::Published { ticket, reason: Reason::SUCCESS });
    assert_eq!(effects.only_packet(), Packet::Puback(ack(0x6162, 3, 0)));
    assert_eq!(peer.link.quiet_until(), Some(peer.now.plus_seconds(330)));
    assert!(deliver(&mut peer, "ab", 0, 0).frames.is_empty(), "it still sleeps");
}

#[test]
fn a_sleeper_is_told_to_connect_first_if_it_may_not() {
    let mut peer = Peer::connected_to(|config| config.publish_asleep = false, &connect());
    let short = TopicId::Short(ShortName::of_topic("ab").unwrap());
    peer.send(&Packet::Publish(publish(QoS::AtMostOnce, short, 0))).published();
    peer.send(&Packet::Disconnect(Some(300)));
    let effects = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, short, 3)));
    assert_eq!(effects.only_packet(), Packet::Disconnect(None));
}

//= mqttsn:GW-SN-27
#[test]
fn a_sleeper_that_connects_is_active() {
    let mut peer = Peer::asleep();
    peer.send(&Packet::Connect(connect()));
    peer.event(connected());
    let effects = deliver(&mut peer, "ab", 0, 0);
    assert!(matches!(effects.packet(), Packet::Publish(_)));
    assert_eq!(peer.link.quiet_until(), Some(peer.now.plus_seconds(90)));
}

//= mqttsn:GW-SN-28
#[test]
fn an_exchange_sleeps_with_the_client_and_goes_on_when_it_wakes() {
    let mut peer = Peer::connected();
    let id = peer.subscribe("t/a");
    deliver(&mut peer, "t/a", 1, 7);
    peer.send(&Packet::Disconnect(Some(300)));
    peer.wait_s(200);
    assert!(peer.tick().is_nothing());
    let again = peer.send(&WAKE);
    let publish = again.publish();
    assert_eq!((publish.dup, publish.msg_id), (true, 7));
    peer.send(&Packet::Puback(ack(id, 7, 0)));
    assert_eq!(peer.event(Event::Drained).packet(), Packet::Pingresp);
}

#[test]
fn a_register_sleeps_with_the_client_too() {
    let mut peer = Peer::connected();
    deliver(&mut peer, "t/a", 0, 0);
    peer.send(&Packet::Disconnect(Some(300)));
    let again = peer.send(&WAKE);
    let expected = Register { topic_id: 1, msg_id: 1, topic_name: "t/a" };
    assert_eq!(again.packet(), Packet::Register(expected));
}

//= mqttsn:GW-SN-27
#[test]
fn who_wakes_again_elsewhere_gets_the_same_again() {
    let mut peer = Peer::connected();
    peer.subscribe("t/a");
    peer.send(&Packet::Disconnect(Some(300)));
    peer.send(&WAKE);
    assert!(!deliver(&mut peer, "t/a", 2, 7).publish().dup);
    let effects = peer.send_from("192.0.2.7:5000", true, &WAKE);
    assert!(effects.is_adopted);
    let publish = effects.publish();
    assert_eq!((publish.msg_id, publish.dup), (7, true));
    peer.send(&Packet::Pubrec(7));
    peer.event(Event::Release { handle: 7, reason: Reason::SUCCESS });
    let effects = peer.send_from("192.0.2.7:5001", true, &WAKE);
    assert_eq!(effects.only_packet(), Packet::Pubrel(7));
    peer.send(&Packet::Pubcomp(7));
    assert!(peer.send(&WAKE).is_nothing(), "core has not said that this was all");
    assert_eq!(peer.event(Event::Drained).packet(), Packet::Pingresp);
}
