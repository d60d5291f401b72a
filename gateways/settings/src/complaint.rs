use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Bytes of the file that are to blame.
    pub span: Range<usize>,
    /// Key path, such as `listener[0].limits.max_packet_size`; empty if it is about no key.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What is allowed, if that can be said.
    pub allowed: Option<String>,
    /// What to do about it, if that can be guessed.
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Complaints {
    file: PathBuf,
    text: String,
    list: Vec<Complaint>,
}

impl Complaints {
    /// Complaints about the file at `file` with content `text`.
    pub fn new(file: &Path, text: &str, mut list: Vec<Complaint>) -> Self {
        list.sort_by_key(|complaint| complaint.span.start);
        Complaints { file: file.to_owned(), text: text.to_owned(), list }
    }

    /// The complaints.
    pub fn list(&self) -> &[Complaint] {
        &self.list
    }

    /// Line and column of a byte of the file, both from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// What stands in the file at `span`, on one line and not too long.
    fn found(&self, span: &Range<usize>) -> Option<String> {
        const SHOWN_MAX: usize = 60;
        let text = self.text.get(span.clone())?.trim();
        let first = text.lines().next().filter(|line| !line.is_empty())?;
        if first.len() == text.len() && first.chars().count() <= SHOWN_MAX {
            return Some(first.to_owned());
        }
        Some(first.chars().take(SHOWN_MAX).chain("...".chars()).collect())
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let (line, column) = self.position(complaint.span.start);
            write!(f, "{}:{line}:{column}: ", self.file.display())?;
            if !complaint.path.is_empty() {
                write!(f, "{}: ", complaint.path)?;
            }
            f.write_str(&complaint.what)?;
            if let Some(found) = self.found(&complaint.span) {
                write!(f, "\n  found:   {found}")?;
            }
            if let Some(allowed) = &complaint.allowed {
                write!(f, "\n  allowed: {allowed}")?;
            }
            if let Some(hint) = &complaint.hint {
                write!(f, "\n  {hint}")?;
            }
        }
        Ok(())
    }
}
