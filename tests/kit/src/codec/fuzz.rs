use std::path::Path;

use codec_wire::{Codec, Decoded};

use super::{FrameOf, Framing, Numbers, Subject, all_vectors, decode_whole, encoded, mutated};

/// Mutations of each vector in one run.
const MUTATIONS: usize = 1000;

/// Streams of vectors in one run.
const STREAMS: usize = 2000;

/// Whatever comes in, the codec does not panic, says where it stands, asks for no more than the
/// limits allow, and what it takes it can give back. Where a codec has several modes the first
/// byte says in which one it is.
///
/// # Panics
/// The codec breaks its promise.
pub fn fuzz<S: Subject>(input: &[u8]) {
    match (S::MODES, input.split_first()) {
        ([mode], _) => drop(check::<S>(mode, input)),
        (modes, Some((first, input))) => {
            check::<S>(modes[usize::from(*first) % modes.len()], input);
        }
        (_, None) => {}
    }
}

/// The committed seeds of the fuzz target in `folder`, of which there are some dozens.
///
/// # Panics
/// The codec breaks its promise, or the seeds are not there.
pub fn seeds<S: Subject>(folder: &str) {
    let folder = Path::new(folder).join("corpus");
    let mut count = 0;
    let entries = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        fuzz::<S>(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 30, "{count} seeds");
}

/// The same for bytes that are nearly a frame: mutations of all vectors.
///
/// # Panics
/// The codec breaks its promise, or too few mutations get past its first checks.
pub fn mutated_vectors<S: Subject>() {
    let mut numbers = Numbers::new(5);
    let (mut frames, mut all) = (0, 0);
    for vector in all_vectors::<S>() {
        for _ in 0..MUTATIONS {
            let bytes = mutated::<S>(&vector.bytes, &mut numbers);
            frames += usize::from(check::<S>(&vector.mode, &bytes));
            let mode = *numbers.pick(S::MODES);
            check::<S>(mode, &bytes);
            all += 1;
        }
    }
    assert!(frames > all / 20, "only {frames} of {all} mutations are still frames");
}

/// The same for several vectors one after the other, in any mode.
///
/// # Panics
/// The codec breaks its promise.
pub fn streams<S: Subject>() {
    let vectors = all_vectors::<S>();
    let mut numbers = Numbers::new(7);
    for _ in 0..STREAMS {
        let mut stream = Vec::new();
        for _ in 0..numbers.below(6) {
            stream.extend_from_slice(&numbers.pick(&vectors).bytes);
        }
        let mode = *numbers.pick(S::MODES);
        check::<S>(mode, &stream);
    }
}

/// Whether `input` begins with a frame.
fn check<S: Subject>(mode: &str, input: &[u8]) -> bool {
    let frames = check_codec::<S>(&mut S::codec(mode), input, S::FRAME_BYTES_MAX);
    let small = check_codec::<S>(&mut S::small(mode), input, S::SMALL_FRAME_BYTES_MAX);
    // Limits refuse frames and change none.
    assert!(frames.starts_with(&small), "{input:02x?}: {frames:?} and with limits {small:?}");
    !frames.is_empty()
}

/// Decodes all of `input`. The texts of its frames.
fn check_codec<S: Subject>(codec: &mut S::Codec, mut input: &[u8], most: usize) -> Vec<String> {
    let mut frames = Vec::new();
    loop {
        let before = codec.clone();
        match codec.decode(input) {
            Ok(Decoded::Frame { frame, len }) => {
                assert!(len > 0 && len <= input.len() && len <= most, "{frame:?}: {len} bytes");
                check_frame::<S>(&before, codec, &frame, &input[..len]);
                frames.push(S::json(&frame).to_string());
                input = &input[len..];
                if S::FRAMING != Framing::Stream {
                    assert!(input.is_empty(), "{} bytes of a datagram are left", input.len());
                    return frames;
                }
            }
            Ok(Decoded::Need(need)) => {
                assert_eq!(S::FRAMING, Framing::Stream, "{need} bytes of a datagram needed");
                assert!(need > input.len() && need <= most, "{need} bytes needed");
                return frames;
            }
            Err(error) => {
                assert!(error.offset <= input.len(), "{error}");
                S::check_error(&error);
                return frames;
            }
        }
    }
}

fn check_frame<S: Subject>(
    before: &S::Codec,
    codec: &S::Codec,
    frame: &FrameOf<'_, S>,
    bytes: &[u8],
) {
    let cut = before.clone().decode(&bytes[..bytes.len() - 1]).map(|it| format!("{it:?}"));
    match S::FRAMING {
        Framing::Stream => {
            assert!(cut.as_ref().is_ok_and(|it| it.starts_with("Need(")), "{frame:?}: {cut:?}");
        }
        Framing::SizedDatagram => assert!(cut.is_err(), "{frame:?}: {cut:?}"),
        Framing::Datagram => {}
    }
    S::check_frame(before, codec, frame);
    assert!(S::json(frame).is_object(), "{frame:?}");
    let again = encoded::<S>(codec, frame);
    assert!(again.len() <= bytes.len() + S::GROWTH_BYTES_MAX, "{frame:?} has grown");
    same::<S>(codec, bytes, before, &again);
    let twice = decode_whole(&mut codec.clone(), &again).unwrap();
    assert_eq!(encoded::<S>(codec, &twice), again, "{frame:?}");
}

/// `again`, which `codec` wrote of the frame that `before` read from `bytes`, is that frame.
fn same<'a, S: Subject>(codec: &S::Codec, bytes: &'a [u8], before: &S::Codec, again: &'a [u8]) {
    let frame = decode_whole(&mut before.clone(), bytes).unwrap();
    let read = decode_whole(&mut codec.clone(), again).unwrap_or_else(|e| panic!("{frame:?}: {e}"));
    assert_eq!(read, frame);
}
