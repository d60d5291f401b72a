use core_model::Reason;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use crate::{MqttConfig, errors::Fault};

/// Topics below this length are sent as they are: the alias property itself takes three bytes.
const ALIASED_TOPIC_BYTES_MIN: usize = 5;

/// Topics above this length are sent as they are, which bounds what one client's aliases hold.
const ALIASED_TOPIC_BYTES_MAX: usize = 1024;

/// The topic aliases that a client has set on this link.
#[derive(Debug, Default)]
pub(crate) struct IncomingAliases {
    /// The topic of alias `n` at index `n - 1`.
    topics: Vec<Option<Box<str>>>,
    bytes: usize,
}

impl IncomingAliases {
    /// Sets `alias`, which is not above `alias_max`, to `topic`.
    pub(crate) fn set(&mut self, alias: u16, topic: &str, bytes_max: u32) -> Result<(), Fault> {
        let index = usize::from(alias).saturating_sub(1);
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        let Some(place) = self.topics.get_mut(index) else { return Ok(()) };
        if place.as_deref() == Some(topic) {
            return Ok(());
        }
        let before = place.as_deref().map_or(0, str::len);
        let bytes = self.bytes - before + topic.len();
        if bytes > bytes_max as usize {
            return Err(Fault::new(Reason::QUOTA_EXCEEDED, "topics of aliases are too long"));
        }
        self.bytes = bytes;
        *place = Some(topic.into());
        Ok(())
    }

    /// The topic that `alias` stands for.
    pub(crate) fn topic(&self, alias: u16) -> Option<&str> {
        self.topics.get(usize::from(alias).checked_sub(1)?)?.as_deref()
    }
}

/// How the topic of one PUBLISH to the client is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicForm {
    /// In full.
    Full,
    /// In full, and the alias is set to it.
    Set(u16),
    /// By the alias alone.
    Alias(u16),
}

/// The topic aliases that the server has set on this link.
///
/// Each topic has one place, by its hash. The topic that sits there gives way once others have come
/// as often as itself, so that topics that come again and again win over those that come once.
#[derive(Debug)]
pub(crate) struct OutgoingAliases {
    /// Alias `n` at index `n - 1`; empty before the first one is set.
    places: Box<[Place]>,
    max: u16,
}

#[derive(Clone, Debug, Default)]
struct Place {
    topic: String,
    uses: u8,
}

impl OutgoingAliases {
    /// Aliases for a client that takes those up to `max`, as far as `config` allows; `None` if
    /// there are to be none.
    pub(crate) fn allowed(max: u16, config: &MqttConfig) -> Option<Self> {
        let of_bytes = config.topic_alias_bytes_max as usize / ALIASED_TOPIC_BYTES_MAX;
        let of_bytes = u16::try_from(of_bytes).unwrap_or(u16::MAX);
        //= mqtt5:3.1.2-26
        //= mqtt5:3.1.2-27
        let max = max.min(config.topic_alias_max_out).min(of_bytes);
        (max > 0).then(|| OutgoingAliases::new(max))
    }

    fn new(max: u16) -> Self {
        //= mqtt5:3.3.2-8
        //= mqtt5:3.3.2-11
        OutgoingAliases { places: Box::default(), max }
    }

    /// How to write `topic`. Nothing is set before [`Self::commit`].
    pub(crate) fn form(&mut self, topic: &str) -> TopicForm {
        if !(ALIASED_TOPIC_BYTES_MIN..=ALIASED_TOPIC_BYTES_MAX).contains(&topic.len()) {
            return TopicForm::Full;
        }
        let hash = FixedState::default().hash_one(topic);
        let Some(index) = hash.checked_rem(self.max.into()) else { return TopicForm::Full };
        let alias = index as u16 + 1;
        let Some(place) = self.places.get_mut(index as usize) else { return TopicForm::Set(alias) };
        if place.topic == topic {
            place.uses = place.uses.saturating_add(1);
            return TopicForm::Alias(alias);
        }
        if place.uses > 0 {
            place.uses -= 1;
            return TopicForm::Full;
        }
        TopicForm::Set(alias)
    }

    /// The PUBLISH with `form` was written.
    #[inline]
    pub(crate) fn commit(&mut self, form: TopicForm, topic: &str) {
        if let TopicForm::Set(alias) = form {
            self.set(alias, topic);
        }
    }

