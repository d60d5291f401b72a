use thiserror::Error;

/// Longest topic name or filter in bytes ([MQTT-4.7.3-3]).
const TOPIC_BYTES_MAX: usize = 65_535;

/// What is wrong with a topic name or a topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicError {
    /// It has no character.
    #[error("is empty")]
    Empty,
    /// It is longer than 65 535 bytes.
    #[error("is longer than 65535 bytes")]
    TooLong,
    /// It contains U+0000.
    #[error("contains U+0000")]
    Nul,
    /// A topic name contains `+` or `#`.
    #[error("is a topic name with a wildcard")]
    WildcardInName,
    /// `#` is not alone in the last level, or `+` not alone in its level.
    #[error("has a wildcard that does not fill its level, or '#' before the last level")]
    WildcardPlace,
    /// `$share/` is not followed by a share name without wildcards, `/` and a filter.
    #[error("is not $share/{{share name}}/{{filter}}")]
    Share,
}

/// Checks a topic name: at least one character, at most 65 535 bytes, no U+0000, no wildcard.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_topic_name(name: &str) -> Result<(), TopicError> {
    check_length(name)?;
    for byte in name.bytes() {
        match byte {
            0 => return Err(TopicError::Nul),
            //= mqtt5:4.7.0-1
            //= mqtt311:4.7.1-1
            b'+' | b'#' => return Err(TopicError::WildcardInName),
            _ => {}
        }
    }
    Ok(())
}

fn check_length(text: &str) -> Result<(), TopicError> {
    //= mqtt5:4.7.3-1
    //= mqtt311:4.7.3-1
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    //= mqtt5:4.7.3-3
    //= mqtt311:4.7.3-3
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    Ok(())
}

/// A valid topic filter, with the share name split off where it is a shared subscription.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    full: Box<str>,
    topic_at: u32,
}

impl Filter {
    /// Parses a filter as a client sends it, with its `$share/{name}/` if any.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check_length(text)?;
        let topic_at = match text.strip_prefix("$share/") {
            None if text == "$share" => return Err(TopicError::Share),
            None => 0,
            Some(rest) => {
                //= mqtt5:4.8.2-1
                //= mqtt5:4.8.2-2
                let (name, filter) = rest.split_once('/').ok_or(TopicError::Share)?;
                if name.is_empty() || name.contains(['+', '#']) || filter.is_empty() {
                    return Err(TopicError::Share);
                }
                text.len() - filter.len()
            }
        };
        let filter = Filter { full: text.into(), topic_at: topic_at as u32 };
        check_wildcards(filter.topic_filter())?;
        Ok(filter)
    }

    /// The whole text, with `$share/{name}/` where it is shared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The part that topics are compared with.
    #[must_use]
    pub fn topic_filter(&self) -> &str {
        self.full.get(self.topic_at as usize..).unwrap_or("")
    }

    /// The share name of a shared subscription.
    #[must_use]
    pub fn share_name(&self) -> Option<&str> {
        let end = (self.topic_at as usize).checked_sub(1)?;
        self.full.get("$share/".len()..end)
    }

    /// Whether the filter has a wildcard.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.topic_filter().contains(['+', '#'])
    }

    /// The same filter below `prefix` (a mountpoint); the share name stays in front.
    #[must_use]
    pub fn mounted(&self, prefix: &str) -> Self {
        let (share, topic) = self.full.split_at(self.topic_at as usize);
        Filter { full: format!("{share}{prefix}{topic}").into(), topic_at: self.topic_at }
    }

    /// Whether `topic` matches.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        filter_matches(self.topic_filter(), topic)
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.full)
    }
}

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('\0') {
            return Err(TopicError::Nul);
        }
        //= mqtt5:4.7.1-1
        //= mqtt311:4.7.1-2
        let hash_ok = !level.contains('#') || (level == "#" && levels.peek().is_none());
        //= mqtt5:4.7.1-2
        //= mqtt311:4.7.1-3
        let plus_ok = !level.contains('+') || level == "+";
        if !hash_ok || !plus_ok {
            return Err(TopicError::WildcardPlace);
        }
    }
    Ok(())
}

