use std::sync::Arc;

use codec_mqtt::{Auth, Connect, Disconnect, Packet, ReasonCode, Version};
use codec_wire::DecodeError;
use core_model::{Connected, Event, Operation, Reason, Timestamp};
use gateway_host::{Close, Context, LinkFacts, Machine};

use crate::{
    MqttConfig, ServerCodec, auth,
    client::{Client, SLOT},
    closing::{self, Words},
    codec, connack,
    connect::{self, Opening},
    errors::Fault,
    mapping,
};

/// The state machine of one MQTT link, which has one slot, number 0.
#[derive(Debug)]
pub struct MqttMachine {
    config: Arc<MqttConfig>,
    /// When to look whether the client has been silent for too long; never later than necessary,
    /// often earlier, so that it does not have to move with every packet.
    deadline: Option<Timestamp>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has come yet.
    AwaitConnect(Box<LinkFacts>),
    /// Core judges the CONNECT or the client's AUTH.
    Connecting(Box<Opening>),
    /// The client has to go on with its enhanced authentication.
    Authenticating(Box<Opening>),
    /// CONNACK has let the client in.
    Connected(Client),
    /// The end was said; whatever still comes is too late.
    Closing,
}

impl MqttMachine {
    /// The machine of a link that was opened at `now`.
    #[must_use]
    pub fn new(config: Arc<MqttConfig>, link: LinkFacts, now: Timestamp) -> Self {
        let deadline = Some(now.plus_seconds(config.connect_timeout_s.into()));
        MqttMachine { config, deadline, state: State::AwaitConnect(Box::new(link)) }
    }

    /// Leaves the present state, for good unless another one is set.
    fn end(&mut self) -> State {
        //= mqtt5:3.14.4-1
        std::mem::replace(&mut self.state, State::Closing)
    }

    /// Ends the link for what the client did, in the terms of the state.
    #[cold]
    fn fail(&mut self, fault: Fault, context: &mut Context<'_, '_>) {
        match self.end() {
            State::Connected(client) => client.fail(fault, context),
            //= mqtt5:3.14.0-1
            State::Connecting(opening) | State::Authenticating(opening) => {
                refuse(&opening, fault, context);
                // Core may be about to open the session.
                closing::lose(fault.reason, context);
            }
            State::AwaitConnect(_) => context.close(Close::Now(fault.reason)),
            State::Closing => {}
        }
    }

    /// Handles the first packet of the link.
    fn on_first(&mut self, packet: &Packet<'_>, context: &mut Context<'_, '_>) {
        //= mqtt5:GW-MQTT-01
        //= mqtt5:3.1.0-1
        //= mqtt311:3.1.0-1
        let Packet::Connect(connect) = packet else {
            return self.fail(Fault::protocol("first packet is not CONNECT"), context);
        };
        if let State::AwaitConnect(link) = self.end() {
            self.on_connect(connect, &link, context);
        }
    }

    fn on_connect(
        &mut self,
        connect: &Connect<'_>,
        link: &LinkFacts,
        context: &mut Context<'_, '_>,
    ) {
        let asks_for_name = connect.client_id.is_empty();
        let certified;
        let connect = match &link.client_id {
            Some(client_id) => {
                certified = Connect { client_id, ..*connect };
                &certified
            }
            None => connect,
        };
        let opening = Opening {
            is_named: asks_for_name && link.client_id.is_some(),
            ..Opening::new(connect, &self.config)
        };
        if let Err(fault) = connect::check(connect, &self.config) {
            return refuse(&opening, fault, context);
        }
        let operation = opening.operation(connect, link);
        self.state = State::Connecting(Box::new(opening));
        context.operation(SLOT, Operation::Connect(Box::new(operation)));
    }

    /// Handles the DISCONNECT of a connected client.
    fn on_disconnect(
        &mut self,
        disconnect: &Disconnect<'_>,
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        if let State::Connected(client) = &self.state {
            client.on_disconnect(disconnect, context)?;
            self.end();
        }
        Ok(())
    }

    /// Handles a packet that came instead of, or as, the next step of an authentication.
    fn on_authenticating(&mut self, packet: &Packet<'_>, context: &mut Context<'_, '_>) {
        let result = match packet {
            Packet::Auth(auth) => self.go_on_authenticating(auth, context),
            Packet::Disconnect(disconnect) => {
                self.end();
                let cause = closing::cause(disconnect.reason);
                let operation = core_model::Disconnect { cause, expiry: None };
                context.operation(SLOT, Operation::Disconnect(operation));
                context.close(Close::Now(mapping::reason_in(disconnect.reason)));
                Ok(())
            }
            //= mqtt5:3.1.2-30
            _ => Err(Fault::protocol("neither AUTH nor DISCONNECT while authenticating")),
        };
        if let Err(fault) = result {
            self.fail(fault, context);
        }
    }

