//! Reading datagrams: whose each one is, and what becomes of it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use core_model::{LinkId, Operation, Reason, ShardId, SlotId};
use gateway_transport::{DatagramHeader, HandshakeFault};

use crate::acceptor::{Listener, Permit};
use crate::events::HostEvent;
use crate::links::{Links, LooseLink, Phase, Traffic, discard, lend};
use crate::paths::{Claim, Owner, Path, PathKey, PathKind};
use crate::rates::Pace;
use crate::reactor::{Received, Reception, Socket};
use crate::shard_loop::ShardLoop;
use crate::unread::Unread;
use crate::{
    Close, Context, LinkFacts, Operations, Output, Progress, Rebind, Sender, SenderPath, Whose,
};

/// Batches that one socket is read for in one turn.
const BATCHES_MAX: u32 = 4;
/// How many times as long as a datagram the answer to somebody unknown may be, so that nobody is
/// flooded whose address somebody else has put on it.
const ANSWER_FACTOR: usize = 3;

/// A datagram on its way to its link.
#[derive(Debug)]
pub(crate) struct Datagram<'d> {
    pub(crate) bytes: &'d [u8],
    /// Who has sent it, as seen or as a trusted proxy reports it.
    pub(crate) peer: SocketAddr,
    /// Where it comes from really.
    pub(crate) from: SocketAddr,
    /// Our address that it was sent to, where the socket has several.
    pub(crate) local: Option<IpAddr>,
    /// What a proxy says of the peer.
    pub(crate) header: Option<DatagramHeader>,
    /// The shard to whose socket it came, or which stands for that where a proxy is between.
    pub(crate) arrival: ShardId,
    /// What that shard has guessed of its address, to be settled.
    pub(crate) guess: Option<Claim>,
}

impl Datagram<'_> {
    /// Answers go the way that the last datagram came.
    pub(crate) fn refresh(&self, path: &mut Path) {
        path.local = self.local;
        if self.from == self.peer {
            path.via = None;
        } else if path.via.as_deref() != Some(&self.from) {
            path.via = Some(Box::new(self.from));
        }
    }

    fn path(&self, kind: PathKind, identity: u64) -> Path {
        let via = (self.from != self.peer).then(|| Box::new(self.from));
        let (peer, local, arrival) = (self.peer, self.local, self.arrival);
        Path { peer, via, local, arrival, kind, identity }
    }
}

/// What a machine made of one frame of a datagram.
struct Handled {
    progress: Progress,
    close: Option<Close>,
    /// Whether it has adopted the path.
    adopted: bool,
}

impl ShardLoop {
    /// Reads the sockets of datagram listeners, if links may be read at all now.
    pub(crate) fn read_datagrams(&mut self) {
        if !self.may_read() {
            return;
        }
        self.take_held();
        if !self.links.ports.is_ready(self.links.now) {
            return;
        }
        self.note_busy();
        let mut reception = std::mem::take(&mut self.reception);
        for place in 0..self.links.ports.list.len() {
            self.read_port(place, &mut reception);
        }
        self.reception = reception;
    }

    fn read_port(&mut self, place: usize, reception: &mut Reception) {
        let timing = (self.links.now, self.links.limits.accept_pause_ms);
        for batch in 0..BATCHES_MAX {
            // The first is always read, or a rush on other links would keep all datagrams out.
            if batch > 0
                && self.outgoing.is_crowded(&mut self.shard, self.links.limits.mail_per_turn_max)
            {
                return;
            }
            let Links { ports, counters, .. } = &mut self.links;
            let Some(port) = ports.list.get_mut(place).filter(|port| port.is_ready(timing.0))
            else {
                return;
            };
            let listener = Arc::clone(&port.listener);
            if !port.receive(reception, timing, counters) {
                return;
            }
            // Who answers at once answers to what has been sent after the word of whose it is.
            self.take_mail();
            for received in reception.datagrams() {
                self.take_datagram(&listener, received);
                if self.links.should_write_early() {
                    self.write_early();
                }
            }
        }
    }

