//! Packets as JSON, for people.

use codec_wire::hex;
use serde_json::{Map, Value, json};

use crate::{Ack, Connect, Packet, Property, ReasonCode, Version, Will, properties::PropertySet};

/// `packet` as a JSON object. Names are the specification's; binary fields are hexadecimal, or
/// text where they are UTF-8 without control characters. Secrets are shown: whoever has the bytes
/// has them.
pub fn to_json(packet: &Packet<'_>) -> Value {
    let mut object = Map::new();
    object.insert("packet".into(), packet.packet_type().name().into());
    let body = match packet {
        Packet::Connect(connect) => connect_json(connect),
        Packet::Connack(connack) => json!({
            "session_present": connack.session_present,
            "reason": reason(connack.reason),
            "properties": properties(&connack.properties),
        }),
        Packet::Publish(publish) => json!({
            "dup": publish.dup,
            "qos": publish.qos as u8,
            "retain": publish.retain,
            "topic": publish.topic,
            "packet_id": (publish.packet_id != 0).then_some(publish.packet_id),
            "properties": properties(&publish.properties),
            "payload": binary(publish.payload),
        }),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            ack_json(ack)
        }
        Packet::Subscribe(subscribe) => json!({
            "packet_id": subscribe.packet_id,
            "properties": properties(&subscribe.properties),
            "subscriptions": subscribe.subscriptions.iter().map(|subscription| json!({
                "filter": subscription.filter,
                "qos": subscription.qos as u8,
                "no_local": subscription.no_local,
                "retain_as_published": subscription.retain_as_published,
                "retain_handling": subscription.retain_handling as u8,
            })).collect::<Vec<_>>(),
        }),
        Packet::Suback(suback) => json!({
            "packet_id": suback.packet_id,
            "properties": properties(&suback.properties),
            "reasons": granted(suback.reasons),
        }),
        Packet::Unsubscribe(unsubscribe) => json!({
            "packet_id": unsubscribe.packet_id,
            "properties": properties(&unsubscribe.properties),
            "filters": unsubscribe.filters.iter().collect::<Vec<_>>(),
        }),
        Packet::Unsuback(unsuback) => json!({
            "packet_id": unsuback.packet_id,
            "properties": properties(&unsuback.properties),
            "reasons": reasons(unsuback.reasons),
        }),
        Packet::Pingreq | Packet::Pingresp => json!({}),
        Packet::Disconnect(disconnect) => json!({
            "reason": if disconnect.reason == ReasonCode::SUCCESS {
                json!({ "code": 0, "name": "Normal disconnection" })
            } else {
                reason(disconnect.reason)
            },
            "properties": properties(&disconnect.properties),
        }),
        Packet::Auth(auth) => json!({
            "reason": reason(auth.reason),
            "properties": properties(&auth.properties),
        }),
    };
    if let Value::Object(body) = body {
        // What is absent on the wire is absent here.
        object.extend(body.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(object)
}

fn connect_json(connect: &Connect<'_>) -> Value {
    json!({
        "protocol_name": connect.version.protocol_name(),
        "protocol_level": connect.version.level(),
        "bridge": connect.bridge.then_some(true),
        if connect.version == Version::V5 { "clean_start" } else { "clean_session" }:
            connect.clean_start,
        "keep_alive_s": connect.keep_alive_s,
        "client_id": connect.client_id,
        "will": connect.will.as_ref().map(will_json),
        "user_name": connect.user_name,
        "password": connect.password.map(|password| binary(password.0)),
        "properties": properties(&connect.properties),
    })
}

fn will_json(will: &Will<'_>) -> Value {
    let mut value = json!({
        "qos": will.qos as u8,
        "retain": will.retain,
        "topic": will.topic,
        "payload": binary(will.payload),
    });
    if let (Value::Object(object), properties @ Value::Object(_)) =
        (&mut value, properties(&will.properties))
    {
        object.insert("properties".into(), properties);
    }
    value
}

fn ack_json(ack: &Ack<'_>) -> Value {
    json!({
        "packet_id": ack.packet_id,
        "reason": reason(ack.reason),
        "properties": properties(&ack.properties),
    })
}

fn reason(reason: ReasonCode) -> Value {
    json!({ "code": reason.value(), "name": reason.name() })
}

fn reasons(codes: &[u8]) -> Value {
    codes.iter().map(|&code| reason(ReasonCode::new(code))).collect()
}

/// The reasons of a SUBACK, in which 0 has a name of its own.
fn granted(codes: &[u8]) -> Value {
    codes
        .iter()
        .map(|&code| match code {
            0 => json!({ "code": 0, "name": "Granted QoS 0" }),
            code => reason(ReasonCode::new(code)),
        })
        .collect()
}

/// Text as it is, anything else as `{"hex": ".."}`.
fn binary(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.into(),
        _ => json!({ "hex": hex::encode(bytes) }),
    }
}

