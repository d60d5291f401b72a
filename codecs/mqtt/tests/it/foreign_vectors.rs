//! Other people's vectors, where they are at hand (see `test_kit::codec::foreign_file`).

use codec_mqtt::{Codec, Decoded, Limits, MqttCodec, Packet, Version, to_json};
use codec_wire::hex;
use serde::Deserialize;
use serde_json::Value;
use test_kit::codec::{assert_whole, decode_whole, foreign_file};

use crate::{
    common::{codec, encoded},
    suite::Mqtt,
};

#[derive(Deserialize)]
struct Packets {
    vectors: Vec<Vector>,
    malformed: Vec<Malformed>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    hex: String,
    packet: Value,
    protocol_version: u8,
}

#[derive(Deserialize)]
struct Malformed {
    error: String,
    hex: String,
    options: Value,
}

/// Vectors of the JavaScript codec that we knowingly refuse, and why.
const REFUSED: [(&str, &str); 6] = [
    ("connect MQTT bridge 132", "the name MQIsdp belongs to level 3"),
    ("Version 4 CONACK in Version 5 mode", "CONNACK of 5.0 always has a Property Length"),
    ("Version 5 CONNACK test 1", "CONNACK always has a reason code"),
    ("Version 5 CONNACK test 2", "CONNACK of 5.0 always has a Property Length"),
    ("connack MQTT 5 with properties", "Maximum QoS is 0 or 1"),
    ("connack MQTT 5 with properties and doubled user properties", "Maximum QoS is 0 or 1"),
];

/// Vectors that we write otherwise, all for one reason: success without properties has a shorter
/// form.
const WRITTEN_SHORTER: [&str; 5] = [
    "Version 5 PUBACK test 2.1",
    "Version 5 PUBACK test 3",
    "Version 5 DISCONNECT test 2",
    "Version 5 DISCONNECT test 3",
    "disconnect MQTT 5 with no properties",
];

fn version(level: u8) -> Version {
    Version::ALL.into_iter().find(|version| version.level() == level).unwrap()
}

/// The server's end for CONNECT, a link of that level for anything else.
fn codec_for(bytes: &[u8], level: u8) -> MqttCodec {
    if bytes.first().is_some_and(|first| first >> 4 == 1) {
        codec("server")
    } else {
        MqttCodec::with_version(version(level), Limits::UNLIMITED)
    }
}

#[test]
fn packets_of_the_javascript_codec() {
    let Some(text) = foreign_file::<Mqtt>("packets.json") else { return };
    let packets: Packets = serde_json::from_str(&text).unwrap();
    assert!(packets.vectors.len() > 70);
    for Vector { name, hex, packet: js, protocol_version } in &packets.vectors {
        let bytes = hex::decode(hex).unwrap();
        let mut codec = codec_for(&bytes, *protocol_version);
        let packet = match (codec.decode(&bytes), REFUSED.iter().any(|(it, _)| it == name)) {
            (Ok(Decoded::Frame { frame, len }), false) if len == bytes.len() => frame,
            (Err(_), true) => continue,
            (decoded, _) => panic!("{name}: {decoded:?}"),
        };
        assert_whole::<Mqtt>(&codec_for(&bytes, *protocol_version), &bytes);
        assert_same(name, js, &to_json(&packet));
        let written = encoded(&packet, version(*protocol_version));
        // The order of properties is free, everything else is not.
        if js.get("properties").is_none() && js.pointer("/will/properties").is_none() {
            let is_same = hex::encode(&written) == *hex;
            assert_eq!(is_same, !WRITTEN_SHORTER.contains(&name.as_str()), "{name}");
        } else {
            assert_eq!(written.len(), bytes.len(), "{name}");
        }
        assert_eq!(decode_whole(&mut codec, &written).unwrap(), packet, "{name}");
    }
}

#[test]
fn what_the_javascript_codec_refuses() {
    let Some(text) = foreign_file::<Mqtt>("packets.json") else { return };
    let packets: Packets = serde_json::from_str(&text).unwrap();
    assert!(packets.malformed.len() > 50);
    for Malformed { error, hex, options } in &packets.malformed {
        let bytes = hex::decode(hex).unwrap();
        let level = options.get("protocolVersion").and_then(Value::as_u64).unwrap_or(4);
        let decoded = codec_for(&bytes, level as u8).decode(&bytes).map(|it| format!("{it:?}"));
        assert!(decoded.is_err(), "{error}: {hex}: {decoded:?}");
    }
}

