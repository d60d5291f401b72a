//! Frames as JSON, for people.

use codec_wire::hex;
use serde_json::{Map, Value, json};

use crate::{Frame, Packet, ReturnCode, Topic, TopicAck, TopicId, WillTopic};

/// `frame` as a JSON object. Names are the specification's; binary fields are hexadecimal, or
/// text where they are UTF-8 without control characters.
pub fn to_json(frame: &Frame<'_>) -> Value {
    let mut object = Map::new();
    object.insert("packet".into(), frame.packet.packet_type().name().into());
    if let Some(encapsulation) = &frame.encapsulation {
        let value = json!({
            "radius": encapsulation.radius,
            "node_id": hex::encode(encapsulation.node_id),
        });
        object.insert("encapsulation".into(), value);
    }
    if let Value::Object(body) = packet_json(&frame.packet) {
        // What is absent on the wire is absent here.
        object.extend(body.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(object)
}

fn packet_json(packet: &Packet<'_>) -> Value {
    match packet {
        Packet::Advertise(advertise) => {
            json!({ "gw_id": advertise.gw_id, "duration_s": advertise.duration_s })
        }
        Packet::Searchgw(radius) => json!({ "radius": radius }),
        Packet::Gwinfo(gwinfo) => json!({
            "gw_id": gwinfo.gw_id,
            "gw_add": (!gwinfo.gw_add.is_empty()).then(|| hex::encode(gwinfo.gw_add)),
        }),
        Packet::Connect(connect) => json!({
            "will": connect.will,
            "clean_session": connect.clean_session,
            "protocol_id": connect.protocol_id,
            "duration_s": connect.duration_s,
            "client_id": connect.client_id,
        }),
        Packet::Connack(code) | Packet::WillTopicResp(code) | Packet::WillMsgResp(code) => {
            json!({ "return_code": return_code(*code) })
        }
        Packet::WillTopicReq | Packet::WillMsgReq | Packet::Pingresp => json!({}),
        Packet::WillTopic(topic) | Packet::WillTopicUpd(topic) => {
            topic.as_ref().map_or_else(|| json!({}), will_topic_json)
        }
        Packet::WillMsg(payload) | Packet::WillMsgUpd(payload) => {
            json!({ "will_msg": binary(payload) })
        }
        Packet::Register(register) => json!({
            "topic_id": register.topic_id,
            "msg_id": register.msg_id,
            "topic_name": register.topic_name,
        }),
        Packet::Regack(ack) | Packet::Puback(ack) => topic_ack_json(ack),
        Packet::Publish(publish) => {
            let (key, topic) = topic_id(publish.topic_id);
            json!({
                "dup": publish.dup,
                "qos": publish.qos.number(),
                "retain": publish.retain,
                key: topic,
                "msg_id": publish.msg_id,
                "data": binary(publish.data),
            })
        }
        Packet::Pubcomp(msg_id)
        | Packet::Pubrec(msg_id)
        | Packet::Pubrel(msg_id)
        | Packet::Unsuback(msg_id) => json!({ "msg_id": msg_id }),
        Packet::Subscribe(subscribe) => {
            let (key, topic) = topic_json(subscribe.topic);
            json!({
                "dup": subscribe.dup,
                "qos": subscribe.qos.number(),
                "msg_id": subscribe.msg_id,
                key: topic,
            })
        }
        Packet::Suback(suback) => json!({
            "qos": suback.qos.number(),
            "topic_id": suback.topic_id,
            "msg_id": suback.msg_id,
            "return_code": return_code(suback.return_code),
        }),
        Packet::Unsubscribe(unsubscribe) => {
            let (key, topic) = topic_json(unsubscribe.topic);
            json!({ "msg_id": unsubscribe.msg_id, key: topic })
        }
        Packet::Pingreq(client_id) => json!({ "client_id": client_id }),
        Packet::Disconnect(duration_s) => json!({ "duration_s": duration_s }),
    }
}

fn will_topic_json(will: &WillTopic<'_>) -> Value {
    json!({ "qos": will.qos.number(), "retain": will.retain, "will_topic": will.topic })
}

fn topic_ack_json(ack: &TopicAck) -> Value {
    json!({
        "topic_id": ack.topic_id,
        "msg_id": ack.msg_id,
        "return_code": return_code(ack.return_code),
    })
}

fn topic_id(topic: TopicId) -> (&'static str, Value) {
    match topic {
        TopicId::Normal(id) => ("topic_id", id.into()),
        TopicId::Predefined(id) => ("predefined_topic_id", id.into()),
        TopicId::Short(name) => ("short_topic_name", name.as_str().into()),
    }
}

fn topic_json(topic: Topic<'_>) -> (&'static str, Value) {
    match topic {
        Topic::Name(name) => ("topic_name", name.into()),
        Topic::Predefined(id) => ("predefined_topic_id", id.into()),
        Topic::Short(name) => ("short_topic_name", name.as_str().into()),
    }
}

fn return_code(code: ReturnCode) -> Value {
    json!({ "code": code.value(), "name": code.name() })
}

/// Text as it is, anything else as `{"hex": ".."}`.
fn binary(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.into(),
        _ => json!({ "hex": hex::encode(bytes) }),
    }
}
