use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use core_broker::{LookupId, Sink};
use core_model::{Event, LinkId, Lookup, Operation, Reason, ShardId, SlotId, Timestamp};

use crate::acceptor::Permit;
use crate::events::HostEvent;
use crate::holders::Holders;
use crate::pool::Pool;
use crate::ports::Ports;
use crate::rates::Pace;
use crate::reactor::{ReadyList, Socket, Stream, Token};
use crate::table::Table;
use crate::timers::Timers;
use crate::trace::Tracer;
use crate::unread::Unread;
use crate::wire::{Wire, farewell};
use crate::{
    Close, Context, HostCounters, HostLimits, Link, Operations, Output, PerListener, Progress,
};

/// Milliseconds that a filter's farewell has when a link is to be closed at once.
const FAREWELL_MS: u64 = 200;

/// One link of a shard. Small, since most links are idle.
#[derive(Debug)]
pub(crate) struct OpenLink {
    pub(crate) id: LinkId,
    pub(crate) socket: Socket,
    pub(crate) waker: Waker,
    pub(crate) phase: Phase,
    pub(crate) output: Output,
    pub(crate) unread: Unread,
    /// What its bytes go through, if they do not go as they are.
    pub(crate) wire: Option<Box<Wire>>,
    pub(crate) permit: Permit,
    /// How fast it may send, if its listener has rates.
    pub(crate) pace: Option<Box<Pace>>,
    pub(crate) traffic: Traffic,
    /// The number of its listener.
    pub(crate) listener: u16,
    /// Whether the socket takes no output; it is not tried again before its waker says so.
    pub(crate) blocked: bool,
    /// Since when output waits of which the socket has taken nothing.
    pub(crate) stalled_since: Option<Timestamp>,
    /// While the link is congested: the size beyond which its output must not grow.
    pub(crate) output_bytes_max: Option<usize>,
    /// What it holds of the shard's buffers, as last counted.
    pub(crate) counted: usize,
    /// Whether it is on the list of links that a turn has to finish.
    touched: bool,
    /// Whether it is on the list of links to read.
    pub(crate) queued: bool,
    /// Whether its machine waits for an answer before it takes more input.
    pub(crate) waiting: bool,
    /// Whether it may still move to another shard.
    pub(crate) may_move: bool,
    /// Whether it has asked for a session.
    pub(crate) connected: bool,
}

/// What went over a link, in few bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    /// Seconds since the Unix epoch.
    pub(crate) opened_at_s: u32,
    /// The same, when something was last read.
    pub(crate) heard_at_s: u32,
}

impl Traffic {
    /// Of a link that is opened now.
    pub(crate) fn new(now: Timestamp) -> Self {
        let opened_at_s = seconds(now);
        Traffic { bytes_read: 0, bytes_written: 0, opened_at_s, heard_at_s: opened_at_s }
    }

    /// Counts what a read has brought.
    #[inline]
    pub(crate) fn read(&mut self, now: Timestamp, bytes: usize) {
        self.bytes_read += bytes as u64;
        self.heard_at_s = seconds(now);
    }
}

fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_millis() / 1000).unwrap_or(u32::MAX)
}

/// How far a link's life is.
pub(crate) enum Phase {
    /// The machine is at work.
    Open(Box<dyn Link>),
    /// The machine is through; its last output is being written.
    Flushing { until: Timestamp, linger: bool },
    /// Everything is written; the peer is given time to read it and close.
    Lingering { until: Timestamp, bytes_left: usize },
    /// To be dropped at the end of the turn.
    Gone,
}

impl std::fmt::Debug for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Phase::Open(_) => "Open",
            Phase::Flushing { .. } => "Flushing",
            Phase::Lingering { .. } => "Lingering",
            Phase::Gone => "Gone",
        })
    }
}

/// A link without its place on a shard.
pub(crate) struct LooseLink {
    pub(crate) machine: Box<dyn Link>,
    pub(crate) permit: Permit,
    pub(crate) output: Output,
    pub(crate) unread: Unread,
    pub(crate) wire: Option<Box<Wire>>,
    pub(crate) pace: Option<Box<Pace>>,
    pub(crate) traffic: Traffic,
    pub(crate) may_move: bool,
}

