use std::net::SocketAddr;
use std::sync::Arc;

use codec_wire::{Codec, DecodeError, Decoded};
use core_model::{Event, GatewayId, Reason, SessionLimits, Timestamp, TransportFacts};

use crate::{Context, Machine};

/// One protocol as the host sees it: makes a link's state machine when somebody connects.
pub trait Gateway: Send + Sync {
    /// Name in the configuration, such as `mqtt`.
    fn name(&self) -> &'static str;

    /// Its number in session keys.
    fn id(&self) -> GatewayId;

    /// A machine for a new link.
    fn open(&self, link: &LinkFacts, now: Timestamp) -> Box<dyn Link>;

    /// Makes `bytes`, which are whole frames that a link got or is sent, fit to be shown to an
    /// operator: replaces the secrets in them. `false` if they cannot be shown, and only their
    /// length is. Without an answer of its own a gateway shows what comes after the connect.
    fn redact(&self, _bytes: &mut Vec<u8>, connected: bool) -> bool {
        connected
    }
}

/// What is known of a new link.
#[derive(Clone, Debug)]
pub struct LinkFacts {
    /// The listener that it came through.
    pub listener: Arc<ListenerFacts>,
    /// The peer's address, as seen or as a trusted proxy reports it; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
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

    fn next_deadline(&self) -> Option<Timestamp> {
        self.machine.next_deadline()
    }

    fn is_ready(&self) -> bool {
        self.machine.is_ready()
    }
}
