use std::fmt;

/// The result of something, in one byte. Any but [`OK`](Self::OK) is a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Code(u8);

impl Code {
    /// 0: it is done.
    pub const OK: Self = Self(0);
    /// 1: the packet is not as it should be.
    pub const BAD_PACKET: Self = Self(1);
    /// 2: the client may not do that.
    pub const NOT_AUTHORIZED: Self = Self(2);
    /// 3: the server cannot do that now.
    pub const UNAVAILABLE: Self = Self(3);
    /// 4: another link has taken the session over.
    pub const TAKEN_OVER: Self = Self(4);
    /// 5: the client was silent for too long.
    pub const SILENT: Self = Self(5);
    /// 6: the server stops.
    pub const STOPPING: Self = Self(6);

    /// The code with this value, which need not be one that has a name.
    pub const fn new(value: u8) -> Self {
        Self(value)
    }

    /// The value on the wire.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The name, or `None` for a code without one.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::OK => "ok",
            Self::BAD_PACKET => "bad packet",
            Self::NOT_AUTHORIZED => "not authorized",
            Self::UNAVAILABLE => "unavailable",
            Self::TAKEN_OVER => "taken over",
            Self::SILENT => "silent",
            Self::STOPPING => "stopping",
            _ => return None,
        })
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name().unwrap_or("unknown"))
    }
}
