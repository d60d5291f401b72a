//! SUBSCRIBE and UNSUBSCRIBE.

use codec_mqtt::{
    AckProperties, Connect, ConnectProperties, Packet, QoS, RetainHandling, Suback, Subscribe,
    SubscribeProperties, Subscription, Unsuback, Unsubscribe, UnsubscribeProperties, Version,
};
use core_model::{Event, QoS as CoreQoS, Reason, Ticket};
use gateway_mqtt::MqttConfig;

use crate::harness::{Effects, Peer, connect, connect_with, publish};

fn subscription(filter: &str) -> Subscription<'_> {
    Subscription { filter, qos: QoS::ExactlyOnce, ..Subscription::default() }
}

fn subscribe<'a>(
    packet_id: u16,
    subscription_id: Option<u32>,
    subscriptions: &'a [Subscription<'a>],
) -> Packet<'a> {
    Packet::Subscribe(Subscribe {
        packet_id,
        properties: SubscribeProperties { subscription_id, ..SubscribeProperties::default() },
        subscriptions: subscriptions.into(),
    })
}

fn unsubscribe<'a>(packet_id: u16, filters: &'a [&'a str]) -> Packet<'a> {
    let properties = UnsubscribeProperties::default();
    Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters: filters.into() })
}

/// The reasons that core was told for refused filters, `None` for the others.
fn refusals(effects: &Effects) -> Vec<Option<Reason>> {
    effects.subscribe().subscriptions.iter().map(|s| s.as_ref().err().copied()).collect()
}

fn suback(effects: &Effects) -> (u16, Vec<u8>) {
    let Packet::Suback(Suback { packet_id, properties, reasons }) = effects.packet() else {
        panic!("{effects:?}")
    };
    assert_eq!(properties, AckProperties::default());
    assert!(effects.operations.is_empty() && effects.close.is_none());
    (packet_id, reasons.to_vec())
}

fn unsuback(effects: &Effects) -> (u16, Vec<u8>) {
    let Packet::Unsuback(Unsuback { packet_id, properties, reasons }) = effects.packet() else {
        panic!("{effects:?}")
    };
    assert_eq!(properties, AckProperties::default());
    assert!(effects.operations.is_empty() && effects.close.is_none());
    (packet_id, reasons.to_vec())
}

//= mqtt5:3.8.4-5
//= mqtt311:3.8.4-4
#[test]
fn a_subscribe_reaches_core_with_all_its_filters_and_options() {
    let mut peer = Peer::connected(Version::V5);
    let subscriptions = [
        Subscription {
            filter: "$share/g/a/+",
            qos: QoS::AtLeastOnce,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
            no_local: false,
        },
        Subscription {
            filter: "b",
            qos: QoS::AtMostOnce,
            no_local: true,
            retain_as_published: false,
            retain_handling: RetainHandling::SendIfNew,
        },
        subscription("#"),
    ];
    let effects = peer.send(&subscribe(7, Some(200), &subscriptions));
    assert!(effects.bytes.is_empty(), "SUBACK waits for core");
    let operation = effects.subscribe();
    assert_eq!(operation.identifier, Some(200));
    let [Ok(shared), Ok(local), Ok(all)] = &operation.subscriptions[..] else { panic!() };
    assert_eq!((shared.filter.as_str(), shared.filter.share_name()), ("$share/g/a/+", Some("g")));
    assert_eq!((shared.qos, shared.retain_as_published), (CoreQoS::AtLeastOnce, true));
    assert_eq!(shared.retain_handling, core_model::RetainHandling::DoNotSend);
    assert_eq!((local.no_local, local.qos), (true, CoreQoS::AtMostOnce));
    assert_eq!(local.retain_handling, core_model::RetainHandling::SendIfNew);
    assert_eq!((all.filter.as_str(), all.qos), ("#", CoreQoS::ExactlyOnce));
    assert_eq!(all.retain_handling, core_model::RetainHandling::Send);
}

