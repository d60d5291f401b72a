//! A naive broker to compare with: one list of sessions, linear matching, no shards, no cache. It
//! follows the requirements word by word. Where they leave a choice (which member of a group gets a
//! message, in which order retained messages of several topics come), it takes the choice that the
//! real broker has made, and checks that it was one of those allowed.

mod act;
mod routing;
mod seen;
mod session;

use std::collections::{BTreeMap, VecDeque};

use core_model::{DisconnectCause, Expiry, Filter, QoS, Reason, Subscription, Timestamp};

use crate::trace::{Draft, Ev};

pub use act::Act;
pub use seen::Seen;

/// A will as the model keeps it.
#[derive(Clone, Debug)]
pub struct MWill {
    draft: Draft,
    delay_s: u32,
    expiry_s: Option<u32>,
}

/// A message on its way to one session.
#[derive(Clone, Debug)]
struct Entry {
    draft: Draft,
    qos: QoS,
    retain: bool,
    /// Ascending.
    identifiers: Vec<u32>,
    group: Option<Box<str>>,
    /// Entries next to each other with the same bag came at once, in an order that is not known.
    bag: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Sent,
    Released,
}

#[derive(Clone, Debug)]
struct InFlight {
    entry: Entry,
    handle: u16,
    stage: Stage,
    in_quota: bool,
    /// Was sent on an earlier link, and not on this one.
    waits: bool,
}

#[derive(Clone, Debug)]
struct MSubscription {
    options: Subscription,
    identifier: Option<u32>,
}

/// Retained messages that a subscription still wants.
#[derive(Clone, Debug)]
struct MPull {
    filter: Filter,
    qos: QoS,
    identifier: Option<u32>,
    /// Retained messages that came live since then.
    live: Vec<u64>,
}

#[derive(Clone, Debug)]
struct MSession {
    connected: bool,
    open: bool,
    expiry: Expiry,
    ends_at: Option<Timestamp>,
    will: Option<MWill>,
    will_at: Option<Timestamp>,
    subscriptions: Vec<MSubscription>,
    inflight: Vec<InFlight>,
    queue: VecDeque<Entry>,
    window: u16,
    incoming: Vec<u16>,
    pulls: Vec<MPull>,
}

#[derive(Clone, Debug, Default)]
struct MGroup {
    members: Vec<usize>,
    held: VecDeque<(Draft, bool)>,
}

/// What a full queue does in the model.
#[derive(Clone, Copy, Debug)]
pub struct Queues {
    /// Messages that wait in one session.
    pub max: usize,
    /// Whether the oldest makes room for the newest.
    pub drop_oldest: bool,
}

/// The naive broker.
pub struct Model {
    now: Timestamp,
    sessions: BTreeMap<usize, MSession>,
    groups: BTreeMap<Box<str>, MGroup>,
    retained: BTreeMap<String, Draft>,
    queues: Queues,
    next_bag: u32,
    seen: Seen,
}

/// What does not fit.
type Fit = Result<(), String>;

impl Model {
    /// A broker without sessions.
    #[must_use]
    pub fn new(now: Timestamp, queues: Queues) -> Self {
        Model {
            now,
            sessions: BTreeMap::new(),
            groups: BTreeMap::new(),
            retained: BTreeMap::new(),
            queues,
            next_bag: 0,
            seen: Seen::default(),
        }
    }

    /// Whether a client is connected.
    #[must_use]
    pub fn is_connected(&self, client: usize) -> bool {
        self.sessions.get(&client).is_some_and(|session| session.connected)
    }

    /// Handles of a client's unsettled deliveries that it can settle now, with their QoS and whether
    /// they were released.
    #[must_use]
    pub fn unsettled(&self, client: usize) -> Vec<(u16, QoS, bool)> {
        let Some(session) = self.sessions.get(&client) else { return Vec::new() };
        let open = session.inflight.iter().filter(|f| !f.waits);
        open.map(|f| (f.handle, f.entry.qos, f.stage == Stage::Released)).collect()
    }