/// Whether a valid `filter` (without `$share`) matches a valid `topic`, level by level and
/// character by character.
#[must_use]
pub fn filter_matches(filter: &str, topic: &str) -> bool {
    //= mqtt5:4.7.2-1
    //= mqtt311:4.7.2-1
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    //= mqtt5:4.7.3-4
    //= mqtt311:4.7.3-4
    let (mut filters, mut topics) = (filter.split('/'), topic.split('/'));
    loop {
        match (filters.next(), topics.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(f), Some(t)) if f == t => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= mqtt5:4.7.1-1
    //= mqtt5:4.7.1-2
    //= mqtt5:4.7.2-1
    //= mqtt5:4.7.3-4
    //= mqtt311:4.7.1-2
    //= mqtt311:4.7.1-3
    //= mqtt311:4.7.2-1
    //= mqtt311:4.7.3-4
    #[test]
    fn filters_match_as_the_standard_shows() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "sport/tennis/player1/#",
                &[
                    "sport/tennis/player1",
                    "sport/tennis/player1/ranking",
                    "sport/tennis/player1/a/b",
                ],
                &["sport/tennis/player10"],
            ),
            ("#", &["a", "/", "a/b", "/finance"], &["$SYS/a", "$SYS"]),
            ("+/+", &["/finance", "a/b", "/"], &["a", "$SYS/b", "a/b/c"]),
            ("/+", &["/finance", "/"], &["finance"]),
            ("+", &["finance"], &["/finance", "$SYS"]),
            ("sport/+", &["sport/", "sport/x"], &["sport", "sport/x/y"]),
            ("$SYS/#", &["$SYS", "$SYS/a/b"], &["sys/a"]),
            ("$SYS/+", &["$SYS/a"], &["$SYS"]),
            ("+/monitor/Clients", &["x/monitor/Clients"], &["$SYS/monitor/Clients"]),
            ("sport/#", &["sport", "sport/"], &["sports"]),
            ("a//b", &["a//b"], &["a/b"]),
            ("A", &["A"], &["a", "\u{feff}A"]),
        ];
        for (filter, yes, no) in table {
            let filter = Filter::parse(filter).unwrap();
            for topic in *yes {
                assert!(filter.matches(topic), "{filter:?} {topic}");
            }
            for topic in *no {
                assert!(!filter.matches(topic), "{filter:?} {topic}");
            }
        }
    }

    //= mqtt5:4.7.3-1
    //= mqtt5:4.7.3-3
    //= mqtt5:4.8.2-1
    //= mqtt5:4.8.2-2
    //= mqtt311:4.7.3-1
    //= mqtt311:4.7.3-3
    #[test]
    fn bad_filters_are_refused() {
        for (text, error) in [
            ("", TopicError::Empty),
            ("sport/tennis#", TopicError::WildcardPlace),
            ("sport/tennis/#/ranking", TopicError::WildcardPlace),
            ("sport+", TopicError::WildcardPlace),
            ("a/b+/c", TopicError::WildcardPlace),
            ("a\0", TopicError::Nul),
            ("$share", TopicError::Share),
            ("$share/g", TopicError::Share),
            ("$share//a", TopicError::Share),
            ("$share/g+/a", TopicError::Share),
            ("$share/g/", TopicError::Share),
            ("$share/g/a#", TopicError::WildcardPlace),
        ] {
            assert_eq!(Filter::parse(text).unwrap_err(), error, "{text:?}");
        }
        assert_eq!(Filter::parse(&"a".repeat(65_536)).unwrap_err(), TopicError::TooLong);
        assert!(Filter::parse(&"a".repeat(65_535)).is_ok());
    }

    #[test]
    fn a_shared_filter_is_taken_apart() {
        let filter = Filter::parse("$share/g/a/+").unwrap();
        assert_eq!(filter.share_name(), Some("g"));
        assert_eq!(filter.topic_filter(), "a/+");
        assert!(filter.has_wildcard() && filter.matches("a/b"));
        let mounted = filter.mounted("city/");
        assert_eq!(mounted.as_str(), "$share/g/city/a/+");
        assert_eq!(mounted.topic_filter(), "city/a/+");
        assert!(!Filter::parse("$share/g/#").unwrap().matches("$SYS/x"));
    }

    //= mqtt5:4.7.0-1
    //= mqtt311:4.7.1-1
    #[test]
    fn bad_names_are_refused() {
        for (name, error) in [
            ("", TopicError::Empty),
            ("a/+", TopicError::WildcardInName),
            ("#", TopicError::WildcardInName),
            ("a\0b", TopicError::Nul),
        ] {
            assert_eq!(check_topic_name(name), Err(error));
        }
        for name in ["/", "a", "$SYS/x", "a//b", "ünï"] {
            assert_eq!(check_topic_name(name), Ok(()));
        }
    }
}