    fn take_datagram(&mut self, listener: &Arc<Listener>, received: Received<'_>) {
        let Received { from, local, is_for_all, bytes } = received;
        if is_for_all && self.id != ShardId(0) {
            return;
        }
        let counters = &mut self.links.counters;
        counters.datagrams_received += 1;
        if let Some((request, answer)) = &listener.datagrams.health_check
            && **request == *bytes
        {
            let mut bytes_max = bytes.len() * ANSWER_FACTOR;
            self.links.ports.aside.frame_with(|out| out.extend_from_slice(answer));
            return self.links.send_aside(listener.number, from, local, &mut bytes_max);
        }
        let (arrival, guess) = (self.id, None);
        let mut datagram =
            Datagram { bytes, peer: from, from, local, header: None, arrival, guess };
        if let Some(proxy) = listener.entrance.as_ref().and_then(|entrance| entrance.proxy.as_ref())
        {
            match gateway_transport::read_datagram_header(proxy, from, bytes) {
                Ok(header) => {
                    datagram.bytes = bytes.get(header.len..).unwrap_or(&[]);
                    datagram.peer = header.peer;
                    datagram.header = Some(header);
                    datagram.arrival = self.arrival_of(&datagram);
                }
                Err(fault) => return self.refuse_header(listener, from, &fault),
            }
        }
        if datagram.arrival != self.id {
            let to = datagram.arrival;
            return self.forward(listener, &datagram, to);
        }
        self.route(listener, &datagram);
    }

    /// The shard that knows whose the address of a datagram is. A proxy may send those of one peer
    /// from several ports of its own, and so to the sockets of several shards: then it is not the
    /// one to whose socket they come, but the one that the peer's address names.
    fn arrival_of(&self, datagram: &Datagram<'_>) -> ShardId {
        if datagram.peer == datagram.from {
            return self.id;
        }
        // All shards have to come to the same.
        let mut hasher = DefaultHasher::new();
        datagram.peer.hash(&mut hasher);
        ShardId((hasher.finish() % u64::from(self.node.shards.max(1))) as u16)
    }

    #[cold]
    fn refuse_header(&mut self, listener: &Listener, from: SocketAddr, fault: &HandshakeFault) {
        self.links.counters.datagrams_unproxied += 1;
        let (listener, peer) = (&listener.facts.name, Some(from));
        let (part, fault) = (fault.kind.name(), &fault.text);
        HostEvent::HandshakeFailed { listener, peer, part, fault }.emit();
    }

    /// Brings a datagram to its link, which may be on another shard.
    pub(crate) fn route(&mut self, listener: &Arc<Listener>, datagram: &Datagram<'_>) {
        let key = |is_relay| PathKey::new(listener.number, datagram.peer, is_relay);
        let whose = match datagram.bytes {
            [] => Whose::Nobody,
            bytes => listener.gateway.whose(bytes),
        };
        match whose {
            Whose::Client { client_id, opens } => {
                let home = self.shard.home_of_name(listener.gateway.id(), client_id);
                if home != self.id {
                    return self.forward_guessing(listener, datagram, home);
                }
                self.take_named(listener, datagram, client_id, opens);
                self.settle_guess(key(false), datagram);
            }
            Whose::Peer | Whose::Newcomer => match self.links.ports.paths.owner(key(false)) {
                Some(Owner::Here(index)) => self.deliver(index, datagram, SenderPath::Known),
                Some(Owner::There(shard, _)) if datagram.arrival == self.id => {
                    self.forward(listener, datagram, shard);
                }
                Some(Owner::There(..)) | None if whose == Whose::Newcomer => {
                    self.open_peer(listener, datagram, PathKind::Peer, 0);
                }
                Some(Owner::There(..)) | None => self.take_stray(listener, datagram),
            },
            Whose::Relayed { opens } => match self.links.ports.paths.owner(key(true)) {
                Some(Owner::Here(index)) => self.deliver(index, datagram, SenderPath::Known),
                _ if opens => self.open_peer(listener, datagram, PathKind::Relay, 0),
                _ => self.take_stray(listener, datagram),
            },
            Whose::Nobody => self.take_stray(listener, datagram),
        }
    }

    /// A datagram that names a client whose session lives on this shard.
    fn take_named(
        &mut self,
        listener: &Arc<Listener>,
        datagram: &Datagram<'_>,
        client_id: &str,
        opens: bool,
    ) {
        let identity = self.links.ports.paths.identity(client_id);
        let key = PathKey::new(listener.number, datagram.peer, false);
        if let Some(Owner::Here(index)) = self.links.ports.paths.owner(key)
            && self.links.identity(index) == identity
        {
            return self.deliver(index, datagram, SenderPath::Known);
        }
        if opens {
            return self.open_peer(listener, datagram, PathKind::Peer, identity);
        }
        let slot = self.shard.slot_of(listener.gateway.id(), client_id);
        let index = slot.filter(|slot| self.links.has(*slot)).map(|slot| slot.link.index);
        let is_at = index.and_then(|index| self.links.is_at(index, listener.number, datagram));
        match (index, is_at) {
            (Some(index), Some(true)) => self.deliver(index, datagram, SenderPath::Known),
            (Some(index), Some(false)) if self.admit_stray(listener, datagram) => {
                let may_adopt = self.may_adopt(index, listener.facts.rebind, datagram.peer);
                self.deliver(index, datagram, SenderPath::Candidate { may_adopt });
            }
            (Some(_), Some(false)) => {}
            (_, None) | (None, _) => self.take_stray(listener, datagram),
        }
    }

