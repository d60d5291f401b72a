//! Topic aliases.

use codec_mqtt::{ConnectProperties, Packet, Publish, PublishProperties, QoS, Version};
use core_model::{Event, Message, MessageRef, Outcome, Reason};
use gateway_mqtt::MqttConfig;

use crate::harness::{Effects, Peer, connect, connect_with, deliver, delivery, publish};

fn with_alias<'a>(topic: &'a str, alias: u16) -> Packet<'a> {
    let properties = PublishProperties { topic_alias: Some(alias), ..PublishProperties::default() };
    Packet::Publish(Publish { topic, properties, ..publish(QoS::AtMostOnce, 0) })
}

fn topic(effects: &Effects) -> String {
    effects.publish().2.topic().into()
}

//= mqtt5:3.3.2-12
//= mqtt5:3.3.2-7
#[test]
fn an_alias_stands_for_its_last_topic_on_this_link() {
    let mut peer = Peer::connected(Version::V5);
    for (sent, alias, expected) in [
        ("a/b", 1, "a/b"),
        ("", 1, "a/b"),
        ("", 1, "a/b"),
        ("c", 32, "c"),
        ("", 32, "c"),
        ("d", 1, "d"),
        ("", 1, "d"),
        ("", 32, "c"),
    ] {
        assert_eq!(topic(&peer.send(&with_alias(sent, alias))), expected);
    }
    let mut other = Peer::connected(Version::V5);
    other.send(&with_alias("", 1)).assert_fails(Reason::PROTOCOL_ERROR);
}

//= mqtt5:GW-MQTT-08
#[test]
fn an_alias_that_was_never_set_ends_the_link() {
    let mut peer = Peer::connected(Version::V5);
    peer.send(&with_alias("a", 3));
    peer.send(&with_alias("", 2)).assert_fails(Reason::PROTOCOL_ERROR);
}

//= mqtt5:GW-MQTT-09
//= mqtt5:3.3.2-8
//= mqtt5:3.3.2-9
//= mqtt5:3.2.2-17
//= mqtt5:3.2.2-18
#[test]
fn an_alias_of_0_or_above_the_maximum_ends_the_link() {
    let at_most = |max| move |config: &mut MqttConfig| config.topic_alias_max_in = max;
    for (max, alias) in [(32, 33), (5, 6), (0, 1), (5, u16::MAX)] {
        let mut peer = Peer::connected_to(Version::V5, at_most(max), &connect(Version::V5));
        peer.send(&with_alias("a", alias)).assert_fails(Reason::TOPIC_ALIAS_INVALID);
    }
    let mut peer = Peer::connected_to(Version::V5, at_most(5), &connect(Version::V5));
    peer.send(&with_alias("a", 5)).publish();
    let zero = "30 09 00 01 61 03 23 00 00 68 69";
    peer.send_hex(zero).assert_fails(Reason::TOPIC_ALIAS_INVALID);
}

#[test]
fn an_alias_is_set_even_if_the_message_is_refused() {
    let mut peer = Peer::connected(Version::V5);
    let refused = Packet::Publish(Publish {
        topic: "$SYS/x",
        properties: PublishProperties { topic_alias: Some(4), ..PublishProperties::default() },
        ..publish(QoS::AtLeastOnce, 1)
    });
    assert!(matches!(peer.send(&refused).packet(), Packet::Puback(_)));
    // The alias now stands for the forbidden topic, so this is dropped and not an error.
    for _ in 0..2 {
        assert!(peer.send(&with_alias("", 4)).is_nothing());
        assert!(peer.link.is_ready());
    }
}

#[test]
fn topics_of_aliases_are_bounded() {
    let small = |config: &mut MqttConfig| config.topic_alias_bytes_max = 20;
    let mut peer = Peer::connected_to(Version::V5, small, &connect(Version::V5));
    peer.send(&with_alias("0123456789", 1)).publish();
    peer.send(&with_alias("0123456789", 2)).publish();
    peer.send(&with_alias("x", 3)).assert_fails(Reason::QUOTA_EXCEEDED);
}

