use std::collections::BTreeSet;

/// A link that holds no more than this is not closed for the memory of all.
const SPARED_BYTES: usize = 4096;
/// Links of about the same size among which the largest is looked for.
const CANDIDATES: usize = 64;

/// The links of a shard that hold a noticeable part of its buffers, by size: who is to go when all
/// buffers are in use. Links that hold little, which are nearly all, are not in it.
#[derive(Debug, Default)]
pub(crate) struct Holders(BTreeSet<(u32, u32)>);

impl Holders {
    /// The link at `index` holds `after` bytes now, and held `before`.
    #[inline]
    pub(crate) fn update(&mut self, index: u32, before: usize, after: usize) {
        let (old, new) = (class(before), class(after));
        if old != new {
            self.change(index, old, new);
        }
    }

    fn change(&mut self, index: u32, old: u32, new: u32) {
        if old > 0 {
            self.0.remove(&(old, index));
        }
        if new > 0 {
            self.0.insert((new, index));
        }
    }

    /// Links that hold most; of equals only some. A link that holds less than half of what another
    /// one does is never among them.
    pub(crate) fn largest(&self) -> impl Iterator<Item = u32> {
        let top = self.0.last().map_or(0, |(class, _)| *class);
        self.0.range((top, 0)..).take(CANDIDATES).map(|(_, index)| *index)
    }
}

/// Sizes of one class differ by less than a factor of two; 0 is for what is spared.
fn class(bytes: usize) -> u32 {
    if bytes > SPARED_BYTES { bytes.ilog2() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_named_and_small_ones_never() {
        let mut holders = Holders::default();
        let named = |holders: &Holders| holders.largest().collect::<Vec<_>>();
        holders.update(1, 0, SPARED_BYTES);
        assert_eq!(named(&holders), []);
        holders.update(1, SPARED_BYTES, 5_000);
        holders.update(2, 0, 70_000);
        holders.update(3, 0, 100_000);
        holders.update(4, 0, 60_000);
        assert_eq!(named(&holders), [2, 3]);
        holders.update(2, 70_000, 0);
        holders.update(3, 100_000, 10);
        assert_eq!(named(&holders), [4]);
        holders.update(4, 60_000, 61_000);
        holders.update(4, 61_000, 0);
        assert_eq!(named(&holders), [1]);
        holders.update(1, 5_000, 0);
        assert!(holders.0.is_empty());
    }
}
