//! What differs between two configurations: keys and the files behind them, never values, which may
//! be secrets.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use toml::{Table, Value};

/// Bytes of a file that are looked at to see whether it has changed.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Keys that count from the next start on only. A key stands for all that are below it.
const ONLY_AT_START: &[&str] = &[
    "control",
    "data_dir",
    "handshakes.threads",
    "limits.links.read_buffer",
    "log",
    "shards",
    "store",
    "sys_interval",
];

/// A configuration as far as it is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outline {
    /// Every value with its path, such as `listener.west.limits.max_packet_size`.
    values: BTreeMap<String, String>,
    /// The files that it names, with a hash of what was in them.
    files: BTreeMap<PathBuf, u64>,
}

impl Outline {
    /// Of a file's text, which has been read without complaints; relative paths in it start at
    /// `folder`.
    pub(super) fn new(text: &str, folder: &Path) -> Self {
        let mut outline = Outline::default();
        let table = text.parse::<Table>().unwrap_or_default();
        outline.add_table("", &table, folder);
        outline
    }

    fn add_table(&mut self, path: &str, table: &Table, folder: &Path) {
        for (key, value) in table {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.add(path, value, folder);
        }
    }

    fn add(&mut self, path: String, value: &Value, folder: &Path) {
        match value {
            Value::Table(table) => self.add_table(&path, table, folder),
            Value::Array(list) if list.iter().any(Value::is_table) => {
                for (number, element) in list.iter().enumerate() {
                    let name = element.get("name").and_then(Value::as_str);
                    let name = name.map_or(number.to_string(), str::to_owned);
                    self.add(format!("{path}.{name}"), element, folder);
                }
            }
            _ => {
                if let Value::String(name) = value {
                    self.add_file(folder.join(name));
                }
                self.values.insert(path, value.to_string());
            }
        }
    }

    /// Notes what is in a file, if there is one of this name.
    fn add_file(&mut self, path: PathBuf) {
        if !path.is_file() || self.files.contains_key(&path) {
            return;
        }
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|f| f.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        // A file that cannot be read is as good as an empty one: whoever needs it complains.
        self.files.insert(path, read.map_or(0, |_| hasher.finish()));
    }

    /// What is not the same in `new`.
    pub(super) fn difference(&self, new: &Outline) -> Difference {
        let settings = changed(&self.values, &new.values);
        let is_below = |path: &str, key: &str| {
            path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let only_at_start = |path: &String| ONLY_AT_START.iter().any(|key| is_below(path, key));
        Difference {
            needs_restart: settings.iter().filter(|path| only_at_start(path)).cloned().collect(),
            settings,
            files: changed(&self.files, &new.files)
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        }
    }
}

/// Keys whose value is not the same in both, or missing in one.
fn changed<K: Ord + Clone, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Vec<K> {
    let mut keys: Vec<K> =
        old.keys().chain(new.keys()).filter(|key| old.get(key) != new.get(key)).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What differs, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Paths of keys.
    pub(super) settings: Vec<String>,
    /// Files whose content has changed, and those that are named only in one of the two.
    pub(super) files: Vec<String>,
    /// Those of the settings that count from the next start on only.
    pub(super) needs_restart: Vec<String>,
}

impl Difference {
    /// As part of an answer.
    pub(super) fn json(&self, listeners: Json) -> Json {
        json!({
            "settings": self.settings,
            "files": self.files,
            "listeners": listeners,
            "needs_restart": self.needs_restart,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn difference(old: &str, new: &str) -> Difference {
        let folder = Path::new("/nonexistent");
        Outline::new(old, folder).difference(&Outline::new(new, folder))
    }

    #[test]
    fn keys_are_named_by_their_path() {
        let old = "shards = 1\n[[listener]]\nname = \"west\"\n[listener.limits]\nbacklog = 5\n";
        let new = "shards = 2\n[log]\nlevel = \"warn\"\n[[listener]]\nname = \"west\"\n[listener.limits]\nbacklog = 6\n";
        let found = difference(old, new);
        assert_eq!(found.settings, ["listener.west.limits.backlog", "log.level", "shards"]);
        assert_eq!(found.needs_restart, ["log.level", "shards"]);
        assert_eq!(difference(old, old), Difference::default());
        assert_eq!(difference("", "storehouse = 1").needs_restart, [""; 0]);
    }

    #[test]
    fn values_are_not_named() {
        let found = difference("secret = \"blue\"", "secret = \"green\"");
        assert!(!format!("{found:?}").contains("green"));
    }

    #[test]
    fn a_rule_is_named_by_its_number() {
        let found = difference("[[acl]]\ndeny = 1\n[[acl]]\nallow = 1", "[[acl]]\ndeny = 1\n");
        assert_eq!(found.settings, ["acl.1.allow"]);
    }

    #[test]
    fn a_file_is_named_when_its_content_changes() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users.txt");
        fs::write(&users, "a:1").unwrap();
        let text = "path = \"users.txt\"\nother = \"missing.txt\"\n";
        let old = Outline::new(text, folder.path());
        assert_eq!(old.difference(&Outline::new(text, folder.path())), Difference::default());
        fs::write(&users, "a:2").unwrap();
        let found = old.difference(&Outline::new(text, folder.path()));
        assert_eq!(found.files, [users.display().to_string()]);
        assert_eq!(found.settings, [""; 0]);
    }
}
