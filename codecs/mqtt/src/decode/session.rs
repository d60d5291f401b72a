use codec_wire::{DecodeError, Reader};

use super::Context;
use crate::{
    Auth, AuthProperties, Connack, ConnackProperties, Disconnect, PacketType, ReasonCode,
    properties, violation,
};

/// Decodes CONNACK.
pub(crate) fn connack<'a>(
    body: &mut Reader<'a>,
    context: Context<'_>,
) -> Result<Connack<'a>, DecodeError> {
    let version = context.version;
    let flags_at = body.position();
    let flags = body.u8()?;
    //= mqtt5:3.2.2-1
    if flags & !1 != 0 {
        return Err(violation::CONNACK_FLAGS.at(flags_at, version));
    }
    let session_present = flags != 0;
    let at = body.position();
    let code = body.u8()?;
    //= mqtt5:3.2.2-8
    //= mqtt311:3.2.2-6
    let reason = if version.is_v5() {
        Some(ReasonCode::new(code)).filter(|reason| reason.is_allowed_in(PacketType::Connack))
    } else {
        ReasonCode::from_connect_return_code(code)
    };
    let reason = reason.ok_or_else(|| violation::CONNACK_REASON.at(at, version))?;
    //= mqtt5:3.2.2-6
    //= mqtt311:3.2.2-4
    if session_present && reason != ReasonCode::SUCCESS {
        return Err(violation::SESSION_PRESENT_WITH_ERROR.at(flags_at, version));
    }
    let mut properties = ConnackProperties::default();
    if version.is_v5() {
        properties::decode(&mut properties, body, context.limits)?;
    }
    Ok(Connack { session_present, reason, properties })
}

/// Decodes DISCONNECT.
pub(crate) fn disconnect<'a>(
    body: &mut Reader<'a>,
    context: Context<'_>,
) -> Result<Disconnect<'a>, DecodeError> {
    let mut disconnect = Disconnect::default();
    if !context.version.is_v5() || body.is_empty() {
        return Ok(disconnect);
    }
    let at = body.position();
    disconnect.reason = ReasonCode::new(body.u8()?);
    //= mqtt5:3.14.2-1
    if !disconnect.reason.is_allowed_in(PacketType::Disconnect) {
        return Err(violation::DISCONNECT_REASON.at(at, context.version));
    }
    if !body.is_empty() {
        properties::decode(&mut disconnect.properties, body, context.limits)?;
    }
    Ok(disconnect)
}

/// Decodes AUTH. With nothing but a fixed header it has no method; the standard allows the form
/// and forbids what it says, so the receiver refuses it in its own terms.
pub(crate) fn auth<'a>(
    body: &mut Reader<'a>,
    context: Context<'_>,
) -> Result<Auth<'a>, DecodeError> {
    if body.is_empty() {
        return Ok(Auth::default());
    }
    let at = body.position();
    let reason = ReasonCode::new(body.u8()?);
    //= mqtt5:3.15.2-1
    if !reason.is_allowed_in(PacketType::Auth) {
        return Err(violation::AUTH_REASON.at(at, context.version));
    }
    let properties_at = body.position();
    let mut properties = AuthProperties::default();
    properties::decode(&mut properties, body, context.limits)?;
    //= mqtt5:GW-MQTT-18
    if properties.authentication_method.is_none() {
        return Err(violation::AUTH_WITHOUT_METHOD.at(properties_at, context.version));
    }
    Ok(Auth { reason, properties })
}
