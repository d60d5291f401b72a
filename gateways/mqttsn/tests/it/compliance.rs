//! What MQTT-SN is to the suite of `test-kit`, and the suite.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use codec_mqttsn::{
    Codec, Connect, Decoded, Encapsulation, Frame, Limits, MqttSnCodec, PROTOCOL_ID, Packet,
    Publish, QoS, Register, ReturnCode, ShortName, Suback, Subscribe, Topic, TopicAck, TopicId,
    Unsubscribe, WillTopic, encode,
};
use gateway_host::Gateway;
use gateway_mqttsn::{Credentials, MqttSnConfig, MqttSnGateway};
use test_kit::gateway::{
    Abilities, Accepted, Client, End, Login, PATIENCE, Received, Refused, Settings, Subject,
    Transport,
};

test_kit::gateway_tests!(MqttSn);

struct MqttSn;

impl Subject for MqttSn {
    type Client = SnClient;

    const ABILITIES: Abilities = Abilities {
        transport: Transport::Udp,
        has_passwords: false,
        has_wills: true,
        has_retained: true,
        has_sessions: true,
        tells_session: false,
        has_wildcards: true,
        has_shared: true,
        says_goodbye: true,
        has_slots: true,
    };

    const SLEEPS: bool = true;

    fn gateway(settings: &Settings) -> Arc<dyn Gateway> {
        let line = |login: &Login| format!("{0}:{0}:{1}\n", login.client_id, login.password);
        let credentials: String = settings.logins.iter().map(line).collect();
        let config = MqttSnConfig {
            max_packet_size: settings.max_packet_size.try_into().unwrap_or(u16::MAX),
            credentials: Credentials::read(&credentials).unwrap(),
            ..MqttSnConfig::default()
        };
        Arc::new(MqttSnGateway::new(config).unwrap())
    }

    fn client(server: SocketAddr, from: IpAddr) -> SnClient {
        SnClient::new(Arc::new(Wire::open(server, from)), None)
    }

    fn clients_of_one_link(server: SocketAddr, count: usize) -> Vec<SnClient> {
        let wire = Arc::new(Wire::open(server, server.ip()));
        let nodes = (0..count).map(|number| vec![b'n', number as u8]);
        nodes.map(|node| SnClient::new(Arc::clone(&wire), Some(node))).collect()
    }

    fn frames_of_strangers() -> Vec<(&'static str, Vec<u8>)> {
        let ack = TopicAck { topic_id: 1, msg_id: 1, return_code: ReturnCode::ACCEPTED };
        let short = ShortName::of_topic("st").unwrap();
        let will = WillTopic { qos: QoS::AtLeastOnce, retain: false, topic: "st" };
        let publish = |qos, topic_id| {
            let msg_id = u16::from(qos == QoS::AtLeastOnce || qos == QoS::ExactlyOnce);
            Packet::Publish(Publish { dup: false, qos, retain: true, topic_id, msg_id, data: b"x" })
        };
        let subscribe = |topic| {
            Packet::Subscribe(Subscribe { dup: false, qos: QoS::AtLeastOnce, msg_id: 1, topic })
        };
        let suback = Suback {
            qos: QoS::AtMostOnce,
            topic_id: 1,
            msg_id: 1,
            return_code: ReturnCode::ACCEPTED,
        };
        let packets = [
            ("SEARCHGW", Packet::Searchgw(1)),
            ("CONNACK", Packet::Connack(ReturnCode::ACCEPTED)),
            ("WILLTOPICREQ", Packet::WillTopicReq),
            ("WILLTOPIC", Packet::WillTopic(Some(will))),
            ("WILLMSGREQ", Packet::WillMsgReq),
            ("WILLMSG", Packet::WillMsg(b"x")),
            ("REGISTER", Packet::Register(Register { topic_id: 0, msg_id: 1, topic_name: "st" })),
            ("REGACK", Packet::Regack(ack)),
            ("PUBLISH QoS -1", publish(QoS::MinusOne, TopicId::Short(short))),
            ("PUBLISH QoS 0", publish(QoS::AtMostOnce, TopicId::Short(short))),
            ("PUBLISH QoS 1", publish(QoS::AtLeastOnce, TopicId::Short(short))),
            ("PUBLISH QoS 2", publish(QoS::ExactlyOnce, TopicId::Short(short))),
            ("PUBLISH by id", publish(QoS::AtMostOnce, TopicId::Normal(1))),
            ("PUBACK", Packet::Puback(ack)),
            ("PUBREC", Packet::Pubrec(1)),
            ("PUBREL", Packet::Pubrel(1)),
            ("PUBCOMP", Packet::Pubcomp(1)),
            ("SUBSCRIBE by name", subscribe(Topic::Name("stranger"))),
            ("SUBSCRIBE", subscribe(Topic::Short(short))),
            ("SUBACK", Packet::Suback(suback)),
            (
                "UNSUBSCRIBE",
                Packet::Unsubscribe(Unsubscribe { msg_id: 1, topic: Topic::Short(short) }),
            ),
            ("UNSUBACK", Packet::Unsuback(1)),
            ("PINGREQ", Packet::Pingreq(None)),
            ("PINGREQ of another client", Packet::Pingreq(Some("alice"))),
            ("PINGREQ of nobody", Packet::Pingreq(Some("nobody"))),
            ("PINGRESP", Packet::Pingresp),
            ("DISCONNECT", Packet::Disconnect(None)),
            ("DISCONNECT to sleep", Packet::Disconnect(Some(60))),
            ("WILLTOPICUPD", Packet::WillTopicUpd(Some(will))),
            ("WILLMSGUPD", Packet::WillMsgUpd(b"x")),
        ];
        let plain = packets.iter().map(|(kind, packet)| (*kind, written(packet, None)));
        let wrapped = packets.iter().map(|(kind, packet)| (*kind, written(packet, Some(b"node"))));
        plain.chain(wrapped).collect()
    }
}

