//! What shards send each other for datagram links: datagrams that came to the socket of another
//! shard than their link's, and whose the addresses are.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use core_model::{Reason, ShardId};
use gateway_transport::DatagramHeader;

use crate::Close;
use crate::datagrams::Datagram;
use crate::links::Links;
use crate::paths::{Claim, PathKey, PathKind, PathNews};
use crate::reactor::Socket;
use crate::shard_loop::ShardLoop;

/// Parcels with datagrams that wait until links may be read; more are dropped.
const HELD_MAX: usize = 64;

/// Everything of one turn for one other shard.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    news: Vec<PathNews>,
    heads: Vec<Head>,
    /// All datagrams, one behind the other.
    bytes: Vec<u8>,
}

/// What is known of a forwarded datagram.
#[derive(Debug)]
struct Head {
    listener: u16,
    peer: SocketAddr,
    from: SocketAddr,
    local: Option<IpAddr>,
    header: Option<DatagramHeader>,
    arrival: ShardId,
    guess: Option<Claim>,
    len: usize,
}

impl Parcel {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.news.is_empty() && self.heads.is_empty()
    }

    /// Adds a word about an address.
    pub(crate) fn tell(&mut self, news: PathNews) {
        self.news.push(news);
    }

    /// Adds a datagram of a listener.
    pub(crate) fn add(&mut self, listener: u16, datagram: &Datagram<'_>) {
        self.bytes.extend_from_slice(datagram.bytes);
        self.heads.push(Head {
            listener,
            peer: datagram.peer,
            from: datagram.from,
            local: datagram.local,
            header: datagram.header.clone(),
            arrival: datagram.arrival,
            guess: datagram.guess,
            len: datagram.bytes.len(),
        });
    }
}

/// Parcels of other shards whose datagrams wait.
pub(crate) type Held = VecDeque<Parcel>;

impl ShardLoop {
    /// Hands over the words about addresses, before anything is written in this turn: the peer may
    /// answer that, and the shard to whose socket the answer comes must know by then whose it is.
    pub(crate) fn hand_over_news(&mut self) {
        if !self.links.ports.paths.news.is_empty() {
            self.hand_over();
        }
    }

    /// Puts the words about addresses into the mail of this turn.
    pub(crate) fn pack_news(&mut self) {
        for (to, news) in self.links.ports.paths.news.drain(..) {
            self.outgoing.parcel(to).tell(news);
        }
    }

    /// Takes a parcel of another shard.
    pub(crate) fn take_parcel(&mut self, from: ShardId, mut parcel: Parcel) {
        for news in parcel.news.drain(..) {
            if let Some((index, generation)) = self.links.ports.paths.receive(from, news) {
                self.links.lose_path(index, generation);
                self.apply_pending();
            }
        }
        if parcel.heads.is_empty() {
            return;
        }
        if self.held.is_empty() && self.may_read() {
            self.unpack(&parcel);
        } else if self.held.len() < HELD_MAX {
            self.held.push_back(parcel);
        } else {
            self.links.counters.datagrams_crowded += parcel.heads.len() as u64;
            for head in &parcel.heads {
                self.deny_guess(head);
            }
        }
    }

    /// Goes on with the parcels that have waited.
    pub(crate) fn take_held(&mut self) {
        while let Some(parcel) = self.held.pop_front() {
            self.unpack(&parcel);
            if self.outgoing.is_crowded(&mut self.shard, self.links.limits.mail_per_turn_max) {
                return;
            }
        }
    }

    fn unpack(&mut self, parcel: &Parcel) {
        let mut rest = parcel.bytes.as_slice();
        for head in &parcel.heads {
            let (bytes, behind) = rest.split_at(head.len.min(rest.len()));
            rest = behind;
            let Some(port) = self.links.ports.of(head.listener) else {
                // Its listener is gone, or not here yet.
                self.deny_guess(head);
                continue;
            };
            let listener = Arc::clone(&port.listener);
            let datagram = Datagram {
                bytes,
                peer: head.peer,
                from: head.from,
                local: head.local,
                header: head.header.clone(),
                arrival: head.arrival,
                guess: head.guess,
            };
            self.route(&listener, &datagram);
        }
    }

    fn deny_guess(&mut self, head: &Head) {
        if let Some(guess) = head.guess {
            let key = PathKey::new(head.listener, head.peer, false);
            self.links.ports.paths.deny(key, guess, head.arrival);
        }
    }
}

/// Which address a link has.
impl Links {
    /// A link gets what comes from its path; who had that is closed.
    pub(crate) fn take_path(&mut self, index: u32) {
        let Some(link) = self.table.at(index) else { return };
        let Socket::Datagram(path) = &link.socket else { return };
        let Some(key) = path.key(link.listener) else { return };
        let (id, arrival) = (link.id, path.arrival);
        let displaced = self.ports.paths.take(key, (id.index, id.generation), arrival);
        if let Some(displaced) = displaced {
            self.lose_path(displaced, None);
        }
    }

    /// A link gets nothing more from its path.
    pub(crate) fn leave_path(&mut self, index: u32) {
        let Some(link) = self.table.at(index) else { return };
        let Socket::Datagram(path) = &link.socket else { return };
        let Some(key) = path.key(link.listener) else { return };
        self.ports.paths.leave(key, (link.id.index, link.id.generation), path.arrival);
    }

    /// A link, if it is of this generation, has lost its address to another, and with it its peer.
    pub(crate) fn lose_path(&mut self, index: u32, generation: Option<u32>) {
        let Some(link) = self.at(index) else { return };
        if generation.is_none_or(|generation| generation == link.id.generation) {
            self.close(index, Close::Now(Reason::UNSPECIFIED));
        }
    }

    /// The peer of a link is where `datagram` comes from.
    pub(crate) fn move_path(&mut self, index: u32, datagram: &Datagram<'_>) {
        self.leave_path(index);
        let Some(link) = self.at(index) else { return };
        let Socket::Datagram(path) = &mut link.socket else { return };
        path.peer = datagram.peer;
        path.arrival = datagram.arrival;
        datagram.refresh(path);
        self.take_path(index);
        if self.tracer.is_some() {
            self.trace_peer(index, datagram.peer);
        }
    }

    /// Whether the link at `index` is one peer's, and whether it is at the same address.
    pub(crate) fn is_at(&self, index: u32, listener: u16, datagram: &Datagram<'_>) -> Option<bool> {
        let link = self.table.at(index).filter(|link| link.listener == listener)?;
        let Socket::Datagram(path) = &link.socket else { return None };
        let key = PathKey::new(listener, datagram.peer, false);
        (path.kind == PathKind::Peer).then(|| path.key(listener) == Some(key))
    }
}
