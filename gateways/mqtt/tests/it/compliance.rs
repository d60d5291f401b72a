//! What MQTT is to the suite of `test-kit`, and the suite, in 5.0 and in 3.1.1.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use codec_mqtt::{
    Ack, Auth, Codec, Connack, Connect, ConnectProperties, Decoded, Disconnect, Limits, MqttCodec,
    Packet, Publish, QoS, ReasonCode, Secret, Suback, Subscribe, SubscribeProperties, Subscription,
    Unsuback, Unsubscribe, Version, Will, encode,
};
use gateway_host::Gateway;
use gateway_mqtt::{MqttConfig, MqttGateway};
use socket2::{Domain, Socket, Type};
use test_kit::gateway::{
    Abilities, Accepted, Client, End, Login, PATIENCE, Received, Refused, Settings, Subject,
    Transport,
};

mod v5 {
    test_kit::gateway_tests!(super::Mqtt<true>);
}

mod v311 {
    test_kit::gateway_tests!(super::Mqtt<false>);
}

struct Mqtt<const IS_V5: bool>;

const fn version(is_v5: bool) -> Version {
    if is_v5 { Version::V5 } else { Version::V311 }
}

impl<const IS_V5: bool> Subject for Mqtt<IS_V5> {
    type Client = MqttClient;

    const ABILITIES: Abilities = Abilities {
        transport: Transport::Tcp,
        has_passwords: true,
        has_wills: true,
        has_retained: true,
        has_sessions: true,
        tells_session: true,
        has_wildcards: true,
        has_shared: true,
        says_goodbye: IS_V5,
        has_slots: false,
    };

    fn gateway(settings: &Settings) -> Arc<dyn Gateway> {
        let config = MqttConfig { max_packet_size: settings.max_packet_size, ..Default::default() };
        Arc::new(MqttGateway::new(config).unwrap())
    }

    fn client(server: SocketAddr, from: IpAddr) -> MqttClient {
        MqttClient::open(version(IS_V5), server, from)
    }

    fn frames_of_strangers() -> Vec<(&'static str, Vec<u8>)> {
        let ack = Ack { packet_id: 1, reason: ReasonCode::SUCCESS, properties: Default::default() };
        let publish = |qos, packet_id| Packet::Publish(publish("st", b"x", qos, packet_id, false));
        let mut packets = vec![
            ("PUBLISH QoS 0", publish(QoS::AtMostOnce, 0)),
            ("PUBLISH QoS 1", publish(QoS::AtLeastOnce, 1)),
            ("PUBLISH QoS 2", publish(QoS::ExactlyOnce, 1)),
            ("PUBACK", Packet::Puback(ack)),
            ("PUBREC", Packet::Pubrec(ack)),
            ("PUBREL", Packet::Pubrel(ack)),
            ("PUBCOMP", Packet::Pubcomp(ack)),
            ("SUBSCRIBE", subscribe(&[subscription("st")])),
            ("SUBACK", suback()),
            ("UNSUBSCRIBE", unsubscribe()),
            ("UNSUBACK", unsuback(IS_V5)),
            ("PINGREQ", Packet::Pingreq),
            ("PINGRESP", Packet::Pingresp),
            ("DISCONNECT", Packet::Disconnect(Disconnect::default())),
            ("CONNACK", connack()),
        ]
        .into_iter()
        .map(|(kind, packet)| (kind, written(&packet, version(IS_V5))))
        .collect::<Vec<_>>();
        if IS_V5 {
            let auth = Auth { reason: ReasonCode::SUCCESS, ..Auth::default() };
            let properties = codec_mqtt::AuthProperties {
                authentication_method: Some("method"),
                ..auth.properties
            };
            let auth = Packet::Auth(Auth { properties, ..auth });
            packets.push(("AUTH", written(&auth, Version::V5)));
        }
        packets
    }
}

fn publish<'a>(
    topic: &'a str,
    payload: &'a [u8],
    qos: QoS,
    packet_id: u16,
    retain: bool,
) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain,
        topic,
        packet_id,
        properties: Default::default(),
        raw_properties: &[],
        payload,
    }
}

fn subscription(filter: &str) -> Subscription<'_> {
    Subscription { filter, qos: QoS::AtLeastOnce, ..Subscription::default() }
}

fn subscribe<'a>(subscriptions: &'a [Subscription<'a>]) -> Packet<'a> {
    Packet::Subscribe(Subscribe {
        packet_id: 1,
        properties: SubscribeProperties::default(),
        subscriptions: subscriptions.into(),
    })
}

fn suback() -> Packet<'static> {
    Packet::Suback(Suback { packet_id: 1, properties: Default::default(), reasons: &[0] })
}

fn unsubscribe() -> Packet<'static> {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: 1,
        properties: Default::default(),
        filters: (&["st"][..]).into(),
    })
}

fn unsuback(is_v5: bool) -> Packet<'static> {
    let reasons: &[u8] = if is_v5 { &[0] } else { &[] };
    Packet::Unsuback(Unsuback { packet_id: 1, properties: Default::default(), reasons })
}

fn connack() -> Packet<'static> {
    Packet::Connack(Box::new(Connack {
        session_present: false,
        reason: ReasonCode::SUCCESS,
        properties: Default::default(),
    }))
}

fn written(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes).unwrap();
    bytes
}

/// A client over TCP.
struct MqttClient {
    version: Version,
    stream: TcpStream,
    unread: Vec<u8>,
    /// Messages that came while something else was waited for.
    messages: std::collections::VecDeque<(Received, u16)>,
    /// Whether the server has said goodbye.
    is_told: bool,
}