    fn set(&mut self, alias: u16, topic: &str) {
        if self.places.is_empty() {
            self.places = vec![Place::default(); self.max.into()].into_boxed_slice();
        }
        if let Some(place) = self.places.get_mut(usize::from(alias) - 1) {
            place.topic.clear();
            place.topic.reserve_exact(topic.len());
            place.topic.push_str(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= mqtt5:3.3.2-12
    #[test]
    fn an_alias_is_set_replaced_and_looked_up() {
        let mut aliases = IncomingAliases::default();
        assert_eq!(aliases.topic(1), None);
        aliases.set(3, "a/b", 100).unwrap();
        aliases.set(1, "c", 100).unwrap();
        assert_eq!(aliases.topic(3), Some("a/b"));
        assert_eq!(aliases.topic(2), None);
        aliases.set(3, "d", 100).unwrap();
        assert_eq!((aliases.topic(3), aliases.topic(1)), (Some("d"), Some("c")));
        assert_eq!(aliases.topic(0), None);
    }

    #[test]
    fn topics_of_aliases_are_bounded_in_bytes() {
        let mut aliases = IncomingAliases::default();
        aliases.set(1, "12345", 10).unwrap();
        aliases.set(2, "67890", 10).unwrap();
        assert_eq!(aliases.set(3, "x", 10).unwrap_err().reason, Reason::QUOTA_EXCEEDED);
        aliases.set(2, "6", 10).unwrap();
        aliases.set(3, "x", 10).unwrap();
    }

    //= mqtt5:3.3.2-8
    //= mqtt5:3.3.2-11
    //= mqtt5:3.1.2-26
    #[test]
    fn aliases_stay_within_the_clients_maximum() {
        let mut aliases = OutgoingAliases::new(3);
        for number in 0..100 {
            let topic = format!("topic/{number}");
            let form = aliases.form(&topic);
            aliases.commit(form, &topic);
            match form {
                TopicForm::Set(alias) | TopicForm::Alias(alias) => {
                    assert!((1..=3).contains(&alias));
                }
                TopicForm::Full => {}
            }
        }
    }

    #[test]
    fn a_frequent_topic_keeps_its_alias() {
        let mut aliases = OutgoingAliases::new(1);
        assert_eq!(aliases.form("often"), TopicForm::Set(1));
        assert_eq!(aliases.form("often"), TopicForm::Set(1), "not set before it was written");
        aliases.commit(TopicForm::Set(1), "often");
        assert_eq!(aliases.form("often"), TopicForm::Alias(1));
        assert_eq!(aliases.form("seldom"), TopicForm::Full);
        assert_eq!(aliases.form("often"), TopicForm::Alias(1));
        assert_eq!(aliases.form("seldom"), TopicForm::Full);
        assert_eq!(aliases.form("seldom"), TopicForm::Set(1), "as often as the other one");
        aliases.commit(TopicForm::Set(1), "seldom");
        assert_eq!(aliases.form("often"), TopicForm::Set(1));
    }

    #[test]
    fn the_servers_aliases_are_bounded_in_number_and_bytes() {
        let max = |client, number, bytes| {
            let config = MqttConfig {
                topic_alias_max_out: number,
                topic_alias_bytes_max: bytes,
                ..MqttConfig::default()
            };
            OutgoingAliases::allowed(client, &config).map(|aliases| aliases.max)
        };
        assert_eq!(max(8, 32, 1 << 18), Some(8));
        assert_eq!(max(65_535, 32, 1 << 18), Some(32));
        assert_eq!(max(65_535, 65_535, 1 << 18), Some(256));
        assert_eq!([max(0, 32, 1 << 18), max(8, 0, 1 << 18), max(8, 32, 1023)], [None; 3]);
    }

    #[test]
    fn very_short_and_very_long_topics_go_in_full() {
        let mut aliases = OutgoingAliases::new(4);
        assert_eq!(aliases.form("abcd"), TopicForm::Full);
        assert_eq!(aliases.form(&"a".repeat(1025)), TopicForm::Full);
        assert!(matches!(aliases.form(&"a".repeat(1024)), TopicForm::Set(_)));
    }
}
