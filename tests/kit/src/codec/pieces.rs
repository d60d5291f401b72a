use codec_wire::{Codec, DecodeError, Decoded};
use serde_json::Value;

use super::{Framing, Numbers, Subject, all_vectors};

/// Streams that are cut into pieces in one run.
const STREAMS: usize = 500;

/// Cuts `frame`, which `codec` accepts, at each of its bytes, and lets others follow.
///
/// Of a stream nothing comes out and ever more is asked for, but never more than there is, until
/// the last byte is there, and bytes of the next frame change nothing. A datagram is refused if it
/// is shorter or longer than it says.
///
/// # Panics
/// It is not so.
pub fn assert_whole<S: Subject>(codec: &S::Codec, frame: &[u8]) {
    let whole = shown::<S>(codec, frame);
    assert!(whole.is_ok(), "{frame:02x?}: {whole:?}");
    for len in 0..frame.len() {
        let (start, mut codec) = (&frame[..len], codec.clone());
        match (S::FRAMING, codec.decode(start)) {
            (Framing::Stream, Ok(Decoded::Need(need))) => {
                assert!(need > len, "{len} bytes are there and {need} needed");
                let most = frame.len().max(S::HEADER_BYTES);
                assert!(need <= most, "{need} of {} needed", frame.len());
            }
            (Framing::SizedDatagram | Framing::Datagram, Err(error)) => {
                assert!(error.offset <= len, "{error}");
            }
            (Framing::Datagram, Ok(Decoded::Frame { len: taken, .. })) => assert_eq!(taken, len),
            (_, other) => panic!("{len} bytes of {frame:02x?}: {other:?}"),
        }
    }
    for next in [0x00, 0x02, 0x30, 0xff] {
        let more = [frame, &[next]].concat();
        match S::FRAMING {
            Framing::Stream => assert_eq!(shown::<S>(codec, &more), whole),
            Framing::SizedDatagram => {
                let error = shown::<S>(codec, &more).unwrap_err();
                assert_eq!(error.offset, frame.len(), "{error}");
            }
            Framing::Datagram => {}
        }
    }
}

/// What comes out of the start of `input`, as text and with its length.
fn shown<S: Subject>(codec: &S::Codec, input: &[u8]) -> Result<(Value, String), DecodeError> {
    match codec.clone().decode(input)? {
        Decoded::Frame { frame, len } => Ok((S::json(&frame), format!("{frame:?} of {len}"))),
        Decoded::Need(need) => panic!("{need} bytes needed, {} there", input.len()),
    }
}

/// Streams of frames, whole ones and refused ones, give the same frames and the same refusal into
/// whatever pieces they are cut.
///
/// # Panics
/// They do not.
pub fn pieces<S: Subject>() {
    let vectors = all_vectors::<S>();
    for vector in &vectors {
        if S::codec(&vector.mode).decode(&vector.bytes).is_ok() {
            assert_whole::<S>(&S::codec(&vector.mode), &vector.bytes);
        }
    }
    if S::FRAMING != Framing::Stream {
        eprintln!("skipped: streams in pieces: a datagram is always whole");
        return;
    }
    let mut numbers = Numbers::new(11);
    let mut frames = 0;
    for round in 0..STREAMS {
        let first = numbers.pick(&vectors);
        let mut stream = first.bytes.clone();
        for _ in 0..numbers.below(6) {
            stream.extend_from_slice(&numbers.pick(&vectors).bytes);
        }
        let whole = fed::<S>(&first.mode, &stream, || usize::MAX);
        frames += whole.0.len();
        let greatest = 1 + round % 40;
        let cut = fed::<S>(&first.mode, &stream, || 1 + numbers.below(greatest));
        assert_eq!(cut, whole, "pieces of at most {greatest} bytes of {stream:02x?}");
    }
    assert!(frames > STREAMS / 4, "{frames} frames in {STREAMS} streams");
}

/// The frames that a reader gets who takes pieces of the given sizes, and the refusal at the end.
fn fed<S: Subject>(
    mode: &str,
    stream: &[u8],
    mut piece: impl FnMut() -> usize,
) -> (Vec<Value>, Option<DecodeError>) {
    let mut codec = S::codec(mode);
    let (mut frames, mut start, mut end) = (Vec::new(), 0, 0);
    while end < stream.len() {
        end = stream.len().min(end.saturating_add(piece()));
        loop {
            match codec.decode(&stream[start..end]) {
                Ok(Decoded::Frame { frame, len }) => {
                    frames.push(S::json(&frame));
                    start += len;
                }
                Ok(Decoded::Need(_)) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
