use std::path::PathBuf;

use codec_mqtt::{Codec, DecodeError, Decoded, Limits, MqttCodec, Packet, Version, encode};

/// A codec for the version that a vector names.
pub(crate) fn codec(version: &str) -> MqttCodec {
    let limits = Limits::UNLIMITED;
    match version {
        "server" => MqttCodec::server(limits),
        "3.1" => MqttCodec::with_version(Version::V31, limits),
        "3.1.1" => MqttCodec::with_version(Version::V311, limits),
        "5.0" => MqttCodec::with_version(Version::V5, limits),
        _ => panic!("no such version: {version}"),
    }
}

/// Decodes `input`, which has to be one whole packet.
pub(crate) fn decode_whole<'a>(
    codec: &mut MqttCodec,
    input: &'a [u8],
) -> Result<Packet<'a>, DecodeError> {
    match codec.decode(input)? {
        Decoded::Frame { frame, len } => {
            assert_eq!(len, input.len(), "bytes after the packet");
            Ok(frame)
        }
        Decoded::Need(len) => panic!("{len} bytes needed, {} there", input.len()),
    }
}

pub(crate) fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, version, &mut out).unwrap_or_else(|error| panic!("{packet:?}: {error}"));
    out
}

/// Feeds `packet` byte by byte: nothing comes out, and ever more is asked for but never more than
/// there is, until the last byte is there; a byte of the next packet changes nothing.
pub(crate) fn assert_splits(codec: &MqttCodec, packet: &[u8]) {
    for len in 0..packet.len() {
        match codec.clone().decode(&packet[..len]) {
            Ok(Decoded::Need(need)) => {
                assert!(need > len, "{len} bytes are there and {need} needed");
                assert!(need <= packet.len().max(2), "{need} of {} needed", packet.len());
            }
            other => panic!("{len} bytes of {packet:02x?}: {other:?}"),
        }
    }
    let whole = codec.clone().decode(packet).map(|decoded| format!("{decoded:?}"));
    for next in [0x00, 0x30, 0xff] {
        let more = [packet, &[next]].concat();
        assert_eq!(codec.clone().decode(&more).map(|decoded| format!("{decoded:?}")), whole);
    }
}

/// A file of test vectors that the project does not keep itself; `None` if it is not there.
pub(crate) fn foreign_file(name: &str) -> Option<String> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = match std::env::var_os("MANIFOLD_SHARED") {
        Some(path) => PathBuf::from(path),
        None => workspace.join("../shared"),
    };
    std::fs::read_to_string(shared.join("vectors/mqtt").join(name)).ok()
}
