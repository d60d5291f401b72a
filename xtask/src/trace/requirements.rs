//! The requirements of each protocol, from `conformance/<p>/requirements.toml`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// One folder of `conformance`.
#[derive(Debug)]
pub(crate) struct Protocol {
    /// The folder's name.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// In the order of the file.
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) exceptions: Vec<Exception>,
}

/// One sentence that an implementation is measured by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requirement {
    /// The edition, e.g. `mqtt5`.
    pub(crate) spec: String,
    pub(crate) id: String,
    pub(crate) role: Role,
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// Whose duty it is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Server,
    Client,
    Both,
}

/// How much the server is bound by it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Level {
    /// Needs code and a test.
    Must,
    /// Our choice.
    May,
    /// The client's duty; a server detects it where it can.
    Client,
}

/// A requirement that has no code or no test, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    spec: String,
    id: String,
    pub(crate) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    exception: Vec<Exception>,
    requirement: Vec<Requirement>,
}

impl Requirement {
    /// How it is cited: `spec:id`.
    pub(crate) fn key(&self) -> String {
        format!("{}:{}", self.spec, self.id)
    }

    /// Whether it needs code and a test.
    pub(crate) fn is_required(&self) -> bool {
        self.level == Level::Must && self.role != Role::Client
    }
}

impl Exception {
    pub(crate) fn key(&self) -> String {
        format!("{}:{}", self.spec, self.id)
    }
}

impl Protocol {
    /// The exception for a requirement, if there is one.
    pub(crate) fn exception(&self, requirement: &Requirement) -> Option<&Exception> {
        let same = |one: &&Exception| one.spec == requirement.spec && one.id == requirement.id;
        self.exceptions.iter().find(same)
    }

    fn parse(name: &str, folder: &Path, text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut keys = BTreeSet::new();
        for requirement in &file.requirement {
            if !keys.insert(requirement.key()) {
                bail!("{} is there twice", requirement.key());
            }
        }
        let mut excused = BTreeSet::new();
        for exception in &file.exception {
            let key = exception.key();
            if !keys.contains(&key) {
                bail!("exception {key}: there is no such requirement");
            }
            if exception.reason.trim().is_empty() {
                bail!("exception {key}: has no reason");
            }
            if !excused.insert(key.clone()) {
                bail!("exception {key} is there twice");
            }
        }
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            requirements: file.requirement,
            exceptions: file.exception,
        })
    }
}

/// Reads all protocols, in the order of their names.
pub(crate) fn load(root: &Path) -> Result<Vec<Protocol>> {
    let mut protocols = Vec::new();
    for entry in std::fs::read_dir(root.join("conformance")).context("cannot read conformance")? {
        let folder = entry.context("cannot read conformance")?.path();
        let file = folder.join("requirements.toml");
        let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { continue };
        if !file.is_file() {
            continue;
        }
        let read = || Protocol::parse(name, &folder, &std::fs::read_to_string(&file)?);
        protocols.push(read().with_context(|| format!("{}", file.display()))?);
    }
    protocols.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(protocols)
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::May => "MAY",
            Self::Client => "CLIENT",
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SAMPLE: &str = r#"
        [[exception]]
        spec = "p"
        id = "1-3"
        reason = "holds by construction"

        [[requirement]]
        spec = "p"
        id = "1-1"
        role = "server"
        level = "MUST"
        text = "answer a | b"

        [[requirement]]
        spec = "p"
        id = "1-2"
        role = "client"
        level = "CLIENT"
        text = "ask"

        [[requirement]]
        spec = "p"
        id = "1-3"
        role = "both"
        level = "MUST"
        text = "talk"
    "#;

    /// A server's duty, a client's, and one that is excused.
    pub(crate) fn protocol() -> Protocol {
        Protocol::parse("p", Path::new("conformance/p"), SAMPLE).unwrap()
    }

    #[test]
    fn only_the_duties_of_servers_are_required() {
        let required: Vec<_> =
            protocol().requirements.iter().map(Requirement::is_required).collect();
        assert_eq!(required, [true, false, true]);
    }

    #[test]
    fn contradictory_files_are_refused() {
        for (from, to) in [
            ("id = \"1-2\"", "id = \"1-1\""),
            ("id = \"1-3\"\n        reason", "id = \"7-7\"\n        reason"),
            ("holds by construction", " "),
            ("role = \"client\"", "role = \"cook\""),
            ("text = \"ask\"", "txt = \"ask\""),
        ] {
            let text = SAMPLE.replacen(from, to, 1);
            assert_ne!(text, SAMPLE, "{from}");
            assert!(Protocol::parse("p", Path::new("p"), &text).is_err(), "{to}");
        }
    }

    #[test]
    fn the_files_of_the_project_are_whole() {
        let protocols = load(&crate::workspace_root()).unwrap();
        let requirements = || protocols.iter().flat_map(|one| &one.requirements);
        let count = |spec: &str, ours: bool| {
            let chosen = |one: &&Requirement| one.spec == spec && one.id.starts_with("GW-") == ours;
            requirements().filter(chosen).count()
        };
        // Appendix B of MQTT 5.0, and the normative statements of 3.1.1.
        assert_eq!((count("mqtt5", false), count("mqtt311", false)), (251, 141));
        assert_eq!((count("mqtt5", true), count("mqtt311", true)), (22, 0));
        // MQTT-SN 1.2 numbers nothing itself.
        assert_eq!((count("mqttsn", false), count("mqttsn", true)), (0, 32));
    }
}
