use std::collections::BTreeMap;

use core_broker::HashKey;
use core_model::{ClientKey, Expiry, OriginId, QoS, ShardId, SlotId};
use core_store::{Lsn, Mutation};

use super::{Checker, Faults, Promises};
use crate::ledger::{Ledger, MessageFacts};
use crate::trace::{Arrival, Entry, Ev, GATEWAY, Op, Step, number_of};

/// Nothing is said before it is safe: publishers are answered when every durable receiver has the
/// message, a QoS 2 delivery goes out when its handle is written, its release when the receipt is.
pub struct Gates {
    promises: Promises,
    key: HashKey,
    durable: BTreeMap<ShardId, Lsn>,
    origins: BTreeMap<usize, u64>,
    /// A message for a session, by sequence.
    queued: BTreeMap<(u64, u64), (u64, Place)>,
    /// The same by message.
    has: BTreeMap<(u64, u64), Vec<Place>>,
    handles: BTreeMap<(u64, u16), (u64, Place)>,
    received: BTreeMap<(u64, u16), Place>,
    incoming: BTreeMap<(u64, u16), Place>,
    released: BTreeMap<(u64, u16), Place>,
    held: BTreeMap<(Box<str>, u64), Vec<Place>>,
    retained: BTreeMap<u64, Vec<Place>>,
    /// Numbers of QoS 2 publishes by slot and ticket.
    ids: BTreeMap<(SlotId, u32), u16>,
    releases: BTreeMap<(SlotId, u32), u16>,
}

/// Where a mutation was written.
type Place = (ShardId, Lsn);

impl Gates {
    /// A checker for a run that promises this; `key` names sessions as the stores do.
    #[must_use]
    pub fn new(promises: Promises, key: HashKey) -> Self {
        Gates {
            promises,
            key,
            durable: BTreeMap::new(),
            origins: BTreeMap::new(),
            queued: BTreeMap::new(),
            has: BTreeMap::new(),
            handles: BTreeMap::new(),
            received: BTreeMap::new(),
            incoming: BTreeMap::new(),
            released: BTreeMap::new(),
            held: BTreeMap::new(),
            retained: BTreeMap::new(),
            ids: BTreeMap::new(),
            releases: BTreeMap::new(),
        }
    }

    /// Forgets what was not safe; the rest stays so, whatever numbers the new batches have.
    fn on_crash(&mut self) {
        let durable = std::mem::take(&mut self.durable);
        let safe = |place: &mut Place| {
            let is_safe = durable.get(&place.0).is_some_and(|durable| *durable >= place.1);
            place.1 = Lsn(0);
            is_safe
        };
        self.queued.retain(|_, (_, place)| safe(place));
        self.handles.retain(|_, (_, place)| safe(place));
        for places in [&mut self.received, &mut self.incoming, &mut self.released] {
            places.retain(|_, place| safe(place));
        }
        self.has.values_mut().for_each(|places| places.retain_mut(safe));
        self.held.values_mut().for_each(|places| places.retain_mut(safe));
        self.retained.values_mut().for_each(|places| places.retain_mut(safe));
        self.durable = durable.into_keys().map(|shard| (shard, Lsn(0))).collect();
    }

    fn is_safe(&self, place: Place) -> bool {
        self.durable.get(&place.0).is_some_and(|durable| *durable >= place.1)
    }

    fn any_safe(&self, places: Option<&Vec<Place>>) -> bool {
        places.is_some_and(|places| places.iter().any(|place| self.is_safe(*place)))
    }

