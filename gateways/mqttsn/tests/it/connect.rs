//! CONNECT, with and without a Will, and how it is answered.

use codec_mqttsn::{Connect, Packet, ReturnCode};
use core_model::{
    Connected, Credit, DisconnectCause, Event, Expiry, Manners, Operation, QoS, Reason, Takeover,
};
use gateway_host::{Close, Rate, Rebind};

use crate::harness::{Peer, connect, connected, will_topic};

fn with_will() -> Packet<'static> {
    Packet::Connect(Connect { will: true, ..connect() })
}

fn kept() -> Connect<'static> {
    Connect { clean_session: false, ..connect() }
}

//= mqttsn:GW-SN-06
//= mqttsn:GW-SN-08
#[test]
fn a_client_without_a_will_is_judged_at_once() {
    let mut peer = Peer::fresh(|_| {});
    let effects = peer.send(&Packet::Connect(connect()));
    let operation = effects.connect();
    assert_eq!((operation.gateway, &*operation.client_id), (gateway_mqttsn::GATEWAY_ID, "sn1"));
    assert_eq!((operation.clean_start, operation.expiry), (true, Expiry::WithLink));
    assert!(operation.will.is_none());
    assert_eq!(&*operation.mountpoint, "city/");
    assert_eq!(operation.evidence.peer, Some("192.0.2.7:4711".parse().unwrap()));
    assert_eq!(peer.event(connected()).only_hex(), "030500");
}

//= mqttsn:GW-SN-08
//= mqttsn:GW-SN-10
//= mqttsn:GW-SN-16
#[test]
fn a_session_that_is_kept_outlives_its_link_with_its_will() {
    let mut peer = Peer::fresh(|config| config.session_expiry_s = 99);
    let effects = peer.send(&Packet::Connect(kept()));
    let operation = effects.connect();
    assert_eq!((operation.clean_start, operation.expiry), (false, Expiry::After(99)));
    assert_eq!(operation.receive_max, 1);
    let Manners { keeps_will, keeps_qos0, takeover, credit } = operation.manners;
    assert!(keeps_will && keeps_qos0);
    assert_eq!(takeover, Takeover::SameAddress);
    assert!(matches!(credit, Credit::Messages(1..)));
}

#[test]
fn who_may_take_a_session_over_is_the_listeners_rule() {
    for (rebind, takeover) in [
        (Rebind::DtlsOnly, Takeover::Nobody),
        (Rebind::SameIp, Takeover::SameAddress),
        (Rebind::Trust, Takeover::Anybody),
    ] {
        let mut peer = Peer::fresh_on(|_| {}, |listener| listener.rebind = rebind);
        let effects = peer.send(&Packet::Connect(connect()));
        assert_eq!(effects.connect().manners.takeover, takeover);
    }
}

//= mqttsn:GW-SN-06
//= mqttsn:GW-SN-09
#[test]
fn a_will_is_asked_for_in_two_steps() {
    let mut peer = Peer::fresh(|_| {});
    assert_eq!(peer.send_hex("09040c01003c736e31").only_hex(), "0206");
    assert_eq!(peer.send_hex("060730772f74").only_hex(), "0208");
    let effects = peer.send_hex("0509627965");
    let will = effects.connect().will.as_ref().unwrap();
    let view = will.message.view();
    assert_eq!((view.topic, view.payload), ("w/t", &b"bye"[..]));
    assert_eq!((view.qos, view.retain), (QoS::AtLeastOnce, true));
    assert_eq!((will.delay_s, will.expiry_s), (0, None));
    assert_eq!(peer.event(connected()).only_hex(), "030500");
}

//= mqttsn:GW-SN-09
#[test]
fn an_empty_will_topic_deletes_the_stored_will() {
    let mut peer = Peer::fresh(|_| {});
    peer.send(&Packet::Connect(Connect { will: true, ..kept() }));
    let effects = peer.send_hex("0207");
    assert!(effects.connect().will.is_none());
    let will = core_model::Message::new("w", b"").detach();
    let stored = Connected { will: Some(will), ..Connected::default() };
    let effects = peer.event(Event::Connected(Box::new(stored)));
    effects.connack(ReturnCode::ACCEPTED);
    let Operation::UpdateWill { will: None, ticket } = effects.operation() else {
        panic!("{effects:?}")
    };
    // Nobody has asked for an answer.
    let event = Event::WillUpdated { ticket: *ticket, reason: Reason::SUCCESS };
    assert!(peer.event(event).is_nothing());
}

