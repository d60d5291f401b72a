//! What every protocol has to pass, whoever writes it.
//!
//! - `codec` (feature `codec`): a codec describes itself once by `codec::Subject` and gets round
//!   trips, input in pieces, fuzzing and its vectors by `codec_tests!` and `codec::vectors`.
//! - `gateway` (feature `gateway`): a gateway and a test client of its protocol are described once by
//!   `gateway::Subject` and `gateway::Client`, and `gateway_tests!` runs them on a real node:
//!   limits, drain, identity, access, secrets, slow peers.
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
#[cfg(feature = "gateway")]
pub mod gateway;

#[cfg(feature = "codec")]
#[doc(hidden)]
pub use bolero;
