//! Who gets the datagrams of an address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use core_model::ShardId;

/// Where the peer of a datagram link is.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// As seen or as a trusted proxy reports it; of no use where there is no peer.
    pub(crate) peer: SocketAddr,
    /// The proxy to which answers go, where there is one.
    pub(crate) via: Option<Box<SocketAddr>>,
    /// Our address that the peer has sent to, where the socket has several.
    pub(crate) local: Option<IpAddr>,
    /// The shard to whose socket the peer's datagrams come.
    pub(crate) arrival: ShardId,
    pub(crate) kind: PathKind,
    /// Of the client that the link was opened for; 0 if it was not named.
    pub(crate) identity: u64,
}

/// Who is at the other end of a datagram link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathKind {
    /// One peer.
    Peer,
    /// Somebody who relays for many clients.
    Relay,
    /// Nobody in particular: the link takes what is nobody's.
    Commons,
}

impl Path {
    /// Where its datagrams go.
    pub(crate) fn destination(&self) -> SocketAddr {
        self.via.as_deref().copied().unwrap_or(self.peer)
    }

    /// Its place in the table; `None` for the link of nobody. `listener` is the listener's number.
    pub(crate) fn key(&self, listener: u16) -> Option<PathKey> {
        match self.kind {
            PathKind::Peer => Some(PathKey::new(listener, self.peer, false)),
            PathKind::Relay => Some(PathKey::new(listener, self.peer, true)),
            PathKind::Commons => None,
        }
    }
}

/// The peers of a listener at an address, in few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PathKey {
    ip: Ipv6Addr,
    scope: u32,
    port: u16,
    listener: u16,
    is_relay: bool,
}

impl PathKey {
    /// Of `peer`, or of the clients that it relays for.
    pub(crate) fn new(listener: u16, peer: SocketAddr, is_relay: bool) -> Self {
        let (ip, scope) = match peer {
            SocketAddr::V4(peer) => (peer.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(peer) => (*peer.ip(), peer.scope_id()),
        };
        PathKey { ip, scope, port: peer.port(), listener, is_relay }
    }
}

/// Who gets the datagrams of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The link at this place of the shard's table.
    Here(u32),
    /// A link of another shard.
    There(ShardId, Claim),
}

/// Why an address belongs to another shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A datagram went there whose sender will have a link there, or not. The number tells this
    /// guess from others; the other shard confirms it or takes it back.
    Guess(u32),
    /// The link of this generation has it.
    Link(u32),
}

/// What shards tell each other of an address, at which the datagrams of one peer come to one of them
/// while the link may be on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathNews {
    /// The link of this generation is the sender's, and gets what comes from there.
    Taken(PathKey, u32),
    /// It no longer is, or never was.
    Left(PathKey, Claim),
    /// Somebody else has the address now, and no longer the receiver's link of this generation.
    Lost(PathKey, u32),
}

/// Who gets the datagrams of each address, as one shard knows it: of those that come to its socket,
/// and of those of its links.
#[derive(Debug)]
pub(crate) struct Paths {
    shard: ShardId,
    owners: HashMap<PathKey, Owner>,
    guesses: u32,
    /// For other shards, in order.
    pub(crate) news: Vec<(ShardId, PathNews)>,
    identities: RandomState,
}

impl Paths {
    /// Nobody's yet, on `shard`.
    pub(crate) fn new(shard: ShardId) -> Self {
        Paths {
            shard,
            owners: HashMap::new(),
            guesses: 0,
            news: Vec::new(),
            identities: RandomState::new(),
        }
    }

    /// A number for the client's name that no other name has, as far as it can be helped; never 0.
    pub(crate) fn identity(&self, client_id: &str) -> u64 {
        self.identities.hash_one(client_id).max(1)
    }

    /// Who gets the datagrams of an address.
    pub(crate) fn owner(&self, key: PathKey) -> Option<Owner> {
        self.owners.get(&key).copied()
    }