fn written(packet: &Packet<'_>, node: Option<&[u8]>) -> Vec<u8> {
    let encapsulation = node.map(|node_id| Encapsulation { radius: 0, node_id });
    let mut bytes = Vec::new();
    encode(&Frame { encapsulation, packet: *packet }, &mut bytes).unwrap();
    bytes
}

fn short(topic: &str) -> ShortName {
    ShortName::of_topic(topic).expect("a topic of two letters")
}

/// Packets that nobody has taken yet.
type Inbox = VecDeque<Vec<u8>>;

/// A socket, and what came for each of the nodes behind it.
struct Wire {
    socket: UdpSocket,
    inboxes: Mutex<HashMap<Option<Vec<u8>>, Inbox>>,
}

impl Wire {
    fn open(server: SocketAddr, from: IpAddr) -> Wire {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Wire { socket, inboxes: Mutex::default() }
    }

    /// Bytes of the datagram that nobody has taken yet.
    fn waiting(&self) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let len = self.socket.peek(&mut [0; 2_048]).unwrap_or(0);
        self.socket.set_nonblocking(false).unwrap();
        len
    }

    /// The next packet for `node`, without the wrapping.
    fn next(&self, node: Option<&Vec<u8>>) -> Vec<u8> {
        let mut inboxes = self.inboxes.lock().unwrap();
        loop {
            let inbox = inboxes.get_mut(&node.cloned());
            if let Some(packet) = inbox.and_then(VecDeque::pop_front) {
                return packet;
            }
            let mut datagram = [0; 65_536];
            let len = self.socket.recv(&mut datagram).expect("an answer of the server");
            let mut codec = MqttSnCodec::new(Limits::UNLIMITED);
            let Decoded::Frame { frame, .. } = codec.decode(&datagram[..len]).unwrap() else {
                panic!("more than a datagram is needed")
            };
            let node = frame.encapsulation.map(|it| it.node_id.to_vec());
            inboxes.entry(node).or_default().push_back(written(&frame.packet, None));
        }
    }
}

struct SnClient {
    wire: Arc<Wire>,
    node: Option<Vec<u8>>,
    /// Names and topic ids, given by either side.
    topics: HashMap<String, u16>,
    /// Messages that came while something else was waited for, and how to acknowledge them.
    messages: VecDeque<(Received, Option<TopicAck>)>,
    last_msg_id: u16,
}