#[test]
fn a_message_by_alias_keeps_its_identifier_and_properties() {
    let mut peer = Peer::connected(Version::V5);
    peer.send(&with_alias("a/b", 1));
    let properties = PublishProperties {
        topic_alias: Some(1),
        content_type: Some("x"),
        message_expiry_s: Some(9),
        ..PublishProperties::default()
    };
    let packet = Publish { topic: "", properties, ..publish(QoS::ExactlyOnce, 6) };
    let effects = peer.send(&Packet::Publish(packet));
    let (_, id, message) = effects.publish();
    assert_eq!((id, message.topic(), message.payload()), (6, "a/b", &b"hi"[..]));
    assert_eq!(message.view().properties.content_type, Some("x"));
    assert_eq!(message.expires_at(), Some(peer.now.plus_seconds(9)));
}

/// A client that takes aliases up to `max`, of a server that sets at most 8.
fn taking(max: u16) -> Peer {
    let properties =
        ConnectProperties { topic_alias_maximum: Some(max), ..ConnectProperties::default() };
    Peer::connected_to(Version::V5, |c| c.topic_alias_max_out = 8, &connect_with(properties))
}

/// Topic and alias of the PUBLISH for the client.
fn seen(effects: &Effects) -> (String, Option<u16>) {
    let Packet::Publish(publish) = effects.packet() else { panic!("{effects:?}") };
    (publish.topic.into(), publish.properties.topic_alias)
}

//= mqtt5:3.1.2-26
//= mqtt5:3.3.2-11
//= mqtt5:3.3.2-7
#[test]
fn the_servers_aliases_are_set_before_they_are_used() {
    let mut peer = taking(65_535);
    let mut known = std::collections::HashMap::new();
    let mut saved = 0;
    for round in 0..200 {
        let topic = format!("building/{}/temperature", round % 7);
        let (shown, alias) = seen(&deliver(&mut peer, &Message::new(&topic, b"21")));
        if let Some(alias) = alias {
            assert!((1..=8).contains(&alias));
            if shown.is_empty() {
                assert_eq!(known.get(&alias), Some(&topic));
                saved += 1;
            } else {
                known.insert(alias, topic.clone());
            }
        }
        assert!(shown.is_empty() || shown == topic);
    }
    assert!(saved > 50, "{saved}");
    // On another link nothing is known.
    let (shown, _) = seen(&deliver(&mut taking(8), &Message::new("building/1/temperature", b"")));
    assert_eq!(shown, "building/1/temperature");
}

//= mqtt5:3.1.2-27
#[test]
fn a_client_that_takes_no_aliases_gets_none() {
    for mut peer in [taking(0), Peer::connected(Version::V5), Peer::connected(Version::V311)] {
        for _ in 0..3 {
            let message = Message::new("building/1/temperature", b"");
            let expected = (String::from("building/1/temperature"), None);
            assert_eq!(seen(&deliver(&mut peer, &message)), expected);
        }
    }
}

#[test]
fn a_message_that_is_too_large_sets_no_alias() {
    let properties = ConnectProperties {
        topic_alias_maximum: Some(8),
        max_packet_size: Some(60),
        ..ConnectProperties::default()
    };
    let mut peer = Peer::connected_to(Version::V5, |_| {}, &connect_with(properties));
    let large = Message::new("building/1/temperature", &[0; 60]);
    let too_large = delivery(MessageRef::View(&large));
    let too_large =
        core_model::Delivery { handle: 3, qos: core_model::QoS::AtLeastOnce, ..too_large };
    let effects = peer.event(Event::Deliver(too_large));
    assert_eq!(effects.settle(), (3, Outcome::Discarded(Reason::PACKET_TOO_LARGE)));
    let small = Message::new("building/1/temperature", b"");
    let (shown, alias) = seen(&deliver(&mut peer, &small));
    assert_eq!(shown, "building/1/temperature");
    assert!(alias.is_some());
    assert_eq!(seen(&deliver(&mut peer, &small)), (String::new(), alias));
}
