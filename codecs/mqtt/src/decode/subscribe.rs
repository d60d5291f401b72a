use codec_wire::{DecodeError, Reader};

use super::Context;
use crate::{
    AckProperties, List, PacketType, ReasonCode, Suback, Subscribe, SubscribeProperties,
    Subscription, Unsuback, Unsubscribe, UnsubscribeProperties, Version,
    primitives::{read_packet_id, read_string},
    properties,
    violation::{self, Violation},
};

/// Decodes SUBSCRIBE.
pub(crate) fn subscribe<'a>(
    body: &mut Reader<'a>,
    context: Context<'_>,
) -> Result<Subscribe<'a>, DecodeError> {
    let version = context.version;
    let packet_id = read_packet_id(body, version)?;
    let mut properties = SubscribeProperties::default();
    if version.is_v5() {
        properties::decode(&mut properties, body, context.limits)?;
    }
    //= mqtt5:3.8.3-2
    //= mqtt311:3.8.3-3
    let list = read_filters(body, context, violation::SUBSCRIBE_EMPTY, |body| {
        check_options(body, version)
    })?;
    Ok(Subscribe { packet_id, properties, subscriptions: List::of_wire(list) })
}

/// Decodes UNSUBSCRIBE.
pub(crate) fn unsubscribe<'a>(
    body: &mut Reader<'a>,
    context: Context<'_>,
) -> Result<Unsubscribe<'a>, DecodeError> {
    let packet_id = read_packet_id(body, context.version)?;
    let mut properties = UnsubscribeProperties::default();
    if context.version.is_v5() {
        properties::decode(&mut properties, body, context.limits)?;
    }
    //= mqtt5:3.10.3-2
    //= mqtt311:3.10.3-2
    let list = read_filters(body, context, violation::UNSUBSCRIBE_EMPTY, |_| Ok(()))?;
    Ok(Unsubscribe { packet_id, properties, filters: List::of_wire(list) })
}

/// Checks Topic Filters up to the end of the packet, each followed by what `check_rest` reads, and
/// returns their bytes.
fn read_filters<'a>(
    body: &mut Reader<'a>,
    context: Context<'_>,
    empty: Violation,
    check_rest: impl Fn(&mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<&'a [u8], DecodeError> {
    let list = body.peek();
    if list.is_empty() {
        return Err(empty.at(body.position(), context.version));
    }
    let mut count = 0;
    while !body.is_empty() {
        let at = body.position();
        count += 1;
        if count > context.limits.max_filters {
            return Err(violation::FILTERS_MANY.at(at, context.version));
        }
        //= mqtt5:3.8.3-1
        //= mqtt5:3.10.3-1
        //= mqtt311:3.8.3-1
        //= mqtt311:3.10.3-1
        let filter = read_string(body, context.version)?;
        //= mqtt5:4.7.3-1
        //= mqtt311:4.7.3-1
        if filter.is_empty() {
            return Err(violation::FILTER_EMPTY.at(at, context.version));
        }
        check_rest(body)?;
    }
    Ok(list)
}

/// Checks a Subscription Options byte.
fn check_options(body: &mut Reader<'_>, version: Version) -> Result<(), DecodeError> {
    let at = body.position();
    let options = body.u8()?;
    let reserved = if version.is_v5() { 0b1100_0000 } else { 0b1111_1100 };
    //= mqtt5:3.8.3-5
    //= mqtt311:3.8.3-4
    if options & reserved != 0 {
        return Err(violation::OPTIONS_RESERVED.at(at, version));
    }
    //= mqtt311:3.8.3-4
    if options & 3 == 3 {
        return Err(violation::OPTIONS_QOS_THREE.at(at, version));
    }
    match Subscription::from_options("", options) {
        Some(_) => Ok(()),
        None => Err(violation::OPTIONS_RETAIN_HANDLING.at(at, version)),
    }
}

/// Decodes SUBACK.
pub(crate) fn suback<'a>(
    body: &mut Reader<'a>,
    context: Context<'_>,
) -> Result<Suback<'a>, DecodeError> {
    let version = context.version;
    let packet_id = read_packet_id(body, version)?;
    let mut properties = AckProperties::default();
    if version.is_v5() {
        properties::decode(&mut properties, body, context.limits)?;
    }
    //= mqtt5:3.9.3-2
    //= mqtt311:3.9.3-2
    let is_allowed = |code: u8| match version {
        Version::V31 => code <= 2,
        Version::V311 => code <= 2 || code == ReasonCode::UNSPECIFIED_ERROR.value(),
        Version::V5 => ReasonCode::new(code).is_allowed_in(PacketType::Suback),
    };
    let reasons =
        read_reasons(body, version, violation::SUBACK_EMPTY, violation::SUBACK_REASON, is_allowed)?;
    Ok(Suback { packet_id, properties, reasons })
}

/// Decodes UNSUBACK.
pub(crate) fn unsuback<'a>(
    body: &mut Reader<'a>,
    context: Context<'_>,
) -> Result<Unsuback<'a>, DecodeError> {
    let version = context.version;
    let packet_id = read_packet_id(body, version)?;
    let mut properties = AckProperties::default();
    if !version.is_v5() {
        return Ok(Unsuback { packet_id, properties, reasons: &[] });
    }
    properties::decode(&mut properties, body, context.limits)?;
    //= mqtt5:3.11.3-2
    let is_allowed = |code| ReasonCode::new(code).is_allowed_in(PacketType::Unsuback);
    let reasons = read_reasons(
        body,
        version,
        violation::UNSUBACK_EMPTY,
        violation::UNSUBACK_REASON,
        is_allowed,
    )?;
    Ok(Unsuback { packet_id, properties, reasons })
}

/// Checks reason codes up to the end of the packet and returns them.
fn read_reasons<'a>(
    body: &mut Reader<'a>,
    version: Version,
    empty: Violation,
    forbidden: Violation,
    is_allowed: impl Fn(u8) -> bool,
) -> Result<&'a [u8], DecodeError> {
    let at = body.position();
    let reasons = body.rest();
    if reasons.is_empty() {
        return Err(empty.at(at, version));
    }
    match reasons.iter().position(|&code| !is_allowed(code)) {
        Some(index) => Err(forbidden.at(at + index, version)),
        None => Ok(reasons),
    }
}
