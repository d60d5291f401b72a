//! What the MQTT codec is to the suite of `test-kit`, and the suite.

use codec_mqtt::{
    Ack, AckProperties, Auth, AuthProperties, Connack, ConnackProperties, Connect,
    ConnectProperties, DecodeError, Disconnect, DisconnectProperties, Limits, List, MqttCodec,
    PACKET_SIZE_MAX, Packet, PacketType, Publish, PublishProperties, QoS, ReasonCode,
    RetainHandling, Secret, Suback, Subscribe, SubscribeProperties, Subscription, Unsuback,
    Unsubscribe, UnsubscribeProperties, UserProperties, Version, Will, WillProperties, to_json,
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};
use test_kit::codec::{Framing, Numbers, Subject};

use crate::common::codec;

test_kit::codec_tests!(Mqtt);

pub(crate) struct Mqtt;

impl Subject for Mqtt {
    type Codec = MqttCodec;

    const PROTOCOL: &'static str = "mqtt";
    const FRAMING: Framing = Framing::Stream;
    const MODES: &'static [&'static str] = &["server", "3.1", "3.1.1", "5.0"];
    const VECTORS: &'static [(&'static str, &'static str)] = &[
        ("header", include_str!("../../vectors/header.toml")),
        ("strings", include_str!("../../vectors/strings.toml")),
        ("connect", include_str!("../../vectors/connect.toml")),
        ("connack", include_str!("../../vectors/connack.toml")),
        ("publish", include_str!("../../vectors/publish.toml")),
        ("acks", include_str!("../../vectors/acks.toml")),
        ("subscribe", include_str!("../../vectors/subscribe.toml")),
        ("disconnect_auth", include_str!("../../vectors/disconnect_auth.toml")),
    ];
    const FRAME_BYTES_MAX: usize = PACKET_SIZE_MAX as usize;
    const SMALL_FRAME_BYTES_MAX: usize = SMALL.max_packet_size as usize;
    const HEADER_BYTES: usize = 2;
    const GROWTH_BYTES_MAX: usize = 1;
    const TELLING_BYTES: &'static [u8] = &[
        0x00, 0x01, 0x02, 0x03, 0x04, 0x0b, 0x1f, 0x23, 0x26, 0x2b, 0x2f, 0x7f, 0x80, 0xc0, 0xed,
        0xff,
    ];

    fn codec(mode: &str) -> MqttCodec {
        codec(mode)
    }

    fn small(mode: &str) -> MqttCodec {
        let mut codec = codec(mode);
        codec.set_limits(SMALL);
        codec
    }

    fn json(packet: &Packet<'_>) -> serde_json::Value {
        to_json(packet)
    }

    fn frames() -> impl Strategy<Value = (&'static str, Packet<'static>)> {
        select(&Version::ALL[..]).prop_flat_map(any_packet).prop_map(|(version, packet)| {
            let mode = match (&packet, version) {
                (Packet::Connect(_), _) => "server",
                (_, Version::V31) => "3.1",
                (_, Version::V311) => "3.1.1",
                (_, Version::V5) => "5.0",
            };
            (mode, packet)
        })
    }

    /// The Remaining Length of a short packet.
    fn put_right(bytes: &mut [u8]) {
        if (2..130).contains(&bytes.len()) {
            bytes[1] = bytes.len() as u8 - 2;
        }
    }

    /// Something that the packet has is there twice.
    fn change(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
        let at = numbers.below(bytes.len() + 1);
        if at > 2 {
            let from = 2 + numbers.below(at - 2);
            let copy = bytes[from..at].to_vec();
            bytes.splice(at..at, copy);
        }
    }

    fn check_error(error: &DecodeError) {
        assert!(error.code >= 0x80 && !error.requirement.is_empty(), "{error}");
    }

    fn check_frame(before: &MqttCodec, after: &MqttCodec, packet: &Packet<'_>) {
        let version = match (before.version(), packet) {
            (None, Packet::Connect(connect)) => Some(connect.version),
            (None, _) => panic!("{packet:?} came first"),
            (version, _) => version,
        };
        assert_eq!(after.version(), version);
    }
}

