//! rumqttc, the most used Rust client, with MQTT 3.1.1.

use std::time::{Duration, Instant};

use rumqttc::{
    Client, ConnAck, Connection, Event, LastWill, MqttOptions, Packet, Publish, QoS,
    SubscribeReasonCode,
};

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
    options.set_max_packet_size(1 << 20, 1 << 20);
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
    fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.client.subscribe(filter, qos).expect("the request queue has room");
        let codes = until(&mut self.connection, "SUBACK", |packet| match packet {
            Packet::SubAck(suback) => Some(suback.return_codes),
            _ => None,
        });
        assert_eq!(codes, [SubscribeReasonCode::Success(qos)]);
    }

    /// Publishes and waits until the message is acknowledged, or sent at QoS 0.
    fn publish(&mut self, topic: &str, qos: QoS, retain: bool, payload: &[u8]) {
        self.client.publish(topic, qos, retain, payload).expect("the request queue has room");
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

//= mqtt311:4.3.1-1
//= mqtt311:4.6.0-6
#[test]
fn qos_both_ways() {
    let server = Server::start();
    let mut publisher = connect(options(&server, "pub"));
    for (g, granted) in LEVELS.into_iter().enumerate() {
        let mut subscriber = connect(options(&server, &format!("sub{g}")));
        subscriber.subscribe("q/+", granted);
        for (q, qos) in LEVELS.into_iter().enumerate() {
            publisher.publish("q/x", qos, false, &[q as u8]);
            let message = subscriber.receive();
            assert_eq!(message.topic, "q/x");
            assert_eq!(message.payload[..], [q as u8]);
            assert_eq!(message.qos, LEVELS[q.min(g)]);
            assert!(!message.retain);
        }
    }
}

//= mqtt311:3.3.1-5
//= mqtt311:3.3.1-10
#[test]
fn retained() {
    let server = Server::start();
    let mut publisher = connect(options(&server, "pub"));
    publisher.publish("r", QoS::AtLeastOnce, true, b"on");
    let mut subscriber = connect(options(&server, "sub"));
    subscriber.subscribe("r", QoS::AtLeastOnce);
    let message = subscriber.receive();
    assert_eq!((&message.payload[..], message.retain), (&b"on"[..], true));
    publisher.publish("r", QoS::AtLeastOnce, true, b"");
    publisher.publish("r", QoS::AtLeastOnce, false, b"end");
    let mut late = connect(options(&server, "late"));
    late.subscribe("r", QoS::AtLeastOnce);
    publisher.publish("r", QoS::AtLeastOnce, false, b"live");
    assert_eq!(late.receive().payload[..], b"live"[..]);
}

//= mqtt311:3.1.2-8
//= mqtt311:3.14.4-3
#[test]
fn will() {
    let server = Server::start();
    let mut watcher = connect(options(&server, "watcher"));
    watcher.subscribe("will", QoS::AtLeastOnce);
    let mut mortal = options(&server, "mortal");
    mortal.set_last_will(LastWill::new("will", "gone", QoS::AtLeastOnce, false));
    drop(connect(mortal.clone()));
    assert_eq!(watcher.receive().payload[..], b"gone"[..]);
    let mut polite = connect(mortal);
    polite.client.disconnect().expect("the request queue has room");
    while polite.connection.recv_timeout(LIMIT).is_ok_and(|event| event.is_ok()) {}
    let mut again = connect(options(&server, "mortal"));
    again.publish("will", QoS::AtLeastOnce, false, b"end");
    assert_eq!(watcher.receive().payload[..], b"end"[..]);
}

//= mqtt311:3.1.2-4
//= mqtt311:3.1.2-5
//= mqtt311:3.2.2-2
#[test]
fn offline_queue() {
    let server = Server::start();
    let mut durable = options(&server, "durable");
    durable.set_clean_session(false);
    let mut subscriber = connect(durable.clone());
    assert!(!subscriber.connack.session_present);
    subscriber.subscribe("mail", QoS::ExactlyOnce);
    drop(subscriber);
    let mut publisher = connect(options(&server, "pub"));
    for n in 0..60u8 {
        publisher.publish("mail", LEVELS[1 + usize::from(n % 2)], false, &[n]);
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

//= mqtt311:3.1.4-2
#[test]
fn take_over() {
    let server = Server::start();
    let mut old = connect(options(&server, "twin"));
    let _new = connect(options(&server, "twin"));
    let end = Instant::now() + LIMIT;
    while old.connection.recv_timeout(Duration::from_millis(100)).map_or(true, |e| e.is_ok()) {
        assert!(Instant::now() < end, "the old connection stays open");
    }
}

#[test]
fn shared_subscription() {
    let server = Server::start();
    let mut members: Vec<Peer> =
        (0..3).map(|n| connect(options(&server, &format!("m{n}")))).collect();
    for member in &mut members {
        member.subscribe("$share/group/job", QoS::AtLeastOnce);
    }
    let mut publisher = connect(options(&server, "pub"));
    let mut got = Vec::new();
    for n in 0..30u8 {
        publisher.publish("job", QoS::AtLeastOnce, false, &[n]);
    }
    let end = Instant::now() + LIMIT;
    while got.len() < 30 && Instant::now() < end {
        for member in &mut members {
            if let Ok(Ok(Event::Incoming(Packet::Publish(message)))) =
                member.connection.recv_timeout(Duration::from_millis(2))
            {
                got.push(message.payload[0]);
            }
        }
    }
    got.sort_unstable();
    assert_eq!(got, (0..30).collect::<Vec<_>>());
}

#[test]
fn large_payload() {
    let server = Server::start();
    let mut subscriber = connect(options(&server, "sub"));
    subscriber.subscribe("big", QoS::ExactlyOnce);
    let mut publisher = connect(options(&server, "pub"));
    for (q, qos) in LEVELS.into_iter().enumerate() {
        let payload: Vec<u8> = (0..900 << 10).map(|n: u32| (n % 251) as u8 ^ q as u8).collect();
        publisher.publish("big", qos, false, &payload);
        assert!(subscriber.receive().payload[..] == payload[..], "content at {qos:?}");
    }
}
