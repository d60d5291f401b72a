//! The CONNACK that accepts.

use codec_mqtt::{
    Connack, ConnackProperties, Connect, ConnectProperties, Packet, QoS, ReasonCode, Version,
};
use core_model::{Connected, DisconnectCause, Event, Expiry, Reason};
use gateway_mqtt::MqttConfig;

use crate::harness::{Effects, Peer, connect, connect_with, connected, delivery, publish};

/// Settings under which CONNACK has nothing to say.
fn bare(config: &mut MqttConfig) {
    config.receive_maximum = u16::MAX;
    config.topic_alias_max_in = 0;
    config.max_packet_size = codec_mqtt::PACKET_SIZE_MAX;
}

fn accept(
    change: impl FnOnce(&mut MqttConfig),
    connect: &Connect<'_>,
    answer: Connected,
) -> (Peer, Effects) {
    let mut peer = Peer::fresh(connect.version, change);
    peer.send(&Packet::Connect(Box::new(*connect)));
    let effects = peer.event(Event::Connected(Box::new(answer)));
    (peer, effects)
}

fn answer(session_present: bool, expiry: Expiry) -> Connected {
    Connected { session_present, expiry, ..Connected::default() }
}

fn connack(effects: &Effects) -> Connack<'_> {
    let Packet::Connack(connack) = effects.packet() else { panic!("{effects:?}") };
    assert_eq!(connack.reason, ReasonCode::SUCCESS);
    assert!(effects.operations.is_empty() && effects.close.is_none());
    *connack
}

//= mqtt5:3.1.4-5
//= mqtt5:3.2.2-1
//= mqtt5:3.2.2-2
//= mqtt5:3.2.2-3
//= mqtt311:3.1.4-4
//= mqtt311:3.2.2-1
//= mqtt311:3.2.2-2
//= mqtt311:3.2.2-3
#[test]
fn session_present_is_what_core_says() {
    for present in [false, true] {
        let resumed = answer(present, Expiry::WithLink);
        let (_, effects) = accept(bare, &connect(Version::V311), resumed);
        assert_eq!(effects.bytes, [0x20, 2, present.into(), 0]);
        let resumed = answer(present, Expiry::WithLink);
        let (_, effects) = accept(bare, &connect(Version::V5), resumed);
        assert_eq!(effects.bytes, [0x20, 3, present.into(), 0, 0]);
        // 3.1 has no such flag.
        let resumed = answer(present, Expiry::WithLink);
        let (_, effects) = accept(bare, &connect(Version::V31), resumed);
        assert_eq!(effects.bytes, [0x20, 2, 0, 0]);
    }
}

//= mqtt5:3.2.2-9
#[test]
fn what_differs_from_the_defaults_is_told() {
    let (_, effects) = accept(|_| {}, &connect(Version::V5), answer(false, Expiry::WithLink));
    assert_eq!(
        connack(&effects).properties,
        ConnackProperties {
            receive_maximum: Some(1024),
            max_packet_size: Some(1 << 20),
            topic_alias_maximum: Some(32),
            ..ConnackProperties::default()
        }
    );
    let poor = |config: &mut MqttConfig| {
        bare(config);
        config.max_qos = 1;
        config.retain_available = false;
        config.wildcard_available = false;
        config.subscription_ids_available = false;
        config.shared_available = false;
    };
    let (_, effects) = accept(poor, &connect(Version::V5), answer(false, Expiry::WithLink));
    let expected = ConnackProperties {
        maximum_qos_1: Some(true),
        retain_available: Some(false),
        wildcard_subscription_available: Some(false),
        subscription_ids_available: Some(false),
        shared_subscription_available: Some(false),
        ..ConnackProperties::default()
    };
    assert_eq!(connack(&effects).properties, expected);
    let (_, effects) =
        accept(|config| config.max_qos = 0, &connect(Version::V5), answer(false, Expiry::WithLink));
    assert_eq!(connack(&effects).properties.maximum_qos_1, Some(false));
}

#[test]
fn another_session_expiry_than_asked_for_is_told() {
    let asking = |seconds| {
        connect_with(ConnectProperties {
            session_expiry_s: Some(seconds),
            ..ConnectProperties::default()
        })
    };
    let told = |asked: u32, got: Expiry| {
        let (_, effects) = accept(bare, &asking(asked), answer(false, got));
        connack(&effects).properties.session_expiry_s
    };
    assert_eq!(told(3600, Expiry::After(3600)), None);
    assert_eq!(told(3600, Expiry::After(60)), Some(60));
    assert_eq!(told(u32::MAX, Expiry::Never), None);
    assert_eq!(told(u32::MAX, Expiry::After(86_400)), Some(86_400));
    assert_eq!(told(5, Expiry::WithLink), Some(0));
}

//= mqtt5:3.1.3-7
//= mqtt5:3.2.2-16
//= mqtt311:3.1.3-6
#[test]
fn an_assigned_client_identifier_is_told_in_5_0() {
    for version in [Version::V311, Version::V5] {
        let empty = Connect { client_id: "", ..connect(version) };
        let answer = Connected {
            assigned_client_id: Some("auto-1".into()),
            ..answer(false, Expiry::WithLink)
        };
        let (_, effects) = accept(bare, &empty, answer);
        let told = connack(&effects).properties.assigned_client_id;
        assert_eq!(told, version.is_v5().then_some("auto-1"));
    }
}

