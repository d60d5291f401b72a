//! A foreign decoder, mqttbytes 0.6, beside ours: over our vectors and thousands of their mutations
//! it takes and refuses the same and reads the same, but for the differences written down here.

use std::collections::BTreeSet;

use codec_mqtt::{Codec, Decoded, Packet, PacketType, Version};
use codec_wire::hex;
use mqttbytes::{Error, v4, v5};

use test_kit::codec::{Numbers, Vector, all_vectors, mutated};

use crate::{common::codec, suite::Mqtt};

/// What mqttbytes takes although the standard forbids it, by our words for it.
const THEY_TAKE: [&str; 30] = [
    // It looks at the flags of PUBLISH only, and there not at DUP.
    "reserved fixed-header flags",
    "PUBREL flags are not 0010",
    "SUBSCRIBE flags are not 0010",
    "UNSUBSCRIBE flags are not 0010",
    "DISCONNECT flags are not 0000",
    "CONNACK flags bits 7..1 are not 0",
    "connect flags bit 0 is not 0",
    "DUP with QoS 0",
    // It reads what it knows and leaves the rest of the packet, and of a property section too.
    "bytes left over in the packet",
    "field runs past the end",
    // It has no look at the bytes of an integer or a string but for UTF-8.
    "variable byte integer is not the shortest",
    "U+0000 in a UTF-8 string",
    "packet identifier 0",
    "topic alias 0",
    "property has a forbidden value",
    "property occurs twice",
    // It reads the properties of PUBLISH and SUBSCRIBE up to some unknown identifier of a list.
    "property unknown or not allowed in this packet",
    // It has no topics, only strings.
    "wildcard in a topic name",
    "wildcard in the will topic",
    "wildcard in the response topic",
    "empty topic name",
    "empty response topic",
    "empty topic filter",
    "neither topic name nor topic alias",
    // It does not put fields together.
    "password flag without user name flag",
    "authentication data without authentication method",
    "Session Present in a CONNACK that refuses",
    "SUBSCRIBE without topic filter",
    "UNSUBSCRIBE without topic filter",
    "reserved subscription option bits are not 0",
];

/// What we take and mqttbytes cannot read: the packet, its error and why we are right.
const WE_TAKE: [(PacketType, &str, &str); 6] = [
    (PacketType::Disconnect, "PayloadRequired", "Remaining Length 0 is a normal disconnection"),
    (PacketType::Disconnect, "InsufficientBytes", "Remaining Length 1 has no properties"),
    (PacketType::Disconnect, "InvalidConnectReturnCode", "0x8C is in the table of all reasons"),
    (PacketType::Auth, "InvalidPacketType", "AUTH exists"),
    (PacketType::Connect, "InvalidProtocolLevel", "bridges set bit 7 of the level"),
    (PacketType::Connect, "TopicNotUtf8", "a password is binary"),
];

#[test]
fn mqttbytes() {
    let mut numbers = Numbers::new(11);
    let mut met = BTreeSet::new();
    for Vector { mode: version, bytes: vector } in all_vectors::<Mqtt>() {
        for round in 0..500 {
            let bytes =
                if round == 0 { vector.clone() } else { mutated::<Mqtt>(&vector, &mut numbers) };
            let mut codec = codec(&version);
            let ours = codec.decode(&bytes);
            // It does not know 3.1.
            let theirs = match codec.version() {
                Some(Version::V311) => read(&bytes, |bytes| {
                    v4::read(&mut bytes.into(), 1 << 28).map(|packet| summary_v4(&packet))
                }),
                Some(Version::V5) => read(&bytes, |bytes| {
                    v5::read(&mut bytes.into(), 1 << 28).map(|packet| summary_v5(&packet))
                }),
                Some(Version::V31) | None => continue,
            };
            let difference = match (ours, theirs) {
                (Ok(Decoded::Need(_)), Err(Some(Error::InsufficientBytes(_))))
                | (Err(_), Err(_)) => continue,
                (Ok(Decoded::Frame { frame, .. }), Ok(theirs)) => {
                    assert_eq!(summary(&frame), theirs, "{}", hex::encode(&bytes));
                    continue;
                }
                (Err(error), Ok(_)) => THEY_TAKE.iter().find(|it| **it == error.what).copied(),
                (Ok(Decoded::Frame { frame, .. }), Err(Some(error))) => {
                    let error = format!("{error:?}");
                    let known = WE_TAKE.iter().find(|(packet_type, theirs, _)| {
                        *packet_type == frame.packet_type() && error.starts_with(theirs)
                    });
                    known.map(|(_, _, why)| *why)
                }
                (Ok(_), _) => None,
            };
            let known = difference.unwrap_or_else(|| {
                let ours = codec.decode(&bytes);
                panic!("a new difference, {version} {}: {ours:?}", hex::encode(&bytes))
            });
            met.insert(known);
        }
    }
    let listed = THEY_TAKE.into_iter().chain(WE_TAKE.map(|(_, _, why)| why));
    let stale: Vec<_> = listed.filter(|difference| !met.contains(difference)).collect();
    assert!(stale.is_empty(), "not met any more: {stale:?}");
}