const SMALL: Limits = Limits {
    max_packet_size: 4096,
    max_connect_size: 512,
    max_properties: 4,
    max_user_properties: 3,
    max_filters: 3,
};

/// The strategies make packets that borrow for ever, which a test can afford.
fn leak<T>(items: Vec<T>) -> &'static [T] {
    items.leak()
}

fn text() -> impl Strategy<Value = &'static str> {
    let characters = prop_oneof![
        4 => "[a-z/ $\u{1}\u{7f}\u{80}\u{feff}\u{ffff}\u{10ffff}]{0,12}",
        1 => "[^\0]{0,200}",
    ];
    characters.prop_map(|text| &*text.leak())
}

fn topic() -> impl Strategy<Value = &'static str> {
    "[a-z/$é]{1,20}".prop_map(|text| &*text.leak())
}

fn bytes() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![4 => vec(any::<u8>(), 0..12), 1 => vec(any::<u8>(), 100..300)].prop_map(leak)
}

fn secret() -> impl Strategy<Value = Secret<'static>> {
    bytes().prop_map(Secret)
}

fn user_properties() -> impl Strategy<Value = UserProperties<'static>> {
    vec((text(), text()), 0..4).prop_map(|pairs| List::from(leak(pairs)))
}

fn packet_id() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn allowed_reason(packet_type: PacketType) -> impl Strategy<Value = ReasonCode> {
    let allowed = (0..=u8::MAX).map(ReasonCode::new).filter(|code| code.is_allowed_in(packet_type));
    select(allowed.collect::<Vec<_>>())
}

fn any_packet(version: Version) -> impl Strategy<Value = (Version, Packet<'static>)> {
    let of_any_version = prop_oneof![
        connect(version),
        connack(version),
        publish(version),
        ack(version),
        subscribe(version),
        suback(version),
        unsubscribe(version),
        unsuback(version),
        disconnect(version),
        Just(Packet::Pingreq),
        Just(Packet::Pingresp),
    ];
    let packet = match version {
        Version::V31 | Version::V311 => of_any_version.boxed(),
        Version::V5 => prop_oneof![10 => of_any_version, 1 => auth()].boxed(),
    };
    packet.prop_map(move |packet| (version, packet))
}

/// `properties` in 5.0, none before.
fn in_v5<P: Default>(version: Version, properties: P) -> P {
    if version == Version::V5 { properties } else { P::default() }
}

