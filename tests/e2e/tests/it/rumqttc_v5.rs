//! rumqttc with MQTT 5: its second, separate implementation.

use std::time::Instant;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, DisconnectReasonCode, Filter, LastWill, LastWillProperties, Packet, Publish,
    PublishProperties, SubscribeProperties, SubscribeReasonCode,
};
use rumqttc::v5::{Client, Connection, ConnectionError, Event, MqttOptions, StateError};

use crate::process::LIMIT;
use crate::server::Server;

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A client whose event loop runs while something is awaited.
struct Peer {
    client: Client,
    connection: Connection,
    connack: ConnAck,
}

fn options(server: &Server, id: &str) -> MqttOptions {
    // A server that the environment names may still have sessions of an earlier run.
    let id = format!("{id}-{}", std::process::id());
    let mut options = MqttOptions::new(id, "127.0.0.1", server.address().port());
    options.set_max_packet_size(Some(1 << 20));
    options
}

fn connect(options: MqttOptions) -> Peer {
    let (client, mut connection) = Client::new(options, 100);
    let connack = until(&mut connection, "CONNACK", |packet| match packet {
        Packet::ConnAck(connack) => Some(connack),
        _ => None,
    });
    Peer { client, connection, connack }
}

/// Runs the event loop until `wanted` says yes to an incoming packet.
fn until<T>(
    connection: &mut Connection,
    what: &str,
    mut wanted: impl FnMut(Packet) -> Option<T>,
) -> T {
    let end = Instant::now() + LIMIT;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        match connection.recv_timeout(left) {
            Ok(Ok(Event::Incoming(packet))) => {
                if let Some(found) = wanted(packet) {
                    return found;
                }
            }
            Ok(Ok(Event::Outgoing(_))) => {}
            other => panic!("waiting for {what}: {other:?}"),
        }
    }
    panic!("waited in vain for {what}")
}

impl Peer {
    fn subscribe(&mut self, filter: Filter, id: Option<usize>) {
        let qos = filter.qos;
        let properties = SubscribeProperties { id, user_properties: Vec::new() };
        self.client
            .subscribe_many_with_properties([filter], properties)
            .expect("the request queue has room");
        let codes = until(&mut self.connection, "SUBACK", |packet| match packet {
            Packet::SubAck(suback) => Some(suback.return_codes),
            _ => None,
        });
        assert_eq!(codes, [SubscribeReasonCode::Success(qos)]);
    }

    /// Publishes and waits until the message is acknowledged, or sent at QoS 0.
    fn publish(&mut self, topic: &str, qos: QoS, payload: &[u8], properties: PublishProperties) {
        let payload = payload.to_vec();
        self.client
            .publish_with_properties(topic, qos, false, payload, properties)
            .expect("the request queue has room");
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.checked_duration_since(Instant::now()).expect("an acknowledgement");
            match self.connection.recv_timeout(left).expect("an event").expect("a connection") {
                Event::Outgoing(rumqttc::Outgoing::Publish(_)) if qos == QoS::AtMostOnce => return,
                Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => return,
                _ => {}
            }
        }
    }

    fn receive(&mut self) -> Publish {
        until(&mut self.connection, "a message", |packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        })
    }
}

fn plain() -> PublishProperties {
    PublishProperties::default()
}

//= mqtt5:3.8.4-8
#[test]
fn qos_both_ways() {
    let server = Server::start();
    let mut publisher = connect(options(&server, "pub"));
    for (g, granted) in LEVELS.into_iter().enumerate() {
        let mut subscriber = connect(options(&server, &format!("sub{g}")));
        subscriber.subscribe(Filter::new("q/+", granted), None);
        for (q, qos) in LEVELS.into_iter().enumerate() {
            publisher.publish("q/x", qos, &[q as u8], plain());
            let message = subscriber.receive();
            assert_eq!(message.payload[..], [q as u8]);
            assert_eq!(message.qos, LEVELS[q.min(g)]);
        }
    }
}

