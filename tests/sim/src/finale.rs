//! The end of a simulation: everybody comes back and takes all there is, then everybody leaves and
//! nothing may be left.

use std::collections::BTreeMap;

use core_model::{
    Disconnect, DisconnectCause, Expiry, Filter, QoS, RetainHandling, ShardId, Subscription,
};

use crate::client::Client;
use crate::trace::{Entry, Ev, Op};
use crate::workload::{RETAINED_TOPICS, Sim};

/// Rounds (every shard one turn, every client all it can) within which a node must come to rest.
const ROUNDS_MAX: usize = 3_000;
/// Mail that may wait in one outbox of a simulation.
const OUTBOX_MAX: usize = 2_000;

impl Sim {
    /// Ends the run and judges it.
    pub fn finish(&mut self) {
        self.world.note(Entry::Settling);
        self.open_all_doors();
        self.notice_silent();
        for client in 0..self.clients.len() {
            self.clients[client].stalled = false;
            if self.clients[client].online && self.rng().chance(70) {
                if let Some(slot) = self.clients[client].slot {
                    let credit = self.plenty(client);
                    self.world.send(slot, Op::Demand(credit));
                }
            } else if self.clients[client].online {
                let slot = self.clients[client].slot.expect("it is online");
                self.world.cut(slot, 0, true);
                self.clients[client].close();
            } else if let Some(slot) = self.clients[client].slot {
                // It connects with the credit that it wished for before.
                let credit = self.plenty(client);
                self.world.send(slot, Op::Demand(credit));
            }
        }
        if !self.come_to_rest(true) {
            return;
        }
        let queued: u64 = self.world.shards().iter().map(|s| s.counters().queued_messages).sum();
        let bytes: u64 = self.world.shards().iter().map(|s| s.counters().queued_bytes).sum();
        if (queued, bytes) != (0, 0) {
            self.fault(format!("{queued} messages ({bytes} bytes) wait for clients that wait"));
        }
        self.check_connected();
        self.world.witness.finish();
        if self.world.outbox_max() > OUTBOX_MAX {
            self.fault(format!("an outbox grew to {}", self.world.outbox_max()));
        }
        if !self.world.witness.has_faults() {
            self.audit_retained();
        }
        if !self.world.witness.has_faults() {
            self.tear_down();
        }
    }

    fn fault(&mut self, text: String) {
        self.world.witness.fault(text);
    }

    /// Goes round until nothing moves; `connect`: clients that are away come back.
    pub fn come_to_rest(&mut self, connect: bool) -> bool {
        for _ in 0..ROUNDS_MAX {
            for client in 0..self.clients.len() {
                if connect && self.clients[client].slot.is_none() {
                    self.open(client, false, Expiry::Never);
                }
                self.attend(client, 20);
            }
            for shard in 0..self.world.shard_count() {
                self.world.turn(ShardId(shard));
            }
            if self.world.witness.has_faults() {
                return false;
            }
            let unread = |client: &Client| {
                client.slot.is_some_and(|slot| self.world.unread(slot) > 0) || client.owes()
            };
            let busy = self.clients.iter().any(unread);
            let away = connect && self.clients.iter().any(|client| !client.online);
            if !busy && !away && self.world.is_at_rest() {
                if let Some(waiting) = self.clients.iter().find(|c| connect && !c.is_idle()) {
                    let text = format!("at rest, but {waiting:?} still waits");
                    self.fault(text);
                }
                return true;
            }
        }
        self.fault(format!("not at rest after {ROUNDS_MAX} rounds"));
        false
    }

    fn check_connected(&mut self) {
        let connected: u64 =
            self.world.shards().iter().map(|s| s.counters().clients_connected).sum();
        let sessions: u64 = self.world.shards().iter().map(|s| s.counters().sessions).sum();
        let clients = self.clients.len() as u64;
        if (connected, sessions) != (clients, clients) {
            self.fault(format!(
                "{clients} clients are connected; counted: {connected}, sessions: {sessions}"
            ));
        }
    }

