//! What gateways have sessions remember.

use std::sync::Arc;

use core_store::Mutation;

use crate::Counters;
use crate::routes::SessionIndex;
use crate::session::Session;
use crate::shard::Shard;

/// Bytes that a note takes beside its value: its entry, and what counts who shares the value.
const NOTE_BYTES: usize = size_of::<(u32, Arc<[u8]>)>() + 2 * size_of::<usize>();

impl Shard {
    pub(crate) fn on_note(&mut self, index: SessionIndex, key: u32, value: Option<Arc<[u8]>>) {
        let Some(session) = self.sessions.get_mut(index.0 as usize) else { return };
        let size = value.as_deref().map_or(0, size_of_note) as u64;
        let before = session.set_note(key, value.clone());
        if value.is_none() && before.is_none() {
            return;
        }
        let freed = before.as_deref().map_or(0, size_of_note) as u64;
        self.counters.kept_bytes = self.counters.kept_bytes + size - freed;
        if session.is_durable() {
            self.journal.push(Mutation::Note { session: session.origin, key, value });
        }
    }
}

impl Session {
    /// What it remembers, by key.
    pub(crate) fn notes(&self) -> &[(u32, Arc<[u8]>)] {
        &self.notes
    }

    /// Bytes of all that it remembers.
    pub(crate) fn note_bytes(&self) -> usize {
        self.notes.iter().map(|(_, value)| size_of_note(value)).sum()
    }

    /// Remembers something in place of what had the same key, or forgets it; gives the old one back.
    pub(crate) fn set_note(&mut self, key: u32, value: Option<Arc<[u8]>>) -> Option<Arc<[u8]>> {
        let place = self.notes.binary_search_by_key(&key, |(key, _)| *key);
        match (place, value) {
            (Ok(place), Some(value)) => {
                let (_, old) = self.notes.get_mut(place)?;
                Some(std::mem::replace(old, value))
            }
            (Ok(place), None) => {
                let (_, old) = self.notes.remove(place);
                if self.notes.is_empty() {
                    self.notes = Vec::new();
                }
                Some(old)
            }
            (Err(place), Some(value)) => {
                self.notes.insert(place, (key, value));
                None
            }
            (Err(_), None) => None,
        }
    }

    pub(crate) fn forget_notes(&mut self, counters: &mut Counters) {
        counters.kept_bytes -= self.note_bytes() as u64;
        self.notes = Vec::new();
    }
}

fn size_of_note(value: &[u8]) -> usize {
    NOTE_BYTES + value.len()
}
