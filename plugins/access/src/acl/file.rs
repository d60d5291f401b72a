use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::rule::{AclRule, RuleText};
use crate::error::{AccessError, read_text};

/// Largest file of rules, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

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
pub fn read_rules(path: &Path) -> Result<Vec<AclRule>, AccessError> {
    parse_rules(path, &read_text(path, FILE_BYTES_MAX)?)
}

/// Reads the text of a file of rules; `path` is for the errors.
///
/// # Errors
/// The first thing that is wrong in it, with its line.
pub fn parse_rules(path: &Path, text: &str) -> Result<Vec<AclRule>, AccessError> {
    let wrong = |at: usize, what: &str| {
        let line = text.get(..at).unwrap_or("").matches('\n').count() + 1;
        AccessError::line(path, line, what)
    };
    let file: RulesFile = toml::from_str(text)
        .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message()))?;
    let rule = |rule: &Spanned<RuleText>| {
        AclRule::parse(rule.get_ref()).map_err(|error| wrong(rule.span().start, &error.to_string()))
    };
    file.acl.iter().map(rule).collect()
}