    fn go_on_authenticating(
        &mut self,
        auth: &Auth<'_>,
        context: &mut Context<'_, '_>,
    ) -> Result<(), Fault> {
        let State::Authenticating(opening) = &self.state else { return Ok(()) };
        //= mqtt5:4.12.0-3
        if auth.reason != ReasonCode::CONTINUE_AUTHENTICATION {
            return Err(Fault::protocol("AUTH does not continue the authentication"));
        }
        let operation = auth::authenticate(auth, opening.method.as_deref().unwrap_or(""))?;
        if let State::Authenticating(opening) = self.end() {
            self.state = State::Connecting(opening);
        }
        context.operation(SLOT, operation);
        Ok(())
    }

    /// Handles core's answers to CONNECT.
    fn on_opening_event(&mut self, event: Event<'_>, context: &mut Context<'static, '_>) {
        let (State::Connecting(opening) | State::Authenticating(opening)) = self.end() else {
            return;
        };
        match event {
            Event::Connected(connected) => self.accept(opening, &connected, context),
            Event::Challenge { data } => self.challenge(opening, &data, context),
            Event::Refused { reason, server_reference }
            | Event::Kicked { reason, server_reference } => {
                //= mqtt5:3.1.4-2
                //= mqtt5:4.12.0-1
                //= mqtt5:4.12.0-4
                let words = Words { what: None, server_reference: server_reference.as_deref() };
                closing::refuse(&opening, reason, words, context.output());
                context.close(Close::Flush(reason));
            }
            Event::Draining => {
                let output = context.output();
                closing::refuse(&opening, Reason::SERVER_UNAVAILABLE, Words::default(), output);
                closing::lose(Reason::SERVER_SHUTTING_DOWN, context);
                context.close(Close::Flush(Reason::SERVER_SHUTTING_DOWN));
            }
            // Nothing else is addressed to a slot without a session.
            _ => self.state = State::Connecting(opening),
        }
    }

    fn accept(
        &mut self,
        opening: Box<Opening>,
        connected: &Connected,
        context: &mut Context<'static, '_>,
    ) {
        //= mqtt5:3.2.0-1
        //= mqtt5:3.2.0-2
        //= mqtt311:3.2.0-1
        if !connack::write(&opening, connected, &self.config, context.output()) {
            let reason = Reason::PACKET_TOO_LARGE;
            closing::refuse(&opening, reason, Words::default(), context.output());
            closing::lose(reason, context);
            return context.close(Close::Flush(reason));
        }
        let client = Client::new(*opening, &self.config, context.now);
        self.deadline = client.silent_until(context.now);
        self.state = State::Connected(client);
    }

    fn challenge(
        &mut self,
        opening: Box<Opening>,
        data: &[u8],
        context: &mut Context<'static, '_>,
    ) {
        //= mqtt5:4.12.0-6
        let Some(method) = opening.method.as_deref() else {
            self.state = State::Connecting(opening);
            return;
        };
        let reason = ReasonCode::CONTINUE_AUTHENTICATION;
        let size_max = opening.max_packet_size;
        let result = auth::write_auth(reason, method, Some(data), size_max, context.output());
        self.state = State::Authenticating(opening);
        if let Err(fault) = result {
            self.fail(fault, context);
        }
    }

    /// Handles an event of a live session.
    #[inline]
    fn on_live_event(&mut self, event: Event<'_>, context: &mut Context<'static, '_>) {
        let State::Connected(client) = &mut self.state else { return };
        let was_full = !client.incoming.has_room(self.config.receive_maximum);
        let result = match event {
            Event::Refused { .. } | Event::Kicked { .. } | Event::Draining => {
                return self.on_last_event(event, context);
            }
            event => client.on_event(event, context),
        };
        if was_full {
            // What the client sent meanwhile was not read, which must not look like silence.
            client.active_at = context.now;
        }
        if let Err(fault) = result {
            self.fail(fault, context);
        }
    }

    /// Handles an event that ends the link.
    #[cold]
    fn on_last_event(&mut self, event: Event<'_>, context: &mut Context<'static, '_>) {
        let State::Connected(client) = self.end() else { return };
        let (reason, server_reference, is_lost) = match event {
            //= mqtt5:4.12.1-2
            Event::Refused { reason, server_reference } => (reason, server_reference, true),
            //= mqtt5:3.1.4-3
            //= mqtt311:3.1.4-2
            Event::Kicked { reason, server_reference } => (reason, server_reference, false),
            //= mqtt5:GW-MQTT-22
            _ => (Reason::SERVER_SHUTTING_DOWN, None, true),
        };
        let words = Words { what: None, server_reference: server_reference.as_deref() };
        client.write_disconnect(reason, words, context.output());
        if is_lost {
            closing::lose(reason, context);
        }
        context.close(Close::Flush(reason));
    }
}

/// Answers a CONNECT that cannot be accepted, and closes.
fn refuse(opening: &Opening, fault: Fault, context: &mut Context<'_, '_>) {
    let words = Words { what: Some(fault.what), server_reference: None };
    //= mqtt5:3.1.3-8
    //= mqtt5:3.1.4-1
    //= mqtt5:3.2.2-7
    //= mqtt311:3.2.2-5
    closing::refuse(opening, fault.reason, words, context.output());
    context.close(Close::Flush(fault.reason));
}

