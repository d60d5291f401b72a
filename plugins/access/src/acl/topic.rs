use core_model::{Filter, Principal};

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

/// What a client fills in for a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    ClientId,
    User,
    Listener,
    CommonName,
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
        let filled = replace(text, |_| {
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
        let filled = replace(&self.text, |placeholder| {
            let value = placeholder.value(client).filter(|value| !value.is_empty())?;
            let leaves_level = allows && value.contains('/');
            (!leaves_level && !value.contains(['+', '#', '\0'])).then_some(value)
        })?;
        let into_dollar = filled.starts_with('$') && !self.text.starts_with('$');
        (!(allows && into_dollar)).then_some(filled.into())
    }
}

impl Placeholder {
    fn value(self, client: &Principal) -> Option<&str> {
        match self {
            Placeholder::ClientId => Some(&client.client.client_id),
            Placeholder::User => client.identity.user.as_deref(),
            Placeholder::Listener => Some(&client.listener),
            Placeholder::CommonName => {
                client.transport.as_ref()?.certificate.as_ref()?.common_name.as_deref()
            }
        }
    }

    /// The placeholder at the start of `text`, which begins behind a `%`, and its length.
    fn at(text: &str) -> Option<(Self, usize)> {
        let mut letters = text.chars();
        match letters.next()? {
            'c' => {
                // `%cnode` is a client identifier and "node".
                let name = letters.next() == Some('n')
                    && !letters.next().is_some_and(char::is_alphanumeric);
                Some(if name { (Placeholder::CommonName, 2) } else { (Placeholder::ClientId, 1) })
            }
            'u' => Some((Placeholder::User, 1)),
            'l' => Some((Placeholder::Listener, 1)),
            _ => None,
        }
    }
}

/// `text` with its placeholders replaced; `None` as soon as one has no value.
fn replace<'v>(
    text: &str,
    mut value: impl FnMut(Placeholder) -> Option<&'v str>,
) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        filled.push_str(before);
        match Placeholder::at(behind) {
            Some((placeholder, length)) => {
                filled.push_str(value(placeholder)?);
                rest = behind.get(length..).unwrap_or("");
            }
            None => {
                filled.push('%');
                rest = behind;
            }
        }
    }
    filled.push_str(rest);
    Some(filled)
}
