use std::cmp::Reverse;
use std::collections::BinaryHeap;

use core_model::Timestamp;

use crate::routes::SessionIndex;

/// Why a session wants to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// Its will or its end may be due.
    Offline,
    /// A delivery may have to be repeated.
    Retransmit,
}

/// Deadlines of sessions. An entry is only a hint to look: the session knows what is really due, so
/// nothing has to be taken out when a deadline moves.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, u32, u32, Alarm)>>,
}

impl Timers {
    pub(crate) fn set(
        &mut self,
        at: Timestamp,
        session: SessionIndex,
        generation: u32,
        alarm: Alarm,
    ) {
        self.heap.push(Reverse((at, session.0, generation, alarm)));
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Deadlines that were set and have not passed.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<(SessionIndex, u32, Alarm)> {
        let Reverse((at, session, generation, alarm)) = self.heap.peek().copied()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some((SessionIndex(session), generation, alarm))
    }
}
