use std::net::SocketAddr;
use std::sync::Arc;

use codec_mqttsn::{
    Connect, Limits, MqttSnCodec, Packet, Publish, QoS, Register, ReturnCode, Suback, Subscribe,
    Topic, TopicAck, TopicId, Unsubscribe, WillTopic, encode,
};
use codec_wire::{Codec, Decoded};
use core_model::{
    Connected, Delivery, DisconnectCause, Event, Message, MessageRef, Operation, Outcome, Reason,
    ShardId, StoredMessage, Ticket, Timestamp,
};
use gateway_host::{
    Close, Context, Gateway, Link, LinkFacts, ListenerFacts, Operations, Output, Progress, Sender,
    SenderPath,
};
use gateway_mqttsn::{MqttSnConfig, MqttSnGateway};

/// Where virtual time begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_000_000);

/// The client's address.
pub(crate) const HOME: &str = "192.0.2.7:4711";

/// A client's end of one link.
pub(crate) struct Peer {
    pub(crate) link: Box<dyn Link>,
    pub(crate) now: Timestamp,
}

/// What one input brought about.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) operations: Vec<Operation<'static>>,
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) close: Option<Close>,
    /// Whether the client has moved to where the packet came from.
    pub(crate) is_adopted: bool,
}

impl Peer {
    /// A link on which nothing has happened yet.
    pub(crate) fn fresh(change: impl FnOnce(&mut MqttSnConfig)) -> Self {
        Self::fresh_on(change, |_| {})
    }

    /// The same on another listener.
    pub(crate) fn fresh_on(
        change: impl FnOnce(&mut MqttSnConfig),
        change_listener: impl FnOnce(&mut ListenerFacts),
    ) -> Self {
        let mut config = MqttSnConfig { connect_timeout_s: 60, ..MqttSnConfig::default() };
        change(&mut config);
        let mut listener = ListenerFacts {
            name: "field".into(),
            mountpoint: "city/".into(),
            allow_anonymous: true,
            ..ListenerFacts::default()
        };
        change_listener(&mut listener);
        let facts = LinkFacts {
            listener: Arc::new(listener),
            shard: ShardId(0),
            peer: Some(HOME.parse().unwrap()),
            is_relay: false,
            transport: None,
            client_id: None,
        };
        let link = MqttSnGateway::new(config).unwrap().open(&facts, START);
        Peer { link, now: START }
    }

    /// A connected client with default settings: CleanSession, a keep alive of 60 s.
    pub(crate) fn connected() -> Self {
        Self::connected_to(|_| {}, &connect())
    }

    /// A connected client.
    pub(crate) fn connected_to(
        change: impl FnOnce(&mut MqttSnConfig),
        connect: &Connect<'_>,
    ) -> Self {
        let mut peer = Self::fresh(change);
        peer.send(&Packet::Connect(*connect)).connect();
        peer.event(connected()).connack(ReturnCode::ACCEPTED);
        peer
    }

    /// A client whose session outlives the link, with what it has of before.
    pub(crate) fn resumed(with: Connected) -> Self {
        let mut peer = Self::fresh(|_| {});
        let connect = Connect { clean_session: false, ..connect() };
        peer.send(&Packet::Connect(connect)).connect();
        let with = Connected { session_present: true, ..with };
        peer.event(Event::Connected(Box::new(with))).connack(ReturnCode::ACCEPTED);
        peer
    }

    /// A client that sleeps for 300 s.
    pub(crate) fn asleep() -> Self {
        let mut peer = Self::connected();
        peer.send(&Packet::Disconnect(Some(300)));
        peer
    }

    pub(crate) fn wait_ms(&mut self, millis: u64) {
        self.now = self.now.plus_millis(millis);
    }

    pub(crate) fn wait_s(&mut self, seconds: u32) {
        self.now = self.now.plus_seconds(seconds);
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) -> Effects {
        let mut bytes = Vec::new();
        encode(&codec_mqttsn::Frame::plain(*packet), &mut bytes).unwrap();
        self.send_bytes(&bytes)
    }

