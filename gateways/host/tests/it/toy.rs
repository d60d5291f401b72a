//! A protocol made for these tests: frames are a length of four bytes and a body, the first byte of
//! which says what it means.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use codec_wire::{Codec, DecodeError, Decoded, EncodeError, ErrorKind};
use core_model::{
    Connect, Credit, Disconnect, DisconnectCause, Event, Evidence, Expiry, Filter, GatewayId,
    Manners, Message, Operation, Publish, PublishMessage, QoS, Reason, RetainHandling, Subscribe,
    Subscription, Ticket, Timestamp,
};
use gateway_host::{
    Close, Context, Framed, Gateway, Link, LinkFacts, ListenerConfig, ListenerFacts, Machine, Node,
    NodeConfig,
};
use gateway_transport::Entrance;

/// Longest frame.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;
/// Nothing in these tests takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct ToyCodec;

impl Codec for ToyCodec {
    type Frame<'a> = &'a [u8];

    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, DecodeError> {
        let Some((head, rest)) = input.split_first_chunk::<4>() else {
            return Ok(Decoded::Need(5));
        };
        let len = u32::from_be_bytes(*head) as usize;
        if len == 0 || len > FRAME_BYTES_MAX {
            return Err(DecodeError::new(ErrorKind::TooLarge, 0, "length"));
        }
        Ok(match rest.get(..len) {
            Some(frame) => Decoded::Frame { frame, len: len + 4 },
            None => Decoded::Need(len + 4),
        })
    }

    fn encode(&self, frame: &&[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&frame_of(frame));
        Ok(())
    }
}

fn frame_of(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// What machines went through, for the test to wait for.
#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<Vec<Entry>>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Opened,
    Closed(Reason),
    Congested(bool),
    Broken,
    Draining,
    AtGate,
}

impl Log {
    pub(crate) fn write(&self, entry: Entry) {
        self.entries.lock().unwrap().push(entry);
        self.changed.notify_all();
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Entry) -> bool) -> usize {
        self.entries.lock().unwrap().iter().filter(|entry| wanted(entry)).count()
    }

    pub(crate) fn closed(&self) -> usize {
        self.count(|entry| matches!(entry, Entry::Closed(_)))
    }

    /// Waits until the log has `wanted`.
    pub(crate) fn wait_for(&self, wanted: Entry) {
        self.wait(|entries| entries.contains(&wanted));
    }

    pub(crate) fn wait(&self, enough: impl Fn(&[Entry]) -> bool) {
        let entries = self.entries.lock().unwrap();
        let waited = self.changed.wait_timeout_while(entries, PATIENCE, |e| !enough(e)).unwrap();
        let (entries, timed_out) = (waited.0.clone(), waited.1.timed_out());
        drop(waited);
        assert!(!timed_out, "the log has only {entries:?}");
    }
}

/// Something that blocks until it is opened.
#[derive(Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_timeout_while(is_open, PATIENCE, |is_open| !*is_open).unwrap());
    }
}

/// The toy gateway.
#[derive(Clone, Default)]
pub(crate) struct Toy {
    pub(crate) log: Arc<Log>,
    /// A client must have connected so many milliseconds after it came.
    pub(crate) connect_deadline_ms: Option<u64>,
    /// Whether a congested link is left alone by its machine's flood.
    pub(crate) heeds_congestion: bool,
    /// What a shard is stopped with.
    pub(crate) gate: Arc<Gate>,
}

impl Gateway for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn id(&self) -> GatewayId {
        GatewayId(7)
    }

    fn open(&self, link: &LinkFacts, now: Timestamp) -> Box<dyn Link> {
        self.log.write(Entry::Opened);
        let deadline = self.connect_deadline_ms.map(|ms| now.plus_millis(ms));
        let machine = ToyMachine {
            toy: self.clone(),
            link: link.clone(),
            deadline,
            ready: true,
            connected: false,
            flood: false,
        };
        Box::new(Framed::new(ToyCodec, machine))
    }
}

struct ToyMachine {
    toy: Toy,
    link: LinkFacts,
    deadline: Option<Timestamp>,
    ready: bool,
    connected: bool,
    flood: bool,
}

