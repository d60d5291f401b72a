//! Hexadecimal text, for command lines and test vectors.

use std::fmt::Write;

/// Why text is not a sequence of bytes in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexError {
    /// Neither a hexadecimal digit nor white space.
    #[error("byte {offset} of the text is no hexadecimal digit")]
    Digit {
        /// Its place in the text, in bytes.
        offset: usize,
    },
    /// The text ends, or has white space, in the middle of a byte.
    #[error("the hexadecimal digit before byte {offset} of the text has no partner")]
    Odd {
        /// Where the second digit should be, in bytes.
        offset: usize,
    },
}

/// The bytes that `text` spells: two digits of either case each, white space between them ignored.
///
/// # Errors
/// Something else is in the text, or a byte has only one digit.
pub fn decode(text: &str) -> Result<Vec<u8>, HexError> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (offset, character) in text.char_indices() {
        if character.is_ascii_whitespace() {
            if high.is_some() {
                return Err(HexError::Odd { offset });
            }
            continue;
        }
        let digit = character.to_digit(16).ok_or(HexError::Digit { offset })? as u8;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    if high.is_some() {
        return Err(HexError::Odd { offset: text.len() });
    }
    Ok(bytes)
}

/// `bytes` as lower-case digits without separators.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_paste() {
        assert_eq!(decode("10 2A\n ff\t00"), Ok(vec![0x10, 0x2a, 0xff, 0]));
        assert_eq!(decode(""), Ok(vec![]));
        assert_eq!(encode(&[0x10, 0x2a, 0xff, 0]), "102aff00");
    }

    #[test]
    fn refuses_what_is_no_byte() {
        assert_eq!(decode("1x"), Err(HexError::Digit { offset: 1 }));
        assert_eq!(decode("10 2"), Err(HexError::Odd { offset: 4 }));
        assert_eq!(decode("1 0"), Err(HexError::Odd { offset: 1 }));
        assert_eq!(decode("é0"), Err(HexError::Digit { offset: 0 }));
    }
}