    pub(crate) fn send_hex(&mut self, hex: &str) -> Effects {
        self.send_bytes(&codec_wire::hex::decode(hex).unwrap())
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Effects {
        let sender = Sender { address: HOME.parse().unwrap(), path: SenderPath::Known };
        self.send_as(bytes, sender)
    }

    /// Sends a packet from another address.
    pub(crate) fn send_from(
        &mut self,
        address: &str,
        may_adopt: bool,
        packet: &Packet<'_>,
    ) -> Effects {
        let mut bytes = Vec::new();
        encode(&codec_mqttsn::Frame::plain(*packet), &mut bytes).unwrap();
        let address: SocketAddr = address.parse().unwrap();
        self.send_as(&bytes, Sender { address, path: SenderPath::Candidate { may_adopt } })
    }

    fn send_as(&mut self, bytes: &[u8], sender: Sender) -> Effects {
        let mut effects = Effects::default();
        let (mut output, mut operations) = (Output::for_datagrams(), Operations::new());
        let mut context = Context::new(self.now, &mut output, &mut operations, &mut effects.close)
            .of_sender(sender);
        match self.link.on_input(bytes, &mut context) {
            Progress::Frame(len) => assert_eq!(len, bytes.len()),
            Progress::Broken(_) => {}
            other => panic!("{other:?}"),
        }
        effects.is_adopted =
            context.sender().is_some_and(|sender| sender.path == SenderPath::Adopted);
        effects.take(&output, operations);
        effects
    }

    pub(crate) fn event(&mut self, event: Event<'_>) -> Effects {
        self.call(|link, context| link.on_event(0, event, context))
    }

    /// Calls `on_deadline` if it is due.
    pub(crate) fn tick(&mut self) -> Effects {
        if self.link.next_deadline().is_none_or(|deadline| deadline > self.now) {
            return Effects::default();
        }
        self.call(|link, context| link.on_deadline(context))
    }

    pub(crate) fn call(
        &mut self,
        act: impl FnOnce(&mut dyn Link, &mut Context<'static, '_>),
    ) -> Effects {
        let mut effects = Effects::default();
        let (mut output, mut operations) = (Output::for_datagrams(), Operations::new());
        let mut context = Context::new(self.now, &mut output, &mut operations, &mut effects.close);
        act(self.link.as_mut(), &mut context);
        effects.take(&output, operations);
        effects
    }

    /// Registers a topic.
    pub(crate) fn register(&mut self, topic_name: &str) -> u16 {
        let register = Register { topic_id: 0, msg_id: 1, topic_name };
        let effects = self.send(&Packet::Register(register));
        let Packet::Regack(ack) = effects.packet() else { panic!("{effects:?}") };
        assert!(ack.return_code.is_accepted());
        ack.topic_id
    }

    /// Subscribes to a topic by its name.
    pub(crate) fn subscribe(&mut self, topic: &str) -> u16 {
        let effects = self.send(&Packet::Subscribe(subscribe(Topic::Name(topic))));
        assert!(matches!(effects.operations.last(), Some(Operation::Subscribe(_))), "{effects:?}");
        let reasons = vec![Reason::GRANTED_QOS_2];
        let effects = self.event(Event::Subscribed { ticket: Ticket(4), reasons });
        let suback = effects.suback();
        assert!(suback.return_code.is_accepted());
        suback.topic_id
    }
}

impl Effects {
    fn take(&mut self, output: &Output, operations: Operations<'_>) {
        for (to, frame) in output.datagrams() {
            assert_eq!(to, None);
            self.frames.push(frame.to_vec());
        }
        for (slot, operation) in operations {
            assert_eq!(slot, 0);
            self.operations.push(operation.detach());
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.operations.is_empty() && self.frames.is_empty() && self.close.is_none()
    }

    /// The packets for the client.
    pub(crate) fn packets(&self) -> Vec<Packet<'_>> {
        let decode = |frame| {
            let decoded = MqttSnCodec::new(Limits::UNLIMITED).decode(frame).unwrap();
            let Decoded::Frame { frame, .. } = decoded else { panic!("half a packet") };
            assert_eq!(frame.encapsulation, None);
            frame.packet
        };
        self.frames.iter().map(|frame| decode(frame.as_slice())).collect()
    }

    /// The one packet for the client.
    pub(crate) fn packet(&self) -> Packet<'_> {
        let mut packets = self.packets();
        assert_eq!(packets.len(), 1, "{packets:?} {self:?}");
        packets.remove(0)
    }

    /// The one packet for the client, in hexadecimal, and nothing else.
    pub(crate) fn only_hex(&self) -> String {
        assert_eq!(self.frames.len(), 1, "{self:?}");
        assert!(self.operations.is_empty() && self.close.is_none(), "{self:?}");
        codec_wire::hex::encode(&self.frames[0])
    }

