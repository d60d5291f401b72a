/// Output buffers that are free, for the next links that have something to say.
#[derive(Debug)]
pub(crate) struct Pool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    bytes_max: usize,
}

/// A buffer beyond this size is not kept: one huge backlog must not be remembered for ever.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

impl Pool {
    /// An empty pool that keeps at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Pool { buffers: Vec::new(), bytes: 0, bytes_max }
    }

    /// A buffer; one without memory when the pool is empty.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Gives an empty buffer back.
    #[inline]
    pub(crate) fn put(&mut self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0
            && capacity <= BUFFER_BYTES_MAX
            && self.bytes.saturating_add(capacity) <= self.bytes_max
        {
            self.bytes += capacity;
            self.buffers.push(buffer);
        }
    }

    /// Frees half of what lies here, so that a burst is forgotten after a while.
    pub(crate) fn shrink(&mut self) {
        for buffer in self.buffers.drain(self.buffers.len() / 2..) {
            self.bytes -= buffer.capacity();
        }
        self.buffers.shrink_to(64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_than_its_bound() {
        let mut pool = Pool::new(10_000);
        assert_eq!(pool.take().capacity(), 0);
        pool.put(Vec::new());
        pool.put(Vec::with_capacity(6_000));
        pool.put(Vec::with_capacity(6_000));
        assert_eq!(pool.buffers.len(), 1);
        pool.put(Vec::with_capacity(BUFFER_BYTES_MAX + 1));
        assert_eq!(pool.buffers.len(), 1);
        pool.put(Vec::with_capacity(100));
        pool.shrink();
        assert_eq!((pool.buffers.len(), pool.bytes), (1, 6_000));
        assert!(pool.take().capacity() >= 6_000);
        assert_eq!(pool.bytes, 0);
    }
}
