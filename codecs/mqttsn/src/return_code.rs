use std::fmt;

/// The one-byte result of an operation. Any but [`ACCEPTED`](Self::ACCEPTED) is a rejection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReturnCode(u8);

impl ReturnCode {
    /// 0x00: Accepted.
    pub const ACCEPTED: Self = Self(0x00);
    /// 0x01: Rejected: congestion.
    pub const CONGESTION: Self = Self(0x01);
    /// 0x02: Rejected: invalid topic ID.
    pub const INVALID_TOPIC_ID: Self = Self(0x02);
    /// 0x03: Rejected: not supported.
    pub const NOT_SUPPORTED: Self = Self(0x03);

    /// The code with this value, which need not be one that the specification names.
    #[inline]
    pub const fn new(value: u8) -> Self {
        Self(value)
    }

    /// The value on the wire.
    #[inline]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether the operation was accepted.
    #[inline]
    pub const fn is_accepted(self) -> bool {
        self.0 == Self::ACCEPTED.0
    }

    /// The specification's name, or `None` for a code that it does not name.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ACCEPTED => "Accepted",
            Self::CONGESTION => "Rejected: congestion",
            Self::INVALID_TOPIC_ID => "Rejected: invalid topic ID",
            Self::NOT_SUPPORTED => "Rejected: not supported",
            _ => return None,
        })
    }
}

impl fmt::Display for ReturnCode {
    /// The name, or the value where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#04x}", self.0),
        }
    }
}

impl fmt::Debug for ReturnCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} {}", self.0, self.name().unwrap_or("unknown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_0_is_acceptance_and_only_4_codes_have_names() {
        let accepted = |code: &u8| ReturnCode::new(*code).is_accepted();
        assert_eq!((0..=u8::MAX).filter(accepted).collect::<Vec<_>>(), [0]);
        let named = |code: &u8| ReturnCode::new(*code).name().is_some();
        assert_eq!((0..=u8::MAX).filter(named).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(ReturnCode::CONGESTION.to_string(), "Rejected: congestion");
        assert_eq!(ReturnCode::new(0x80).to_string(), "0x80");
    }
}
