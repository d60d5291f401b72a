use std::net::SocketAddr;
use std::ops::{Deref, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Found, HasSlot, Map, Refusal, Slot, Value};

type Range = RangeInclusive<u64>;

impl Value for bool {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        let Found::Boolean(value) = found else { return Err(Refusal::NotAllowed) };
        *self = value;
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "true, false".into()
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn example(&self) -> String {
        "true".into()
    }
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
                let Found::Integer(value) = found else { return Err(Refusal::NotAllowed) };
                let value = u64::try_from(value).ok().filter(|value| range.contains(value));
                *self = value.and_then(|value| value.try_into().ok()).ok_or(Refusal::NotAllowed)?;
                Ok(())
            }

            fn allowed(&self, range: &Range) -> String {
                // A TOML integer has 63 bits.
                let max = (*range.end()).min(u64::from(Self::MAX)).min(i64::MAX.unsigned_abs());
                format!("an integer from {} to {max}", range.start())
            }

            fn toml(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn example(&self) -> String {
                "100".into()
            }
        }
    )*};
}

integer!(u8, u16, u32, u64);

impl Value for String {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        let Found::Text(text) = found else { return Err(Refusal::NotAllowed) };
        text.clone_into(self);
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "a string".into()
    }

    fn toml(&self) -> Option<String> {
        Some(toml::Value::from(self.as_str()).to_string())
    }

    fn example(&self) -> String {
        "\"text\"".into()
    }
}

impl Value for PathBuf {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        match found {
            Found::Text(text) if !text.is_empty() => *self = text.into(),
            _ => return Err(Refusal::NotAllowed),
        }
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "a path".into()
    }

    fn toml(&self) -> Option<String> {
        self.to_str().map(|text| toml::Value::from(text).to_string())
    }
}

impl Value for SocketAddr {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        let Found::Text(text) = found else { return Err(Refusal::NotAllowed) };
        *self = text.parse().map_err(|_| Refusal::NotAllowed)?;
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "an address and a port, such as \"127.0.0.1:1883\", \"0.0.0.0:1883\", \"[::]:1883\"".into()
    }

    fn toml(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

impl<T: Value + Default> Value for Vec<T> {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        let Found::List(elements) = found else { return Err(Refusal::NotAllowed) };
        let read = |element: &Found<'_>| {
            let mut value = T::default();
            value.read(*element, range).map(|()| value)
        };
        let list = elements.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if list.is_empty() {
            return Err(Refusal::Because("an empty list".into()));
        }
        *self = list;
        Ok(())
    }

    fn allowed(&self, range: &Range) -> String {
        format!("a list of {}", T::default().allowed(range))
    }

    fn toml(&self) -> Option<String> {
        let elements: Option<Vec<_>> = self.iter().map(T::toml).collect();
        Some(format!("[{}]", elements?.join(", ")))
    }

    fn words(&self) -> &'static [&'static str] {
        T::default().words()
    }

    fn example(&self) -> String {
        format!("[{}]", T::default().example())
    }
}

/// A list that may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T: Value + Default> Value for List<T> {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        if found == Found::List(&[]) {
            self.0.clear();
            return Ok(());
        }
        self.0.read(found, range)
    }

    fn allowed(&self, range: &Range) -> String {
        format!("{}; it may be empty", self.0.allowed(range))
    }

    fn toml(&self) -> Option<String> {
        self.0.toml()
    }

    fn words(&self) -> &'static [&'static str] {
        self.0.words()
    }

    fn example(&self) -> String {
        self.0.example()
    }
}

/// A list that may be unset, and be written as its only member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneOrMore<T>(pub Vec<T>);

impl<T: Value + Default> Value for OneOrMore<T> {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        match found {
            Found::List(_) => self.0.read(found, range),
            one => self.0.read(Found::List(&[one]), range),
        }
    }

    fn allowed(&self, range: &Range) -> String {
        format!("{}; or a list of such", T::default().allowed(range))
    }

    fn toml(&self) -> Option<String> {
        if self.0.is_empty() { None } else { self.0.toml() }
    }

    fn words(&self) -> &'static [&'static str] {
        self.0.words()
    }

    fn example(&self) -> String {
        self.0.example()
    }
}

