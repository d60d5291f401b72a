use std::collections::HashMap;
use std::sync::Arc;

use core_model::check_topic_name;
use thiserror::Error;

/// What stands for all clients in place of a client identifier.
const ALL: &str = "*";

/// Topic ids that mean something in themselves and are never given.
const RESERVED_IDS: [u16; 2] = [0x0000, 0xFFFF];

/// Pre-defined topic ids: those of all clients, and those of single ones, which come first.
#[derive(Clone, Debug, Default)]
pub struct Predefined {
    /// Of all clients.
    common: Table,
    /// Of single clients, by client identifier.
    clients: HashMap<Box<str>, Table>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    topics: HashMap<u16, Arc<str>>,
    ids: HashMap<Arc<str>, u16>,
}

impl Predefined {
    /// Adds a topic id of one client, or with `None` of all.
    ///
    /// # Errors
    /// The id is reserved or has another topic already, or the topic is no topic name.
    pub fn add(
        &mut self,
        client_id: Option<&str>,
        id: u16,
        topic: &str,
    ) -> Result<(), PredefinedError> {
        if RESERVED_IDS.contains(&id) {
            return Err(PredefinedError::Reserved(id));
        }
        check_topic_name(topic).map_err(|_| PredefinedError::Topic(id))?;
        let table = match client_id {
            Some(client_id) => self.clients.entry(client_id.into()).or_default(),
            None => &mut self.common,
        };
        if table.topics.contains_key(&id) {
            return Err(PredefinedError::Twice(id));
        }
        let topic: Arc<str> = topic.into();
        table.topics.insert(id, Arc::clone(&topic));
        table.ids.entry(topic).or_insert(id);
        Ok(())
    }

    /// Adds what a file in the format of the Paho gateway says: a line for each id, with client
    /// identifier, topic and id between commas, where the client `*` stands for all. Empty lines and
    /// those that begin with `#` say nothing.
    ///
    /// # Errors
    /// The first line that is none, or cannot be added.
    pub fn read(&mut self, text: &str) -> Result<(), PredefinedFileError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut add = || {
                let (client_id, topic, id) = split(line).ok_or(PredefinedError::Line)?;
                self.add((client_id != ALL).then_some(client_id), id, topic)
            };
            add().map_err(|error| PredefinedFileError { line: index + 1, error })?;
        }
        Ok(())
    }

    /// The topic of an id that everybody may use.
    pub(crate) fn common(&self, id: u16) -> Option<&Arc<str>> {
        self.common.topics.get(&id)
    }

    /// The topic of an id that the client may use.
    pub(crate) fn topic(&self, client_id: &str, id: u16) -> Option<&Arc<str>> {
        let own = self.clients.get(client_id).and_then(|table| table.topics.get(&id));
        own.or_else(|| self.common(id))
    }

    /// The id by which the client may be told a topic.
    pub(crate) fn id(&self, client_id: &str, topic: &str) -> Option<u16> {
        let own = self.clients.get(client_id);
        let of_own = own.and_then(|table| table.ids.get(topic)).copied();
        of_own.or_else(|| {
            // The client's own table may have another topic there.
            let id = self.common.ids.get(topic).copied()?;
            own.is_none_or(|table| !table.topics.contains_key(&id)).then_some(id)
        })
    }
}

/// Client identifier, topic and id of a line. Only topics may have commas in them.
fn split(line: &str) -> Option<(&str, &str, u16)> {
    let (client_id, rest) = line.split_once(',')?;
    let (topic, id) = rest.rsplit_once(',')?;
    let client_id = client_id.trim();
    (!client_id.is_empty()).then_some((client_id, topic.trim(), id.trim().parse().ok()?))
}

/// Why a pre-defined topic id cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PredefinedError {
    /// A line is not of the format.
    #[error("not client id, topic and topic id with commas between them")]
    Line,
    /// The id has a meaning of its own.
    #[error("topic id {0} is reserved, 1 to 65534 can be used")]
    Reserved(u16),
    /// Nothing can be published to what stands for the topic.
    #[error("topic id {0} has no topic name: it is empty, too long, or has a wildcard in it")]
    Topic(u16),
    /// The id has a topic already.
    #[error("topic id {0} is there twice")]
    Twice(u16),
}

/// What is wrong in a file of pre-defined topic ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {error}")]
pub struct PredefinedFileError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: PredefinedError,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Predefined, String> {
        let mut predefined = Predefined::default();
        predefined.read(text).map_err(|error| error.to_string())?;
        Ok(predefined)
    }

    #[test]
    fn a_clients_own_ids_come_before_those_of_all() {
        let text = "# Client, topic, id\n\n*, city/all ,1\n*,city/two,2\nsn1,own, with comma,1\n";
        let predefined = read(text).unwrap();
        let topic = |client, id| predefined.topic(client, id).map(|topic| &**topic);
        assert_eq!(topic("sn1", 1), Some("own, with comma"));
        assert_eq!(topic("sn2", 1), Some("city/all"));
        assert_eq!((topic("sn1", 2), topic("sn1", 3)), (Some("city/two"), None));
        assert_eq!(predefined.id("sn1", "own, with comma"), Some(1));
        assert_eq!(predefined.id("sn2", "own, with comma"), None);
        assert_eq!(
            (predefined.id("sn1", "city/all"), predefined.id("sn2", "city/all")),
            (None, Some(1))
        );
        assert_eq!(predefined.id("sn1", "city/two"), Some(2));
        assert_eq!(predefined.common(1).map(|topic| &**topic), Some("city/all"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let line = "not client id, topic and topic id with commas between them";
        for (text, error) in [
            ("*,a", format!("line 1: {line}")),
            ("#\n*,a,b", format!("line 2: {line}")),
            ("*,a,65536", format!("line 1: {line}")),
            (",a,1", format!("line 1: {line}")),
            ("*,a,1\n\n*,b,1", "line 3: topic id 1 is there twice".to_owned()),
            ("*,a,0", "line 1: topic id 0 is reserved, 1 to 65534 can be used".to_owned()),
            ("*,a,65535", "line 1: topic id 65535 is reserved, 1 to 65534 can be used".to_owned()),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text}");
        }
        for text in ["*,a/#,7", "*,+,7", "*,,7"] {
            assert!(read(text).unwrap_err().starts_with("line 1: topic id 7 has no topic name"));
        }
    }
}
