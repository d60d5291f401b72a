use super::Subject;

/// A small generator of numbers that are the same in every run.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }

    /// One of `items`, of which there are some.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// `frame` with one to three small changes, its length mostly put right again.
pub fn mutated<S: Subject>(frame: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len() + 1);
        let byte = *numbers.pick(S::TELLING_BYTES);
        match numbers.below(6) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] = byte,
            3 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            4 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            5 => S::change(&mut bytes, numbers),
            _ => {}
        }
    }
    if numbers.below(8) > 0 {
        S::put_right(&mut bytes);
    }
    bytes
}
