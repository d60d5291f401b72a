use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::rule::{AclRule, RuleError, RuleText};

/// Largest file of rules, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a file of rules is not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AclFileError {
    /// It cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is too large.
    #[error("{}: is larger than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// It is no TOML of `[[acl]]` tables. The text names line and key.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        problem: String,
    },
    /// A rule is wrong.
    #[error("{}: line {line}: rule {number}: {error}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// Where the rule begins, from 1.
        line: usize,
        /// Which rule, from 1.
        number: usize,
        /// What is wrong with it.
        error: RuleError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    acl: Vec<Spanned<RuleText>>,
}

/// Reads a file of rules: TOML with the same `[[acl]]` tables as the configuration.
///
/// # Errors
/// When it cannot be read, or the first thing that is wrong in it.
pub fn read_rules(path: &Path) -> Result<Vec<AclRule>, AclFileError> {
    let unread = |source| AclFileError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(unread)?.len() > FILE_BYTES_MAX {
        return Err(AclFileError::TooLarge(path.to_owned()));
    }
    parse_rules(path, &std::fs::read_to_string(path).map_err(unread)?)
}

/// Reads the text of a file of rules; `path` is for the errors.
///
/// # Errors
/// The first thing that is wrong in it.
pub fn parse_rules(path: &Path, text: &str) -> Result<Vec<AclRule>, AclFileError> {
    let file: RulesFile = toml::from_str(text).map_err(|error| AclFileError::Syntax {
        path: path.to_owned(),
        problem: error.to_string().trim_end().to_owned(),
    })?;
    let rule = |(rule, number): (&Spanned<RuleText>, usize)| {
        AclRule::parse(rule.get_ref()).map_err(|error| AclFileError::Rule {
            path: path.to_owned(),
            line: text.get(..rule.span().start).unwrap_or("").matches('\n').count() + 1,
            number,
            error,
        })
    };
    file.acl.iter().zip(1..).map(rule).collect()
}
