//! Each limit at n and n + 1.

use codec_mqtt::{Codec, DecodeError, Decoded, ErrorKind, Limits, MqttCodec, Version};
use codec_wire::hex;

fn decode(version: Version, limits: Limits, bytes: &str) -> Result<(), DecodeError> {
    let bytes = hex::decode(bytes).unwrap();
    match MqttCodec::with_version(version, limits).decode(&bytes)? {
        Decoded::Frame { .. } => Ok(()),
        Decoded::Need(len) => panic!("{len} bytes needed"),
    }
}

//= mqtt5:GW-MQTT-03
#[test]
fn packet_size_counts_the_fixed_header_and_is_judged_before_the_body_is_there() {
    let limits = Limits { max_packet_size: 200, ..Limits::UNLIMITED };
    for version in Version::ALL {
        let mut codec = MqttCodec::with_version(version, limits);
        // Fixed header of 3 bytes and 197 or 198 more.
        assert_eq!(codec.decode(&[0x30, 0xc5, 0x01]), Ok(Decoded::Need(200)));
        let error = codec.decode(&[0x30, 0xc6, 0x01]).unwrap_err();
        assert_eq!((error.kind, error.code, error.offset), (ErrorKind::TooLarge, 0x95, 1));
        assert_eq!(error.requirement, "mqtt5:GW-MQTT-03");
    }
    let mut greatest = MqttCodec::with_version(Version::V5, Limits::UNLIMITED);
    let need = Decoded::Need(268_435_460);
    assert_eq!(greatest.decode(&[0x30, 0xff, 0xff, 0xff, 0x7f]), Ok(need));
}

//= mqtt5:GW-MQTT-03
#[test]
fn a_connect_that_is_too_large_is_refused_once_its_version_is_known() {
    let limits = Limits { max_connect_size: 15, ..Limits::UNLIMITED };
    let ok = hex::decode("10 0d 00 04 4d 51 54 54 05 02 00 1e 00 00 00").unwrap();
    assert!(matches!(MqttCodec::server(limits).decode(&ok), Ok(Decoded::Frame { len: 15, .. })));
    for (bytes, version) in [
        ("10 0e 00 04 4d 51 54 54 05 02 00 1e 00 00 01 61", Version::V5),
        ("10 0e 00 04 4d 51 54 54 04 02 00 1e 00 02 61 61", Version::V311),
        ("10 0e 00 06 4d 51 49 73 64 70 03 02 00 1e 00 00", Version::V31),
    ] {
        let bytes = hex::decode(bytes).unwrap();
        let mut codec = MqttCodec::server(limits);
        for len in 0..11 {
            let decoded = codec.decode(&bytes[..len]);
            assert!(
                matches!(decoded, Ok(Decoded::Need(need)) if need > len && need <= 11),
                "{len}: {decoded:?}"
            );
        }
        let error = codec.decode(&bytes[..11]).unwrap_err();
        assert_eq!((error.kind, error.code), (ErrorKind::TooLarge, 0x95));
        assert_eq!(codec.version(), Some(version));
    }
    // Even one that says nothing is refused.
    let mut codec = MqttCodec::server(Limits { max_connect_size: 3, ..Limits::UNLIMITED });
    assert_eq!(codec.decode(&[0x10, 2, 0, 1]).unwrap_err().code, 0x95);
    assert_eq!(codec.version(), None);
}

#[test]
fn later_packets_have_the_other_limit() {
    let limits = Limits { max_connect_size: 14, max_packet_size: 20, ..Limits::UNLIMITED };
    let mut codec = MqttCodec::server(limits);
    let connect = hex::decode("10 0c 00 04 4d 51 54 54 04 02 00 1e 00 00").unwrap();
    assert!(matches!(codec.decode(&connect), Ok(Decoded::Frame { .. })));
    assert_eq!(codec.decode(&[0x30, 18]), Ok(Decoded::Need(20)));
    assert!(codec.decode(&[0x30, 19]).is_err());
    codec.set_limits(Limits { max_packet_size: 21, ..limits });
    assert_eq!(codec.decode(&[0x30, 19]), Ok(Decoded::Need(21)));
}

#[test]
fn properties() {
    let limits = Limits { max_properties: 3, max_user_properties: 2, ..Limits::UNLIMITED };
    let publish = |properties: &str| {
        let len = properties.split_whitespace().count();
        let bytes = format!("30 {:02x} 00 01 61 {len:02x} {properties}", len + 4);
        decode(Version::V5, limits, &bytes)
    };
    let user = "26 00 00 00 00";
    assert_eq!(publish(&format!("{user} {user} 01 00")), Ok(()));
    for (properties, offset) in [
        (format!("{user} {user} {user}"), 16),
        ("0b 01 0b 02 0b 03 0b 04".to_owned(), 12),
        (format!("{user} 01 00 {user} 0b 01"), 18),
    ] {
        let error = publish(&properties).unwrap_err();
        let found = (error.kind, error.code, error.offset);
        assert_eq!(found, (ErrorKind::TooLarge, 0x97, offset), "{properties}");
    }
}

#[test]
fn filters() {
    let limits = Limits { max_filters: 2, ..Limits::UNLIMITED };
    let refused = (ErrorKind::TooLarge, 0x97);
    let blame = |error: DecodeError| (error.kind, error.code);
    let two = "82 0a 00 07 00 01 61 00 00 01 62 00";
    let three = "82 0e 00 07 00 01 61 00 00 01 62 00 00 01 63 00";
    assert_eq!(decode(Version::V311, limits, two), Ok(()));
    assert_eq!(decode(Version::V311, limits, three).map_err(blame), Err(refused));
    let two = "a2 09 00 07 00 00 01 61 00 01 62";
    let three = "a2 0c 00 07 00 00 01 61 00 01 62 00 01 63";
    assert_eq!(decode(Version::V5, limits, two), Ok(()));
    assert_eq!(decode(Version::V5, limits, three).map_err(blame), Err(refused));
}
