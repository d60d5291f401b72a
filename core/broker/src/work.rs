use core_model::{Event, Filter, SlotId, Timestamp};

use crate::routes::SessionIndex;
use crate::shard::{Shard, Sink};

/// Work that is done in portions, so that no turn takes long.
pub(crate) enum Work {
    /// Takes the rest of an ended session's filters out of the routes, then frees its place.
    EndSession { index: SessionIndex, filters: Vec<Filter> },
    /// Brings the next page of retained messages.
    Pull { id: u32 },
    /// Tells every client from this place on that the node stops.
    Drain { next: usize },
    /// The same for those whose connect is not decided yet, behind this slot.
    DrainAttempts { after: Option<SlotId> },
    /// Ends those of a session's subscriptions that are no longer permitted.
    Review { index: SessionIndex, generation: u32, filters: Vec<Box<str>> },
    /// The same for all sessions from this place on, unless the rules have changed again.
    ReviewAll { next: usize, round: u32 },
    /// Asks the gates about every client from this place on.
    RecheckGates { next: usize },
}

/// What one page of retained messages costs of a turn's budget.
const PULL_COST: usize = 64;

impl Shard {
    /// Does up to `budget` units of work. Each item gets one portion before the next has its turn.
    pub(crate) fn do_work(&mut self, now: Timestamp, mut budget: usize, sink: &mut dyn Sink) {
        let mut items = self.work.len();
        while budget > 0 && items > 0 {
            let Some(work) = self.work.pop_front() else { return };
            items -= 1;
            match work {
                Work::EndSession { index, mut filters } => {
                    let before = filters.len();
                    self.remove_filters(now, index, &mut filters, budget, sink);
                    budget -= before - filters.len();
                    if filters.is_empty() {
                        self.sessions.try_remove(index.0 as usize);
                    } else {
                        self.work.push_front(Work::EndSession { index, filters });
                        return;
                    }
                }
                Work::Pull { id } => {
                    budget = budget.saturating_sub(PULL_COST);
                    self.step_pull(now, id, sink);
                    // A page that was at hand at once has put the next step at the end.
                    items = items.max(usize::from(!self.work.is_empty()));
                }
                Work::Drain { next } => {
                    let reached = self.drain_some(now, next, &mut budget, sink);
                    if let Some(next) = reached {
                        self.work.push_back(Work::Drain { next });
                    }
                }
                Work::DrainAttempts { after } => {
                    self.drain_attempts(now, after, &mut budget, sink);
                }
                Work::Review { index, generation, filters } => {
                    self.go_on_reviewing(now, index, generation, filters, &mut budget, sink);
                }
                Work::ReviewAll { next, round } if round == self.rules_round => {
                    let reached = self.review_all_some(now, next, &mut budget, sink);
                    if let Some(next) = reached {
                        self.work.push_back(Work::ReviewAll { next, round });
                    }
                }
                Work::ReviewAll { .. } => {}
                Work::RecheckGates { next } => {
                    let reached = self.recheck_some(now, next, &mut budget, sink);
                    if let Some(next) = reached {
                        self.work.push_back(Work::RecheckGates { next });
                    }
                }
            }
        }
    }

    fn drain_attempts(
        &mut self,
        now: Timestamp,
        mut after: Option<SlotId>,
        budget: &mut usize,
        sink: &mut dyn Sink,
    ) {
        while let Some(slot) = self.attempts.after(after) {
            if *budget == 0 {
                return self.work.push_back(Work::DrainAttempts { after });
            }
            *budget -= 1;
            let (_, mut cx) = self.split(now, sink);
            cx.event(slot, Event::Draining);
            after = Some(slot);
        }
    }

    fn drain_some(
        &mut self,
        now: Timestamp,
        next: usize,
        budget: &mut usize,
        sink: &mut dyn Sink,
    ) -> Option<usize> {
        let (sessions, mut cx) = self.split(now, sink);
        let end = sessions.iter().next_back().map_or(0, |(last, _)| last + 1);
        for place in next..end {
            if *budget == 0 {
                return Some(place);
            }
            if let Some(slot) = sessions.get(place).and_then(|session| session.slot) {
                *budget -= 1;
                cx.event(slot, Event::Draining);
            }
        }
        None
    }
}
