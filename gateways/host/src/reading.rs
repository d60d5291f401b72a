use core_model::{LinkId, Operation, Reason, ShardId};
use gateway_transport::FilterFault;

use crate::events::HostEvent;
use crate::links::{LooseLink, MovedLink, OpenLink, Phase};
use crate::outgoing::Arrival;
use crate::shard_loop::ShardLoop;
use crate::unread::{Buffer, Unread};
use crate::wire::{Input, Passage};
use crate::{Close, Operations, Progress};

/// What a link's input came to.
struct Decoding {
    /// Bytes that were taken.
    used: usize,
    /// Size of the frame that follows, as far as known.
    need: usize,
    stop: Stop,
}

/// What one read brought.
struct Fetched {
    /// Bytes from the socket.
    read: usize,
    /// Bytes for the machine.
    new: usize,
    /// Bytes that were asked for.
    room: usize,
    /// Whether nothing more comes.
    over: bool,
}

/// What was in it.
#[derive(Default)]
struct Handled {
    frames: u64,
    messages: u32,
}

enum Stop {
    /// More bytes are needed.
    Starved,
    /// The machine waits for an answer.
    NotReady,
    /// The link is too fast, and the rest waits.
    TooFast,
    /// The link is closing.
    Ended,
    /// The link belongs to another shard, where these operations are to be applied first.
    Move { to: ShardId, operations: Vec<(u32, Operation<'static>)> },
}

/// Reads once; says how much came, and whether that was the end.
#[inline]
fn read_once(link: &mut OpenLink, room: &mut [u8]) -> (usize, bool) {
    let read = if room.is_empty() { Ok(None) } else { link.socket.read(&link.waker, room) };
    match read {
        Ok(Some(0)) | Err(_) => (0, true),
        Ok(Some(count)) => (count, false),
        Ok(None) => (0, false),
    }
}

/// Reading: one read per link and turn, and everything that it brought.
impl ShardLoop {
    /// Reads the links that are ready, if links may be read at all now.
    pub(crate) fn read_links(&mut self) {
        if self.links.to_read.is_empty() || !self.may_read() {
            return;
        }
        let mut reading =
            std::mem::replace(&mut self.links.to_read, std::mem::take(&mut self.reading));
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut rest = reading.drain(..);
        for index in rest.by_ref() {
            self.read_link(index, &mut scratch);
            if self.outgoing.is_crowded(&mut self.shard, self.links.limits.mail_per_turn_max) {
                break;
            }
        }
        // Those that this turn did not come to are first in the next one.
        if rest.len() > 0 {
            let queued = std::mem::take(&mut self.links.to_read);
            self.links.to_read = rest.chain(queued).collect();
        } else {
            drop(rest);
            self.reading = reading;
        }
        self.scratch = scratch;
    }

    fn read_link(&mut self, index: u32, scratch: &mut Buffer) {
        let Some(link) = self.links.dequeue_read(index) else { return };
        match &link.phase {
            // An event will queue it again.
            Phase::Open(machine) if link.waiting && !machine.is_ready() => return,
            Phase::Open(_) => {}
            Phase::Lingering { .. } => return self.discard(index, scratch),
            Phase::Flushing { .. } | Phase::Gone => return,
        }
        if link.pace.is_some() && !self.links.may_go_on(index) {
            return;
        }
        let Some(link) = self.links.at(index) else { return };
        if link.wire.is_some() {
            return self.read_through(index, scratch.len());
        }
        match std::mem::take(&mut link.unread) {
            Unread::Growing(mut own) => {
                own.grow(scratch.len());
                // The end of the turn counts what it holds.
                self.links.touch(index);
                if let Some((decoding, _)) = self.read_into(index, &mut own) {
                    self.after_own(index, decoding, own, scratch.len());
                } else if let Some(link) = self.links.at(index) {
                    link.unread = Unread::Growing(own);
                }
            }
            Unread::Short(bytes) => {
                scratch.start_with(&bytes);
                match self.read_into(index, scratch) {
                    Some((decoding, read)) => self.after_scratch(index, decoding, read, scratch),
                    None => {
                        if let Some(link) = self.links.at(index) {
                            link.unread = Unread::Short(bytes);
                        }
                    }
                }
            }
            Unread::Nothing => {
                scratch.start_with(&[]);
                if let Some((decoding, read)) = self.read_into(index, scratch) {
                    self.after_scratch(index, decoding, read, scratch);
                }
            }
        }
    }

    /// Reads once into `buffer` and decodes what it has then. `None` when there is nothing new. The
    /// number is what the read brought.
    fn read_into(&mut self, index: u32, buffer: &mut Buffer) -> Option<(Decoding, usize)> {
        let now = self.links.now;
        let link = self.links.at(index)?;
        let resumed = std::mem::take(&mut link.waiting);
        let mut room = buffer.room();
        if let Some(pace) = &mut link.pace {
            // What waits already comes first.
            let allowed = if resumed { 0 } else { pace.bytes_allowed(now) };
            let end = room.len().min(allowed);
            room = room.get_mut(..end).unwrap_or_default();
        }
        let room_len = room.len();
        let (count, over) = read_once(link, room);
        buffer.fill(count);
        if count > 0 {
            self.links.count_read(index, count);
        }
        let fetched = Fetched { read: count, new: count, room: room_len, over };
        self.take_in(index, buffer, resumed, fetched)
    }

    /// Decodes what was fetched, and looks after the next read. `None` when there is nothing new.
    #[inline]
    fn take_in(
        &mut self,
        index: u32,
        buffer: &Buffer,
        resumed: bool,
        fetched: Fetched,
    ) -> Option<(Decoding, usize)> {
        let Fetched { read, new, room, over } = fetched;
        let decoding = if buffer.is_worth_decoding() && (new > 0 || resumed) {
            self.links.touch(index);
            Some(self.decode(index, buffer.filled()))
        } else {
            None
        };
        let link = self.links.at(index)?;
        let stopped = decoding.as_ref().is_some_and(|d| !matches!(d.stop, Stop::Starved));
        if stopped {
            return decoding.map(|decoding| (decoding, new));
        }
        if over {
            self.end_of_input(index);
        } else if read == room || (read > 0 && link.socket.watch(&link.waker)) {
            // The read may have left something behind: go on in the next turn, after the others.
            self.links.queue_read(index);
        }
        decoding.map(|decoding| (decoding, new))
    }

    #[cold]
    fn end_of_input(&mut self, index: u32) {
        let Some(link) = self.links.at(index) else { return };
        let input = link.wire.as_ref().map_or(Input::Open, |wire| wire.input);
        if input != Input::Open {
            // The filter has answered already, and carries nothing more.
            self.links.discard_output(index);
        }
        match input {
            Input::Broken => self.links.close(index, Close::Flush(Reason::MALFORMED)),
            Input::Open | Input::Ended => self.links.lose(index),
        }
    }

    /// Reads a link once through its filter, and decodes what came out.
    fn read_through(&mut self, index: u32, shared_len: usize) {
        let Some(link) = self.links.at(index) else { return };
        let unread = std::mem::take(&mut link.unread);
        let mut passage = std::mem::take(&mut self.passage);
        let mut plain = std::mem::take(&mut passage.plain);
        match unread {
            Unread::Growing(mut own) => {
                if let Some((decoding, _)) =
                    self.pass_into(index, &mut own, &mut passage, shared_len)
                {
                    self.after_own(index, decoding, own, shared_len);
                } else if let Some(link) = self.links.at(index) {
                    link.unread = Unread::Growing(own);
                }
            }
            unread => {
                plain.restart_with(match &unread {
                    Unread::Short(bytes) => bytes,
                    _ => &[],
                });
                if let Some((decoding, new)) =
                    self.pass_into(index, &mut plain, &mut passage, shared_len)
                {
                    let kept = plain.keep(decoding.used, decoding.need, new, shared_len);
                    self.after_decoding(index, decoding.stop, kept);
                } else if let Some(link) = self.links.at(index) {
                    link.unread = unread;
                }
            }
        }
        passage.plain = plain;
        self.passage = passage;
    }

    /// The same as [`Self::read_into`], through the link's filter.
    fn pass_into(
        &mut self,
        index: u32,
        buffer: &mut Buffer,
        passage: &mut Passage,
        shared_len: usize,
    ) -> Option<(Decoding, usize)> {
        let now = self.links.now;
        passage.wire.resize(shared_len, 0);
        let link = self.links.at(index)?;
        let resumed = std::mem::take(&mut link.waiting);
        let is_open = link.wire.as_ref()?.input == Input::Open;
        // What waits already comes first, so that it does not grow from answer to answer.
        let reads = is_open && (!resumed || buffer.filled().is_empty());
        let allowed = match &mut link.pace {
            Some(pace) if reads => pace.bytes_allowed(now),
            _ if reads => usize::MAX,
            _ => 0,
        };
        let end = passage.wire.len().min(allowed);
        let room = passage.wire.get_mut(..end).unwrap_or_default();
        let room_len = room.len();
        let (count, over) = read_once(link, room);
        let mut fetched = Fetched { read: count, new: 0, room: room_len, over: over || !is_open };
        if count > 0 {
            self.links.count_read(index, count);
            // Whatever the filter says or holds now, the end of the turn looks at it.
            self.links.touch(index);
            let link = self.links.at(index)?;
            let (wire, before) = (link.wire.as_mut()?, buffer.filled().len());
            let arrived = room.get_mut(..count).unwrap_or_default();
            let passed = wire.incoming(arrived, buffer, &mut passage.reply);
            fetched.new = buffer.filled().len() - before;
            fetched.over |= wire.input != Input::Open;
            if let Err(fault) = passed {
                self.refuse_wire(index, &fault);
            }
        }
        self.take_in(index, buffer, resumed, fetched)
    }

    #[cold]
    fn refuse_wire(&mut self, index: u32, fault: &FilterFault) {
        self.links.counters.input_refused += 1;
        let Some(link) = self.links.table.at(index) else { return };
        let listener = link.permit.listener();
        self.links.per_listener.at(listener.number).input_refused += 1;
        let listener = &listener.facts.name;
        HostEvent::FilterFailed { listener, link: link.id, fault }.emit();
    }

    fn after_own(&mut self, index: u32, decoding: Decoding, mut own: Box<Buffer>, shared: usize) {
        own.consume(decoding.used, decoding.need);
        let kept = if own.fits_into(shared) {
            own.keep(0, decoding.need, usize::MAX, shared)
        } else {
            Unread::Growing(own)
        };
        self.after_decoding(index, decoding.stop, kept);
    }

    fn after_scratch(&mut self, index: u32, decoding: Decoding, read: usize, scratch: &Buffer) {
        let kept = scratch.keep(decoding.used, decoding.need, read, scratch.len());
        self.after_decoding(index, decoding.stop, kept);
    }

    fn after_decoding(&mut self, index: u32, stop: Stop, kept: Unread) {
        let Some(link) = self.links.at(index) else { return };
        match stop {
            Stop::Starved | Stop::NotReady | Stop::TooFast
                if matches!(link.phase, Phase::Open(_)) =>
            {
                link.unread = kept;
                link.waiting = !matches!(stop, Stop::Starved);
                if matches!(stop, Stop::TooFast) {
                    self.links.queue_read(index);
                }
            }
            Stop::Starved | Stop::NotReady | Stop::TooFast | Stop::Ended => {}
            Stop::Move { to, operations } => self.move_link(index, to, operations, kept),
        }
    }

    /// Decodes and handles the frames at the start of `input`, and applies what they ask for one by
    /// one, so that each frame meets a machine that knows of the answers to those before it.
    fn decode(&mut self, index: u32, input: &[u8]) -> Decoding {
        let now = self.links.now;
        let Some(link) = self.links.at(index) else {
            return Decoding { used: 0, need: 0, stop: Stop::Ended };
        };
        let number = link.listener;
        let allowed = link.pace.as_mut().map_or(u32::MAX, |pace| pace.messages_allowed(now));
        let mut handled = Handled::default();
        let decoding = self.decode_up_to(index, input, allowed, &mut handled);
        self.links.counters.frames += handled.frames;
        let counters = self.links.per_listener.at(number);
        counters.frames += handled.frames;
        counters.publishes += u64::from(handled.messages);
        if allowed < u32::MAX {
            self.links.spend_messages(index, handled.messages);
        }
        decoding
    }

    /// The same, until `messages_max` messages were published.
    fn decode_up_to<'a>(
        &mut self,
        index: u32,
        input: &'a [u8],
        messages_max: u32,
        handled: &mut Handled,
    ) -> Decoding {
        let mut operations: Operations<'a> = Operations::new();
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or(&[]);
            if rest.is_empty() {
                return Decoding { used, need: 0, stop: Stop::Starved };
            }
            if handled.messages >= messages_max {
                return Decoding { used, need: 0, stop: Stop::TooFast };
            }
            let Some((progress, close)) = self.links.input(index, rest, &mut operations) else {
                return Decoding { used, need: 0, stop: Stop::Ended };
            };
            let mut close = close;
            let mut stop = None;
            match progress {
                Progress::Frame(len) => {
                    debug_assert!(len > 0 && len <= rest.len());
                    used += len.max(1);
                    handled.frames += 1;
                }
                Progress::Need(need) => stop = Some((need, Stop::Starved)),
                Progress::NotReady => stop = Some((0, Stop::NotReady)),
                Progress::Broken(error) => {
                    self.refuse_input(index, &error);
                    close.get_or_insert(Close::Now(Reason::MALFORMED));
                }
            }
            if let Some((_, Operation::Publish(_))) = operations.first() {
                handled.messages += 1;
            }
            if !operations.is_empty()
                && let Some((to, operations)) = self.apply_all(index, &mut operations, close)
            {
                return Decoding { used, need: 0, stop: Stop::Move { to, operations } };
            }
            if let Some(close) = close {
                self.links.close(index, close);
                self.apply_pending();
                return Decoding { used, need: 0, stop: Stop::Ended };
            }
            if let Some((need, stop)) = stop {
                return Decoding { used, need, stop };
            }
            if self.links.should_write_early() {
                self.write_early();
            }
        }
    }

