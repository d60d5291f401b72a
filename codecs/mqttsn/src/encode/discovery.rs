use super::write_u16;
use crate::{Advertise, Gwinfo};

/// Appends the variable part of ADVERTISE.
pub(super) fn advertise(advertise: &Advertise, out: &mut Vec<u8>) {
    out.push(advertise.gw_id);
    write_u16(advertise.duration_s, out);
}

/// Appends the variable part of GWINFO.
pub(super) fn gwinfo(gwinfo: &Gwinfo<'_>, out: &mut Vec<u8>) {
    out.push(gwinfo.gw_id);
    out.extend_from_slice(gwinfo.gw_add);
}
