//! Bytes that are nearly a datagram.

/// A small generator of numbers that are the same in every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

/// `datagram` with one to three small changes, its Length mostly put right again.
pub(crate) fn mutated(datagram: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    const BYTES: [u8; 14] =
        [0x00, 0x01, 0x02, 0x03, 0x04, 0x0c, 0x18, 0x23, 0x2b, 0x61, 0x7f, 0xc3, 0xfe, 0xff];
    let mut bytes = datagram.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len() + 1);
        let byte = BYTES[numbers.below(BYTES.len())];
        match numbers.below(6) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] = byte,
            3 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            4 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            5 => drop(bytes.splice(0..0, [4, 0xfe, byte & 3, byte])),
            _ => {}
        }
    }
    if numbers.below(8) > 0 {
        put_right(&mut bytes);
    }
    bytes
}

/// Makes the short Length that of all bytes, behind the wrapping of a forwarder if there is one.
fn put_right(bytes: &mut [u8]) {
    let start = match *bytes {
        [len, 0xfe, ..] if usize::from(len) < bytes.len() => usize::from(len),
        _ => 0,
    };
    let len = bytes.len() - start;
    if (2..256).contains(&len) {
        bytes[start] = len as u8;
    }
}
