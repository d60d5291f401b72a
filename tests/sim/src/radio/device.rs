//! An MQTT-SN 1.2 client as the protocol's text has it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use codec_mqttsn::{
    Codec, Connect, Decoded, Frame, Limits, MqttSnCodec, PROTOCOL_ID, Packet, Publish, QoS,
    Register, ReturnCode, Subscribe, Topic, TopicAck, TopicId, encode,
};
use core_model::Timestamp;

/// Milliseconds after which a request is repeated.
const RETRY_MS: u64 = 3_000;
/// Repetitions after which a device gives its gateway up and connects anew.
const RETRIES_MAX: u32 = 20;
/// Message ids behind the newest that are known as finished, so that a late repetition is no news.
const REMEMBERED: u16 = 64;

/// What a device wants of the gateway next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To publish a numbered message to a topic, with QoS 1 or 2.
    Publish { topic: String, number: u64, exactly_once: bool },
    /// To sleep for so many seconds.
    Sleep(u16),
    /// To collect what has come meanwhile, from another port if so.
    Collect { from_elsewhere: bool },
}

/// What is under way. A device has one request at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    Connect,
    Subscribe(usize),
    Register(String),
    Publish(Wish),
    /// The message has been received, its release has not been confirmed.
    Release,
    Sleep(u16),
    Collect,
}

struct Exchange {
    request: Request,
    msg_id: u16,
    /// Its repetition.
    again: Vec<u8>,
    tries: u32,
    due: Timestamp,
}

/// A client with its radio.
pub struct Device {
    /// Its client identifier.
    pub client_id: String,
    /// Where it is now.
    pub address: SocketAddr,
    /// Messages that it got, by number: how often.
    pub got: BTreeMap<u64, u32>,
    /// Messages that the gateway has taken from it.
    pub taken: BTreeSet<u64>,
    /// Requests that were answered, and messages that came with QoS 1 or 2.
    pub exchanges: u64,
    /// How often it had to connect anew.
    pub reconnects: u64,
    filters: Vec<String>,
    wishes: VecDeque<Wish>,
    exchange: Option<Exchange>,
    /// A QoS 2 message that is not done, with its id: it goes on whatever happens to the link.
    unfinished: Option<(Request, u16)>,
    connected: bool,
    subscribed: usize,
    asleep: bool,
    msg_id: u16,
    /// Topic ids for publishing, by name.
    ids: BTreeMap<String, u16>,
    /// QoS 2 messages that came and were not released.
    held: BTreeMap<u16, u64>,
    released: VecDeque<u16>,
    out: Vec<Vec<u8>>,
}

impl Device {
    /// A device that wants these filters.
    #[must_use]
    pub fn new(client_id: &str, address: SocketAddr, filters: Vec<String>) -> Self {
        Device {
            client_id: client_id.into(),
            address,
            got: BTreeMap::new(),
            taken: BTreeSet::new(),
            exchanges: 0,
            reconnects: 0,
            filters,
            wishes: VecDeque::new(),
            exchange: None,
            unfinished: None,
            connected: false,
            subscribed: 0,
            asleep: false,
            msg_id: 0,
            ids: BTreeMap::new(),
            held: BTreeMap::new(),
            released: VecDeque::new(),
            out: Vec::new(),
        }
    }

    /// Adds a wish.
    pub fn wish(&mut self, wish: Wish) {
        self.wishes.push_back(wish);
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let at_rest = self.exchange.is_none() && self.unfinished.is_none();
        at_rest && self.wishes.is_empty() && self.is_ready()
    }

