use codec_mqttsn::{Packet, Publish, QoS, ShortName, TopicId};
use core_model::{DisconnectCause, Event, Filter, Operation, PublishMessage, Reason, Takeover};
use gateway_host::{Gateway, Rate};
use gateway_mqttsn::{Credentials, MqttSnConfig};

use crate::harness::{START, connected};
use crate::links::{Line, Outcome, facts, gateway};

fn open(config: &mut MqttSnConfig) {
    config.qos_minus_one = vec![Filter::parse("city/#").unwrap(), Filter::parse("ab").unwrap()];
    config.predefined.add(None, 5, "city/noise").unwrap();
    config.predefined.add(None, 6, "elsewhere").unwrap();
    config.predefined.add(Some("sn1"), 7, "city/own").unwrap();
}

fn line_with(message_rate: Option<Rate>) -> Line {
    let facts = facts(2, false, message_rate);
    let mut line = Line::new(gateway(open).open_commons(&facts, START).unwrap());
    line.tick();
    line.event(0, connected());
    line
}

fn publish(topic_id: TopicId, retain: bool) -> Packet<'static> {
    let msg_id = 0;
    let qos = QoS::MinusOne;
    Packet::Publish(Publish { dup: false, qos, retain, topic_id, msg_id, data: b"hi" })
}

/// Topic, QoS and retain flag of what was published.
fn published(outcome: &Outcome) -> Option<(String, u8, bool)> {
    assert!(outcome.frames.is_empty() && outcome.close.is_none(), "{outcome:?}");
    let (slot, operation) = outcome.operations.first()?;
    let Operation::Publish(publish) = operation else { panic!("{outcome:?}") };
    let PublishMessage::Stored(message) = &publish.message else { panic!("{outcome:?}") };
    assert_eq!((*slot, message.payload()), (0, &b"hi"[..]));
    Some((message.topic().to_owned(), message.qos() as u8, message.retain()))
}

//= mqttsn:GW-SN-17
#[test]
fn it_is_off_unless_topics_are_allowed() {
    let mut line = Line::commons_of(&gateway(|_| {}), 0);
    assert_eq!(line.link.next_deadline(), None);
    assert!(line.send(publish(TopicId::Predefined(5), false)).is_nothing());
    assert!(line.send_hex("090c62616200006869").is_nothing());
}

//= mqttsn:GW-SN-17
#[test]
fn allowed_topics_are_published_as_qos_0_and_not_answered() {
    let mut line = line_with(None);
    let short = TopicId::Short(ShortName::of_topic("ab").unwrap());
    let noise = Some(("city/noise".to_owned(), 0, true));
    assert_eq!(published(&line.send(publish(TopicId::Predefined(5), true))), noise);
    assert_eq!(published(&line.relay_from(b"\x01", publish(TopicId::Predefined(5), true))), noise);
    let message = published(&line.send(publish(short, false)));
    assert_eq!(message, Some(("ab".to_owned(), 0, false)));
    for denied in [
        TopicId::Predefined(6),
        TopicId::Predefined(7),
        TopicId::Predefined(8),
        TopicId::Short(ShortName::of_topic("cd").unwrap()),
    ] {
        assert!(line.send(publish(denied, false)).is_nothing(), "{denied:?}");
    }
    // QoS -1 with an id of a client's own table, and a wildcard.
    for hex in ["090c60000500006869", "090c62612300006869"] {
        let outcome = line.send_hex(hex);
        assert!(outcome.is_broken && outcome.is_nothing(), "{hex}");
    }
}

//= mqttsn:GW-SN-17
#[test]
fn it_is_a_client_that_is_let_in_as_others_are() {
    let logins = Credentials::read("qos-1:field:secret\n*:other:p").unwrap();
    let gateway = gateway(|config| {
        open(config);
        config.credentials = logins;
    });
    let mut line = Line::commons_of(&gateway, 2);
    assert!(line.send(publish(TopicId::Predefined(5), true)).is_nothing());
    let outcome = line.tick();
    let (0, Operation::Connect(connect)) = outcome.operation() else { panic!("{outcome:?}") };
    assert_eq!(&*connect.client_id, "qos-1.field.2");
    assert!(connect.clean_start);
    assert_eq!(connect.manners.takeover, Takeover::Nobody);
    assert_eq!(connect.evidence.user.as_deref(), Some("field"));
    assert_eq!(connect.evidence.password.as_ref().unwrap().expose(), b"secret");
    assert_eq!(line.link.next_deadline(), None);
    assert!(line.send(publish(TopicId::Predefined(5), true)).is_nothing());
    line.event(0, connected());
    assert!(published(&line.send(publish(TopicId::Predefined(5), true))).is_some());
}

#[test]
fn it_comes_back_after_a_pause() {
    let ends = [
        Event::Refused { reason: Reason::SERVER_BUSY, server_reference: None },
        Event::Kicked { reason: Reason::ADMINISTRATIVE_ACTION, server_reference: None },
    ];
    for end in ends {
        let mut line = line_with(None);
        assert!(line.event(0, end).is_nothing());
        assert!(line.send(publish(TopicId::Predefined(5), true)).is_nothing());
        line.wait_s(29);
        assert!(line.tick().is_nothing());
        line.wait_s(1);
        assert!(matches!(line.tick().operation(), (0, Operation::Connect(_))));
        assert!(line.tick().is_nothing());
        line.event(0, connected());
        assert!(published(&line.send(publish(TopicId::Predefined(5), true))).is_some());
    }
}

#[test]
fn the_rate_of_the_listener_holds() {
    let mut line = line_with(Some(Rate { per_second: 1, burst: 2 }));
    let taken = |line: &mut Line| {
        let outcomes = (0..5).map(|_| line.send(publish(TopicId::Predefined(5), true)));
        outcomes.filter(|outcome| published(outcome).is_some()).count()
    };
    assert_eq!(taken(&mut line), 2);
    line.wait_s(1);
    assert_eq!(taken(&mut line), 1);
}

#[test]
fn it_says_goodbye_once() {
    let mut line = line_with(None);
    let outcome = line.event(0, Event::Draining);
    let (0, Operation::Disconnect(disconnect)) = outcome.operation() else { panic!() };
    assert_eq!(disconnect.cause, DisconnectCause::Farewell);
    assert!(line.send(publish(TopicId::Predefined(5), true)).is_nothing());
    let close = |line: &mut Line| {
        line.call(|link, context| link.on_close(Reason::SERVER_SHUTTING_DOWN, context))
    };
    assert!(close(&mut line).is_nothing());
    let mut line = line_with(None);
    assert!(matches!(close(&mut line).operation(), (0, Operation::Disconnect(_))));
}
