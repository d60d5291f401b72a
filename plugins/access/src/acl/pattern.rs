/// A text in which `*` stands for any characters, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// No `*` in it.
    Exact(Box<str>),
    /// What stands before, between and behind the `*`.
    Parts { head: Box<str>, middle: Box<[Box<str>]>, tail: Box<str> },
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Self {
        let Some((head, rest)) = text.split_once('*') else {
            return Pattern::Exact(text.into());
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        Pattern::Parts {
            head: head.into(),
            middle: middle.split('*').filter(|part| !part.is_empty()).map(Box::from).collect(),
            tail: tail.into(),
        }
    }

    /// The only text that matches, if there is only one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Pattern::Exact(name) => Some(name),
            Pattern::Parts { .. } => None,
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Exact(exact) => **exact == *text,
            Pattern::Parts { head, middle, tail } => {
                let Some(rest) = text.strip_prefix(&**head) else { return false };
                let Some(mut rest) = rest.strip_suffix(&**tail) else { return false };
                // The first place at which a part fits leaves the most for the others.
                middle.iter().all(|part| match rest.split_once(&**part) {
                    Some((_, behind)) => {
                        rest = behind;
                        true
                    }
                    None => false,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by trying every place.
    fn slowly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| slowly(rest, &text[at..])),
            Some((first, rest)) => text.first() == Some(first) && slowly(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn stars_stand_for_anything(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(
                Pattern::parse(&pattern).matches(&text),
                slowly(pattern.as_bytes(), text.as_bytes())
            );
        }
    }

    #[test]
    fn case_counts_and_overlapping_ends_do_not_match() {
        assert!(!Pattern::parse("Ab*").matches("ab"));
        assert!(!Pattern::parse("ab*ba").matches("aba"));
        assert!(Pattern::parse("*").matches(""));
    }
}