//= mqtt5:3.2.2-16
//= mqtt311:3.1.3-8
#[test]
fn the_client_identifier_of_a_certificate_counts_instead_of_the_clients() {
    let open = |asked: Connect<'_>| {
        let mut peer = Peer::certified(asked.version, bare, Some("pump-7"));
        let effects = peer.send(&Packet::Connect(Box::new(asked)));
        assert_eq!(&*effects.connect().client_id, "pump-7");
        let effects = peer.event(connected());
        connack(&effects).properties.assigned_client_id.map(String::from)
    };
    for version in Version::ALL {
        assert_eq!(open(connect(version)), None, "who has a name is not given one");
        // Not even 3.1 and a session that is to stay need a name then.
        let nameless = Connect { client_id: "", clean_start: false, ..connect(version) };
        let told = version.is_v5().then(|| "pump-7".to_owned());
        assert_eq!(open(nameless), told);
    }
}

//= mqtt5:3.1.2-21
//= mqtt5:3.2.2-21
//= mqtt5:3.2.2-22
#[test]
fn another_keep_alive_than_asked_for_is_told() {
    let told = |asked: u16, max: u16, all: u16| {
        let change = |config: &mut MqttConfig| {
            config.keep_alive_max_s = max;
            config.server_keep_alive_s = all;
        };
        let asking = Connect { keep_alive_s: asked, ..connect(Version::V5) };
        let (_, effects) = accept(change, &asking, answer(false, Expiry::WithLink));
        connack(&effects).properties.server_keep_alive_s
    };
    assert_eq!([told(60, 0, 0), told(0, 0, 0), told(60, 60, 0), told(60, 0, 60)], [None; 4]);
    assert_eq!(told(61, 60, 0), Some(60));
    assert_eq!(told(0, 60, 0), Some(60));
    assert_eq!(told(30, 60, 45), Some(45));
    let at_least = |asked: u16| {
        let asking = Connect { keep_alive_s: asked, ..connect(Version::V5) };
        let change = |config: &mut MqttConfig| config.keep_alive_min_s = 20;
        let (_, effects) = accept(change, &asking, answer(false, Expiry::WithLink));
        connack(&effects).properties.server_keep_alive_s
    };
    assert_eq!([at_least(19), at_least(20), at_least(0)], [Some(20), None, None]);
}

//= mqtt5:3.1.2-28
#[test]
fn response_information_is_given_to_those_that_ask() {
    let asked = |wanted, setting: &str, size| {
        let properties = ConnectProperties {
            request_response_information: wanted,
            max_packet_size: size,
            ..ConnectProperties::default()
        };
        let change = |config: &mut MqttConfig| {
            bare(config);
            config.response_information = setting.into();
        };
        let (_, effects) =
            accept(change, &connect_with(properties), answer(false, Expiry::WithLink));
        connack(&effects).properties.response_information.map(String::from)
    };
    assert_eq!(asked(Some(true), "re/%c/", None).as_deref(), Some("re/c/"));
    assert_eq!(asked(Some(false), "re/%c/", None), None);
    assert_eq!(asked(None, "re/%c/", None), None);
    assert_eq!(asked(Some(true), "", None), None);
    assert_eq!(asked(Some(true), "re/%c/", Some(13)).as_deref(), Some("re/c/"));
    assert_eq!(asked(Some(true), "re/%c/", Some(12)), None, "it does not fit");
}

//= mqtt5:3.1.2-24
#[test]
fn a_connack_that_does_not_fit_refuses_instead() {
    let small = ConnectProperties { max_packet_size: Some(20), ..ConnectProperties::default() };
    let assigned = Connected {
        assigned_client_id: Some("a-long-client-identifier".into()),
        ..answer(false, Expiry::WithLink)
    };
    let empty = Connect { client_id: "", ..connect_with(small) };
    let (mut peer, effects) = accept(bare, &empty, assigned);
    let Packet::Connack(connack) = effects.packet() else { panic!() };
    assert_eq!(connack.reason, ReasonCode::PACKET_TOO_LARGE);
    assert_eq!(effects.disconnect().cause, DisconnectCause::Lost(Reason::PACKET_TOO_LARGE));
    assert!(effects.close.is_some());
    let late = publish(QoS::AtMostOnce, 0);
    assert!(peer.send(&Packet::Publish(late)).is_nothing());
}

//= mqtt5:3.2.0-2
#[test]
fn there_is_one_connack_per_link() {
    for version in Version::ALL {
        let mut peer = Peer::connected(version);
        assert!(peer.event(connected()).is_nothing());
        let message = core_model::Message::new("t", b"");
        let late = delivery(core_model::MessageRef::View(&message));
        assert!(matches!(peer.event(Event::Deliver(late)).packet(), Packet::Publish(_)));
    }
}
