//! The folder for what the server keeps.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

/// The data directory, locked against a second server as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// An open listener, for those who want to find it.
#[derive(Clone, Debug)]
pub(crate) struct OpenListener<'l> {
    pub(crate) name: &'l str,
    pub(crate) gateway: &'l str,
    pub(crate) transport: &'l str,
    pub(crate) address: String,
}

const LISTENERS: &str = "listeners.json";

impl DataDir {
    /// Creates the folder if it is missing and locks it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another server uses this folder"),
            TryLockError::Error(error) => error,
        })?;
        let dir = DataDir { path: path.to_owned(), _lock: lock };
        // A file of an earlier run would name addresses that nobody listens on.
        dir.remove_listeners();
        Ok(dir)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `listeners.json` so that it is there as a whole or not at all.
    pub(crate) fn write_listeners(&self, listeners: &[OpenListener<'_>]) -> io::Result<()> {
        let list: Vec<Json> = listeners
            .iter()
            .map(|listener| {
                json!({
                    "name": listener.name,
                    "gateway": listener.gateway,
                    "transport": listener.transport,
                    "address": listener.address,
                })
            })
            .collect();
        let unfinished = self.path.join("listeners.json.new");
        let mut file = File::create(&unfinished)?;
        writeln!(file, "{}", Json::from(list))?;
        drop(file);
        fs::rename(&unfinished, self.path.join(LISTENERS))
    }

    /// Removes `listeners.json`, when nobody listens any more.
    pub(crate) fn remove_listeners(&self) {
        let _ = fs::remove_file(self.path.join(LISTENERS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_kept_out_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = DataDir::open(&path).unwrap();
        assert!(DataDir::open(&path).is_err());
        drop(first);
        assert!(DataDir::open(&path).is_ok());
    }

    #[test]
    fn listeners_are_named_with_their_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path()).unwrap();
        let address = "127.0.0.1:40123".to_owned();
        let listener = OpenListener { name: "a", gateway: "mqtt", transport: "tcp", address };
        dir.write_listeners(&[listener]).unwrap();
        let text = fs::read_to_string(folder.path().join(LISTENERS)).unwrap();
        let json: Json = serde_json::from_str(&text).unwrap();
        let expected = json!({ "name": "a", "gateway": "mqtt", "transport": "tcp", "address": "127.0.0.1:40123" });
        assert_eq!(json, json!([expected]));
        dir.remove_listeners();
        assert!(!folder.path().join(LISTENERS).exists());
    }
}