/// The properties that are present, or null if none is.
fn properties<'a, P: PropertySet<'a>>(properties: &P) -> Value {
    let mut object = Map::new();
    let mut user = Vec::new();
    let mut ids = Vec::new();
    let Ok(()) = properties.try_for_each(|property| {
        match property {
            Property::UserProperty(name, value) => user.push(json!([name, value])),
            Property::SubscriptionIdentifier(id) => ids.push(json!(id)),
            _ => {
                let (name, value) = single(property);
                object.insert(name.into(), value);
            }
        }
        Ok::<_, std::convert::Infallible>(())
    });
    if !ids.is_empty() {
        object.insert("subscription_identifiers".into(), ids.into());
    }
    if !user.is_empty() {
        object.insert("user_properties".into(), user.into());
    }
    if object.is_empty() { Value::Null } else { object.into() }
}

/// Name and value of a property.
fn single(property: Property<'_>) -> (&'static str, Value) {
    match property {
        Property::PayloadFormatIndicator(utf8) => {
            ("payload_format_indicator", u8::from(utf8).into())
        }
        Property::MessageExpiryInterval(s) => ("message_expiry_interval", s.into()),
        Property::ContentType(text) => ("content_type", text.into()),
        Property::ResponseTopic(topic) => ("response_topic", topic.into()),
        Property::CorrelationData(data) => ("correlation_data", binary(data)),
        Property::SubscriptionIdentifier(id) => ("subscription_identifier", id.into()),
        Property::SessionExpiryInterval(s) => ("session_expiry_interval", s.into()),
        Property::AssignedClientIdentifier(id) => ("assigned_client_identifier", id.into()),
        Property::ServerKeepAlive(s) => ("server_keep_alive", s.into()),
        Property::AuthenticationMethod(method) => ("authentication_method", method.into()),
        Property::AuthenticationData(data) => ("authentication_data", binary(data.0)),
        Property::RequestProblemInformation(is) => ("request_problem_information", is.into()),
        Property::WillDelayInterval(s) => ("will_delay_interval", s.into()),
        Property::RequestResponseInformation(is) => ("request_response_information", is.into()),
        Property::ResponseInformation(text) => ("response_information", text.into()),
        Property::ServerReference(text) => ("server_reference", text.into()),
        Property::ReasonString(text) => ("reason_string", text.into()),
        Property::ReceiveMaximum(count) => ("receive_maximum", count.into()),
        Property::TopicAliasMaximum(maximum) => ("topic_alias_maximum", maximum.into()),
        Property::TopicAlias(alias) => ("topic_alias", alias.into()),
        Property::MaximumQos(qos) => ("maximum_qos", u8::from(qos).into()),
        Property::RetainAvailable(is) => ("retain_available", is.into()),
        Property::UserProperty(name, value) => ("user_property", json!([name, value])),
        Property::MaximumPacketSize(bytes) => ("maximum_packet_size", bytes.into()),
        Property::WildcardSubscriptionAvailable(is) => {
            ("wildcard_subscription_available", is.into())
        }
        Property::SubscriptionIdentifierAvailable(is) => {
            ("subscription_identifier_available", is.into())
        }
        Property::SharedSubscriptionAvailable(is) => ("shared_subscription_available", is.into()),
    }
}
