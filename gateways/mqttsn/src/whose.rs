use codec_mqttsn::PacketType;
use gateway_host::Whose;

/// The MsgType of a forwarder's wrapping.
const ENCAPSULATED: u8 = 0xFE;

/// The first byte of a Length of three bytes.
const LONG_FORM: u8 = 0x01;

/// The flags of a PUBLISH that say QoS -1.
const QOS_MINUS_ONE: u8 = 0b0110_0000;

/// Bytes of a CONNECT between MsgType and ClientId: flags, ProtocolId and Duration.
const CONNECT_HEAD_BYTES: usize = 4;

/// Whose a datagram is, by its header and the client identifier in it. What is not well formed is
/// nobody's, so that it cannot open a link.
pub(crate) fn whose(datagram: &[u8], max_packet_size: u16) -> Whose<'_> {
    let relayed = inside_wrapping(datagram);
    let packet = relayed.unwrap_or(datagram);
    let Some(Header { packet_type, body }) = split(packet, max_packet_size) else {
        return Whose::Nobody;
    };
    let (client_id, opens) = match packet_type {
        //= mqttsn:GW-SN-17
        PacketType::Publish if is_minus_one(body) => return Whose::Nobody,
        PacketType::Searchgw | PacketType::Gwinfo | PacketType::Advertise => return Whose::Nobody,
        PacketType::Connect => (client_id(body.get(CONNECT_HEAD_BYTES..)), true),
        PacketType::Pingreq if !body.is_empty() => (client_id(Some(body)), false),
        //= mqttsn:GW-SN-32
        _ if relayed.is_some() => return Whose::Relayed { opens: false },
        _ => return Whose::Peer,
    };
    match client_id {
        None => Whose::Nobody,
        //= mqttsn:GW-SN-32
        Some(_) if relayed.is_some() => Whose::Relayed { opens },
        //= mqttsn:GW-SN-30
        Some(client_id) => Whose::Client { client_id, opens },
    }
}

struct Header<'d> {
    packet_type: PacketType,
    body: &'d [u8],
}

/// What a forwarder has wrapped; `None` if it comes from no forwarder.
fn inside_wrapping(datagram: &[u8]) -> Option<&[u8]> {
    match datagram {
        // The first two bytes of a Length of three, whatever comes then.
        [LONG_FORM, ..] => None,
        [len, ENCAPSULATED, ..] => Some(datagram.get(usize::from(*len)..).unwrap_or(&[])),
        _ => None,
    }
}

/// The datagram at the start of bytes that hold several, as far as its Length tells; else all of
/// them.
pub(crate) fn first_datagram(bytes: &[u8]) -> &[u8] {
    let inside = inside_wrapping(bytes);
    let wrapping = inside.map_or(0, |inside| bytes.len() - inside.len());
    let len = match inside.unwrap_or(bytes) {
        [LONG_FORM, high, low, ..] => u16::from_be_bytes([*high, *low]),
        [len, ..] => u16::from(*len),
        [] => 0,
    };
    bytes.get(..wrapping + usize::from(len)).filter(|first| !first.is_empty()).unwrap_or(bytes)
}

/// A packet whose Length is the size of `bytes`.
fn split(bytes: &[u8], max_packet_size: u16) -> Option<Header<'_>> {
    let (len, msg_type, body) = match bytes {
        [LONG_FORM, high, low, msg_type, body @ ..] => {
            (u16::from_be_bytes([*high, *low]), *msg_type, body)
        }
        [len, msg_type, body @ ..] => (u16::from(*len), *msg_type, body),
        _ => return None,
    };
    if usize::from(len) != bytes.len() || len > max_packet_size {
        return None;
    }
    Some(Header { packet_type: PacketType::from_number(msg_type)?, body })
}

fn client_id(bytes: Option<&[u8]>) -> Option<&str> {
    let text = std::str::from_utf8(bytes?).ok()?;
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

fn is_minus_one(body: &[u8]) -> bool {
    body.first().is_some_and(|flags| flags & QOS_MINUS_ONE == QOS_MINUS_ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_whose(hex: &str, expected: Whose<'_>) {
        assert_eq!(whose(&codec_wire::hex::decode(hex).unwrap(), 64), expected, "{hex}");
    }

    //= mqttsn:GW-SN-30
    #[test]
    fn a_client_that_names_itself_is_found_by_its_name() {
        assert_whose("0904 0c01 003c 736e31", Whose::Client { client_id: "sn1", opens: true });
        assert_whose("01000b 04 0c01003c 736e31", Whose::Client { client_id: "sn1", opens: true });
        assert_whose("0516 736e31", Whose::Client { client_id: "sn1", opens: false });
    }

    #[test]
    fn everything_else_of_a_client_is_its_peers() {
        for hex in ["0216", "0218", "0418012c", "090a00000001742f61", "090c2000010002 6869"] {
            assert_whose(hex, Whose::Peer);
        }
    }

    //= mqttsn:GW-SN-32
    #[test]
    fn what_is_wrapped_is_its_forwarders() {
        assert_whose("05fe000a0b 0216", Whose::Relayed { opens: false });
        assert_whose("05fe000a0b 0516736e31", Whose::Relayed { opens: false });
        assert_whose("05fe000a0b 09040c01003c736e31", Whose::Relayed { opens: true });
        assert_whose("03fe00 0218", Whose::Relayed { opens: false });
    }

    //= mqttsn:GW-SN-02
    #[test]
    fn a_long_length_is_no_wrapping() {
        let mut long = vec![0x16; 0xFE01];
        long[..4].copy_from_slice(&[1, 0xFE, 1, 0x0A]);
        assert_eq!(whose(&long, u16::MAX), Whose::Peer);
    }

    //= mqttsn:GW-SN-17
    #[test]
    fn searches_and_publishes_without_a_connection_are_nobodys() {
        for hex in ["030101", "030201", "0500010384", "090c61000500006869"] {
            assert_whose(hex, Whose::Nobody);
            assert_whose(&format!("05fe000a0b{hex}"), Whose::Nobody);
        }
    }

    #[test]
    fn what_is_not_well_formed_opens_nothing() {
        for hex in [
            "",
            "00",
            "02",
            "0a040c01003c736e31",
            "08040c01003c736e31",
            "06040c01003c",
            "04040c01",
            "09040c01003c73ff31",
            "09040c01003c730031",
            "0203",
            "05fe000a0b",
            "09fe000a0b",
            "05fe000a0b 05fe000a0b 09040c01003c736e31",
            "05fe000a0b 0a040c01003c736e31",
        ] {
            assert_whose(hex, Whose::Nobody);
        }
        let long = [&[65, 0x16][..], &[b'a'; 63]].concat();
        assert_eq!(whose(&long, 64), Whose::Nobody);
        assert!(matches!(whose(&long, 65), Whose::Client { .. }));
    }
}