/// A value that may be unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unset<T>(pub Option<T>);

impl<T: Value + Default> Value for Unset<T> {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        let mut value = T::default();
        value.read(found, range)?;
        self.0 = Some(value);
        Ok(())
    }

    fn allowed(&self, range: &Range) -> String {
        T::default().allowed(range)
    }

    fn toml(&self) -> Option<String> {
        self.0.as_ref().and_then(T::toml)
    }

    fn words(&self) -> &'static [&'static str] {
        T::default().words()
    }

    fn example(&self) -> String {
        T::default().example()
    }
}

/// A value that the file has to set if it has the table. Until then it is the type's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Required<T> {
    value: T,
    is_set: bool,
}

impl<T> Deref for Required<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Value> Value for Required<T> {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        self.value.read(found, range)?;
        self.is_set = true;
        Ok(())
    }

    fn allowed(&self, range: &Range) -> String {
        self.value.allowed(range)
    }

    fn toml(&self) -> Option<String> {
        if self.is_set { self.value.toml() } else { None }
    }

    fn words(&self) -> &'static [&'static str] {
        self.value.words()
    }

    fn example(&self) -> String {
        self.value.example()
    }

    fn is_missing(&self) -> bool {
        !self.is_set
    }
}

/// A file that the server reads. A relative path starts at the folder of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// Where the file is, when the configuration file is in `folder`.
    pub fn in_folder(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }
}

impl Value for FilePath {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        self.0.read(found, range)
    }

    fn allowed(&self, _: &Range) -> String {
        "a path, from the folder of this file on".into()
    }

    fn toml(&self) -> Option<String> {
        self.0.toml()
    }

    fn example(&self) -> String {
        "\"file\"".into()
    }
}

/// A number of bytes, written as an integer or with a unit: `65536`, `"64KiB"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

pub(super) const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    /// So many KiB.
    pub const fn kib(count: u64) -> Self {
        Size(count << 10)
    }

    /// So many MiB.
    pub const fn mib(count: u64) -> Self {
        Size(count << 20)
    }

    fn text(self) -> String {
        let whole =
            SIZE_UNITS.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match whole {
            Some(("B", _)) | None => self.0.to_string(),
            Some((name, unit)) => format!("{}{name}", self.0 / unit),
        }
    }
}

impl Value for Size {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        let bytes = match found {
            Found::Integer(count) => u64::try_from(count).ok(),
            Found::Text(text) => number_with_unit(text, &SIZE_UNITS),
            Found::Boolean(_) | Found::List(_) | Found::Other => None,
        };
        self.0 = bytes.filter(|bytes| range.contains(bytes)).ok_or(Refusal::NotAllowed)?;
        Ok(())
    }

    fn allowed(&self, range: &Range) -> String {
        let (min, max) = (Size(*range.start()).text(), Size(*range.end()).text());
        format!("a size such as 65536 or \"64KiB\", from {min} to {max}")
    }

    fn toml(&self) -> Option<String> {
        let text = self.text();
        let is_number = text.ends_with(|last: char| last.is_ascii_digit());
        Some(if is_number { text } else { format!("\"{text}\"") })
    }

    fn example(&self) -> String {
        "\"64KiB\"".into()
    }
}

/// A length of time, written with its unit: `"500ms"`, `"10s"`, `"5min"`, `"2h"`, `"1d"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lapse {
    /// Milliseconds.
    pub ms: u64,
}

const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

impl Lapse {
    /// So many seconds.
    pub const fn seconds(count: u64) -> Self {
        Lapse { ms: count * 1000 }
    }

    /// The same for the standard library.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// Whole seconds, rounded up, at most `u32::MAX`.
    pub fn whole_seconds(self) -> u32 {
        u32::try_from(self.ms.div_ceil(1000)).unwrap_or(u32::MAX)
    }

