use codec_mqttsn::PacketType;
use gateway_host::Whose;

/// The MsgType of a forwarder's wrapping.
const ENCAPSULATED: u8 = 0xFE;

/// The flags of a PUBLISH that say QoS -1.
const QOS_MINUS_ONE: u8 = 0b0110_0000;

/// Whose a datagram is, by its header and the client identifier in it. What is not well formed is
/// nobody's, and what matters less than that is left to the codec.
pub(crate) fn whose(datagram: &[u8]) -> Whose<'_> {
    let Some((msg_type, body)) = split(datagram) else { return Whose::Nobody };
    if msg_type == ENCAPSULATED {
        return relayed(datagram);
    }
    let opens = match PacketType::from_number(msg_type) {
        //= mqttsn:GW-SN-17
        Some(PacketType::Publish) if is_minus_one(body) => return Whose::Nobody,
        Some(PacketType::Searchgw | PacketType::Gwinfo | PacketType::Advertise) | None => {
            return Whose::Nobody;
        }
        Some(PacketType::Connect) => true,
        Some(PacketType::Pingreq) if !body.is_empty() => false,
        Some(_) => return Whose::Peer,
    };
    match client_id(opens, body) {
        Some(client_id) => Whose::Client { client_id, opens },
        None => Whose::Nobody,
    }
}

/// The same of what came through a forwarder.
//= mqttsn:GW-SN-32
fn relayed(datagram: &[u8]) -> Whose<'_> {
    let wrapping = datagram.first().copied().map_or(0, usize::from);
    let Some((msg_type, body)) = datagram.get(wrapping..).and_then(split) else {
        return Whose::Nobody;
    };
    match PacketType::from_number(msg_type) {
        Some(PacketType::Publish) if is_minus_one(body) => Whose::Nobody,
        Some(PacketType::Searchgw | PacketType::Gwinfo | PacketType::Advertise) | None => {
            Whose::Nobody
        }
        Some(PacketType::Connect) => Whose::Relayed { opens: true },
        Some(PacketType::Pingreq) => Whose::Relayed { opens: !body.is_empty() },
        Some(_) => Whose::Relayed { opens: false },
    }
}

/// MsgType and variable part of a packet whose Length is that of `bytes`, or less for a forwarder's
/// wrapping.
fn split(bytes: &[u8]) -> Option<(u8, &[u8])> {
    match bytes {
        [0x01, _, _, msg_type, body @ ..] => Some((*msg_type, body)),
        [_, msg_type, body @ ..] => Some((*msg_type, body)),
        _ => None,
    }
}

/// The client identifier of a CONNECT (`true`) or a PINGREQ.
fn client_id(is_connect: bool, body: &[u8]) -> Option<&str> {
    let bytes = if is_connect { body.get(4..)? } else { body };
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

fn is_minus_one(body: &[u8]) -> bool {
    body.first().is_some_and(|flags| flags & QOS_MINUS_ONE == QOS_MINUS_ONE)
}
