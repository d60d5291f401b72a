/// Room beyond a large frame, so that a protocol that only knows "more" is not read byte by byte.
const ROOM_BYTES_MIN: usize = 4096;
/// A frame is worth a buffer of its own when a read brought less than this part of what had to be
/// copied in front of it. It bounds the copying to so many times the bytes read.
const COPY_FACTOR: usize = 8;

/// Bytes of a link that could not be decoded yet.
#[derive(Debug, Default)]
pub(crate) enum Unread {
    /// None, the common case; an idle link costs nothing.
    #[default]
    Nothing,
    /// A few, to be copied in front of the next read.
    Short(Vec<u8>),
    /// The start of a large frame, in a buffer that is read into directly.
    Growing(Box<Buffer>),
}

impl Unread {
    /// For bytes that were there before the link. `shared_len` is the size of the buffer that all
    /// links share.
    pub(crate) fn of(bytes: Vec<u8>, shared_len: usize) -> Self {
        match bytes.len() {
            0 => Unread::Nothing,
            len if len <= shared_len / 2 => Unread::Short(bytes),
            len => Unread::Growing(Box::new(Buffer { bytes, filled: len, need: 0 })),
        }
    }

    /// Bytes of memory that it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Unread::Nothing => 0,
            Unread::Short(bytes) => bytes.len(),
            Unread::Growing(buffer) => buffer.bytes.capacity(),
        }
    }
}

/// Memory to read into.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// All of the memory.
    bytes: Vec<u8>,
    /// How much of it, from the start, has come from the link.
    filled: usize,
    /// Bytes without which decoding makes no sense.
    need: usize,
}

impl Buffer {
    /// A buffer of fixed size.
    pub(crate) fn with_len(len: usize) -> Self {
        Buffer { bytes: vec![0; len], filled: 0, need: 0 }
    }