fn connect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let fields =
        (any::<bool>(), any::<bool>(), any::<u16>(), text(), of(will(version)), of(text()));
    (fields, of(secret()), connect_properties()).prop_map(move |(fields, password, properties)| {
        let (bridge, clean_start, keep_alive_s, client_id, will, user_name) = fields;
        Packet::Connect(Box::new(Connect {
            version,
            bridge: bridge && version != Version::V5,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            user_name,
            password: password.filter(|_| version != Version::V311 || user_name.is_some()),
            properties: in_v5(version, properties),
        }))
    })
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties<'static>> {
    (
        of(any::<u32>()),
        of(packet_id()),
        of(1..=u32::MAX),
        of(any::<u16>()),
        of(any::<bool>()),
        of(any::<bool>()),
        of((text(), of(secret()))),
        user_properties(),
    )
        .prop_map(|(expiry, receive, size, alias, response, problem, method, user)| {
            ConnectProperties {
                session_expiry_s: expiry,
                receive_maximum: receive,
                max_packet_size: size,
                topic_alias_maximum: alias,
                request_response_information: response,
                request_problem_information: problem,
                authentication_method: method.map(|(method, _)| method),
                authentication_data: method.and_then(|(_, data)| data),
                user_properties: user,
            }
        })
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    let properties = (
        of(any::<u32>()),
        of(any::<bool>()),
        of(any::<u32>()),
        of(text()),
        of(topic()),
        of(bytes()),
        user_properties(),
    )
        .prop_map(|(delay, utf8, expiry, content_type, response, correlation, user)| {
            WillProperties {
                will_delay_s: delay,
                payload_format_utf8: utf8,
                message_expiry_s: expiry,
                content_type,
                response_topic: response,
                correlation_data: correlation,
                user_properties: user,
            }
        });
    (qos(), any::<bool>(), topic(), bytes(), properties).prop_map(
        move |(qos, retain, topic, payload, properties)| Will {
            qos,
            retain,
            topic,
            payload,
            properties: in_v5(version, properties),
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let reason = match version {
        Version::V5 => allowed_reason(PacketType::Connack).boxed(),
        Version::V31 | Version::V311 => {
            (0..=5u8).prop_map(|code| ReasonCode::from_connect_return_code(code).unwrap()).boxed()
        }
    };
    (any::<bool>(), reason, connack_properties()).prop_map(
        move |(session_present, reason, properties)| {
            Packet::Connack(Box::new(Connack {
                session_present: session_present && reason == ReasonCode::SUCCESS,
                reason,
                properties: in_v5(version, properties),
            }))
        },
    )
}

fn connack_properties() -> impl Strategy<Value = ConnackProperties<'static>> {
    let numbers =
        (of(any::<u32>()), of(packet_id()), of(1..=u32::MAX), of(any::<u16>()), of(any::<u16>()));
    let flags = proptest::array::uniform5(of(any::<bool>()));
    let texts = proptest::array::uniform5(of(text()));
    (numbers, flags, texts, of(secret()), user_properties()).prop_map(
        |(numbers, flags, texts, data, user)| {
            let (expiry, receive, size, alias, keep_alive) = numbers;
            ConnackProperties {
                session_expiry_s: expiry,
                receive_maximum: receive,
                maximum_qos_1: flags[0],
                retain_available: flags[1],
                max_packet_size: size,
                assigned_client_id: texts[0],
                topic_alias_maximum: alias,
                reason_string: texts[1],
                wildcard_subscription_available: flags[2],
                subscription_ids_available: flags[3],
                shared_subscription_available: flags[4],
                server_keep_alive_s: keep_alive,
                response_information: texts[2],
                server_reference: texts[3],
                authentication_method: texts[4],
                authentication_data: data,
                user_properties: user,
            }
        },
    )
}

fn publish(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let fields = (any::<bool>(), qos(), any::<bool>(), topic(), packet_id(), bytes());
    (fields, publish_properties(), any::<bool>()).prop_map(move |(fields, properties, no_topic)| {
        let (dup, qos, retain, topic, packet_id, payload) = fields;
        let properties = in_v5(version, properties);
        let no_topic = no_topic && properties.topic_alias.is_some();
        Packet::Publish(Publish {
            dup: dup && qos != QoS::AtMostOnce,
            qos,
            retain,
            topic: if no_topic { "" } else { topic },
            packet_id: if qos == QoS::AtMostOnce { 0 } else { packet_id },
            properties,
            raw_properties: &[],
            payload,
        })
    })
}

fn publish_properties() -> impl Strategy<Value = PublishProperties<'static>> {
    (
        of(any::<bool>()),
        of(any::<u32>()),
        of(packet_id()),
        of(text()),
        of(topic()),
        of(bytes()),
        vec(prop_oneof![1..200u32, 1..=268_435_455u32], 0..4),
        user_properties(),
    )
        .prop_map(|(utf8, expiry, alias, content_type, response, correlation, ids, user)| {
            PublishProperties {
                payload_format_utf8: utf8,
                message_expiry_s: expiry,
                topic_alias: alias,
                content_type,
                response_topic: response,
                correlation_data: correlation,
                subscription_ids: leak(ids).into(),
                user_properties: user,
            }
        })
}

fn ack_properties() -> impl Strategy<Value = AckProperties<'static>> {
    (of(text()), user_properties()).prop_map(|(reason_string, user_properties)| AckProperties {
        reason_string,
        user_properties,
    })
}

