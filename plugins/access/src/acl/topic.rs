use core_model::{Filter, Principal};

use crate::placeholder::{Values, fill};

/// A filter of a rule as it is written, with its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicRule {
    /// The text without `eq `.
    pub(crate) text: Box<str>,
    /// Compared as text instead of by its wildcards.
    pub(crate) literally: bool,
    /// Whether a placeholder is in it.
    pub(crate) has_placeholder: bool,
}

impl TopicRule {
    /// Reads `[eq ]FILTER`.
    ///
    /// # Errors
    /// What is wrong with it, for a text that begins with the filter.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        let (text, literally) = match written.strip_prefix("eq ") {
            Some(rest) => (rest, true),
            None => (written, false),
        };
        if text.starts_with("$share/") {
            return Err("names a share; rules see a filter without its $share/{name}/".into());
        }
        let mut has_placeholder = false;
        let filled = fill(text, |_| {
            has_placeholder = true;
            Some("x")
        });
        let filled = filled.unwrap_or_default();
        Filter::parse(&filled).map_err(|e| e.to_string())?;
        Ok(TopicRule { text: text.into(), literally, has_placeholder })
    }

    /// The filter for one client; `None` if it can match nothing of his.
    ///
    /// A value with a wildcard or U+0000 fits no topic. In a filter that allows something, a value
    /// must stay within its level and out of the topics that begin with `$`; in one that forbids,
    /// it is taken as it is, so that nobody escapes a rule by his name.
    pub(crate) fn fill(&self, client: &Principal, allows: bool) -> Option<Box<str>> {
        let values = Values::of(client);
        let filled = fill(&self.text, |placeholder| {
            let value = values.value(placeholder)?;
            let leaves_level = allows && value.contains('/');
            (!leaves_level && !value.contains(['+', '#', '\0'])).then_some(value)
        })?;
        let into_dollar = filled.starts_with('$') && !self.text.starts_with('$');
        (!(allows && into_dollar)).then_some(filled.into())
    }
}
