use std::sync::Arc;

use codec_mqtt::{
    Connect, ConnectProperties, Limits, MqttCodec, Packet, Publish, PublishProperties, QoS,
    Version, encode,
};
use codec_wire::{Codec, DecodeError, Decoded};
use core_model::{
    Delivery, Disconnect, DisconnectCause, Event, Message, MessageRef, Operation, Outcome, Reason,
    ShardId, StoredMessage, Subscribe, Ticket, Timestamp, Unsubscribe,
};
use gateway_host::{
    Close, Context, Gateway, Link, LinkFacts, ListenerFacts, Operations, Output, Progress,
};
use gateway_mqtt::{MqttConfig, MqttGateway};

/// Where virtual time begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_000_000);

/// A client's end of one link.
pub(crate) struct Peer {
    pub(crate) link: Box<dyn Link>,
    pub(crate) version: Version,
    pub(crate) now: Timestamp,
}

/// What one input brought about.
#[derive(Debug)]
pub(crate) struct Effects {
    version: Version,
    pub(crate) operations: Vec<Operation<'static>>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) close: Option<Close>,
    /// Bytes of the input that were not decoded.
    pub(crate) unread: usize,
    pub(crate) error: Option<DecodeError>,
}

impl Peer {
    /// A link on which nothing has happened yet.
    pub(crate) fn fresh(version: Version, change: impl FnOnce(&mut MqttConfig)) -> Self {
        Self::certified(version, change, None)
    }

    /// The same of a client whose certificate says its client identifier.
    pub(crate) fn certified(
        version: Version,
        change: impl FnOnce(&mut MqttConfig),
        client_id: Option<&str>,
    ) -> Self {
        let mut config = MqttConfig::default();
        change(&mut config);
        let listener = ListenerFacts {
            name: "front".into(),
            mountpoint: "city/".into(),
            allow_anonymous: true,
            ..ListenerFacts::default()
        };
        let facts = LinkFacts {
            listener: Arc::new(listener),
            shard: ShardId(0),
            peer: Some("192.0.2.7:4711".parse().unwrap()),
            is_relay: false,
            transport: None,
            client_id: client_id.map(Box::from),
        };
        let link = MqttGateway::new(config).unwrap().open(&facts, START);
        Peer { link, version, now: START }
    }

    /// A connected client with default settings.
    pub(crate) fn connected(version: Version) -> Self {
        Self::connected_to(version, |_| {}, &connect(version))
    }

    /// A connected client.
    pub(crate) fn connected_to(
        version: Version,
        change: impl FnOnce(&mut MqttConfig),
        connect: &Connect<'_>,
    ) -> Self {
        let mut peer = Self::fresh(version, change);
        peer.send(&Packet::Connect(Box::new(*connect)));
        let effects = peer.event(connected());
        assert!(matches!(effects.packet(), Packet::Connack(_)), "{effects:?}");
        peer
    }

    pub(crate) fn wait_s(&mut self, seconds: u32) {
        self.now = self.now.plus_seconds(seconds);
    }

    /// Sends a packet in the version of the link.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) -> Effects {
        let mut bytes = Vec::new();
        encode(packet, self.version, &mut bytes).unwrap();
        self.send_bytes(&bytes)
    }

    pub(crate) fn send_hex(&mut self, hex: &str) -> Effects {
        self.send_bytes(&codec_wire::hex::decode(hex).unwrap())
    }

    /// Sends bytes, as the driver would: one frame after the other until the machine closes or is
    /// not ready.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Effects {
        let (now, version) = (self.now, self.version);
        let mut effects = Effects::none(version);
        let (mut output, mut operations) = (Output::default(), Operations::new());
        let mut rest = bytes;
        while !rest.is_empty() && effects.close.is_none() {
            let mut context = Context::new(now, &mut output, &mut operations, &mut effects.close);
            match self.link.on_input(rest, &mut context) {
                Progress::Frame(len) => rest = &rest[len..],
                Progress::Need(_) | Progress::NotReady => break,
                Progress::Broken(error) => {
                    effects.error = Some(error);
                    break;
                }
            }
        }
        effects.unread = rest.len();
        effects.take(output, operations);
        effects
    }

    pub(crate) fn event(&mut self, event: Event<'_>) -> Effects {
        self.call(|link, context| link.on_event(0, event, context))
    }

    /// Calls `on_deadline` if it is due, as often as the machine wants.
    pub(crate) fn tick(&mut self) -> Effects {
        for _ in 0..3 {
            if self.link.next_deadline().is_none_or(|deadline| deadline > self.now) {
                break;
            }
            let effects = self.call(|link, context| link.on_deadline(context));
            if !effects.is_nothing() {
                return effects;
            }
        }
        Effects::none(self.version)
    }

    pub(crate) fn call(
        &mut self,
        act: impl FnOnce(&mut dyn Link, &mut Context<'static, '_>),
    ) -> Effects {
        let mut effects = Effects::none(self.version);
        let (mut output, mut operations) = (Output::default(), Operations::new());
        let mut context = Context::new(self.now, &mut output, &mut operations, &mut effects.close);
        act(self.link.as_mut(), &mut context);
        effects.take(output, operations);
        effects
    }
}

