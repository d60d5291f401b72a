//! What the MQTT-SN codec is to the suite of `test-kit`, and the suite.

use codec_mqttsn::{
    Advertise, Connect, DecodeError, ENCAPSULATION_SIZE_MAX, Encapsulation, Frame, Gwinfo, Limits,
    MqttSnCodec, PACKET_SIZE_MAX, Packet, Publish, QoS, Register, ReturnCode, ShortName, Suback,
    Subscribe, Topic, TopicAck, TopicId, Unsubscribe, WillTopic, to_json,
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};
use test_kit::codec::{Framing, Numbers, Subject};

test_kit::codec_tests!(MqttSn);

pub(crate) struct MqttSn;

impl Subject for MqttSn {
    type Codec = MqttSnCodec;

    const PROTOCOL: &'static str = "mqttsn";
    const FRAMING: Framing = Framing::SizedDatagram;
    const VECTORS: &'static [(&'static str, &'static str)] = &[
        ("framing", include_str!("../../vectors/framing.toml")),
        ("discovery", include_str!("../../vectors/discovery.toml")),
        ("session", include_str!("../../vectors/session.toml")),
        ("publish", include_str!("../../vectors/publish.toml")),
        ("subscribe", include_str!("../../vectors/subscribe.toml")),
        ("encapsulation", include_str!("../../vectors/encapsulation.toml")),
    ];
    const FRAME_BYTES_MAX: usize = PACKET_SIZE_MAX as usize + ENCAPSULATION_SIZE_MAX as usize;
    const SMALL_FRAME_BYTES_MAX: usize =
        SMALL.max_packet_size as usize + ENCAPSULATION_SIZE_MAX as usize;
    const TELLING_BYTES: &'static [u8] =
        &[0x00, 0x01, 0x02, 0x03, 0x04, 0x0c, 0x18, 0x23, 0x2b, 0x61, 0x7f, 0xc3, 0xfe, 0xff];

    fn codec(_mode: &str) -> MqttSnCodec {
        MqttSnCodec::new(Limits::UNLIMITED)
    }

    fn small(_mode: &str) -> MqttSnCodec {
        MqttSnCodec::new(SMALL)
    }

    fn json(frame: &Frame<'_>) -> serde_json::Value {
        to_json(frame)
    }

    fn frames() -> impl Strategy<Value = (&'static str, Frame<'static>)> {
        (of(encapsulation()), packet())
            .prop_map(|(encapsulation, packet)| ("", Frame { encapsulation, packet }))
    }

    /// The short Length, behind the wrapping of a forwarder if there is one.
    fn put_right(bytes: &mut [u8]) {
        let start = match *bytes {
            [len, 0xfe, ..] if usize::from(len) < bytes.len() => usize::from(len),
            _ => 0,
        };
        let len = bytes.len() - start;
        if (2..256).contains(&len) {
            bytes[start] = len as u8;
        }
    }

    /// A forwarder wraps it.
    fn change(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
        let node = *numbers.pick(Self::TELLING_BYTES);
        bytes.splice(0..0, [4, 0xfe, node & 3, node]);
    }

    fn check_error(error: &DecodeError) {
        assert_eq!(error.code, 0, "{error}");
    }
}

const SMALL: Limits = Limits { max_packet_size: 16 };

/// The strategies make frames that borrow for ever, which a test can afford.
fn bytes() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![4 => vec(any::<u8>(), 0..12), 1 => vec(any::<u8>(), 200..400)]
        .prop_map(|bytes| &*bytes.leak())
}

fn text() -> impl Strategy<Value = &'static str> {
    let characters = prop_oneof![
        4 => "[a-z/ +#$\u{1}\u{7f}\u{80}\u{feff}\u{ffff}\u{10ffff}]{1,12}",
        1 => "[^\0]{1,200}",
    ];
    characters.prop_map(|text| &*text.leak())
}

fn encapsulation() -> impl Strategy<Value = Encapsulation<'static>> {
    (0..4u8, vec(any::<u8>(), 0..=252))
        .prop_map(|(radius, node_id)| Encapsulation { radius, node_id: node_id.leak() })
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::MinusOne][..])
}

fn return_code() -> impl Strategy<Value = ReturnCode> {
    any::<u8>().prop_map(ReturnCode::new)
}

fn short_name() -> impl Strategy<Value = ShortName> {
    prop_oneof!["[a-z/+#\u{1}-\u{7f}]{2}", "[\u{80}-\u{7ff}]"]
        .prop_map(|topic| ShortName::of_topic(&topic).unwrap())
}

