use codec_wire::{Codec, DecodeError, Decoded, EncodeError};

use crate::{Frame, Limits, decode, encode::encode};

/// MQTT-SN frames of datagrams, in either direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct MqttSnCodec {
    limits: Limits,
}

impl MqttSnCodec {
    /// A codec that accepts what `limits` allow.
    pub const fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// The limits in force.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl Codec for MqttSnCodec {
    type Frame<'a> = Frame<'a>;

    /// Decodes `input`, one whole datagram: it never asks for more bytes and takes all of them.
    /// After an error the next datagram can be decoded as if nothing had happened.
    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<Frame<'a>>, DecodeError> {
        let frame = decode::decode(input, &self.limits)?;
        Ok(Decoded::Frame { frame, len: input.len() })
    }

    fn encode(&self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode(frame, out)
    }
}
