//! Our own vectors, one file of `vectors/` per subject.

use codec_mqttsn::to_json;
use codec_wire::hex;
use test_kit::codec::{Subject, all_vectors, assert_whole, vectors};

use crate::{
    common::{decode, encoded},
    suite::MqttSn,
};

//= mqttsn:GW-SN-01
//= mqttsn:GW-SN-02
#[test]
fn framing() {
    vectors::<MqttSn>("framing");
}

#[test]
fn discovery() {
    vectors::<MqttSn>("discovery");
}

#[test]
fn session() {
    vectors::<MqttSn>("session");
}

#[test]
fn publish() {
    vectors::<MqttSn>("publish");
}

#[test]
fn subscribe() {
    vectors::<MqttSn>("subscribe");
}

//= mqttsn:GW-SN-32
#[test]
fn encapsulation() {
    vectors::<MqttSn>("encapsulation");
}

//= mqttsn:GW-SN-02
#[test]
fn a_packet_of_three_hundred_bytes_has_a_length_of_three() {
    let mut bytes = hex::decode("01 01 35 0c 20 00 01 00 02").unwrap();
    bytes.resize(309, b'x');
    let frame = decode(&bytes).unwrap();
    assert_eq!(to_json(&frame)["data"], "x".repeat(300));
    assert_eq!(encoded(&frame), bytes);
    assert_whole::<MqttSn>(&MqttSn::codec(""), &bytes);
}

#[test]
fn every_packet_type_has_a_vector() {
    let mut seen = [false; 256];
    for vector in all_vectors::<MqttSn>() {
        if let Ok(frame) = decode(&vector.bytes) {
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

#[test]
fn all_of_two_and_three_bytes() {
    for [a, b] in (0..=u16::MAX).map(u16::to_be_bytes) {
        for datagram in [&[a, b][..], &[3, a, b], &[4, 0x0c, a, b]] {
            test_kit::codec::fuzz::<MqttSn>(datagram);
        }
    }
}
