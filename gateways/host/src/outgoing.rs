use std::sync::Arc;

use core_broker::{Mail, Shard};
use core_model::ShardId;

use crate::acceptor::Accepted;
use crate::forwarding::Parcel;
use crate::links::MovedLink;
use crate::reactor::Stream;
use crate::ring::Mesh;

/// What changes its shard.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A connection that the receiving shard is to serve.
    Accepted(Accepted<Stream>),
    /// A link whose session lives on the receiving shard.
    Moved(Box<MovedLink>),
    /// Datagrams of links of the receiving shard, and whose their addresses are.
    Parcel(Box<Parcel>),
}

/// The rings and bells of a node.
pub(crate) type NodeMesh = Mesh<Mail, Arrival>;

/// A shard's way to all others: what waits until the end of the turn, or until a ring has room.
#[derive(Debug)]
pub(crate) struct Outgoing {
    shard: ShardId,
    mesh: Arc<NodeMesh>,
    /// By target shard.
    arrivals: Vec<Vec<Arrival>>,
    /// The same: what goes along as one at the end of this turn.
    parcels: Vec<Parcel>,
    /// Whether everything was handed over at the end of the last turn.
    clear: bool,
}

impl Outgoing {
    /// The way from `shard` through `mesh`.
    pub(crate) fn new(shard: ShardId, mesh: Arc<NodeMesh>) -> Self {
        let arrivals = mesh.shards().map(|_| Vec::new()).collect();
        let parcels = mesh.shards().map(|_| Parcel::default()).collect();
        Outgoing { shard, mesh, arrivals, parcels, clear: true }
    }

    /// Whether every ring has room for what a turn may cause. Otherwise no link may be read and no
    /// connection accepted.
    pub(crate) fn is_clear(&self) -> bool {
        self.clear
    }

    /// Whether more than `mail_max` pieces of mail have come together in this turn.
    pub(crate) fn is_crowded(&self, core: &mut Shard, mail_max: usize) -> bool {
        let mut mail = 0;
        for to in self.mesh.shards().filter(|to| *to != self.shard) {
            mail += core.outbox(to).len();
        }
        mail > mail_max
    }

    /// Sends something at the end of the turn.
    pub(crate) fn send(&mut self, to: ShardId, arrival: Arrival) {
        if let Some(arrivals) = self.arrivals.get_mut(usize::from(to.0)) {
            arrivals.push(arrival);
        }
    }

    /// What goes to another shard as one at the end of the turn.
    pub(crate) fn parcel(&mut self, to: ShardId) -> &mut Parcel {
        let parcel = self.parcels.get_mut(usize::from(to.0));
        parcel.expect("there is a parcel for every shard")
    }

    /// Hands over what the rings have room for, and wakes each receiver once. Returns whether that
    /// was all.
    pub(crate) fn hand_over(&mut self, core: &mut Shard) -> bool {
        self.clear = true;
        let ways = self.arrivals.iter_mut().zip(&mut self.parcels);
        for (to, (arrivals, parcel)) in self.mesh.shards().zip(ways) {
            if to == self.shard {
                continue;
            }
            if !parcel.is_empty() {
                arrivals.push(Arrival::Parcel(Box::new(std::mem::take(parcel))));
            }
            let mail = core.outbox(to);
            if mail.is_empty() && arrivals.is_empty() {
                continue;
            }
            if self.mesh.offer(self.shard, to, mail, arrivals) {
                self.mesh.ring_bell(to);
            } else {
                self.clear = false;
            }
        }
        self.clear
    }
}
