use std::sync::Arc;

use codec_mqttsn::{Frame, MqttSnCodec, Packet};
use codec_wire::DecodeError;
use core_model::{Event, Reason, Timestamp};
use gateway_host::{Close, Context, LinkFacts, Machine, SenderPath};

use crate::{Shared, client::Client, slot::Door, strangers};

/// The slot of the client of a link that has no other one.
const SLOT: u32 = 0;

/// The state machine of the link of one client, which has slot 0.
#[derive(Debug)]
pub struct MqttSnMachine {
    shared: Arc<Shared>,
    facts: LinkFacts,
    /// None before its CONNECT and after its end, and the link is closed then.
    client: Option<Client>,
}

impl MqttSnMachine {
    /// The machine of a new link.
    pub(crate) fn new(shared: Arc<Shared>, facts: LinkFacts) -> Self {
        MqttSnMachine { shared, facts, client: None }
    }

    fn door<'x, 'a, 'c>(&self, context: &'x mut Context<'a, 'c>) -> Door<'x, 'a, 'c> {
        Door::new(SLOT, None, self.shared.config.max_packet_size, context)
    }

    fn on_connect(&mut self, connect: &codec_mqttsn::Connect<'_>, context: &mut Context<'_, '_>) {
        let mut door = self.door(context);
        if let Some(mut other) = self.client.take() {
            other.on_close(Reason::SESSION_TAKEN_OVER, &mut door);
        }
        self.client = Some(Client::connect(connect, &self.shared, &self.facts, &mut door));
    }

    /// Calls the client, if there is one.
    fn with_client<'a>(
        &mut self,
        context: &mut Context<'a, '_>,
        act: impl FnOnce(&mut Client, &Arc<Shared>, &mut Door<'_, 'a, '_>),
    ) {
        let mut door = self.door(context);
        if let Some(client) = &mut self.client {
            act(client, &self.shared, &mut door);
        }
        self.forget_gone();
    }

    fn forget_gone(&mut self) {
        self.client.take_if(|client| client.is_gone());
    }

    /// Remembers where the client is now, for its next CONNECT.
    fn note_path(&mut self, context: &Context<'_, '_>) {
        if let Some(sender) = context.sender()
            && !matches!(sender.path, SenderPath::Candidate { .. })
        {
            self.facts.peer = Some(sender.address);
        }
    }
}

impl Machine for MqttSnMachine {
    type Codec = MqttSnCodec;

    fn on_frame<'a>(&mut self, frame: Frame<'a>, context: &mut Context<'a, '_>) {
        self.note_path(context);
        match (&mut self.client, &frame.packet) {
            (client, Packet::Connect(connect))
                if client.as_ref().is_none_or(|known| known.client_id() != connect.client_id) =>
            {
                self.on_connect(connect, context);
            }
            (Some(client), packet) => {
                let mut door =
                    Door::new(SLOT, None, self.shared.config.max_packet_size, &mut *context);
                client.on_packet(packet, &self.shared, &self.facts, &mut door);
            }
            //= mqttsn:GW-SN-25
            (None, packet) => {
                if strangers::deserves_disconnect(packet) {
                    strangers::answer(&frame, Packet::Disconnect(None), context.output());
                }
                context.close(Close::Flush(Reason::PROTOCOL_ERROR));
            }
        }
        self.forget_gone();
        self.note_path(context);
    }

    fn on_decode_error(&mut self, _error: &DecodeError, context: &mut Context<'_, '_>) {
        //= mqttsn:GW-SN-01
        if self.client.is_none() {
            context.close(Close::Now(Reason::MALFORMED));
        }
    }

    fn on_event(&mut self, _slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        self.with_client(context, |client, shared, door| client.on_event(event, shared, door));
    }

    fn on_deadline(&mut self, context: &mut Context<'static, '_>) {
        self.with_client(context, |client, shared, door| client.on_deadline(shared, door));
    }

    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>) {
        self.with_client(context, |client, _, door| client.on_close(reason, door));
        self.client = None;
    }

    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>) {
        self.with_client(context, |client, shared, door| {
            client.on_backpressure(blocked, shared, door);
        });
    }

    fn quiet_until(&self) -> Option<Timestamp> {
        self.client.as_ref()?.quiet_until()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.client.as_ref()?.next_deadline()
    }

    fn is_ready(&self) -> bool {
        true
    }
}
