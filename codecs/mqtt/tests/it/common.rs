use codec_mqtt::{Limits, MqttCodec, Packet, Version, encode};

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

pub(crate) fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, version, &mut out).unwrap_or_else(|error| panic!("{packet:?}: {error}"));
    out
}
