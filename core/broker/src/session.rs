use std::collections::VecDeque;
use std::sync::Arc;

use core_model::{
    ClientKey, Event, Expiry, Filter, Identity, Manners, OriginId, Permissions, Principal, QoS,
    Reason, SessionLimits, SlotId, Ticket, Timestamp, Will,
};
use core_store::{Lsn, Mutation};
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::Counters;
use crate::context::Cx;
use crate::journal::Gated;
use crate::outgoing::{Outgoing, Receiver};
use crate::routes::{SessionIndex, SubscriptionOptions};

/// One client's state, which outlives its link.
pub(crate) struct Session {
    pub(crate) key: ClientKey,
    pub(crate) origin: OriginId,
    pub(crate) index: SessionIndex,
    /// Tells this session from earlier ones in the same place.
    pub(crate) generation: u32,
    /// Where its client is, if it is there.
    pub(crate) slot: Option<SlotId>,
    pub(crate) expiry: Expiry,
    /// When its link came, or went.
    pub(crate) since: Timestamp,
    /// When it ends, while it has no link.
    pub(crate) ends_at: Option<Timestamp>,
    /// Who its client is; after a restart only the session is known until it comes back.
    pub(crate) principal: Box<Principal>,
    /// The rules that bind it; `None` when it may do everything.
    pub(crate) permissions: Option<Arc<dyn Permissions>>,
    /// The change of the node's rules that these are of.
    pub(crate) rules_round: u32,
    pub(crate) limits: Arc<SessionLimits>,
    /// Topic prefix with its placeholders replaced.
    pub(crate) mountpoint: Box<str>,
    /// Whether the prefix has the client's user name in it.
    pub(crate) is_mounted_by_user: bool,
    /// Whether it has not come back after a restart: who its client is, is not known.
    pub(crate) is_restored: bool,
    /// What its client does otherwise than MQTT.
    pub(crate) manners: Manners,
    will: Option<Box<Will>>,
    /// Whether the will waits for the next link: this one's client has said farewell, or it was
    /// published.
    is_will_at_rest: bool,
    /// When the will is due, while there is no link.
    pub(crate) will_at: Option<Timestamp>,
    /// When it is looked at again.
    pub(crate) alarm_at: Option<Timestamp>,
    /// By the filter as the client wrote it.
    pub(crate) subscriptions: HashMap<Box<str>, Subscribed, foldhash::fast::FixedState>,
    /// How many of these are shared.
    pub(crate) shared: u32,
    /// Retained messages that are on their way to it.
    pub(crate) pulls: SmallVec<[u32; 1]>,
    pub(crate) outgoing: Outgoing,
    /// QoS 2 messages that came and were not released, ascending.
    incoming: Vec<u16>,
    /// What its gateway has it remember, by key.
    pub(crate) notes: Vec<(u32, Arc<[u8]>)>,
    acks: VecDeque<Ack>,
    next_ack: u32,
    ending: bool,
}

/// A subscription as the session remembers it.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    /// As the core sees it, mountpoint applied.
    pub(crate) filter: Filter,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// 0 for none.
    pub(crate) identifier: u32,
}

impl Subscribed {
    /// What the routes keep of it.
    pub(crate) fn options(&self, durable: bool) -> SubscriptionOptions {
        SubscriptionOptions {
            qos: self.qos,
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            durable,
            identifier: self.identifier,
        }
    }
}

/// An answer that its publisher has not got yet.
struct Ack {
    number: u32,
    ticket: Ticket,
    kind: AckKind,
    /// The publisher's number of a QoS 2 message, free again if the answer is an error.
    id: Option<u16>,
    reason: Reason,
    /// Reports of other shards that are missing.
    waits: u16,
    lsn: Lsn,
    /// Its link is gone.
    forsaken: bool,
}

/// Which event an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckKind {
    Published,
    /// The same for a repetition of a QoS 2 message that is known.
    Repeated,
    Released,
}

impl Session {
    pub(crate) fn new(
        key: ClientKey,
        origin: OriginId,
        index: SessionIndex,
        generation: u32,
        limits: Arc<SessionLimits>,
    ) -> Self {
        let principal = Principal {
            client: key.clone(),
            gateway: "",
            listener: "".into(),
            peer: None,
            transport: None,
            identity: Identity::default(),
        };
        Session {
            key,
            origin,
            index,
            generation,
            slot: None,
            expiry: Expiry::WithLink,
            since: Timestamp::ZERO,
            ends_at: None,
            principal: Box::new(principal),
            permissions: None,
            rules_round: 0,
            limits,
            mountpoint: "".into(),
            is_mounted_by_user: false,
            is_restored: false,
            manners: Manners::default(),
            will: None,
            is_will_at_rest: false,
            will_at: None,
            alarm_at: None,
            subscriptions: HashMap::default(),
            shared: 0,
            pulls: SmallVec::new(),
            outgoing: Outgoing::new(),
            incoming: Vec::new(),
            notes: Vec::new(),
            acks: VecDeque::new(),
            next_ack: 0,
            ending: false,
        }
    }

