//! Finds citations in sources: `//= spec:id`, in Python `#= spec:id`.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Folders without sources of ours. This package is left out too: its tests hold samples.
const SKIPPED: &[&str] = &["target", "node_modules", "__pycache__", "xtask"];

/// What stands below a citation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A line that obeys the requirement.
    Code,
    /// A test of it.
    Test,
}

/// One requirement cited on one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    /// `spec:id`
    pub(crate) key: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// What one file cites.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) citations: Vec<Citation>,
    /// Lines that begin like a citation and name no requirement.
    pub(crate) malformed: Vec<usize>,
}

/// Reads all sources of the workspace, in the order of their paths.
pub(crate) fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    read_folder(root, "", &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn read_folder(folder: &Path, path: &str, sources: &mut Vec<Source>) -> Result<()> {
    let entries = std::fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let inner = if path.is_empty() { name } else { format!("{path}/{name}") };
        let kind = entry.file_type().with_context(|| format!("cannot look at {inner}"))?;
        if kind.is_dir() {
            read_folder(&entry.path(), &inner, sources)?;
        } else if is_source(&inner) {
            let text = std::fs::read_to_string(entry.path());
            let text = text.with_context(|| format!("cannot read {inner}"))?;
            sources.push(source(inner, &text));
        }
    }
    Ok(())
}

/// Rust anywhere; what foreign clients are driven with only among the tests.
fn is_source(path: &str) -> bool {
    match path.rsplit_once('.') {
        Some((_, "rs")) => true,
        Some((_, "py" | "js")) => path.starts_with("tests/"),
        _ => false,
    }
}

/// The citations of one file's text.
pub(crate) fn source(path: String, text: &str) -> Source {
    let mark = if path.ends_with(".py") { "#=" } else { "//=" };
    let tests_begin = if is_test_file(&path) { 0 } else { test_module(text) };
    let mut citations = Vec::new();
    let mut malformed = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some(cited) = line.trim_start().strip_prefix(mark) else { continue };
        let kind = if at >= tests_begin { Kind::Test } else { Kind::Code };
        let keys: Vec<_> = keys(cited).collect();
        if keys.is_empty() {
            malformed.push(at + 1);
        }
        citations.extend(keys.into_iter().map(|key| Citation { key, line: at + 1, kind }));
    }
    Source { path, citations, malformed }
}

/// The `spec:id` words at the beginning; our own words may follow.
fn keys(cited: &str) -> impl Iterator<Item = String> {
    cited
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty())
        .take_while(|word| {
            word.split_once(':').is_some_and(|(spec, id)| !spec.is_empty() && !id.is_empty())
        })
        .map(str::to_owned)
}

/// Whether all of a file is tests: it lies below a `tests` folder, or is a module of that name.
fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The line, counted from 0, at which the test module of a Rust file begins; past the end if none.
///
/// A `#[cfg(test)]` above anything but a module with a body (an import, a function, `mod tests;`)
/// begins nothing, since code follows it.
fn test_module(text: &str) -> usize {
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        if !line.starts_with("#[cfg(") || !line.contains("test") {
            continue;
        }
        while lines.next_if(|(_, next)| next.starts_with("#[") || next.starts_with("//")).is_some()
        {
        }
        let module =
            |(_, next): &(usize, &str)| next.contains("mod ") && !next.trim_end().ends_with(';');
        if lines.peek().is_some_and(module) {
            return at;
        }
    }
    usize::MAX
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code => "code",
            Self::Test => "test",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The citations as `key line kind`.
    fn found(path: &str, text: &str) -> Vec<String> {
        let source = source(path.to_owned(), text);
        assert_eq!(source.malformed, [0; 0]);
        let shown = |one: &Citation| format!("{} {} {}", one.key, one.line, one.kind);
        source.citations.iter().map(shown).collect()
    }

    const RUST: &str = "\
//! Not one: //= p:0-0
#[cfg(test)]
use std::fmt;

//= p:1-1
//= p:1-2 in our words
fn answer() {
    //= p:1-3, p:1-4
    let text = \"//= p:0-0\";
}

#[cfg(test)]
#[allow(dead_code)]
mod tests {
    //= p:1-1
    #[test]
    fn answers() {}
}
";

    #[test]
    fn code_and_its_test_module_are_told_apart() {
        assert_eq!(
            found("src/lib.rs", RUST),
            ["p:1-1 5 code", "p:1-2 6 code", "p:1-3 8 code", "p:1-4 8 code", "p:1-1 15 test",]
        );
    }

    #[test]
    fn what_lies_among_tests_is_a_test() {
        let text = "//= p:1-1\nfn answers() {}\n";
        for path in ["tests/e2e/src/lib.rs", "core/broker/tests/it/main.rs", "src/link/tests.rs"] {
            assert_eq!(found(path, text), ["p:1-1 1 test"], "{path}");
        }
        for path in ["src/latest.rs", "core/broker/src/lib.rs"] {
            assert_eq!(found(path, text), ["p:1-1 1 code"], "{path}");
        }
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_leaves_the_rest_code() {
        let text = "#[cfg(test)]\nmod tests;\n\n//= p:1-1\nfn answer() {}\n";
        assert_eq!(found("src/lib.rs", text), ["p:1-1 4 code"]);
    }

    #[test]
    fn python_has_its_own_mark() {
        let text = "#= p:1-1\ndef test_answer():\n    x = 7 //= p\n";
        assert_eq!(found("tests/e2e/clients/a.py", text), ["p:1-1 1 test"]);
        assert_eq!(
            found("tests/e2e/clients/a.js", text.replace('#', "//").as_str()),
            ["p:1-1 1 test"]
        );
    }

    #[test]
    fn a_mark_without_an_id_is_malformed() {
        for text in ["//=\n", "//= 3.1.2-4\n", "//= see p:1-1\n", "//= p:\n"] {
            assert_eq!(source("src/lib.rs".into(), text).malformed, [1], "{text}");
        }
    }

    #[test]
    fn only_sources_are_read() {
        assert!(is_source("core/model/src/lib.rs"));
        assert!(is_source("tests/e2e/clients/a.py"));
        assert!(!is_source("docs/a.py"));
        assert!(!is_source("README.md"));
        assert!(!is_source("tests/e2e/package.json"));
    }
}
