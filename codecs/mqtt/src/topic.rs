//! The syntax of Topic Names and Topic Filters. Matching is core's business.

/// A Topic Filter taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicFilter<'a> {
    /// The ShareName of a `$share/{ShareName}/{filter}`.
    pub share_name: Option<&'a str>,
    /// The filter proper, without `$share/{ShareName}/`.
    pub filter: &'a str,
}

/// Why text is no Topic Name or Topic Filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// There are no characters.
    #[error("topic is empty")]
    Empty,
    /// There are more than 65 535 bytes.
    #[error("topic is longer than 65535 bytes")]
    TooLong,
    /// U+0000 occurs.
    #[error("topic has U+0000")]
    Nul,
    /// `+` or `#` in a Topic Name.
    #[error("topic name has a wildcard")]
    WildcardInName,
    /// `#` is not a whole level, or not the last.
    #[error("# is not the whole last level")]
    MultiLevelWildcard,
    /// `+` is not a whole level.
    #[error("+ is not a whole level")]
    SingleLevelWildcard,
    /// `$share/` is not followed by a ShareName, without wildcards and not empty, and a filter.
    #[error("$share is not followed by a share name and a filter")]
    Share,
}

impl TopicError {
    /// The statement of MQTT 5.0 that is broken.
    pub const fn requirement(self) -> &'static str {
        match self {
            Self::Empty => "mqtt5:4.7.3-1",
            Self::TooLong => "mqtt5:4.7.3-3",
            Self::Nul => "mqtt5:4.7.3-2",
            Self::WildcardInName => "mqtt5:4.7.0-1",
            Self::MultiLevelWildcard => "mqtt5:4.7.1-1",
            Self::SingleLevelWildcard => "mqtt5:4.7.1-2",
            Self::Share => "mqtt5:4.8.2-1",
        }
    }
}

#[inline]
pub(crate) const fn is_wildcard(byte: u8) -> bool {
    byte == b'+' || byte == b'#'
}

/// The place of the first `+` or `#`, in bytes.
pub(crate) fn wildcard(topic: &str) -> Option<usize> {
    topic.bytes().position(is_wildcard)
}

/// Checks that `topic` may be the Topic Name of a message.
///
/// # Errors
/// It is empty, too long, or has a wildcard or U+0000.
pub fn check_topic_name(topic: &str) -> Result<(), TopicError> {
    check_length(topic)?;
    //= mqtt5:4.7.0-1
    //= mqtt311:4.7.1-1
    match wildcard(topic) {
        Some(_) => Err(TopicError::WildcardInName),
        None => Ok(()),
    }
}

/// Checks that `filter` may be the Topic Filter of a subscription, and takes it apart.
///
/// `$share/` counts as the mark of a shared subscription in every version.
///
/// # Errors
/// The wildcards or the share are out of place, or it is empty, too long or has U+0000.
pub fn check_filter(filter: &str) -> Result<TopicFilter<'_>, TopicError> {
    check_length(filter)?;
    let parts = match filter.strip_prefix("$share/") {
        //= mqtt5:4.8.2-1
        //= mqtt5:4.8.2-2
        //= mqtt5:GW-MQTT-16
        Some(shared) => match shared.split_once('/') {
            Some((share_name, filter))
                if !share_name.is_empty()
                    && !filter.is_empty()
                    && wildcard(share_name).is_none() =>
            {
                TopicFilter { share_name: Some(share_name), filter }
            }
            _ => return Err(TopicError::Share),
        },
        None => TopicFilter { share_name: None, filter },
    };
    check_wildcards(parts.filter)?;
    Ok(parts)
}

