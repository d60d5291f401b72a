use std::path::Path;

use core_model::{Authenticator, Evidence, Exchange, Gate, Identity, Reason, Timestamp, Verdict};
use hashbrown::HashSet;

use crate::acl::Pattern;
use crate::error::{AccessError, read_text};
use crate::nobody::Refusal;

/// Largest file of client identifiers, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What an authenticator says of a client whose identifier is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// The next authenticator has to know it.
    #[default]
    GoOn,
    /// It is believed, without a user name.
    Accept,
}

/// A list of client identifiers: clients with others are refused. As a gate it concerns the whole
/// node, as an authenticator the listeners that have it in their chain.
#[derive(Debug, Default)]
pub struct ClientIds {
    name: Box<str>,
    listed: Listed,
    exact: HashSet<Box<str>, foldhash::fast::RandomState>,
    patterns: Vec<Pattern>,
}

impl ClientIds {
    /// An empty list, which refuses everybody; `name` is the authenticator's.
    #[must_use]
    pub fn new(name: &str, listed: Listed) -> Self {
        ClientIds { name: name.into(), listed, ..ClientIds::default() }
    }

    /// Puts a client identifier on the list; `*` stands for any characters.
    pub fn add(&mut self, text: &str) {
        let pattern = Pattern::parse(text);
        match pattern.name() {
            Some(name) => {
                self.exact.insert(name.into());
            }
            None => self.patterns.push(pattern),
        }
    }

    /// Puts all client identifiers of a file on the list: one a line; empty lines and lines that
    /// begin with `#` are skipped.
    ///
    /// # Errors
    /// When the file cannot be read, is too large or no text.
    pub fn add_file(&mut self, path: &Path) -> Result<(), AccessError> {
        let text = read_text(path, FILE_BYTES_MAX)?;
        let lines = text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).for_each(|l| self.add(l));
        Ok(())
    }

    /// Whether a client identifier is on the list.
    #[must_use]
    pub fn contains(&self, client_id: &str) -> bool {
        self.exact.contains(client_id)
            || self.patterns.iter().any(|pattern| pattern.matches(client_id))
    }
}

impl Gate for ClientIds {
    fn admit(
        &self,
        _now: Timestamp,
        client_id: &str,
        _evidence: &Evidence,
        _identity: Option<&Identity>,
    ) -> Result<(), Reason> {
        if self.contains(client_id) { Ok(()) } else { Err(Reason::CLIENT_ID_NOT_VALID) }
    }
}

impl Authenticator for ClientIds {
    fn authenticate(&self, client_id: &str, _evidence: &Evidence) -> Verdict {
        if !self.contains(client_id) {
            return Verdict::Refuse(Reason::CLIENT_ID_NOT_VALID);
        }
        match self.listed {
            Listed::GoOn => Verdict::Unknown,
            Listed::Accept => Verdict::Accept(Identity {
                authenticator: self.name.clone(),
                ..Identity::default()
            }),
        }
    }

    fn begin(
        &self,
        _method: &str,
        client_id: &str,
        _evidence: &Evidence,
    ) -> Option<Box<dyn Exchange>> {
        let is_listed = self.contains(client_id);
        (!is_listed).then(|| Box::new(Refusal(Reason::CLIENT_ID_NOT_VALID)) as _)
    }
}
