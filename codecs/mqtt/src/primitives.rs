//! The data types of section 1.5 of the standard.

use codec_wire::{DecodeError, EncodeError, Reader, utf8};

use crate::{
    Version, topic,
    violation::{self, Violation},
};

/// Greatest value of a Variable Byte Integer.
pub(crate) const VARINT_MAX: u32 = 268_435_455;

/// A Variable Byte Integer at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Varint {
    /// The value, its length in bytes and whether fewer bytes would have done.
    Whole { value: u32, len: usize, padded: bool },
    /// Every byte so far says that another one follows.
    Cut,
    /// The fourth byte says that another one follows.
    Long,
}

#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Varint {
    match *bytes {
        [a, ..] if a < 0x80 => Varint::Whole { value: a.into(), len: 1, padded: false },
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Varint {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Varint::Whole { value, len: index + 1, padded: byte == 0 && index > 0 };
        }
    }
    if bytes.len() < 4 { Varint::Cut } else { Varint::Long }
}

/// Reads a Variable Byte Integer inside a packet.
#[inline]
pub(crate) fn read_varint(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let at = reader.position();
    match varint(reader.peek()) {
        //= mqtt5:1.5.5-1
        Varint::Whole { padded: true, .. } => {
            Err(violation::VARINT_NOT_SHORTEST.at(at, Version::V5))
        }
        Varint::Whole { value, len, .. } => reader.take(len).map(|_| value),
        // Reading one byte more than there are says where the packet ends too early.
        Varint::Cut => reader.take(reader.remaining() + 1).map(|_| 0),
        //= mqtt5:1.5.5-1
        Varint::Long => Err(violation::VARINT_LONG.at(at, Version::V5)),
    }
}

/// How many bytes `value` takes as a Variable Byte Integer.
#[inline]
pub(crate) const fn varint_len(value: u32) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// `value`, at most [`VARINT_MAX`], in the fewest bytes, and how many these are.
#[inline]
fn varint_bytes(value: u32) -> ([u8; 4], usize) {
    debug_assert!(value <= VARINT_MAX);
    let last = |shift: u32| (value >> shift) as u8;
    let more = |shift: u32| last(shift) | 0x80;
    //= mqtt5:1.5.5-1
    match varint_len(value) {
        1 => ([last(0), 0, 0, 0], 1),
        2 => ([more(0), last(7), 0, 0], 2),
        3 => ([more(0), more(7), last(14), 0], 3),
        _ => ([more(0), more(7), more(14), last(21)], 4),
    }
}

/// Appends `value`, at most [`VARINT_MAX`], in the fewest bytes.
#[inline]
pub(crate) fn write_varint(value: u32, out: &mut Vec<u8>) {
    let (bytes, len) = varint_bytes(value);
    out.extend(bytes.into_iter().take(len));
}

/// Puts the length of everything that `body` appends in front of it.
pub(crate) fn length_prefixed(
    out: &mut Vec<u8>,
    field: &'static str,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.push(0);
    body(out)?;
    let len = out.len() - start - 1;
    let value = fits_varint(field, len)?;
    // Nearly every section is below 128 bytes and stays where it is.
    let (bytes, len) = varint_bytes(value);
    out.splice(start..=start, bytes.into_iter().take(len));
    Ok(())
}

/// `len` as a Variable Byte Integer's value.
#[inline]
pub(crate) fn fits_varint(field: &'static str, len: usize) -> Result<u32, EncodeError> {
    match u32::try_from(len) {
        Ok(value) if value <= VARINT_MAX => Ok(value),
        _ => Err(EncodeError::TooLong { field, len, max: VARINT_MAX as usize }),
    }
}

/// Reads a UTF-8 Encoded String without U+0000. Nothing is stripped or normalised, so that U+FEFF
/// stays a character like any other.
#[inline]
pub(crate) fn read_string<'a>(
    reader: &mut Reader<'a>,
    version: Version,
) -> Result<&'a str, DecodeError> {
    let text = read_utf8(reader, version)?;
    if has_any(text, |byte| byte == 0) {
        return Err(nul(text, reader, version));
    }
    Ok(text)
}

/// Reads a Topic Name, which may still be empty; a wildcard in it breaks the rule `wildcard`.
#[inline]
pub(crate) fn read_topic_name<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    wildcard: Violation,
) -> Result<&'a str, DecodeError> {
    let topic = read_utf8(reader, version)?;
    // One look at the bytes for everything that a Topic Name must not have.
    if has_any(topic, |byte| byte == 0 || topic::is_wildcard(byte)) {
        //= mqtt5:4.7.0-1
        //= mqtt311:4.7.1-1
        return Err(match topic::wildcard(topic) {
            Some(index) => wildcard.at(reader.position() - topic.len() + index, version),
            None => nul(topic, reader, version),
        });
    }
    Ok(topic)
}

/// Reads a UTF-8 Encoded String that may have U+0000.
#[inline]
fn read_utf8<'a>(reader: &mut Reader<'a>, version: Version) -> Result<&'a str, DecodeError> {
    let bytes = read_binary(reader)?;
    //= mqtt5:1.5.4-1
    //= mqtt5:1.5.4-3
    //= mqtt5:1.5.7-1
    //= mqtt311:1.5.3-1
    //= mqtt311:1.5.3-3
    //= mqtt5:GW-MQTT-21
    utf8(bytes, reader.position() - bytes.len())
        .map_err(|error| violation::ILL_FORMED_TEXT.at(error.offset, version))
}

