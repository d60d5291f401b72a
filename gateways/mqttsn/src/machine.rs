use std::sync::Arc;

use codec_mqttsn::{Frame, MqttSnCodec, Packet};
use codec_wire::DecodeError;
use core_model::{Event, Reason, Timestamp};
use gateway_host::{Context, LinkFacts, Machine};

use crate::{Shared, client::Client, slot::Door};

/// The slot of the client on a link of its own.
const SLOT: u32 = 0;

/// The state machine of the link of one client, which has slot 0.
#[derive(Debug)]
pub struct MqttSnMachine {
    shared: Arc<Shared>,
    facts: LinkFacts,
    client: Option<Client>,
}

impl MqttSnMachine {
    /// The machine of a new link.
    pub(crate) fn new(shared: Arc<Shared>, facts: LinkFacts) -> Self {
        MqttSnMachine { shared, facts, client: None }
    }

    fn forget_gone(&mut self) {
        self.client.take_if(|client| client.is_gone());
    }
}

impl Machine for MqttSnMachine {
    type Codec = MqttSnCodec;

    fn on_frame<'a>(&mut self, frame: Frame<'a>, context: &mut Context<'a, '_>) {
        let mut door = Door::new(SLOT, None, self.shared.config.max_packet_size, context);
        match (&mut self.client, &frame.packet) {
            (Some(client), packet) => {
                client.on_packet(packet, &self.shared, &self.facts, &mut door);
            }
            (None, Packet::Connect(connect)) => {
                let client = Client::connect(connect, &self.shared, &self.facts, &mut door);
                self.client = Some(client);
            }
            (None, _) => {}
        }
        self.forget_gone();
    }

    fn on_decode_error(&mut self, _error: &DecodeError, _context: &mut Context<'_, '_>) {}

    fn on_event(&mut self, _slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        let mut door = Door::new(SLOT, None, self.shared.config.max_packet_size, context);
        if let Some(client) = &mut self.client {
            client.on_event(event, &self.shared, &mut door);
        }
        self.forget_gone();
    }

    fn on_deadline(&mut self, context: &mut Context<'static, '_>) {
        let mut door = Door::new(SLOT, None, self.shared.config.max_packet_size, context);
        if let Some(client) = &mut self.client {
            client.on_deadline(&self.shared, &mut door);
        }
        self.forget_gone();
    }

    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>) {
        let mut door = Door::new(SLOT, None, self.shared.config.max_packet_size, context);
        if let Some(mut client) = self.client.take() {
            client.on_close(reason, &mut door);
        }
    }

    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>) {
        let mut door = Door::new(SLOT, None, self.shared.config.max_packet_size, context);
        if let Some(client) = &mut self.client {
            client.on_backpressure(blocked, &self.shared, &mut door);
        }
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
