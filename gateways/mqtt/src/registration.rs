//! How the server comes to know this gateway.

use codec_mqtt::{Limits, MqttCodec, PacketType, ReasonCode, Version, to_json};
use gateway_settings::{DecodedFrames, Decoder, Registration, Transport, decode_frames};

use crate::{GATEWAY_NAME, mapping, settings::MqttSettings};

/// MQTT over all that carries a stream.
pub const REGISTRATION: Registration = Registration {
    name: GATEWAY_NAME,
    transports: &[Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss, Transport::Unix],
    settings: || Box::new(MqttSettings::default()),
    decoder: Some(Decoder { versions: &["3.1", "3.1.1", "5"], decode }),
};

/// Decodes MQTT packets. Without a version a CONNECT at the start tells it, and anything else is
/// taken for MQTT 5.
fn decode(bytes: &[u8], version: Option<&str>) -> DecodedFrames {
    let starts_with_connect = bytes.first().is_some_and(|b| b >> 4 == PacketType::Connect as u8);
    let mut codec = match version {
        Some("3.1") => MqttCodec::with_version(Version::V31, Limits::UNLIMITED),
        Some("3.1.1") => MqttCodec::with_version(Version::V311, Limits::UNLIMITED),
        None if starts_with_connect => MqttCodec::server(Limits::UNLIMITED),
        Some(_) | None => MqttCodec::with_version(Version::V5, Limits::UNLIMITED),
    };
    let decoded = decode_frames(&mut codec, bytes, to_json, reason);
    let told = codec.version().filter(|_| starts_with_connect).map(mapping::version_word);
    DecodedFrames { version: told, ..decoded }
}

fn reason(code: u16) -> Option<&'static str> {
    u8::try_from(code).ok().and_then(|code| ReasonCode::new(code).name())
}

#[cfg(test)]
mod tests {
    use codec_wire::hex;
    use gateway_settings::DecodedFrames;
    use serde_json::json;

    fn decode(hex: &str, version: Option<&str>) -> DecodedFrames {
        super::decode(&hex::decode(hex).unwrap(), version)
    }

    #[test]
    fn a_connect_tells_the_version_of_what_follows() {
        // CONNECT of 3.1.1 with client id "a", then SUBSCRIBE to "t" as 3.1.1 writes it.
        let decoded = decode("100d 0004 4d515454 04 02 003c 0001 61  8206 0001 0001 74 01", None);
        assert_eq!(decoded.error, None);
        assert_eq!(decoded.frames[0].json["protocol_level"], 4);
        assert_eq!(decoded.frames[1].json["packet"], "SUBSCRIBE");
        assert_eq!(decoded.frames[1].json["subscriptions"][0]["filter"], "t");
    }

    #[test]
    fn other_packets_are_taken_for_version_5_unless_told() {
        let publish = "3005 0001 74 00 68";
        assert_eq!(decode(publish, None).frames[0].json["payload"], "h");
        let payload = decode(publish, Some("3.1.1")).frames[0].json["payload"].clone();
        assert_eq!(payload, json!({ "hex": "0068" }));
    }

    #[test]
    fn an_error_says_where_why_and_how_it_is_answered() {
        // PINGREQ, then PUBLISH with QoS 3.
        let decoded = decode("c000 3605 0001 74 0001", Some("5"));
        assert_eq!(decoded.frames.len(), 1);
        let error = &decoded.error.unwrap()["error"];
        assert_eq!(error["kind"], "malformed");
        assert_eq!(error["frame_at"], 2);
        assert_eq!(error["offset"], 0);
        assert_eq!(error["requirement"], "mqtt5:3.3.1-4");
        assert_eq!(error["reason_code"], 0x81);
        assert_eq!(error["reason"], "Malformed Packet");
    }

    #[test]
    fn a_cut_packet_is_incomplete() {
        let error = decode("c000 30", None).error.unwrap();
        assert_eq!(error["error"]["kind"], "incomplete");
        assert_eq!(error["error"]["frame_at"], 2);
    }
}
