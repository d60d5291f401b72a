//! How the server comes to know this gateway.

use codec_mqttsn::{Limits, MqttSnCodec, to_json};
use codec_wire::{Codec, DecodeError, Decoded};
use gateway_settings::{DecodedFrames, Decoder, Registration, Transport, decode_all};
use serde_json::Value as Json;

use crate::{GATEWAY_NAME, settings::MqttSnSettings, whose};

/// MQTT-SN over datagrams.
pub const REGISTRATION: Registration = Registration {
    name: GATEWAY_NAME,
    transports: &[Transport::Udp],
    settings: || Box::new(MqttSnSettings::default()),
    decoder: Some(Decoder { versions: &["1.2"], decode }),
};

/// Decodes datagrams, each of which ends where its Length says.
fn decode(bytes: &[u8], _version: Option<&str>) -> DecodedFrames {
    // MQTT-SN drops what it refuses, so an error has no code.
    decode_all(bytes, next, |_| None)
}

fn next(rest: &[u8]) -> Result<Decoded<Json>, DecodeError> {
    let datagram = whose::first_datagram(rest);
    match MqttSnCodec::new(Limits::UNLIMITED).decode(datagram)? {
        Decoded::Frame { frame, len } => Ok(Decoded::Frame { frame: to_json(&frame), len }),
        Decoded::Need(total) => Ok(Decoded::Need(total)),
    }
}

#[cfg(test)]
mod tests {
    use codec_wire::hex;
    use gateway_settings::DecodedFrames;

    fn decode(hex: &str) -> DecodedFrames {
        super::decode(&hex::decode(hex).unwrap(), None)
    }

    #[test]
    fn datagrams_one_behind_the_other_are_told_apart() {
        let decoded = decode("09040c01003c736e31 05fe000a0b0216 01000417 0218");
        assert_eq!(decoded.error, None);
        let shown = format!("{:?}", decoded.frames);
        for packet in ["CONNECT", "PINGREQ", "0a0b", "PINGRESP", "DISCONNECT"] {
            assert!(shown.contains(packet), "{packet}: {shown}");
        }
        assert_eq!(decoded.frames.len(), 4);
    }

    #[test]
    fn an_error_says_where_and_why() {
        let decoded = decode("0216 0903");
        assert_eq!(decoded.frames.len(), 1);
        let error = &decoded.error.unwrap()["error"];
        assert_eq!((&error["frame_at"], &error["kind"]), (&2.into(), &"malformed".into()));
        assert_eq!(error["requirement"], "mqttsn:GW-SN-01");
    }
}
