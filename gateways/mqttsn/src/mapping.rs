//! Between the codec's words and core's.

use codec_mqttsn::ReturnCode;
use core_model::{QoS, Reason};

/// A message's QoS as core has it; `None` for QoS -1, which is no promise that core knows.
pub(crate) const fn qos_in(qos: codec_mqttsn::QoS) -> Option<QoS> {
    match qos {
        codec_mqttsn::QoS::AtMostOnce => Some(QoS::AtMostOnce),
        codec_mqttsn::QoS::AtLeastOnce => Some(QoS::AtLeastOnce),
        codec_mqttsn::QoS::ExactlyOnce => Some(QoS::ExactlyOnce),
        codec_mqttsn::QoS::MinusOne => None,
    }
}

pub(crate) const fn qos_out(qos: QoS) -> codec_mqttsn::QoS {
    match qos {
        QoS::AtMostOnce => codec_mqttsn::QoS::AtMostOnce,
        QoS::AtLeastOnce => codec_mqttsn::QoS::AtLeastOnce,
        QoS::ExactlyOnce => codec_mqttsn::QoS::ExactlyOnce,
    }
}

/// `reason` as an answer to anything but CONNECT.
pub(crate) fn return_code(reason: Reason) -> ReturnCode {
    match reason {
        Reason::TOPIC_NAME_INVALID | Reason::TOPIC_FILTER_INVALID | Reason::TOPIC_ALIAS_INVALID => {
            ReturnCode::INVALID_TOPIC_ID
        }
        _ => connack_code(reason),
    }
}

/// `reason` as CONNACK says it.
//= mqttsn:GW-SN-07
pub(crate) fn connack_code(reason: Reason) -> ReturnCode {
    match reason {
        //= mqttsn:GW-SN-15
        Reason::SERVER_BUSY
        | Reason::SERVER_UNAVAILABLE
        | Reason::SERVER_SHUTTING_DOWN
        | Reason::QUOTA_EXCEEDED
        | Reason::RECEIVE_MAXIMUM_EXCEEDED
        | Reason::MESSAGE_RATE_TOO_HIGH
        | Reason::CONNECTION_RATE_EXCEEDED => ReturnCode::CONGESTION,
        other if other.is_error() => ReturnCode::NOT_SUPPORTED,
        _ => ReturnCode::ACCEPTED,
    }
}

/// Why a client may not publish to `topic`, if it may not.
pub(crate) fn forbidden_topic(topic: &str) -> Option<Reason> {
    if !topic.starts_with('$') {
        return None;
    }
    let prefixes = ["$share/", "$queue/", "$exclusive/", "$delayed/"];
    let is_no_topic = prefixes.iter().any(|prefix| topic.starts_with(prefix));
    Some(if is_no_topic { Reason::TOPIC_NAME_INVALID } else { Reason::NOT_AUTHORIZED })
}

#[cfg(test)]
mod tests {
    use super::*;

    //= mqttsn:GW-SN-07
    //= mqttsn:GW-SN-15
    #[test]
    fn reasons_become_the_four_codes() {
        let codes = |reason| (return_code(reason), connack_code(reason));
        for reason in [Reason::SUCCESS, Reason::GRANTED_QOS_2, Reason::NO_MATCHING_SUBSCRIBERS] {
            assert_eq!(codes(reason), (ReturnCode::ACCEPTED, ReturnCode::ACCEPTED));
        }
        for reason in [Reason::SERVER_BUSY, Reason::QUOTA_EXCEEDED, Reason::MESSAGE_RATE_TOO_HIGH] {
            assert_eq!(codes(reason), (ReturnCode::CONGESTION, ReturnCode::CONGESTION));
        }
        for reason in [Reason::NOT_AUTHORIZED, Reason::BAD_CREDENTIALS, Reason::BANNED] {
            assert_eq!(codes(reason), (ReturnCode::NOT_SUPPORTED, ReturnCode::NOT_SUPPORTED));
        }
        let topic = codes(Reason::TOPIC_FILTER_INVALID);
        assert_eq!(topic, (ReturnCode::INVALID_TOPIC_ID, ReturnCode::NOT_SUPPORTED));
    }

    #[test]
    fn dollar_topics_are_not_published_to() {
        assert_eq!(forbidden_topic("a/$b"), None);
        assert_eq!(forbidden_topic("$SYS/a"), Some(Reason::NOT_AUTHORIZED));
        assert_eq!(forbidden_topic("$share/g/a"), Some(Reason::TOPIC_NAME_INVALID));
    }
}
