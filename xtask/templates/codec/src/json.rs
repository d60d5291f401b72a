//! Packets as JSON, for people.

use codec_wire::hex;
use serde_json::{Map, Value, json};

use crate::{Code, Packet};

/// `packet` as a JSON object. Binary fields are hexadecimal, or text where they are UTF-8 without
/// control characters. Secrets are shown: whoever has the bytes has them already.
pub fn to_json(packet: &Packet<'_>) -> Value {
    let mut object = Map::new();
    object.insert("packet".into(), packet.packet_type().name().into());
    if let Value::Object(body) = body(packet) {
        object.extend(body);
    }
    Value::Object(object)
}

fn body(packet: &Packet<'_>) -> Value {
    match packet {
        Packet::Hello(hello) => json!({
            "keep": hello.keep,
            "keep_alive_s": hello.keep_alive_s,
            "client_id": hello.client_id,
            "user": hello.user,
            "password": binary(hello.password.0),
        }),
        Packet::Welcome(welcome) => json!({
            "code": code(welcome.code),
            "session_present": welcome.session_present,
        }),
        Packet::Publish(publish) => json!({
            "number": publish.number,
            "topic": publish.topic,
            "payload": binary(publish.payload),
        }),
        Packet::Subscribe(subscribe) => json!({
            "number": subscribe.number,
            "filter": subscribe.filter,
        }),
        Packet::Done(done) => json!({ "number": done.number, "code": code(done.code) }),
        Packet::Ping | Packet::Pong => json!({}),
        Packet::Goodbye(reason) => json!({ "code": code(*reason) }),
    }
}

/// The code's name, or its value where it has none.
fn code(code: Code) -> Value {
    code.name().map_or_else(|| code.value().into(), Value::from)
}

/// Text as it is, anything else as `{"hex": ".."}`.
fn binary(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.into(),
        _ => json!({ "hex": hex::encode(bytes) }),
    }
}