fn topic_id() -> impl Strategy<Value = TopicId> {
    prop_oneof![
        any::<u16>().prop_map(TopicId::Normal),
        any::<u16>().prop_map(TopicId::Predefined),
        short_name()
            .prop_filter("no topic of a message", |name| !name.has_wildcard())
            .prop_map(TopicId::Short),
    ]
}

fn topic() -> impl Strategy<Value = Topic<'static>> {
    prop_oneof![
        text().prop_map(Topic::Name),
        any::<u16>().prop_map(Topic::Predefined),
        short_name().prop_map(Topic::Short),
    ]
}

fn packet() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        discovery(),
        connect(),
        will(),
        publish(),
        acks(),
        subscriptions(),
        of(text()).prop_map(Packet::Pingreq),
        Just(Packet::Pingresp),
        of(any::<u16>()).prop_map(Packet::Disconnect),
    ]
}

fn discovery() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        (any::<u8>(), any::<u16>())
            .prop_map(|(gw_id, duration_s)| Packet::Advertise(Advertise { gw_id, duration_s })),
        any::<u8>().prop_map(Packet::Searchgw),
        (any::<u8>(), bytes()).prop_map(|(gw_id, gw_add)| Packet::Gwinfo(Gwinfo { gw_id, gw_add })),
    ]
}

fn connect() -> impl Strategy<Value = Packet<'static>> {
    (any::<bool>(), any::<bool>(), any::<u8>(), any::<u16>(), text()).prop_map(
        |(will, clean_session, protocol_id, duration_s, client_id)| {
            Packet::Connect(Connect { will, clean_session, protocol_id, duration_s, client_id })
        },
    )
}

fn will() -> impl Strategy<Value = Packet<'static>> {
    let topic = || {
        of((qos(), any::<bool>(), text()).prop_map(|(qos, retain, topic)| WillTopic {
            qos,
            retain,
            topic,
        }))
    };
    prop_oneof![
        Just(Packet::WillTopicReq),
        topic().prop_map(Packet::WillTopic),
        Just(Packet::WillMsgReq),
        bytes().prop_map(Packet::WillMsg),
        topic().prop_map(Packet::WillTopicUpd),
        bytes().prop_map(Packet::WillMsgUpd),
    ]
}

fn publish() -> impl Strategy<Value = Packet<'static>> {
    let register =
        (any::<u16>(), any::<u16>(), text()).prop_map(|(topic_id, msg_id, topic_name)| {
            Packet::Register(Register { topic_id, msg_id, topic_name })
        });
    let flags = (any::<bool>(), qos(), any::<bool>());
    let publish = (flags, topic_id(), any::<u16>(), bytes())
        .prop_filter("has no form", |((_, qos, _), topic_id, ..)| {
            *qos != QoS::MinusOne || !matches!(topic_id, TopicId::Normal(_))
        })
        .prop_map(|((dup, qos, retain), topic_id, msg_id, data)| {
            Packet::Publish(Publish { dup, qos, retain, topic_id, msg_id, data })
        });
    prop_oneof![register, publish]
}

fn acks() -> impl Strategy<Value = Packet<'static>> {
    let ack = || {
        (any::<u16>(), any::<u16>(), return_code())
            .prop_map(|(topic_id, msg_id, return_code)| TopicAck { topic_id, msg_id, return_code })
    };
    prop_oneof![
        return_code().prop_map(Packet::Connack),
        ack().prop_map(Packet::Regack),
        ack().prop_map(Packet::Puback),
        any::<u16>().prop_map(Packet::Pubcomp),
        any::<u16>().prop_map(Packet::Pubrec),
        any::<u16>().prop_map(Packet::Pubrel),
        any::<u16>().prop_map(Packet::Unsuback),
        return_code().prop_map(Packet::WillTopicResp),
        return_code().prop_map(Packet::WillMsgResp),
    ]
}

fn subscriptions() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        (any::<bool>(), qos(), any::<u16>(), topic()).prop_map(|(dup, qos, msg_id, topic)| {
            Packet::Subscribe(Subscribe { dup, qos, msg_id, topic })
        }),
        (qos(), any::<u16>(), any::<u16>(), return_code()).prop_map(
            |(qos, topic_id, msg_id, return_code)| {
                Packet::Suback(Suback { qos, topic_id, msg_id, return_code })
            }
        ),
        (any::<u16>(), topic())
            .prop_map(|(msg_id, topic)| Packet::Unsubscribe(Unsubscribe { msg_id, topic })),
    ]
}
