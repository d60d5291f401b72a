//! The limit at n and n + 1, and what the wire itself limits.

use codec_mqttsn::{
    Encapsulation, EncodeError, ErrorKind, Frame, Limits, PACKET_SIZE_MAX, Packet, encode,
};

use crate::common::{decode, decode_within, encoded};

#[test]
fn packet_size_counts_length_and_msg_type() {
    let limits = Limits { max_packet_size: 5 };
    let message = [5, 0x09, b'b', b'y', b'e'];
    assert!(decode_within(limits, &message).is_ok());
    let error = decode_within(limits, &[6, 0x09, b'b', b'y', b'e', b'!']).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::TooLarge, 0));
    let error = decode_within(limits, &[1, 0, 6, 0x09, b'b', b'y']).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::TooLarge, 0));
}

#[test]
fn packet_size_does_not_count_the_wrapping() {
    let limits = Limits { max_packet_size: 2 };
    assert!(decode_within(limits, &[5, 0xfe, 0, 10, 11, 2, 0x16]).is_ok());
    let error = decode_within(limits, &[5, 0xfe, 0, 10, 11, 3, 0x01, 0]).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::TooLarge, 5));
}

#[test]
fn packet_size_is_judged_before_anything_else_of_the_packet() {
    let error = decode_within(Limits { max_packet_size: 8 }, &[1, 0xff, 0xff, 0x11]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
}

//= mqttsn:GW-SN-02
#[test]
fn length_grows_at_256_bytes() {
    let payload = [b'x'; 254];
    let short = encoded(&Frame::plain(Packet::WillMsg(&payload[..253])));
    assert_eq!((short.len(), &short[..2]), (255, &[255, 0x09][..]));
    let long = encoded(&Frame::plain(Packet::WillMsg(&payload)));
    assert_eq!((long.len(), &long[..4]), (258, &[1, 1, 2, 0x09][..]));
    for bytes in [short, long] {
        assert_eq!(encoded(&decode(&bytes).unwrap()), bytes);
    }
}

#[test]
fn the_greatest_packet_has_65535_bytes() {
    let payload = vec![b'x'; usize::from(PACKET_SIZE_MAX) - 3];
    let greatest = Frame::plain(Packet::WillMsgUpd(&payload[..payload.len() - 1]));
    let bytes = encoded(&greatest);
    assert_eq!((bytes.len(), &bytes[..4]), (65_535, &[1, 0xff, 0xff, 0x1c][..]));
    assert_eq!(decode(&bytes), Ok(greatest));
    let mut out = vec![7];
    let error = encode(&Frame::plain(Packet::WillMsgUpd(&payload)), &mut out).unwrap_err();
    assert_eq!(error, EncodeError::TooLong { field: "packet", len: 65_536, max: 65_535 });
    assert_eq!(out, [7]);
}

//= mqttsn:GW-SN-32
#[test]
fn the_greatest_node_id_has_252_bytes() {
    let node = [9; 253];
    let frame = |node_id| Frame {
        encapsulation: Some(Encapsulation { radius: 0, node_id }),
        packet: Packet::Pingresp,
    };
    let bytes = encoded(&frame(&node[..252]));
    assert_eq!((bytes.len(), bytes[0]), (257, 255));
    assert_eq!(decode(&bytes), Ok(frame(&node[..252])));
    let error = encode(&frame(&node), &mut Vec::new()).unwrap_err();
    assert_eq!(error, EncodeError::TooLong { field: "wireless node id", len: 253, max: 252 });
}
