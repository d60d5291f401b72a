//! Known gaps: requirements that have no code or no test yet. The list only shrinks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::scan::Kind;

/// Requirements by what they lack, each as `spec:id`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gaps {
    /// No code cites them.
    pub(crate) code: BTreeSet<String>,
    /// No test cites them.
    pub(crate) test: BTreeSet<String>,
}

impl Gaps {
    /// Reads the list, if there is one.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>> {
        if !file.exists() {
            return Ok(None);
        }
        let read = || -> Result<Self> { Ok(toml::from_str(&std::fs::read_to_string(file)?)?) };
        read().map(Some).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Writes the list. It stays when it is empty, so that it cannot begin anew.
    pub(crate) fn write(&self, file: &Path, protocol: &str) -> Result<()> {
        std::fs::write(file, self.render(protocol))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn render(&self, protocol: &str) -> String {
        let mut text = format!(
            "# Requirements of {protocol} that code or a test does not cite yet.\n\
             # This list only shrinks: `cargo xtask trace` fails on an id that is covered, and\n\
             # `cargo xtask trace --write-gaps` takes such ids out but never puts one in.\n"
        );
        for kind in [Kind::Code, Kind::Test] {
            let keys: Vec<_> = self.of_kind(kind).iter().map(|key| format!("\"{key}\"")).collect();
            if keys.is_empty() {
                let _ = writeln!(text, "\n{kind} = []");
            } else {
                let _ = writeln!(text, "\n{kind} = [\n    {},\n]", keys.join(",\n    "));
            }
        }
        text
    }

    /// What is on the list and still missing.
    pub(crate) fn shrunk_to(&self, missing: &Self) -> Self {
        Self { code: &self.code & &missing.code, test: &self.test & &missing.test }
    }

    /// The requirements without citations of this kind.
    pub(crate) fn of_kind(&self, kind: Kind) -> &BTreeSet<String> {
        match kind {
            Kind::Code => &self.code,
            Kind::Test => &self.test,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(code: &[&str], test: &[&str]) -> Gaps {
        let set = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
        Gaps { code: set(code), test: set(test) }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for list in [gaps(&["p:1-1", "p:1-2"], &["p:1-2"]), gaps(&[], &["p:1-1"]), gaps(&[], &[])] {
            assert_eq!(toml::from_str::<Gaps>(&list.render("p")).unwrap(), list);
        }
    }

    #[test]
    fn the_list_never_grows() {
        let list = gaps(&["p:1", "p:2"], &["p:2"]);
        let missing = gaps(&["p:2", "p:3"], &["p:1", "p:2"]);
        assert_eq!(list.shrunk_to(&missing), gaps(&["p:2"], &["p:2"]));
    }
}
