use codec_wire::EncodeError;

use super::write_properties;
use crate::{
    Auth, AuthProperties, Connack, Disconnect, DisconnectProperties, ReasonCode, Version,
    properties,
};

/// Appends what follows the fixed header of CONNACK.
pub(super) fn connack(
    connack: &Connack<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let code = if version.is_v5() {
        connack.reason.value()
    } else {
        //= mqtt311:3.2.2-6
        connack
            .reason
            .connect_return_code()
            .ok_or(EncodeError::Unrepresentable("CONNACK reason before 5.0"))?
    };
    //= mqtt5:3.2.2-1
    //= mqtt5:3.2.2-6
    //= mqtt311:3.2.2-4
    let session_present = connack.session_present && connack.reason == ReasonCode::SUCCESS;
    out.extend_from_slice(&[session_present.into(), code]);
    write_properties(&connack.properties, version, out)
}

/// Appends what follows the fixed header of DISCONNECT.
pub(super) fn disconnect(
    disconnect: &Disconnect<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let is_normal = disconnect.reason == ReasonCode::SUCCESS;
    if !version.is_v5() {
        // Without its reason it would say the opposite: that the Will is to be dropped.
        return match is_normal {
            true => Ok(()),
            false => Err(EncodeError::Unrepresentable("DISCONNECT reason before 5.0")),
        };
    }
    if is_normal && disconnect.properties == DisconnectProperties::default() {
        return Ok(());
    }
    out.push(disconnect.reason.value());
    properties::encode(&disconnect.properties, out)
}

/// Appends what follows the fixed header of AUTH.
pub(super) fn auth(
    auth: &Auth<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if !version.is_v5() {
        return Err(EncodeError::Unrepresentable("AUTH before 5.0"));
    }
    if auth.reason == ReasonCode::SUCCESS && auth.properties == AuthProperties::default() {
        return Ok(());
    }
    out.push(auth.reason.value());
    properties::encode(&auth.properties, out)
}
