//! The rules that a frame can break, each in one place. Those without a number have none in the
//! project's list of requirements.

use codec_wire::{DecodeError, ErrorKind, PastEnd};

/// A rule and what breaking it means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Violation {
    kind: ErrorKind,
    requirement: &'static str,
    what: &'static str,
}

impl Violation {
    /// Broken by the byte at `offset` of the datagram.
    #[cold]
    pub(crate) const fn at(self, offset: usize) -> DecodeError {
        DecodeError::new(self.kind, offset, self.what).with_requirement(self.requirement)
    }

    const fn new(kind: ErrorKind, requirement: &'static str, what: &'static str) -> Self {
        Self { kind, requirement, what }
    }
}

const LENGTH_IS_SIZE: &str = "mqttsn:GW-SN-01";
const LENGTH_FORMS: &str = "mqttsn:GW-SN-02";

/// What a field that runs past the end of its packet breaks: the Length is not that of such a
/// packet.
pub(crate) const PAST_END: PastEnd = PastEnd { code: 0, requirement: LENGTH_IS_SIZE };

pub(crate) const DATAGRAM_SHORT: Violation = Violation::new(
    ErrorKind::Malformed,
    LENGTH_IS_SIZE,
    "datagram is shorter than the Length of its packet",
);
pub(crate) const DATAGRAM_LONG: Violation =
    Violation::new(ErrorKind::Malformed, LENGTH_IS_SIZE, "bytes left over in the datagram");
pub(crate) const LEFT_OVER: Violation =
    Violation::new(ErrorKind::Malformed, LENGTH_IS_SIZE, "bytes left over in the packet");
pub(crate) const LENGTH_SMALL: Violation = Violation::new(
    ErrorKind::Malformed,
    LENGTH_FORMS,
    "Length is below that of Length and MsgType themselves",
);
pub(crate) const PACKET_SIZE: Violation =
    Violation::new(ErrorKind::TooLarge, "", "packet above the greatest size that is taken");
pub(crate) const RESERVED_TYPE: Violation =
    Violation::new(ErrorKind::Unsupported, "", "reserved MsgType");

pub(crate) const ENCAPSULATION_LONG: Violation = Violation::new(
    ErrorKind::Malformed,
    "mqttsn:GW-SN-32",
    "Length of an encapsulation has three bytes",
);
pub(crate) const ENCAPSULATION_NESTED: Violation =
    Violation::new(ErrorKind::Protocol, "mqttsn:GW-SN-32", "encapsulation in an encapsulation");

pub(crate) const NUL: Violation = Violation::new(ErrorKind::Malformed, "", "U+0000 in a text");
pub(crate) const CLIENT_ID_EMPTY: Violation =
    Violation::new(ErrorKind::Protocol, "", "empty ClientId");
pub(crate) const TOPIC_NAME_EMPTY: Violation =
    Violation::new(ErrorKind::Protocol, "", "empty topic name");
pub(crate) const WILL_TOPIC_EMPTY: Violation = Violation::new(
    ErrorKind::Malformed,
    "mqttsn:GW-SN-09",
    "empty WILLTOPIC has flags, so it is not the form that deletes the Will",
);
pub(crate) const WILL_TOPIC_UPD_EMPTY: Violation = Violation::new(
    ErrorKind::Malformed,
    "mqttsn:GW-SN-11",
    "empty WILLTOPICUPD has flags, so it is not the form that deletes the Will",
);

pub(crate) const TOPIC_ID_TYPE: Violation =
    Violation::new(ErrorKind::Malformed, "", "reserved TopicIdType");
pub(crate) const MINUS_ONE_NORMAL_ID: Violation = Violation::new(
    ErrorKind::Protocol,
    "mqttsn:GW-SN-17",
    "QoS -1 with neither a pre-defined topic id nor a short topic name",
);
pub(crate) const SHORT_NAME: Violation = Violation::new(
    ErrorKind::Malformed,
    "mqttsn:GW-SN-31",
    "short topic name is ill-formed UTF-8 or has U+0000",
);
pub(crate) const SHORT_NAME_WILDCARD: Violation =
    Violation::new(ErrorKind::Protocol, "mqttsn:GW-SN-31", "wildcard in a short topic name");