    fn on_batch(&mut self, place: Place, batch: &[Mutation]) {
        for mutation in batch {
            match mutation {
                Mutation::Queued { session: OriginId(session), sequence, message, .. } => {
                    let number = number_of(message);
                    self.queued.insert((*session, *sequence), (number, place));
                    self.has.entry((*session, number)).or_default().push(place);
                }
                Mutation::HandleAllotted { session: OriginId(session), sequence, handle } => {
                    if let Some((number, _)) = self.queued.get(&(*session, *sequence)) {
                        self.handles.insert((*session, *handle), (*number, place));
                    }
                    self.received.remove(&(*session, *handle));
                }
                Mutation::Received { session, handle } => {
                    self.received.insert((session.0, *handle), place);
                }
                Mutation::IncomingId { session, id } => {
                    self.incoming.insert((session.0, *id), place);
                }
                Mutation::IncomingReleased { session, id } => {
                    self.incoming.remove(&(session.0, *id));
                    self.released.insert((session.0, *id), place);
                }
                Mutation::GroupHeld { group, message, .. } => {
                    let key = (group.as_ref().into(), number_of(message));
                    self.held.entry(key).or_default().push(place);
                }
                Mutation::Retained { message: Some(message), .. } => {
                    self.retained.entry(number_of(message)).or_default().push(place);
                }
                _ => {}
            }
        }
    }

    /// The name of a slot's session in the stores, if it is durable.
    fn durable_session(&self, ledger: &Ledger, slot: SlotId) -> Option<u64> {
        let place = ledger.life(slot)?;
        let life = &ledger.lives[place];
        // A slot that has been taken over may still hear from before.
        let current = ledger.is_present(place) && life.slot == slot && life.offline_at.is_none();
        (current && life.expiry != Expiry::WithLink).then(|| self.origins[&life.client])
    }

    fn on_delivery(&self, ledger: &Ledger, slot: SlotId, a: &Arrival, faults: &mut Faults) {
        let Some(session) = self.durable_session(ledger, slot) else { return };
        if a.qos != QoS::ExactlyOnce {
            return;
        }
        let written = self.handles.get(&(session, a.handle));
        if !written.is_some_and(|(number, place)| *number == a.number && self.is_safe(*place)) {
            faults.add(format!("{slot:?}: the handle of {a:?} is not written yet: {written:?}"));
        }
    }

    fn on_release(&self, ledger: &Ledger, slot: SlotId, handle: u16, faults: &mut Faults) {
        let Some(session) = self.durable_session(ledger, slot) else { return };
        if !self.received.get(&(session, handle)).is_some_and(|place| self.is_safe(*place)) {
            faults.add(format!("{slot:?}: the receipt of {handle} is not written yet"));
        }
    }

    fn on_answer(
        &self,
        ledger: &Ledger,
        step: Step,
        slot: SlotId,
        ticket: u32,
        faults: &mut Faults,
    ) {
        let Some(message) = ledger.messages.values().find(|message| {
            message.applications.iter().any(|application| {
                application.slot == slot && application.answer.is_some_and(|(at, _)| at == step)
            })
        }) else {
            return;
        };
        if let (Some(id), Some(session)) =
            (self.ids.get(&(slot, ticket)), self.durable_session(ledger, slot))
            && !self.incoming.get(&(session, *id)).is_some_and(|place| self.is_safe(*place))
        {
            faults.add(format!("{slot:?}: the number {id} of {message:?} is not written yet"));
        }
        if !self.promises.lossless {
            return;
        }
        self.check_receivers(ledger, step, message, faults);
        self.check_groups(ledger, step, message, faults);
        let draft = &message.draft;
        let gone = draft.empty || draft.expires_at.is_some_and(|at| at <= ledger.now);
        if draft.retain && !gone && !self.any_safe(self.retained.get(&draft.number)) {
            faults.add(format!("answered, but {draft:?} is not retained safely"));
        }
    }

    fn check_receivers(
        &self,
        ledger: &Ledger,
        step: Step,
        message: &MessageFacts,
        faults: &mut Faults,
    ) {
        for life in ledger.life_of.values() {
            let facts = &ledger.lives[*life];
            if facts.expiry == Expiry::WithLink || facts.may_end.is_some() {
                continue;
            }
            let own = message.publisher == facts.client;
            let must = ledger
                .matching(*life, &message.draft.topic, false)
                .filter_map(|(place, _)| ledger.holds(place, own, message.first, step))
                .any(|qos| qos > QoS::AtMostOnce);
            let session = self.origins[&facts.client];
            if must && !self.any_safe(self.has.get(&(session, message.draft.number))) {
                faults.add(format!(
                    "answered, but life {life} (client {}) does not have {:?} safely",
                    facts.client, message.draft
                ));
            }
        }
    }

