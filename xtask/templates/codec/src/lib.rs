//! __Name__: bytes to packets and back, in both directions.
//!
//! A packet is Length (two bytes: how many follow), Type (one byte) and what the type says:
//!
//! | Type | packet | from | body |
//! | --- | --- | --- | --- |
//! | 1 | HELLO | client | Flags (bit 0: the session outlives the link), keep alive in seconds (2 bytes), client id, user, password (each behind one byte with its length) |
//! | 2 | WELCOME | server | Code, whether the session was there (0 or 1) |
//! | 3 | PUBLISH | both | Number (2 bytes; 0 for no answer), topic (behind two bytes with its length), payload |
//! | 4 | SUBSCRIBE | client | Number (2 bytes), topic filter |
//! | 5 | DONE | both | Number of what it answers (2 bytes), Code |
//! | 6 | PING | client | |
//! | 7 | PONG | server | |
//! | 8 | GOODBYE | both | Code |
//!
//! Numbers are big-endian, texts UTF-8 without U+0000. Packets borrow from the bytes that they were
//! decoded from, and decoding allocates nothing.
//!
//! Deliberately missing: rules that need more than one packet, which are the gateway's.
#![deny(missing_docs)]

mod code;
mod codec;
mod decode;
mod encode;
#[cfg(feature = "json")]
mod json;
mod limits;
mod packet;
mod packet_type;
mod violation;

pub use codec_wire::{Codec, DecodeError, Decoded, EncodeError, ErrorKind};

pub use code::Code;
pub use codec::__Name__Codec;
pub use encode::encode;
#[cfg(feature = "json")]
pub use json::to_json;
pub use limits::{HEADER_BYTES, Limits, PACKET_SIZE_MAX};
pub use packet::{Done, Hello, Packet, Publish, Secret, Subscribe, Welcome};
pub use packet_type::PacketType;
