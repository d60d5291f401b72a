//! A protocol of datagrams made for these tests. The first letter says whose a datagram is:
//! `C<id>` a client's that connects, `N<id>|..` a client's, `P..` the peer's, `W..` anybody's, `R<slot>..`
//! one of many clients' behind a relay, `r<slot>..` the same without opening a link, all else nobody's.
//! What follows is a command (`Machine::on_frame`).

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec_wire::{Codec, DecodeError, Decoded, EncodeError, ErrorKind};
use core_model::{
    Connect, Disconnect, DisconnectCause, Event, Evidence, Expiry, Filter, GatewayId, Manners,
    Message, Operation, Publish, PublishMessage, QoS, Reason, RetainHandling, Subscribe,
    Subscription, Ticket, Timestamp,
};
use gateway_host::{
    Bind, Close, Context, Framed, Gateway, HostCounters, Link, LinkFacts, ListenerConfig,
    ListenerFacts, ListenerStatus, Machine, Node, NodeConfig, Output, Rebind, Whose,
};

use crate::toy::{Entry, Log, PATIENCE, any_port};

pub(crate) const ID: GatewayId = GatewayId(9);

/// One frame is one datagram, unless a line feed stands between several.
struct PostCodec;

impl Codec for PostCodec {
    type Frame<'a> = &'a [u8];

    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, DecodeError> {
        match input {
            [_, b'!', ..] => Err(DecodeError::new(ErrorKind::Malformed, 1, "exclamation mark")),
            [_, b'?', ..] => Ok(Decoded::Need(input.len() + 1)),
            input => {
                let end = input.iter().position(|byte| *byte == b'\n');
                let frame = &input[..end.unwrap_or(input.len())];
                Ok(Decoded::Frame { frame, len: end.map_or(input.len(), |end| end + 1) })
            }
        }
    }

    fn encode(&self, frame: &&[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(frame);
        Ok(())
    }
}

/// The gateway.
#[derive(Clone, Default)]
pub(crate) struct Post {
    pub(crate) log: Arc<Log>,
    /// Whether what is nobody's is dropped.
    pub(crate) has_no_commons: bool,
}

impl Gateway for Post {
    fn name(&self) -> &'static str {
        "post"
    }

    fn id(&self) -> GatewayId {
        ID
    }

    fn open(&self, link: &LinkFacts, _now: Timestamp) -> Box<dyn Link> {
        self.log.write(Entry::Opened);
        self.machine(link, false)
    }

    fn whose<'d>(&self, datagram: &'d [u8]) -> Whose<'d> {
        let text = std::str::from_utf8(datagram).unwrap_or("");
        let id = |text: &'d str| text[1..].split(['|', '\n']).next().unwrap();
        match datagram.first() {
            Some(b'C') if text.len() > 1 => Whose::Client { client_id: id(text), opens: true },
            Some(b'N') if text.len() > 1 => Whose::Client { client_id: id(text), opens: false },
            Some(b'P') => Whose::Peer,
            Some(b'W') => Whose::Newcomer,
            Some(b'R') => Whose::Relayed { opens: true },
            Some(b'r') => Whose::Relayed { opens: false },
            _ => Whose::Nobody,
        }
    }

    fn open_commons(&self, link: &LinkFacts, _now: Timestamp) -> Option<Box<dyn Link>> {
        (!self.has_no_commons).then(|| self.machine(link, true))
    }

    fn refuse_datagram(&self, datagram: &[u8], reason: Reason, output: &mut Output) {
        let text = format!("refused {reason}");
        let fill = if datagram.ends_with(b"|long") { 10_000 } else { 0 };
        output.frame_with(|out| {
            out.extend_from_slice(text.as_bytes());
            out.resize(out.len() + fill, b'.');
        });
    }
}

impl Post {
    fn machine(&self, link: &LinkFacts, is_commons: bool) -> Box<dyn Link> {
        let machine = PostMachine {
            post: self.clone(),
            link: link.clone(),
            is_commons,
            connected: Vec::new(),
            ready: true,
            quiet_until: None,
        };
        Box::new(Framed::new(PostCodec, machine))
    }
}

struct PostMachine {
    post: Post,
    link: LinkFacts,
    is_commons: bool,
    /// Slots with a session.
    connected: Vec<u32>,
    ready: bool,
    quiet_until: Option<Timestamp>,
}

fn say(context: &mut Context<'_, '_>, text: impl AsRef<[u8]>) {
    context.output().frame_with(|out| out.extend_from_slice(text.as_ref()));
}