fn say(context: &mut Context<'_, '_>, body: &[u8]) {
    context.output().write(&frame_of(body));
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

impl ToyMachine {
    /// Connects as `client_id`, or `client_id@user`, with enhanced authentication if there is a
    /// `method`.
    fn connect(&mut self, client_id: &str, method: Option<&str>, context: &mut Context<'_, '_>) {
        let (client_id, user) = match client_id.split_once('@') {
            Some((client_id, user)) => (client_id, Some(user)),
            None => (client_id, None),
        };
        let evidence = Evidence {
            listener: self.link.listener.name.clone(),
            gateway: "toy",
            allow_anonymous: true,
            peer: self.link.peer,
            transport: self.link.transport.clone(),
            user: user.map(Into::into),
            method: method.map(Into::into),
            ..Evidence::default()
        };
        let connect = Connect {
            gateway: GatewayId(7),
            client_id: client_id.into(),
            clean_start: true,
            expiry: Expiry::WithLink,
            receive_max: 100,
            may_retransmit: false,
            may_requeue: false,
            manners: Manners::default(),
            will: None,
            mountpoint: "".into(),
            limits: None,
            evidence: Box::new(evidence),
        };
        self.ready = false;
        self.deadline = None;
        context.operation(0, Operation::Connect(Box::new(connect)));
    }
}

impl Machine for ToyMachine {
    type Codec = ToyCodec;

    fn on_frame<'a>(&mut self, frame: &'a [u8], context: &mut Context<'a, '_>) {
        let (verb, body) = frame.split_first().unwrap();
        match verb {
            b'C' => self.connect(text(body), None, context),
            b'A' => self.connect(text(body), Some("toy"), context),
            b'S' => context.operation(
                0,
                Operation::Subscribe(Box::new(Subscribe {
                    ticket: Ticket(1),
                    identifier: None,
                    subscriptions: vec![Ok(Subscription {
                        filter: Filter::parse(text(body)).unwrap(),
                        qos: QoS::AtLeastOnce,
                        no_local: false,
                        retain_as_published: false,
                        retain_handling: RetainHandling::Send,
                    })],
                })),
            ),
            b'P' | b'Q' | b'R' => {
                let at = body.iter().position(|b| *b == 0).unwrap();
                let mut message = Message::new(text(&body[..at]), &body[at + 1..]);
                message.retain = *verb == b'R';
                if *verb == b'Q' {
                    message.qos = QoS::AtLeastOnce;
                }
                let message = PublishMessage::View(message);
                let publish = Publish { ticket: Ticket(2), id: 0, message };
                context.operation(0, Operation::Publish(publish));
            }
            b'E' => say(context, frame),
            // As many bytes as asked for, in one frame.
            b'B' => say(context, &vec![b'B'; text(body).parse().unwrap()]),
            // Ever more output until told to stop.
            b'F' => {
                self.flood = true;
                self.deadline = Some(context.now);
            }
            b'W' => {
                self.ready = false;
                self.deadline = Some(context.now.plus_millis(text(body).parse().unwrap()));
            }
            // What is known of the link.
            b'I' => {
                let peer = self.link.peer.map_or("-".into(), |peer| peer.to_string());
                let transport = self.link.transport.as_deref();
                let tls = transport.and_then(|facts| facts.tls_version.as_deref());
                say(context, format!("I {peer} {}", tls.unwrap_or("-")).as_bytes());
            }
            b'X' => {
                say(context, b"bye");
                context.close(Close::Flush(Reason::ADMINISTRATIVE_ACTION));
            }
            b'N' => {
                say(context, b"never seen");
                context.close(Close::Now(Reason::SUCCESS));
            }
            b'G' => context.close(Close::Flush(Reason::SUCCESS)),
            b'Z' => {
                self.toy.log.write(Entry::AtGate);
                self.toy.gate.pass();
            }
            b'!' => panic!("the machine is broken"),
            other => panic!("unknown verb {other}"),
        }
    }

    fn on_decode_error(&mut self, _error: &DecodeError, context: &mut Context<'_, '_>) {
        self.toy.log.write(Entry::Broken);
        say(context, b"broken");
        context.close(Close::Flush(Reason::MALFORMED));
    }

    fn on_event(&mut self, _slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        match event {
            Event::Connected(_) => {
                (self.ready, self.connected) = (true, true);
                say(context, b"connected");
            }
            Event::Subscribed { .. } => say(context, b"subscribed"),
            Event::Published { .. } => say(context, b"published"),
            Event::Deliver(delivery) => {
                let topic = delivery.message.topic();
                let body = [b"m ", topic.as_bytes(), b" ", delivery.message.payload()].concat();
                say(context, &body);
                if delivery.handle != 0 {
                    let (handle, outcome) = (delivery.handle, core_model::Outcome::Accepted);
                    context.operation(0, Operation::Settle { handle, outcome });
                }
            }
            Event::Kicked { .. } => {
                self.connected = false;
                say(context, b"kicked");
                context.close(Close::Flush(Reason::SESSION_TAKEN_OVER));
            }
            Event::Draining => {
                self.toy.log.write(Entry::Draining);
                say(context, b"draining");
                context.close(Close::Flush(Reason::SERVER_SHUTTING_DOWN));
            }
            other => say(context, format!("{other:?}").as_bytes()),
        }
    }

    fn on_deadline(&mut self, context: &mut Context<'static, '_>) {
        if self.flood {
            say(context, &[b'F'; 10_000]);
            self.deadline = Some(context.now);
        } else if !self.ready {
            (self.ready, self.deadline) = (true, None);
            say(context, b"waited");
        } else {
            self.deadline = None;
            say(context, b"late");
            context.close(Close::Flush(Reason::MAXIMUM_CONNECT_TIME));
        }
    }

    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>) {
        self.toy.log.write(Entry::Closed(reason));
        if self.connected {
            let disconnect = Disconnect { cause: DisconnectCause::Lost(reason), expiry: None };
            context.operation(0, Operation::Disconnect(disconnect));
        }
    }

    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>) {
        self.toy.log.write(Entry::Congested(blocked));
        if self.flood && self.toy.heeds_congestion {
            self.deadline = (!blocked).then_some(context.now);
        }
        let credit = if blocked { Credit::None } else { Credit::Open };
        if self.connected {
            context.operation(0, Operation::Demand(credit));
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    fn is_ready(&self) -> bool {
        self.ready
    }
}

/// A node that speaks the toy protocol at one address.
pub(crate) struct Server {
    pub(crate) node: Node,
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<Log>,
}

/// A configuration in which nothing has to be waited for.
pub(crate) fn config(shards: u16) -> NodeConfig {
    let mut config =
        NodeConfig { shards, seed: Some(42), sys_interval_s: 0, ..NodeConfig::default() };
    config.limits.counters_interval_ms = 1;
    config
}

/// A port of the loopback address that the system chooses.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Server {
    pub(crate) fn start(config: NodeConfig, toy: Toy) -> Server {
        Self::limited(config, toy, 1_000)
    }

    pub(crate) fn limited(config: NodeConfig, toy: Toy, max_connections: usize) -> Server {
        Self::with_listener(config, toy, |listener| listener.max_connections = max_connections)
    }

    /// With something between its listener and the gateway.
    pub(crate) fn behind(config: NodeConfig, toy: Toy, entrance: Entrance) -> Server {
        Self::with_listener(config, toy, |listener| listener.entrance = Some(Arc::new(entrance)))
    }

    /// With a listener that `set` has changed.
    pub(crate) fn with_listener(
        mut config: NodeConfig,
        toy: Toy,
        set: impl FnOnce(&mut ListenerConfig),
    ) -> Server {
        let log = Arc::clone(&toy.log);
        let facts = ListenerFacts { name: "toy".into(), ..ListenerFacts::default() };
        let mut listener = ListenerConfig::new(Arc::new(facts), any_port(), Arc::new(toy));
        set(&mut listener);
        config.listeners = vec![listener];
        let node = Node::start(config).unwrap();
        let address = node.addresses()[0].1.address().unwrap();
        Server { node, address, log }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Waits until the node's counters satisfy `enough`. Each shard shows its own from time to
    /// time, so the sum is of different moments.
    pub(crate) fn wait_counters(&self, enough: impl Fn(&gateway_host::NodeCounters) -> bool) {
        let start = Instant::now();
        loop {
            let counters = self.node.counters();
            if enough(&counters) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{counters:?}");
            std::thread::yield_now();
        }
    }

    /// Waits until the listener has `count` connections.
    pub(crate) fn wait_connections(&self, count: usize) {
        let start = Instant::now();
        while self.node.connections()[0].1 != count {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.node.connections());
            std::thread::yield_now();
        }
    }
}