/// A link on its way to another shard.
pub(crate) struct MovedLink {
    pub(crate) stream: Stream,
    pub(crate) link: LooseLink,
    /// What is to be applied there before anything else is read: its connect.
    pub(crate) operations: Vec<(u32, Operation<'static>)>,
}

impl std::fmt::Debug for MovedLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MovedLink").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// The links of a shard, and where the core's events reach them.
///
/// Nothing here calls the core: operations that machines ask for outside of input are collected in
/// `pending`, and the loop applies them.
pub(crate) struct Links {
    /// The time of this turn.
    pub(crate) now: Timestamp,
    pub(crate) limits: HostLimits,
    pub(crate) counters: HostCounters,
    pub(crate) per_listener: PerListener,
    /// While clients are traced.
    pub(crate) tracer: Option<Box<Tracer>>,
    pub(crate) timers: Timers,
    pub(crate) pool: Pool,
    /// The sockets of datagram listeners, which all their links share.
    pub(crate) ports: Ports,
    /// Operations to be applied next, oldest first.
    pub(crate) pending: VecDeque<(SlotId, Operation<'static>)>,
    /// Look-ups that the core wants to have run.
    pub(crate) lookups: Vec<(LookupId, Lookup)>,
    /// Links to read as soon as the rings have room.
    pub(crate) to_read: Vec<u32>,
    /// Links that something has happened to in this turn.
    pub(crate) touched: Vec<u32>,
    /// Bytes of output since the last write.
    pub(crate) unflushed: usize,
    /// Bytes that links hold from turn to turn, as last counted.
    pub(crate) buffered: usize,
    /// Who holds much of that.
    pub(crate) holders: Holders,
    pub(crate) shard: ShardId,
    ready: Arc<ReadyList>,
    pub(crate) table: Table<OpenLink>,
    next_generation: u32,
    operations: Operations<'static>,
}

impl Links {
    /// An empty table for `shard`, whose sockets report to `ready`.
    pub(crate) fn new(
        shard: ShardId,
        now: Timestamp,
        limits: HostLimits,
        ready: Arc<ReadyList>,
    ) -> Self {
        Links {
            now,
            counters: HostCounters::default(),
            per_listener: PerListener::default(),
            tracer: None,
            timers: Timers::new(now),
            pool: Pool::new(limits.pool_bytes_max),
            ports: Ports::new(shard),
            limits,
            pending: VecDeque::new(),
            lookups: Vec::new(),
            to_read: Vec::new(),
            touched: Vec::new(),
            unflushed: 0,
            buffered: 0,
            holders: Holders::default(),
            shard,
            ready,
            table: Table::new(),
            next_generation: 0,
            operations: Operations::new(),
        }
    }

    /// How many links there are, closing ones included, but not those that are nobody's.
    pub(crate) fn len(&self) -> usize {
        self.table.len() - self.ports.commons
    }

    fn count_links(&mut self) {
        self.counters.links = self.len() as u64;
    }

    /// The places of all links.
    pub(crate) fn indices(&self) -> Vec<u32> {
        self.table.indices().collect()
    }

    /// The link at a place.
    #[inline]
    pub(crate) fn at(&mut self, index: u32) -> Option<&mut OpenLink> {
        self.table.at_mut(index)
    }

    /// Gives a link its place, and looks for input at the next opportunity.
    pub(crate) fn insert(&mut self, socket: Socket, loose: LooseLink) -> LinkId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let ready = &self.ready;
        let is_stream = match &socket {
            Socket::Tcp(_) | Socket::Unix(_) => true,
            Socket::Datagram(path) => {
                self.ports.link_opened(loose.permit.listener().number, path);
                false
            }
        };
        let index = self.table.insert(|index| OpenLink {
            id: LinkId { index, generation },
            socket,
            waker: match is_stream {
                true => ready.waker(Token::Link(index)),
                false => Waker::noop().clone(),
            },
            phase: Phase::Open(loose.machine),
            output: loose.output,
            unread: loose.unread,
            wire: loose.wire,
            listener: loose.permit.listener().number,
            permit: loose.permit,
            pace: loose.pace,
            traffic: loose.traffic,
            blocked: false,
            stalled_since: None,
            output_bytes_max: None,
            counted: 0,
            touched: false,
            queued: false,
            // What it brings along is to be decoded even if nothing more comes.
            waiting: is_stream,
            may_move: loose.may_move,
            connected: false,
        });
        self.count_links();
        self.touch(index);
        if is_stream {
            self.queue_read(index);
        }
        LinkId { index, generation }
    }

    /// Takes a link out of the table.
    pub(crate) fn remove(&mut self, index: u32) -> Option<OpenLink> {
        let mut link = self.table.remove(index)?;
        if self.tracer.is_some() {
            self.forget_traced(index);
        }
        self.buffered -= link.counted;
        self.holders.update(index, link.counted, 0);
        self.timers.disarm(index);
        if let Socket::Datagram(path) = &link.socket {
            self.ports.link_gone(link.listener, index, path);
        }
        self.count_links();
        discard(&mut link.output, &mut self.pool);
        if let Some(wire) = &mut link.wire {
            discard(&mut wire.output, &mut self.pool);
        }
        Some(link)
    }

