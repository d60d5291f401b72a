use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use codec_mqttsn::{Connect, Frame, MqttSnCodec, Packet, ReturnCode};
use codec_wire::DecodeError;
use core_model::{Event, Reason, Timestamp};
use gateway_host::{Close, Context, LinkFacts, Machine};

use crate::{Shared, client::Client, slot::Door, strangers};

/// The first slot of a forwarder's link. Slot 0 is that of the client on a link without others.
const FIRST_SLOT: u32 = 1;

/// Clients whose deadline is looked at in one call.
const DEADLINES_PER_CALL_MAX: usize = 64;

/// The state machine of the link of a forwarder, with a slot for each client behind it. A client is
/// known by the id of its wireless node; slot numbers are never used again.
//= mqttsn:GW-SN-32
#[derive(Debug)]
pub struct RelayMachine {
    shared: Arc<Shared>,
    facts: LinkFacts,
    /// By slot.
    nodes: BTreeMap<u32, Node>,
    /// The slot of each wireless node.
    slots: BTreeMap<Arc<[u8]>, u32>,
    /// When which slot wants to be called.
    deadlines: BTreeSet<(Timestamp, u32)>,
    next_slot: u32,
    /// Until when the one of the clients may be silent that may be so for longest.
    quiet_until: Option<Timestamp>,
}

/// A wireless node with its client.
#[derive(Debug)]
struct Node {
    id: Arc<[u8]>,
    client: Client,
    /// Its entry among the deadlines.
    deadline: Option<Timestamp>,
    /// Until when it may be silent.
    quiet_until: Option<Timestamp>,
}

impl RelayMachine {
    /// The machine of a new link.
    pub(crate) fn new(shared: Arc<Shared>, facts: LinkFacts) -> Self {
        RelayMachine {
            shared,
            facts,
            nodes: BTreeMap::new(),
            slots: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_slot: FIRST_SLOT,
            quiet_until: None,
        }
    }

    /// Calls the client of a slot, if there is one.
    fn with_client<'a>(
        &mut self,
        slot: u32,
        context: &mut Context<'a, '_>,
        act: impl FnOnce(&mut Client, &Arc<Shared>, &LinkFacts, &mut Door<'_, 'a, '_>),
    ) {
        let Some(node) = self.nodes.get_mut(&slot) else { return };
        let max = self.shared.config.max_packet_size;
        let mut door = Door::new(slot, Some(&node.id), max, context);
        act(&mut node.client, &self.shared, &self.facts, &mut door);
        self.settle(slot);
    }

    /// Takes over what has changed in a client, and forgets one that is gone.
    fn settle(&mut self, slot: u32) {
        let Some(node) = self.nodes.get_mut(&slot) else { return };
        if node.client.is_gone() {
            return self.forget(slot);
        }
        let deadline = node.client.next_deadline();
        if node.deadline != deadline {
            if let Some(old) = node.deadline {
                self.deadlines.remove(&(old, slot));
            }
            if let Some(new) = deadline {
                self.deadlines.insert((new, slot));
            }
            node.deadline = deadline;
        }
        let quiet_until = node.client.quiet_until();
        let old = std::mem::replace(&mut node.quiet_until, quiet_until);
        self.note_quiet(old, quiet_until);
    }

    /// Takes over until when a node may be silent; `None` if it is gone.
    fn note_quiet(&mut self, old: Option<Timestamp>, new: Option<Timestamp>) {
        if new >= self.quiet_until {
            self.quiet_until = new;
        } else if old == self.quiet_until {
            self.quiet_until = self.nodes.values().filter_map(|node| node.quiet_until).max();
        }
    }

    fn forget(&mut self, slot: u32) {
        let Some(node) = self.nodes.remove(&slot) else { return };
        if self.slots.get(&node.id) == Some(&slot) {
            self.slots.remove(&node.id);
        }
        if let Some(deadline) = node.deadline {
            self.deadlines.remove(&(deadline, slot));
        }
        self.note_quiet(node.quiet_until, None);
    }

    /// Ends the client of a slot for another one of the same node.
    fn displace(&mut self, slot: u32, context: &mut Context<'_, '_>) {
        if let Some(node) = self.nodes.get_mut(&slot) {
            let max = self.shared.config.max_packet_size;
            let mut door = Door::new(slot, Some(&node.id), max, context);
            node.client.on_close(Reason::SESSION_TAKEN_OVER, &mut door);
        }
        self.forget(slot);
    }

    /// Whether a CONNECT opens another session for the client of a slot.
    fn begins_anew(&self, slot: u32, connect: &Connect<'_>) -> bool {
        let client = self.nodes.get(&slot).map(|node| &node.client);
        client.is_some_and(|client| client.is_live() && !client.is_greeted_by(connect))
    }

    /// Gives a client that connects again another slot: what core still has to say to the old one is
    /// not for it.
    fn replace(
        &mut self,
        slot: u32,
        frame: &Frame<'_>,
        connect: &Connect<'_>,
        context: &mut Context<'_, '_>,
    ) {
        let Some(node) = self.nodes.get_mut(&slot) else { return };
        let max = self.shared.config.max_packet_size;
        let pace = node.client.give_way(&mut Door::new(slot, Some(&node.id), max, context));
        self.forget(slot);
        let successor = self.next_slot;
        self.admit(frame, connect, context);
        if let Some(node) = self.nodes.get_mut(&successor) {
            node.client.pace = pace;
        }
    }