    fn may_adopt(&mut self, index: u32, rebind: Rebind, peer: SocketAddr) -> bool {
        let Some(Socket::Datagram(path)) = self.links.at(index).map(|link| &link.socket) else {
            return false;
        };
        match rebind {
            Rebind::DtlsOnly => false,
            Rebind::SameIp => path.peer.ip().to_canonical() == peer.ip().to_canonical(),
            Rebind::Trust => true,
        }
    }

    /// Sends a datagram on to the home of its client. What its address is of nobody else follows it.
    fn forward_guessing(
        &mut self,
        listener: &Arc<Listener>,
        datagram: &Datagram<'_>,
        home: ShardId,
    ) {
        if datagram.arrival != self.id {
            // All shards agree on a client's home.
            return self.take_stray(listener, datagram);
        }
        let (ports, key) =
            (&mut self.links.ports, PathKey::new(listener.number, datagram.peer, false));
        let paths_max = ports.paths_max();
        let guess = ports.paths.guess(key, home, paths_max);
        let datagram = Datagram { guess, header: datagram.header.clone(), ..*datagram };
        self.forward(listener, &datagram, home);
    }

    fn forward(&mut self, listener: &Listener, datagram: &Datagram<'_>, to: ShardId) {
        self.links.counters.datagrams_forwarded += 1;
        self.outgoing.parcel(to).add(listener.number, datagram);
    }

    /// Tells the shard that has guessed whose an address is whether that has come true.
    fn settle_guess(&mut self, key: PathKey, datagram: &Datagram<'_>) {
        let Some(guess) = datagram.guess else { return };
        match self.links.ports.paths.owner(key) {
            Some(Owner::Here(index)) => self.links.take_path(index),
            Some(Owner::There(..)) | None => {
                self.links.ports.paths.deny(key, guess, datagram.arrival);
            }
        }
    }

    /// Opens a link for a peer, which gets its first datagram; or refuses it.
    fn open_peer(
        &mut self,
        listener: &Arc<Listener>,
        datagram: &Datagram<'_>,
        kind: PathKind,
        identity: u64,
    ) {
        let now = self.links.now;
        let admitted = match self.is_draining() {
            true => Err(Reason::SERVER_SHUTTING_DOWN),
            false => listener.admit_peer(datagram.peer, now),
        };
        let permit = match admitted {
            Ok(permit) => permit,
            Err(reason) => return self.refuse_peer(listener, datagram, reason),
        };
        let facts = LinkFacts {
            listener: Arc::clone(&listener.facts),
            shard: self.id,
            peer: Some(datagram.peer),
            is_relay: kind == PathKind::Relay,
            transport: datagram.header.clone().and_then(DatagramHeader::into_facts),
            client_id: None,
        };
        self.links.counters.accepted += 1;
        self.links.counters.links_opened += 1;
        let counters = self.links.per_listener.at(listener.number);
        counters.accepted += 1;
        counters.links_opened += 1;
        let link = self.insert_peer(permit, &facts, datagram.path(kind, identity));
        self.apply_pending();
        if self.links.tracer.is_some() {
            self.links.consider_trace(link.index, None, facts.peer);
        }
        HostEvent::LinkOpened { listener: &listener.facts.name, link, peer: facts.peer }.emit();
        self.deliver(link.index, datagram, SenderPath::Known);
    }

    fn insert_peer(&mut self, permit: Permit, facts: &LinkFacts, path: Path) -> LinkId {
        let (listener, now) = (permit.listener(), self.links.now);
        let machine = listener.gateway.open(facts, now);
        let loose = LooseLink {
            machine,
            pace: Pace::of_datagrams(&listener.rates, now),
            permit,
            output: Output::for_datagrams(),
            unread: Unread::Nothing,
            wire: None,
            traffic: Traffic::new(now),
            may_move: false,
        };
        let link = self.links.insert(Socket::Datagram(Box::new(path)), loose);
        self.links.take_path(link.index);
        link
    }

