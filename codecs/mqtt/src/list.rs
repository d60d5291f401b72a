use std::fmt;

use codec_wire::Reader;

use crate::{Subscription, Version, primitives::read_string, property::Property};

/// A list that a packet carries, walked by [`iter`](Self::iter).
///
/// A list that was decoded stays bytes, which were checked once and are read again at each walk,
/// so that decoding allocates nothing. A list of our own is a slice: `items.into()`.
#[derive(Clone, Copy)]
pub struct List<'a, T>(Source<'a, T>);

/// User Properties, names and values, in the sender's order.
pub type UserProperties<'a> = List<'a, (&'a str, &'a str)>;

#[derive(Clone, Copy)]
enum Source<'a, T> {
    /// Checked bytes with at least one item.
    Wire(&'a [u8]),
    Slice(&'a [T]),
}

/// What a [`List`] can hold.
pub trait Item<'a>: Copy + 'a {
    /// Reads the next item from checked bytes; `None` at their end.
    #[doc(hidden)]
    fn next(reader: &mut Reader<'a>) -> Option<Self>;
}

impl<'a, T> List<'a, T> {
    /// The list of the items in `bytes`, which were checked and have at least one.
    #[inline]
    pub(crate) const fn of_wire(bytes: &'a [u8]) -> Self {
        Self(Source::Wire(bytes))
    }

    /// No items.
    #[inline]
    pub const fn empty() -> Self {
        Self(Source::Slice(&[]))
    }

    /// Whether the list has no items.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, Source::Slice([]))
    }
}

impl<'a, T: Item<'a>> List<'a, T> {
    /// Walks the items in their order.
    #[inline]
    pub fn iter(&self) -> Iter<'a, T> {
        let (wire, slice) = match self.0 {
            Source::Wire(bytes) => (bytes, [].as_slice()),
            Source::Slice(slice) => ([].as_slice(), slice),
        };
        Iter { wire: Reader::new(wire), slice: slice.iter() }
    }
}

/// The items of a [`List`] in their order.
#[derive(Debug, Clone)]
pub struct Iter<'a, T> {
    wire: Reader<'a>,
    slice: std::slice::Iter<'a, T>,
}

impl<'a, T: Item<'a>> Iterator for Iter<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        T::next(&mut self.wire).or_else(|| self.slice.next().copied())
    }
}

impl<'a, T: Item<'a>> IntoIterator for &List<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Default for List<'_, T> {
    #[inline]
    fn default() -> Self {
        Self::empty()
    }
}

impl<'a, T> From<&'a [T]> for List<'a, T> {
    fn from(items: &'a [T]) -> Self {
        Self(Source::Slice(items))
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for List<'a, T> {
    fn from(items: &'a [T; N]) -> Self {
        Self(Source::Slice(items))
    }
}

impl<'a, T> From<&'a Vec<T>> for List<'a, T> {
    fn from(items: &'a Vec<T>) -> Self {
        Self(Source::Slice(items))
    }
}

impl<'a, T: Item<'a> + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Item<'a> + Eq> Eq for List<'a, T> {}

impl<'a, T: Item<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The next property of a section for which `wanted` has an answer.
fn next_property<'a, T>(
    section: &mut Reader<'a>,
    wanted: impl Fn(Property<'a>) -> Option<T>,
) -> Option<T> {
    while !section.is_empty() {
        if let Some(item) = wanted(Property::decode(section).ok()?) {
            return Some(item);
        }
    }
    None
}

/// A User Property.
impl<'a> Item<'a> for (&'a str, &'a str) {
    fn next(section: &mut Reader<'a>) -> Option<Self> {
        next_property(section, |property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }
}

/// A Subscription Identifier.
impl<'a> Item<'a> for u32 {
    fn next(section: &mut Reader<'a>) -> Option<Self> {
        next_property(section, |property| match property {
            Property::SubscriptionIdentifier(number) => Some(number),
            _ => None,
        })
    }
}

/// A Topic Filter of UNSUBSCRIBE.
impl<'a> Item<'a> for &'a str {
    fn next(filters: &mut Reader<'a>) -> Option<Self> {
        read_string(filters, Version::V5).ok()
    }
}

/// A Topic Filter of SUBSCRIBE with its options.
impl<'a> Item<'a> for Subscription<'a> {
    fn next(filters: &mut Reader<'a>) -> Option<Self> {
        let filter = read_string(filters, Version::V5).ok()?;
        Self::from_options(filter, filters.u8().ok()?)
    }
}
