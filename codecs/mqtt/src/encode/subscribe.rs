use codec_wire::EncodeError;

use super::write_properties;
use crate::{
    ReasonCode, Suback, Subscribe, Unsuback, Unsubscribe, Version,
    primitives::{write_packet_id, write_string},
};

/// Appends what follows the fixed header of SUBSCRIBE.
pub(super) fn subscribe(
    subscribe: &Subscribe<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_packet_id(subscribe.packet_id, out)?;
    write_properties(&subscribe.properties, version, out)?;
    //= mqtt5:3.8.3-2
    //= mqtt311:3.8.3-3
    if subscribe.subscriptions.is_empty() {
        return Err(EncodeError::Unrepresentable("SUBSCRIBE without topic filter"));
    }
    for subscription in &subscribe.subscriptions {
        let options = subscription.options();
        //= mqtt311:3.8.3-4
        if !version.is_v5() && options > 2 {
            return Err(EncodeError::Unrepresentable("subscription option before 5.0"));
        }
        write_string("topic filter", subscription.filter, out)?;
        out.push(options);
    }
    Ok(())
}

/// Appends what follows the fixed header of UNSUBSCRIBE.
pub(super) fn unsubscribe(
    unsubscribe: &Unsubscribe<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_packet_id(unsubscribe.packet_id, out)?;
    write_properties(&unsubscribe.properties, version, out)?;
    //= mqtt5:3.10.3-2
    //= mqtt311:3.10.3-2
    if unsubscribe.filters.is_empty() {
        return Err(EncodeError::Unrepresentable("UNSUBSCRIBE without topic filter"));
    }
    for filter in &unsubscribe.filters {
        write_string("topic filter", filter, out)?;
    }
    Ok(())
}

/// Appends what follows the fixed header of SUBACK.
pub(super) fn suback(
    suback: &Suback<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_packet_id(suback.packet_id, out)?;
    write_properties(&suback.properties, version, out)?;
    if version.is_v5() {
        out.extend_from_slice(suback.reasons);
        return Ok(());
    }
    for &code in suback.reasons {
        let is_error = ReasonCode::new(code).is_error();
        if is_error && version == Version::V31 {
            return Err(EncodeError::Unrepresentable("SUBACK failure in 3.1"));
        }
        //= mqtt311:3.9.3-2
        out.push(if is_error { ReasonCode::UNSPECIFIED_ERROR.value() } else { code });
    }
    Ok(())
}

/// Appends what follows the fixed header of UNSUBACK.
pub(super) fn unsuback(
    unsuback: &Unsuback<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_packet_id(unsuback.packet_id, out)?;
    write_properties(&unsuback.properties, version, out)?;
    if version.is_v5() {
        out.extend_from_slice(unsuback.reasons);
    }
    Ok(())
}
