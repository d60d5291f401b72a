//! Silence.

use codec_mqtt::{Connect, Packet, QoS, Version};
use core_model::Reason;
use gateway_mqtt::MqttConfig;

use crate::harness::{Peer, connect, deliver, publish};

fn connected(version: Version, keep_alive_s: u16, change: fn(&mut MqttConfig)) -> Peer {
    Peer::connected_to(version, change, &Connect { keep_alive_s, ..connect(version) })
}

//= mqtt5:3.1.2-22
//= mqtt5:GW-MQTT-22
//= mqtt311:3.1.2-24
#[test]
fn a_client_that_is_silent_for_one_and_a_half_keep_alive_is_lost() {
    for version in Version::ALL {
        let mut peer = connected(version, 20, |_| {});
        peer.wait_s(29);
        assert!(peer.tick().is_nothing());
        peer.wait_s(1);
        peer.tick().assert_fails(Reason::KEEP_ALIVE_TIMEOUT);
        assert_eq!(peer.link.next_deadline(), None);
    }
}

//= mqtt5:3.1.2-22
//= mqtt311:3.1.2-24
#[test]
fn any_packet_from_the_client_counts_and_nothing_else() {
    let mut peer = connected(Version::V5, 20, |_| {});
    for packet in [Packet::Pingreq, Packet::Publish(publish(QoS::AtMostOnce, 0))] {
        peer.wait_s(29);
        peer.send(&packet);
        assert!(peer.tick().is_nothing());
    }
    peer.wait_s(25);
    assert!(peer.tick().is_nothing());
    // Neither half a packet nor one to the client.
    assert!(peer.send_hex("30 05 00").is_nothing());
    deliver(&mut peer, &core_model::Message::new("t", b""));
    peer.wait_s(4);
    assert!(peer.tick().is_nothing());
    peer.wait_s(1);
    peer.tick().assert_fails(Reason::KEEP_ALIVE_TIMEOUT);
}

//= mqtt5:3.12.4-1
//= mqtt311:3.12.4-1
#[test]
fn every_ping_is_answered() {
    for version in Version::ALL {
        let effects = connected(version, 20, |_| {}).send_hex("c0 00 c0 00");
        assert_eq!(effects.bytes, [0xd0, 0, 0xd0, 0]);
        assert!(effects.operations.is_empty() && effects.close.is_none());
    }
}

#[test]
fn keep_alive_0_turns_the_check_off() {
    let peer = connected(Version::V5, 0, |_| {});
    assert_eq!(peer.link.next_deadline(), None);
}

//= mqtt5:3.1.2-21
//= mqtt5:3.2.2-21
#[test]
fn the_servers_keep_alive_counts_if_it_was_told() {
    let mut peer = connected(Version::V5, 600, |config| config.keep_alive_max_s = 10);
    peer.wait_s(15);
    peer.tick().assert_fails(Reason::KEEP_ALIVE_TIMEOUT);
    // 3.1.1 cannot be told.
    let mut peer = connected(Version::V311, 600, |config| config.server_keep_alive_s = 10);
    peer.wait_s(899);
    assert!(peer.tick().is_nothing());
    peer.wait_s(1);
    peer.tick().assert_fails(Reason::KEEP_ALIVE_TIMEOUT);
}

#[test]
fn a_client_that_is_not_read_is_not_called_silent() {
    let mut peer = connected(Version::V311, 20, |config| config.receive_maximum = 1);
    let mut tickets = Vec::new();
    for id in 1..=100 {
        let effects = peer.send(&Packet::Publish(publish(QoS::AtLeastOnce, id)));
        if effects.unread > 0 {
            break;
        }
        tickets.push(effects.publish().0);
    }
    assert!(!peer.link.is_ready());
    peer.wait_s(31);
    assert!(peer.tick().is_nothing());
    peer.wait_s(20);
    peer.event(crate::harness::published(tickets[0], Reason::SUCCESS));
    assert!(peer.link.is_ready());
    peer.wait_s(29);
    assert!(peer.tick().is_nothing());
    peer.wait_s(1);
    peer.tick().assert_fails(Reason::KEEP_ALIVE_TIMEOUT);
}
