use core_model::{ShardId, SlotId};
use hashbrown::HashMap;

use crate::routes::SessionIndex;

/// What stands behind a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A session of this shard.
    Session(SessionIndex),
    /// An enhanced authentication that goes on.
    Authenticating,
    /// A session of another shard; the slot's link is ours.
    Remote(ShardId),
}

/// From slots to what stands behind them. The first slot of a link of this shard, which is the hot
/// case, is found by the link's place; all others by hashing.
pub(crate) struct Slots {
    own: ShardId,
    first: Vec<Option<(u32, Bound)>>,
    others: HashMap<SlotId, Bound, foldhash::fast::FixedState>,
}

impl Slots {
    pub(crate) fn new(own: ShardId) -> Self {
        Slots { own, first: Vec::new(), others: HashMap::default() }
    }

    fn is_first(&self, slot: SlotId) -> bool {
        slot.shard == self.own && slot.number == 0
    }

    #[inline]
    pub(crate) fn find(&self, slot: SlotId) -> Option<Bound> {
        if !self.is_first(slot) {
            return self.others.get(&slot).copied();
        }
        let (generation, bound) = (*self.first.get(slot.link.index as usize)?)?;
        (generation == slot.link.generation).then_some(bound)
    }

    pub(crate) fn bind(&mut self, slot: SlotId, bound: Bound) {
        if !self.is_first(slot) {
            self.others.insert(slot, bound);
            return;
        }
        let index = slot.link.index as usize;
        if index >= self.first.len() {
            self.first.resize(index + 1, None);
        }
        if let Some(place) = self.first.get_mut(index) {
            *place = Some((slot.link.generation, bound));
        }
    }

    /// Slots with something behind them.
    pub(crate) fn len(&self) -> usize {
        self.first.iter().flatten().count() + self.others.len()
    }

    pub(crate) fn unbind(&mut self, slot: SlotId) {
        if !self.is_first(slot) {
            self.others.remove(&slot);
        } else if self.find(slot).is_some()
            && let Some(place) = self.first.get_mut(slot.link.index as usize)
        {
            *place = None;
        }
    }
}
