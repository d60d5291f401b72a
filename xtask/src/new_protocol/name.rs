use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

/// Greatest length of a name.
const LEN_MAX: usize = 24;

/// The name of a protocol: of its folders, packages and gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// Takes small letters and digits, the first of them a letter.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins_well || !text.chars().all(is_allowed) || text.len() > LEN_MAX {
            bail!(
                "`{text}` is no name for a protocol: it has small letters and digits, a letter in \
                 front, and at most {LEN_MAX} of them"
            );
        }
        Ok(Name(text.to_owned()))
    }

    /// Fails if something of the workspace has the name already.
    pub(super) fn refuse_existing(&self, root: &Path) -> Result<()> {
        for folder in ["codecs", "gateways", "conformance"] {
            if root.join(folder).join(&self.0).exists() {
                bail!("{folder}/{self} is there already");
            }
        }
        // The gateway's settings stand beside them, as `[listener.NAME]`.
        let listener = super::read(root, "src/config/definitions/listener.rs")?;
        let key = format!("{self}: ");
        if listener.lines().any(|line| line.trim_start().starts_with(&key)) {
            bail!("`{self}` is a key of every listener, so no gateway can have that name");
        }
        Ok(())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it begins the names of types.
    pub(super) fn in_types(&self) -> String {
        let (first, rest) = self.0.split_at(1);
        first.to_ascii_uppercase() + rest
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_small_letters_and_digits() {
        assert_eq!(Name::parse("gbt32960").unwrap().in_types(), "Gbt32960");
        let longest = "a".repeat(LEN_MAX);
        assert!(Name::parse(&longest).is_ok());
        for wrong in ["", "7up", "Kettle", "mqtt-sn", "a_b", "a/b", "../x", "é", &(longest + "a")]
        {
            assert!(Name::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_that_are_taken_are_refused() {
        let root = crate::workspace_root();
        for taken in ["mqtt", "wire", "host", "settings", "tls", "limits", "name"] {
            let name = Name::parse(taken).unwrap();
            assert!(name.refuse_existing(&root).is_err(), "{taken}");
        }
        Name::parse("kettle").unwrap().refuse_existing(&root).unwrap();
    }
}
