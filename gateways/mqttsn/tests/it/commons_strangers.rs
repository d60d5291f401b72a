use codec_mqttsn::{
    Advertise, Connect, Encapsulation, Frame, Gwinfo, Limits, MqttSnCodec, Packet, QoS, Register,
    ReturnCode, Suback, Topic, TopicId, encode,
};
use codec_wire::{Codec, Decoded};
use core_model::Reason;
use gateway_host::{Gateway, Output};

use crate::harness::{ack, connect, publish, subscribe, unsubscribe, will_topic};
use crate::links::{Line, gateway};

/// What clients send to a gateway that they take for theirs.
fn of_clients() -> Vec<Packet<'static>> {
    vec![
        Packet::Register(Register { topic_id: 0, msg_id: 1, topic_name: "a" }),
        Packet::Regack(ack(1, 1, 0)),
        Packet::Publish(publish(QoS::AtMostOnce, TopicId::Normal(1), 0)),
        Packet::Publish(publish(QoS::ExactlyOnce, TopicId::Predefined(1), 1)),
        Packet::Puback(ack(1, 1, 0)),
        Packet::Pubrec(1),
        Packet::Pubrel(1),
        Packet::Pubcomp(1),
        Packet::Subscribe(subscribe(Topic::Name("a"))),
        Packet::Unsubscribe(unsubscribe(Topic::Name("a"))),
        Packet::Pingreq(None),
        Packet::Pingreq(Some("sn1")),
        Packet::Pingresp,
        Packet::WillTopic(Some(will_topic("w"))),
        Packet::WillMsg(b"bye"),
        Packet::WillTopicUpd(None),
        Packet::WillMsgUpd(b"bye"),
    ]
}

/// What would have two gateways talk for ever, or is not for a stranger.
fn unanswered() -> Vec<Packet<'static>> {
    let suback =
        Suback { qos: QoS::AtMostOnce, topic_id: 0, msg_id: 1, return_code: ReturnCode::ACCEPTED };
    vec![
        Packet::Disconnect(None),
        Packet::Disconnect(Some(60)),
        Packet::Advertise(Advertise { gw_id: 1, duration_s: 900 }),
        Packet::Gwinfo(Gwinfo { gw_id: 1, gw_add: b"\x7f\0\0\x01" }),
        Packet::Connack(ReturnCode::ACCEPTED),
        Packet::WillTopicReq,
        Packet::WillMsgReq,
        Packet::Suback(suback),
        Packet::Unsuback(1),
        Packet::WillTopicResp(ReturnCode::ACCEPTED),
        Packet::WillMsgResp(ReturnCode::ACCEPTED),
        Packet::Publish(publish(QoS::MinusOne, TopicId::Predefined(1), 0)),
        Packet::Connect(connect()),
    ]
}

//= mqttsn:GW-SN-25
#[test]
fn a_stranger_is_told_that_it_is_no_client() {
    let mut line = Line::commons_of(&gateway(|_| {}), 0);
    for packet in of_clients() {
        assert_eq!(line.send(packet).packet(), Packet::Disconnect(None), "{packet:?}");
        let outcome = line.relay_from(b"\x01\x02", packet);
        assert_eq!(outcome.relayed(), (&b"\x01\x02"[..], Packet::Disconnect(None)));
        assert!(outcome.operations.is_empty());
    }
}

//= mqttsn:GW-SN-25
#[test]
fn what_could_go_on_for_ever_is_not_answered() {
    let mut line = Line::commons_of(&gateway(|_| {}), 0);
    for packet in unanswered() {
        assert!(line.send(packet).is_nothing(), "{packet:?}");
        assert!(line.relay_from(b"\x01", packet).is_nothing(), "{packet:?}");
    }
}

//= mqttsn:GW-SN-25
#[test]
fn two_gateways_soon_have_nothing_to_say() {
    let gateway = gateway(|_| {});
    let mut lines = [Line::commons_of(&gateway, 0), Line::commons_of(&gateway, 0)];
    for packet in of_clients().into_iter().chain(unanswered()).chain([Packet::Searchgw(0)]) {
        let mut bytes = Vec::new();
        encode(&Frame::plain(packet), &mut bytes).unwrap();
        let mut rounds = 0;
        while !bytes.is_empty() {
            let outcome = lines[rounds % 2].send_bytes(&bytes);
            bytes = outcome.frames.first().map(|(_, bytes)| bytes.clone()).unwrap_or_default();
            rounds += 1;
            assert!(rounds < 4, "{packet:?}");
        }
    }
}

//= mqttsn:GW-SN-01
#[test]
fn what_is_no_packet_is_dropped() {
    let mut line = Line::commons_of(&gateway(|_| {}), 0);
    for hex in ["", "00", "0316", "0303", "0101", "04fe0001 04fe0002 0216", "05fe000a0b"] {
        let outcome = line.send_hex(hex);
        assert!(outcome.is_broken && outcome.is_nothing(), "{hex}");
    }
}

fn refuse(frame: &Frame<'_>, reason: Reason) -> Vec<Vec<u8>> {
    let (mut bytes, mut output) = (Vec::new(), Output::for_datagrams());
    encode(frame, &mut bytes).unwrap();
    gateway(|_| {}).refuse_datagram(&bytes, reason, &mut output);
    output.datagrams().map(|(_, answer)| answer.to_vec()).collect()
}

//= mqttsn:GW-SN-07
#[test]
fn a_connect_that_finds_no_room_is_refused_in_its_terms() {
    let packet = Packet::Connect(Connect { will: true, ..connect() });
    for (reason, code) in [
        (Reason::SERVER_BUSY, ReturnCode::CONGESTION),
        (Reason::QUOTA_EXCEEDED, ReturnCode::CONGESTION),
        (Reason::CONNECTION_RATE_EXCEEDED, ReturnCode::CONGESTION),
        (Reason::BANNED, ReturnCode::NOT_SUPPORTED),
        (Reason::SUCCESS, ReturnCode::NOT_SUPPORTED),
    ] {
        for encapsulation in [None, Some(Encapsulation { radius: 0, node_id: b"\x01" })] {
            let answers = refuse(&Frame { encapsulation, packet }, reason);
            let [answer] = answers.as_slice() else { panic!("{answers:?}") };
            let decoded = MqttSnCodec::new(Limits::UNLIMITED).decode(answer).unwrap();
            let expected = Frame { encapsulation, packet: Packet::Connack(code) };
            assert_eq!(decoded, Decoded::Frame { frame: expected, len: answer.len() });
        }
    }
    assert_eq!(refuse(&Frame::plain(Packet::Disconnect(None)), Reason::SERVER_BUSY).len(), 0);
    assert_eq!(refuse(&Frame::plain(Packet::Pingreq(None)), Reason::SERVER_BUSY), [[2, 0x18]]);
}
