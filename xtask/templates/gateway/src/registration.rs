//! How the server comes to know this gateway.

use codec___name__::{__Name__Codec, Code, Limits, to_json};
use gateway_settings::{DecodedFrames, Decoder, Registration, Transport, decode_frames};

use crate::{GATEWAY_NAME, settings::__Name__Settings};

/// __Name__ over all that carries a stream.
pub const REGISTRATION: Registration = Registration {
    name: GATEWAY_NAME,
    transports: &[Transport::Tcp, Transport::Tls, Transport::Unix],
    settings: || Box::new(__Name__Settings::default()),
    decoder: Some(Decoder { versions: &[], decode }),
};

fn decode(bytes: &[u8], _version: Option<&str>) -> DecodedFrames {
    let mut codec = __Name__Codec::new(Limits::UNLIMITED);
    decode_frames(&mut codec, bytes, to_json, reason)
}

fn reason(code: u16) -> Option<&'static str> {
    u8::try_from(code).ok().and_then(|code| Code::new(code).name())
}

#[cfg(test)]
mod tests {
    use codec_wire::hex;

    #[test]
    fn frames_are_shown_until_one_is_refused() {
        let decoded = super::decode(&hex::decode("0001 06 0002 08 00 0001 09").unwrap(), None);
        let names: Vec<_> = decoded.frames.iter().map(|frame| &frame.json["packet"]).collect();
        assert_eq!(names, ["PING", "GOODBYE"]);
        let error = &decoded.error.unwrap()["error"];
        assert_eq!((&error["frame_at"], &error["offset"]), (&7.into(), &2.into()));
        assert_eq!(error["reason"], "bad packet");
    }
}