//= mqtt5:3.3.2-15
//= mqtt5:3.3.2-16
//= mqtt5:3.3.2-17
//= mqtt5:3.3.2-18
//= mqtt5:3.3.2-20
//= mqtt5:3.3.4-3
#[test]
fn message_properties() {
    let server = Server::start();
    let mut subscriber = connect(options(&server, "sub"));
    subscriber.subscribe(Filter::new("p", QoS::AtLeastOnce), Some(200));
    let mut publisher = connect(options(&server, "pub"));
    let users = [("b", "1"), ("a", "2"), ("b", "3")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let sent = PublishProperties {
        payload_format_indicator: Some(1),
        response_topic: Some("r/t".into()),
        correlation_data: Some(b"\x00\xff".to_vec().into()),
        content_type: Some("text/plain".into()),
        user_properties: users.to_vec(),
        ..plain()
    };
    publisher.publish("p", QoS::AtLeastOnce, b"x", sent.clone());
    let got = subscriber.receive().properties.expect("properties");
    assert_eq!(got, PublishProperties { subscription_identifiers: vec![200], ..sent });
}

//= mqtt5:3.3.2-12
#[test]
fn alias_to_server() {
    let server = Server::start();
    let mut subscriber = connect(options(&server, "sub"));
    subscriber.subscribe(Filter::new("al/+", QoS::AtLeastOnce), None);
    let mut publisher = connect(options(&server, "pub"));
    let alias = PublishProperties { topic_alias: Some(1), ..plain() };
    publisher.publish("al/x", QoS::AtLeastOnce, b"1", alias.clone());
    publisher.publish("", QoS::AtLeastOnce, b"2", alias);
    for wanted in [b"1", b"2"] {
        let message = subscriber.receive();
        assert_eq!((&message.topic[..], &message.payload[..]), (&b"al/x"[..], &wanted[..]));
    }
}

//= mqtt5:3.1.2-8
#[test]
fn will_with_properties() {
    let server = Server::start();
    let mut watcher = connect(options(&server, "watcher"));
    watcher.subscribe(Filter::new("will", QoS::AtLeastOnce), None);
    let mut mortal = options(&server, "mortal");
    let properties = LastWillProperties {
        delay_interval: Some(1),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: Some("text/plain".into()),
        response_topic: None,
        correlation_data: None,
        user_properties: vec![("k".into(), "v".into())],
    };
    let will = LastWill::new("will", "gone", QoS::AtLeastOnce, false, Some(properties));
    mortal.set_last_will(will).set_session_expiry_interval(Some(600));
    drop(connect(mortal));
    let dropped = Instant::now();
    let message = watcher.receive();
    assert!(dropped.elapsed().as_millis() > 900, "the will came before its delay");
    let got = message.properties.expect("properties");
    assert_eq!(got.content_type.as_deref(), Some("text/plain"));
    assert_eq!(got.user_properties, [("k".to_owned(), "v".to_owned())]);
}

//= mqtt5:3.1.2-5
//= mqtt5:3.1.2-23
//= mqtt5:3.2.2-3
#[test]
fn offline_queue() {
    let server = Server::start();
    let mut durable = options(&server, "durable");
    durable.set_clean_start(false).set_session_expiry_interval(Some(300));
    let mut subscriber = connect(durable.clone());
    assert!(!subscriber.connack.session_present);
    subscriber.subscribe(Filter::new("mail", QoS::ExactlyOnce), None);
    drop(subscriber);
    let mut publisher = connect(options(&server, "pub"));
    for n in 0..60u8 {
        publisher.publish("mail", LEVELS[1 + usize::from(n % 2)], &[n], plain());
    }
    let mut again = connect(durable);
    assert!(again.connack.session_present);
    // Order is promised for each QoS.
    let mut next = [0, 1];
    for _ in 0..60 {
        let message = again.receive();
        let next = &mut next[usize::from(message.qos == QoS::ExactlyOnce)];
        assert_eq!(message.payload[..], [*next]);
        *next += 2;
    }
}

//= mqtt5:3.1.4-3
#[test]
fn take_over() {
    let server = Server::start();
    let mut old = connect(options(&server, "twin"));
    let _new = connect(options(&server, "twin"));
    let end = Instant::now() + LIMIT;
    let reason = loop {
        let left = end.checked_duration_since(Instant::now()).expect("a DISCONNECT in time");
        match old.connection.recv_timeout(left).expect("an event") {
            Ok(_) => {}
            Err(ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code, ..
            })) => break reason_code,
            Err(other) => panic!("{other:?} instead of DISCONNECT"),
        }
    };
    assert_eq!(reason, DisconnectReasonCode::SessionTakenOver);
}

#[test]
fn large_payload() {
    let server = Server::start();
    let mut subscriber = connect(options(&server, "sub"));
    subscriber.subscribe(Filter::new("big", QoS::ExactlyOnce), None);
    let mut publisher = connect(options(&server, "pub"));
    for (q, qos) in LEVELS.into_iter().enumerate() {
        let payload: Vec<u8> = (0..900 << 10).map(|n: u32| (n % 251) as u8 ^ q as u8).collect();
        publisher.publish("big", qos, &payload, plain());
        assert!(subscriber.receive().payload[..] == payload[..], "content at {qos:?}");
    }
}