impl PostMachine {
    fn connect(&mut self, slot: u32, client_id: &str, context: &mut Context<'_, '_>) {
        let evidence = Evidence {
            listener: self.link.listener.name.clone(),
            gateway: "post",
            allow_anonymous: true,
            peer: context.sender().map(|sender| sender.address),
            transport: self.link.transport.clone(),
            ..Evidence::default()
        };
        let connect = Connect {
            gateway: ID,
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
        if self.connected.contains(&slot) {
            let cause = DisconnectCause::Lost(Reason::SESSION_TAKEN_OVER);
            context.operation(slot, Operation::Disconnect(Disconnect { cause, expiry: None }));
        }
        self.connected.push(slot);
        context.operation(slot, Operation::Connect(Box::new(connect)));
    }

    fn obey<'a>(&mut self, slot: u32, command: &'a str, context: &mut Context<'a, '_>) {
        let Some(verb) = command.chars().next() else { return };
        let body = &command[1..];
        match verb {
            'C' => self.connect(slot, body, context),
            'e' => say(context, command),
            // So many bytes; so many frames.
            'b' => say(context, vec![b'b'; body.parse().unwrap()]),
            'm' => (0..body.parse().unwrap()).for_each(|n: u32| say(context, format!("m{n}"))),
            't' => {
                let to = body.parse().unwrap();
                context.output().frame_to(to, |out| out.extend_from_slice(b"for you"));
            }
            'a' => {
                let adopted = context.adopt_path();
                say(context, if adopted { "adopted" } else { "not adopted" });
            }
            'i' => {
                let sender = context.sender().unwrap();
                let (facts, is_commons) = (&self.link, self.is_commons);
                let peer = facts.peer.map(|peer| peer.port());
                let (relay, port) = (facts.is_relay, sender.address.port());
                let text = format!("{peer:?} {port} {:?} {relay} {is_commons}", sender.path);
                say(context, text);
            }
            's' => {
                let subscription = Subscription {
                    filter: Filter::parse(body).unwrap(),
                    qos: QoS::AtMostOnce,
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::Send,
                };
                let subscriptions = vec![Ok(subscription)];
                let subscribe = Subscribe { ticket: Ticket(1), identifier: None, subscriptions };
                context.operation(slot, Operation::Subscribe(Box::new(subscribe)));
            }
            'p' => {
                let (topic, payload) = body.split_once(' ').unwrap();
                let message = PublishMessage::View(Message::new(topic, payload.as_bytes()));
                let publish = Publish { ticket: Ticket(2), id: 0, message };
                context.operation(slot, Operation::Publish(publish));
            }
            'q' => self.quiet_until = Some(context.now.plus_millis(body.parse().unwrap())),
            'n' => self.ready = false,
            'x' => {
                say(context, "bye");
                context.close(Close::Flush(Reason::SUCCESS));
            }
            other => panic!("unknown verb {other}"),
        }
    }
}

impl Machine for PostMachine {
    type Codec = PostCodec;

    fn on_frame<'a>(&mut self, frame: &'a [u8], context: &mut Context<'a, '_>) {
        let text = std::str::from_utf8(frame).unwrap();
        match frame[0] {
            b'C' => self.obey(0, text, context),
            b'N' => self.obey(0, text.split_once('|').unwrap().1, context),
            b'R' | b'r' => self.obey(text[1..2].parse().unwrap(), &text[2..], context),
            _ => self.obey(0, &text[1..], context),
        }
    }

    fn on_decode_error(&mut self, _error: &DecodeError, _context: &mut Context<'_, '_>) {
        self.post.log.write(Entry::Broken);
    }

    fn on_event(&mut self, slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        match event {
            Event::Connected(_) => say(context, "connected"),
            Event::Subscribed { .. } => say(context, "subscribed"),
            Event::Deliver(delivery) => {
                let message = &delivery.message;
                let body = [message.topic().as_bytes(), b" ", message.payload()].concat();
                say(context, [format!("{slot} ").as_bytes(), &body].concat());
            }
            Event::Kicked { .. } => {
                self.connected.retain(|connected| *connected != slot);
                say(context, "kicked");
                if !self.link.is_relay {
                    context.close(Close::Flush(Reason::SESSION_TAKEN_OVER));
                }
            }
            Event::Draining => {
                say(context, "draining");
                context.close(Close::Flush(Reason::SERVER_SHUTTING_DOWN));
            }
            other => say(context, format!("{other:?}")),
        }
    }

    fn on_deadline(&mut self, _context: &mut Context<'static, '_>) {}

    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>) {
        self.post.log.write(if self.is_commons { Entry::Draining } else { Entry::Closed(reason) });
        for slot in self.connected.drain(..) {
            let cause = DisconnectCause::Lost(reason);
            context.operation(slot, Operation::Disconnect(Disconnect { cause, expiry: None }));
        }
    }

    fn on_backpressure(&mut self, blocked: bool, _context: &mut Context<'static, '_>) {
        self.post.log.write(Entry::Congested(blocked));
    }

    fn quiet_until(&self) -> Option<Timestamp> {
        self.quiet_until
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    fn is_ready(&self) -> bool {
        self.ready
    }
}