    /// Has the end of the turn look at a link.
    #[inline]
    pub(crate) fn touch(&mut self, index: u32) {
        if let Some(link) = self.table.at_mut(index)
            && !link.touched
        {
            link.touched = true;
            self.touched.push(index);
        }
    }

    /// Counts what a link holds now.
    pub(crate) fn recount(&mut self, index: u32) {
        let Some(link) = self.at(index) else { return };
        let wire = link.wire.as_ref().map_or(0, |wire| wire.holds());
        let holds = link.output.len() + link.unread.len() + wire;
        let before = std::mem::replace(&mut link.counted, holds);
        self.buffered = self.buffered + holds - before;
        self.holders.update(index, before, holds);
    }

    /// The end of the turn has looked at a link.
    pub(crate) fn finished(&mut self, index: u32) {
        if let Some(link) = self.table.at_mut(index) {
            link.touched = false;
        }
    }

    /// Has a link read at the next opportunity.
    #[inline]
    pub(crate) fn queue_read(&mut self, index: u32) {
        if let Some(link) = self.table.at_mut(index)
            && !link.queued
        {
            link.queued = true;
            self.to_read.push(index);
        }
    }

    /// A link is about to be read.
    pub(crate) fn dequeue_read(&mut self, index: u32) -> Option<&mut OpenLink> {
        let link = self.table.at_mut(index)?;
        link.queued = false;
        Some(link)
    }

    /// A link's socket can be read or written.
    pub(crate) fn wake(&mut self, index: u32) {
        let Some(link) = self.table.at_mut(index) else { return };
        if std::mem::take(&mut link.blocked) {
            self.touch(index);
        }
        self.queue_read(index);
    }

    /// Lets the machine of a link decode and handle one frame. `None` when it has none any more.
    #[inline]
    pub(crate) fn input<'a>(
        &mut self,
        index: u32,
        input: &'a [u8],
        operations: &mut Operations<'a>,
    ) -> Option<(Progress, Option<Close>)> {
        let link = self.table.at_mut(index)?;
        let Phase::Open(machine) = &mut link.phase else { return None };
        let before = link.output.len();
        if before == 0 {
            lend(&mut link.output, &mut self.pool);
        }
        let mut close = None;
        let mut context = Context::new(self.now, &mut link.output, operations, &mut close);
        let progress = machine.on_input(input, &mut context);
        self.unflushed += link.output.len().saturating_sub(before);
        if self.tracer.is_some() {
            self.trace_input(index, input, &progress, operations, before);
        }
        Some((progress, close))
    }

    /// Calls the machine of a link, outside of input.
    pub(crate) fn call(
        &mut self,
        index: u32,
        act: impl FnOnce(&mut dyn Link, &mut Context<'static, '_>),
    ) {
        let Some(link) = self.table.at_mut(index) else { return };
        let Phase::Open(machine) = &mut link.phase else { return };
        let before = link.output.len();
        if before == 0 {
            lend(&mut link.output, &mut self.pool);
        }
        let mut close = None;
        let operations = &mut self.operations;
        act(
            machine.as_mut(),
            &mut Context::new(self.now, &mut link.output, operations, &mut close),
        );
        self.unflushed += link.output.len().saturating_sub(before);
        let resumes = link.waiting && machine.is_ready();
        let id = link.id;
        if !link.touched {
            link.touched = true;
            self.touched.push(index);
        }
        if !self.operations.is_empty() {
            self.collect(id);
        }
        if self.tracer.is_some() {
            self.trace_output(index, before);
        }
        if let Some(close) = close {
            self.close(index, close);
        } else if resumes {
            self.queue_read(index);
        }
    }

    /// Throws away what waits to be written.
    pub(crate) fn discard_output(&mut self, index: u32) {
        if let Some(link) = self.table.at_mut(index) {
            discard(&mut link.output, &mut self.pool);
        }
    }