/// What else comes from the server.
#[derive(Debug)]
enum Answer {
    Connack(ReturnCode),
    WillTopicReq,
    WillMsgReq,
    Regack(TopicAck),
    Puback(TopicAck),
    Suback(Suback),
    Pong,
    End,
}

impl SnClient {
    fn new(wire: Arc<Wire>, node: Option<Vec<u8>>) -> SnClient {
        let (topics, messages, last_msg_id) = Default::default();
        SnClient { wire, node, topics, messages, last_msg_id }
    }

    fn write(&mut self, packet: &Packet<'_>) {
        let bytes = written(packet, self.node.as_deref());
        self.send(&bytes);
    }

    fn msg_id(&mut self) -> u16 {
        self.last_msg_id += 1;
        self.last_msg_id
    }

    /// The next packet that is neither a message nor about topic ids.
    fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.step() {
                return answer;
            }
        }
    }

    fn step(&mut self) -> Option<Answer> {
        let bytes = self.wire.next(self.node.as_ref());
        let mut codec = MqttSnCodec::new(Limits::UNLIMITED);
        let Decoded::Frame { frame, .. } = codec.decode(&bytes).unwrap() else { unreachable!() };
        match frame.packet {
            Packet::Connack(code) => Some(Answer::Connack(code)),
            Packet::WillTopicReq => Some(Answer::WillTopicReq),
            Packet::WillMsgReq => Some(Answer::WillMsgReq),
            Packet::Regack(ack) => Some(Answer::Regack(ack)),
            Packet::Puback(ack) => Some(Answer::Puback(ack)),
            Packet::Suback(suback) => Some(Answer::Suback(suback)),
            Packet::Pingresp => Some(Answer::Pong),
            Packet::Disconnect(_) => Some(Answer::End),
            Packet::Register(Register { topic_id, msg_id, topic_name }) => {
                self.topics.insert(topic_name.to_owned(), topic_id);
                let return_code = ReturnCode::ACCEPTED;
                self.write(&Packet::Regack(TopicAck { topic_id, msg_id, return_code }));
                None
            }
            Packet::Publish(publish) => {
                self.keep(&publish);
                None
            }
            // What a server says to strangers.
            Packet::Gwinfo(_) => None,
            other => panic!("{other:?} of the server"),
        }
    }

    fn keep(&mut self, publish: &Publish<'_>) {
        let (topic, topic_id) = match publish.topic_id {
            TopicId::Short(name) => (name.as_str().to_owned(), u16::from_be_bytes(name.bytes())),
            TopicId::Normal(id) => {
                let known = self.topics.iter().find(|(_, known)| **known == id);
                (known.expect("a topic that was registered").0.clone(), id)
            }
            TopicId::Predefined(id) => panic!("pre-defined topic {id}"),
        };
        let (payload, retain) = (publish.data.to_vec(), publish.retain);
        let ack = (publish.qos == QoS::AtLeastOnce).then_some(TopicAck {
            topic_id,
            msg_id: publish.msg_id,
            return_code: ReturnCode::ACCEPTED,
        });
        self.messages.push_back((Received { topic, payload, retain }, ack));
    }

    /// How PUBLISH names `topic`, which is registered if need be.
    fn topic_id(&mut self, topic: &str) -> Result<TopicId, Refused> {
        if topic.len() == 2 {
            return Ok(TopicId::Short(short(topic)));
        }
        if let Some(id) = self.topics.get(topic) {
            return Ok(TopicId::Normal(*id));
        }
        let msg_id = self.msg_id();
        self.write(&Packet::Register(Register { topic_id: 0, msg_id, topic_name: topic }));
        match self.answer() {
            Answer::Regack(ack) if ack.return_code == ReturnCode::ACCEPTED => {
                self.topics.insert(topic.to_owned(), ack.topic_id);
                Ok(TopicId::Normal(ack.topic_id))
            }
            answer => Err(refused(answer)),
        }
    }
}

fn refused(why: impl std::fmt::Debug) -> Refused {
    Refused(format!("{why:?}"))
}

