use codec_wire::Codec;
use proptest::test_runner::{Config, TestRunner};

use super::{FrameOf, Subject, assert_whole, decode_whole, encoded};

/// Cases of one run.
const CASES: u32 = 2048;

/// A longer frame is not cut at each of its bytes.
const CUT_BYTES_MAX: usize = 500;

/// Whatever can be said is read back as it was said, whole and cut.
///
/// # Panics
/// A frame is lost or another one comes back.
pub fn round_trip<S: Subject>() {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let done = TestRunner::new(config).run(&S::frames(), |(mode, frame)| {
        check::<S>(mode, &frame);
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

fn check<S: Subject>(mode: &str, frame: &FrameOf<'static, S>) {
    // Only frames that live equally long can be compared.
    let bytes: &'static [u8] = encoded::<S>(&S::codec(mode), frame).leak();
    assert!(bytes.len() <= S::FRAME_BYTES_MAX, "{frame:?}: {} bytes", bytes.len());
    let mut codec = S::codec(mode);
    let decoded = decode_whole(&mut codec, bytes).unwrap_or_else(|e| panic!("{frame:?}: {e}"));
    assert_eq!(&decoded, frame);
    assert_eq!(S::json(&decoded), S::json(frame));
    S::check_frame(&S::codec(mode), &codec, &decoded);
    assert_eq!(encoded::<S>(&codec, &decoded), bytes, "{frame:?}");
    let mut out = b"before".to_vec();
    codec.encode(&decoded, &mut out).unwrap();
    assert!(out.starts_with(b"before") && out.ends_with(bytes), "{frame:?} is not appended");
    if bytes.len() < CUT_BYTES_MAX {
        assert_whole::<S>(&S::codec(mode), bytes);
    }
}
