use std::fmt;

/// Whom a refused frame is to be blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes do not form a frame.
    Malformed,
    /// The frame is well formed, but the protocol forbids what it says.
    Protocol,
    /// The frame is beyond a limit of ours.
    TooLarge,
    /// The frame belongs to a protocol version or extension that we do not speak.
    Unsupported,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::Protocol => "protocol error",
            Self::TooLarge => "too large",
            Self::Unsupported => "unsupported",
        })
    }
}

/// Why bytes are not an acceptable frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}: {what} (code {code:#04x}, {requirement})")]
#[non_exhaustive]
pub struct DecodeError {
    /// Whom to blame.
    pub kind: ErrorKind,
    /// The protocol's own code with which to answer (for MQTT a reason code), 0 if it has none.
    pub code: u16,
    /// The byte that broke the rule, counted from the start of the frame.
    pub offset: usize,
    /// The rule, as `protocol:id`, or empty where the protocol numbers none.
    pub requirement: &'static str,
    /// The rule in words.
    pub what: &'static str,
}

impl DecodeError {
    /// An error of `kind` at byte `offset` of the frame, without code and requirement.
    #[cold]
    pub const fn new(kind: ErrorKind, offset: usize, what: &'static str) -> Self {
        Self { kind, code: 0, offset, requirement: "", what }
    }

    /// The same error with the protocol's answer code.
    #[must_use]
    pub const fn with_code(self, code: u16) -> Self {
        Self { code, ..self }
    }

    /// The same error with the id of the broken rule.
    #[must_use]
    pub const fn with_requirement(self, requirement: &'static str) -> Self {
        Self { requirement, ..self }
    }
}

/// Why a frame has no form on the wire. The blame is with our caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field or the whole frame is longer than its length field can say.
    #[error("{field} has {len} bytes, {max} are the most that fit")]
    TooLong {
        /// The field's name in the specification.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes that the protocol can carry.
        max: usize,
    },
    /// The protocol, or the version of it that this link speaks, cannot say this.
    #[error("no form on the wire: {0}")]
    Unrepresentable(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_everything() {
        let error = DecodeError::new(ErrorKind::Malformed, 7, "reserved flag is set")
            .with_code(0x81)
            .with_requirement("mqtt5:2.1.3-1");
        assert_eq!(
            error.to_string(),
            "malformed at byte 7: reserved flag is set (code 0x81, mqtt5:2.1.3-1)"
        );
    }
}