/// A client of the toy protocol.
pub(crate) struct Client<S = TcpStream>(pub(crate) S);

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    pub(crate) fn half_close(&mut self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.write_all(bytes).unwrap();
        self
    }

    pub(crate) fn send(&mut self, body: impl AsRef<[u8]>) -> &mut Self {
        self.raw(&frame_of(body.as_ref()))
    }

    /// Several frames in one write.
    pub(crate) fn send_all(&mut self, bodies: &[&[u8]]) -> &mut Self {
        let bytes: Vec<u8> = bodies.iter().flat_map(|body| frame_of(body)).collect();
        self.raw(&bytes)
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.try_receive().unwrap()
    }

    pub(crate) fn try_receive(&mut self) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head)?;
        let mut body = vec![0; u32::from_be_bytes(head) as usize];
        self.0.read_exact(&mut body)?;
        Ok(body)
    }

    pub(crate) fn expect(&mut self, body: impl AsRef<[u8]>) -> &mut Self {
        let got = self.receive();
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(body.as_ref()));
        self
    }

    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0, "the server has more to say");
    }

    pub(crate) fn connect(&mut self, client_id: &str) -> &mut Self {
        self.send(format!("C{client_id}")).expect("connected")
    }

    pub(crate) fn subscribe(&mut self, filter: &str) -> &mut Self {
        self.send(format!("S{filter}")).expect("subscribed")
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str) -> &mut Self {
        self.send(format!("P{topic}\0{payload}"))
    }
}