/// Compares what the JavaScript codec says of a packet with our view.
fn assert_same(name: &str, js: &Value, ours: &Value) {
    let cmd = js["cmd"].as_str().unwrap().to_uppercase();
    assert_eq!(ours["packet"], cmd.as_str(), "{name}");
    for (key, expected) in js.as_object().unwrap() {
        let pointer = match (key.as_str(), cmd.as_str()) {
            ("cmd" | "length" | "properties" | "will", _) => continue,
            // Present for all packets there, meaningful for one.
            ("dup" | "qos" | "retain" | "topic" | "payload", "PUBLISH") => format!("/{key}"),
            ("dup" | "qos" | "retain" | "topic" | "payload", _) => continue,
            ("protocolId", _) => "/protocol_name".into(),
            ("protocolVersion", _) => "/protocol_level".into(),
            ("clean", _) if js["protocolVersion"] == 5 => "/clean_start".into(),
            ("clean", _) => "/clean_session".into(),
            ("bridgeMode", _) => "/bridge".into(),
            ("keepalive", _) => "/keep_alive_s".into(),
            ("clientId", _) => "/client_id".into(),
            ("username", _) => "/user_name".into(),
            ("password", _) => "/password".into(),
            ("messageId", _) => "/packet_id".into(),
            ("sessionPresent", _) => "/session_present".into(),
            ("reasonCode", _) => "/reason/code".into(),
            ("returnCode", _) => {
                let codes = [0, 0x84, 0x85, 0x88, 0x86, 0x87];
                assert_eq!(ours["reason"]["code"], codes[expected.as_u64().unwrap() as usize]);
                continue;
            }
            ("unsubscriptions", _) => "/filters".into(),
            ("granted", _) => {
                let codes = ours["reasons"].as_array().unwrap();
                let codes: Vec<_> = codes.iter().map(|reason| reason["code"].clone()).collect();
                assert_eq!(*expected, Value::from(codes), "{name}");
                continue;
            }
            ("subscriptions", _) => {
                assert_same_subscriptions(name, expected, &ours["subscriptions"]);
                continue;
            }
            _ => panic!("{name}: unknown field {key}"),
        };
        let found = ours.pointer(&pointer).unwrap_or(&Value::Null);
        assert!(is_same(expected, found), "{name}: {key}: {expected} is {found}");
    }
    assert_same_properties(name, js.get("properties"), ours.get("properties"));
    assert_eq!(js.get("will").is_some(), ours.get("will").is_some(), "{name}");
    if let Some(will) = js.get("will") {
        for key in ["qos", "retain", "topic", "payload"] {
            assert!(is_same(&will[key], &ours["will"][key]), "{name}: will {key}");
        }
        assert_same_properties(name, will.get("properties"), ours["will"].get("properties"));
    }
}

fn assert_same_subscriptions(name: &str, js: &Value, ours: &Value) {
    let (js, ours) = (js.as_array().unwrap(), ours.as_array().unwrap());
    assert_eq!(js.len(), ours.len(), "{name}");
    for (js, ours) in js.iter().zip(ours) {
        for (theirs, here) in [
            ("topic", "filter"),
            ("qos", "qos"),
            ("nl", "no_local"),
            ("rap", "retain_as_published"),
            ("rh", "retain_handling"),
        ] {
            if let Some(expected) = js.get(theirs) {
                assert_eq!(*expected, ours[here], "{name}: {theirs}");
            }
        }
    }
}

fn assert_same_properties(name: &str, js: Option<&Value>, ours: Option<&Value>) {
    let js = js.and_then(Value::as_object).cloned().unwrap_or_default();
    let ours = ours.and_then(Value::as_object).cloned().unwrap_or_default();
    assert_eq!(js.len(), ours.len(), "{name}: {js:?} is {ours:?}");
    for (key, expected) in &js {
        let here = match key.as_str() {
            "maximumQoS" => "maximum_qos".to_owned(),
            "subscriptionIdentifier" => "subscription_identifiers".to_owned(),
            "subscriptionIdentifiersAvailable" => "subscription_identifier_available".to_owned(),
            _ => key.chars().fold(String::new(), |name, character| match character {
                'A'..='Z' => name + "_" + &character.to_ascii_lowercase().to_string(),
                _ => name + &character.to_string(),
            }),
        };
        let found = ours.get(&here).unwrap_or(&Value::Null);
        let same = match key.as_str() {
            "userProperties" => user_properties(expected) == *found,
            "subscriptionIdentifier" if expected.is_number() => found[0] == *expected,
            _ => is_same(expected, found),
        };
        assert!(same, "{name}: {key}: {expected} is {found}");
    }
}