/// Whether one of the bytes of `text` is `wanted`.
#[inline]
pub(crate) fn has_any(text: &str, wanted: impl Fn(u8) -> bool) -> bool {
    // Without an early exit, which hardly ever comes, this becomes vector instructions.
    text.as_bytes().iter().fold(false, |found, &byte| found | wanted(byte))
}

/// The error for `text`, which has U+0000 and was read last.
#[cold]
fn nul(text: &str, reader: &Reader<'_>, version: Version) -> DecodeError {
    //= mqtt5:1.5.4-2
    //= mqtt5:4.7.3-2
    //= mqtt311:1.5.3-2
    //= mqtt311:4.7.3-2
    let index = text.bytes().take_while(|&byte| byte != 0).count();
    violation::NUL.at(reader.position() - text.len() + index, version)
}

/// Reads Binary Data.
#[inline]
pub(crate) fn read_binary<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = reader.u16()?;
    reader.take(len.into())
}

/// Reads a Packet Identifier.
#[inline]
pub(crate) fn read_packet_id(
    reader: &mut Reader<'_>,
    version: Version,
) -> Result<u16, DecodeError> {
    let at = reader.position();
    //= mqtt5:GW-MQTT-10
    //= mqtt311:2.3.1-1
    match reader.u16()? {
        0 => Err(violation::PACKET_ID_ZERO.at(at, version)),
        packet_id => Ok(packet_id),
    }
}

#[inline]
pub(crate) fn write_u16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a Packet Identifier.
#[inline]
pub(crate) fn write_packet_id(packet_id: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    //= mqtt5:2.2.1-4
    //= mqtt311:2.3.1-1
    if packet_id == 0 {
        return Err(EncodeError::Unrepresentable("packet identifier 0"));
    }
    write_u16(packet_id, out);
    Ok(())
}

/// Appends Binary Data, or a UTF-8 Encoded String as its bytes.
#[inline]
pub(crate) fn write_binary(
    field: &'static str,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    //= mqtt5:4.7.3-3
    //= mqtt311:4.7.3-3
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::TooLong {
        field,
        len: bytes.len(),
        max: u16::MAX.into(),
    })?;
    write_u16(len, out);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends a UTF-8 Encoded String.
#[inline]
pub(crate) fn write_string(
    field: &'static str,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    //= mqtt5:1.5.4-2
    //= mqtt311:1.5.3-2
    if has_any(text, |byte| byte == 0) {
        return Err(EncodeError::Unrepresentable("U+0000 in a UTF-8 string"));
    }
    write_binary(field, text.as_bytes(), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    //= mqtt5:1.5.5-1
    #[test]
    fn variable_byte_integers_use_the_fewest_bytes() {
        let edges = [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, VARINT_MAX];
        for (index, value) in edges.into_iter().enumerate() {
            let mut out = Vec::new();
            write_varint(value, &mut out);
            assert_eq!(out.len(), index / 2 + 1);
            assert_eq!(varint_len(value), out.len());
            let whole = Varint::Whole { value, len: out.len(), padded: false };
            assert_eq!(varint(&out), whole);
            out.push(0xff);
            assert_eq!(varint(&out), whole);
        }
    }

    //= mqtt5:1.5.5-1
    #[test]
    fn padded_long_and_cut_integers_are_told_apart() {
        assert_eq!(varint(&[0x80, 0]), Varint::Whole { value: 0, len: 2, padded: true });
        assert_eq!(varint(&[0xff, 0x80, 0]), Varint::Whole { value: 127, len: 3, padded: true });
        assert_eq!(varint(&[0x80, 0x80, 0x80, 0x80]), Varint::Long);
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 1]), Varint::Long);
        assert_eq!(varint(&[0x80, 0x80, 0x80]), Varint::Cut);
        assert_eq!(varint(&[]), Varint::Cut);
        let mut reader = Reader::new(&[0x80, 0x80]);
        assert_eq!(read_varint(&mut reader).unwrap_err().what, "field runs past the end");
    }

    #[test]
    fn a_length_above_127_moves_the_body() {
        for len in [0, 1, 127, 128, 16_384] {
            let mut out = vec![9];
            length_prefixed(&mut out, "body", |out| {
                out.resize(out.len() + len, 7);
                Ok(())
            })
            .unwrap();
            let Varint::Whole { value, len: prefix, .. } = varint(&out[1..]) else { panic!() };
            assert_eq!(value as usize, len);
            assert_eq!(out.len(), 1 + prefix + len);
            assert!(out[1 + prefix..].iter().all(|&byte| byte == 7));
        }
    }

    //= mqtt5:4.7.3-3
    //= mqtt311:4.7.3-3
    #[test]
    fn strings_above_65535_bytes_are_not_written() {
        let mut out = Vec::new();
        assert!(write_string("topic name", &"a".repeat(65_535), &mut out).is_ok());
        out.clear();
        let error = write_string("topic name", &"a".repeat(65_536), &mut out).unwrap_err();
        assert_eq!(error, EncodeError::TooLong { field: "topic name", len: 65_536, max: 65_535 });
        assert!(write_string("topic name", "a\0", &mut out).is_err());
    }
}
