//! What every codec of the workspace shares: a checked reader, outcomes and errors.
//!
//! A codec turns the bytes at the start of a buffer into one frame of its protocol and a frame
//! back into bytes. It does no I/O, knows no clock and allocates nothing from a length that it has
//! not checked. [`Codec`] is that contract, [`Decoded`] its outcome, [`DecodeError`] its refusal.
//!
//! Deliberately missing: anything that only one protocol needs (variable-length integers,
//! checksums, escaping) and anything that waits (idle framing belongs to machines).
#![deny(missing_docs)]

pub mod hex;

mod codec;
mod error;
mod reader;
mod text;

pub use codec::{Codec, Decoded};
pub use error::{DecodeError, EncodeError, ErrorKind};
pub use reader::{PastEnd, Reader};
pub use text::utf8;