//= mqttsn:GW-SN-09
#[test]
fn without_a_stored_will_there_is_nothing_to_delete() {
    let mut peer = Peer::fresh(|_| {});
    peer.send(&with_will());
    peer.send_hex("0207").connect();
    assert_eq!(peer.event(connected()).only_hex(), "030500");
}

//= mqttsn:GW-SN-07
#[test]
fn a_will_that_cannot_be_published_is_refused() {
    for topic in ["a/+", "#", "$SYS/a", "$share/g/a"] {
        let mut peer = Peer::fresh(|_| {});
        peer.send(&with_will());
        let effects = peer.send(&Packet::WillTopic(Some(will_topic(topic))));
        effects.connack(ReturnCode::NOT_SUPPORTED);
        assert!(effects.operations.is_empty() && effects.close.is_some());
    }
    for qos in [codec_mqttsn::QoS::ExactlyOnce, codec_mqttsn::QoS::MinusOne] {
        let mut peer = Peer::fresh(|config| config.max_qos = 1);
        peer.send(&with_will());
        let topic = codec_mqttsn::WillTopic { qos, ..will_topic("w") };
        peer.send(&Packet::WillTopic(Some(topic))).connack(ReturnCode::NOT_SUPPORTED);
    }
}

//= mqttsn:GW-SN-29
#[test]
fn a_connect_sent_again_is_answered_with_what_is_asked() {
    let mut peer = Peer::fresh(|_| {});
    assert_eq!(peer.send(&with_will()).only_packet(), Packet::WillTopicReq);
    assert_eq!(peer.send(&with_will()).only_packet(), Packet::WillTopicReq);
    let topic = Packet::WillTopic(Some(will_topic("w")));
    assert_eq!(peer.send(&topic).only_packet(), Packet::WillMsgReq);
    assert_eq!(peer.send(&with_will()).only_packet(), Packet::WillMsgReq);
    assert_eq!(peer.send(&topic).only_packet(), Packet::WillMsgReq);
    peer.send(&Packet::WillMsg(b"")).connect();
    assert!(peer.send(&with_will()).is_nothing(), "the answer is under way");
    assert_eq!(peer.event(connected()).only_packet(), Packet::Connack(ReturnCode::ACCEPTED));
}

//= mqttsn:GW-SN-29
#[test]
fn another_connect_begins_anew() {
    let mut peer = Peer::fresh(|_| {});
    peer.send(&with_will());
    peer.send(&Packet::WillTopic(Some(will_topic("w"))));
    let other = Packet::Connect(Connect { will: true, ..kept() });
    assert_eq!(peer.send(&other).only_packet(), Packet::WillTopicReq);
    let effects = peer.send(&Packet::Connect(connect()));
    assert!(effects.connect().will.is_none());
}

//= mqttsn:GW-SN-06
#[test]
fn who_does_not_say_its_will_is_asked_again_and_then_forgotten() {
    let mut peer = Peer::fresh(|config| {
        config.t_retry_s = 10;
        config.n_retry = 2;
    });
    peer.send(&with_will());
    for _ in 0..2 {
        peer.wait_s(9);
        assert!(peer.tick().is_nothing());
        peer.wait_s(1);
        assert_eq!(peer.tick().only_packet(), Packet::WillTopicReq);
    }
    peer.wait_s(10);
    let effects = peer.tick();
    assert!(effects.frames.is_empty() && effects.operations.is_empty());
    assert!(matches!(effects.close, Some(Close::Flush(_))));
    assert_eq!(peer.link.next_deadline(), None);
}

//= mqttsn:GW-SN-06
#[test]
fn all_of_the_will_has_to_be_said_in_time() {
    let mut peer = Peer::fresh(|config| {
        config.t_retry_s = 10;
        config.n_retry = 0;
        config.connect_timeout_s = 15;
    });
    peer.send(&with_will());
    peer.wait_s(9);
    peer.send(&Packet::WillTopic(Some(will_topic("w"))));
    peer.wait_s(5);
    assert!(peer.tick().is_nothing());
    peer.wait_s(1);
    assert!(peer.tick().close.is_some());
}