/// What mqttbytes reads; `Err(None)` if it panics.
fn read(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<String, Error> + std::panic::RefUnwindSafe,
) -> Result<String, Option<Error>> {
    std::panic::catch_unwind(|| read(bytes)).map_err(|_| None)?.map_err(Some)
}

fn summary(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(it) => {
            let will = it
                .will
                .as_ref()
                .map(|will| (will.topic, will.payload.to_vec(), will.qos as u8, will.retain));
            let user_name = it.user_name.unwrap_or_default();
            let password = String::from_utf8(it.password.unwrap_or_default().0.to_vec()).unwrap();
            // Empty ones are none to it.
            let login =
                (!user_name.is_empty() || !password.is_empty()).then_some((user_name, password));
            let expiry = it.properties.session_expiry_s;
            format!(
                "CONNECT {:?} {} {} {will:?} {login:?} {expiry:?}",
                it.client_id, it.keep_alive_s, it.clean_start
            )
        }
        Packet::Connack(it) => {
            format!("CONNACK {} {:?}", it.session_present, it.properties.receive_maximum)
        }
        Packet::Publish(it) => {
            let flags = (it.dup, it.qos as u8, it.retain);
            let id = it.packet_id;
            let ids: Vec<_> = it.properties.subscription_ids.iter().collect();
            let user: Vec<_> = it.properties.user_properties.iter().collect();
            let alias = it.properties.topic_alias;
            format!(
                "PUBLISH {flags:?} {:?} {id} {:?} {alias:?} {ids:?} {user:?}",
                it.topic, it.payload
            )
        }
        Packet::Puback(it) => format!("PUBACK {}", it.packet_id),
        Packet::Pubrec(it) => format!("PUBREC {}", it.packet_id),
        Packet::Pubrel(it) => format!("PUBREL {}", it.packet_id),
        Packet::Pubcomp(it) => format!("PUBCOMP {}", it.packet_id),
        Packet::Subscribe(it) => {
            let list: Vec<_> = it
                .subscriptions
                .iter()
                .map(|it| (it.filter, it.qos as u8, it.no_local, it.retain_as_published))
                .collect();
            format!("SUBSCRIBE {} {list:?}", it.packet_id)
        }
        Packet::Suback(it) => format!("SUBACK {} {}", it.packet_id, it.reasons.len()),
        Packet::Unsubscribe(it) => format!("UNSUBSCRIBE {} {:?}", it.packet_id, it.filters),
        Packet::Unsuback(it) => format!("UNSUBACK {} {}", it.packet_id, it.reasons.len()),
        Packet::Pingreq => "PINGREQ".into(),
        Packet::Pingresp => "PINGRESP".into(),
        Packet::Disconnect(it) => format!("DISCONNECT {:?}", it.properties.reason_string),
        Packet::Auth(_) => unreachable!("mqttbytes does not read AUTH"),
    }
}

