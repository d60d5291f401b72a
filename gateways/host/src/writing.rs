use core_model::{Reason, Timestamp};
use gateway_transport::FilterFault;

use crate::events::HostEvent;
use crate::links::{Links, OpenLink, Phase, discard, reclaim};
use crate::paths::PathKind;
use crate::reactor::Socket;
use crate::{Close, HostCounters, Link, PerListener};

/// Output from which on a link counts as congested when the shard's buffers get scarce.
const SCARCE_HIGH_BYTES: usize = 64 * 1024;
/// Output per link that is worth a system call in the middle of a turn.
const WORTHY_BYTES_MIN: usize = 1024;

/// The end of a turn: one write per link that has something to say, and what follows from it.
impl Links {
    /// Whether so much output waits that it should be written before the turn ends. Many receivers
    /// may have a little each, so that a write still carries several messages.
    #[inline]
    pub(crate) fn should_write_early(&self) -> bool {
        let bytes_max = self.limits.output_per_turn_bytes_max;
        self.unflushed > bytes_max && self.unflushed > self.touched.len() * WORTHY_BYTES_MIN
    }

    /// Writes the output of all touched links in the middle of a turn, so that a turn's output
    /// stays bounded.
    pub(crate) fn write_early(&mut self) {
        self.unflushed = 0;
        for position in 0..self.touched.len() {
            if let Some(index) = self.touched.get(position).copied() {
                self.write(index);
                self.judge_congestion(index);
            }
        }
    }

    /// Writes, closes and arms timers for all links touched in this turn. Links that are touched
    /// meanwhile, since an event reached them, are left for the next call.
    pub(crate) fn finish(&mut self) {
        self.unflushed = 0;
        let mut touched = std::mem::take(&mut self.touched);
        for index in touched.drain(..) {
            self.finished(index);
            self.write(index);
            self.judge_congestion(index);
            self.judge_memory(index);
            self.settle(index);
        }
        // Keep the larger buffer; the other one holds links touched meanwhile, if any.
        if self.touched.is_empty() {
            self.touched = touched;
        }
    }

    /// Writes what waits until the socket takes no more.
    fn write(&mut self, index: u32) {
        let Some(link) = self.table.at_mut(index) else { return };
        if link.wire.is_some() {
            return self.write_through(index);
        }
        if link.output.is_empty() {
            // An event that made no output must not leave a lent buffer behind.
            reclaim(&mut link.output, 0, &mut self.pool);
            return;
        }
        if link.blocked || matches!(link.phase, Phase::Gone) {
            return;
        }
        if link.output.is_datagrams() {
            return self.write_datagrams(index);
        }
        while !link.output.is_empty() {
            match link.socket.write(&link.waker, &link.output) {
                Ok(Some(count)) => {
                    note_write(link, count, &mut self.counters, &mut self.per_listener);
                    reclaim(&mut link.output, count, &mut self.pool);
                }
                Ok(None) => {
                    link.blocked = true;
                    link.stalled_since.get_or_insert(self.now);
                    return;
                }
                Err(_) => return self.give_up(index),
            }
        }
    }

    /// The same through a filter, whose farewell comes last.
    fn write_through(&mut self, index: u32) {
        let Some(link) = self.table.at_mut(index) else { return };
        if link.output.is_empty() {
            reclaim(&mut link.output, 0, &mut self.pool);
        }
        if link.blocked || matches!(link.phase, Phase::Gone) {
            return;
        }
        loop {
            let Some(wire) = &mut link.wire else { return };
            if let Err(fault) = wire.outgoing(&mut link.output, &mut self.pool) {
                return self.break_off(index, &fault);
            }
            if link.output.is_empty() && matches!(link.phase, Phase::Flushing { .. }) {
                wire.say_farewell(&mut self.pool);
            }
            if wire.output.is_empty() {
                return;
            }
            match link.socket.write(&link.waker, &wire.output) {
                Ok(Some(count)) => {
                    reclaim(&mut wire.output, count, &mut self.pool);
                    note_write(link, count, &mut self.counters, &mut self.per_listener);
                }
                Ok(None) => {
                    link.blocked = true;
                    link.stalled_since.get_or_insert(self.now);
                    return;
                }
                Err(_) => return self.give_up(index),
            }
        }
    }

    /// The connection is broken.
    #[cold]
    fn give_up(&mut self, index: u32) {
        self.close(index, Close::Now(Reason::UNSPECIFIED));
        if let Some(link) = self.at(index) {
            link.phase = Phase::Gone;
        }
    }

    /// A filter carries no more output.
    #[cold]
    fn break_off(&mut self, index: u32, fault: &FilterFault) {
        let Some(link) = self.table.at_mut(index) else { return };
        discard(&mut link.output, &mut self.pool);
        let listener = &link.permit.listener().facts.name;
        HostEvent::FilterFailed { listener, link: link.id, fault }.emit();
        self.close(index, Close::Flush(Reason::UNSPECIFIED));
        self.touch(index);
    }
}

fn note_write(
    link: &mut OpenLink,
    count: usize,
    counters: &mut HostCounters,
    per_listener: &mut PerListener,
) {
    counters.writes += 1;
    counters.bytes_written += count as u64;
    link.traffic.bytes_written += count as u64;
    per_listener.at(link.listener).bytes_written += count as u64;
    link.stalled_since = None;
}

