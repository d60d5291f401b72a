//! What the __Name__ codec is to the suite of `test-kit`, and the suite.

use codec___name__::{
    __Name__Codec, Code, DecodeError, Done, HEADER_BYTES, Hello, Limits, PACKET_SIZE_MAX, Packet,
    Publish, Secret, Subscribe, Welcome, to_json,
};
use proptest::{collection::vec, prelude::*};
use test_kit::codec::{Framing, Subject};

test_kit::codec_tests!(__Name__);

pub(crate) struct __Name__;

impl Subject for __Name__ {
    type Codec = __Name__Codec;

    const PROTOCOL: &'static str = "__name__";
    const FRAMING: Framing = Framing::Stream;
    const VECTORS: &'static [(&'static str, &'static str)] =
        &[("packets", include_str!("../../vectors/packets.toml"))];
    const FRAME_BYTES_MAX: usize = PACKET_SIZE_MAX as usize;
    const SMALL_FRAME_BYTES_MAX: usize = SMALL.max_packet_size as usize;
    const HEADER_BYTES: usize = HEADER_BYTES;
    const TELLING_BYTES: &'static [u8] =
        &[0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x61, 0xc3, 0xff];

    fn codec(_mode: &str) -> __Name__Codec {
        __Name__Codec::new(Limits::UNLIMITED)
    }

    fn small(_mode: &str) -> __Name__Codec {
        __Name__Codec::new(SMALL)
    }

    fn json(packet: &Packet<'_>) -> serde_json::Value {
        to_json(packet)
    }

    fn frames() -> impl Strategy<Value = (&'static str, Packet<'static>)> {
        packet().prop_map(|packet| ("", packet))
    }

    fn put_right(bytes: &mut [u8]) {
        let len = bytes.len().saturating_sub(HEADER_BYTES);
        if let (Ok(len), Some(length)) = (u16::try_from(len), bytes.first_chunk_mut()) {
            *length = len.to_be_bytes();
        }
    }

    fn check_error(error: &DecodeError) {
        assert_eq!(error.code, u16::from(Code::BAD_PACKET.value()), "{error}");
    }
}

const SMALL: Limits = Limits { max_packet_size: 16 };

/// The strategies make packets that borrow for ever, which a test can afford.
fn bytes() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..200).prop_map(|bytes| &*bytes.leak())
}

fn text() -> impl Strategy<Value = &'static str> {
    "[^\0]{0,40}".prop_map(|text| &*text.leak())
}

fn packet() -> impl Strategy<Value = Packet<'static>> {
    let code = || any::<u8>().prop_map(Code::new);
    let id = "[^\0]{1,40}".prop_map(|text| &*text.leak());
    let hello = (any::<bool>(), any::<u16>(), id, text(), bytes()).prop_map(
        |(keep, keep_alive_s, client_id, user, password)| {
            let password = Secret(password);
            Packet::Hello(Hello { keep, keep_alive_s, client_id, user, password })
        },
    );
    let welcome = (code(), any::<bool>())
        .prop_map(|(code, session_present)| Packet::Welcome(Welcome { code, session_present }));
    let publish = (any::<u16>(), text(), bytes()).prop_map(|(number, topic, payload)| {
        Packet::Publish(Publish { number, topic, payload })
    });
    let subscribe = (any::<u16>(), text())
        .prop_map(|(number, filter)| Packet::Subscribe(Subscribe { number, filter }));
    let done = (any::<u16>(), code()).prop_map(|(number, code)| Packet::Done(Done { number, code }));
    prop_oneof![
        hello,
        welcome,
        publish,
        subscribe,
        done,
        Just(Packet::Ping),
        Just(Packet::Pong),
        code().prop_map(Packet::Goodbye),
    ]
}
