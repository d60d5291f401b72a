use std::ops::RangeInclusive;

use codec_wire::hex;

use crate::{Found, Refusal, Value};

/// What stands before hexadecimal digits.
const HEX: &str = "hex:";

/// Bytes, written as text or in hexadecimal: `"ping"`, `"hex:02 01"`. Their number has to be in the
/// range of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octets(pub Box<[u8]>);

impl Value for Octets {
    fn read(&mut self, found: Found<'_>, range: &RangeInclusive<u64>) -> Result<(), Refusal> {
        let Found::Text(text) = found else { return Err(Refusal::NotAllowed) };
        let bytes = match text.strip_prefix(HEX) {
            Some(digits) => {
                hex::decode(digits).map_err(|error| Refusal::Because(error.to_string()))?
            }
            None => text.as_bytes().to_vec(),
        };
        if !range.contains(&(bytes.len() as u64)) {
            return Err(Refusal::NotAllowed);
        }
        self.0 = bytes.into();
        Ok(())
    }

    fn allowed(&self, range: &RangeInclusive<u64>) -> String {
        let (min, max) = (range.start(), range.end());
        format!("{min} to {max} bytes as text or in hexadecimal, such as \"{HEX}02 01\"")
    }

    fn toml(&self) -> Option<String> {
        let text = str::from_utf8(&self.0).ok().filter(|text| !text.starts_with(HEX));
        let text = text.map_or_else(|| format!("{HEX}{}", hex::encode(&self.0)), str::to_owned);
        Some(toml::Value::from(text).to_string())
    }

    fn example(&self) -> String {
        "\"ping\"".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Octets, Refusal> {
        let mut octets = Octets::default();
        octets.read(Found::Text(text), &(1..=4)).map(|()| octets)
    }

    #[test]
    fn bytes_are_text_or_hexadecimal() {
        let bytes = |text| read(text).unwrap().0;
        assert_eq!(*bytes("ping"), *b"ping");
        assert_eq!(*bytes("hex:02 fF"), [0x02, 0xff]);
        assert_eq!(*bytes("é"), [0xc3, 0xa9]);
        for wrong in ["", "pings", "hex:", "hex:0102030405"] {
            assert_eq!(read(wrong), Err(Refusal::NotAllowed), "{wrong}");
        }
        for wrong in ["hex:0", "hex:0x01", "hex:zz"] {
            assert!(matches!(read(wrong), Err(Refusal::Because(_))), "{wrong}");
        }
        assert_eq!(Octets::default().read(Found::Integer(1), &(1..=4)), Err(Refusal::NotAllowed));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for bytes in [b"ping".as_slice(), b"hex:", b"\x02\xff", b"a\"\n"] {
            let written = Octets(bytes.into()).toml().unwrap();
            let value: toml::Value =
                format!("a = {written}").parse::<toml::Table>().unwrap()["a"].clone();
            let mut again = Octets::default();
            again.read(Found::Text(value.as_str().unwrap()), &(0..=9)).unwrap();
            assert_eq!(*again.0, *bytes);
        }
    }
}
