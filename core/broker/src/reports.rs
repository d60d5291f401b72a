//! Denials and drops as events: at most one of each kind a second for each client, however often
//! it happens.

use std::collections::VecDeque;

use core_model::{Action, BrokerEvent, ClientKey, OriginId, Reason, Timestamp};
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::routes::SessionIndex;
use crate::session::Session;
use crate::shard::Shard;

/// Time from one report of a client to the next.
const INTERVAL_MS: u64 = 1_000;

/// What was not reported of one client yet.
struct Report {
    session: SessionIndex,
    generation: u32,
    /// Its name, where the session may be gone before the report.
    client: Option<ClientKey>,
    denied: Option<Denied>,
    dropped: SmallVec<[(Reason, u64); 1]>,
}

/// The first denial since the last report, and how many there were.
struct Denied {
    action: Action,
    topic: Box<str>,
    times: u64,
}

/// The clients that something is to be reported of, or was a moment ago.
#[derive(Default)]
pub(crate) struct Reports {
    by_client: HashMap<OriginId, Report, foldhash::fast::FixedState>,
    /// To be reported at the end of this turn.
    fresh: Vec<OriginId>,
    /// To be looked at again, in order.
    resting: VecDeque<(Timestamp, OriginId)>,
    /// Whether anybody listens.
    pub(crate) enabled: bool,
}

impl Reports {
    pub(crate) fn new(enabled: bool) -> Self {
        Reports { enabled, ..Reports::default() }
    }

    /// Clients that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.by_client.len()
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.resting.front().map(|(at, _)| *at)
    }

    fn of(&mut self, origin: OriginId, session: SessionIndex, generation: u32) -> &mut Report {
        let fresh = &mut self.fresh;
        let report = self.by_client.entry(origin).or_insert_with(|| {
            fresh.push(origin);
            let dropped = SmallVec::new();
            Report { session, generation, client: None, denied: None, dropped }
        });
        (report.session, report.generation) = (session, generation);
        report
    }

    /// A client was denied something.
    pub(crate) fn deny(&mut self, session: &Session, action: Action, topic: &str) {
        if !self.enabled {
            return;
        }
        let report = self.of(session.origin, session.index, session.generation);
        match &mut report.denied {
            Some(denied) => denied.times += 1,
            None => report.denied = Some(Denied { action, topic: topic.into(), times: 1 }),
        }
        report.client.get_or_insert_with(|| session.key.clone());
    }

    /// A message for a session was dropped.
    pub(crate) fn drop_one(
        &mut self,
        origin: OriginId,
        session: SessionIndex,
        generation: u32,
        why: Reason,
    ) {
        if !self.enabled {
            return;
        }
        let report = self.of(origin, session, generation);
        match report.dropped.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, messages)) => *messages += 1,
            None => report.dropped.push((why, 1)),
        }
    }

    /// A session ends: what is still to be said of it needs its name.
    pub(crate) fn keep_name(&mut self, session: &Session) {
        if let Some(report) = self.by_client.get_mut(&session.origin) {
            report.client.get_or_insert_with(|| session.key.clone());
        }
    }
}

impl Shard {
    /// Reports what is due. To be called at the end of a turn.
    pub(crate) fn report_troubles(&mut self, now: Timestamp) {
        while let Some((at, origin)) = self.reports.resting.front().copied()
            && at <= now
        {
            self.reports.resting.pop_front();
            let idle = |report: &Report| report.denied.is_none() && report.dropped.is_empty();
            if self.reports.by_client.get(&origin).is_some_and(idle) {
                self.reports.by_client.remove(&origin);
            } else {
                self.reports.fresh.push(origin);
            }
        }
        for origin in std::mem::take(&mut self.reports.fresh) {
            self.report_client(now, origin);
            self.reports.resting.push_back((now.plus_millis(INTERVAL_MS), origin));
        }
    }

    fn report_client(&mut self, now: Timestamp, origin: OriginId) {
        let Some(report) = self.reports.by_client.get_mut(&origin) else { return };
        let session = self.sessions.get(report.session.0 as usize);
        let session = session.filter(|session| session.generation == report.generation);
        let name = report.client.take().or_else(|| session.map(|session| session.key.clone()));
        let (denied, dropped) = (report.denied.take(), std::mem::take(&mut report.dropped));
        let Some(client) = &name else { return };
        let events = denied
            .iter()
            .map(|Denied { action, topic, times }| BrokerEvent::Denied {
                client,
                action: *action,
                topic,
                times: *times,
            })
            .chain(dropped.iter().map(|(reason, messages)| BrokerEvent::Dropped {
                client,
                reason: *reason,
                messages: *messages,
            }));
        for event in events {
            for observer in &self.plugins.observers {
                observer.on_event(now, &event);
            }
        }
    }
}