    /// Applies the operations of one frame; or says where the link has to go first, and with what.
    #[inline]
    pub(crate) fn apply_all<'a>(
        &mut self,
        index: u32,
        operations: &mut Operations<'a>,
        close: Option<Close>,
    ) -> Option<(ShardId, Vec<(u32, Operation<'static>)>)> {
        let id = self.links.at(index)?.id;
        if operations.iter().any(|(_, operation)| matches!(operation, Operation::Connect(_))) {
            return self.apply_connect(id, operations, close);
        }
        // The common case, with one copy of a large value less.
        if operations.len() == 1
            && let Some((number, operation)) = operations.pop()
        {
            let slot = self.links.slot(id, number);
            self.shard.apply(self.links.now, slot, operation, &mut self.links);
            self.apply_pending();
            return None;
        }
        // What the machine asks for meanwhile, when events reach it, comes after all of them.
        for (number, operation) in operations.drain(..) {
            let slot = self.links.slot(id, number);
            self.shard.apply(self.links.now, slot, operation, &mut self.links);
        }
        self.apply_pending();
        None
    }

    /// The same for operations with a connect among them.
    #[cold]
    fn apply_connect<'a>(
        &mut self,
        id: LinkId,
        operations: &mut Operations<'a>,
        close: Option<Close>,
    ) -> Option<(ShardId, Vec<(u32, Operation<'static>)>)> {
        let mut rest = operations.drain(..);
        while let Some((number, operation)) = rest.next() {
            if let Operation::Connect(connect) = &operation {
                let home = connect.key().map(|key| self.shard.home_of(&key));
                let link = self.links.at(id.index)?;
                if let Some(to) = home.filter(|to| *to != self.id)
                    && link.may_move
                    && number == 0
                    && close.is_none()
                {
                    let first = std::iter::once((number, operation));
                    let all = first.chain(rest).map(|(number, o)| (number, o.detach()));
                    return Some((to, all.collect()));
                }
                link.may_move = false;
                link.connected = true;
            }
            let slot = self.links.slot(id, number);
            self.shard.apply(self.links.now, slot, operation, &mut self.links);
        }
        drop(rest);
        self.apply_pending();
        None
    }

    #[cold]
    pub(crate) fn refuse_input(&mut self, index: u32, error: &codec_wire::DecodeError) {
        self.links.counters.input_refused += 1;
        if let Some(link) = self.links.at(index) {
            let number = link.listener;
            let listener = &link.permit.listener().facts.name;
            HostEvent::InputRefused { listener, link: link.id, error }.emit();
            self.links.per_listener.at(number).input_refused += 1;
        }
    }

    /// Sends a link to the home shard of its session.
    fn move_link(
        &mut self,
        index: u32,
        to: ShardId,
        operations: Vec<(u32, Operation<'static>)>,
        unread: Unread,
    ) {
        let Some(link) = self.links.at(index) else { return };
        let (output, wire) = (std::mem::take(&mut link.output), link.wire.take());
        let Some(link) = self.links.remove(index) else { return };
        let Phase::Open(mut machine) = link.phase else { return };
        match link.socket.release() {
            Ok(stream) => {
                HostEvent::LinkMoved { link: link.id, to }.emit();
                let (permit, pace, traffic) = (link.permit, link.pace, link.traffic);
                let may_move = false;
                let link =
                    LooseLink { machine, permit, output, unread, wire, pace, traffic, may_move };
                let moved = Box::new(MovedLink { stream, link, operations });
                self.outgoing.send(to, Arrival::Moved(moved));
            }
            Err(_) => {
                self.links.depart(machine.as_mut(), link.id, Reason::UNSPECIFIED);
                self.apply_pending();
            }
        }
    }

    /// Reads and throws away what a peer still sends after our farewell.
    fn discard(&mut self, index: u32, scratch: &mut Buffer) {
        scratch.start_with(&[]);
        let room = scratch.room();
        let room_len = room.len();
        let Some(link) = self.links.at(index) else { return };
        let Phase::Lingering { bytes_left, .. } = &mut link.phase else { return };
        match link.socket.read(&link.waker, room) {
            Ok(None) => {}
            Ok(Some(count)) if count > 0 && count < *bytes_left => {
                *bytes_left -= count;
                if count == room_len || link.socket.watch(&link.waker) {
                    self.links.queue_read(index);
                }
            }
            Ok(Some(_)) | Err(_) => {
                link.phase = Phase::Gone;
                self.links.touch(index);
            }
        }
    }
}
