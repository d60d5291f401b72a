use std::collections::BTreeSet;

use core_model::Timestamp;

use crate::routes::SessionIndex;
use crate::shard::Shard;

/// Deadlines of sessions: at most one each, which [`Session::alarm_at`](crate::session::Session)
/// repeats, so that one that moves leaves nothing behind.
#[derive(Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Timestamp, SessionIndex)>,
}

impl Timers {
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Deadlines that were set and have not passed.
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    fn pop_due(&mut self, now: Timestamp) -> Option<SessionIndex> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        self.due.pop_first().map(|(_, session)| session)
    }
}

impl Shard {
    /// Has a session looked at again at a moment, and at no other; or not at all.
    pub(crate) fn set_alarm(&mut self, index: SessionIndex, at: Option<Timestamp>) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        let before = std::mem::replace(&mut session.alarm_at, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.timers.due.remove(&(before, index));
        }
        if let Some(at) = at {
            self.timers.due.insert((at, index));
        }
    }

    /// The next session that has to be looked at by now.
    pub(crate) fn pop_alarm(&mut self, now: Timestamp) -> Option<SessionIndex> {
        let index = self.timers.pop_due(now)?;
        if let Some(session) = self.sessions.get_mut(index.0 as usize) {
            session.alarm_at = None;
        }
        Some(index)
    }
}