impl Machine for MqttMachine {
    type Codec = ServerCodec;

    #[inline]
    fn on_frame<'a>(&mut self, packet: Packet<'a>, context: &mut Context<'a, '_>) {
        let result = match &mut self.state {
            State::Connected(client) => {
                //= mqtt5:3.1.2-22
                //= mqtt311:3.1.2-24
                client.active_at = context.now;
                if let Packet::Disconnect(disconnect) = &packet {
                    self.on_disconnect(disconnect, context)
                } else {
                    client.on_packet(&packet, &self.config, context)
                }
            }
            State::AwaitConnect(_) => return self.on_first(&packet, context),
            State::Authenticating(_) => return self.on_authenticating(&packet, context),
            // Not read before core has answered, and not after the end.
            State::Connecting(_) | State::Closing => Ok(()),
        };
        if let Err(fault) = result {
            self.fail(fault, context);
        }
    }

    fn on_decode_error(&mut self, error: &DecodeError, context: &mut Context<'_, '_>) {
        let reason = match u8::try_from(error.code) {
            Ok(code) if code >= 0x80 => Reason::from_u8(code),
            _ => Reason::MALFORMED,
        };
        if let State::AwaitConnect(_) = self.state {
            self.end();
            //= mqtt5:GW-MQTT-02
            //= mqtt5:GW-MQTT-03
            //= mqtt5:3.1.4-1
            //= mqtt311:3.1.4-1
            let version = if codec::is_of_v5(error) { Version::V5 } else { Version::V311 };
            let output = context.output();
            //= mqtt5:3.1.2-1
            //= mqtt5:3.1.2-2
            //= mqtt311:3.1.2-2
            let is_answered = version.is_v5() || error.requirement == "mqtt311:3.1.2-2";
            if is_answered {
                closing::write_refusal(version, reason, Words::default(), u32::MAX, output);
            }
            return context.close(Close::Flush(reason));
        }
        //= mqtt5:GW-MQTT-20
        self.fail(Fault::new(reason, error.what), context);
    }

    #[inline]
    fn on_event(&mut self, _slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        match &self.state {
            State::Connected(_) => self.on_live_event(event, context),
            State::Connecting(_) | State::Authenticating(_) => {
                self.on_opening_event(event, context);
            }
            State::AwaitConnect(_) if matches!(event, Event::Draining) => {
                self.end();
                context.close(Close::Now(Reason::SERVER_SHUTTING_DOWN));
            }
            State::AwaitConnect(_) | State::Closing => {}
        }
    }

    fn on_deadline(&mut self, context: &mut Context<'static, '_>) {
        match &self.state {
            State::Connected(client) => {
                let is_read = client.incoming.has_room(self.config.receive_maximum);
                let active_at = if is_read { client.active_at } else { context.now };
                //= mqtt5:3.1.2-22
                //= mqtt5:GW-MQTT-22
                //= mqtt311:3.1.2-24
                let until = client.silent_until(active_at);
                if until.is_some_and(|until| until <= context.now) {
                    self.fail(Fault::new(Reason::KEEP_ALIVE_TIMEOUT, "silent too long"), context);
                } else {
                    self.deadline = until;
                }
            }
            State::Connecting(_) => {
                self.fail(Fault::new(Reason::SERVER_UNAVAILABLE, "no answer in time"), context);
            }
            State::Authenticating(_) => {
                self.fail(Fault::new(Reason::NOT_AUTHORIZED, "not authenticated in time"), context);
            }
            //= mqtt5:GW-MQTT-01
            State::AwaitConnect(_) => {
                self.end();
                context.close(Close::Now(Reason::MAXIMUM_CONNECT_TIME));
            }
            State::Closing => {}
        }
    }

    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>) {
        match self.end() {
            State::Connected(_) | State::Connecting(_) | State::Authenticating(_) => {
                closing::lose(reason, context);
            }
            State::AwaitConnect(_) | State::Closing => {}
        }
    }

    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>) {
        if let State::Connected(client) = &self.state {
            client.on_backpressure(blocked, context);
        }
    }

    #[inline]
    fn version(&self) -> Option<&'static str> {
        let version = match &self.state {
            State::AwaitConnect(_) | State::Closing => return None,
            State::Connecting(opening) | State::Authenticating(opening) => opening.version,
            State::Connected(client) => client.version,
        };
        Some(mapping::version_word(version))
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match &self.state {
            State::Closing => None,
            _ => self.deadline,
        }
    }

    #[inline]
    fn is_ready(&self) -> bool {
        match &self.state {
            State::Connected(client) => client.incoming.has_room(self.config.receive_maximum),
            State::AwaitConnect(_) | State::Authenticating(_) => true,
            //= mqtt5:3.1.4-6
            //= mqtt311:3.1.4-5
            State::Connecting(_) | State::Closing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_link_is_small() {
        assert!(size_of::<MqttMachine>() <= 200, "{} bytes", size_of::<MqttMachine>());
        assert!(size_of::<Opening>() <= 88, "{} bytes", size_of::<Opening>());
    }
}