impl Effects {
    fn none(version: Version) -> Self {
        Effects {
            version,
            operations: Vec::new(),
            bytes: Vec::new(),
            close: None,
            unread: 0,
            error: None,
        }
    }

    fn take(&mut self, output: Output, operations: Operations<'_>) {
        let mut slices = Vec::new();
        output.slices(&mut slices, 1024);
        self.bytes = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        for (slot, operation) in operations {
            assert_eq!(slot, 0);
            self.operations.push(operation.detach());
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.operations.is_empty() && self.bytes.is_empty() && self.close.is_none()
    }

    /// The packets for the client.
    pub(crate) fn packets(&self) -> Vec<Packet<'_>> {
        // 3.1 differs in that it has no refused filters, which it is told of all the same.
        let version = self.version.max(Version::V311);
        let mut codec = MqttCodec::with_version(version, Limits::UNLIMITED);
        let mut packets = Vec::new();
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            match codec.decode(rest).unwrap() {
                Decoded::Frame { frame, len } => {
                    packets.push(frame);
                    rest = &rest[len..];
                }
                Decoded::Need(_) => panic!("half a packet: {rest:02x?}"),
            }
        }
        packets
    }

    /// The one packet for the client.
    pub(crate) fn packet(&self) -> Packet<'_> {
        let mut packets = self.packets();
        assert_eq!(packets.len(), 1, "{packets:?}");
        packets.remove(0)
    }

    /// The one operation.
    pub(crate) fn operation(&self) -> &Operation<'static> {
        assert_eq!(self.operations.len(), 1, "{self:?}");
        &self.operations[0]
    }

    pub(crate) fn connect(&self) -> &core_model::Connect {
        let Operation::Connect(connect) = self.operation() else { panic!("{self:?}") };
        connect
    }

    pub(crate) fn publish(&self) -> (Ticket, u16, &Arc<StoredMessage>) {
        let Operation::Publish(publish) = self.operation() else { panic!("{self:?}") };
        let core_model::PublishMessage::Stored(message) = &publish.message else { panic!() };
        (publish.ticket, publish.id, message)
    }

    pub(crate) fn settle(&self) -> (u16, Outcome) {
        let Operation::Settle { handle, outcome } = self.operation() else { panic!("{self:?}") };
        (*handle, *outcome)
    }

    pub(crate) fn release(&self) -> (Ticket, u16) {
        let Operation::Release { ticket, id } = self.operation() else { panic!("{self:?}") };
        (*ticket, *id)
    }

    pub(crate) fn subscribe(&self) -> &Subscribe {
        let Operation::Subscribe(subscribe) = self.operation() else { panic!("{self:?}") };
        subscribe
    }

    pub(crate) fn unsubscribe(&self) -> &Unsubscribe {
        let Operation::Unsubscribe(unsubscribe) = self.operation() else { panic!("{self:?}") };
        unsubscribe
    }

    pub(crate) fn disconnect(&self) -> Disconnect {
        let Operation::Disconnect(disconnect) = self.operation() else { panic!("{self:?}") };
        *disconnect
    }

    /// Asserts a DISCONNECT with `reason` (before 5.0: nothing), the loss of the session for it,
    /// and a close that lets the packet out.
    #[track_caller]
    pub(crate) fn assert_fails(&self, reason: Reason) {
        match self.version {
            Version::V5 => {
                let Packet::Disconnect(packet) = self.packet() else { panic!("{self:?}") };
                assert_eq!(packet.reason.value(), reason.as_u8(), "{self:?}");
                assert_eq!(packet.properties.session_expiry_s, None);
            }
            _ => assert!(self.bytes.is_empty(), "{self:?}"),
        }
        assert_eq!(self.disconnect().cause, DisconnectCause::Lost(reason));
        assert_eq!(self.close, Some(Close::Flush(reason)));
    }
}

/// A CONNECT of `version` from client `c`.
pub(crate) fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive_s: 0,
        client_id: "c",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

/// A CONNECT of 5.0 with `properties`.
pub(crate) fn connect_with(properties: ConnectProperties<'_>) -> Connect<'_> {
    Connect { properties, ..connect(Version::V5) }
}

pub(crate) fn connected() -> Event<'static> {
    Event::Connected(Box::default())
}

/// A PUBLISH to `a/b`.
pub(crate) fn publish(qos: QoS, packet_id: u16) -> Publish<'static> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: "a/b",
        packet_id,
        properties: PublishProperties::default(),
        raw_properties: &[],
        payload: b"hi",
    }
}

pub(crate) fn delivery(message: MessageRef<'_>) -> Delivery<'_> {
    Delivery {
        handle: 0,
        qos: core_model::QoS::AtMostOnce,
        retain: false,
        dup: false,
        topic_skip: 0,
        subscription_ids: (&[]).into(),
        message,
    }
}

/// Delivers `message` with QoS 0.
pub(crate) fn deliver(peer: &mut Peer, message: &Message<'_>) -> Effects {
    peer.event(Event::Deliver(delivery(MessageRef::View(message))))
}

pub(crate) fn published(ticket: Ticket, reason: Reason) -> Event<'static> {
    Event::Published { ticket, reason }
}
