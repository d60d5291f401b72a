use std::path::PathBuf;

use codec_mqttsn::{Codec, DecodeError, Decoded, Frame, Limits, MqttSnCodec, encode};

/// Decodes a datagram, of which the codec has to take everything.
pub(crate) fn decode(datagram: &[u8]) -> Result<Frame<'_>, DecodeError> {
    decode_within(Limits::UNLIMITED, datagram)
}

pub(crate) fn decode_within(limits: Limits, datagram: &[u8]) -> Result<Frame<'_>, DecodeError> {
    match MqttSnCodec::new(limits).decode(datagram)? {
        Decoded::Frame { frame, len } => {
            assert_eq!(len, datagram.len(), "bytes after the packet");
            Ok(frame)
        }
        Decoded::Need(len) => panic!("{len} bytes of a datagram needed"),
    }
}

pub(crate) fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(frame, &mut out).unwrap_or_else(|error| panic!("{frame:?}: {error}"));
    out
}

/// No shorter datagram and none with one more byte is a frame, since a datagram has the size that
/// its Length says. The wrapping of a forwarder, whose Length ends before the packet, is no
/// exception: without that packet it is nothing.
pub(crate) fn assert_whole(datagram: &[u8]) {
    for len in 0..datagram.len() {
        let decoded = decode(&datagram[..len]);
        assert!(decoded.is_err(), "{len} bytes of {datagram:02x?}: {decoded:?}");
    }
    for next in [0x00, 0x02, 0xff] {
        let error = decode(&[datagram, &[next]].concat()).unwrap_err();
        assert_eq!((error.offset, error.requirement), (datagram.len(), "mqttsn:GW-SN-01"));
    }
}

/// A file of test vectors that the project does not keep itself; `None` if it is not there.
pub(crate) fn foreign_file(name: &str) -> Option<String> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = match std::env::var_os("MANIFOLD_SHARED") {
        Some(path) => PathBuf::from(path),
        None => workspace.join("../shared"),
    };
    std::fs::read_to_string(shared.join("vectors/mqttsn").join(name)).ok()
}
