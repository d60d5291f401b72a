use std::sync::Arc;

use codec_mqttsn::{ShortName, TopicId};
use core_model::Operation;

use crate::{MqttSnConfig, Shared, client::Client, slot::Door};

/// The greatest topic id; 0 and 0xFFFF are reserved.
const TOPIC_ID_MAX: u16 = 0xFFFE;

/// What the client makes of a topic id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was not told of it on this link, or has forgotten it.
    Unknown,
    /// It knows it.
    Known,
    /// It does not want it.
    Refused,
}

/// A topic and its id.
#[derive(Debug)]
pub(crate) struct Entry {
    /// UTF-8; the same bytes as in the session's note.
    name: Arc<[u8]>,
    pub(crate) id: u16,
    pub(crate) standing: Standing,
    /// Whether a SUBACK has given the client this id for its messages.
    pub(crate) is_subscribed: bool,
}

impl Entry {
    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(&self.name).unwrap_or("")
    }
}

/// The topic ids of one client.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    /// Ascending by id.
    entries: Vec<Entry>,
    /// Places in `entries`, ascending by name.
    by_name: Vec<u16>,
    /// Of all names together.
    bytes: usize,
}

impl Topics {
    /// What an earlier link had the session remember. The client has to be told of it again.
    //= mqttsn:GW-SN-13
    pub(crate) fn restored(notes: &[(u32, Arc<[u8]>)]) -> Self {
        let mut entries: Vec<Entry> = notes
            .iter()
            .filter_map(|(key, name)| {
                let id = u16::try_from(*key).ok().filter(|id| (1..=TOPIC_ID_MAX).contains(id))?;
                std::str::from_utf8(name).ok()?;
                let name = Arc::clone(name);
                Some(Entry { name, id, standing: Standing::Unknown, is_subscribed: false })
            })
            .collect();
        entries.sort_unstable_by_key(|entry| entry.id);
        entries.dedup_by_key(|entry| entry.id);
        let mut by_name: Vec<u16> = (0..entries.len() as u16).collect();
        let name = |place: &u16| entries.get(usize::from(*place)).map(|entry| &entry.name);
        by_name.sort_unstable_by(|a, b| name(a).cmp(&name(b)));
        let bytes = entries.iter().map(|entry| entry.name.len()).sum();
        Topics { entries, by_name, bytes }
    }

    /// The topic of an id.
    pub(crate) fn of_id(&self, id: u16) -> Option<&Entry> {
        self.place_of_id(id).and_then(|place| self.entries.get(place))
    }

    /// The same, to change it.
    pub(crate) fn of_id_mut(&mut self, id: u16) -> Option<&mut Entry> {
        self.place_of_id(id).and_then(|place| self.entries.get_mut(place))
    }

    /// The id of a topic.
    pub(crate) fn of_name(&self, name: &str) -> Option<&Entry> {
        let place = self.by_name.get(self.search(name).ok()?)?;
        self.entries.get(usize::from(*place))
    }

    /// Gives a topic that has no id the next one, unless there are too many already.
    fn add(&mut self, name: &str, config: &MqttSnConfig) -> Option<&Entry> {
        let id = self.entries.last().map_or(1, |last| last.id.saturating_add(1));
        let place = u16::try_from(self.entries.len()).ok()?;
        let bytes = self.bytes + name.len();
        let bytes_max = usize::try_from(config.topic_bytes_max).unwrap_or(usize::MAX);
        if place >= config.max_topics || bytes > bytes_max || id > TOPIC_ID_MAX {
            return None;
        }
        self.bytes = bytes;
        if let Err(rank) = self.search(name) {
            self.by_name.insert(rank, place);
        }
        let name = Arc::from(name.as_bytes());
        self.entries.push(Entry { name, id, standing: Standing::Unknown, is_subscribed: false });
        self.entries.last()
    }

    fn place_of_id(&self, id: u16) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok()
    }

    /// The rank of a name, or where it would be put.
    fn search(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|place| {
            let entry = self.entries.get(usize::from(*place));
            entry.map_or(&[][..], |entry| &entry.name).cmp(name.as_bytes())
        })
    }
}

/// How the client is to be told the topic of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By what it knows.
    Known(TopicId),
    /// By an id that it has to be told of first.
    Unknown,
    /// Not at all: it does not want the topic.
    Refused,
}

