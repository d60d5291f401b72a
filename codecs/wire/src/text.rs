use crate::{DecodeError, ErrorKind};

/// `bytes` as text, where `offset` is their place in the frame.
///
/// # Errors
/// [`ErrorKind::Malformed`] at the first byte that is not well-formed UTF-8: overlong forms,
/// surrogates, values above U+10FFFF and cut-off characters are refused.
#[inline]
pub fn utf8(bytes: &[u8], offset: usize) -> Result<&str, DecodeError> {
    core::str::from_utf8(bytes).map_err(|error| {
        DecodeError::new(ErrorKind::Malformed, offset + error.valid_up_to(), "ill-formed UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ill_formed_text_is_refused_at_its_first_bad_byte() {
        assert_eq!(utf8("aß€𐍈\u{feff}".as_bytes(), 3), Ok("aß€𐍈\u{feff}"));
        let bad: [(&[u8], usize); 5] = [
            (b"a\xc0\x80", 1),
            (b"ab\xed\xa0\x80", 2),
            (b"\xf4\x90\x80\x80", 0),
            (b"abc\xe2\x82", 3),
            (b"\x80", 0),
        ];
        for (bytes, at) in bad {
            assert_eq!(utf8(bytes, 10).unwrap_err().offset, 10 + at, "{bytes:02x?}");
        }
    }
}
