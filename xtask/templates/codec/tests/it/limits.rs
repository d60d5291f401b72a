//! The limit at n and n + 1, and what the wire itself limits.

use codec___name__::{
    __Name__Codec, Codec, Decoded, EncodeError, ErrorKind, Hello, Limits, PACKET_SIZE_MAX, Packet,
    Publish, Secret, encode,
};

fn publish(payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![7];
    let packet = Packet::Publish(Publish { number: 0, topic: "t", payload });
    let written = encode(&packet, &mut out);
    assert_eq!((written.is_err(), out[0]), (out.len() == 1, 7));
    written.map(|()| out.split_off(1))
}

#[test]
fn packet_size_counts_the_length() {
    let bytes = publish(b"12345").unwrap();
    let len = u32::try_from(bytes.len()).unwrap();
    let mut codec = __Name__Codec::new(Limits { max_packet_size: len });
    assert!(matches!(codec.decode(&bytes), Ok(Decoded::Frame { .. })));
    let mut codec = __Name__Codec::new(Limits { max_packet_size: len - 1 });
    // Its first bytes say so already.
    let error = codec.decode(&bytes[..2]).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::TooLarge, 0));
}

#[test]
fn the_greatest_packet_is_what_a_length_can_say() {
    let room = usize::try_from(PACKET_SIZE_MAX).unwrap() - publish(b"").unwrap().len();
    let bytes = publish(&vec![7; room]).unwrap();
    assert_eq!(bytes[..2], [0xff, 0xff]);
    let error = publish(&vec![7; room + 1]).unwrap_err();
    assert_eq!(error, EncodeError::TooLong { field: "packet", len: 65_536, max: 65_535 });
}

#[test]
fn a_hello_has_short_texts() {
    let hello = |client_id, password| {
        let password = Secret(password);
        let hello = Hello { keep: false, keep_alive_s: 0, client_id, user: "", password };
        encode(&Packet::Hello(hello), &mut Vec::new())
    };
    let (longest, too_long) = ("a".repeat(255), "a".repeat(256));
    assert_eq!(hello(&longest, longest.as_bytes()), Ok(()));
    let refused = |field| Err(EncodeError::TooLong { field, len: 256, max: 255 });
    assert_eq!(hello(&too_long, b""), refused("client id"));
    assert_eq!(hello("a", too_long.as_bytes()), refused("password"));
    assert!(hello("", b"").is_err());
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(format!("{:?}", Secret(b"s3cr")), "[secret]");
}
