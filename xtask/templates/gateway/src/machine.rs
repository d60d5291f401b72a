use std::sync::Arc;

use codec___name__::{__Name__Codec, Hello, Packet, Welcome};
use codec_wire::DecodeError;
use core_model::{
    Connected, Credit, Disconnect, DisconnectCause, Event, Operation, Reason, Timestamp,
};
use gateway_host::{Close, Context, LinkFacts, Machine};

use crate::{
    __Name__Config,
    client::{self, Client, write},
    mapping,
};

/// The only slot of a link.
pub(crate) const SLOT: u32 = 0;

/// What happens on one link.
#[derive(Debug)]
pub struct __Name__Machine {
    config: Arc<__Name__Config>,
    state: State,
    deadline: Option<Timestamp>,
}

#[derive(Debug)]
enum State {
    /// HELLO has not come yet.
    AwaitHello(Box<LinkFacts>),
    /// Core has not answered it yet.
    Connecting {
        /// As HELLO says.
        keep_alive_s: u16,
    },
    /// The session is open.
    Connected(Client),
    /// Nothing is left to do.
    Closing,
}

impl __Name__Machine {
    /// The machine of a new link.
    #[must_use]
    pub fn new(config: Arc<__Name__Config>, link: LinkFacts, now: Timestamp) -> Self {
        let deadline = Some(now.plus_millis(config.connect_timeout_ms));
        __Name__Machine { config, state: State::AwaitHello(Box::new(link)), deadline }
    }

    /// Leaves the state for the last one.
    fn end(&mut self) -> State {
        self.deadline = None;
        std::mem::replace(&mut self.state, State::Closing)
    }

    /// Ends the link for something that the client did, or did not do in time.
    #[cold]
    fn fail(&mut self, reason: Reason, context: &mut Context<'_, '_>) {
        match self.end() {
            State::AwaitHello(_) => refuse(reason, context),
            State::Connecting { .. } => {
                refuse(reason, context);
                // Core may be about to open the session.
                disconnect(DisconnectCause::Lost(reason), context);
            }
            State::Connected(_) => {
                say_goodbye(reason, context);
                disconnect(DisconnectCause::Lost(reason), context);
            }
            State::Closing => {}
        }
    }

    fn on_first(&mut self, packet: &Packet<'_>, context: &mut Context<'_, '_>) {
        //= __name__:2-1
        let Packet::Hello(hello) = packet else {
            return self.fail(Reason::PROTOCOL_ERROR, context);
        };
        let Hello { keep_alive_s, .. } = *hello;
        let next = State::Connecting { keep_alive_s };
        if let State::AwaitHello(link) = std::mem::replace(&mut self.state, next) {
            let connect = client::connect(hello, &link);
            context.operation(SLOT, Operation::Connect(Box::new(connect)));
        }
    }

    fn on_goodbye(&mut self, context: &mut Context<'_, '_>) {
        //= __name__:2-5
        self.end();
        disconnect(DisconnectCause::Farewell, context);
        context.close(Close::Now(Reason::SUCCESS));
    }

    fn on_opening_event(
        &mut self,
        keep_alive_s: u16,
        event: Event<'_>,
        context: &mut Context<'static, '_>,
    ) {
        match event {
            Event::Connected(connected) => self.accept(keep_alive_s, &connected, context),
            //= __name__:2-3
            Event::Refused { reason, .. } | Event::Kicked { reason, .. } => {
                self.end();
                refuse(reason, context);
            }
            Event::Draining => self.fail(Reason::SERVER_SHUTTING_DOWN, context),
            // Nothing else is addressed to a slot without a session.
            _ => {}
        }
    }

    fn accept(
        &mut self,
        keep_alive_s: u16,
        connected: &Connected,
        context: &mut Context<'static, '_>,
    ) {
        //= __name__:2-3
        let session_present = connected.session_present;
        let code = mapping::code(Reason::SUCCESS);
        write(&Packet::Welcome(Welcome { code, session_present }), context.output());
        let client = Client::new(keep_alive_s, context.now);
        self.deadline = client.silent_at(context.now);
        self.state = State::Connected(client);
    }