fn summary_v4(packet: &v4::Packet) -> String {
    use v4::Packet::*;
    match packet {
        Connect(it) => {
            let will = it
                .last_will
                .as_ref()
                .map(|will| (&*will.topic, will.message.to_vec(), will.qos as u8, will.retain));
            let login = it.login.as_ref().map(|it| (&*it.username, it.password.clone()));
            let (id, alive, clean) = (&it.client_id, it.keep_alive, it.clean_session);
            format!("CONNECT {id:?} {alive} {clean} {will:?} {login:?} None")
        }
        ConnAck(it) => format!("CONNACK {} None", it.session_present),
        Publish(it) => {
            let flags = (it.dup, it.qos as u8, it.retain);
            format!("PUBLISH {flags:?} {:?} {} {:?} None [] []", it.topic, it.pkid, &it.payload[..])
        }
        PubAck(it) => format!("PUBACK {}", it.pkid),
        PubRec(it) => format!("PUBREC {}", it.pkid),
        PubRel(it) => format!("PUBREL {}", it.pkid),
        PubComp(it) => format!("PUBCOMP {}", it.pkid),
        Subscribe(it) => {
            let list: Vec<_> =
                it.filters.iter().map(|it| (&*it.path, it.qos as u8, false, false)).collect();
            format!("SUBSCRIBE {} {list:?}", it.pkid)
        }
        SubAck(it) => format!("SUBACK {} {}", it.pkid, it.return_codes.len()),
        Unsubscribe(it) => format!("UNSUBSCRIBE {} {:?}", it.pkid, it.topics),
        UnsubAck(it) => format!("UNSUBACK {} 0", it.pkid),
        PingReq => "PINGREQ".into(),
        PingResp => "PINGRESP".into(),
        Disconnect => "DISCONNECT None".into(),
    }
}

fn summary_v5(packet: &v5::Packet) -> String {
    use v5::Packet::*;
    match packet {
        Connect(it) => {
            let will = it
                .last_will
                .as_ref()
                .map(|will| (&*will.topic, will.message.to_vec(), will.qos as u8, will.retain));
            let login = it.login.as_ref().map(|it| (&*it.username, it.password.clone()));
            let expiry = it.properties.as_ref().and_then(|it| it.session_expiry_interval);
            let (id, alive, clean) = (&it.client_id, it.keep_alive, it.clean_session);
            format!("CONNECT {id:?} {alive} {clean} {will:?} {login:?} {expiry:?}")
        }
        ConnAck(it) => {
            let maximum = it.properties.as_ref().and_then(|it| it.receive_max);
            format!("CONNACK {} {maximum:?}", it.session_present)
        }
        Publish(it) => {
            let flags = (it.dup, it.qos as u8, it.retain);
            let (alias, ids, user) = match &it.properties {
                Some(it) => {
                    (it.topic_alias, &it.subscription_identifiers[..], &it.user_properties[..])
                }
                None => (None, &[][..], &[][..]),
            };
            let (id, payload) = (it.pkid, &it.payload[..]);
            format!("PUBLISH {flags:?} {:?} {id} {payload:?} {alias:?} {ids:?} {user:?}", it.topic)
        }
        PubAck(it) => format!("PUBACK {}", it.pkid),
        PubRec(it) => format!("PUBREC {}", it.pkid),
        PubRel(it) => format!("PUBREL {}", it.pkid),
        PubComp(it) => format!("PUBCOMP {}", it.pkid),
        Subscribe(it) => {
            let list: Vec<_> = it
                .filters
                .iter()
                .map(|it| (&*it.path, it.qos as u8, it.nolocal, it.preserve_retain))
                .collect();
            format!("SUBSCRIBE {} {list:?}", it.pkid)
        }
        SubAck(it) => format!("SUBACK {} {}", it.pkid, it.return_codes.len()),
        Unsubscribe(it) => format!("UNSUBSCRIBE {} {:?}", it.pkid, it.filters),
        UnsubAck(it) => format!("UNSUBACK {} {}", it.pkid, it.reasons.len()),
        PingReq => "PINGREQ".into(),
        PingResp => "PINGRESP".into(),
        Disconnect(it) => {
            let reason = it.properties.as_ref().and_then(|it| it.reason_string.as_deref());
            format!("DISCONNECT {reason:?}")
        }
    }
}