/// What else comes from the server.
enum Answer {
    Connack(bool, ReasonCode),
    Ack(ReasonCode),
    Suback(u8),
    Pong,
    End,
}

impl MqttClient {
    fn open(version: Version, server: SocketAddr, from: IpAddr) -> MqttClient {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        socket.connect(&server.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let (unread, messages) = Default::default();
        MqttClient { version, stream, unread, messages, is_told: false }
    }

    fn write(&mut self, packet: &Packet<'_>) {
        let bytes = written(packet, self.version);
        self.send(&bytes);
    }

    /// The next packet that is no message; those are kept.
    fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.step() {
                return answer;
            }
        }
    }

    /// Reads one packet, and returns it if it is neither a message nor a goodbye.
    fn step(&mut self) -> Option<Answer> {
        let mut codec = MqttCodec::with_version(self.version, Limits::UNLIMITED);
        let (frame, len) = loop {
            // The end of the borrow is not seen where the frame leaves the loop.
            if let Ok(Decoded::Need(_)) = codec.decode(&self.unread) {
                let mut more = [0; 65_536];
                match self.stream.read(&mut more) {
                    Ok(0) => return Some(Answer::End),
                    Ok(read) => self.unread.extend_from_slice(&more[..read]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        panic!("the server has not answered")
                    }
                    // The server has closed a link on which something was still under way.
                    Err(_) => return Some(Answer::End),
                }
                continue;
            }
            match codec.decode(&self.unread).unwrap() {
                Decoded::Frame { frame, len } => break (frame, len),
                Decoded::Need(_) => unreachable!("it was enough"),
            }
        };
        let answer = match frame {
            Packet::Publish(publish) => {
                let received = Received {
                    topic: publish.topic.to_owned(),
                    payload: publish.payload.to_vec(),
                    retain: publish.retain,
                };
                self.messages.push_back((received, publish.packet_id));
                None
            }
            Packet::Connack(connack) => {
                Some(Answer::Connack(connack.session_present, connack.reason))
            }
            Packet::Puback(ack) => Some(Answer::Ack(ack.reason)),
            Packet::Suback(suback) => Some(Answer::Suback(suback.reasons[0])),
            Packet::Pingresp => Some(Answer::Pong),
            Packet::Disconnect(_) => {
                self.is_told = true;
                None
            }
            other => panic!("{other:?} of the server"),
        };
        self.unread.drain(..len);
        answer
    }
}

fn refused(why: impl std::fmt::Debug) -> Refused {
    Refused(format!("{why:?}"))
}

impl Client for MqttClient {
    fn connect(&mut self, login: &Login) -> Result<Accepted, Refused> {
        let frame = self.connect_frame(login);
        self.send(&frame);
        match self.answer() {
            Answer::Connack(session_present, ReasonCode::SUCCESS) => {
                Ok(Accepted { session_present })
            }
            Answer::Connack(_, reason) => Err(refused(reason)),
            _ => Err(refused("closed")),
        }
    }

    fn connect_frame(&mut self, login: &Login) -> Vec<u8> {
        let is_v5 = self.version == Version::V5;
        let properties = ConnectProperties {
            session_expiry_s: (is_v5 && login.is_durable).then_some(3_600),
            ..ConnectProperties::default()
        };
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: !login.is_durable,
            keep_alive_s: 0,
            client_id: &login.client_id,
            will: login.will.as_ref().map(|(topic, payload)| Will {
                qos: QoS::AtLeastOnce,
                retain: false,
                topic,
                payload,
                properties: Default::default(),
            }),
            user_name: Some(&login.client_id),
            password: Some(Secret(login.password.as_bytes())),
            properties,
        };
        written(&Packet::Connect(Box::new(connect)), self.version)
    }

    fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) -> Result<(), Refused> {
        self.write(&Packet::Publish(publish(topic, payload, QoS::AtLeastOnce, 7, retain)));
        match self.answer() {
            Answer::Ack(reason) if reason.value() < 0x80 => Ok(()),
            Answer::Ack(reason) => Err(refused(reason)),
            _ => Err(refused("closed")),
        }
    }

    fn publish_frame(&mut self, topic: &str, payload: &[u8]) -> Vec<u8> {
        let publish = publish(topic, payload, QoS::AtMostOnce, 0, false);
        written(&Packet::Publish(publish), self.version)
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Refused> {
        self.write(&subscribe(&[subscription(filter)]));
        match self.answer() {
            Answer::Suback(0..0x80) => Ok(()),
            Answer::Suback(code) => Err(refused(code)),
            _ => Err(refused("closed")),
        }
    }

    fn receive(&mut self) -> Option<Received> {
        while self.messages.is_empty() {
            if matches!(self.step(), Some(Answer::End)) {
                break;
            }
        }
        let (received, packet_id) = self.messages.pop_front()?;
        if packet_id != 0 {
            let (reason, properties) = (ReasonCode::SUCCESS, Default::default());
            self.write(&Packet::Puback(Ack { packet_id, reason, properties }));
        }
        Some(received)
    }

    fn ping(&mut self) -> bool {
        self.write(&Packet::Pingreq);
        matches!(self.answer(), Answer::Pong)
    }

    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn end(&mut self) -> End {
        while !matches!(self.answer(), Answer::End) {}
        if self.is_told { End::Told } else { End::Closed }
    }

    fn disconnect(mut self) {
        self.write(&Packet::Disconnect(Disconnect::default()));
        self.end();
    }
}
