/// Places in one piece of memory.
const CHUNK_PLACES: usize = 64;

/// A table of numbered places that are taken and given back.
///
/// It grows by chunks that never move: growing costs the same however large it is, and leaves no
/// old copy behind, which for a hundred thousand links would be a stall and as much memory again.
#[derive(Debug)]
pub(crate) struct Table<T> {
    chunks: Vec<Box<[Place<T>]>>,
    /// The place that was given back last, or the first one never taken.
    free: u32,
    len: usize,
}

#[derive(Debug)]
enum Place<T> {
    Taken(T),
    /// Free; the next free place.
    Free(u32),
}

impl<T> Table<T> {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Table { chunks: Vec::new(), free: 0, len: 0 }
    }

    /// How many places are taken.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One more than the highest number of a place.
    pub(crate) fn end(&self) -> u32 {
        (self.chunks.len() * CHUNK_PLACES) as u32
    }

    /// What is at a place, if it is taken.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        let chunk = self.chunks.get(index as usize / CHUNK_PLACES)?;
        match chunk.get(index as usize % CHUNK_PLACES)? {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// The same, to be changed.
    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.place(index)? {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// Takes a free place for what `make` makes of its number.
    pub(crate) fn insert(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let index = self.free;
        if index as usize == self.chunks.len() * CHUNK_PLACES {
            let first = index + 1;
            self.chunks.push((first..).take(CHUNK_PLACES).map(Place::Free).collect());
        }
        let value = make(index);
        let place = self.place(index).expect("the free place is in the last chunk or before");
        if let Place::Free(next) = std::mem::replace(place, Place::Taken(value)) {
            self.free = next;
        }
        self.len += 1;
        index
    }

    /// Gives a place back and returns what was there.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let free = self.free;
        let place = self.place(index).filter(|place| matches!(place, Place::Taken(_)))?;
        let Place::Taken(value) = std::mem::replace(place, Place::Free(free)) else { return None };
        self.free = index;
        self.len -= 1;
        Some(value)
    }

    /// The numbers of all taken places, in order.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> {
        let places = self.chunks.iter().flatten().zip(0..);
        places.filter_map(|(place, index)| matches!(place, Place::Taken(_)).then_some(index))
    }

    #[inline]
    fn place(&mut self, index: u32) -> Option<&mut Place<T>> {
        let chunk = self.chunks.get_mut(index as usize / CHUNK_PLACES)?;
        chunk.get_mut(index as usize % CHUNK_PLACES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_and_given_back() {
        let mut table = Table::new();
        let places: Vec<u32> = (0..200).map(|n| table.insert(|index| (index, n))).collect();
        assert_eq!(places, (0..200).collect::<Vec<_>>());
        assert_eq!(table.at(130), Some(&(130, 130)));
        assert_eq!(table.at(200), None);
        assert_eq!(table.at(9_999), None);
        for gone in [5, 64, 199] {
            assert_eq!(table.remove(gone), Some((gone, gone)));
            assert_eq!(table.remove(gone), None);
            assert_eq!(table.at_mut(gone), None);
        }
        assert_eq!((table.len(), table.indices().count()), (197, 197));
        assert!(!table.indices().any(|index| [5, 64, 199].contains(&index)));
        let again: Vec<u32> = (0..4).map(|_| table.insert(|index| (index, 0))).collect();
        assert_eq!(again, [199, 64, 5, 200]);
        assert_eq!(table.len(), 201);
    }
}