    fn text(self) -> String {
        if self.ms == 0 {
            return "0s".into();
        }
        let whole = TIME_UNITS.iter().find(|(_, unit)| self.ms.is_multiple_of(*unit));
        let (name, unit) = whole.expect("every number is a multiple of 1");
        format!("{}{name}", self.ms / unit)
    }
}

impl Value for Lapse {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        let ms = match found {
            Found::Text(text) => number_with_unit(text, &TIME_UNITS),
            Found::Integer(_) => return Err(Refusal::Because("a duration needs a unit".into())),
            Found::Boolean(_) | Found::List(_) | Found::Other => None,
        };
        self.ms = ms.filter(|ms| range.contains(ms)).ok_or(Refusal::NotAllowed)?;
        Ok(())
    }

    fn allowed(&self, range: &Range) -> String {
        let (min, max) = (Lapse { ms: *range.start() }, Lapse { ms: *range.end() });
        let (min, max) = (min.text(), max.text());
        format!("a duration such as \"500ms\", \"10s\" or \"2h\", from {min} to {max}")
    }

    fn toml(&self) -> Option<String> {
        Some(format!("\"{}\"", self.text()))
    }

    fn example(&self) -> String {
        "\"10s\"".into()
    }
}

/// A value or, as `"never"`, none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Never<T>(pub Option<T>);

impl<T: Value + Default> Value for Never<T> {
    fn read(&mut self, found: Found<'_>, range: &Range) -> Result<(), Refusal> {
        if found == Found::Text("never") {
            self.0 = None;
            return Ok(());
        }
        let mut value = T::default();
        value.read(found, range)?;
        self.0 = Some(value);
        Ok(())
    }

    fn allowed(&self, range: &Range) -> String {
        format!("{}, or \"never\"", T::default().allowed(range))
    }

    fn toml(&self) -> Option<String> {
        self.0.as_ref().map_or(Some("\"never\"".into()), T::toml)
    }

    fn example(&self) -> String {
        T::default().example()
    }
}

/// Values under names that the operator chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByName<T> {
    /// Name and value, in the order of the names.
    pub list: Vec<(String, T)>,
    /// An entry for the manual.
    pub example: &'static str,
}

impl<T: Value + Default> Map for ByName<T> {
    fn read(&mut self, key: &str, found: Found<'_>) -> Result<(), Refusal> {
        let mut value = T::default();
        value.read(found, &(0..=u64::MAX))?;
        self.list.push((key.to_owned(), value));
        Ok(())
    }

    fn allowed(&self) -> String {
        T::default().allowed(&(0..=u64::MAX))
    }

    fn words(&self) -> &'static [&'static str] {
        T::default().words()
    }

    fn example(&self) -> &'static str {
        self.example
    }
}

impl<T: Value + Default> HasSlot for ByName<T> {
    fn slot(&mut self) -> Slot<'_> {
        Slot::Map(self)
    }
}