#[test]
fn what_comes_too_early_or_too_late_is_ignored() {
    let mut peer = Peer::fresh(|_| {});
    peer.send(&with_will());
    assert!(peer.send(&Packet::WillMsg(b"x")).is_nothing(), "no topic yet");
    assert!(peer.send(&Packet::Pingreq(None)).is_nothing());
    peer.send_hex("0207").connect();
    assert!(peer.send(&Packet::WillMsg(b"x")).is_nothing());
    peer.event(connected());
    assert!(peer.send(&Packet::WillTopic(None)).is_nothing());
    assert!(peer.send(&Packet::WillMsg(b"x")).is_nothing());
}

//= mqttsn:GW-SN-07
#[test]
fn refusals_have_two_codes() {
    for (reason, code) in [
        (Reason::SERVER_BUSY, ReturnCode::CONGESTION),
        (Reason::QUOTA_EXCEEDED, ReturnCode::CONGESTION),
        (Reason::BAD_CREDENTIALS, ReturnCode::NOT_SUPPORTED),
        (Reason::NOT_AUTHORIZED, ReturnCode::NOT_SUPPORTED),
        (Reason::BANNED, ReturnCode::NOT_SUPPORTED),
    ] {
        let mut peer = Peer::fresh(|_| {});
        peer.send(&Packet::Connect(connect()));
        let effects = peer.event(Event::Refused { reason, server_reference: None });
        effects.connack(code);
        assert!(effects.operations.is_empty());
        assert_eq!(effects.close, Some(Close::Flush(reason)));
    }
}

//= mqttsn:GW-SN-07
#[test]
fn another_protocol_is_not_supported() {
    let other = Packet::Connect(Connect { protocol_id: 2, ..connect() });
    let effects = Peer::fresh(|_| {}).send(&other);
    effects.connack(ReturnCode::NOT_SUPPORTED);
    assert!(effects.operations.is_empty() && effects.close.is_some());
    // It is no reason to end a session that is there.
    let mut peer = Peer::connected();
    assert_eq!(peer.send(&other).only_packet(), Packet::Connack(ReturnCode::NOT_SUPPORTED));
    assert_eq!(peer.send(&Packet::Pingreq(None)).only_packet(), Packet::Pingresp);
}

#[test]
fn a_connected_client_that_connects_again_says_goodbye_first() {
    for asleep in [false, true] {
        let mut peer = if asleep { Peer::asleep() } else { Peer::connected() };
        let effects = peer.send(&Packet::Connect(kept()));
        assert!(effects.frames.is_empty() && effects.close.is_none());
        let [Operation::Disconnect(goodbye), Operation::Connect(again)] = &effects.operations[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!(goodbye.cause, DisconnectCause::Farewell);
        assert!(!again.clean_start);
        peer.event(connected()).connack(ReturnCode::ACCEPTED);
    }
}

#[test]
fn the_rate_is_not_renewed_by_another_connect() {
    let mut peer = Peer::fresh_on(
        |_| {},
        |listener| listener.message_rate = Some(Rate { per_second: 1, burst: 1 }),
    );
    let mut connect_and_publish = || {
        peer.send(&Packet::Connect(connect()));
        peer.event(connected());
        peer.send_hex("090c0261620000 6869".replace(' ', "").as_str())
    };
    connect_and_publish().published();
    assert_eq!(connect_and_publish().only_hex(), "070d6162000001");
}

//= mqttsn:GW-SN-24
#[test]
fn goodbye_before_the_session_is_open() {
    let mut peer = Peer::fresh(|_| {});
    peer.send(&with_will());
    let effects = peer.send(&Packet::Disconnect(None));
    assert_eq!(effects.packet(), Packet::Disconnect(None));
    assert!(effects.operations.is_empty() && effects.close.is_some());

    let mut peer = Peer::fresh(|_| {});
    peer.send(&Packet::Connect(connect()));
    let effects = peer.send(&Packet::Disconnect(Some(60)));
    assert_eq!(effects.packet(), Packet::Disconnect(None));
    assert_eq!(effects.disconnected(), DisconnectCause::Farewell);
    assert!(effects.close.is_some());
    assert!(peer.event(connected()).is_nothing());
}
