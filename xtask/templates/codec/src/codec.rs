use codec_wire::{Codec, DecodeError, Decoded, EncodeError};

use crate::{Limits, Packet, decode, encode};

/// __Name__ packets of a stream, in either direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct __Name__Codec {
    limits: Limits,
}

impl __Name__Codec {
    /// A codec that accepts what `limits` allow.
    pub const fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl Codec for __Name__Codec {
    type Frame<'a> = Packet<'a>;

    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<Packet<'a>>, DecodeError> {
        decode::decode(input, &self.limits)
    }

    fn encode(&self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode::encode(packet, out)
    }
}
