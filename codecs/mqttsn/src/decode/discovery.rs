use codec_wire::{DecodeError, Reader};

use crate::{Advertise, Gwinfo};

/// Decodes ADVERTISE.
pub(super) fn advertise(body: &mut Reader<'_>) -> Result<Advertise, DecodeError> {
    Ok(Advertise { gw_id: body.u8()?, duration_s: body.u16()? })
}

/// Decodes GWINFO.
pub(super) fn gwinfo<'a>(body: &mut Reader<'a>) -> Result<Gwinfo<'a>, DecodeError> {
    Ok(Gwinfo { gw_id: body.u8()?, gw_add: body.rest() })
}