    /// The one packet for the client and nothing else.
    pub(crate) fn only_packet(&self) -> Packet<'_> {
        assert!(self.operations.is_empty() && self.close.is_none(), "{self:?}");
        self.packet()
    }

    /// The one operation.
    pub(crate) fn operation(&self) -> &Operation<'static> {
        assert_eq!(self.operations.len(), 1, "{self:?}");
        &self.operations[0]
    }

    /// The one operation and nothing else.
    pub(crate) fn only_operation(&self) -> &Operation<'static> {
        assert!(self.frames.is_empty() && self.close.is_none(), "{self:?}");
        self.operation()
    }

    pub(crate) fn connect(&self) -> &core_model::Connect {
        let Operation::Connect(connect) = self.only_operation() else { panic!("{self:?}") };
        connect
    }

    pub(crate) fn connack(&self, code: ReturnCode) {
        assert_eq!(self.packet(), Packet::Connack(code), "{self:?}");
    }

    pub(crate) fn suback(&self) -> Suback {
        let Packet::Suback(suback) = self.only_packet() else { panic!("{self:?}") };
        suback
    }

    pub(crate) fn publish(&self) -> Publish<'_> {
        let Packet::Publish(publish) = self.packet() else { panic!("{self:?}") };
        publish
    }

    /// The message that core gets.
    pub(crate) fn published(&self) -> (Ticket, u16, Arc<StoredMessage>) {
        let Operation::Publish(publish) = self.only_operation() else { panic!("{self:?}") };
        let core_model::PublishMessage::Stored(message) = &publish.message else {
            panic!("{self:?}")
        };
        (publish.ticket, publish.id, Arc::clone(message))
    }

    pub(crate) fn settled(&self) -> Vec<(u16, Outcome)> {
        let settled = |operation: &Operation<'_>| match operation {
            Operation::Settle { handle, outcome } => Some((*handle, *outcome)),
            _ => None,
        };
        self.operations.iter().filter_map(settled).collect()
    }

    /// Why core is told that the client is gone.
    pub(crate) fn disconnected(&self) -> DisconnectCause {
        let disconnect = self.operations.iter().find_map(|operation| match operation {
            Operation::Disconnect(disconnect) => Some(disconnect.cause),
            _ => None,
        });
        disconnect.unwrap_or_else(|| panic!("{self:?}"))
    }
}

pub(crate) fn connect() -> Connect<'static> {
    Connect { will: false, clean_session: true, protocol_id: 1, duration_s: 60, client_id: "sn1" }
}

pub(crate) fn connected() -> Event<'static> {
    Event::Connected(Box::default())
}

pub(crate) fn will_topic(topic: &str) -> WillTopic<'_> {
    WillTopic { qos: QoS::AtLeastOnce, retain: true, topic }
}

/// A PUBLISH of `hi`.
pub(crate) fn publish(qos: QoS, topic_id: TopicId, msg_id: u16) -> Publish<'static> {
    Publish { dup: false, qos, retain: false, topic_id, msg_id, data: b"hi" }
}

/// A SUBSCRIBE with QoS 2 and MsgId 4.
pub(crate) fn subscribe(topic: Topic<'_>) -> Subscribe<'_> {
    Subscribe { dup: false, qos: QoS::ExactlyOnce, msg_id: 4, topic }
}

pub(crate) fn unsubscribe(topic: Topic<'_>) -> Unsubscribe<'_> {
    Unsubscribe { msg_id: 6, topic }
}

pub(crate) fn ack(topic_id: u16, msg_id: u16, code: u8) -> TopicAck {
    TopicAck { topic_id, msg_id, return_code: ReturnCode::new(code) }
}

/// Delivers `hi` with a topic as the client knows it.
pub(crate) fn deliver(peer: &mut Peer, topic: &str, qos: u8, handle: u16) -> Effects {
    deliver_again(peer, topic, qos, handle, false)
}

pub(crate) fn deliver_again(
    peer: &mut Peer,
    topic: &str,
    qos: u8,
    handle: u16,
    dup: bool,
) -> Effects {
    let topic = format!("city/{topic}");
    let message = Message::new(&topic, b"hi");
    peer.event(Event::Deliver(delivery(&message, qos, handle, dup)))
}

pub(crate) fn delivery<'m>(
    message: &'m Message<'m>,
    qos: u8,
    handle: u16,
    dup: bool,
) -> Delivery<'m> {
    Delivery {
        handle,
        qos: core_model::QoS::from_u8(qos).unwrap(),
        retain: false,
        dup,
        topic_skip: 5,
        subscription_ids: (&[]).into(),
        message: MessageRef::View(message),
    }
}