    /// Size of the memory.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What has come from the link.
    #[inline]
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or(&[])
    }

    /// Memory for the next read.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or(&mut [])
    }

    /// The first `count` bytes of the room have come from the link.
    #[inline]
    pub(crate) fn fill(&mut self, count: usize) {
        debug_assert!(count <= self.bytes.len() - self.filled);
        self.filled += count;
    }

    /// Whether there is enough to try to decode.
    #[inline]
    pub(crate) fn is_worth_decoding(&self) -> bool {
        self.filled > 0 && self.filled >= self.need
    }

    /// Replaces the contents by `bytes`, as far as they fit.
    pub(crate) fn start_with(&mut self, bytes: &[u8]) {
        self.filled = bytes.len().min(self.bytes.len());
        self.need = 0;
        let (to, from) = (self.bytes.get_mut(..self.filled), bytes.get(..self.filled));
        if let (Some(to), Some(from)) = (to, from) {
            to.copy_from_slice(from);
        }
    }

    /// Lets `write` append to the contents, however much that is.
    pub(crate) fn append_with<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.bytes.truncate(self.filled);
        let result = write(&mut self.bytes);
        self.filled = self.bytes.len();
        result
    }

    /// Replaces the contents by `bytes`, however many they are.
    pub(crate) fn restart_with(&mut self, bytes: &[u8]) {
        (self.filled, self.need) = (0, 0);
        self.append_with(|contents| contents.extend_from_slice(bytes));
    }

    /// Makes room when there is none: towards the frame's size, but never to more than twice of
    /// what has really come, or `step` in the beginning.
    pub(crate) fn grow(&mut self, step: usize) {
        if self.filled < self.bytes.len() {
            return;
        }
        let wanted = self.need.max(self.filled + ROOM_BYTES_MIN);
        let len = wanted.min((self.filled * 2).max(step)).max(self.filled + 1);
        self.bytes.reserve_exact(len - self.bytes.len());
        self.bytes.resize(len, 0);
    }

    /// Keeps what follows the first `used` bytes. `need` is the size of the frame that starts there
    /// as far as known, `read` what the last read brought, `shared_len` the size of the buffer that
    /// all links share.
    pub(crate) fn keep(&self, used: usize, need: usize, read: usize, shared_len: usize) -> Unread {
        let rest = self.filled().get(used..).unwrap_or(&[]);
        if rest.is_empty() {
            return Unread::Nothing;
        }
        let slow = need > ROOM_BYTES_MIN && read.saturating_mul(COPY_FACTOR) < rest.len();
        if rest.len().max(need) <= shared_len / 2 && !slow {
            return Unread::Short(rest.to_vec());
        }
        Unread::Growing(Box::new(Buffer { bytes: rest.to_vec(), filled: rest.len(), need }))
    }

    /// Whether the frame at its start can be read into a shared buffer of `shared_len` bytes.
    pub(crate) fn fits_into(&self, shared_len: usize) -> bool {
        self.filled.max(self.need) <= shared_len / 2
    }

    /// Drops the first `used` bytes and takes `need` as the size of the frame that follows.
    pub(crate) fn consume(&mut self, used: usize, need: usize) {
        let used = used.min(self.filled);
        self.bytes.copy_within(used..self.filled, 0);
        self.filled -= used;
        self.need = need;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: usize = 64 * 1024;

    fn holding(len: usize) -> Buffer {
        let mut buffer = Buffer::with_len(SHARED);
        buffer.start_with(&vec![7; len]);
        buffer
    }

    #[test]
    fn a_small_rest_is_kept_short_and_a_large_frame_gets_its_own_buffer() {
        assert!(matches!(holding(100).keep(100, 0, 100, SHARED), Unread::Nothing));
        let Unread::Short(bytes) = holding(100).keep(60, 90, 100, SHARED) else { panic!() };
        assert_eq!(bytes, [7; 40]);
        let Unread::Growing(own) = holding(100).keep(60, 1 << 20, 100, SHARED) else { panic!() };
        assert_eq!((own.filled().len(), own.need), (40, 1 << 20));
        assert!(!own.is_worth_decoding());
    }

    #[test]
    fn a_frame_in_tiny_pieces_gets_its_own_buffer_before_the_copying_gets_out_of_hand() {
        let mut copied = 0;
        let mut unread = Unread::Nothing;
        for _ in 0..20_000 {
            let mut buffer = Buffer::with_len(SHARED);
            if let Unread::Short(bytes) = &unread {
                copied += bytes.len();
                buffer.start_with(bytes);
            }
            buffer.fill(1);
            unread = buffer.keep(0, 20_000, 1, SHARED);
            if matches!(unread, Unread::Growing(_)) {
                break;
            }
        }
        assert!(matches!(unread, Unread::Growing(_)));
        assert!(copied < 100);
    }

    #[test]
    fn memory_follows_what_came_and_not_what_was_announced() {
        let mut buffer = Buffer { bytes: vec![1; 10], filled: 10, need: 200 << 20 };
        let mut steps = 0;
        while buffer.filled < 300_000 {
            buffer.grow(SHARED);
            assert!(buffer.bytes.len() <= (2 * buffer.filled).max(SHARED));
            let room = buffer.room().len();
            buffer.fill(room);
            steps += 1;
        }
        assert!(steps < 6);
    }

    #[test]
    fn the_last_step_is_exact_and_an_unknown_end_gets_room() {
        let mut exact = Buffer { bytes: vec![1; 90_000], filled: 90_000, need: 100_000 };
        exact.grow(SHARED);
        assert_eq!(exact.bytes.len(), 100_000);
        let mut unknown = Buffer { bytes: vec![1; 90_000], filled: 90_000, need: 90_001 };
        unknown.grow(SHARED);
        assert_eq!(unknown.room().len(), ROOM_BYTES_MIN);
    }

    #[test]
    fn consumed_bytes_make_way() {
        let mut buffer = Buffer { bytes: b"abcdef".to_vec(), filled: 5, need: 3 };
        buffer.consume(3, 9);
        assert_eq!((buffer.filled(), buffer.need), (&b"de"[..], 9));
    }
}
