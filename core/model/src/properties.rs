use std::borrow::Cow;

/// The application-level properties that travel with a message, as typed fields.
///
/// Expiry is not here: it is a deadline of the message, not something to forward unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// Whether the payload is UTF-8 text (Payload Format Indicator); `None` when not said.
    pub payload_format_utf8: Option<bool>,
    /// MIME type or whatever the applications agreed on.
    pub content_type: Option<&'a str>,
    /// Topic name for the answer to a request; without wildcards.
    pub response_topic: Option<&'a str>,
    /// What the requester needs to recognise the answer.
    pub correlation_data: Option<&'a [u8]>,
    /// Name and value pairs, in the publisher's order.
    pub user: UserProperties<'a>,
}

impl Properties<'_> {
    /// Whether no property is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.payload_format_utf8.is_none()
            && self.content_type.is_none()
            && self.response_topic.is_none()
            && self.correlation_data.is_none()
            && self.user.is_empty()
    }
}

/// Name and value pairs in order; a name may repeat.
///
/// Packed as length-prefixed strings (two bytes each, big endian), so that a message holds one
/// buffer however many pairs it carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserProperties<'a> {
    packed: Cow<'a, [u8]>,
}

impl<'a> UserProperties<'a> {
    /// Adds a pair at the end. Strings longer than 65 535 bytes are cut at a character boundary.
    pub fn push(&mut self, name: &str, value: &str) {
        let packed = self.packed.to_mut();
        for text in [name, value] {
            let end = text.floor_char_boundary(usize::from(u16::MAX));
            let (text, _) = text.split_at(end);
            packed.extend_from_slice(&(end as u16).to_be_bytes());
            packed.extend_from_slice(text.as_bytes());
        }
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest: &[u8] = &self.packed;
        std::iter::from_fn(move || {
            let name = take_text(&mut rest)?;
            let value = take_text(&mut rest)?;
            Some((name, value))
        })
    }

    /// The packed form, for storing.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// From the packed form; the other end of [`Self::packed`].
    pub(crate) fn from_packed(packed: &'a [u8]) -> Self {
        UserProperties { packed: Cow::Borrowed(packed) }
    }
}

fn take_text<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let (len, tail) = rest.split_first_chunk::<2>()?;
    let (text, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_order_and_repeat() {
        let mut user = UserProperties::default();
        user.push("b", "1");
        user.push("a", "");
        user.push("b", "2");
        let pairs: Vec<_> = user.iter().collect();
        assert_eq!(pairs, [("b", "1"), ("a", ""), ("b", "2")]);
    }

    #[test]
    fn an_overlong_value_is_cut_at_a_character() {
        let mut user = UserProperties::default();
        user.push("k", &"é".repeat(40_000));
        let (_, value) = user.iter().next().unwrap();
        assert_eq!(value.len(), 65_534);
    }
}
