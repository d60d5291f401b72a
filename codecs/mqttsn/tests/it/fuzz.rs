//! Whatever comes in, the codec does not panic, says where it stands, and what it takes it can give
//! back.
//!
//! `cargo test` runs the committed seeds, a bounded number of random inputs and mutations of the
//! vectors; `cargo bolero test fuzz::decode_datagram` goes on from the seeds.

use std::path::Path;

use codec_mqttsn::{Frame, Limits, to_json};

use crate::{
    common::{decode, decode_within, encoded},
    mutate::{Numbers, mutated},
    vectors,
};

const SEEDS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/__fuzz__/fuzz__decode_datagram/corpus");

const SMALL: Limits = Limits { max_packet_size: 16 };

/// Whether `input` is a frame.
fn check(input: &[u8]) -> bool {
    let decoded = decode(input);
    match &decoded {
        Ok(frame) => check_frame(frame, input),
        Err(error) => assert!(error.offset <= input.len() && error.code == 0, "{error}"),
    }
    if let Ok(frame) = decode_within(SMALL, input) {
        assert_eq!(decoded.as_ref(), Ok(&frame));
    }
    decoded.is_ok()
}

fn check_frame(frame: &Frame<'_>, bytes: &[u8]) {
    let again = encoded(frame);
    assert!(again.len() <= bytes.len(), "{frame:?} has grown");
    assert_eq!(decode(&again).as_ref(), Ok(frame));
    assert_eq!(encoded(&decode(&again).unwrap()), again);
    assert!(to_json(frame).is_object());
    assert!(decode(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn decode_datagram() {
    bolero::check!().with_iterations(100_000).for_each(|input: &[u8]| {
        check(input);
    });
}

#[test]
fn seeds() {
    let mut count = 0;
    for entry in Path::new(SEEDS).read_dir().unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 30, "{count} seeds");
}

#[test]
fn mutated_vectors() {
    let mut numbers = Numbers::new(5);
    let mut frames = 0;
    for bytes in vectors::all() {
        for _ in 0..1000 {
            frames += usize::from(check(&mutated(&bytes, &mut numbers)));
        }
    }
    assert!(frames > 10_000, "only {frames} mutations are still frames");
}

#[test]
fn all_of_two_and_three_bytes() {
    for [a, b] in (0..=u16::MAX).map(u16::to_be_bytes) {
        check(&[a, b]);
        check(&[3, a, b]);
        check(&[4, 0x0c, a, b]);
    }
}