    /// Opens the link for what is nobody's.
    pub(crate) fn open_commons(&mut self, listener: &Arc<Listener>) {
        let now = self.links.now;
        let facts = LinkFacts {
            listener: Arc::clone(&listener.facts),
            shard: self.id,
            peer: None,
            is_relay: false,
            transport: None,
            client_id: None,
        };
        let Some(machine) = listener.gateway.open_commons(&facts, now) else { return };
        let path = Path {
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            via: None,
            local: None,
            arrival: self.id,
            kind: PathKind::Commons,
            identity: 0,
        };
        let loose = LooseLink {
            machine,
            pace: None,
            permit: listener.admit_commons(),
            output: Output::for_datagrams(),
            unread: Unread::Nothing,
            wire: None,
            traffic: Traffic::new(now),
            may_move: false,
        };
        let link = self.links.insert(Socket::Datagram(Box::new(path)), loose);
        if let Some(port) = self.links.ports.of(listener.number) {
            port.commons = Some(link.index);
        }
    }

    #[cold]
    fn refuse_peer(&mut self, listener: &Listener, datagram: &Datagram<'_>, reason: Reason) {
        self.links.counters.refused += 1;
        self.links.per_listener.at(listener.number).refused += 1;
        if !self.admit_stray(listener, datagram) {
            return;
        }
        let aside = &mut self.links.ports.aside;
        listener.gateway.refuse_datagram(datagram.bytes, reason, aside);
        let mut bytes_max = datagram.bytes.len() * ANSWER_FACTOR;
        self.links.send_aside(listener.number, datagram.from, datagram.local, &mut bytes_max);
    }

    /// Whether a datagram of no link may be looked at.
    fn admit_stray(&mut self, listener: &Listener, datagram: &Datagram<'_>) -> bool {
        let (limits, now) = (&listener.rates.source, self.links.now);
        let port = self.links.ports.of(listener.number);
        let admitted = port.is_some_and(|port| port.strays.admit(limits, datagram.peer.ip(), now));
        self.links.counters.datagrams_stray += u64::from(!admitted);
        admitted
    }

    /// A datagram that is nobody's.
    fn take_stray(&mut self, listener: &Listener, datagram: &Datagram<'_>) {
        let commons = self.links.ports.of(listener.number).and_then(|port| port.commons);
        match commons {
            Some(index) if !datagram.bytes.is_empty() => {
                if self.admit_stray(listener, datagram) {
                    self.deliver(index, datagram, SenderPath::Known);
                }
            }
            Some(_) | None => self.links.counters.datagrams_stray += 1,
        }
    }

    /// Hands a datagram to the machine of a link, and applies what that asks for.
    fn deliver(&mut self, index: u32, datagram: &Datagram<'_>, path: SenderPath) {
        let Some(aside) = self.links.begin_delivery(index, datagram, path) else { return };
        let mut sender = Sender { address: datagram.peer, path };
        let mut answer_bytes = datagram.bytes.len() * ANSWER_FACTOR;
        let mut operations = Operations::new();
        let mut rest = datagram.bytes;
        while !rest.is_empty() {
            let Some(handled) =
                self.links.input_datagram(index, rest, sender, aside, &mut operations)
            else {
                self.links.counters.datagrams_unready += 1;
                return;
            };
            let Handled { progress, close, adopted } = handled;
            if adopted {
                sender.path = SenderPath::Known;
                self.adopt_path(index, datagram);
            } else if aside {
                let (to, local) = (datagram.from, datagram.local);
                let number = self.links.at(index).map_or(0, |link| link.listener);
                self.links.send_aside(number, to, local, &mut answer_bytes);
            }
            match self.count_frame(index, &progress, &operations) {
                Some(len) => rest = rest.get(len..).unwrap_or(&[]),
                None => rest = &[],
            }
            if !operations.is_empty() {
                let moved = self.apply_all(index, &mut operations, close);
                debug_assert!(moved.is_none(), "a datagram link never moves");
            }
            if let Some(close) = close {
                self.links.close(index, close);
                self.apply_pending();
                return;
            }
        }
    }