impl Links {
    /// Tells a machine when its link becomes congested or is free again, and closes a link whose
    /// machine does not listen.
    fn judge_congestion(&mut self, index: u32) {
        let scarce = self.buffered > self.limits.buffered_bytes_total_max / 2;
        let high = match self.limits.write_buffer_high_bytes {
            high if scarce => high.min(SCARCE_HIGH_BYTES),
            high => high,
        };
        let overrun = self.limits.write_overrun_bytes_max;
        let Some(link) = self.at(index) else { return };
        if !matches!(link.phase, Phase::Open(_)) {
            return;
        }
        let wire = link.wire.as_ref().map_or(0, |wire| wire.output.len());
        let len = link.output.len() + wire;
        match link.output_bytes_max {
            None if len > high => {
                link.output_bytes_max = Some(len.saturating_add(overrun));
                self.call(index, |machine, context| machine.on_backpressure(true, context));
            }
            Some(_) if len <= high / 2 => {
                link.output_bytes_max = None;
                self.call(index, |machine, context| machine.on_backpressure(false, context));
            }
            Some(max) if len > max => {
                self.counters.links_overrun += 1;
                self.close(index, Close::Now(Reason::SERVER_BUSY));
            }
            None | Some(_) => {}
        }
    }

    /// Counts what a link holds, and closes those that hold most while the shard's buffers are all
    /// in use. A client that reads what it gets and sends whole packets holds nothing from turn to
    /// turn.
    fn judge_memory(&mut self, index: u32) {
        self.recount(index);
        while self.buffered > self.limits.buffered_bytes_total_max {
            let Some(largest) = self.largest_holder(index) else { return };
            self.cut_off(largest);
        }
    }

    /// The link that holds most: `index` if that is among them, since it is the one that grew.
    #[cold]
    fn largest_holder(&self, index: u32) -> Option<u32> {
        let holds = |index: &u32| self.table.at(*index).map(|link| link.counted);
        let mut largest = self.holders.largest();
        if self.holders.largest().any(|other| other == index) {
            return Some(index);
        }
        largest.by_ref().max_by_key(holds)
    }

    #[cold]
    fn cut_off(&mut self, index: u32) {
        self.counters.links_overrun += 1;
        self.close(index, Close::Now(Reason::SERVER_BUSY));
        if let Some(link) = self.table.at_mut(index) {
            link.phase = Phase::Gone;
            link.wire = None;
            discard(&mut link.output, &mut self.pool);
        }
        self.recount(index);
        self.touch(index);
    }

    /// Moves a closing link on, drops one that is gone, and arms the timer of all others.
    fn settle(&mut self, index: u32) {
        let (now, limits) = (self.now, &self.limits);
        let stall_s = limits.write_stall_timeout_s;
        let linger_until = now.plus_seconds(limits.linger_timeout_s);
        let linger_bytes = limits.linger_bytes_max;
        let Some(link) = self.at(index) else { return };
        if let Phase::Flushing { until, linger } = link.phase {
            let (waits, unsaid) = match &link.wire {
                None => (!link.output.is_empty(), false),
                Some(wire) => (!wire.output.is_empty(), !wire.has_said_farewell()),
            };
            if waits || unsaid {
                if until <= now {
                    link.phase = Phase::Gone;
                }
            } else if linger {
                link.socket.end_output(&link.waker);
                link.phase = Phase::Lingering { until: linger_until, bytes_left: linger_bytes };
                self.queue_read(index);
            } else {
                link.phase = Phase::Gone;
            }
        }
        let Some(link) = self.at(index) else { return };
        let deadline = match &link.phase {
            Phase::Open(machine) => {
                let stalled = link.stalled_since;
                // A link that is not read for its rate must not look silent to its machine.
                let paused_until = link.pace.as_ref().and_then(|pace| pace.resume_at());
                let next = paused_until.or_else(|| machine.next_deadline());
                let next = earlier(next, silent_until(link, machine.as_ref()));
                earlier(next, stalled.map(|since| since.plus_seconds(stall_s)))
            }
            Phase::Flushing { until, .. } | Phase::Lingering { until, .. } => Some(*until),
            Phase::Gone => {
                self.remove(index);
                return;
            }
        };
        if let Some(deadline) = deadline {
            self.timers.arm(index, deadline);
        }
    }

    /// The timer of a link has fired.
    pub(crate) fn on_timer(&mut self, index: u32) {
        let (now, stall_s) = (self.now, self.limits.write_stall_timeout_s);
        self.touch(index);
        let Some(link) = self.at(index) else { return };
        match &link.phase {
            Phase::Open(machine) => {
                if link.stalled_since.is_some_and(|since| since.plus_seconds(stall_s) <= now) {
                    self.counters.links_stalled += 1;
                    self.close(index, Close::Now(Reason::SERVER_BUSY));
                } else if link.is_held_up() {
                    self.queue_read(index);
                } else if machine.next_deadline().is_some_and(|at| at <= now) {
                    self.call(index, |machine, context| machine.on_deadline(context));
                } else if silent_until(link, machine.as_ref()).is_some_and(|at| at <= now) {
                    self.close(index, Close::Now(Reason::KEEP_ALIVE_TIMEOUT));
                }
            }
            Phase::Flushing { until, .. } | Phase::Lingering { until, .. } => {
                if *until <= now {
                    link.phase = Phase::Gone;
                }
            }
            Phase::Gone => {}
        }
    }
}

/// When a datagram link is closed that is not heard before; a stream ends by itself.
fn silent_until(link: &OpenLink, machine: &dyn Link) -> Option<Timestamp> {
    let Socket::Datagram(path) = &link.socket else { return None };
    if path.kind == PathKind::Commons {
        return None;
    }
    let idle_s = link.permit.listener().datagrams.idle_timeout_s;
    // What is kept is the beginning of the second.
    let heard_at_s = link.traffic.heard_at_s.saturating_add(1);
    let idle_until = Timestamp::ZERO.plus_seconds(heard_at_s).plus_seconds(idle_s);
    Some(machine.quiet_until().map_or(idle_until, |quiet| quiet.max(idle_until)))
}

/// The earlier of two deadlines.
pub(crate) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
