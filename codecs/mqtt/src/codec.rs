use codec_wire::{Codec, DecodeError, Decoded, EncodeError, Reader};

use crate::{
    Limits, Packet, PacketType, Version,
    decode::{self, Context, connect},
    encode::encode,
    header::{self, FixedHeader, Header},
    violation,
};

/// MQTT packets of one link, in either direction.
#[derive(Debug, Clone)]
pub struct MqttCodec {
    version: Option<Version>,
    limits: Limits,
}

impl MqttCodec {
    /// The server's end of a new link: the first packet has to be CONNECT and says the version.
    pub const fn server(limits: Limits) -> Self {
        Self { version: None, limits }
    }

    /// A link whose version is known: a client's end, or bytes looked at by a tool.
    pub const fn with_version(version: Version, limits: Limits) -> Self {
        Self { version: Some(version), limits }
    }

    /// The version of the link, once known.
    ///
    /// It is known from the moment when the level of the first CONNECT was read, even if that
    /// CONNECT was then refused, and says in which version to answer. To a level that is not
    /// supported (code 0x84) that is 3.1.1 below 5 and 5.0 above 5.
    #[inline]
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// The limits in force.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes the limits for the packets to come.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The greatest packet in bytes that may come next.
    #[inline]
    fn size_max(&self) -> usize {
        let max = match self.version {
            Some(_) => self.limits.max_packet_size,
            None => self.limits.max_packet_size.min(self.limits.max_connect_size),
        };
        max as usize
    }

    /// Refuses a packet that is too large, the first CONNECT only once its version is known, so
    /// that it can be answered.
    #[cold]
    fn refuse_size(&mut self, input: &[u8], header: &FixedHeader) -> Result<usize, DecodeError> {
        if self.version.is_none() {
            let enough = header.packet_len.min(header.len + connect::VERSION_LEN_MAX);
            let Some(start) = input.get(header.len..enough) else { return Ok(enough) };
            // Whatever else is wrong with it, it is too large first.
            let _ = connect::read_version(&mut Reader::new(start), &mut self.version);
        }
        Err(violation::PACKET_SIZE.at(1, self.version.unwrap_or(Version::V311)))
    }
}

impl Codec for MqttCodec {
    type Frame<'a> = Packet<'a>;

    #[inline]
    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<Packet<'a>>, DecodeError> {
        let version = match (self.version, input) {
            (Some(version), _) => version,
            //= mqtt5:3.1.0-1
            //= mqtt311:3.1.0-1
            (None, [first, ..]) if first >> 4 != PacketType::Connect as u8 => {
                return Err(violation::FIRST_NOT_CONNECT.at(0, Version::V311));
            }
            (None, _) => Version::V311,
        };
        let header = match header::decode(input, version)? {
            Header::Whole(header) => header,
            Header::Need(len) => return Ok(Decoded::Need(len)),
        };
        //= mqtt5:GW-MQTT-03
        if header.packet_len > self.size_max() {
            return self.refuse_size(input, &header).map(Decoded::Need);
        }
        //= mqtt5:1.5.5-1
        if header.is_padded && self.version == Some(Version::V5) {
            return Err(violation::VARINT_NOT_SHORTEST.at(1, Version::V5));
        }
        let Some(packet) = input.get(..header.packet_len) else {
            return Ok(Decoded::Need(header.packet_len));
        };
        let context = Context { version, limits: &self.limits };
        let body = decode::body(packet, &header)?;
        if header.packet_type == PacketType::Publish {
            // Inlined into the caller, as the only one.
            let publish = decode::publish::decode(header.flags, body, context)?;
            return Ok(Decoded::Frame { frame: Packet::Publish(publish), len: header.packet_len });
        }
        decode::decode(&header, body, context, &mut self.version)
    }

    /// Appends `packet` in the version of the link; as long as that is unknown, in that of the
    /// CONNECT, and of other packets in 5.0.
    fn encode(&self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode(packet, self.version.unwrap_or(Version::V5), out)
    }
}