    /// Whether it is connected and has subscribed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.connected && self.subscribed == self.filters.len()
    }

    /// Whether its radio is off.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.asleep && !matches!(self.exchange, Some(Exchange { request: Request::Collect, .. }))
    }

    /// When it has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.exchange.as_ref().map(|exchange| exchange.due)
    }

    /// What it has sent since the last call.
    pub fn take_sent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out)
    }

    /// Goes on with what is due.
    pub fn tick(&mut self, now: Timestamp) {
        let Some(exchange) = &mut self.exchange else { return self.begin_next(now) };
        if exchange.due > now {
            return;
        }
        if exchange.tries >= RETRIES_MAX {
            self.reconnects += 1;
            return self.connect_anew();
        }
        exchange.tries += 1;
        exchange.due = now.plus_millis(RETRY_MS);
        self.out.push(exchange.again.clone());
    }

    /// Forgets the link, not the session.
    fn connect_anew(&mut self) {
        (self.connected, self.asleep) = (false, false);
        self.ids.clear();
        if let Some(Exchange { request, msg_id, .. }) = self.exchange.take() {
            self.put_off(request, msg_id);
        }
    }

    /// A request could not be done on this link.
    fn put_off(&mut self, request: Request, msg_id: u16) {
        match request {
            Request::Publish(Wish::Publish { exactly_once: true, .. }) | Request::Release => {
                self.unfinished = Some((request, msg_id));
            }
            Request::Publish(wish) => self.wishes.push_front(wish),
            _ => {}
        }
    }

    fn begin_next(&mut self, now: Timestamp) {
        if !self.connected {
            return self.begin(now, Request::Connect);
        }
        if let Some(filter) = (self.subscribed < self.filters.len()).then_some(self.subscribed) {
            return self.begin(now, Request::Subscribe(filter));
        }
        if let Some((request, msg_id)) = self.unfinished.take() {
            return self.go_on(now, request, msg_id);
        }
        let Some(wish) = self.wishes.pop_front() else { return };
        match wish {
            // A sleeper has to come back before it may publish.
            Wish::Publish { .. } if self.asleep => {
                self.wishes.push_front(wish);
                self.asleep = false;
                self.begin(now, Request::Connect);
            }
            Wish::Publish { ref topic, .. } if !self.ids.contains_key(topic) => {
                let topic = topic.clone();
                self.wishes.push_front(wish);
                self.begin(now, Request::Register(topic));
            }
            Wish::Publish { .. } => self.begin(now, Request::Publish(wish)),
            Wish::Sleep(seconds) if !self.asleep => self.begin(now, Request::Sleep(seconds)),
            Wish::Collect { from_elsewhere } if self.asleep => {
                if from_elsewhere {
                    let port = self.address.port();
                    self.address.set_port(if port == 65_000 { 2_000 } else { port + 1 });
                }
                self.begin(now, Request::Collect);
            }
            Wish::Sleep(_) | Wish::Collect { .. } => {}
        }
    }

    /// Goes on with a QoS 2 message of an earlier link.
    fn go_on(&mut self, now: Timestamp, request: Request, msg_id: u16) {
        if let Request::Publish(Wish::Publish { topic, .. }) = &request
            && !self.ids.contains_key(topic)
        {
            let topic = topic.clone();
            self.unfinished = Some((request, msg_id));
            return self.begin(now, Request::Register(topic));
        }
        let again = self.bytes_of(&request, msg_id, true);
        self.out.push(again.clone());
        let due = now.plus_millis(RETRY_MS);
        self.exchange = Some(Exchange { request, msg_id, again, tries: 0, due });
    }

    fn begin(&mut self, now: Timestamp, request: Request) {
        let msg_id = self.msg_id.checked_add(1).unwrap_or(1);
        self.msg_id = msg_id;
        self.out.push(self.bytes_of(&request, msg_id, false));
        let again = self.bytes_of(&request, msg_id, true);
        let due = now.plus_millis(RETRY_MS);
        self.exchange = Some(Exchange { request, msg_id, again, tries: 0, due });
    }

    fn bytes_of(&self, request: &Request, msg_id: u16, dup: bool) -> Vec<u8> {
        let data;
        let packet = match request {
            Request::Connect => Packet::Connect(Connect {
                will: false,
                clean_session: false,
                protocol_id: PROTOCOL_ID,
                duration_s: 600,
                client_id: &self.client_id,
            }),
            Request::Subscribe(filter) => Packet::Subscribe(Subscribe {
                dup,
                qos: QoS::ExactlyOnce,
                msg_id,
                topic: Topic::Name(&self.filters[*filter]),
            }),
            Request::Register(topic) => {
                Packet::Register(Register { topic_id: 0, msg_id, topic_name: topic })
            }
            Request::Publish(Wish::Publish { topic, number, exactly_once }) => {
                data = number.to_be_bytes();
                let qos = if *exactly_once { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
                let topic_id = TopicId::Normal(self.ids[topic]);
                Packet::Publish(Publish { dup, qos, retain: false, topic_id, msg_id, data: &data })
            }
            Request::Publish(_) => unreachable!("only a publish publishes"),
            Request::Release => Packet::Pubrel(msg_id),
            Request::Sleep(seconds) => Packet::Disconnect(Some(*seconds)),
            Request::Collect => Packet::Pingreq(Some(&self.client_id)),
        };
        bytes(&packet)
    }

    /// A datagram has come in.
    pub fn on_datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        let mut codec = MqttSnCodec::new(Limits::UNLIMITED);
        let decoded = codec.decode(datagram).expect("the gateway sends good frames");
        let Decoded::Frame { frame, .. } = decoded else { panic!("half a frame") };
        match frame.packet {
            Packet::Connack(code) => self.on_connack(code),
            Packet::Suback(ack) => self.on_suback(ack.msg_id, ack.return_code),
            Packet::Regack(ack) => self.on_regack(ack),
            Packet::Puback(ack) => self.on_puback(ack),
            Packet::Pubrec(id) => self.on_pubrec(now, id),
            Packet::Pubcomp(id) => self.on_pubcomp(id),
            Packet::Pingresp => self.on_pingresp(),
            Packet::Disconnect(_) => self.on_disconnect(),
            Packet::Register(register) => {
                let ack = TopicAck {
                    topic_id: register.topic_id,
                    msg_id: register.msg_id,
                    return_code: ReturnCode::ACCEPTED,
                };
                self.out.push(bytes(&Packet::Regack(ack)));
            }
            Packet::Publish(publish) => self.on_publish(&publish),
            Packet::Pubrel(id) => self.on_pubrel(id),
            other => panic!("the gateway sends {other:?}"),
        }
    }

    /// Ends the exchange that `is` tells; whether there was one.
    fn end(&mut self, is: impl FnOnce(&Exchange) -> bool) -> Option<Request> {
        let exchange = self.exchange.take_if(|exchange| is(exchange))?;
        self.exchanges += 1;
        Some(exchange.request)
    }

    fn on_connack(&mut self, code: ReturnCode) {
        if self.end(|e| e.request == Request::Connect).is_some() {
            assert_eq!(code, ReturnCode::ACCEPTED);
            (self.connected, self.asleep) = (true, false);
        }
    }

    fn on_suback(&mut self, msg_id: u16, code: ReturnCode) {
        let is = |e: &Exchange| matches!(e.request, Request::Subscribe(_)) && e.msg_id == msg_id;
        if self.end(is).is_some() {
            assert_eq!(code, ReturnCode::ACCEPTED);
            self.subscribed += 1;
        }
    }

    fn on_regack(&mut self, ack: TopicAck) {
        let is = |e: &Exchange| matches!(e.request, Request::Register(_)) && e.msg_id == ack.msg_id;
        if let Some(Request::Register(topic)) = self.end(is) {
            assert_eq!(ack.return_code, ReturnCode::ACCEPTED);
            self.ids.insert(topic, ack.topic_id);
        }
    }

    fn on_puback(&mut self, ack: TopicAck) {
        let is = |e: &Exchange| matches!(e.request, Request::Publish(_)) && e.msg_id == ack.msg_id;
        let Some(Request::Publish(wish)) = self.end(is) else { return };
        let Wish::Publish { topic, number, .. } = &wish else { return };
        match ack.return_code {
            ReturnCode::ACCEPTED => {
                self.taken.insert(*number);
            }
            code => {
                if code == ReturnCode::INVALID_TOPIC_ID {
                    self.ids.remove(topic);
                }
                self.put_off(Request::Publish(wish), ack.msg_id);
            }
        }
    }

    fn on_pubrec(&mut self, now: Timestamp, msg_id: u16) {
        let Some(exchange) = &mut self.exchange else { return };
        if exchange.msg_id != msg_id {
            return;
        }
        if let Request::Publish(Wish::Publish { number, exactly_once: true, .. }) = exchange.request
        {
            self.taken.insert(number);
            let release = bytes(&Packet::Pubrel(msg_id));
            exchange.request = Request::Release;
            (exchange.tries, exchange.due) = (0, now.plus_millis(RETRY_MS));
            exchange.again = release.clone();
            self.out.push(release);
        }
    }

    fn on_pubcomp(&mut self, msg_id: u16) {
        self.end(|e| e.request == Request::Release && e.msg_id == msg_id);
    }

    fn on_pingresp(&mut self) {
        self.end(|e| e.request == Request::Collect);
    }

    /// The gateway's answer to a farewell, or its own.
    fn on_disconnect(&mut self) {
        match &self.exchange {
            Some(Exchange { request: Request::Sleep(_), .. }) => {
                self.end(|_| true);
                self.asleep = true;
            }
            // What comes while it connects is about the time before.
            Some(Exchange { request: Request::Connect, .. }) => {}
            _ if self.is_asleep() => {}
            _ => {
                self.reconnects += 1;
                self.connect_anew();
            }
        }
    }

    fn on_publish(&mut self, publish: &Publish<'_>) {
        let number = u64::from_be_bytes(publish.data.try_into().expect("a number"));
        let msg_id = publish.msg_id;
        match publish.qos {
            QoS::AtLeastOnce => {
                *self.got.entry(number).or_default() += 1;
                self.exchanges += 1;
                let topic_id = publish.topic_id.value();
                let return_code = ReturnCode::ACCEPTED;
                let ack = TopicAck { topic_id, msg_id, return_code };
                self.out.push(bytes(&Packet::Puback(ack)));
            }
            QoS::ExactlyOnce => {
                if !self.released.contains(&msg_id) {
                    let other = self.held.insert(msg_id, number);
                    assert!(other.is_none_or(|other| other == number), "one id, two messages");
                }
                self.out.push(bytes(&Packet::Pubrec(msg_id)));
            }
            QoS::AtMostOnce | QoS::MinusOne => panic!("nobody publishes so"),
        }
    }

    fn on_pubrel(&mut self, msg_id: u16) {
        if let Some(number) = self.held.remove(&msg_id) {
            *self.got.entry(number).or_default() += 1;
            self.exchanges += 1;
            self.released.push_back(msg_id);
            if self.released.len() > usize::from(REMEMBERED) {
                self.released.pop_front();
            }
        }
        self.out.push(bytes(&Packet::Pubcomp(msg_id)));
    }
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&Frame::plain(*packet), &mut bytes).expect("it has a form");
    bytes
}
