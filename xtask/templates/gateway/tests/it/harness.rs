use std::sync::Arc;

use codec___name__::{__Name__Codec, Codec, Decoded, Hello, Limits, Packet, Secret, encode};
use core_model::{Event, Operation, ShardId, Timestamp};
use gateway___name__::{__Name__Config, __Name__Gateway};
use gateway_host::{
    Close, Context, Gateway, Link, LinkFacts, ListenerFacts, Operations, Output, Progress,
};

/// Where virtual time begins.
const START: Timestamp = Timestamp::from_millis(1_000_000);

/// The HELLO of all tests.
pub(crate) const HELLO: Hello<'static> =
    Hello { keep: false, keep_alive_s: 60, client_id: "a", user: "u", password: Secret(b"s3cr") };

/// A client's end of one link.
pub(crate) struct Peer {
    link: Box<dyn Link>,
    pub(crate) now: Timestamp,
}

/// What one input brought about.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) operations: Vec<Operation<'static>>,
    bytes: Vec<u8>,
    pub(crate) close: Option<Close>,
    /// Bytes of the input that were not decoded.
    pub(crate) unread: usize,
}

impl Peer {
    /// A link on which nothing has happened yet.
    pub(crate) fn fresh(config: __Name__Config) -> Self {
        let listener = ListenerFacts { mountpoint: "city/".into(), ..ListenerFacts::default() };
        let facts = LinkFacts {
            listener: Arc::new(listener),
            shard: ShardId(0),
            peer: Some("192.0.2.7:4711".parse().unwrap()),
            is_relay: false,
            transport: None,
            client_id: None,
        };
        Peer { link: __Name__Gateway::new(config).open(&facts, START), now: START }
    }

    /// A connected client.
    pub(crate) fn connected() -> Self {
        Self::connected_to(__Name__Config::default())
    }

    pub(crate) fn connected_to(config: __Name__Config) -> Self {
        let mut peer = Self::fresh(config);
        peer.send(&[Packet::Hello(HELLO)]);
        peer.event(Event::Connected(Box::default()));
        peer
    }

    /// Sends packets, which are handled as far as the machine is ready for them.
    pub(crate) fn send(&mut self, packets: &[Packet<'_>]) -> Effects {
        let mut bytes = Vec::new();
        for packet in packets {
            encode(packet, &mut bytes).unwrap();
        }
        self.send_bytes(&bytes)
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Effects {
        let mut effects = Effects::default();
        let (mut output, mut operations) = (Output::default(), Operations::new());
        let mut rest = bytes;
        while !rest.is_empty() && effects.close.is_none() {
            let (now, close) = (self.now, &mut effects.close);
            let mut context = Context::new(now, &mut output, &mut operations, close);
            match self.link.on_input(rest, &mut context) {
                Progress::Frame(len) => rest = &rest[len..],
                Progress::Need(_) | Progress::NotReady | Progress::Broken(_) => break,
            }
        }
        effects.unread = rest.len();
        effects.take(&output, operations);
        effects
    }

    pub(crate) fn event(&mut self, event: Event<'_>) -> Effects {
        self.call(|link, context| link.on_event(0, event, context))
    }

    /// Lets time pass until the link's deadline, which is due then.
    pub(crate) fn wait(&mut self) -> Effects {
        self.now = self.link.next_deadline().expect("a deadline");
        self.call(|link, context| link.on_deadline(context))
    }

    pub(crate) fn call(
        &mut self,
        act: impl FnOnce(&mut dyn Link, &mut Context<'static, '_>),
    ) -> Effects {
        let mut effects = Effects::default();
        let (mut output, mut operations) = (Output::default(), Operations::new());
        let close = &mut effects.close;
        act(self.link.as_mut(), &mut Context::new(self.now, &mut output, &mut operations, close));
        effects.take(&output, operations);
        effects
    }
}

impl Effects {
    fn take(&mut self, output: &Output, operations: Operations<'_>) {
        self.bytes = output.contiguous().expect("payloads are copied").to_vec();
        self.operations = operations.into_iter().map(|(_, operation)| operation.detach()).collect();
    }

    /// The packets for the client.
    pub(crate) fn packets(&self) -> Vec<Packet<'_>> {
        let mut codec = __Name__Codec::new(Limits::UNLIMITED);
        let (mut packets, mut rest) = (Vec::new(), self.bytes.as_slice());
        while !rest.is_empty() {
            let Ok(Decoded::Frame { frame, len }) = codec.decode(rest) else { panic!("{rest:?}") };
            packets.push(frame);
            rest = &rest[len..];
        }
        packets
    }

    /// The one operation.
    pub(crate) fn operation(&self) -> &Operation<'static> {
        assert_eq!(self.operations.len(), 1, "{self:?}");
        &self.operations[0]
    }
}
