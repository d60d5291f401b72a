//! The suite for codecs.
//!
//! A codec's tests implement [`Subject`] once, call [`codec_tests!`](crate::codec_tests) in a module
//! `suite` of `tests/it`, and [`vectors`] for each of their files. What is special about a protocol
//! (limits of its own, forms that it cannot write) stays in tests of the codec itself.

mod foreign;
mod fuzz;
mod mutate;
mod pieces;
mod round_trip;
mod vectors;

use codec_wire::{Codec, DecodeError, Decoded};
use proptest::strategy::Strategy;
use serde_json::Value;

pub use foreign::foreign_file;
pub use fuzz::{fuzz, mutated_vectors, seeds, streams};
pub use mutate::{Numbers, mutated};
pub use pieces::{assert_whole, pieces};
pub use round_trip::round_trip;
pub use vectors::{Vector, all_vectors, every_file_is_listed, refused_requirements, vectors};

/// A frame of the subject's codec.
pub type FrameOf<'a, S> = <<S as Subject>::Codec as Codec>::Frame<'a>;

/// How frames follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// In a stream that may be cut anywhere.
    Stream,
    /// One in a datagram, which says its own size: a shorter or a longer datagram is refused.
    SizedDatagram,
    /// One in a datagram, which ends where the datagram ends: a shorter one is refused or says
    /// something else.
    Datagram,
}

/// A codec as the suite sees it.
pub trait Subject {
    /// The codec. Its clones go on from the same state.
    type Codec: for<'a> Codec<Frame<'a>: std::fmt::Debug + PartialEq> + Clone;

    /// The protocol's name, that of its folder in `conformance/`.
    const PROTOCOL: &'static str;
    /// How frames follow each other.
    const FRAMING: Framing;
    /// The states in which a codec can begin, as vectors name them: versions of the protocol, ends
    /// of a link. A codec with only one state leaves this out, and so do its vectors.
    const MODES: &'static [&'static str] = &[""];
    /// The codec's own vectors: name and text of each file of `vectors/`.
    const VECTORS: &'static [(&'static str, &'static str)];
    /// The size in bytes of the greatest frame that the protocol can say.
    const FRAME_BYTES_MAX: usize;
    /// The same for a codec of [`Subject::small`].
    const SMALL_FRAME_BYTES_MAX: usize;
    /// Bytes that the start of a frame has before it says how long the frame is. A codec may ask
    /// for them even where the frame turns out to be shorter.
    const HEADER_BYTES: usize = 1;
    /// How many bytes a frame may grow when it is written as we write it.
    const GROWTH_BYTES_MAX: usize = 0;
    /// Bytes that mean something to the protocol, for mutations.
    const TELLING_BYTES: &'static [u8];

    /// A codec in the state `mode` without limits but the protocol's.
    fn codec(mode: &str) -> Self::Codec;

    /// A codec in the state `mode` with limits that are small enough to be met.
    fn small(mode: &str) -> Self::Codec;

    /// The frame for people, as vectors say it. It must not lack anything that the frame says.
    fn json(frame: &FrameOf<'_, Self>) -> Value;

    /// All frames that the protocol can say, with the state in which each can be written and read.
    /// They borrow for ever, which a test can afford.
    fn frames() -> impl Strategy<Value = (&'static str, FrameOf<'static, Self>)>;

    /// Puts the length in changed `bytes` right, so that they mostly get past it.
    fn put_right(_bytes: &mut [u8]) {}

    /// A change that mostly makes sense in the protocol.
    fn change(_bytes: &mut Vec<u8>, _numbers: &mut Numbers) {}

    /// What else is true of each refusal, such as a code with which to answer it.
    fn check_error(_error: &DecodeError) {}

    /// What else is true of `frame` and of the codec before and after it has decoded it.
    fn check_frame(_before: &Self::Codec, _after: &Self::Codec, _frame: &FrameOf<'_, Self>) {}
}

/// Tests that every codec has to pass, in a module of its own called `suite`: seeds are in
/// `__fuzz__/suite__decode/corpus` beside it, and `cargo bolero test suite::decode` goes on from
/// them.
#[macro_export]
macro_rules! codec_tests {
    ($subject:ty) => {
        #[test]
        fn whatever_can_be_said_is_read_back() {
            $crate::codec::round_trip::<$subject>();
        }

        #[test]
        fn input_in_pieces_gives_the_same_frames() {
            $crate::codec::pieces::<$subject>();
        }

        #[test]
        fn decode() {
            $crate::bolero::check!()
                .with_iterations(100_000)
                .for_each(|input: &[u8]| $crate::codec::fuzz::<$subject>(input));
        }

        #[test]
        fn seeds() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/__fuzz__/suite__decode");
            $crate::codec::seeds::<$subject>(folder);
        }

        #[test]
        fn mutated_vectors() {
            $crate::codec::mutated_vectors::<$subject>();
        }

        #[test]
        fn streams_of_frames() {
            $crate::codec::streams::<$subject>();
        }

        #[test]
        fn every_file_of_vectors_is_listed() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");
            $crate::codec::every_file_is_listed::<$subject>(folder);
        }
    };
}

/// Decodes `input`, which is one whole frame or refused.
///
/// # Errors
/// What the codec says.
///
/// # Panics
/// The codec wants more bytes, or leaves some.
pub fn decode_whole<'a, C: Codec>(
    codec: &mut C,
    input: &'a [u8],
) -> Result<C::Frame<'a>, DecodeError> {
    match codec.decode(input)? {
        Decoded::Frame { frame, len } => {
            assert_eq!(len, input.len(), "bytes after the frame");
            Ok(frame)
        }
        Decoded::Need(len) => panic!("{len} bytes needed, {} there", input.len()),
    }
}

/// The bytes of `frame`, which has a form on the wire.
fn encoded<S: Subject>(codec: &S::Codec, frame: &FrameOf<'_, S>) -> Vec<u8> {
    let mut out = Vec::new();
    codec.encode(frame, &mut out).unwrap_or_else(|error| panic!("{frame:?}: {error}"));
    out
}