    /// Does what a client or the clock did, and compares what happened to each client's present slot
    /// (`events`), and to the one that it lost, if any.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn act(
        &mut self,
        act: &Act,
        events: BTreeMap<usize, Vec<Ev>>,
        lost: BTreeMap<usize, Vec<Ev>>,
    ) -> Fit {
        self.seen = Seen::new(events, lost);
        match act {
            Act::Connect { client, clean_start, expiry, receive_max, will } => {
                let will = will.as_ref().map(|(draft, delay_s, expiry_s)| MWill {
                    draft: draft.clone(),
                    delay_s: *delay_s,
                    expiry_s: *expiry_s,
                });
                self.connect(*client, *clean_start, *expiry, *receive_max, will)?;
            }
            Act::Subscribe { client, identifier, subscriptions } => {
                self.subscribe(*client, *identifier, subscriptions)?;
            }
            Act::Unsubscribe { client, filters } => self.unsubscribe(*client, filters)?,
            Act::Publish { client, id, draft } => self.publish(*client, *id, draft)?,
            Act::Release { client, id } => self.release(*client, *id)?,
            Act::Settle { client, handle, outcome } => self.settle(*client, *handle, *outcome)?,
            Act::Demand { client, open } => self.demand(*client, *open)?,
            Act::Disconnect { client, cause, expiry } => {
                self.close(*client, *cause, *expiry)?;
            }
            Act::Read { client, filter, limit, after } => {
                self.read(*client, filter, *limit, after.as_deref())?;
            }
            Act::Pass { millis } => {
                self.now = self.now.plus_millis(*millis);
                self.run_deadlines()?;
            }
        }
        self.run_pulls()?;
        self.seen.nothing_left()
    }

    fn bag(&mut self) -> u32 {
        self.next_bag += 1;
        self.next_bag
    }

    fn connect(
        &mut self,
        client: usize,
        clean_start: bool,
        expiry: Expiry,
        receive_max: u16,
        will: Option<MWill>,
    ) -> Fit {
        if self.is_connected(client) {
            self.seen.lost(client, &Ev::Kicked(Reason::SESSION_TAKEN_OVER))?;
            self.close(client, DisconnectCause::Lost(Reason::SESSION_TAKEN_OVER), None)?;
        }
        if clean_start && self.sessions.contains_key(&client) {
            self.end(client)?;
        }
        let session_present = self.sessions.contains_key(&client);
        let session = self.sessions.entry(client).or_insert_with(MSession::new);
        session.connected = true;
        session.open = true;
        session.expiry = expiry;
        session.ends_at = None;
        session.will = will;
        session.will_at = None;
        session.window = receive_max;
        self.seen.expect(
            client,
            &Ev::Connected { session_present, expiry, will: None, notes: Vec::new() },
        )?;
        self.resume(client)?;
        self.tell_groups(client)
    }

    /// A link ends.
    fn close(&mut self, client: usize, cause: DisconnectCause, expiry: Option<Expiry>) -> Fit {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        session.connected = false;
        session.open = false;
        if let Some(expiry) = expiry
            && session.expiry != Expiry::WithLink
        {
            session.expiry = expiry;
        }
        if cause == DisconnectCause::Farewell {
            session.will = None;
        }
        session.ends_at = session.expiry.deadline(now);
        session.will_at = session.will.as_ref().map(|will| now.plus_seconds(will.delay_s));
        self.run_deadlines()
    }

    fn run_deadlines(&mut self) -> Fit {
        let now = self.now;
        let due: Vec<usize> = self
            .sessions
            .iter()
            .filter(|(_, session)| !session.connected)
            .map(|(client, _)| *client)
            .collect();
        let mut wills = Vec::new();
        let mut over = Vec::new();
        for client in due {
            let Some(session) = self.sessions.get_mut(&client) else { continue };
            if session.ends_at.is_some_and(|at| at <= now) {
                over.push(client);
            } else if session.will_at.is_some_and(|at| at <= now)
                && let Some(will) = session.will.take()
            {
                wills.push((client, will));
            }
        }
        self.end_all(&over, wills)
    }

    /// A session is over.
    fn end(&mut self, client: usize) -> Fit {
        self.end_all(&[client], Vec::new())
    }
}

impl MSession {
    fn new() -> Self {
        MSession {
            connected: false,
            open: false,
            expiry: Expiry::WithLink,
            ends_at: None,
            will: None,
            will_at: None,
            subscriptions: Vec::new(),
            inflight: Vec::new(),
            queue: VecDeque::new(),
            window: 1,
            incoming: Vec::new(),
            pulls: Vec::new(),
        }
    }
}