fn ack(version: Version) -> impl Strategy<Value = Packet<'static>> {
    type Wrap = fn(Ack<'static>) -> Packet<'static>;
    const KINDS: [(PacketType, Wrap); 4] = [
        (PacketType::Puback, Packet::Puback),
        (PacketType::Pubrec, Packet::Pubrec),
        (PacketType::Pubrel, Packet::Pubrel),
        (PacketType::Pubcomp, Packet::Pubcomp),
    ];
    select(&KINDS[..]).prop_flat_map(move |(packet_type, wrap)| {
        (packet_id(), allowed_reason(packet_type), ack_properties()).prop_map(
            move |(packet_id, reason, properties)| {
                let (reason, properties) = in_v5(version, (reason, properties));
                wrap(Ack { packet_id, reason, properties })
            },
        )
    })
}

fn subscription(version: Version) -> impl Strategy<Value = Subscription<'static>> {
    let handling =
        select(&[RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend][..]);
    let filter = "[a-z/+#]{1,12}".prop_map(|text| &*text.leak());
    (filter, qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| {
            let (no_local, retain_as_published, retain_handling) =
                in_v5(version, (no_local, retain_as_published, retain_handling));
            Subscription { filter, qos, no_local, retain_as_published, retain_handling }
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let properties = (of(1..=268_435_455u32), user_properties())
        .prop_map(|(id, user)| SubscribeProperties { subscription_id: id, user_properties: user });
    (packet_id(), properties, vec(subscription(version), 1..5)).prop_map(
        move |(packet_id, properties, subscriptions)| {
            Packet::Subscribe(Subscribe {
                packet_id,
                properties: in_v5(version, properties),
                subscriptions: leak(subscriptions).into(),
            })
        },
    )
}

fn suback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let reason = match version {
        Version::V31 => select(vec![0, 1, 2]).boxed(),
        Version::V311 => select(vec![0, 1, 2, 0x80]).boxed(),
        Version::V5 => allowed_reason(PacketType::Suback).prop_map(ReasonCode::value).boxed(),
    };
    (packet_id(), ack_properties(), vec(reason, 1..5)).prop_map(
        move |(packet_id, properties, reasons)| {
            Packet::Suback(Suback {
                packet_id,
                properties: in_v5(version, properties),
                reasons: leak(reasons),
            })
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    (packet_id(), user_properties(), vec(topic(), 1..5)).prop_map(
        move |(packet_id, user_properties, filters)| {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                properties: in_v5(version, UnsubscribeProperties { user_properties }),
                filters: leak(filters).into(),
            })
        },
    )
}

fn unsuback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let reasons = vec(allowed_reason(PacketType::Unsuback).prop_map(ReasonCode::value), 1..5);
    (packet_id(), ack_properties(), reasons).prop_map(move |(packet_id, properties, reasons)| {
        let (properties, reasons) = in_v5(version, (properties, reasons));
        Packet::Unsuback(Unsuback { packet_id, properties, reasons: leak(reasons) })
    })
}

fn disconnect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let properties = (of(any::<u32>()), of(text()), of(text()), user_properties()).prop_map(
        |(session_expiry_s, reason_string, server_reference, user_properties)| {
            DisconnectProperties {
                session_expiry_s,
                reason_string,
                server_reference,
                user_properties,
            }
        },
    );
    (allowed_reason(PacketType::Disconnect), properties).prop_map(move |(reason, properties)| {
        let (reason, properties) = in_v5(version, (reason, properties));
        Packet::Disconnect(Disconnect { reason, properties })
    })
}

fn auth() -> impl Strategy<Value = Packet<'static>> {
    let reason = allowed_reason(PacketType::Auth);
    (reason, text(), of(secret()), of(text()), user_properties()).prop_map(
        |(reason, method, authentication_data, reason_string, user_properties)| {
            Packet::Auth(Auth {
                reason,
                properties: AuthProperties {
                    authentication_method: Some(method),
                    authentication_data,
                    reason_string,
                    user_properties,
                },
            })
        },
    )
}