    /// A machine has adopted the path that a datagram came on.
    fn adopt_path(&mut self, index: u32, datagram: &Datagram<'_>) {
        self.links.count_read(index, datagram.bytes.len());
        self.links.move_path(index, datagram);
        let Links { table, ports, pool, .. } = &mut self.links;
        let Some(link) = table.at_mut(index) else { return };
        lend(&mut link.output, pool);
        link.output.append_frames(&ports.aside);
        discard(&mut ports.aside, pool);
        let slot = SlotId { shard: self.id, link: link.id, number: 0 };
        let moved = Operation::Moved(datagram.peer);
        self.shard.apply(self.links.now, slot, moved, &mut self.links);
        self.apply_pending();
    }

    /// Counts what a datagram, or a part of it, came to. Returns the length of a frame.
    fn count_frame(
        &mut self,
        index: u32,
        progress: &Progress,
        operations: &Operations<'_>,
    ) -> Option<usize> {
        match progress {
            Progress::Frame(len) => {
                let number = self.links.at(index)?.listener;
                self.links.counters.frames += 1;
                let counters = self.links.per_listener.at(number);
                counters.frames += 1;
                let publishes = matches!(operations.first(), Some((_, Operation::Publish(_))));
                counters.publishes += u64::from(publishes);
                Some((*len).max(1))
            }
            Progress::Broken(error) => {
                self.refuse_input(index, error);
                None
            }
            Progress::Need(_) => {
                self.refuse_input(index, &truncated());
                None
            }
            Progress::NotReady => {
                self.links.counters.datagrams_unready += 1;
                None
            }
        }
    }
}

/// The error of a datagram that ends before its frame does.
fn truncated() -> codec_wire::DecodeError {
    codec_wire::DecodeError::new(codec_wire::ErrorKind::Malformed, 0, "datagram ends in a frame")
}

impl Links {
    /// Whose link it is, as far as that was known when it was opened.
    fn identity(&self, index: u32) -> u64 {
        match self.table.at(index).map(|link| &link.socket) {
            Some(Socket::Datagram(path)) => path.identity,
            _ => 0,
        }
    }

    /// Counts a datagram for its link and judges its rate. `None` if it is dropped; otherwise whether
    /// what the machine says goes to somebody else than the link's peer.
    fn begin_delivery(
        &mut self,
        index: u32,
        datagram: &Datagram<'_>,
        sender_path: SenderPath,
    ) -> Option<bool> {
        let now = self.now;
        let link = self.table.at_mut(index)?;
        let Socket::Datagram(path) = &mut link.socket else { return None };
        if matches!(sender_path, SenderPath::Candidate { .. }) {
            // It must not live on what may be somebody else's.
            return Some(true);
        }
        let is_commons = path.kind == PathKind::Commons;
        let len = datagram.bytes.len();
        if link.pace.as_mut().is_some_and(|pace| !pace.take_datagram(now, len)) {
            self.counters.datagrams_throttled += 1;
            self.per_listener.at(link.listener).throttled += 1;
            return None;
        }
        let mut arrives_elsewhere = false;
        if !is_commons {
            datagram.refresh(path);
            arrives_elsewhere = path.arrival != datagram.arrival;
        }
        if arrives_elsewhere {
            self.move_path(index, datagram);
        }
        self.count_read(index, len);
        Some(is_commons)
    }

    /// Lets the machine of a link handle one frame of a datagram. What it says goes to `aside` if
    /// it is not for the link's peer. `None` when it takes nothing any more.
    fn input_datagram<'a>(
        &mut self,
        index: u32,
        input: &'a [u8],
        sender: Sender,
        aside: bool,
        operations: &mut Operations<'a>,
    ) -> Option<Handled> {
        let link = self.table.at_mut(index)?;
        let Phase::Open(machine) = &mut link.phase else { return None };
        if aside {
            std::mem::swap(&mut link.output, &mut self.ports.aside);
        }
        let before = link.output.len();
        if before == 0 {
            lend(&mut link.output, &mut self.pool);
        }
        let mut close = None;
        let mut context =
            Context::new(self.now, &mut link.output, operations, &mut close).of_sender(sender);
        let progress = machine.on_input(input, &mut context);
        let adopted = context.sender().is_some_and(|s| s.path == SenderPath::Adopted);
        self.unflushed += link.output.len().saturating_sub(before);
        if self.tracer.is_some() {
            self.trace_input(index, input, &progress, operations, before);
        }
        if aside && let Some(link) = self.table.at_mut(index) {
            std::mem::swap(&mut link.output, &mut self.ports.aside);
        }
        self.touch(index);
        Some(Handled { progress, close, adopted })
    }
}
