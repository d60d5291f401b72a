use crate::{DecodeError, ErrorKind};

/// What a protocol says of a field that runs past the end of its frame.
#[derive(Debug, Clone, Copy)]
pub struct PastEnd {
    /// See [`DecodeError::code`].
    pub code: u16,
    /// See [`DecodeError::requirement`].
    pub requirement: &'static str,
}

impl PastEnd {
    /// For protocols without answer codes and numbered requirements.
    pub const UNNUMBERED: Self = Self { code: 0, requirement: "" };
}

/// Reads big-endian fields from a frame and knows where in the frame it is.
///
/// Every read is checked. Reading past the end is [`ErrorKind::Malformed`] at the field's first
/// byte, and nothing is read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The frame up to where this reader may read.
    input: &'a [u8],
    /// At most `input.len()`.
    position: usize,
    past_end: &'static PastEnd,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`, for a protocol without answer codes.
    #[inline]
    pub const fn new(input: &'a [u8]) -> Self {
        Self::with_past_end(input, &PastEnd::UNNUMBERED)
    }

    /// A reader at the start of `input` whose errors say what the protocol says of them.
    #[inline]
    pub const fn with_past_end(input: &'a [u8], past_end: &'static PastEnd) -> Self {
        Self { input, position: 0, past_end }
    }

    /// How many bytes of the frame lie before the next read. A [`section`](Self::section) counts
    /// on from the frame's start too, so that its errors need no translation.
    #[inline]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many bytes can still be read.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.input.len() - self.position
    }

    /// Whether everything has been read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes not yet read; they stay unread.
    #[inline]
    pub fn peek(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }

    /// Reads everything that is left, possibly nothing.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.peek();
        self.position = self.input.len();
        rest
    }

    /// Reads `len` bytes.
    ///
    /// # Errors
    /// Fewer bytes are left.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.peek().get(..len) {
            Some(bytes) => {
                self.position += len;
                Ok(bytes)
            }
            None => Err(self.past_end()),
        }
    }

    /// Splits off a reader over the next `len` bytes and skips them here.
    ///
    /// # Errors
    /// Fewer bytes are left.
    #[inline]
    pub fn section(&mut self, len: usize) -> Result<Self, DecodeError> {
        let start = self.position;
        self.take(len)?;
        let input = self.input.get(..self.position).unwrap_or_default();
        Ok(Self { input, position: start, past_end: self.past_end })
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// None is left.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    /// Reads a two-byte integer.
    ///
    /// # Errors
    /// Fewer than two bytes are left.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a four-byte integer.
    ///
    /// # Errors
    /// Fewer than four bytes are left.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads `N` bytes whose number the protocol fixes.
    ///
    /// # Errors
    /// Fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.peek().first_chunk::<N>() {
            Some(bytes) => {
                self.position += N;
                Ok(*bytes)
            }
            None => Err(self.past_end()),
        }
    }

    #[cold]
    fn past_end(&self) -> DecodeError {
        DecodeError::new(ErrorKind::Malformed, self.position, "field runs past the end")
            .with_code(self.past_end.code)
            .with_requirement(self.past_end.requirement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_big_endian_and_counts() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!((reader.position(), reader.remaining()), (7, 2));
        assert_eq!(reader.peek(), &[8, 9]);
        assert_eq!(reader.rest(), &[8, 9]);
        assert!(reader.is_empty());
        assert_eq!(reader.rest(), &[] as &[u8]);
    }

    #[test]
    fn reading_past_the_end_fails_at_the_field_and_reads_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        reader.u8().unwrap();
        let error = reader.u32().unwrap_err();
        assert_eq!((error.kind, error.offset, error.code), (ErrorKind::Malformed, 1, 0));
        assert_eq!(reader.take(3).unwrap_err().offset, 1);
        assert_eq!(reader.take(usize::MAX).unwrap_err().offset, 1);
        assert_eq!(reader.u16(), Ok(0x0203));
    }

    #[test]
    fn errors_say_what_the_protocol_says() {
        const PAST_END: PastEnd = PastEnd { code: 0x81, requirement: "mqtt5:GW-MQTT-20" };
        let mut reader = Reader::with_past_end(&[1, 2], &PAST_END);
        let error = reader.section(1).unwrap().u16().unwrap_err();
        assert_eq!((error.code, error.requirement), (0x81, "mqtt5:GW-MQTT-20"));
    }

    #[test]
    fn a_section_is_bounded_and_counts_from_the_frame() {
        let mut reader = Reader::new(&[0, 1, 2, 3]);
        reader.u8().unwrap();
        let mut section = reader.section(2).unwrap();
        assert_eq!(section.u16(), Ok(0x0102));
        assert_eq!(section.u8().unwrap_err().offset, 3);
        assert_eq!(reader.u8(), Ok(3));
        assert!(reader.section(1).is_err());
    }
}