    /// Ends a link as its machine, or the host, wants it.
    pub(crate) fn close(&mut self, index: u32, close: Close) {
        let Some(link) = self.table.at_mut(index) else { return };
        match close {
            Close::Now(reason) if link.wire.is_some() => {
                // The filter's farewell is tried all the same: without it a WebSocket client does
                // not learn why, and a TLS client must take it for an attack.
                discard(&mut link.output, &mut self.pool);
                let until = self.now.plus_millis(FAREWELL_MS);
                self.end(index, reason, Phase::Flushing { until, linger: false });
            }
            Close::Now(reason) => self.end(index, reason, Phase::Gone),
            Close::Flush(reason) => {
                let until = self.now.plus_seconds(self.limits.close_timeout_s);
                // Closing a socket with unread input resets the connection, which may destroy what
                // the peer has not read yet: worth caring for when there is something to read.
                let linger = reason.is_error() || !link.output.is_empty() || link.wire.is_some();
                let linger = linger && !matches!(link.socket, Socket::Datagram(_));
                self.end(index, reason, Phase::Flushing { until, linger });
            }
        }
    }

    /// Ends a link whose peer is gone or sends no more: what waits is written if that can be done
    /// at once.
    pub(crate) fn lose(&mut self, index: u32) {
        let phase = Phase::Flushing { until: self.now, linger: false };
        self.end(index, Reason::UNSPECIFIED, phase);
    }

    fn end(&mut self, index: u32, reason: Reason, next: Phase) {
        let Some(link) = self.table.at_mut(index) else { return };
        if !matches!(link.phase, Phase::Open(_)) {
            return;
        }
        if self.tracer.is_some() {
            self.trace_close(index, reason);
        }
        let Some(link) = self.table.at_mut(index) else { return };
        let Phase::Open(mut machine) = std::mem::replace(&mut link.phase, next) else { return };
        link.unread = Unread::Nothing;
        if let Some(wire) = &mut link.wire {
            wire.why = farewell(reason);
        }
        let (id, listener) = (link.id, &link.permit.listener().facts.name);
        HostEvent::LinkClosed { listener, link: id, reason }.emit();
        self.depart(machine.as_mut(), id, reason);
        self.leave_path(index);
        self.touch(index);
    }

    /// Tells a machine that its link is gone; `id` names its slots.
    pub(crate) fn depart(&mut self, machine: &mut dyn Link, id: LinkId, reason: Reason) {
        let (mut nowhere, mut close) = (Output::default(), None);
        let operations = &mut self.operations;
        machine.on_close(reason, &mut Context::new(self.now, &mut nowhere, operations, &mut close));
        self.collect(id);
    }

    /// The slot of a link.
    pub(crate) fn slot(&self, link: LinkId, number: u32) -> SlotId {
        SlotId { shard: self.shard, link, number }
    }

    fn collect(&mut self, link: LinkId) {
        let shard = self.shard;
        let operations = self.operations.drain(..);
        self.pending.extend(
            operations.map(|(number, operation)| (SlotId { shard, link, number }, operation)),
        );
    }
}

impl Sink for Links {
    #[inline]
    fn event(&mut self, slot: SlotId, event: Event<'_>) {
        debug_assert_eq!(slot.shard, self.shard);
        let index = slot.link.index;
        let Some(link) = self.table.at(index) else { return };
        if link.id == slot.link {
            if matches!(event, Event::Deliver(_)) {
                self.per_listener.at(link.listener).deliveries += 1;
            }
            self.call(index, |machine, context| machine.on_event(slot.number, event, context));
        }
    }

    fn look_up(&mut self, id: LookupId, lookup: Lookup) {
        self.lookups.push((id, lookup));
    }
}

/// Gives an empty output a free buffer.
#[inline]
pub(crate) fn lend(output: &mut Output, pool: &mut Pool) {
    let mut buffer = pool.take();
    output.adopt(&mut buffer);
    pool.put(buffer);
}

/// Forgets the first `count` bytes of an output, and takes the buffer of an empty one back.
#[inline]
pub(crate) fn reclaim(output: &mut Output, count: usize, pool: &mut Pool) {
    let mut buffer = Vec::new();
    output.advance(count, &mut buffer);
    pool.put(buffer);
}

/// Throws away what waits in an output, and takes its buffer back.
pub(crate) fn discard(output: &mut Output, pool: &mut Pool) {
    let count = output.len();
    reclaim(output, count, pool);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::{Owner, Path, PathKey};
    use crate::timers::TIMER_BYTES;

    #[test]
    fn an_idle_link_is_small() {
        let bytes = size_of::<OpenLink>();
        assert!(bytes <= 320, "{bytes}");
    }

    #[test]
    fn an_idle_peer_is_small_with_its_path_and_its_timer() {
        // A table of paths is between half full and full.
        let entry = size_of::<(PathKey, Owner)>() * 3 / 2;
        let bytes = size_of::<OpenLink>() + size_of::<Path>() + entry + TIMER_BYTES;
        assert!(bytes < 450, "{bytes}");
    }
}
