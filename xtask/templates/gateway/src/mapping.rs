//! Between the codec's words and core's.

use codec___name__::Code;
use core_model::Reason;

/// How the protocol says `reason`.
pub(crate) fn code(reason: Reason) -> Code {
    match reason {
        reason if !reason.is_error() => Code::OK,
        Reason::MALFORMED
        | Reason::PROTOCOL_ERROR
        | Reason::PACKET_TOO_LARGE
        | Reason::CLIENT_ID_NOT_VALID
        | Reason::TOPIC_NAME_INVALID
        | Reason::TOPIC_FILTER_INVALID => Code::BAD_PACKET,
        Reason::BAD_CREDENTIALS | Reason::NOT_AUTHORIZED | Reason::BANNED => Code::NOT_AUTHORIZED,
        Reason::SESSION_TAKEN_OVER => Code::TAKEN_OVER,
        Reason::KEEP_ALIVE_TIMEOUT | Reason::MAXIMUM_CONNECT_TIME => Code::SILENT,
        Reason::SERVER_SHUTTING_DOWN => Code::STOPPING,
        _ => Code::UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_one_in_the_protocol_too() {
        for reason in (0..=u8::MAX).map(Reason::from_u8) {
            assert_eq!(code(reason) != Code::OK, reason.is_error(), "{reason:?}");
        }
    }
}
