//! Whatever comes, in whatever order: the machine keeps its promises.

use codec_mqtt::{
    Auth, AuthProperties, Connect, ConnectProperties, Disconnect, Packet, Publish,
    PublishProperties, QoS, ReasonCode, Subscribe, SubscribeProperties, Subscription, Unsubscribe,
    UnsubscribeProperties, Version,
};
use core_model::{Connected, Delivery, Event, Expiry, Message, MessageRef, Operation, Reason};

use crate::harness::{Effects, Peer, connect, connected, delivery, publish, published};

const SIZE_MAX: u32 = 90;

/// Numbers that are the same for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A link with a core that answers when it likes.
struct World {
    random: Random,
    peer: Peer,
    /// Operations that are not answered yet.
    open: Vec<Operation<'static>>,
    connacks: usize,
    is_closed: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let version = random.one_of(&Version::ALL);
        let peer = Peer::fresh(version, |config| {
            config.receive_maximum = 3;
            config.topic_alias_max_in = 4;
        });
        World { random, peer, open: Vec::new(), connacks: 0, is_closed: false }
    }

    /// A packet that a client could send now or should not.
    fn packet_bytes(&mut self) -> Vec<u8> {
        let version = self.peer.version;
        let id = self.random.below(5) as u16 + 1;
        let ack = codec_mqtt::Ack {
            packet_id: id,
            reason: self.random.one_of(&[ReasonCode::SUCCESS, ReasonCode::UNSPECIFIED_ERROR]),
            properties: Default::default(),
        };
        let topic = self.random.one_of(&["a/b", "", "$SYS/x", "a-longer/topic"]);
        let alias = self.random.one_of(&[None, None, Some(1), Some(4), Some(5)]);
        let message = Publish {
            topic,
            properties: PublishProperties { topic_alias: alias, ..PublishProperties::default() },
            ..publish(QoS::AtMostOnce, id)
        };
        let (filters, names) =
            ([Subscription { filter: topic, ..Subscription::default() }], [topic]);
        let packet = match self.random.below(14) {
            0 => Packet::Connect(Box::new(connect(version))),
            1 | 2 => Packet::Publish(Publish { qos: QoS::AtLeastOnce, ..message }),
            3 | 4 => Packet::Publish(Publish { qos: QoS::ExactlyOnce, ..message }),
            5 => Packet::Publish(message),
            6 => Packet::Puback(ack),
            7 => Packet::Pubrec(ack),
            8 => Packet::Pubrel(codec_mqtt::Ack { reason: ReasonCode::SUCCESS, ..ack }),
            9 => Packet::Pubcomp(codec_mqtt::Ack { reason: ReasonCode::SUCCESS, ..ack }),
            10 => Packet::Subscribe(Subscribe {
                packet_id: id,
                properties: SubscribeProperties::default(),
                subscriptions: (&filters).into(),
            }),
            11 => Packet::Unsubscribe(Unsubscribe {
                packet_id: id,
                properties: UnsubscribeProperties::default(),
                filters: (&names).into(),
            }),
            12 => self.auth(),
            _ if self.random.below(8) == 0 => Packet::Disconnect(Disconnect::default()),
            _ => Packet::Pingreq,
        };
        let mut bytes = Vec::new();
        if codec_mqtt::encode(&packet, version, &mut bytes).is_err() {
            bytes = codec_mqtt::PINGREQ.to_vec();
        }
        if self.random.below(40) == 0 {
            let at = self.random.below(bytes.len() as u64) as usize;
            bytes[at] = self.random.below(256) as u8;
        }
        bytes
    }

    fn auth(&mut self) -> Packet<'static> {
        let reasons = [ReasonCode::CONTINUE_AUTHENTICATION, ReasonCode::RE_AUTHENTICATE];
        let properties =
            AuthProperties { authentication_method: Some("m"), ..AuthProperties::default() };
        Packet::Auth(Auth { reason: self.random.one_of(&reasons), properties })
    }

    /// Core's answer to the oldest open operation, or something that it says by itself.
    fn event(&mut self) -> Effects {
        let reason = self.random.one_of(&[
            Reason::SUCCESS,
            Reason::SUCCESS,
            Reason::NOT_AUTHORIZED,
            Reason::PACKET_ID_NOT_FOUND,
        ]);
        if self.open.is_empty() || self.random.below(3) == 0 {
            return self.unasked(reason);
        }
        let event = match self.open.remove(0) {
            Operation::Connect(_) | Operation::Authenticate { .. } => match self.random.below(10) {
                0 => Event::Refused { reason: Reason::BAD_CREDENTIALS, server_reference: None },
                1..3 => Event::Challenge { data: vec![1, 2] },
                3 => Event::Authenticated { data: None },
                _ => Event::Connected(Box::new(Connected {
                    session_present: true,
                    expiry: Expiry::After(9),
                    ..Connected::default()
                })),
            },
            Operation::Publish(publish) => published(publish.ticket, reason),
            Operation::Release { ticket, .. } => Event::Released { ticket, reason },
            Operation::Subscribe(subscribe) => {
                Event::Subscribed { ticket: subscribe.ticket, reasons: vec![reason] }
            }
            Operation::Unsubscribe(unsubscribe) => {
                Event::Unsubscribed { ticket: unsubscribe.ticket, reasons: vec![reason] }
            }
            _ => return self.unasked(reason),
        };
        self.peer.event(event)
    }

    fn unasked(&mut self, reason: Reason) -> Effects {
        let payload = [0; 80];
        let size = self.random.below(81) as usize;
        let message = Message::new("building/1/temperature", &payload[..size]);
        let handle = self.random.below(3) as u16;
        let qos = core_model::QoS::from_u8(handle as u8).unwrap_or_default();
        let stored = message.detach();
        match self.random.below(60) {
            0 => self.peer.event(Event::Draining),
            1 => self.peer.event(Event::Kicked { reason, server_reference: Some("other".into()) }),
            2 => self.peer.event(connected()),
            3 => self.peer.event(Event::Challenge { data: vec![3] }),
            4 => self.peer.call(|link, context| link.on_backpressure(true, context)),
            5..20 => self.peer.event(Event::Release { handle: handle + 1, reason }),
            20..40 => {
                let message = MessageRef::Stored(&stored);
                self.peer.event(Event::Deliver(Delivery { handle, qos, ..delivery(message) }))
            }
            _ => {
                let message = MessageRef::View(&message);
                self.peer.event(Event::Deliver(Delivery { handle, qos, ..delivery(message) }))
            }
        }
    }

    fn step(&mut self) {
        let effects = match self.random.below(20) {
            0 => {
                self.peer.wait_s(7);
                self.peer.tick()
            }
            1..10 => self.event(),
            _ => {
                let bytes = self.packet_bytes();
                self.peer.send_bytes(&bytes)
            }
        };
        self.check(effects);
    }

    fn check(&mut self, effects: Effects) {
        if self.is_closed {
            assert!(effects.is_nothing(), "after the end: {effects:?}");
        }
        for packet in effects.packets() {
            let mut bytes = Vec::new();
            codec_mqtt::encode(&packet, self.peer.version.max(Version::V311), &mut bytes).unwrap();
            assert!(!self.is_closed);
            if self.peer.version.is_v5() && self.connacks > 0 {
                assert!(bytes.len() <= SIZE_MAX as usize, "{packet:?}");
            }
            match packet {
                Packet::Connack(_) => self.connacks += 1,
                Packet::Auth(_) => {}
                _ => assert_eq!(self.connacks, 1, "before CONNACK: {packet:?}"),
            }
            assert!(self.connacks <= 1);
        }
        let ended = effects.operations.iter().any(|op| matches!(op, Operation::Disconnect(_)));
        assert!(!ended || effects.close.is_some(), "{effects:?}");
        self.is_closed |= effects.close.is_some();
        self.open.extend(effects.operations.into_iter().filter(
            |operation| !matches!(operation, Operation::Publish(p) if (p.ticket.0 >> 16) == 0),
        ));
    }
}

