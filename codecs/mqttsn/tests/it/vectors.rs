//! Our own vectors, one file of `vectors/` per subject.

use codec_mqttsn::to_json;
use codec_wire::hex;
use serde::Deserialize;

use crate::common::{assert_whole, decode, encoded};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    packets: Vec<Vec<String>>,
    refused: Vec<Refused>,
}

/// What, hex, kind, offset, requirement.
type Refused = (String, String, String, usize, String);

const FILES: [(&str, &str); 6] = [
    ("framing", include_str!("../../vectors/framing.toml")),
    ("discovery", include_str!("../../vectors/discovery.toml")),
    ("session", include_str!("../../vectors/session.toml")),
    ("publish", include_str!("../../vectors/publish.toml")),
    ("subscribe", include_str!("../../vectors/subscribe.toml")),
    ("encapsulation", include_str!("../../vectors/encapsulation.toml")),
];

fn file(name: &str) -> File {
    let (_, text) = FILES.iter().find(|(file, _)| *file == name).unwrap();
    toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The bytes of all our vectors.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let of_file = |file: File| {
        let packets = file.packets.into_iter().map(|fields| fields[1].clone());
        let refused = file.refused.into_iter().map(|(_, bytes, ..)| bytes);
        packets.chain(refused).collect::<Vec<_>>()
    };
    let vectors = FILES.iter().flat_map(|(name, _)| of_file(file(name)));
    vectors.map(|bytes| hex::decode(&bytes).unwrap()).collect()
}

fn check(name: &str) {
    let file = file(name);
    for packet in &file.packets {
        check_packet(packet);
    }
    for refused in &file.refused {
        check_refused(refused);
    }
}

fn check_packet(fields: &[String]) {
    let (what, bytes, json, written) = match fields {
        [what, bytes, json] => (what, bytes, json, bytes),
        [what, bytes, json, written] => (what, bytes, json, written),
        _ => panic!("{fields:?} has {} fields", fields.len()),
    };
    let bytes = hex::decode(bytes).unwrap();
    let frame = decode(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(to_json(&frame), json, "{what}");
    let again = encoded(&frame);
    assert_eq!(hex::encode(&again), written.replace(' ', ""), "{what}");
    assert_eq!(decode(&again).unwrap(), frame, "{what}");
    assert_whole(&bytes);
}

fn check_refused((what, bytes, kind, offset, requirement): &Refused) {
    let bytes = hex::decode(bytes).unwrap();
    let error = match decode(&bytes) {
        Err(error) => error,
        Ok(frame) => panic!("{what}: {frame:?}"),
    };
    let found = (error.kind.to_string(), error.offset, error.requirement, error.code);
    assert_eq!(found, (kind.clone(), *offset, requirement.as_str(), 0), "{what}: {error}");
}

#[test]
fn framing() {
    check("framing");
}

#[test]
fn discovery() {
    check("discovery");
}

#[test]
fn session() {
    check("session");
}

#[test]
fn publish() {
    check("publish");
}

#[test]
fn subscribe() {
    check("subscribe");
}

#[test]
fn encapsulation() {
    check("encapsulation");
}

#[test]
fn a_packet_of_three_hundred_bytes_has_a_length_of_three() {
    let mut bytes = hex::decode("01 01 35 0c 20 00 01 00 02").unwrap();
    bytes.resize(309, b'x');
    let frame = decode(&bytes).unwrap();
    assert_eq!(to_json(&frame)["data"], "x".repeat(300));
    assert_eq!(encoded(&frame), bytes);
    assert_whole(&bytes);
}

#[test]
fn every_packet_type_has_a_vector() {
    let mut seen = [false; 256];
    for bytes in all() {
        if let Ok(frame) = decode(&bytes) {
            seen[frame.packet.packet_type() as usize] = true;
        }
    }
    let missing = |number: &u8| {
        codec_mqttsn::PacketType::from_number(*number).is_some() && !seen[usize::from(*number)]
    };
    assert_eq!((0..=u8::MAX).find(missing), None);
}

#[test]
fn all_numbers_without_a_packet_are_refused() {
    for number in 0..=u8::MAX {
        let error = decode(&[2, number]).err();
        let is_unknown = codec_mqttsn::PacketType::from_number(number).is_none();
        let is_reserved = error.is_some_and(|error| error.what == "reserved MsgType");
        assert_eq!(is_reserved, is_unknown && number != 0xfe, "{number:#04x}");
    }
}