fn check_length(topic: &str) -> Result<(), TopicError> {
    //= mqtt5:4.7.3-1
    //= mqtt311:4.7.3-1
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    //= mqtt5:4.7.3-3
    //= mqtt311:4.7.3-3
    if topic.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    //= mqtt5:4.7.3-2
    //= mqtt311:4.7.3-2
    if topic.as_bytes().contains(&0) {
        return Err(TopicError::Nul);
    }
    Ok(())
}

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        //= mqtt5:4.7.1-1
        //= mqtt311:4.7.1-2
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(TopicError::MultiLevelWildcard);
        }
        //= mqtt5:4.7.1-2
        //= mqtt311:4.7.1-3
        if level.contains('+') && level != "+" {
            return Err(TopicError::SingleLevelWildcard);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    //= mqtt5:4.7.0-1
    //= mqtt311:4.7.1-1
    #[test]
    fn names_have_no_wildcards() {
        for name in ["a", "/", "a/b", "/a", "a/", "$SYS/x", "a b", "\u{feff}", "é/日本"] {
            assert_eq!(check_topic_name(name), Ok(()), "{name}");
        }
        for name in ["#", "+", "a/#", "a/+/b", "a+", "sport/tennis#"] {
            assert_eq!(check_topic_name(name), Err(TopicError::WildcardInName), "{name}");
        }
    }

    //= mqtt5:4.7.3-1
    //= mqtt5:4.7.3-2
    //= mqtt5:4.7.3-3
    //= mqtt311:4.7.3-1
    //= mqtt311:4.7.3-2
    //= mqtt311:4.7.3-3
    #[test]
    fn names_and_filters_have_1_to_65535_bytes_and_no_nul() {
        for (topic, error) in [
            (String::new(), TopicError::Empty),
            ("a\0b".into(), TopicError::Nul),
            ("a".repeat(65_536), TopicError::TooLong),
        ] {
            assert_eq!(check_topic_name(&topic), Err(error));
            assert_eq!(check_filter(&topic), Err(error));
        }
        let longest = "a".repeat(65_535);
        assert_eq!(check_topic_name(&longest), Ok(()));
        assert!(check_filter(&longest).is_ok());
    }

    //= mqtt5:4.7.1-1
    //= mqtt5:4.7.1-2
    //= mqtt311:4.7.1-2
    //= mqtt311:4.7.1-3
    #[test]
    fn wildcards_fill_a_level() {
        let good = "sport/tennis/player1/#|#|+/+|/+|+|sport/+|$SYS/#|+/monitor/Clients|//|+/#|a/";
        for filter in good.split('|') {
            assert_eq!(check_filter(filter), Ok(TopicFilter { share_name: None, filter }));
        }
        for filter in ["sport/tennis#", "sport/tennis/#/ranking", "##", "#/a", "+#"] {
            assert_eq!(check_filter(filter), Err(TopicError::MultiLevelWildcard), "{filter}");
        }
        for filter in ["sport+", "a/+b", "++", "a/b+/c"] {
            assert_eq!(check_filter(filter), Err(TopicError::SingleLevelWildcard), "{filter}");
        }
    }

    //= mqtt5:4.8.2-1
    //= mqtt5:4.8.2-2
    //= mqtt5:GW-MQTT-16
    #[test]
    fn shares_have_a_name_and_a_filter() {
        for (filter, share_name, rest) in [
            ("$share/g/a/+", "g", "a/+"),
            ("$share/g/#", "g", "#"),
            ("$share/g//", "g", "/"),
            ("$share/a b/x", "a b", "x"),
        ] {
            let parts = TopicFilter { share_name: Some(share_name), filter: rest };
            assert_eq!(check_filter(filter), Ok(parts));
        }
        for filter in ["$share/g", "$share//a", "$share/g+/a", "$share/#/a", "$share/g/", "$share/"]
        {
            assert_eq!(check_filter(filter), Err(TopicError::Share), "{filter}");
        }
        assert_eq!(check_filter("$share/g/a#"), Err(TopicError::MultiLevelWildcard));
        assert_eq!(check_filter("$share").unwrap().share_name, None);
        assert_eq!(check_filter("$shared/g").unwrap().share_name, None);
    }
}
