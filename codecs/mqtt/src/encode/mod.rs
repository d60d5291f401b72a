//! Packets to bytes.

mod ack;
mod connect;
mod publish;
mod session;
mod subscribe;

use codec_wire::EncodeError;

pub use ack::{AckKind, encode_ack};
pub use publish::{PublishHead, encode_publish_head, encode_shared_properties, publish_len};

use crate::{
    Packet, PacketType, Version,
    primitives::length_prefixed,
    properties::{self, PropertySet},
};

/// PINGREQ, the same in all versions.
pub const PINGREQ: [u8; 2] = [PacketType::Pingreq.first_byte(), 0];

/// PINGRESP, the same in all versions.
pub const PINGRESP: [u8; 2] = [PacketType::Pingresp.first_byte(), 0];

/// Appends `packet` to `out` in its shortest form in `version`; a CONNECT in its own version.
///
/// Before 5.0 properties and the reasons of acknowledgements are left out, since nothing there
/// depends on them. The encoder cares that the packet can be read back, not that it is sensible.
///
/// # Errors
/// Something is too long for its length field, or `version` cannot say it: AUTH, a DISCONNECT for
/// a reason, a CONNACK or SUBACK without a fitting code, subscription options of 5.0. `out` is then
/// as it was before.
pub fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    encode_packet(packet, version, out).inspect_err(|_| out.truncate(start))
}

fn encode_packet(
    packet: &Packet<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if let Packet::Publish(publish) = packet {
        return publish::encode(publish, version, out);
    }
    //= mqtt5:2.1.3-1
    //= mqtt311:2.2.2-1
    out.push(packet.packet_type().first_byte());
    length_prefixed(out, "packet", |out| match packet {
        Packet::Connect(connect) => connect::encode(connect, out),
        Packet::Connack(connack) => session::connack(connack, version, out),
        Packet::Publish(_) | Packet::Pingreq | Packet::Pingresp => Ok(()),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            ack::encode(ack, version, out)
        }
        Packet::Subscribe(subscribe) => subscribe::subscribe(subscribe, version, out),
        Packet::Suback(suback) => subscribe::suback(suback, version, out),
        Packet::Unsubscribe(unsubscribe) => subscribe::unsubscribe(unsubscribe, version, out),
        Packet::Unsuback(unsuback) => subscribe::unsuback(unsuback, version, out),
        Packet::Disconnect(disconnect) => session::disconnect(disconnect, version, out),
        Packet::Auth(auth) => session::auth(auth, version, out),
    })
}

/// Appends the properties where `version` has them.
fn write_properties<'a, P: PropertySet<'a>>(
    properties: &P,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if version.is_v5() { properties::encode(properties, out) } else { Ok(()) }
}
