//! What has no form on the wire is refused and leaves nothing behind.

use codec_mqttsn::{
    Codec, Connect, Encapsulation, EncodeError, Frame, MqttSnCodec, PROTOCOL_ID, Packet, Publish,
    QoS, Register, ShortName, Subscribe, Topic, TopicId, Unsubscribe, WillTopic, encode,
};

fn connect(client_id: &str) -> Packet<'_> {
    Packet::Connect(Connect {
        will: false,
        clean_session: true,
        protocol_id: PROTOCOL_ID,
        duration_s: 60,
        client_id,
    })
}

fn publish(qos: QoS, topic_id: TopicId) -> Packet<'static> {
    Packet::Publish(Publish { dup: false, qos, retain: false, topic_id, msg_id: 0, data: b"hi" })
}

fn will_topic(topic: &str) -> Option<WillTopic<'_>> {
    Some(WillTopic { qos: QoS::AtMostOnce, retain: false, topic })
}

//= mqttsn:GW-SN-17
//= mqttsn:GW-SN-31
#[test]
fn what_cannot_be_said_is_refused() {
    let wildcard = TopicId::Short(ShortName::of_topic("a#").unwrap());
    let subscribe = |name| {
        let topic = Topic::Name(name);
        Packet::Subscribe(Subscribe { dup: false, qos: QoS::AtMostOnce, msg_id: 1, topic })
    };
    for packet in [
        connect(""),
        connect("a\0"),
        Packet::WillTopic(will_topic("")),
        Packet::WillTopicUpd(will_topic("\0")),
        Packet::Register(Register { topic_id: 0, msg_id: 1, topic_name: "" }),
        publish(QoS::MinusOne, TopicId::Normal(1)),
        publish(QoS::AtMostOnce, wildcard),
        subscribe(""),
        subscribe("\0"),
        Packet::Unsubscribe(Unsubscribe { msg_id: 1, topic: Topic::Name("") }),
        Packet::Pingreq(Some("")),
    ] {
        for encapsulation in [None, Some(Encapsulation { radius: 1, node_id: b"n" })] {
            let mut out = b"before".to_vec();
            let error = encode(&Frame { encapsulation, packet }, &mut out).unwrap_err();
            assert!(matches!(error, EncodeError::Unrepresentable(_)), "{packet:?}: {error}");
            assert_eq!(out, b"before");
        }
    }
}

#[test]
fn a_radius_has_two_bits() {
    let frame = |radius| Frame {
        encapsulation: Some(Encapsulation { radius, node_id: b"n" }),
        packet: Packet::Pingreq(None),
    };
    assert!(encode(&frame(3), &mut Vec::new()).is_ok());
    let error = encode(&frame(4), &mut Vec::new()).unwrap_err();
    assert_eq!(error, EncodeError::Unrepresentable("radius above 3"));
}

#[test]
fn frames_are_appended() {
    let mut out = b"before".to_vec();
    let codec = MqttSnCodec::default();
    codec.encode(&Frame::plain(Packet::Pingresp), &mut out).unwrap();
    let long = "x".repeat(300);
    codec.encode(&Frame::plain(connect(&long)), &mut out).unwrap();
    assert_eq!(&out[..16], b"before\x02\x17\x01\x01\x34\x04\x04\x01\x00\x3c");
    assert_eq!(out.len(), 6 + 2 + 0x134);
}