    fn on_live_event(&mut self, event: Event<'_>, context: &mut Context<'static, '_>) {
        match event {
            // Core has let go of the session already.
            Event::Kicked { reason, .. } => {
                self.end();
                say_goodbye(reason, context);
            }
            Event::Refused { reason, .. } => self.fail(reason, context),
            Event::Draining => self.fail(Reason::SERVER_SHUTTING_DOWN, context),
            event => {
                if let State::Connected(client) = &mut self.state {
                    let was_full = client.unanswered >= self.config.receive_maximum;
                    client.on_event(event, context);
                    if was_full {
                        // It was not read meanwhile, which must not look like silence.
                        client.heard = context.now;
                    }
                }
            }
        }
    }
}

impl Machine for __Name__Machine {
    type Codec = __Name__Codec;

    fn on_frame<'a>(&mut self, packet: Packet<'a>, context: &mut Context<'a, '_>) {
        let result = match &mut self.state {
            State::AwaitHello(_) => return self.on_first(&packet, context),
            State::Connected(_) if matches!(packet, Packet::Goodbye(_)) => {
                return self.on_goodbye(context);
            }
            State::Connected(client) => {
                client.heard = context.now;
                client.on_packet(&packet, context)
            }
            // Not read before core has answered, and not after the end.
            State::Connecting { .. } | State::Closing => return,
        };
        if let Err(reason) = result {
            self.fail(reason, context);
        }
    }

    fn on_decode_error(&mut self, error: &DecodeError, context: &mut Context<'_, '_>) {
        let reason = match error.kind {
            codec_wire::ErrorKind::TooLarge => Reason::PACKET_TOO_LARGE,
            _ => Reason::MALFORMED,
        };
        //= __name__:1-5
        self.fail(reason, context);
    }

    fn on_event(&mut self, _slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        match &self.state {
            State::Connected(_) => self.on_live_event(event, context),
            &State::Connecting { keep_alive_s } => {
                self.on_opening_event(keep_alive_s, event, context);
            }
            State::AwaitHello(_) if matches!(event, Event::Draining) => {
                self.fail(Reason::SERVER_SHUTTING_DOWN, context);
            }
            State::AwaitHello(_) | State::Closing => {}
        }
    }

    fn on_deadline(&mut self, context: &mut Context<'static, '_>) {
        match &self.state {
            State::Connected(client) => {
                let is_read = client.unanswered < self.config.receive_maximum;
                let heard = if is_read { client.heard } else { context.now };
                //= __name__:2-4
                let until = client.silent_at(heard);
                if until.is_some_and(|until| until <= context.now) {
                    self.fail(Reason::KEEP_ALIVE_TIMEOUT, context);
                } else {
                    self.deadline = until;
                }
            }
            State::AwaitHello(_) => self.fail(Reason::MAXIMUM_CONNECT_TIME, context),
            State::Connecting { .. } => self.fail(Reason::SERVER_UNAVAILABLE, context),
            State::Closing => {}
        }
    }

    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>) {
        match self.end() {
            State::Connected(_) | State::Connecting { .. } => {
                disconnect(DisconnectCause::Lost(reason), context);
            }
            State::AwaitHello(_) | State::Closing => {}
        }
    }

    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>) {
        if let State::Connected(_) = &self.state {
            let credit = if blocked { Credit::None } else { Credit::Open };
            context.operation(SLOT, Operation::Demand(credit));
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    fn is_ready(&self) -> bool {
        match &self.state {
            State::AwaitHello(_) => true,
            State::Connected(client) => client.unanswered < self.config.receive_maximum,
            State::Connecting { .. } | State::Closing => false,
        }
    }
}

/// Answers a client that is not let in, and closes.
fn refuse(reason: Reason, context: &mut Context<'_, '_>) {
    //= __name__:2-3
    let welcome = Welcome { code: mapping::code(reason), session_present: false };
    write(&Packet::Welcome(welcome), context.output());
    context.close(Close::Flush(reason));
}

/// Tells a connected client why its link ends, and closes.
fn say_goodbye(reason: Reason, context: &mut Context<'_, '_>) {
    //= __name__:1-5
    write(&Packet::Goodbye(mapping::code(reason)), context.output());
    context.close(Close::Flush(reason));
}

fn disconnect(cause: DisconnectCause, context: &mut Context<'_, '_>) {
    let disconnect = Disconnect { cause, expiry: None };
    context.operation(SLOT, Operation::Disconnect(disconnect));
}
