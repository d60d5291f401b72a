use std::collections::HashMap;
use std::sync::Arc;

/// Pre-defined topic ids: those of all clients, and those of single ones.
#[derive(Clone, Debug, Default)]
pub struct Predefined {
    /// Of all clients.
    common: Table,
    /// Of single clients, by client identifier; they come before those of all.
    clients: HashMap<Box<str>, Table>,
}

type Table = HashMap<u16, Arc<str>>;

impl Predefined {
    /// The topic of an id that everybody may use.
    pub(crate) fn common(&self, id: u16) -> Option<&Arc<str>> {
        self.common.get(&id)
    }

    /// The topic of an id that the client may use.
    pub(crate) fn topic(&self, client_id: &str, id: u16) -> Option<&Arc<str>> {
        let own = self.clients.get(client_id).and_then(|table| table.get(&id));
        own.or_else(|| self.common(id))
    }
}