    /// What is retained at the end, as far as the trace tells.
    fn expected_retained(&self) -> BTreeMap<&'static str, Option<u64>> {
        let ledger = &self.world.witness.ledger;
        let mut expected = BTreeMap::new();
        for topic in RETAINED_TOPICS {
            let last = ledger
                .messages
                .values()
                .filter(|m| &*m.draft.topic == *topic)
                .flat_map(|m| m.applications.iter().map(move |a| (a, m)))
                .max_by_key(|(application, _)| application.applied);
            let value = match last {
                None => None,
                Some((application, message)) => {
                    let local = ledger.slots[&application.slot].local
                        && !ledger.crashed_since(application.applied);
                    // A repetition of a QoS 2 message does nothing.
                    let again =
                        message.draft.qos == QoS::ExactlyOnce && message.applications.len() > 1;
                    let answered = application.answer.is_some();
                    if again || !(local || answered) || message.draft.expires_at.is_some() {
                        continue;
                    }
                    (!message.draft.empty).then_some(message.draft.number)
                }
            };
            expected.insert(*topic, value);
        }
        expected
    }

    /// A new client sees what is retained, by subscribing and by reading.
    fn audit_retained(&mut self) {
        let auditor = self.clients.len();
        self.clients.push(Client::new(auditor, "auditor"));
        self.open(auditor, true, Expiry::WithLink);
        if !self.come_to_rest(true) {
            return;
        }
        let slot = self.clients[auditor].slot.expect("it is connected");
        let ticket = self.clients[auditor].ticket();
        let filter = Filter::parse("r/#").expect("it is valid");
        let subscription = Subscription {
            filter: filter.clone(),
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let subscriptions = vec![subscription];
        self.world.send(slot, Op::Subscribe { ticket, identifier: Some(12), subscriptions });
        let mut seen = BTreeMap::new();
        let mut read = BTreeMap::new();
        let mut cursor = None;
        let mut done = false;
        let ticket = self.clients[auditor].ticket();
        self.world.send(slot, Op::Read { ticket, filter: filter.clone(), limit: 2, cursor: None });
        for _ in 0..500 {
            for shard in 0..self.world.shard_count() {
                self.world.turn(ShardId(shard));
            }
            while let Some(event) = self.world.read(slot) {
                match event {
                    Ev::Deliver(arrival) => {
                        seen.insert(arrival.topic.to_string(), arrival.number);
                    }
                    Ev::Retained(_, messages, next) => {
                        let unsorted = messages.windows(2).any(|two| two[0].0 >= two[1].0);
                        if unsorted || messages.len() > 2 {
                            self.fault(format!("a page of two is {messages:?}"));
                        }
                        let of = |(topic, number): &(Box<str>, u64)| (topic.to_string(), *number);
                        read.extend(messages.iter().map(of));
                        cursor = next;
                        done = cursor.is_none();
                    }
                    _ => {}
                }
            }
            if let Some(from) = cursor.take() {
                let ticket = self.clients[auditor].ticket();
                let filter = filter.clone();
                let op = Op::Read { ticket, filter, limit: 2, cursor: Some(from) };
                self.world.send(slot, op);
            }
            if done && self.world.is_at_rest() {
                break;
            }
        }
        for (topic, number) in self.expected_retained() {
            let found = (seen.get(topic).copied(), read.get(topic).copied());
            if found != (number, number) {
                self.fault(format!("{topic} retains {number:?}; subscribed and read: {found:?}"));
            }
        }
    }

    /// Everybody leaves for good, what is retained is removed: nothing may be left.
    fn tear_down(&mut self) {
        let auditor = self.clients.len() - 1;
        for topic in RETAINED_TOPICS {
            let draft = self.draft(topic, QoS::AtLeastOnce, true, true);
            let op = self.clients[auditor].publish(draft, false);
            let slot = self.clients[auditor].slot.expect("it is connected");
            self.world.send(slot, op);
        }
        if !self.come_to_rest(true) {
            return;
        }
        for client in 0..self.clients.len() {
            let cause = DisconnectCause::Farewell;
            self.say_goodbye(client, Disconnect { cause, expiry: Some(Expiry::WithLink) });
            self.clients[client].close();
        }
        while self.come_to_rest(false) {
            let Some(at) = self.world.next_deadline() else { break };
            let millis = at.as_millis().saturating_sub(self.world.now.as_millis());
            self.world.pass(millis);
        }
        for shard in 0..self.world.shard_count() {
            let shard = self.world.shard(ShardId(shard));
            let counters = shard.counters();
            let left = [
                ("connected", counters.clients_connected),
                ("sessions", counters.sessions),
                ("subscriptions", counters.subscriptions),
                ("shared", counters.subscriptions_shared),
                ("retained", counters.retained),
                ("retained bytes", counters.retained_bytes),
                ("queued", counters.queued_messages),
                ("queued bytes", counters.queued_bytes),
                ("kept bytes", counters.kept_bytes),
                ("subscription bytes", counters.subscription_bytes),
            ];
            let mut left: Vec<_> = left.into_iter().filter(|(_, count)| *count > 0).collect();
            left.extend(shard.leftovers().into_iter().map(|(name, n)| (name, n as u64)));
            if !left.is_empty() {
                let id = shard.id();
                self.fault(format!("all left, but {id:?} still has {left:?}"));
            }
        }
    }
}