    /// Whether it is over and only its place is still taken, until its subscriptions are gone.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending
    }

    pub(crate) fn set_ending(&mut self) {
        self.ending = true;
    }

    /// Its subscription to a group, which is named by its whole filter, mountpoint applied.
    pub(crate) fn membership(&self, group: &str) -> Option<&Subscribed> {
        if self.mountpoint.is_empty() {
            return self.subscriptions.get(group);
        }
        let name_end = group.match_indices('/').nth(1).map_or(0, |(place, _)| place + 1);
        let (share, filter) = group.split_at(name_end);
        let filter = filter.strip_prefix(&*self.mountpoint)?;
        self.subscriptions.get(format!("{share}{filter}").as_str())
    }

    /// What is published when the client is gone without a farewell.
    pub(crate) fn will(&self) -> Option<&Will> {
        self.will.as_deref()
    }

    /// Replaces or removes the will, which counts among the messages that are kept; gives the old
    /// one back.
    pub(crate) fn set_will(
        &mut self,
        will: Option<Box<Will>>,
        counters: &mut Counters,
    ) -> Option<Box<Will>> {
        let size = |will: &Option<Box<Will>>| will.as_ref().map_or(0, |w| w.message.size() as u64);
        counters.kept_bytes = counters.kept_bytes + size(&will) - size(&self.will);
        std::mem::replace(&mut self.will, will)
    }

    /// The will, unless it waits for the next link.
    pub(crate) fn armed_will(&self) -> Option<&Will> {
        if self.is_will_at_rest { None } else { self.will() }
    }

    /// The will that belongs to the session rather than to its link.
    pub(crate) fn kept_will(&self) -> Option<&Will> {
        if self.manners.keeps_will { self.will() } else { None }
    }

    /// A link has come: its end is what the will is for.
    pub(crate) fn arm_will(&mut self) {
        self.is_will_at_rest = false;
    }

    /// The client has said farewell: its will is not published, but may be one that it keeps.
    pub(crate) fn disarm_will(&mut self, counters: &mut Counters) {
        if self.manners.keeps_will {
            self.is_will_at_rest = true;
        } else {
            self.set_will(None, counters);
        }
    }

    /// The will as it is to be published, once for the end of a link.
    pub(crate) fn fire_will(&mut self, counters: &mut Counters) -> Option<Box<Will>> {
        if self.is_will_at_rest {
            return None;
        }
        if self.manners.keeps_will {
            self.is_will_at_rest = true;
            return self.will.clone();
        }
        self.set_will(None, counters)
    }

    /// How the will stands, for the journal.
    pub(crate) fn will_mutation(&self) -> Mutation {
        let (will, at_rest) = (self.will.clone(), self.is_will_at_rest);
        Mutation::Will { session: self.origin, will, at_rest }
    }

    /// Takes the will from the store; it is counted when all of it is taken up.
    pub(crate) fn restore_will(&mut self, will: Option<Box<Will>>, at_rest: bool) {
        self.will = will;
        self.is_will_at_rest = at_rest;
    }

    /// Whether its client published a message of this origin.
    pub(crate) fn is_origin(&self, origin: OriginId) -> bool {
        origin != OriginId::default() && origin == self.origin
    }

    /// Whether it must survive a crash.
    pub(crate) fn is_durable(&self) -> bool {
        self.expiry != Expiry::WithLink && !self.ending
    }

    /// Both halves of a delivery: who, with the facts that sending needs, and the half that sends.
    #[inline]
    pub(crate) fn sending(&mut self) -> (Receiver<'_>, &mut Outgoing) {
        let to = Receiver {
            slot: self.slot,
            index: self.index,
            generation: self.generation,
            origin: self.origin,
            durable: self.is_durable(),
            topic_skip: self.mountpoint.len() as u16,
            limits: &self.limits,
        };
        (to, &mut self.outgoing)
    }

    /// Whether a QoS 2 message with this number came and was not released.
    pub(crate) fn has_incoming(&self, id: u16) -> bool {
        self.incoming.binary_search(&id).is_ok()
    }

    /// QoS 2 messages that came and were not released.
    pub(crate) fn unreleased(&self) -> usize {
        self.incoming.len()
    }

    pub(crate) fn add_incoming(&mut self, id: u16) {
        if let Err(place) = self.incoming.binary_search(&id) {
            self.incoming.insert(place, id);
        }
    }

    /// Forgets the number; whether it was there.
    pub(crate) fn remove_incoming(&mut self, id: u16) -> bool {
        match self.incoming.binary_search(&id) {
            Ok(place) => {
                self.incoming.remove(place);
                if self.incoming.is_empty() {
                    self.incoming = Vec::new();
                }
                true
            }
            Err(_) => false,
        }
    }

    /// The number that the next answer will have, for reports of other shards.
    pub(crate) fn next_ack(&self) -> u32 {
        self.next_ack
    }

    /// Answers the publisher: at once when nothing is missing and no earlier answer waits, else in
    /// its turn.
    #[inline]
    pub(crate) fn answer(&mut self, cx: &mut Cx<'_>, kind: AckKind, answer: Answer) {
        let number = self.next_ack;
        self.next_ack = self.next_ack.wrapping_add(1);
        let Answer { ticket, id, reason, waits, lsn } = answer;
        let durable = cx.journal.is_durable(lsn);
        //= mqtt5:4.6.0-2
        //= mqtt5:4.6.0-3
        //= mqtt311:4.6.0-2
        //= mqtt311:4.6.0-3
        if waits == 0 && durable && self.acks.is_empty() {
            if let Some(slot) = self.slot {
                cx.event(slot, event_of(kind, ticket, reason));
            }
            return;
        }
        if !durable {
            cx.journal.gate(Gated::Acks { session: self.index, generation: self.generation });
        }
        let forsaken = false;
        self.acks.push_back(Ack { number, ticket, kind, id, reason, waits, lsn, forsaken });
    }

    /// Another shard has taken its share of a message.
    pub(crate) fn on_taken(&mut self, cx: &mut Cx<'_>, number: u32, reason: Reason) {
        let Some(first) = self.acks.front() else { return };
        let place = number.wrapping_sub(first.number) as usize;
        if let Some(ack) = self.acks.get_mut(place) {
            ack.waits = ack.waits.saturating_sub(1);
            if reason.is_error() && !ack.reason.is_error() {
                cx.counters.publishes_refused += 1;
                ack.reason = reason;
            }
        }
        self.flush_acks(cx);
    }

    /// Sends the answers that have all they waited for, up to the first that has not.
    pub(crate) fn flush_acks(&mut self, cx: &mut Cx<'_>) {
        while let Some(ack) = self.acks.front() {
            if ack.waits > 0 || !cx.journal.is_durable(ack.lsn) {
                return;
            }
            let (kind, ticket, reason, id) = (ack.kind, ack.ticket, ack.reason, ack.id);
            let slot = self.slot.filter(|_| !ack.forsaken);
            self.acks.pop_front();
            if let (true, AckKind::Published, Some(id)) = (reason.is_error(), kind, id) {
                self.take_back(cx, id, reason);
            }
            if let Some(slot) = slot {
                cx.event(slot, event_of(kind, ticket, reason));
            }
        }
        self.acks = VecDeque::new();
    }

    /// A QoS 2 message was refused after all: its number is free, and repetitions of it are refused
    /// too.
    //= mqtt5:4.3.3-9
    pub(crate) fn take_back(&mut self, cx: &mut Cx<'_>, id: u16, reason: Reason) {
        if self.remove_incoming(id) && self.is_durable() {
            cx.journal.push(Mutation::IncomingReleased { session: self.origin, id });
        }
        for ack in &mut self.acks {
            if ack.kind == AckKind::Repeated && ack.id == Some(id) {
                ack.reason = reason;
            }
        }
    }

    /// The link is gone: nobody hears the answers that wait. A repetition on the next link still
    /// has to wait for what its first copy waited for.
    pub(crate) fn forsake_acks(&mut self) {
        for ack in &mut self.acks {
            ack.forsaken = true;
        }
    }
}

/// What is known of an answer when its operation has been applied.
pub(crate) struct Answer {
    pub(crate) ticket: Ticket,
    /// The publisher's number of a QoS 2 message.
    pub(crate) id: Option<u16>,
    pub(crate) reason: Reason,
    pub(crate) waits: u16,
    pub(crate) lsn: Lsn,
}

fn event_of(kind: AckKind, ticket: Ticket, reason: Reason) -> Event<'static> {
    match kind {
        AckKind::Published | AckKind::Repeated => Event::Published { ticket, reason },
        AckKind::Released => Event::Released { ticket, reason },
    }
}
