//! What every protocol has to pass, whoever writes it.
//!
//! - `codec` (feature `codec`): a codec describes itself once by [`codec::Subject`] and gets round
//!   trips, input in pieces, fuzzing and its vectors by [`codec_tests!`] and [`codec::vectors`].
//!
//! Both suites know no protocol. What a protocol cannot do it says as data, and what is skipped for
//! it is printed.
#![deny(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a panic is a failed test, and a test says what it skips"
)]

#[cfg(feature = "codec")]
pub mod codec;

#[cfg(feature = "codec")]
#[doc(hidden)]
pub use bolero;
