//! Other people's vectors, where they are at hand (see `test_kit::codec::foreign_file`).

use codec_mqttsn::to_json;
use codec_wire::hex;
use serde::Deserialize;
use serde_json::{Value, json};
use test_kit::codec::{Subject, assert_whole, foreign_file};

use crate::{
    common::{decode, encoded},
    suite::MqttSn,
};

#[derive(Deserialize)]
struct Frames {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    hex: String,
    expect: Value,
}

#[derive(Deserialize)]
struct Sessions {
    exchange: Vec<Datagram>,
}

#[derive(Deserialize)]
struct Datagram {
    hex: String,
}

/// Vectors that we write otherwise, all for one reason: the packet does not use the QoS in its
/// flags.
const WRITTEN_WITHOUT_QOS: [&str; 1] = ["t_unsubscribe"];

#[test]
fn frames() {
    let Some(text) = foreign_file::<MqttSn>("frames.json") else { return };
    let frames: Frames = serde_json::from_str(&text).unwrap();
    assert!(frames.vectors.len() > 25);
    for Vector { id, hex, expect } in &frames.vectors {
        let bytes = hex::decode(hex).unwrap();
        let frame = decode(&bytes).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_whole::<MqttSn>(&MqttSn::codec(""), &bytes);
        assert_eq!(bytes.len(), expect["length"], "{id}");
        assert_same(id, expect, &to_json(&frame));
        let written = encoded(&frame);
        let is_same = written == bytes;
        assert_eq!(is_same, !WRITTEN_WITHOUT_QOS.contains(&id.as_str()), "{id}");
        assert_eq!(decode(&written).unwrap(), frame, "{id}");
    }
}

/// Compares what the vector says of a packet with our view.
fn assert_same(id: &str, expect: &Value, ours: &Value) {
    for (key, expected) in expect.as_object().unwrap() {
        let pointer = match key.as_str() {
            "length" => continue,
            "flags" => {
                assert_same_flags(id, expected, ours);
                continue;
            }
            "type" => "packet",
            "duration" => "duration_s",
            "gw_addr_hex" => "gw_add",
            "return_code" => "return_code/code",
            "will_msg_hex" => "will_msg",
            "data_hex" => "data",
            "topic_id_hex" => topic_key(&expect["flags"]),
            other => other,
        };
        let found = ours.pointer(&format!("/{pointer}"));
        let found = found.unwrap_or_else(|| panic!("{id}: {pointer} is not in {ours}"));
        match key.as_str() {
            "will_msg_hex" | "data_hex" => {
                assert_eq!(hex::encode(found.as_str().unwrap().as_bytes()), *expected, "{id}");
            }
            "topic_id_hex" => {
                let found = match found {
                    Value::String(short) => hex::encode(short.as_bytes()),
                    id => format!("{:04x}", id.as_u64().unwrap()),
                };
                assert_eq!(found, *expected, "{id}");
            }
            _ => assert_eq!(found, expected, "{id}: {key}"),
        }
    }
}

fn topic_key(flags: &Value) -> &'static str {
    match flags["topic_id_type"].as_str().unwrap() {
        "predefined" => "predefined_topic_id",
        "short" => "short_topic_name",
        _ => "topic_id",
    }
}

/// Our view has the flags that a packet uses.
fn assert_same_flags(id: &str, flags: &Value, ours: &Value) {
    for (theirs, our) in [
        ("dup", "dup"),
        ("qos", "qos"),
        ("retain", "retain"),
        ("will", "will"),
        ("clean", "clean_session"),
    ] {
        let found = ours.get(our).filter(|found| *found != &flags[theirs]);
        assert_eq!(found, None, "{id}: {our} is not {}", flags[theirs]);
    }
    let is_named = ours.get(topic_key(flags)).or(ours.get("topic_name")).is_some();
    let has_topic = ["PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "SUBACK"].map(|name| json!(name));
    assert_eq!(is_named, has_topic.contains(&ours["packet"]), "{id}");
}

#[test]
fn captured_sessions() {
    let Some(text) = foreign_file::<MqttSn>("sessions.json") else { return };
    let sessions: Sessions = serde_json::from_str(&text).unwrap();
    assert!(sessions.exchange.len() > 20);
    for Datagram { hex } in &sessions.exchange {
        let bytes = hex::decode(hex).unwrap();
        let frame = decode(&bytes).unwrap_or_else(|error| panic!("{hex}: {error}"));
        assert_eq!(hex::encode(&encoded(&frame)), *hex);
    }
}