//= mqtt5:2.2.1-6
//= mqtt5:3.8.4-1
//= mqtt5:3.8.4-2
//= mqtt5:3.8.4-6
//= mqtt5:3.8.4-7
//= mqtt5:3.9.3-1
//= mqtt5:3.9.3-2
//= mqtt311:2.3.1-7
//= mqtt311:3.8.4-1
//= mqtt311:3.8.4-2
//= mqtt311:3.8.4-5
//= mqtt311:3.9.3-1
//= mqtt311:3.9.3-2
#[test]
fn suback_has_cores_reasons_in_order() {
    let reasons = [
        (Reason::GRANTED_QOS_2, 2, 2),
        (Reason::SUCCESS, 0, 0),
        (Reason::NOT_AUTHORIZED, 0x87, 0x80),
        (Reason::GRANTED_QOS_1, 1, 1),
        (Reason::TOPIC_FILTER_INVALID, 0x8f, 0x80),
        // Not a code of SUBACK.
        (Reason::SERVER_BUSY, 0x80, 0x80),
    ];
    for version in [Version::V311, Version::V5] {
        let mut peer = Peer::connected(version);
        let subscriptions = vec![subscription("a"); reasons.len()];
        let effects = peer.send(&subscribe(0x1234, None, &subscriptions));
        let ticket = effects.subscribe().ticket;
        let reasons: Vec<_> = reasons.to_vec();
        let codes: Vec<u8> =
            reasons.iter().map(|&(_, v5, v311)| if version.is_v5() { v5 } else { v311 }).collect();
        let reasons = reasons.iter().map(|row| row.0).collect();
        let effects = peer.event(Event::Subscribed { ticket, reasons });
        assert_eq!(suback(&effects), (0x1234, codes));
    }
}

#[test]
fn a_bridge_that_says_so_keeps_retain_flags_and_gets_nothing_of_its_own_back() {
    for (bridge, expected) in [(false, [false; 4]), (true, [true, true, false, true])] {
        let connect = Connect { bridge, ..connect(Version::V311) };
        let mut peer = Peer::connected_to(Version::V311, |_| {}, &connect);
        let effects = peer.send(&subscribe(7, None, &["a", "$share/g/a"].map(subscription)));
        let [Ok(one), Ok(shared)] = &effects.subscribe().subscriptions[..] else { panic!() };
        let options = |s: &core_model::Subscription| [s.no_local, s.retain_as_published];
        assert_eq!([options(one), options(shared)].concat(), expected);
    }
}

#[test]
fn in_3_1_a_refused_filter_is_0x80_too() {
    let mut peer = Peer::connected(Version::V31);
    let ticket = peer.send(&subscribe(7, None, &[subscription("a")])).subscribe().ticket;
    let reasons = vec![Reason::NOT_AUTHORIZED];
    let effects = peer.event(Event::Subscribed { ticket, reasons });
    assert_eq!(effects.bytes, [0x90, 3, 0, 7, 0x80]);
}

//= mqtt5:GW-MQTT-16
//= mqtt5:4.7.1-1
//= mqtt5:4.7.1-2
//= mqtt5:4.8.2-1
//= mqtt5:4.8.2-2
//= mqtt311:4.7.1-2
//= mqtt311:4.7.1-3
//= mqtt311:3.8.4-5
#[test]
fn a_wrong_filter_is_refused_alone() {
    let filters = ["a/#/b", "a+", "$share//x", "$share/g", "$share/g/", "ok/+/#", "sport/tennis#"];
    let subscriptions = filters.map(subscription);
    let bad = Some(Reason::TOPIC_FILTER_INVALID);
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        let effects = peer.send(&subscribe(7, None, &subscriptions));
        assert_eq!(refusals(&effects), [bad, bad, bad, bad, bad, None, bad]);
        assert!(effects.close.is_none());
        let effects = peer.send(&subscribe(8, None, &[subscription("#/a")]));
        assert_eq!(refusals(&effects), [bad]);
    }
}

