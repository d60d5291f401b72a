use codec_mqttsn::ReturnCode;
use core_model::Reason;

/// How a refusal is said in MQTT-SN, which has three words for it.
//= mqttsn:GW-SN-07
pub(crate) fn return_code(reason: Reason) -> ReturnCode {
    match reason {
        reason if !reason.is_error() => ReturnCode::ACCEPTED,
        Reason::SERVER_UNAVAILABLE
        | Reason::SERVER_BUSY
        | Reason::SERVER_SHUTTING_DOWN
        | Reason::QUOTA_EXCEEDED
        | Reason::RECEIVE_MAXIMUM_EXCEEDED
        | Reason::MESSAGE_RATE_TOO_HIGH
        | Reason::CONNECTION_RATE_EXCEEDED => ReturnCode::CONGESTION,
        Reason::TOPIC_NAME_INVALID | Reason::TOPIC_FILTER_INVALID => ReturnCode::INVALID_TOPIC_ID,
        _ => ReturnCode::NOT_SUPPORTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= mqttsn:GW-SN-07
    #[test]
    fn what_may_pass_is_congestion_and_a_refusal_of_the_client_is_not() {
        for (reason, code) in [
            (Reason::SUCCESS, 0),
            (Reason::NO_MATCHING_SUBSCRIBERS, 0),
            (Reason::SERVER_BUSY, 1),
            (Reason::QUOTA_EXCEEDED, 1),
            (Reason::TOPIC_NAME_INVALID, 2),
            (Reason::NOT_AUTHORIZED, 3),
            (Reason::BAD_CREDENTIALS, 3),
            (Reason::BANNED, 3),
        ] {
            assert_eq!(return_code(reason).value(), code, "{reason:?}");
        }
    }
}
