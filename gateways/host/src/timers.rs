use core_model::Timestamp;

/// Length of a tick in milliseconds; deadlines are rounded up to it, so that none fires early.
const TICK_MS: u64 = 100;
/// Ticks in one round of the wheel. Later deadlines are parked in the last one and looked at again
/// when it fires.
const SLOTS: u64 = 1024;
const NONE: u32 = u32::MAX;
const IDLE: u64 = u64::MAX;

/// A timer wheel with one timer per link, addressed by the link's place in the shard's table.
///
/// Timers are lazy: a deadline that moved back is left where it is, and whoever is woken by
/// [`Timers::expire`] compares with the real deadline and arms again.
#[derive(Debug)]
pub(crate) struct Timers {
    /// First timer of each slot.
    heads: Vec<u32>,
    /// One bit per slot: whether it has timers.
    occupied: Vec<u64>,
    nodes: Vec<Node>,
    /// The tick that was fired last; everything before it is over.
    current: u64,
    /// The time of that.
    now: Timestamp,
}

/// One timer: a member of its slot's doubly linked list.
#[derive(Clone, Copy, Debug)]
struct Node {
    tick: u64,
    previous: u32,
    next: u32,
}

/// Bytes of memory for each link.
#[cfg(test)]
pub(crate) const TIMER_BYTES: usize = size_of::<Node>();

const UNARMED: Node = Node { tick: IDLE, previous: NONE, next: NONE };

impl Timers {
    /// A wheel that starts at `now`, with nothing armed.
    pub(crate) fn new(now: Timestamp) -> Self {
        Timers {
            heads: vec![NONE; SLOTS as usize],
            occupied: vec![0; SLOTS as usize / 64],
            nodes: Vec::new(),
            current: now.as_millis() / TICK_MS,
            now,
        }
    }

    /// Makes timer `index` fire at `deadline` at the latest. A timer that is armed for an earlier
    /// time stays as it is.
    pub(crate) fn arm(&mut self, index: u32, deadline: Timestamp) {
        // What is over already is due at once and not at the end of the tick.
        let wanted = if deadline <= self.now { 0 } else { deadline.as_millis().div_ceil(TICK_MS) };
        let tick = wanted.clamp(self.current, self.current + SLOTS - 1);
        if self.nodes.len() <= index as usize {
            self.nodes.resize(index as usize + 1, UNARMED);
        }
        if self.node(index).tick <= tick {
            return;
        }
        self.disarm(index);
        let next = std::mem::replace(self.head(tick), index);
        *self.node(index) = Node { tick, previous: NONE, next };
        if next != NONE {
            self.node(next).previous = index;
        }
        self.mark(tick, true);
    }

    /// Makes timer `index` fire never.
    pub(crate) fn disarm(&mut self, index: u32) {
        if self.nodes.len() <= index as usize || self.node(index).tick == IDLE {
            return;
        }
        let Node { tick, previous, next } = std::mem::replace(self.node(index), UNARMED);
        if next != NONE {
            self.node(next).previous = previous;
        }
        if previous != NONE {
            self.node(previous).next = next;
        } else {
            *self.head(tick) = next;
            self.mark(tick, next != NONE);
        }
    }

    /// Moves on to `now` and appends all timers that fire to `expired`; they are unarmed then.
    pub(crate) fn expire(&mut self, now: Timestamp, expired: &mut Vec<u32>) {
        let last = now.as_millis() / TICK_MS;
        // After a long pause every slot is over, and one round sees them all.
        let end = last.min(self.current + SLOTS - 1);
        for tick in self.current..=end {
            loop {
                let index = *self.head(tick);
                if index == NONE {
                    break;
                }
                self.disarm(index);
                expired.push(index);
            }
        }
        self.current = self.current.max(last);
        self.now = self.now.max(now);
    }

