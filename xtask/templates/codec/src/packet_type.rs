/// The Type of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// HELLO
    Hello = 1,
    /// WELCOME
    Welcome = 2,
    /// PUBLISH
    Publish = 3,
    /// SUBSCRIBE
    Subscribe = 4,
    /// DONE
    Done = 5,
    /// PING
    Ping = 6,
    /// PONG
    Pong = 7,
    /// GOODBYE
    Goodbye = 8,
}

impl PacketType {
    /// The type with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Publish,
            4 => Self::Subscribe,
            5 => Self::Done,
            6 => Self::Ping,
            7 => Self::Pong,
            8 => Self::Goodbye,
            _ => return None,
        })
    }

    /// The specification's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Welcome => "WELCOME",
            Self::Publish => "PUBLISH",
            Self::Subscribe => "SUBSCRIBE",
            Self::Done => "DONE",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::Goodbye => "GOODBYE",
        }
    }
}
