use codec_mqtt::{Limits, MqttCodec, Packet, Version};
use codec_wire::{Codec, DecodeError, Decoded, EncodeError};

/// What any violation breaks in 3.1.1 that has no statement of its own there.
const VIOLATION_V311: &str = "mqtt311:4.8.0-1";

/// The server's codec of one link.
///
/// It differs from [`MqttCodec`] in one point: the requirement of an error always belongs to the
/// link's version. By it the machine knows in which version a CONNECT is to be answered that never
/// became a packet.
#[derive(Clone, Debug)]
pub struct ServerCodec(MqttCodec);

impl ServerCodec {
    /// The codec of a new link.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        ServerCodec(MqttCodec::server(limits))
    }

    #[cold]
    fn name_version(&self, mut error: DecodeError) -> DecodeError {
        if self.0.version() != Some(Version::V5) && is_of_v5(&error) {
            error.requirement = VIOLATION_V311;
        }
        error
    }
}

/// Whether the error is to be answered as 5.0 does.
pub(crate) fn is_of_v5(error: &DecodeError) -> bool {
    error.requirement.starts_with("mqtt5:")
}

impl Codec for ServerCodec {
    type Frame<'a> = Packet<'a>;

    #[inline]
    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<Packet<'a>>, DecodeError> {
        self.0.decode(input).map_err(|error| self.name_version(error))
    }

    fn encode(&self, frame: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.0.encode(frame, out)
    }
}