    /// A datagram goes to shard `to`: if its address is nobody's, what follows goes there too until
    /// that shard has spoken. No guess is made when there are `paths_max` paths already. Returns the
    /// guess that the other shard is to settle, if there is one.
    pub(crate) fn guess(&mut self, key: PathKey, to: ShardId, paths_max: usize) -> Option<Claim> {
        let is_full = self.owners.len() >= paths_max;
        match self.owners.entry(key) {
            Entry::Occupied(entry) => match *entry.get() {
                Owner::There(shard, guess @ Claim::Guess(_)) if shard == to => Some(guess),
                Owner::Here(_) | Owner::There(..) => None,
            },
            Entry::Vacant(entry) if !is_full => {
                self.guesses = self.guesses.wrapping_add(1);
                let guess = Claim::Guess(self.guesses);
                entry.insert(Owner::There(to, guess));
                Some(guess)
            }
            Entry::Vacant(_) => None,
        }
    }

    /// The link at `index` gets what comes from an address to shard `arrival`. Returns the place of
    /// the link of this shard that had it.
    pub(crate) fn take(
        &mut self,
        key: PathKey,
        (index, generation): (u32, u32),
        arrival: ShardId,
    ) -> Option<u32> {
        let before = self.owners.insert(key, Owner::Here(index));
        let displaced = self.displace(key, before).filter(|other| *other != index);
        if arrival != self.shard {
            self.news.push((arrival, PathNews::Taken(key, generation)));
        }
        displaced
    }

    /// The link at `index` is closed or has another address.
    pub(crate) fn leave(
        &mut self,
        key: PathKey,
        (index, generation): (u32, u32),
        arrival: ShardId,
    ) {
        if self.owners.get(&key) == Some(&Owner::Here(index)) {
            self.owners.remove(&key);
        }
        if arrival != self.shard {
            self.news.push((arrival, PathNews::Left(key, Claim::Link(generation))));
        }
    }

    /// What another shard guessed has not come true.
    pub(crate) fn deny(&mut self, key: PathKey, guess: Claim, arrival: ShardId) {
        self.news.push((arrival, PathNews::Left(key, guess)));
    }

    /// Takes what shard `from` says. Returns the place of the link that has lost its address by it,
    /// with its generation if only that one is meant.
    pub(crate) fn receive(&mut self, from: ShardId, news: PathNews) -> Option<(u32, Option<u32>)> {
        match news {
            PathNews::Taken(key, generation) => {
                let owner = Owner::There(from, Claim::Link(generation));
                let before = self.owners.insert(key, owner).filter(|before| *before != owner);
                Some((self.displace(key, before)?, None))
            }
            PathNews::Left(key, claim) => {
                if self.owners.get(&key) == Some(&Owner::There(from, claim)) {
                    self.owners.remove(&key);
                }
                None
            }
            PathNews::Lost(key, generation) => match self.owners.get(&key) {
                Some(Owner::Here(index)) => Some((*index, Some(generation))),
                Some(Owner::There(..)) | None => None,
            },
        }
    }

    /// Forgets all addresses of a listener.
    pub(crate) fn forget_listener(&mut self, number: u16) {
        self.owners.retain(|key, _| key.listener != number);
    }

