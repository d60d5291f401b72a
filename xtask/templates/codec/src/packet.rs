use std::fmt;

use crate::{Code, PacketType};

/// The flag of HELLO for a session that outlives its link.
pub(crate) const FLAG_KEEP: u8 = 1;

/// One packet, borrowing from the bytes that it was decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client says who it is.
    Hello(Hello<'a>),
    /// The server lets it in, or not.
    Welcome(Welcome),
    /// A message, in either direction.
    Publish(Publish<'a>),
    /// A client wants messages.
    Subscribe(Subscribe<'a>),
    /// The answer to a PUBLISH or SUBSCRIBE with a number.
    Done(Done),
    /// A client asks whether the server is there.
    Ping,
    /// It is.
    Pong,
    /// The last packet of a link, with the reason.
    Goodbye(Code),
}

/// The body of HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Whether the session outlives the link.
    pub keep: bool,
    /// Longest pause between two packets of the client in seconds; 0 for any.
    pub keep_alive_s: u16,
    /// The client identifier, not empty.
    pub client_id: &'a str,
    /// The user name; empty for none.
    pub user: &'a str,
    /// The password; empty for none.
    pub password: Secret<'a>,
}

/// The body of WELCOME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// Whether the client is let in.
    pub code: Code,
    /// Whether its session was there.
    pub session_present: bool,
}

/// The body of PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The number that its DONE carries; 0 for no answer.
    pub number: u16,
    /// The topic, not checked further.
    pub topic: &'a str,
    /// The application's bytes.
    pub payload: &'a [u8],
}

/// The body of SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The number that its DONE carries.
    pub number: u16,
    /// The topic filter, not checked further.
    pub filter: &'a str,
}

/// The body of DONE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The number of what it answers.
    pub number: u16,
    /// What became of it.
    pub code: Code,
}

impl Packet<'_> {
    /// Its type.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Hello(_) => PacketType::Hello,
            Self::Welcome(_) => PacketType::Welcome,
            Self::Publish(_) => PacketType::Publish,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Done(_) => PacketType::Done,
            Self::Ping => PacketType::Ping,
            Self::Pong => PacketType::Pong,
            Self::Goodbye(_) => PacketType::Goodbye,
        }
    }
}

/// Bytes that no log shows.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Secret<'a>(pub &'a [u8]);

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