/// Name to value, or name to values, as pairs.
fn user_properties(js: &Value) -> Value {
    let pairs = js.as_object().unwrap().iter().flat_map(|(name, value)| match value {
        Value::Array(values) => {
            values.iter().map(|value| serde_json::json!([name, value])).collect()
        }
        value => vec![serde_json::json!([name, value])],
    });
    pairs.collect()
}

/// Bytes are equal however they are spelled, and so are true and 1.
fn is_same(js: &Value, ours: &Value) -> bool {
    let bytes = |value: &Value| match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Object(object) => {
            let text = object.get("__hex").or(object.get("hex"))?.as_str()?;
            hex::decode(text).ok()
        }
        _ => None,
    };
    let number = |value: &Value| value.as_u64().or(value.as_bool().map(u64::from));
    match (bytes(js), number(js)) {
        (Some(expected), _) => bytes(ours) == Some(expected),
        (_, Some(expected)) => number(ours) == Some(expected),
        _ => js == ours,
    }
}

#[derive(Deserialize)]
struct Sessions {
    exchange: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    session: String,
    dir: String,
    hex: String,
    wireshark: String,
}

#[test]
fn captured_sessions() {
    let Some(text) = foreign_file::<Mqtt>("sessions.json") else { return };
    let sessions: Sessions = serde_json::from_str(&text).unwrap();
    assert_eq!(sessions.exchange.len(), 50);
    for (session, version) in [("3.1.1", Version::V311), ("5", Version::V5)] {
        let mut server = codec("server");
        let mut client = MqttCodec::with_version(version, Limits::default());
        for segment in sessions.exchange.iter().filter(|segment| segment.session == session) {
            let codec = if segment.dir == "client->server" { &mut server } else { &mut client };
            let bytes = hex::decode(&segment.hex).unwrap();
            let packet = decode_whole(codec, &bytes).unwrap();
            assert_wireshark_agrees(&packet, &segment.wireshark);
            let again = encoded(&packet, version);
            assert_eq!(decode_whole(codec, &again).unwrap(), packet);
            assert_eq!(again.len(), bytes.len());
        }
        assert_eq!(server.version(), Some(version));
    }
}

/// Wireshark names the packet, its identifier and its topics.
fn assert_wireshark_agrees(packet: &Packet<'_>, text: &str) {
    let name = match packet {
        Packet::Connect(_) => "Connect Command",
        Packet::Connack(_) => "Connect Ack",
        Packet::Publish(_) => "Publish Message",
        Packet::Puback(_) => "Publish Ack",
        Packet::Pubrec(_) => "Publish Received",
        Packet::Pubrel(_) => "Publish Release",
        Packet::Pubcomp(_) => "Publish Complete",
        Packet::Subscribe(_) => "Subscribe Request",
        Packet::Suback(_) => "Subscribe Ack",
        Packet::Unsubscribe(_) => "Unsubscribe Request",
        Packet::Unsuback(_) => "Unsubscribe Ack",
        Packet::Disconnect(_) => "Disconnect Req",
        Packet::Pingreq | Packet::Pingresp | Packet::Auth(_) => panic!("not in the capture"),
    };
    assert!(text.starts_with(name), "{text}: {packet:?}");
    let json = to_json(packet);
    if let Some(packet_id) = json.get("packet_id") {
        assert!(text.contains(&format!("(id={packet_id})")), "{text}: {packet:?}");
    }
    match packet {
        Packet::Publish(publish) => assert!(text.contains(&format!("[{}]", publish.topic))),
        Packet::Subscribe(subscribe) => {
            for subscription in &subscribe.subscriptions {
                assert!(text.contains(&format!("[{}]", subscription.filter)), "{text}");
            }
        }
        _ => {}
    }
}