    /// When the next timer fires.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let start = self.current % SLOTS;
        // One step more than there are words: the first word is looked at from both ends.
        let tick = (0..=self.occupied.len() as u64).find_map(|step| {
            let word_index = (start / 64 + step) % self.occupied.len() as u64;
            let mut word = self.occupied.get(word_index as usize).copied().unwrap_or(0);
            if step == 0 {
                word &= u64::MAX << (start % 64);
            }
            let slot = word_index * 64 + u64::from(word.trailing_zeros());
            (word != 0).then(|| self.current + (slot + SLOTS - start) % SLOTS)
        })?;
        Some(Timestamp::from_millis(tick * TICK_MS))
    }

    fn node(&mut self, index: u32) -> &mut Node {
        self.nodes.get_mut(index as usize).expect("every armed timer has a node")
    }

    fn head(&mut self, tick: u64) -> &mut u32 {
        self.heads.get_mut((tick % SLOTS) as usize).expect("the remainder is below the length")
    }

    fn mark(&mut self, tick: u64, occupied: bool) {
        let slot = tick % SLOTS;
        let word = self.occupied.get_mut(slot as usize / 64).expect("one bit for every slot");
        if occupied {
            *word |= 1 << (slot % 64);
        } else {
            *word &= !(1 << (slot % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + ms)
    }

    fn fired(timers: &mut Timers, ms: u64) -> Vec<u32> {
        let mut expired = Vec::new();
        timers.expire(at(ms), &mut expired);
        expired.sort_unstable();
        expired
    }

    #[test]
    fn a_timer_fires_at_its_deadline_and_never_before() {
        let mut timers = Timers::new(at(0));
        assert_eq!(timers.next(), None);
        timers.arm(7, at(250));
        timers.arm(3, at(1_000));
        assert_eq!(timers.next(), Some(at(300)));
        assert_eq!(fired(&mut timers, 299), []);
        assert_eq!(fired(&mut timers, 300), [7]);
        assert_eq!(timers.next(), Some(at(1_000)));
        assert_eq!(fired(&mut timers, 5_000), [3]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one_and_not_the_other_way_round() {
        let mut timers = Timers::new(at(0));
        timers.arm(0, at(500));
        timers.arm(0, at(900));
        assert_eq!(timers.next(), Some(at(500)));
        timers.arm(0, at(200));
        assert_eq!(fired(&mut timers, 200), [0]);
        assert_eq!(fired(&mut timers, 10_000), []);
    }

    #[test]
    fn what_is_due_already_fires_at_once() {
        let mut timers = Timers::new(at(0));
        assert_eq!(fired(&mut timers, 150), []);
        timers.arm(1, at(0));
        timers.arm(2, at(150));
        timers.arm(3, at(151));
        assert!(timers.next().unwrap() <= at(150));
        assert_eq!(fired(&mut timers, 150), [1, 2]);
        assert_eq!(timers.next(), Some(at(200)));
    }

    #[test]
    fn a_far_deadline_is_looked_at_once_a_round() {
        let mut timers = Timers::new(at(0));
        let far = at(1_000_000);
        timers.arm(4, far);
        let round = timers.next().unwrap();
        assert!(round < far && round > at(100_000));
        let mut expired = Vec::new();
        timers.expire(round, &mut expired);
        assert_eq!(expired, [4]);
    }

    #[test]
    fn a_disarmed_timer_leaves_its_neighbours_alone() {
        let mut timers = Timers::new(at(0));
        for index in 0..5 {
            timers.arm(index, at(400));
        }
        for gone in [2, 4, 0] {
            timers.disarm(gone);
            timers.disarm(gone);
        }
        timers.disarm(99);
        assert_eq!(fired(&mut timers, 400), [1, 3]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn after_a_long_pause_everything_is_over() {
        let mut timers = Timers::new(at(0));
        for index in 0..2_000 {
            timers.arm(index, at(u64::from(index) * 50));
        }
        assert_eq!(fired(&mut timers, 10_000_000).len(), 2_000);
        timers.arm(1, at(10_000_100));
        assert_eq!(fired(&mut timers, 10_000_100), [1]);
    }

    #[test]
    fn random_arming_agrees_with_a_list() {
        let mut timers = Timers::new(at(0));
        let mut model = std::collections::BTreeMap::new();
        let mut state = 1_u64;
        let mut now = 0;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let draw = state >> 33;
            let index = (draw % 50) as u32;
            match draw % 7 {
                0 => {
                    timers.disarm(index);
                    model.remove(&index);
                }
                1..5 => {
                    let deadline = now + draw % 90_000;
                    timers.arm(index, at(deadline));
                    let ticks = if deadline == now { u64::div_euclid } else { u64::div_ceil };
                    let tick = ticks(deadline, TICK_MS);
                    let entry = model.entry(index).or_insert(tick);
                    *entry = (*entry).min(tick);
                }
                _ => {
                    now += draw % 700;
                    let due: Vec<u32> = model
                        .iter()
                        .filter(|(_, tick)| **tick <= now / TICK_MS)
                        .map(|(index, _)| *index)
                        .collect();
                    model.retain(|_, tick| *tick > now / TICK_MS);
                    assert_eq!(fired(&mut timers, now), due);
                }
            }
            let next = model.values().min().map(|tick| at(tick * TICK_MS));
            assert_eq!(timers.next(), next);
        }
    }
}