    /// Tells the owner that an address had. Returns its place if it is a link of this shard.
    fn displace(&mut self, key: PathKey, before: Option<Owner>) -> Option<u32> {
        match before? {
            Owner::Here(index) => Some(index),
            Owner::There(shard, Claim::Link(generation)) => {
                self.news.push((shard, PathNews::Lost(key, generation)));
                None
            }
            // That shard speaks later, and has the address then.
            Owner::There(_, Claim::Guess(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);
    const C: ShardId = ShardId(2);

    fn key(port: u16) -> PathKey {
        PathKey::new(3, SocketAddr::from(([192, 0, 2, 1], port)), false)
    }

    fn link(owner: ShardId, generation: u32) -> Option<Owner> {
        Some(Owner::There(owner, Claim::Link(generation)))
    }

    #[test]
    fn keys_tell_listeners_relays_and_scopes_apart_but_not_the_forms_of_an_address() {
        let peer = |text: &str| text.parse::<SocketAddr>().unwrap();
        let of = |text| PathKey::new(3, peer(text), false);
        assert_eq!(of("192.0.2.1:5"), of("[::ffff:192.0.2.1]:5"));
        assert_ne!(of("192.0.2.1:5"), of("192.0.2.1:6"));
        assert_ne!(of("192.0.2.1:5"), PathKey::new(3, peer("192.0.2.1:5"), true));
        assert_ne!(of("192.0.2.1:5"), PathKey::new(4, peer("192.0.2.1:5"), false));
        assert_ne!(of("[fe80::1%1]:5"), of("[fe80::1%2]:5"));
    }

    #[test]
    fn a_guess_is_confirmed_or_taken_back_and_never_by_a_late_word() {
        let mut paths = Paths::new(A);
        let first = paths.guess(key(1), B, 10).unwrap();
        assert_eq!(paths.guess(key(1), B, 10), Some(first), "the same guess again");
        assert_eq!(paths.guess(key(1), C, 10), None, "an owner is not guessed away");
        paths.receive(B, PathNews::Left(key(1), first));
        assert_eq!(paths.owner(key(1)), None);
        let second = paths.guess(key(1), B, 10).unwrap();
        paths.receive(B, PathNews::Left(key(1), first));
        assert_eq!(paths.owner(key(1)), Some(Owner::There(B, second)));
        paths.receive(B, PathNews::Taken(key(1), 7));
        assert_eq!(paths.owner(key(1)), link(B, 7));
        for late in [second, Claim::Link(6)] {
            paths.receive(B, PathNews::Left(key(1), late));
            assert_eq!(paths.owner(key(1)), link(B, 7));
        }
        paths.receive(C, PathNews::Left(key(1), Claim::Link(7)));
        assert_eq!(paths.owner(key(1)), link(B, 7), "another shard's word");
        paths.receive(B, PathNews::Left(key(1), Claim::Link(7)));
        assert_eq!(paths.owner(key(1)), None);
        assert_eq!(paths.news, []);
    }

    #[test]
    fn guesses_are_bounded() {
        let mut paths = Paths::new(A);
        assert!(paths.guess(key(1), B, 2).is_some());
        assert!(paths.guess(key(2), B, 2).is_some());
        assert_eq!(paths.guess(key(3), B, 2), None);
        assert!(paths.guess(key(2), B, 2).is_some());
        paths.receive(C, PathNews::Taken(key(3), 1));
        assert_eq!(paths.owner(key(3)), link(C, 1), "links have their own bound");
    }

    #[test]
    fn who_loses_an_address_is_told() {
        let mut paths = Paths::new(A);
        assert_eq!(paths.take(key(1), (5, 50), A), None);
        assert_eq!(paths.take(key(1), (5, 50), A), None, "again");
        assert_eq!(paths.take(key(1), (6, 60), A), Some(5));
        assert_eq!(paths.receive(B, PathNews::Taken(key(1), 70)), Some((6, None)));
        assert_eq!(paths.news, []);
        assert_eq!(paths.receive(C, PathNews::Taken(key(1), 80)), None);
        assert_eq!(std::mem::take(&mut paths.news), [(B, PathNews::Lost(key(1), 70))]);
        assert_eq!(paths.receive(C, PathNews::Taken(key(1), 80)), None, "again");
        assert_eq!(paths.take(key(1), (7, 90), A), None);
        assert_eq!(std::mem::take(&mut paths.news), [(C, PathNews::Lost(key(1), 80))]);
        assert_eq!(paths.receive(C, PathNews::Lost(key(1), 50)), Some((7, Some(50))));
    }

    #[test]
    fn a_link_speaks_to_the_shard_that_its_datagrams_come_to() {
        let mut paths = Paths::new(A);
        paths.take(key(1), (5, 50), B);
        paths.leave(key(1), (5, 50), B);
        paths.deny(key(2), Claim::Guess(4), C);
        assert_eq!(
            paths.news,
            [
                (B, PathNews::Taken(key(1), 50)),
                (B, PathNews::Left(key(1), Claim::Link(50))),
                (C, PathNews::Left(key(2), Claim::Guess(4))),
            ]
        );
        assert_eq!(paths.owner(key(1)), None);
        paths.take(key(1), (6, 60), A);
        paths.leave(key(1), (5, 50), A);
        assert_eq!(paths.owner(key(1)), Some(Owner::Here(6)), "somebody else has it");
        paths.forget_listener(3);
        assert_eq!(paths.owner(key(1)), None);
    }

    #[test]
    fn a_path_is_small() {
        let entry = size_of::<(PathKey, Owner)>();
        assert!(entry <= 44, "{entry}");
        let path = size_of::<Path>();
        assert!(path <= 72, "{path}");
    }
}
