//! Whatever comes in, the codec does not panic, says where it stands, and what it takes it can give
//! back.
//!
//! `cargo test` runs the committed seeds, a bounded number of random inputs and mutations of the
//! vectors; `cargo bolero test fuzz::decode` goes on from the seeds.

use std::path::Path;

use codec_mqtt::{Codec, Decoded, Limits, MqttCodec, PACKET_SIZE_MAX, Packet, Version, to_json};

use crate::{
    common::{codec, decode_whole, encoded},
    mutate::{Numbers, mutated},
    vectors,
};

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/__fuzz__/fuzz__decode/corpus");

/// The first byte of an input says which link it comes from.
fn codec_of(mode: u8) -> MqttCodec {
    let small = Limits {
        max_packet_size: 4096,
        max_connect_size: 512,
        max_properties: 4,
        max_user_properties: 3,
        max_filters: 3,
    };
    match mode % 8 {
        0 => MqttCodec::server(Limits::UNLIMITED),
        1 => MqttCodec::with_version(Version::V31, Limits::UNLIMITED),
        2 => MqttCodec::with_version(Version::V311, Limits::UNLIMITED),
        3 => MqttCodec::with_version(Version::V5, Limits::UNLIMITED),
        4 => MqttCodec::server(small),
        5 => MqttCodec::with_version(Version::V31, small),
        6 => MqttCodec::with_version(Version::V311, small),
        _ => MqttCodec::with_version(Version::V5, small),
    }
}

fn check(codec: &mut MqttCodec, mut input: &[u8]) {
    loop {
        let before = codec.clone();
        match codec.decode(input) {
            Ok(Decoded::Frame { frame, len }) => {
                assert!(len > 0 && len <= input.len());
                check_frame(&before, codec, &frame, &input[..len]);
                input = &input[len..];
            }
            Ok(Decoded::Need(need)) => {
                assert!(need > input.len() && need <= PACKET_SIZE_MAX as usize);
                return;
            }
            Err(error) => {
                assert!(error.offset <= input.len(), "{error}");
                assert!(error.code >= 0x80 && !error.requirement.is_empty(), "{error}");
                return;
            }
        }
    }
}

fn check_frame(before: &MqttCodec, codec: &MqttCodec, frame: &Packet<'_>, bytes: &[u8]) {
    let cut = before.clone().decode(&bytes[..bytes.len() - 1]);
    assert!(matches!(cut, Ok(Decoded::Need(need)) if need == bytes.len()));
    let version = codec.version().expect("a packet was decoded");
    let again = encoded(frame, version);
    assert!(again.len() <= bytes.len() + 1, "{frame:?} has grown");
    assert_eq!(decode_whole(&mut codec.clone(), &again).as_ref(), Ok(frame));
    assert!(to_json(frame).is_object());
}

#[test]
fn decode() {
    bolero::check!().with_iterations(100_000).for_each(|input: &[u8]| {
        if let Some((mode, bytes)) = input.split_first() {
            check(&mut codec_of(*mode), bytes);
        }
    });
}

#[test]
fn seeds() {
    let mut count = 0;
    for entry in Path::new(SEEDS).read_dir().unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        check(&mut codec_of(seed[0]), &seed[1..]);
        count += 1;
    }
    assert!(count > 50, "{count} seeds");
}

#[test]
fn mutated_vectors() {
    let mut numbers = Numbers::new(5);
    for (version, bytes) in vectors::all() {
        for _ in 0..1000 {
            let bytes = mutated(&bytes, &mut numbers);
            check(&mut codec(&version), &bytes);
            check(&mut codec_of(numbers.below(8) as u8), &bytes);
        }
    }
}

#[test]
fn streams_of_packets() {
    let vectors = vectors::all();
    let mut numbers = Numbers::new(7);
    for _ in 0..2000 {
        let mut stream = Vec::new();
        for _ in 0..numbers.below(6) {
            stream.extend_from_slice(&vectors[numbers.below(vectors.len())].1);
        }
        check(&mut codec_of(numbers.below(8) as u8), &stream);
    }
}
