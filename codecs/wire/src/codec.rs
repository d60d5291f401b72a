use crate::{DecodeError, EncodeError};

/// The outcome of looking at the start of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<F> {
    /// A whole frame.
    Frame {
        /// The frame; it may borrow from the input.
        frame: F,
        /// How many bytes of the input it took, at least 1.
        len: usize,
    },
    /// The frame at the start of the input is not complete. As far as is known it takes this many
    /// bytes in total; always more than the input has, and never more than the codec's size limit.
    Need(usize),
}

/// Bytes to frames and back, for one link.
///
/// A codec keeps only what the protocol makes it keep to understand the next bytes (for MQTT the
/// version that CONNECT chose). After an error the link is out of step and has to be closed.
pub trait Codec {
    /// One decoded protocol unit, borrowing from the input.
    type Frame<'a>;

    /// Decodes the frame at the start of `input`.
    ///
    /// # Errors
    /// The bytes can never become an acceptable frame, however many follow.
    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<Self::Frame<'a>>, DecodeError>;

    /// Appends `frame` to `out`.
    ///
    /// # Errors
    /// The frame has no form on the wire; `out` is as it was before.
    fn encode(&self, frame: &Self::Frame<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}