impl Client for SnClient {
    fn connect(&mut self, login: &Login) -> Result<Accepted, Refused> {
        self.topics.clear();
        let frame = self.connect_frame(login);
        self.send(&frame);
        let (topic, payload) = login.will.clone().unwrap_or_default();
        loop {
            match self.answer() {
                Answer::Connack(ReturnCode::ACCEPTED) => {
                    return Ok(Accepted { session_present: false });
                }
                Answer::Connack(code) => return Err(refused(code)),
                Answer::WillTopicReq => {
                    let will = WillTopic { qos: QoS::AtLeastOnce, retain: false, topic: &topic };
                    self.write(&Packet::WillTopic(Some(will)));
                }
                Answer::WillMsgReq => self.write(&Packet::WillMsg(&payload)),
                // Of what came before.
                _ => {}
            }
        }
    }

    fn connect_frame(&mut self, login: &Login) -> Vec<u8> {
        let connect = Connect {
            will: login.will.is_some(),
            clean_session: !login.is_durable,
            protocol_id: PROTOCOL_ID,
            duration_s: 600,
            client_id: &login.client_id,
        };
        written(&Packet::Connect(connect), self.node.as_deref())
    }

    fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) -> Result<(), Refused> {
        let topic_id = self.topic_id(topic)?;
        let (qos, msg_id) = (QoS::AtLeastOnce, self.msg_id());
        let publish = Publish { dup: false, qos, retain, topic_id, msg_id, data: payload };
        self.write(&Packet::Publish(publish));
        match self.answer() {
            Answer::Puback(ack) if ack.return_code == ReturnCode::ACCEPTED => Ok(()),
            answer => Err(refused(answer)),
        }
    }

    fn publish_frame(&mut self, topic: &str, payload: &[u8]) -> Vec<u8> {
        let (qos, topic_id) = (QoS::AtMostOnce, TopicId::Short(short(topic)));
        let publish =
            Publish { dup: false, qos, retain: false, topic_id, msg_id: 0, data: payload };
        written(&Packet::Publish(publish), self.node.as_deref())
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Refused> {
        let topic = ShortName::of_topic(filter).map_or(Topic::Name(filter), Topic::Short);
        let (qos, msg_id) = (QoS::AtLeastOnce, self.msg_id());
        self.write(&Packet::Subscribe(Subscribe { dup: false, qos, msg_id, topic }));
        match self.answer() {
            Answer::Suback(suback) if suback.return_code == ReturnCode::ACCEPTED => {
                if suback.topic_id != 0 {
                    self.topics.insert(filter.to_owned(), suback.topic_id);
                }
                Ok(())
            }
            answer => Err(refused(answer)),
        }
    }

    fn receive(&mut self) -> Option<Received> {
        while self.messages.is_empty() {
            if matches!(self.step(), Some(Answer::End)) {
                break;
            }
        }
        let (received, ack) = self.messages.pop_front()?;
        if let Some(ack) = ack {
            self.write(&Packet::Puback(ack));
        }
        Some(received)
    }

    fn ping(&mut self) -> bool {
        self.write(&Packet::Pingreq(None));
        loop {
            match self.answer() {
                Answer::Pong => return true,
                Answer::End => return false,
                _ => {}
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.wire.socket.send(bytes).unwrap();
    }

    fn end(&mut self) -> End {
        while !matches!(self.answer(), Answer::End) {}
        End::Told
    }

    fn sleep(&mut self) {
        self.write(&Packet::Disconnect(Some(600)));
        self.end();
    }

    fn wake_frame(&mut self, client_id: &str) -> Vec<u8> {
        written(&Packet::Pingreq(Some(client_id)), self.node.as_deref())
    }

    fn wake(&mut self, client_id: &str) -> Vec<Received> {
        assert_eq!(self.wire.waiting(), 0, "something came in the sleep");
        let frame = self.wake_frame(client_id);
        self.send(&frame);
        let mut got = Vec::new();
        loop {
            match self.step() {
                None if self.messages.is_empty() => {}
                None => got.extend(self.receive()),
                Some(Answer::Pong) => return got,
                Some(answer) => panic!("{answer:?} of the server"),
            }
        }
    }

    fn disconnect(mut self) {
        self.write(&Packet::Disconnect(None));
        self.end();
    }
}
