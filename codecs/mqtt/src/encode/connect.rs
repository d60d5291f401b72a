use codec_wire::EncodeError;

use super::write_properties;
use crate::{
    Connect, Version,
    primitives::{write_binary, write_string, write_u16},
};

/// Appends what follows the fixed header of CONNECT.
pub(super) fn encode(connect: &Connect<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let version = connect.version;
    //= mqtt311:3.1.2-22
    if version == Version::V311 && connect.password.is_some() && connect.user_name.is_none() {
        return Err(EncodeError::Unrepresentable("password without user name in 3.1.1"));
    }
    if version.is_v5() && connect.bridge {
        return Err(EncodeError::Unrepresentable("bridge in 5.0"));
    }
    write_string("protocol name", version.protocol_name(), out)?;
    out.push(version.level() | u8::from(connect.bridge) << 7);
    out.push(flags(connect));
    write_u16(connect.keep_alive_s, out);
    write_properties(&connect.properties, version, out)?;
    //= mqtt5:3.1.3-1
    //= mqtt311:3.1.3-1
    write_string("client identifier", connect.client_id, out)?;
    if let Some(will) = &connect.will {
        write_properties(&will.properties, version, out)?;
        write_string("will topic", will.topic, out)?;
        write_binary("will payload", will.payload, out)?;
    }
    if let Some(user_name) = connect.user_name {
        write_string("user name", user_name, out)?;
    }
    if let Some(password) = connect.password {
        write_binary("password", password.0, out)?;
    }
    Ok(())
}

/// The Connect Flags.
fn flags(connect: &Connect<'_>) -> u8 {
    //= mqtt5:3.1.2-11
    //= mqtt5:3.1.2-13
    //= mqtt311:3.1.2-11
    let will = connect
        .will
        .as_ref()
        .map_or(0, |will| 1 << 2 | (will.qos as u8) << 3 | u8::from(will.retain) << 5);
    u8::from(connect.clean_start) << 1
        | will
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.user_name.is_some()) << 7
}