//= mqtt5:GW-MQTT-15
//= mqtt311:3.8.3-2
#[test]
fn what_was_announced_as_unavailable_is_refused_per_filter() {
    let subscriptions = ["a", "a/+", "$share/g/a"].map(subscription);
    type Change = fn(&mut MqttConfig);
    let cases: [(Change, Option<u32>, [Option<Reason>; 3]); 4] = [
        (
            |c| c.wildcard_available = false,
            None,
            [None, Some(Reason::WILDCARDS_NOT_SUPPORTED), None],
        ),
        (|c| c.shared_available = false, None, [None, None, Some(Reason::SHARED_NOT_SUPPORTED)]),
        (|c| c.subscription_ids_available = false, None, [None; 3]),
        (
            |c| c.subscription_ids_available = false,
            Some(1),
            [Some(Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED); 3],
        ),
    ];
    for (change, id, expected) in cases {
        let mut peer = Peer::connected_to(Version::V5, change, &connect(Version::V5));
        assert_eq!(refusals(&peer.send(&subscribe(7, id, &subscriptions))), expected);
    }
    let mut peer = Peer::connected_to(
        Version::V311,
        |c| c.wildcard_available = false,
        &connect(Version::V311),
    );
    let effects = peer.send(&subscribe(7, None, &subscriptions));
    assert_eq!(refusals(&effects), [None, Some(Reason::WILDCARDS_NOT_SUPPORTED), None]);
}

//= mqtt5:3.2.2-10
#[test]
fn a_higher_qos_than_supported_is_granted_less() {
    for (max, expected) in [(0, [0, 0, 0]), (1, [0, 1, 1]), (2, [0, 1, 2])] {
        let mut peer = Peer::connected_to(Version::V5, |c| c.max_qos = max, &connect(Version::V5));
        let subscriptions = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
            .map(|qos| Subscription { qos, ..subscription("a") });
        let effects = peer.send(&subscribe(7, None, &subscriptions));
        let granted: Vec<u8> = effects
            .subscribe()
            .subscriptions
            .iter()
            .map(|s| s.as_ref().unwrap().qos as u8)
            .collect();
        assert_eq!(granted, expected);
    }
}

//= mqtt5:3.8.3-4
#[test]
fn no_local_on_a_shared_subscription_ends_the_link() {
    let mut peer = Peer::connected(Version::V5);
    let no_local = Subscription { no_local: true, ..subscription("$share/g/a") };
    peer.send(&subscribe(7, None, &[subscription("a"), no_local]))
        .assert_fails(Reason::PROTOCOL_ERROR);
}

//= mqtt5:GW-MQTT-11
#[test]
fn an_identifier_in_use_is_refused_per_filter() {
    let mut peer = Peer::connected(Version::V5);
    let two = ["a", "b"].map(subscription);
    let ticket = peer.send(&subscribe(7, None, &two)).subscribe().ticket;
    assert_eq!(suback(&peer.send(&subscribe(7, None, &two))), (7, vec![0x91, 0x91]));
    assert_eq!(unsuback(&peer.send(&unsubscribe(7, &["a"]))), (7, vec![0x91]));
    peer.send(&Packet::Publish(publish(QoS::ExactlyOnce, 9))).publish();
    assert_eq!(suback(&peer.send(&subscribe(9, None, &two))), (9, vec![0x91, 0x91]));
    // Answered, it is free again.
    let reasons = vec![Reason::SUCCESS; 2];
    assert_eq!(suback(&peer.event(Event::Subscribed { ticket, reasons })), (7, vec![0, 0]));
    let ticket = peer.send(&unsubscribe(7, &["a"])).unsubscribe().ticket;
    let effects = peer.event(Event::Unsubscribed { ticket, reasons: vec![Reason::SUCCESS] });
    assert_eq!(unsuback(&effects), (7, vec![0]));
    peer.send(&subscribe(7, None, &two)).subscribe();

    let mut old = Peer::connected(Version::V311);
    old.send(&subscribe(7, None, &two)).subscribe();
    old.send(&subscribe(7, None, &two)).subscribe();
}

