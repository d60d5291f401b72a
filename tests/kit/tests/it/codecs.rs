//! A codec of two bytes and a body, and what is wrong with others like it.

use codec_wire::{Codec, DecodeError, Decoded, EncodeError, ErrorKind};
use proptest::prelude::*;
use serde_json::{Value, json};
use test_kit::codec::{
    FrameOf, Framing, Subject, fuzz, mutated_vectors, pieces, round_trip, streams, vectors,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    LosesAByte,
    SplitsTooEarly,
    WantsTooMuch,
    HasNoLimit,
    PointsOutside,
    RemembersLittle,
}

/// A frame is 0x2a, the length of the body, and the body.
#[derive(Clone)]
struct Toy<const FAULT: u8> {
    max: usize,
    frames: usize,
}

const FAULTS: [Fault; 7] = [
    Fault::None,
    Fault::LosesAByte,
    Fault::SplitsTooEarly,
    Fault::WantsTooMuch,
    Fault::HasNoLimit,
    Fault::PointsOutside,
    Fault::RemembersLittle,
];

impl<const FAULT: u8> Toy<FAULT> {
    fn has(&self, fault: Fault) -> bool {
        FAULTS[usize::from(FAULT)] == fault
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Body<'a>(&'a [u8]);

impl<const FAULT: u8> Codec for Toy<FAULT> {
    type Frame<'a> = Body<'a>;

    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<Body<'a>>, DecodeError> {
        let error = |offset, what| Err(DecodeError::new(ErrorKind::Malformed, offset, what));
        match *input {
            [first, ..] if first != 0x2a => {
                error(if self.has(Fault::PointsOutside) { 999 } else { 0 }, "no star")
            }
            [_, len, ref body @ ..] => {
                let len = usize::from(len);
                if 2 + len > self.max && !self.has(Fault::HasNoLimit) {
                    return Err(DecodeError::new(ErrorKind::TooLarge, 1, "too long"));
                }
                self.frames += 1;
                if self.has(Fault::RemembersLittle) && self.frames > 2 {
                    return error(0, "what was it?");
                }
                match body.get(..len) {
                    Some(_) if self.has(Fault::LosesAByte) && len > 3 => {
                        Ok(Decoded::Frame { frame: Body(&body[1..len]), len: 2 + len })
                    }
                    Some(body) => Ok(Decoded::Frame { frame: Body(body), len: 2 + len }),
                    None if self.has(Fault::SplitsTooEarly) && body.len() > 2 => {
                        Ok(Decoded::Frame { frame: Body(body), len: input.len() })
                    }
                    None if self.has(Fault::WantsTooMuch) => Ok(Decoded::Need(3 + len)),
                    None => Ok(Decoded::Need(2 + len)),
                }
            }
            _ => Ok(Decoded::Need(2)),
        }
    }

    fn encode(&self, frame: &Body<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let len = u8::try_from(frame.0.len()).expect("bodies of tests are short");
        out.extend_from_slice(&[0x2a, len]);
        out.extend_from_slice(frame.0);
        Ok(())
    }
}

struct Toys<const FAULT: u8>;

const VECTORS: &str = r#"
packets = [
    ["nothing", "2a 00", '{"body":""}'],
    ["something", "2a 05 68 65 6c 6c 6f", '{"body":"hello"}'],
]
refused = [["another one", "2b 00", "malformed", 0, ""]]
"#;

impl<const FAULT: u8> Subject for Toys<FAULT> {
    type Codec = Toy<FAULT>;

    const PROTOCOL: &'static str = "toy";
    const FRAMING: Framing = Framing::Stream;
    const VECTORS: &'static [(&'static str, &'static str)] = &[("toy", VECTORS)];
    const FRAME_BYTES_MAX: usize = 257;
    const SMALL_FRAME_BYTES_MAX: usize = 6;
    const HEADER_BYTES: usize = 2;
    const TELLING_BYTES: &'static [u8] = &[0x00, 0x01, 0x2a, 0x2b, 0xff];

    fn codec(_mode: &str) -> Toy<FAULT> {
        Toy { max: 257, frames: 0 }
    }

    fn small(_mode: &str) -> Toy<FAULT> {
        Toy { max: 6, frames: 0 }
    }

    fn json(frame: &FrameOf<'_, Self>) -> Value {
        json!({ "body": String::from_utf8_lossy(frame.0) })
    }

    fn frames() -> impl Strategy<Value = (&'static str, FrameOf<'static, Self>)> {
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(|body| ("", Body(body.leak())))
    }

    fn put_right(bytes: &mut [u8]) {
        if let [_, len, body @ ..] = bytes {
            *len = body.len().try_into().unwrap_or(u8::MAX);
        }
    }
}

#[test]
fn a_good_codec_passes() {
    round_trip::<Toys<0>>();
    pieces::<Toys<0>>();
    mutated_vectors::<Toys<0>>();
    streams::<Toys<0>>();
    vectors::<Toys<0>>("toy");
    fuzz::<Toys<0>>(b"");
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn a_byte_that_is_lost_is_missed_in_the_round_trip() {
    round_trip::<Toys<1>>();
}

#[test]
#[should_panic(expected = "assertion `left == right` failed: something")]
fn a_byte_that_is_lost_is_missed_in_the_vectors() {
    vectors::<Toys<1>>("toy");
}

#[test]
#[should_panic(expected = "5 bytes of [2a, 05, 68, 65, 6c, 6c, 6f]")]
fn a_frame_that_is_not_there_yet_is_no_frame() {
    pieces::<Toys<2>>();
}

#[test]
#[should_panic(expected = "needed")]
fn more_than_the_frame_is_not_asked_for() {
    pieces::<Toys<3>>();
}

#[test]
#[should_panic(expected = "bytes")]
fn a_limit_that_does_not_hold_is_noticed() {
    fuzz::<Toys<4>>(&[0x2a, 0x20]);
}

#[test]
#[should_panic(expected = "at byte 999")]
fn a_refusal_points_into_the_input() {
    fuzz::<Toys<5>>(b"?");
}

#[test]
#[should_panic(expected = "pieces of at most")]
fn what_depends_on_the_pieces_is_noticed() {
    pieces::<Toys<6>>();
}
