//! Bytes of any protocol as JSON for people.

use codec_wire::{Codec, DecodeError, Decoded, ErrorKind};
use serde_json::{Value as Json, json};

use crate::{DecodedFrame, DecodedFrames};

/// What a protocol calls one of its own answer codes.
type Reason = fn(code: u16) -> Option<&'static str>;

/// Decodes all frames of `bytes`, one behind the other, and shows each by `to_json`. `reason` names
/// the code with which the protocol answers an error.
pub fn decode_frames<C: Codec>(
    codec: &mut C,
    bytes: &[u8],
    to_json: impl Fn(&C::Frame<'_>) -> Json,
    reason: Reason,
) -> DecodedFrames {
    let next = |rest: &[u8]| {
        Ok(match codec.decode(rest)? {
            Decoded::Frame { frame, len } => Decoded::Frame { frame: to_json(&frame), len },
            Decoded::Need(total) => Decoded::Need(total),
        })
    };
    decode_all(bytes, next, reason)
}

/// The same for protocols whose codec does not tell one frame from the next, as those of datagrams:
/// `next` shows the frame at the start of what is left.
pub fn decode_all(
    bytes: &[u8],
    mut next: impl FnMut(&[u8]) -> Result<Decoded<Json>, DecodeError>,
    reason: Reason,
) -> DecodedFrames {
    let mut decoded = DecodedFrames::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let frame_at = bytes.len() - rest.len();
        match next(rest) {
            Ok(Decoded::Frame { frame, len }) => {
                decoded.frames.push(DecodedFrame { at: frame_at, len, json: frame });
                rest = rest.get(len..).unwrap_or(&[]);
            }
            Ok(Decoded::Need(total)) => {
                decoded.error = Some(incomplete(frame_at, rest.len(), total));
                break;
            }
            Err(error) => {
                decoded.error = Some(refused(frame_at, &error, reason));
                break;
            }
        }
    }
    decoded
}

fn incomplete(frame_at: usize, have: usize, need: usize) -> Json {
    json!({ "error": {
        "kind": "incomplete",
        "frame_at": frame_at,
        "offset": have,
        "what": format!("the packet has {have} bytes and needs at least {need}"),
    } })
}

/// Positions count bytes from 0: `frame_at` is where the packet begins in the input, `offset` the
/// byte to blame within the packet.
fn refused(frame_at: usize, error: &DecodeError, reason: Reason) -> Json {
    let kind = match error.kind {
        ErrorKind::Malformed => "malformed",
        ErrorKind::Protocol => "protocol",
        ErrorKind::TooLarge => "too-large",
        _ => "unsupported",
    };
    let mut body = json!({
        "kind": kind,
        "frame_at": frame_at,
        "offset": error.offset,
        "requirement": error.requirement,
        "what": error.what,
    });
    if let (1.., Json::Object(body)) = (error.code, &mut body) {
        body.insert("reason_code".into(), error.code.into());
        if let Some(reason) = reason(error.code) {
            body.insert("reason".into(), reason.into());
        }
    }
    json!({ "error": body })
}