//= mqtt5:2.2.1-6
//= mqtt5:3.10.4-4
//= mqtt5:3.10.4-5
//= mqtt5:3.10.4-6
//= mqtt5:3.11.3-1
//= mqtt5:3.11.3-2
//= mqtt311:2.3.1-7
//= mqtt311:3.10.4-4
//= mqtt311:3.10.4-5
//= mqtt311:3.10.4-6
#[test]
fn unsuback_has_cores_reasons_in_order() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        let filters = ["a/#", "$share/g/b", "unknown", "x"];
        let effects = peer.send(&unsubscribe(8, &filters));
        assert!(effects.bytes.is_empty());
        let operation = effects.unsubscribe();
        assert_eq!(operation.filters.iter().map(|f| &**f).collect::<Vec<_>>(), filters);
        let ticket = operation.ticket;
        let reasons = vec![
            Reason::SUCCESS,
            Reason::NOT_AUTHORIZED,
            Reason::NO_SUBSCRIPTION_EXISTED,
            Reason::QUOTA_EXCEEDED,
        ];
        let effects = peer.event(Event::Unsubscribed { ticket, reasons });
        let codes = if version.is_v5() { vec![0, 0x87, 0x11, 0x80] } else { vec![] };
        assert_eq!(unsuback(&effects), (8, codes));
    }
}

//= mqtt5:3.9.2-1
//= mqtt5:3.9.2-2
//= mqtt5:3.11.2-1
//= mqtt5:3.11.2-2
//= mqtt5:3.1.2-24
#[test]
fn answers_have_no_optional_properties_and_one_that_cannot_fit_ends_the_link() {
    let small = ConnectProperties { max_packet_size: Some(40), ..ConnectProperties::default() };
    let mut peer = Peer::connected_to(Version::V5, |_| {}, &connect_with(small));
    let subscriptions = vec![subscription("a"); 36];
    let fitting = peer.send(&subscribe(1, None, &subscriptions[..35])).subscribe().ticket;
    let effects =
        peer.event(Event::Subscribed { ticket: fitting, reasons: vec![Reason::SUCCESS; 35] });
    assert_eq!(effects.bytes.len(), 40);
    assert_eq!(suback(&effects).1.len(), 35);
    let filters = vec!["a"; 35];
    let fitting = peer.send(&unsubscribe(1, &filters)).unsubscribe().ticket;
    let effects =
        peer.event(Event::Unsubscribed { ticket: fitting, reasons: vec![Reason::SUCCESS; 35] });
    assert_eq!(effects.bytes.len(), 40);
    let large = peer.send(&subscribe(1, None, &subscriptions)).subscribe().ticket;
    let effects =
        peer.event(Event::Subscribed { ticket: large, reasons: vec![Reason::SUCCESS; 36] });
    effects.assert_fails(Reason::PACKET_TOO_LARGE);
}

//= mqtt5:GW-MQTT-21
#[test]
fn control_characters_in_a_filter_are_refused_only_if_configured() {
    for packet in [subscribe(7, None, &[subscription("a\u{1}")]), unsubscribe(7, &["a\u{1}"])] {
        assert_eq!(Peer::connected(Version::V5).send(&packet).operations.len(), 1);
        let strict = |config: &mut MqttConfig| config.reject_control_characters = true;
        let mut peer = Peer::connected_to(Version::V5, strict, &connect(Version::V5));
        peer.send(&packet).assert_fails(Reason::MALFORMED);
    }
}

#[test]
fn a_client_with_too_many_subscribes_under_way_is_not_read() {
    let mut peer =
        Peer::connected_to(Version::V5, |c| c.receive_maximum = 1, &connect(Version::V5));
    let mut taken: u16 = 0;
    while taken < 500 && peer.send(&subscribe(taken + 1, None, &[subscription("a")])).unread == 0 {
        taken += 1;
    }
    assert_eq!(taken, 65);
    peer.event(Event::Subscribed { ticket: Ticket(1), reasons: vec![Reason::SUCCESS] });
    assert!(peer.link.is_ready());
}