//= mqtt5:3.1.2-24
//= mqtt5:3.2.0-1
//= mqtt5:3.2.0-2
//= mqtt5:3.14.0-1
//= mqtt5:3.14.4-1
//= mqtt311:3.2.0-1
#[test]
fn promises_hold_whatever_comes() {
    let (mut connected, mut ended) = (0, 0);
    for seed in 0..3000 {
        let mut world = World::new(seed);
        let version = world.peer.version;
        let properties = match version {
            Version::V5 => ConnectProperties {
                max_packet_size: Some(SIZE_MAX),
                topic_alias_maximum: Some(4),
                authentication_method: (seed % 3 == 0).then_some("m"),
                ..ConnectProperties::default()
            },
            _ => ConnectProperties::default(),
        };
        let first = Connect { keep_alive_s: 10, properties, ..connect(version) };
        let effects = world.peer.send(&Packet::Connect(Box::new(first)));
        world.check(effects);
        for _ in 0..60 {
            world.step();
        }
        let effects = world.peer.call(|link, context| link.on_close(Reason::UNSPECIFIED, context));
        assert!(effects.bytes.is_empty());
        let is_told = !effects.operations.is_empty();
        assert_eq!(is_told, !world.is_closed, "seed {seed}: core is told of the end once");
        connected += world.connacks;
        ended += usize::from(world.is_closed);
    }
    assert!(connected > 1000 && ended > 1000, "{connected} {ended}");
}
