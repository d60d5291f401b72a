use core_model::Reason;

/// Why a link cannot go on: how it is answered, and the rule in words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) what: &'static str,
}

impl Fault {
    #[cold]
    pub(crate) const fn new(reason: Reason, what: &'static str) -> Self {
        Fault { reason, what }
    }

    /// The client did what the protocol forbids.
    #[cold]
    pub(crate) const fn protocol(what: &'static str) -> Self {
        Fault { reason: Reason::PROTOCOL_ERROR, what }
    }

    /// An answer that must be given is greater than the client's Maximum Packet Size.
    #[cold]
    pub(crate) const fn answer_too_large() -> Self {
        Fault { reason: Reason::PACKET_TOO_LARGE, what: "answer above the client's packet size" }
    }
}