impl Client {
    /// The id of a topic, which gets one if it has none; `None` if the client has too many.
    //= mqttsn:GW-SN-12
    pub(crate) fn assign(
        &mut self,
        topic: &str,
        shared: &Shared,
        door: &mut Door<'_, '_, '_>,
    ) -> Option<u16> {
        if let Some(entry) = self.topics.of_name(topic) {
            return Some(entry.id);
        }
        let entry = self.topics.add(topic, &shared.config)?;
        if self.outlives_link {
            //= mqttsn:GW-SN-13
            let (key, value) = (entry.id.into(), Some(Arc::clone(&entry.name)));
            door.operation(Operation::Note { key, value });
        }
        Some(entry.id)
    }

    /// How the client is told `topic`; `by_name` if neither a pre-defined id nor a short name will
    /// do.
    pub(crate) fn form(&self, topic: &str, by_name: bool, shared: &Shared) -> Form {
        let entry = self.topics.of_name(topic);
        let is_known = entry.is_some_and(|entry| entry.standing == Standing::Known);
        //= mqttsn:GW-SN-18
        let is_subscribed = is_known && entry.is_some_and(|entry| entry.is_subscribed);
        if !by_name && !is_subscribed {
            let predefined = shared.config.predefined.id(&self.client_id, topic);
            //= mqttsn:GW-SN-21
            if let Some(id) = predefined.filter(|_| !self.lacks_predefined) {
                return Form::Known(TopicId::Predefined(id));
            }
            //= mqttsn:GW-SN-31
            if let Some(name) = ShortName::of_topic(topic) {
                return Form::Known(TopicId::Short(name));
            }
        }
        match entry {
            Some(entry) => match entry.standing {
                Standing::Known => Form::Known(TopicId::Normal(entry.id)),
                Standing::Unknown => Form::Unknown,
                Standing::Refused => Form::Refused,
            },
            None => Form::Unknown,
        }
    }

    /// The client knows the id from now on, or does not.
    pub(crate) fn set_standing(&mut self, id: u16, standing: Standing) {
        if let Some(entry) = self.topics.of_id_mut(id) {
            entry.standing = standing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_max(max_topics: u16) -> MqttSnConfig {
        MqttSnConfig { max_topics, ..MqttSnConfig::default() }
    }

    //= mqttsn:GW-SN-12
    #[test]
    fn ids_begin_with_1_and_end_with_the_maximum() {
        let mut topics = Topics::default();
        for (name, id) in [("b", 1), ("a", 2), ("c", 3)] {
            assert_eq!(topics.add(name, &with_max(3)).unwrap().id, id);
            assert_eq!(topics.of_name(name).unwrap().id, id);
            assert_eq!(topics.of_id(id).unwrap().name(), name);
        }
        assert!(topics.add("d", &with_max(3)).is_none());
        assert!(topics.of_name("d").is_none() && topics.of_id(4).is_none());
        assert!(topics.of_id(0).is_none());
    }

    //= mqttsn:GW-SN-13
    #[test]
    fn what_was_noted_comes_back_unannounced() {
        let note = |key, name: &[u8]| (key, Arc::from(name));
        let notes = [
            note(7, b"b"),
            note(2, b"a"),
            note(0, b"zero"),
            note(0xFFFF, b"reserved"),
            note(0x1_0002, b"above"),
            note(9, b"\xff"),
        ];
        let mut topics = Topics::restored(&notes);
        assert_eq!(topics.entries.len(), 2);
        let entry = topics.of_name("b").unwrap();
        assert_eq!((entry.id, entry.standing), (7, Standing::Unknown));
        assert_eq!(topics.of_id(2).unwrap().name(), "a");
        assert_eq!(topics.add("c", &with_max(10)).unwrap().id, 8);
    }

    #[test]
    fn reserved_ids_are_not_given() {
        let mut topics = Topics::restored(&[(0xFFFD, Arc::from(&b"a"[..]))]);
        assert_eq!(topics.add("b", &with_max(u16::MAX)).unwrap().id, 0xFFFE);
        assert!(topics.add("c", &with_max(u16::MAX)).is_none());
    }

    //= mqttsn:GW-SN-12
    #[test]
    fn names_are_bounded_together() {
        let config = MqttSnConfig { topic_bytes_max: 5, ..MqttSnConfig::default() };
        let mut topics = Topics::default();
        assert!(topics.add("abc", &config).is_some());
        assert!(topics.add("abd", &config).is_none());
        assert!(topics.add("de", &config).is_some());
        assert!(topics.add("f", &config).is_none());
        assert_eq!(topics.entries.len(), 2);
    }
}