/// A node with one datagram listener.
pub(crate) struct Office {
    pub(crate) node: Node,
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<Log>,
}

/// A listener of that name at an address.
pub(crate) fn listener(
    name: &str,
    bind: SocketAddr,
    post: &Post,
    rebind: Rebind,
) -> ListenerConfig {
    let facts = ListenerFacts { name: name.into(), rebind, ..ListenerFacts::default() };
    ListenerConfig::new(Arc::new(facts), Bind::Udp(bind), Arc::new(post.clone()))
}

impl Office {
    pub(crate) fn start(config: NodeConfig) -> Office {
        Self::with(config, Post::default(), Rebind::default(), any_port(), |_| {})
    }

    /// With a listener that `set` has changed.
    pub(crate) fn with(
        mut config: NodeConfig,
        post: Post,
        rebind: Rebind,
        bind: SocketAddr,
        set: impl FnOnce(&mut ListenerConfig),
    ) -> Office {
        let log = Arc::clone(&post.log);
        let mut listener = listener("post", bind, &post, rebind);
        set(&mut listener);
        config.listeners = vec![listener];
        let node = Node::start(config).unwrap();
        let address = node.addresses()[0].1.address().unwrap();
        Office { node, address, log }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::new(self.address)
    }

    pub(crate) fn status(&self) -> ListenerStatus {
        self.node.control().listeners().remove(0)
    }

    /// Waits until the node's counters satisfy `enough`.
    pub(crate) fn wait_counters(&self, enough: impl Fn(&HostCounters) -> bool) {
        wait(|| enough(&self.node.counters().host), || format!("{:?}", self.node.counters().host));
    }

    pub(crate) fn wait_connections(&self, count: usize) {
        let now = || self.node.connections()[0].1;
        wait(|| now() == count, || format!("{} connections", now()));
    }
}

/// Waits until `done`.
pub(crate) fn wait(done: impl Fn() -> bool, now: impl Fn() -> String) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{}", now());
        std::thread::yield_now();
    }
}

/// Somebody at an address of his own.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
    server: SocketAddr,
}

impl Peer {
    pub(crate) fn new(server: SocketAddr) -> Peer {
        let any = SocketAddr::new(server.ip(), 0);
        Self::at(any, server)
    }

    /// At a given address.
    pub(crate) fn at(address: SocketAddr, server: SocketAddr) -> Peer {
        Self::with(UdpSocket::bind(address).unwrap(), server)
    }

    /// With a given socket.
    pub(crate) fn with(socket: UdpSocket, server: SocketAddr) -> Peer {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { socket, server }
    }

    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) -> &Self {
        self.socket.send_to(bytes.as_ref(), self.server).unwrap();
        self
    }

    pub(crate) fn receive(&self) -> String {
        let mut buffer = vec![0; 65_536];
        let (len, from) = self.socket.recv_from(&mut buffer).unwrap();
        assert_eq!(from, self.server, "an answer from another address");
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    pub(crate) fn expect(&self, text: impl AsRef<str>) -> &Self {
        assert_eq!(self.receive(), text.as_ref());
        self
    }

    /// Nothing has come. Only to be asked after something that comes later has come.
    pub(crate) fn expect_nothing(&self) -> &Self {
        self.socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut buffer = [0; 100];
        let got = self.socket.recv(&mut buffer).map(|len| buffer[..len].to_vec());
        assert!(got.is_err(), "{:?}", got.map(String::from_utf8));
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        self
    }

    pub(crate) fn connect(&self, client_id: &str) -> &Self {
        self.send(format!("C{client_id}")).expect("connected")
    }
}
