use std::net::SocketAddr;
use std::sync::Arc;

use codec_wire::{Codec, DecodeError, Decoded};
use core_model::{Event, GatewayId, Reason, SessionLimits, ShardId, Timestamp, TransportFacts};

use crate::{Context, Machine, Output, Rate, Rebind};

/// One protocol as the host sees it: makes a link's state machine when somebody connects.
pub trait Gateway: Send + Sync {
    /// Name in the configuration, such as `mqtt`.
    fn name(&self) -> &'static str;

    /// Its number in session keys.
    fn id(&self) -> GatewayId;

    /// A machine for a new link.
    fn open(&self, link: &LinkFacts, now: Timestamp) -> Box<dyn Link>;

    /// Whose a datagram is, as far as its own bytes say: identity comes before address. It is asked
    /// for every datagram before anything else is done with it, so it must be quick, and the bytes
    /// may be anything.
    fn whose<'d>(&self, _datagram: &'d [u8]) -> Whose<'d> {
        Whose::Newcomer
    }

    /// A machine for the datagrams of no link, of which each shard has one for each datagram
    /// listener. It answers each sender, knows none of them for longer than a call, and may have
    /// slots of its own. `None` if such datagrams are dropped.
    fn open_commons(&self, _link: &LinkFacts, _now: Timestamp) -> Option<Box<dyn Link>> {
        None
    }

    /// Answers a datagram that would open a link, but cannot, in the protocol's terms; or not at
    /// all. The answer goes to its sender if it is no longer than three times the datagram.
    fn refuse_datagram(&self, _datagram: &[u8], _reason: Reason, _output: &mut Output) {}

    /// Makes `bytes`, which are whole frames that a link got or is sent, fit to be shown to an
    /// operator: replaces the secrets in them. `false` if they cannot be shown, and only their
    /// length is. Without an answer of its own a gateway shows what comes after the connect.
    fn redact(&self, _bytes: &mut Vec<u8>, connected: bool) -> bool {
        connected
    }
}

/// Whose a datagram is, as far as its own bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'d> {
    /// Of a client that names itself. The link of that client takes it, from whatever address and on
    /// whatever shard; from another address than the link's own it comes as a candidate path.
    Client {
        /// Its client identifier, not empty.
        client_id: &'d str,
        /// Whether a new link is opened for it where the client has none, or has one at another
        /// address (whose client is then taken over, or not, as the core decides). Otherwise it is
        /// nobody's where the client has no link.
        opens: bool,
    },
    /// Of whoever has the link of the sender's address; nobody's if there is none.
    Peer,
    /// The same, but a new link is opened if there is none.
    Newcomer,
    /// Of one of many clients behind the sender, who relays for them. All of them share one link,
    /// which is another one than that of the address itself, if that is a client too.
    Relayed {
        /// Whether a new link is opened if there is none; nobody's otherwise.
        opens: bool,
    },
    /// Nobody's.
    Nobody,
}

/// What is known of a new link.
#[derive(Clone, Debug)]
pub struct LinkFacts {
    /// The listener that it came through.
    pub listener: Arc<ListenerFacts>,
    /// The shard that owns it now.
    pub shard: ShardId,
    /// The peer's address, as seen or as a trusted proxy reports it; `None` on a Unix socket, and
    /// on the link for datagrams that are nobody's.
    pub peer: Option<SocketAddr>,
    /// Whether many clients are behind the peer ([`Whose::Relayed`]).
    pub is_relay: bool,
    /// What the transport has found out; `None` for plain connections.
    pub transport: Option<Arc<TransportFacts>>,
    /// The client id that the client's certificate gives it, which replaces its own; only where the
    /// listener says so.
    pub client_id: Option<Box<str>>,
}

/// What all links of one listener share.
#[derive(Clone, Debug, Default)]
pub struct ListenerFacts {
    /// Its name.
    pub name: Box<str>,
    /// Topic prefix of its clients, placeholders not yet replaced.
    pub mountpoint: Box<str>,
    /// Whether clients without credentials are let in.
    pub allow_anonymous: bool,
    /// The bounds of its clients' sessions; `None` for the node's.
    pub session_limits: Option<Arc<SessionLimits>>,
    /// Messages that one client may publish. The host slows down the reading of streams by itself;
    /// the machine of a datagram link refuses what is beyond it in its protocol's terms, for each
    /// slot by itself ([`Bucket`](crate::Bucket)).
    pub message_rate: Option<Rate>,
    /// Who may move a client to another address.
    pub rebind: Rebind,
}

/// What decoding the next frame came to.
#[derive(Debug)]
pub enum Progress {
    /// A frame of so many bytes was handled.
    Frame(usize),
    /// The frame at the start needs so many bytes in total, as far as known.
    Need(usize),
    /// The machine is not ready for a frame.
    NotReady,
    /// The input is broken; the machine has been told.
    Broken(DecodeError),
}

/// A codec and its machine behind one virtual call per frame; see [`Machine`] for the meaning of
/// each method.
pub trait Link: Send {
    /// Decodes and handles one frame from the start of `input`.
    fn on_input<'a>(&mut self, input: &'a [u8], context: &mut Context<'a, '_>) -> Progress;
    /// See [`Machine::on_event`].
    fn on_event(&mut self, slot: u32, event: Event<'_>, context: &mut Context<'static, '_>);
    /// See [`Machine::on_deadline`].
    fn on_deadline(&mut self, context: &mut Context<'static, '_>);
    /// See [`Machine::on_close`].
    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>);
    /// See [`Machine::on_backpressure`].
    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>);
    /// See [`Machine::version`].
    fn version(&self) -> Option<&'static str>;
    /// See [`Machine::quiet_until`].
    fn quiet_until(&self) -> Option<Timestamp>;
    /// See [`Machine::next_deadline`].
    fn next_deadline(&self) -> Option<Timestamp>;
    /// See [`Machine::is_ready`].
    fn is_ready(&self) -> bool;
}

/// A codec with its machine.
#[derive(Debug)]
pub struct Framed<M: Machine> {
    codec: M::Codec,
    machine: M,
}

impl<M: Machine> Framed<M> {
    /// Puts both together.
    pub fn new(codec: M::Codec, machine: M) -> Self {
        Framed { codec, machine }
    }

    /// The machine, for tests.
    pub fn machine(&self) -> &M {
        &self.machine
    }
}

impl<M: Machine> Link for Framed<M>
where
    M::Codec: Send,
{
    #[inline]
    fn on_input<'a>(&mut self, input: &'a [u8], context: &mut Context<'a, '_>) -> Progress {
        if !self.machine.is_ready() {
            return Progress::NotReady;
        }
        match self.codec.decode(input) {
            Ok(Decoded::Frame { frame, len }) => {
                self.machine.on_frame(frame, context);
                Progress::Frame(len)
            }
            Ok(Decoded::Need(total)) => Progress::Need(total),
            Err(error) => {
                self.machine.on_decode_error(&error, context);
                Progress::Broken(error)
            }
        }
    }

    fn on_event(&mut self, slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        self.machine.on_event(slot, event, context);
    }

    fn on_deadline(&mut self, context: &mut Context<'static, '_>) {
        self.machine.on_deadline(context);
    }

    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>) {
        self.machine.on_close(reason, context);
    }

    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>) {
        self.machine.on_backpressure(blocked, context);
    }

    fn version(&self) -> Option<&'static str> {
        self.machine.version()
    }

    fn quiet_until(&self) -> Option<Timestamp> {
        self.machine.quiet_until()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.machine.next_deadline()
    }

    fn is_ready(&self) -> bool {
        self.machine.is_ready()
    }
}
