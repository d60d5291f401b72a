//! Whatever comes, in whatever order: the machine keeps its promises.

use codec_mqttsn::{
    Connect, Packet, Publish, QoS, Register, ShortName, Subscribe, Topic, TopicId, WillTopic,
};
use core_model::{Connected, Credit, Event, Message, Operation, Outcome, Reason, Ticket};
use std::sync::Arc;

use crate::harness::{Effects, Peer, ack, connect, delivery, publish, subscribe, unsubscribe};

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

/// What the client has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exchange {
    Register(u16, u16),
    Publish(u16),
    Release(u16),
}

/// A link with a core that answers when it likes.
struct World {
    random: Random,
    peer: Peer,
    /// Operations that are not answered yet.
    open: Vec<Operation<'static>>,
    /// Deliveries with QoS above 0 that are not settled.
    unsettled: Vec<u16>,
    next_handle: u16,
    credit: u32,
    /// What the client was sent and has not answered.
    exchange: Option<Exchange>,
    has_session: bool,
    is_closed: bool,
    /// Exchanges that were begun.
    exchanges: usize,
}

const TOPICS: [&str; 5] = ["t/a", "t/b", "ab", "t/c", "a-longer/topic"];

impl World {
    fn new(seed: u64) -> Self {
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let peer = Peer::fresh(|config| {
            config.max_topics = 4;
            config.max_packet_size = 60;
        });
        World {
            random,
            peer,
            open: Vec::new(),
            unsettled: Vec::new(),
            next_handle: 1,
            credit: 0,
            exchange: None,
            has_session: false,
            is_closed: false,
            exchanges: 0,
        }
    }

    /// A packet that a client could send now or should not.
    fn packet(&mut self) -> Packet<'static> {
        let id = self.random.below(5) as u16 + 1;
        let topic = self.random.one_of(&["t/a", "t/b", "ab", "t/+", "$SYS/x", "a-longer/topic"]);
        let name = ShortName::of_topic("ab").unwrap();
        let topic_id = self.random.one_of(&[
            TopicId::Normal(id),
            TopicId::Predefined(id),
            TopicId::Short(name),
        ]);
        let by =
            self.random.one_of(&[Topic::Name(topic), Topic::Predefined(id), Topic::Short(name)]);
        let code = self.random.one_of(&[0, 0, 0, 1, 2, 3]);
        let qos = self.random.one_of(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
        let will = Some(WillTopic { qos, retain: true, topic });
        match self.random.below(32) {
            0 if self.random.below(3) == 0 => Packet::Connect(Connect {
                will: self.random.below(2) == 0,
                clean_session: self.random.below(2) == 0,
                ..connect()
            }),
            1 => Packet::WillTopic(will),
            2 => Packet::WillMsg(b"gone"),
            3 => Packet::WillTopicUpd(will.filter(|_| id > 1)),
            4 => Packet::WillMsgUpd(b"other"),
            5..8 => Packet::Publish(Publish { dup: id == 1, ..publish(qos, topic_id, id) }),
            8 => Packet::Register(Register { topic_id: 0, msg_id: id, topic_name: topic }),
            9 => Packet::Subscribe(Subscribe { msg_id: id, qos, ..subscribe(by) }),
            10 => Packet::Unsubscribe(unsubscribe(by)),
            11 => Packet::Pubrel(id),
            12 | 24 | 25 => {
                Packet::Pingreq(self.random.one_of(&[None, Some("sn1"), Some("sn1"), Some("sn2")]))
            }
            13 if self.random.below(8) == 0 => Packet::Disconnect(None),
            13 | 14 => Packet::Disconnect(Some(self.random.below(60) as u16 + 1)),
            15 => Packet::Puback(ack(id, id, code)),
            16 => Packet::Pubrec(id),
            17 => Packet::Pubcomp(id),
            _ => self.answer(code),
        }
    }