    /// Ends the link when nobody is behind the forwarder any more; who comes later opens another one.
    fn close_if_empty(&self, context: &mut Context<'_, '_>) {
        if self.nodes.is_empty() {
            context.close(Close::Flush(Reason::SUCCESS));
        }
    }

    /// Gives the node that a CONNECT comes from a client.
    fn admit(&mut self, frame: &Frame<'_>, connect: &Connect<'_>, context: &mut Context<'_, '_>) {
        let Some(encapsulation) = frame.encapsulation else { return };
        let slot = self.next_slot;
        let is_full = self.nodes.len() >= usize::from(self.shared.config.max_nodes);
        let (false, Some(next_slot)) = (is_full, slot.checked_add(1)) else {
            //= mqttsn:GW-SN-07
            return strangers::refuse_frame(frame, ReturnCode::CONGESTION, context.output());
        };
        self.next_slot = next_slot;
        let id: Arc<[u8]> = encapsulation.node_id.into();
        let max = self.shared.config.max_packet_size;
        let mut door = Door::new(slot, Some(&id), max, context);
        let client = Client::connect(connect, &self.shared, &self.facts, &mut door);
        self.slots.insert(Arc::clone(&id), slot);
        self.nodes.insert(slot, Node { id, client, deadline: None, quiet_until: None });
        self.settle(slot);
    }
}

impl Machine for RelayMachine {
    type Codec = MqttSnCodec;

    fn on_frame<'a>(&mut self, frame: Frame<'a>, context: &mut Context<'a, '_>) {
        let Some(encapsulation) = frame.encapsulation else { return };
        let known = self.slots.get(encapsulation.node_id).copied();
        let client_id = |slot| self.nodes.get(&slot).map(|node| node.client.client_id());
        match (&frame.packet, known) {
            (Packet::Connect(connect), slot)
                if slot.and_then(client_id) != Some(connect.client_id) =>
            {
                if let Some(slot) = slot {
                    self.displace(slot, context);
                }
                self.admit(&frame, connect, context);
            }
            (Packet::Connect(connect), Some(slot)) if self.begins_anew(slot, connect) => {
                self.replace(slot, &frame, connect, context);
            }
            // The node wakes up as somebody whom it has not connected as.
            (Packet::Pingreq(Some(asks)), Some(slot)) if client_id(slot) != Some(asks) => {
                strangers::answer(&frame, Packet::Disconnect(None), context.output());
            }
            (packet, Some(slot)) => {
                self.with_client(slot, context, |client, shared, facts, door| {
                    client.on_packet(packet, shared, facts, door);
                })
            }
            //= mqttsn:GW-SN-25
            (packet, None) if strangers::deserves_disconnect(packet) => {
                strangers::answer(&frame, Packet::Disconnect(None), context.output());
            }
            (_, None) => {}
        }
        self.close_if_empty(context);
    }

    fn on_decode_error(&mut self, _error: &DecodeError, context: &mut Context<'_, '_>) {
        //= mqttsn:GW-SN-01
        self.close_if_empty(context);
    }

    fn on_event(&mut self, slot: u32, event: Event<'_>, context: &mut Context<'static, '_>) {
        // The end of a listener is told to the link, not to its slots.
        if slot < FIRST_SLOT && matches!(event, Event::Draining) {
            let slots: Vec<u32> = self.nodes.keys().copied().collect();
            for slot in slots {
                self.with_client(slot, context, |client, shared, _, door| {
                    client.on_event(Event::Draining, shared, door);
                });
            }
            return self.close_if_empty(context);
        }
        self.with_client(slot, context, |client, shared, _, door| {
            client.on_event(event, shared, door);
        });
        self.close_if_empty(context);
    }

    fn on_deadline(&mut self, context: &mut Context<'static, '_>) {
        let now = context.now;
        for _ in 0..DEADLINES_PER_CALL_MAX {
            let Some(&(_, slot)) = self.deadlines.first().filter(|(due, _)| *due <= now) else {
                break;
            };
            self.with_client(slot, context, |client, shared, _, door| {
                client.on_deadline(shared, door);
            });
        }
        self.close_if_empty(context);
    }

    fn on_close(&mut self, reason: Reason, context: &mut Context<'static, '_>) {
        while let Some(&slot) = self.nodes.keys().next() {
            self.with_client(slot, context, |client, _, _, door| client.on_close(reason, door));
            self.forget(slot);
        }
    }

    fn on_backpressure(&mut self, blocked: bool, context: &mut Context<'static, '_>) {
        let slots: Vec<u32> = self.nodes.keys().copied().collect();
        for slot in slots {
            self.with_client(slot, context, |client, shared, _, door| {
                client.on_backpressure(blocked, shared, door);
            });
        }
    }

    fn quiet_until(&self) -> Option<Timestamp> {
        self.quiet_until
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    fn is_ready(&self) -> bool {
        true
    }
}
