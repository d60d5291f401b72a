use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::hash::HashError;

/// Why something of this crate cannot be built or a file cannot be used. No text has a password or
/// a hash in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line of a file is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what is allowed.
        what: String,
    },
    /// A file is wrong as a whole.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        what: String,
    },
    /// A setting is wrong.
    #[error("{setting}: {what}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong, and what is allowed.
        what: String,
    },
    /// A password cannot be hashed.
    #[error("{0}")]
    Hash(#[from] HashError),
}

impl AccessError {
    /// Of a line of a file, from 1.
    pub(crate) fn line(path: &Path, line: usize, what: impl Into<String>) -> Self {
        AccessError::Line { path: path.to_owned(), line, what: what.into() }
    }

    /// Of a setting.
    pub(crate) fn setting(setting: &'static str, what: impl Into<String>) -> Self {
        AccessError::Setting { setting, what: what.into() }
    }

    /// Of a file as a whole.
    pub(crate) fn file(path: &Path, what: impl Into<String>) -> Self {
        AccessError::File { path: path.to_owned(), what: what.into() }
    }
}

/// Reads a whole file that is not larger than `bytes_max`.
pub(crate) fn read_bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, AccessError> {
    use std::io::Read as _;

    let unread = |source| AccessError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unread)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > bytes_max {
        return Err(AccessError::file(path, format!("is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Reads a whole file of text that is not larger than `bytes_max`.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, AccessError> {
    String::from_utf8(read_bytes(path, bytes_max)?).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        AccessError::line(path, line, "is no UTF-8 text")
    })
}
