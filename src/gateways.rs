//! The gateways of this project. The only place that lists them.

use crate::Registration;

/// All gateways of this project.
pub fn gateways() -> &'static [Registration] {
    &[
        // One on each line, in the order of their numbers.
        gateway_mqtt::REGISTRATION,
        gateway_mqttsn::REGISTRATION,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find_conflict;

    #[test]
    fn gateways_share_neither_name_nor_number() {
        assert_eq!(find_conflict(gateways()), None);
        let mqtt = gateway_mqtt::REGISTRATION;
        assert_eq!(find_conflict(&[mqtt, mqtt]).unwrap(), "two gateways have the name mqtt");
        let renamed = Registration { name: "other", ..mqtt };
        let conflict = find_conflict(&[mqtt, renamed]).unwrap();
        assert_eq!(conflict, "gateways mqtt and other have the same id");
    }
}
