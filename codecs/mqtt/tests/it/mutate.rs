//! Bytes that are nearly a packet.

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

/// `packet` with one to three small changes, its Remaining Length mostly put right again.
pub(crate) fn mutated(packet: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    const BYTES: [u8; 16] = [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x0b, 0x1f, 0x23, 0x26, 0x2b, 0x2f, 0x7f, 0x80, 0xc0, 0xed,
        0xff,
    ];
    let mut bytes = packet.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len() + 1);
        let byte = BYTES[numbers.below(BYTES.len())];
        match numbers.below(6) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] = byte,
            3 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            4 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            5 if at > 2 => {
                let from = 2 + numbers.below(at - 2);
                let copy = bytes[from..at].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {}
        }
    }
    if numbers.below(8) > 0 && (2..130).contains(&bytes.len()) {
        bytes[1] = bytes.len() as u8 - 2;
    }
    bytes
}
