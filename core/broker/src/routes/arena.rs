/// Places in one chunk.
const CHUNK: usize = 1024;

/// Values by number, in chunks, so that growing neither moves what is there nor needs a second copy
/// of it for a moment.
pub(super) struct Arena<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
}

impl<T> Arena<T> {
    pub(super) fn new() -> Self {
        Arena { chunks: Vec::new(), free: Vec::new() }
    }

    /// Takes a value; its number, which is 0 for the first.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(index) = self.free.pop() {
            *self.place(index) = Some(value);
            return index;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("a chunk was added if there was none");
        let index = u32::try_from(full + chunk.len()).expect("memory ends before 2^32 values");
        chunk.push(Some(value));
        index
    }

    /// The value of a number that [`Self::insert`] gave and that was not removed.
    pub(super) fn get(&self, index: u32) -> &T {
        let index = index as usize;
        let place = self.chunks.get(index / CHUNK).and_then(|chunk| chunk.get(index % CHUNK));
        place.and_then(Option::as_ref).expect("only numbers of present values are kept")
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, index: u32) -> &mut T {
        self.place(index).as_mut().expect("only numbers of present values are kept")
    }

    /// Takes the value of such a number out; the number will be given again.
    pub(super) fn remove(&mut self, index: u32) -> T {
        let value = self.place(index).take().expect("only numbers of present values are kept");
        self.free.push(index);
        value
    }

    fn place(&mut self, index: u32) -> &mut Option<T> {
        let index = index as usize;
        let place =
            self.chunks.get_mut(index / CHUNK).and_then(|chunk| chunk.get_mut(index % CHUNK));
        place.expect("numbers were given for places")
    }

    #[cfg(test)]
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().flatten()
    }
}