/// `"12s"` as 12 times the unit that the text ends with.
pub(super) fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Range = 0..=u64::MAX;

    fn read<T: Value + Default>(found: Found<'_>, range: &Range) -> Result<T, Refusal> {
        let mut value = T::default();
        value.read(found, range).map(|()| value)
    }

    #[test]
    fn integers_keep_to_type_and_range() {
        assert_eq!(read::<u16>(Found::Integer(65_535), &ANY), Ok(65_535));
        assert_eq!(read::<u16>(Found::Integer(65_536), &ANY), Err(Refusal::NotAllowed));
        assert_eq!(read::<u64>(Found::Integer(-1), &ANY), Err(Refusal::NotAllowed));
        assert_eq!(read::<u32>(Found::Integer(9), &(1..=9)), Ok(9));
        assert_eq!(read::<u32>(Found::Integer(10), &(1..=9)), Err(Refusal::NotAllowed));
        assert_eq!(read::<u32>(Found::Text("9"), &ANY), Err(Refusal::NotAllowed));
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        let size = |text| read::<Size>(Found::Text(text), &ANY).map(|size| size.0);
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1 MiB"), Ok(1 << 20));
        assert_eq!(size("17B"), Ok(17));
        assert_eq!(read::<Size>(Found::Integer(17), &ANY), Ok(Size(17)));
        for wrong in ["", "17", "KiB", "1KB", "-1B", "1.5MiB", "99999999999999GiB"] {
            assert_eq!(size(wrong), Err(Refusal::NotAllowed), "{wrong}");
        }
        assert_eq!(Size(3 << 20).toml().as_deref(), Some("\"3MiB\""));
        assert_eq!(Size(1025).toml().as_deref(), Some("1025"));
    }

    #[test]
    fn lapses_have_a_unit() {
        let lapse = |text| read::<Lapse>(Found::Text(text), &ANY).map(|lapse| lapse.ms);
        assert_eq!(lapse("500ms"), Ok(500));
        assert_eq!(lapse("10s"), Ok(10_000));
        assert_eq!(lapse("2 h"), Ok(7_200_000));
        assert_eq!(lapse("10"), Err(Refusal::NotAllowed));
        assert_eq!(lapse("10 seconds"), Err(Refusal::NotAllowed));
        assert!(matches!(read::<Lapse>(Found::Integer(10), &ANY), Err(Refusal::Because(_))));
        assert_eq!(Lapse { ms: 90_000 }.toml().as_deref(), Some("\"90s\""));
        assert_eq!(Lapse { ms: 120_000 }.toml().as_deref(), Some("\"2min\""));
    }

    #[test]
    fn lists_are_empty_or_one_value_only_where_that_is_said() {
        let (one, two) = (Found::Integer(1), [Found::Integer(1), Found::Integer(2)]);
        assert_eq!(read(Found::List(&two), &ANY), Ok(vec![1_u8, 2]));
        assert!(matches!(read::<Vec<u8>>(Found::List(&[]), &ANY), Err(Refusal::Because(_))));
        assert_eq!(read::<Vec<u8>>(one, &ANY), Err(Refusal::NotAllowed));
        assert_eq!(read(Found::List(&[]), &ANY), Ok(List::<u8>(Vec::new())));
        assert_eq!(read::<List<u8>>(one, &ANY), Err(Refusal::NotAllowed));
        assert_eq!(read(one, &ANY), Ok(OneOrMore::<u8>(vec![1])));
        assert_eq!(read(Found::List(&two), &ANY), Ok(OneOrMore::<u8>(vec![1, 2])));
        assert!(read::<OneOrMore<u8>>(Found::List(&[]), &ANY).is_err());
        assert_eq!(read::<OneOrMore<u8>>(Found::List(&two), &(0..=1)), Err(Refusal::NotAllowed));
    }

    #[test]
    fn what_is_required_is_missing_until_it_is_good() {
        let mut value = Required::<u8>::default();
        assert!(value.is_missing() && value.read(Found::Integer(256), &ANY).is_err());
        assert!(value.is_missing() && value.toml().is_none());
        value.read(Found::Integer(7), &ANY).unwrap();
        assert!(!value.is_missing() && *value == 7);
    }

    #[test]
    fn never_is_a_word() {
        assert_eq!(read::<Never<Lapse>>(Found::Text("never"), &ANY), Ok(Never(None)));
        assert_eq!(read(Found::Text("1s"), &ANY), Ok(Never(Some(Lapse::seconds(1)))));
        assert_eq!(read::<Never<Lapse>>(Found::Text("ever"), &ANY), Err(Refusal::NotAllowed));
    }

    #[test]
    fn a_refused_value_changes_nothing() {
        let mut address: SocketAddr = "127.0.0.1:1883".parse().unwrap();
        let before = address;
        assert!(address.read(Found::Text("localhost"), &ANY).is_err());
        assert_eq!(address, before);
    }
}