    fn check_groups(
        &self,
        ledger: &Ledger,
        step: Step,
        message: &MessageFacts,
        faults: &mut Faults,
    ) {
        let draft = &message.draft;
        let mut groups: Vec<_> = ledger
            .subscriptions
            .iter()
            .filter(|s| s.options.filter.share_name().is_some())
            .filter(|s| s.options.filter.matches(&draft.topic))
            .map(|s| &s.options.filter)
            .collect();
        groups.sort_unstable_by_key(|filter| filter.as_str());
        groups.dedup();
        for group in groups {
            let members = ledger.subscriptions.iter().enumerate().filter(|(place, s)| {
                s.options.filter == *group
                    && ledger.may_catch(*place, message.first)
                    && ledger.lives[s.life].over.is_none_or(|over| over > message.first)
            });
            // Only where every possible taker is durable, and somebody certainly is there.
            let all: Vec<_> = members.collect();
            let durable = all.iter().all(|(_, s)| {
                let life = &ledger.lives[s.life];
                life.expiry != Expiry::WithLink
                    && life.may_end.is_none()
                    && life.over.is_none()
                    && s.options.qos > QoS::AtMostOnce
            });
            let lives = all
                .iter()
                .any(|(place, _)| ledger.holds(*place, false, message.first, step).is_some());
            if !durable || !lives {
                continue;
            }
            let held = self.held.get(&(group.as_str().into(), draft.number));
            let with_member = all.iter().any(|(_, s)| {
                let session = self.origins[&ledger.lives[s.life].client];
                self.any_safe(self.has.get(&(session, draft.number)))
            });
            if !with_member && !self.any_safe(held) {
                faults.add(format!("answered, but {group:?} does not have {draft:?} safely"));
            }
        }
    }
}

impl Checker for Gates {
    fn see(&mut self, ledger: &Ledger, step: Step, entry: &Entry, faults: &mut Faults) {
        match entry {
            Entry::Applied { slot, op, .. } => match op {
                Op::Connect(hello) => {
                    let key = ClientKey { gateway: GATEWAY, client_id: hello.client_id.clone() };
                    self.origins.insert(hello.client, self.key.origin(&key).0);
                }
                Op::Publish { ticket, id, draft, .. } if draft.qos == QoS::ExactlyOnce => {
                    self.ids.insert((*slot, ticket.0), *id);
                }
                Op::Release { ticket, id } => {
                    self.releases.insert((*slot, ticket.0), *id);
                }
                _ => {}
            },
            Entry::Submitted { shard, lsn, batch } => self.on_batch((*shard, *lsn), batch),
            Entry::Durable { shard, lsn } => {
                self.durable.insert(*shard, *lsn);
            }
            Entry::Crash => self.on_crash(),
            Entry::Emitted { slot, event } => match event {
                Ev::Deliver(arrival) => self.on_delivery(ledger, *slot, arrival, faults),
                Ev::Release(handle, reason) if !reason.is_error() => {
                    self.on_release(ledger, *slot, *handle, faults);
                }
                Ev::Published(ticket, reason) if !reason.is_error() => {
                    self.on_answer(ledger, step, *slot, ticket.0, faults);
                }
                Ev::Released(ticket, reason) if !reason.is_error() => {
                    let id = self.releases.get(&(*slot, ticket.0));
                    if let (Some(id), Some(session)) = (id, self.durable_session(ledger, *slot))
                        && !self.released.get(&(session, *id)).is_some_and(|p| self.is_safe(*p))
                    {
                        faults.add(format!("{slot:?}: the release of {id} is not written yet"));
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
}