    /// The right answer to the exchange.
    fn answer(&mut self, code: u8) -> Packet<'static> {
        match self.exchange {
            Some(Exchange::Register(topic_id, msg_id)) => {
                Packet::Regack(ack(topic_id, msg_id, code))
            }
            Some(Exchange::Publish(handle)) if handle % 2 == 0 && code == 0 => {
                Packet::Pubrec(handle)
            }
            Some(Exchange::Publish(handle)) => Packet::Puback(ack(1, handle, code)),
            Some(Exchange::Release(handle)) => Packet::Pubcomp(handle),
            None => Packet::Pingresp,
        }
    }

    /// Core's answer to the oldest open operation, or something that it says by itself.
    fn event(&mut self) -> Effects {
        let reasons =
            [Reason::SUCCESS, Reason::SUCCESS, Reason::NOT_AUTHORIZED, Reason::QUOTA_EXCEEDED];
        let reason = self.random.one_of(&reasons);
        if self.open.is_empty() || self.random.below(3) == 0 {
            return self.unasked(reason);
        }
        let event = match self.open.remove(0) {
            Operation::Connect(_) if self.random.below(10) == 0 => {
                self.has_session = false;
                Event::Refused { reason: Reason::BAD_CREDENTIALS, server_reference: None }
            }
            Operation::Connect(_) => {
                self.has_session = true;
                self.credit = 16;
                let notes = vec![(1, Arc::from(&b"t/a"[..]))];
                Event::Connected(Box::new(Connected { notes, ..Connected::default() }))
            }
            Operation::Publish(publish) => Event::Published { ticket: publish.ticket, reason },
            Operation::Release { ticket, .. } => Event::Released { ticket, reason },
            Operation::Subscribe(subscribe) => {
                Event::Subscribed { ticket: subscribe.ticket, reasons: vec![reason] }
            }
            Operation::Unsubscribe(unsubscribe) => {
                Event::Unsubscribed { ticket: unsubscribe.ticket, reasons: vec![reason] }
            }
            Operation::UpdateWill { ticket, .. } => Event::WillUpdated { ticket, reason },
            Operation::Settle { handle, outcome: Outcome::Received } => {
                Event::Release { handle, reason: Reason::SUCCESS }
            }
            _ => return self.unasked(reason),
        };
        self.peer.event(event)
    }

    fn unasked(&mut self, reason: Reason) -> Effects {
        match self.random.below(600) {
            0 => self.peer.event(Event::Draining),
            1 => self.peer.event(Event::Kicked { reason, server_reference: None }),
            2..20 => self.peer.call(|link, context| link.on_backpressure(true, context)),
            20..50 => self.peer.call(|link, context| link.on_backpressure(false, context)),
            50..60 => self.peer.event(Event::Published { ticket: Ticket(3), reason }),
            60..100 => self.peer.event(Event::Drained),
            _ if self.has_session && self.credit > 0 => self.deliver(),
            _ => Effects::default(),
        }
    }

    /// Delivers what core may: no second message with QoS above 0 before the first is settled.
    fn deliver(&mut self) -> Effects {
        let topic = format!("city/{}", self.random.one_of(&TOPICS));
        let payload = [0; 60];
        let message = Message::new(&topic, &payload[..self.random.below(61) as usize]);
        self.credit -= 1;
        if !self.unsettled.is_empty() || self.random.below(2) == 0 {
            return self.peer.event(Event::Deliver(delivery(&message, 0, 0, false)));
        }
        let handle = self.next_handle;
        self.next_handle += 1;
        self.unsettled.push(handle);
        let qos = if handle.is_multiple_of(2) { 2 } else { 1 };
        self.peer.event(Event::Deliver(delivery(&message, qos, handle, false)))
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0 => {
                self.peer.wait_s(4);
                let effects = self.peer.tick();
                self.check(None, effects);
            }
            1..10 => {
                let effects = self.event();
                self.check(None, effects);
            }
            _ => {
                let packet = self.packet();
                let effects = self.peer.send(&packet);
                self.check(Some(packet), effects);
            }
        }
    }

    fn check(&mut self, packet: Option<Packet<'_>>, effects: Effects) {
        self.note_answer(packet, &effects);
        for frame in &effects.frames {
            assert!(frame.len() <= 60, "{effects:?}");
        }
        for packet in effects.packets() {
            self.note_sent(&packet);
        }
        for operation in effects.operations {
            self.note_operation(operation);
        }
        self.is_closed |= effects.close.is_some();
    }

    /// Forgets the exchange that a packet of the client has ended.
    fn note_answer(&mut self, packet: Option<Packet<'_>>, effects: &Effects) {
        let is_settled =
            |handle: u16| effects.settled().iter().any(|(settled, _)| *settled == handle);
        let is_over = match (&self.exchange, packet) {
            (Some(Exchange::Register(topic_id, msg_id)), Some(Packet::Regack(ack))) => {
                (*topic_id, *msg_id) == (ack.topic_id, ack.msg_id)
            }
            (Some(Exchange::Publish(handle)), Some(Packet::Puback(ack))) => {
                is_settled(*handle) || (ack.msg_id == *handle && ack.return_code.value() == 2)
            }
            (Some(Exchange::Publish(handle) | Exchange::Release(handle)), Some(_)) => {
                is_settled(*handle)
            }
            _ => false,
        };
        if is_over {
            self.exchange = None;
        }
    }

    fn note_sent(&mut self, packet: &Packet<'_>) {
        let exchange = match packet {
            Packet::Register(register) => Exchange::Register(register.topic_id, register.msg_id),
            Packet::Publish(publish) if publish.qos != QoS::AtMostOnce => {
                Exchange::Publish(publish.msg_id)
            }
            Packet::Pubrel(handle) if self.unsettled.contains(handle) => Exchange::Release(*handle),
            _ => return,
        };
        let is_alone = self.exchange.is_none() || self.exchange.as_ref() == Some(&exchange);
        assert!(is_alone, "{exchange:?} while {:?} is outstanding", self.exchange);
        self.exchanges += usize::from(self.exchange.is_none());
        self.exchange = Some(exchange);
    }

    fn note_operation(&mut self, operation: Operation<'static>) {
        match operation {
            Operation::Demand(Credit::Messages(credit)) => self.credit = credit,
            Operation::Demand(_) => self.credit = 0,
            Operation::Settle { handle, outcome } if outcome != Outcome::Received => {
                self.unsettled.retain(|unsettled| *unsettled != handle);
            }
            // The session of before, with all that was under way.
            Operation::Disconnect(_) => {
                self.has_session = false;
                self.credit = 0;
                self.exchange = None;
                self.unsettled.clear();
                self.open.clear();
            }
            Operation::Note { .. } => {}
            operation => self.open.push(operation),
        }
    }
}

//= mqttsn:GW-SN-16
//= mqttsn:GW-SN-19
//= mqttsn:GW-SN-22
#[test]
fn promises_hold_whatever_comes() {
    let (mut exchanges, mut ended) = (0, 0);
    for seed in 0..2_000 {
        let mut world = World::new(seed);
        let first = Packet::Connect(Connect { will: seed % 4 == 0, ..connect() });
        let effects = world.peer.send(&first);
        world.check(Some(first), effects);
        // A link that is closed gets nothing any more.
        for _ in 0..200 {
            if !world.is_closed {
                world.step();
            }
        }
        let effects = world.peer.call(|link, context| link.on_close(Reason::UNSPECIFIED, context));
        assert!(effects.frames.is_empty());
        if world.is_closed {
            assert!(effects.operations.is_empty(), "core is told of the end once");
        }
        exchanges += world.exchanges;
        ended += usize::from(world.is_closed);
    }
    assert!(exchanges > 4_000 && ended > 500, "{exchanges} {ended}");
}
