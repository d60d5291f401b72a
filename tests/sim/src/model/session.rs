//! One session's deliveries: in flight, waiting, settled.

use std::collections::BTreeSet;

use core_model::{Outcome, QoS, Reason};

use super::{Entry, Fit, InFlight, MSession, Model, Stage};
use crate::trace::Ev;

impl MSession {
    fn quota(&self) -> usize {
        self.inflight.iter().filter(|f| f.in_quota).count()
    }

    fn may_send(&self) -> bool {
        self.connected && self.open && self.quota() < usize::from(self.window)
    }

    fn waits(&self) -> bool {
        self.inflight.iter().any(|f| f.waits)
    }

    fn queued_qos0(&self) -> bool {
        self.queue.iter().any(|entry| entry.qos == QoS::AtMostOnce)
    }
}

impl Model {
    /// Several messages for one session that came at once: in the order that was seen.
    pub(super) fn offer_bag(&mut self, client: usize, mut entries: Vec<Entry>) -> Fit {
        if entries.len() > 1 {
            let bag = self.bag();
            entries.iter_mut().for_each(|entry| entry.bag = bag);
            let mut taken = BTreeSet::new();
            let seen = &self.seen;
            entries.sort_by_cached_key(|entry| {
                let mut found = seen.found(client, entry);
                // Two of a bag may look the same.
                let one = found.find(|(place, _)| taken.insert((entry.qos, *place)));
                one.map_or((usize::MAX, 0), |(place, handle)| (usize::from(handle), place))
            });
        }
        entries.into_iter().try_for_each(|entry| self.offer(client, entry))
    }

    fn offer(&mut self, client: usize, entry: Entry) -> Fit {
        let max = self.queues.max;
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        if entry.qos == QoS::AtMostOnce {
            // 4.3.1 and item 25: to an offline session QoS 0 is not kept.
            if !session.connected {
                return Ok(());
            }
            if session.open && !session.queued_qos0() {
                let handle = self.seen.deliver(client, &entry, false)?;
                return if handle == 0 { Ok(()) } else { Err("QoS 0 with a handle".into()) };
            }
        } else if session.may_send() && session.queue.is_empty() && !session.waits() {
            return self.send(client, entry);
        }
        if session.queue.len() >= max {
            if !self.queues.drop_oldest {
                return Ok(());
            }
            session.queue.pop_front();
        }
        session.queue.push_back(entry);
        Ok(())
    }

    fn send(&mut self, client: usize, entry: Entry) -> Fit {
        let handle = self.seen.deliver(client, &entry, false)?;
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        if handle == 0 || session.inflight.iter().any(|f| f.handle == handle) {
            return Err(format!("client {client}: {handle} is in use or no handle"));
        }
        let stage = Stage::Sent;
        session.inflight.push(InFlight { entry, handle, stage, in_quota: true, waits: false });
        Ok(())
    }

    /// The client is back.
    pub(super) fn resume(&mut self, client: usize) -> Fit {
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        let mut released = Vec::new();
        for f in &mut session.inflight {
            f.in_quota = false;
            f.waits = f.stage == Stage::Sent;
            if f.stage == Stage::Released {
                released.push(f.handle);
            }
        }
        for handle in released {
            self.seen.expect(client, &Ev::Release(handle, Reason::SUCCESS))?;
        }
        self.pump(client)
    }

    /// Sends what the client can take: repetitions in their order, then what waits.
    pub(super) fn pump(&mut self, client: usize) -> Fit {
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        let mut quota = session.quota();
        for f in &mut session.inflight {
            if !session.connected || !session.open || quota >= usize::from(session.window) {
                break;
            }
            if f.waits {
                let handle = self.seen.deliver(client, &f.entry, true)?;
                if handle != f.handle {
                    return Err(format!("repeated under {handle} instead of {}", f.handle));
                }
                (f.waits, f.in_quota) = (false, true);
                quota += 1;
            }
        }
        while let Some(entry) = self.next_queued(client) {
            if entry.qos > QoS::AtMostOnce {
                self.send(client, entry)?;
            } else {
                self.seen.deliver(client, &entry, false)?;
            }
        }
        Ok(())
    }

    /// Takes the next message that may be sent out of the queue.
    fn next_queued(&mut self, client: usize) -> Option<Entry> {
        let now = self.now;
        let session = self.sessions.get_mut(&client)?;
        if !session.connected || !session.open || session.waits() {
            return None;
        }
        // 3.3.2-5: what has expired is never sent.
        let expired = |entry: &Entry| entry.draft.expires_at.is_some_and(|at| at <= now);
        while session.queue.front().is_some_and(expired) {
            session.queue.pop_front();
        }
        let bag = session.queue.front()?.bag;
        let of_bag = session.queue.iter().take_while(|entry| bag != 0 && entry.bag == bag).count();
        let place = (0..of_bag)
            .filter_map(|place| {
                let handle = self.seen.next_handle(client, &session.queue[place])?;
                Some((handle, place))
            })
            .min()
            .map(|(_, place)| place)
            .or_else(|| (0..of_bag).find(|place| expired(&session.queue[*place])))
            .unwrap_or(0);
        if expired(&session.queue[place]) {
            session.queue.remove(place);
            return self.next_queued(client);
        }
        if session.queue[place].qos > QoS::AtMostOnce && !session.may_send() {
            return None;
        }
        session.queue.remove(place)
    }

    pub(super) fn settle(&mut self, client: usize, handle: u16, outcome: Outcome) -> Fit {
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        if !session.connected {
            return Ok(());
        }
        let Some(place) = session.inflight.iter().position(|f| f.handle == handle) else {
            // GW-MQTT-13 and 14.
            if outcome == Outcome::Received {
                let event = Ev::Release(handle, Reason::PACKET_ID_NOT_FOUND);
                return self.seen.expect(client, &event);
            }
            return Ok(());
        };
        let f = &mut session.inflight[place];
        match (outcome, f.entry.qos, f.stage) {
            (Outcome::Received, QoS::ExactlyOnce, _) => {
                f.stage = Stage::Released;
                self.seen.expect(client, &Ev::Release(handle, Reason::SUCCESS))
            }
            (Outcome::Accepted, QoS::AtLeastOnce, _)
            | (Outcome::Accepted, QoS::ExactlyOnce, Stage::Released)
            | (Outcome::Discarded(_), ..) => {
                session.inflight.remove(place);
                self.pump(client)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn demand(&mut self, client: usize, open: bool) -> Fit {
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        if !session.connected {
            return Ok(());
        }
        session.open = open;
        self.pump(client)?;
        self.tell_groups(client)
    }
}
