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
