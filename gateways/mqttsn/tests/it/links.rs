//! What several kinds of links share in tests: datagrams in, effects with their slots out.

use std::net::SocketAddr;
use std::sync::Arc;

use codec_mqttsn::{Encapsulation, Frame, Limits, MqttSnCodec, Packet, encode};
use codec_wire::{Codec, Decoded};
use core_model::{Event, Operation, ShardId, Timestamp};
use gateway_host::{
    Close, Context, Gateway, Link, LinkFacts, ListenerFacts, Operations, Output, Progress, Rate,
    Sender, SenderPath,
};
use gateway_mqttsn::{MqttSnConfig, MqttSnGateway};

use crate::harness::{HOME, START};

/// A link of any kind, which may have many slots.
pub(crate) struct Line {
    pub(crate) link: Box<dyn Link>,
    pub(crate) now: Timestamp,
    from: SocketAddr,
}

/// What one input brought about.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) operations: Vec<(u32, Operation<'static>)>,
    /// With where each goes, if that is not the peer.
    pub(crate) frames: Vec<(Option<SocketAddr>, Vec<u8>)>,
    pub(crate) close: Option<Close>,
    pub(crate) is_broken: bool,
}

pub(crate) fn gateway(change: impl FnOnce(&mut MqttSnConfig)) -> MqttSnGateway {
    let mut config = MqttSnConfig { connect_timeout_s: 60, ..MqttSnConfig::default() };
    change(&mut config);
    MqttSnGateway::new(config).unwrap()
}

pub(crate) fn facts(shard: u16, is_relay: bool, message_rate: Option<Rate>) -> LinkFacts {
    let listener = ListenerFacts {
        name: "field".into(),
        allow_anonymous: true,
        message_rate,
        ..ListenerFacts::default()
    };
    LinkFacts {
        listener: Arc::new(listener),
        shard: ShardId(shard),
        peer: Some(HOME.parse().unwrap()),
        is_relay,
        transport: None,
        client_id: None,
    }
}

impl Line {
    /// The link of a client's own address.
    pub(crate) fn own() -> Self {
        Self::new(gateway(|_| {}).open(&facts(0, false, None), START))
    }

    /// The link of a forwarder.
    pub(crate) fn relay(change: impl FnOnce(&mut MqttSnConfig)) -> Self {
        Self::new(gateway(change).open(&facts(0, true, None), START))
    }

    /// What a shard has for datagrams of no client.
    pub(crate) fn commons_of(gateway: &MqttSnGateway, shard: u16) -> Self {
        Self::new(gateway.open_commons(&facts(shard, false, None), START).unwrap())
    }

    pub(crate) fn new(link: Box<dyn Link>) -> Self {
        Line { link, now: START, from: HOME.parse().unwrap() }
    }

    pub(crate) fn wait_s(&mut self, seconds: u32) {
        self.now = self.now.plus_seconds(seconds);
    }

    pub(crate) fn send(&mut self, packet: Packet<'_>) -> Outcome {
        self.send_frame(&Frame::plain(packet))
    }

    /// Sends what a node behind a forwarder says.
    pub(crate) fn relay_from(&mut self, node_id: &[u8], packet: Packet<'_>) -> Outcome {
        let encapsulation = Some(Encapsulation { radius: 2, node_id });
        self.send_frame(&Frame { encapsulation, packet })
    }

    fn send_frame(&mut self, frame: &Frame<'_>) -> Outcome {
        let mut bytes = Vec::new();
        encode(frame, &mut bytes).unwrap();
        self.send_bytes(&bytes)
    }

    pub(crate) fn send_hex(&mut self, hex: &str) -> Outcome {
        self.send_bytes(&codec_wire::hex::decode(hex).unwrap())
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Outcome {
        let sender = Sender { address: self.from, path: SenderPath::Known };
        let mut outcome = Outcome::default();
        let (mut output, mut operations) = (Output::for_datagrams(), Operations::new());
        let mut context = Context::new(self.now, &mut output, &mut operations, &mut outcome.close)
            .of_sender(sender);
        match self.link.on_input(bytes, &mut context) {
            Progress::Frame(len) => assert_eq!(len, bytes.len()),
            Progress::Broken(_) => outcome.is_broken = true,
            other => panic!("{other:?}"),
        }
        outcome.take(&output, operations);
        outcome
    }

    pub(crate) fn event(&mut self, slot: u32, event: Event<'_>) -> Outcome {
        self.call(|link, context| link.on_event(slot, event, context))
    }

    /// Calls `on_deadline` if it is due.
    pub(crate) fn tick(&mut self) -> Outcome {
        if self.link.next_deadline().is_none_or(|deadline| deadline > self.now) {
            return Outcome::default();
        }
        self.call(|link, context| link.on_deadline(context))
    }

    /// Lets time pass until the link wants to be called, and calls it.
    pub(crate) fn next_deadline(&mut self) -> Outcome {
        self.now = self.now.max(self.link.next_deadline().unwrap());
        self.tick()
    }

    pub(crate) fn call(
        &mut self,
        act: impl FnOnce(&mut dyn Link, &mut Context<'static, '_>),
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut output, mut operations) = (Output::for_datagrams(), Operations::new());
        let mut context = Context::new(self.now, &mut output, &mut operations, &mut outcome.close);
        act(self.link.as_mut(), &mut context);
        outcome.take(&output, operations);
        outcome
    }
}

impl Outcome {
    fn take(&mut self, output: &Output, operations: Operations<'_>) {
        self.frames.extend(output.datagrams().map(|(to, frame)| (to, frame.to_vec())));
        self.operations
            .extend(operations.into_iter().map(|(slot, operation)| (slot, operation.detach())));
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.operations.is_empty() && self.frames.is_empty() && self.close.is_none()
    }

    /// The one frame, with where it goes.
    pub(crate) fn frame(&self) -> (Option<SocketAddr>, Frame<'_>) {
        assert_eq!(self.frames.len(), 1, "{self:?}");
        let (to, bytes) = &self.frames[0];
        let decoded = MqttSnCodec::new(Limits::UNLIMITED).decode(bytes).unwrap();
        let Decoded::Frame { frame, .. } = decoded else { panic!("half a packet") };
        (*to, frame)
    }

    /// The one packet, which goes to the peer of the link itself.
    pub(crate) fn packet(&self) -> Packet<'_> {
        let (to, frame) = self.frame();
        assert_eq!((to, frame.encapsulation), (None, None));
        frame.packet
    }

    /// The one packet, which goes to a node behind the peer.
    pub(crate) fn relayed(&self) -> (&[u8], Packet<'_>) {
        let (to, frame) = self.frame();
        let encapsulation = frame.encapsulation.unwrap();
        assert_eq!((to, encapsulation.radius), (None, 0));
        (encapsulation.node_id, frame.packet)
    }

    /// The one operation with its slot.
    pub(crate) fn operation(&self) -> (u32, &Operation<'static>) {
        assert_eq!(self.operations.len(), 1, "{self:?}");
        (self.operations[0].0, &self.operations[0].1)
    }
}
