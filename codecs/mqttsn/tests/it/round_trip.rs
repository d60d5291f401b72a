//! Whatever can be said is read back as it was said.

use codec_mqttsn::{
    Advertise, Connect, Encapsulation, Frame, Gwinfo, Packet, Publish, QoS, Register, ReturnCode,
    ShortName, Suback, Subscribe, Topic, TopicAck, TopicId, Unsubscribe, WillTopic, to_json,
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};

use crate::common::{assert_whole, decode, encoded};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn frames(encapsulation in of(encapsulation()), packet in packet()) {
        let frame = Frame { encapsulation, packet };
        let bytes = encoded(&frame);
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(decoded, frame);
        prop_assert_eq!(encoded(&decoded), &bytes[..]);
        prop_assert_eq!(to_json(&decoded), to_json(&frame));
        if bytes.len() < 400 {
            assert_whole(&bytes);
        }
    }
}

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
