//! `cargo xtask trace`: every requirement that must hold is cited by code and by a test.
//!
//! Requirements live in `conformance/<p>/requirements.toml`, known gaps in `conformance/<p>/gaps.toml`
//! (which only shrinks), and the outcome in the generated
//! `conformance/<p>/REPORT.md`: all that is about one protocol is in folders of its own.

mod gaps;
mod report;
mod requirements;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use self::gaps::Gaps;
use self::requirements::{Protocol, Requirement};
use self::scan::{Citation, Kind};

/// How many problems are listed; the rest is only counted.
const PROBLEMS_SHOWN: usize = 30;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Check,
    Report,
    WriteGaps,
}

/// Runs the chore with its command line arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    match arguments {
        [] => check(root),
        [one] if one == "--report" => act(root, Action::Report, None),
        [one] if one == "--write-gaps" => act(root, Action::WriteGaps, None),
        citations if citations.iter().all(|one| one.contains(':')) => show(root, citations),
        other => bail!("trace does not know `{}`", other.join(" ")),
    }
}

/// Fails on an unknown id, an uncovered requirement, a gap that is none, or a stale report.
pub(crate) fn check(root: &Path) -> Result<()> {
    act(root, Action::Check, None)
}

/// The same for one protocol alone, whatever is wrong with others.
pub(crate) fn check_one(root: &Path, name: &str) -> Result<()> {
    act(root, Action::Check, Some(name))
}

/// Writes the report of one protocol, and fails if it is not as it should be.
pub(crate) fn report_one(root: &Path, name: &str) -> Result<()> {
    act(root, Action::Report, Some(name))
}

fn act(root: &Path, action: Action, only: Option<&str>) -> Result<()> {
    let protocols = requirements::load(root)?;
    let sources = scan::sources(root)?;
    let (known, mut problems) = index(&protocols, &sources);
    problems.retain(|_| only.is_none());
    for protocol in protocols.iter().filter(|one| only.is_none_or(|name| one.name == name)) {
        let file = protocol.folder.join("gaps.toml");
        let missing = missing(protocol, &known);
        let mut gaps = Gaps::read(&file)?;
        if action == Action::WriteGaps {
            let left = gaps.map_or_else(|| missing.clone(), |listed| listed.shrunk_to(&missing));
            left.write(&file, &protocol.name)?;
            gaps = Some(left);
        }
        let gaps = gaps.unwrap_or_default();
        problems.extend(faults(protocol, &known, &missing, &gaps));
        problems.extend(stale_report(protocol, &known, &gaps, action)?);
        println!("trace: {}: {}", protocol.name, report::summary(protocol, &known, &gaps));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let hidden = problems.len().saturating_sub(PROBLEMS_SHOWN);
    let more = if hidden > 0 { format!("\n  and {hidden} more") } else { String::new() };
    problems.truncate(PROBLEMS_SHOWN);
    bail!("{} problems:\n  {}{more}", problems.len() + hidden, problems.join("\n  "))
}

/// Writes the report if asked, else says whether the one that is there is out of date.
fn stale_report(
    protocol: &Protocol,
    known: &Known,
    gaps: &Gaps,
    action: Action,
) -> Result<Option<String>> {
    let path = format!("conformance/{}/REPORT.md", protocol.name);
    let file = protocol.folder.join("REPORT.md");
    let text = report::render(protocol, known, gaps);
    if action == Action::Report {
        std::fs::write(&file, text).with_context(|| format!("cannot write {path}"))?;
        return Ok(None);
    }
    // Writing gaps changes the report, so saying that it is stale would be noise.
    let current = action == Action::WriteGaps
        || std::fs::read_to_string(&file).is_ok_and(|committed| committed == text);
    Ok((!current).then(|| format!("{path}: out of date: run `cargo xtask trace --report`")))
}

/// Where each requirement is cited, by `spec:id`.
type Known = BTreeMap<String, Places>;

/// Where one requirement is cited.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Lines of code, `path:line`.
    pub(crate) code: Vec<String>,
    /// Tests, `path:line`.
    pub(crate) test: Vec<String>,
}

impl Places {
    fn of_kind(&self, kind: Kind) -> &[String] {
        match kind {
            Kind::Code => &self.code,
            Kind::Test => &self.test,
        }
    }
}

/// Sorts the citations by requirement; what cites nothing that exists is a problem.
fn index(protocols: &[Protocol], sources: &[scan::Source]) -> (Known, Vec<String>) {
    let requirements = protocols.iter().flat_map(|protocol| &protocol.requirements);
    let mut known: Known = requirements.map(|one| (one.key(), Places::default())).collect();
    let mut problems = Vec::new();
    for source in sources {
        problems.extend(
            source
                .malformed
                .iter()
                .map(|line| format!("{}:{line}: not a citation; write `//= spec:id`", source.path)),
        );
        for Citation { key, line, kind } in &source.citations {
            let place = format!("{}:{line}", source.path);
            match (known.get_mut(key), kind) {
                (None, _) => problems.push(format!("{place}: there is no requirement {key}")),
                (Some(places), Kind::Code) => places.code.push(place),
                (Some(places), Kind::Test) => places.test.push(place),
            }
        }
    }
    (known, problems)
}

/// The requirements without code and without test, exceptions left out.
fn missing(protocol: &Protocol, known: &Known) -> Gaps {
    let without = |kind: Kind| -> BTreeSet<String> {
        protocol
            .requirements
            .iter()
            .filter(|one| one.is_required() && protocol.exception(one).is_none())
            .map(Requirement::key)
            .filter(|key| known.get(key).is_none_or(|places| places.of_kind(kind).is_empty()))
            .collect()
    };
    Gaps { code: without(Kind::Code), test: without(Kind::Test) }
}

/// What is neither covered nor a known gap, and what is said to be missing and is not.
fn faults(protocol: &Protocol, known: &Known, missing: &Gaps, gaps: &Gaps) -> Vec<String> {
    let mut faults = Vec::new();
    for kind in [Kind::Code, Kind::Test] {
        let (found, listed) = (missing.of_kind(kind), gaps.of_kind(kind));
        for key in found.difference(listed) {
            faults.push(format!("{key}: no {kind} cites it"));
        }
        for key in listed.difference(found) {
            faults.push(format!(
                "{key}: listed without {kind}, but it has one, is excused or does not exist: \
                 remove it from gaps.toml (`cargo xtask trace --write-gaps`)"
            ));
        }
    }
    for exception in &protocol.exceptions {
        let key = exception.key();
        let covered = |places: &Places| !places.code.is_empty() && !places.test.is_empty();
        if known.get(&key).is_some_and(covered) {
            faults.push(format!("{key}: code and test cite it: remove its exception"));
        }
    }
    faults
}

/// Prints where requirements are cited.
fn show(root: &Path, citations: &[String]) -> Result<()> {
    let protocols = requirements::load(root)?;
    let (known, _) = index(&protocols, &scan::sources(root)?);
    let requirements: BTreeMap<String, &Requirement> = protocols
        .iter()
        .flat_map(|protocol| &protocol.requirements)
        .map(|one| (one.key(), one))
        .collect();
    for key in citations {
        let (Some(requirement), Some(places)) = (requirements.get(key), known.get(key)) else {
            bail!("there is no requirement {key}");
        };
        println!("{key} ({}, {}): {}", requirement.level, requirement.role, requirement.text);
        for kind in [Kind::Code, Kind::Test] {
            for place in places.of_kind(kind) {
                println!("  {kind} {place}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::requirements::tests::protocol;
    use super::*;

    fn gaps(code: &[&str], test: &[&str]) -> Gaps {
        let set = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
        Gaps { code: set(code), test: set(test) }
    }

    /// The faults of the sample protocol with these sources and known gaps.
    fn checked(sources: &[(&str, &str)], gaps: &Gaps) -> Vec<String> {
        let protocol = protocol();
        let sources: Vec<_> =
            sources.iter().map(|(path, text)| scan::source((*path).into(), text)).collect();
        let (known, mut problems) = index(std::slice::from_ref(&protocol), &sources);
        let missing = missing(&protocol, &known);
        problems.extend(faults(&protocol, &known, &missing, gaps));
        problems
    }

    #[test]
    fn a_requirement_needs_code_and_a_test() {
        let code = ("src/lib.rs", "//= p:1-1\n");
        let test = ("tests/it/main.rs", "//= p:1-1\n");
        assert_eq!(
            checked(&[], &gaps(&[], &[])),
            ["p:1-1: no code cites it", "p:1-1: no test cites it"]
        );
        assert_eq!(checked(&[code], &gaps(&[], &[])), ["p:1-1: no test cites it"]);
        assert_eq!(checked(&[test], &gaps(&[], &[])), ["p:1-1: no code cites it"]);
        assert_eq!(checked(&[code, test], &gaps(&[], &[])), [""; 0]);
    }

    #[test]
    fn a_known_gap_is_tolerated_until_it_is_covered() {
        let code = ("src/lib.rs", "//= p:1-1\n");
        assert_eq!(checked(&[], &gaps(&["p:1-1"], &["p:1-1"])), [""; 0]);
        assert_eq!(checked(&[code], &gaps(&[], &["p:1-1"])), [""; 0]);
        let faults = checked(&[code], &gaps(&["p:1-1"], &["p:1-1"]));
        assert_eq!(faults.len(), 1);
        assert!(faults.concat().contains("remove it from gaps"), "{faults:?}");
    }

    #[test]
    fn an_id_that_does_not_exist_is_a_problem() {
        let all = gaps(&["p:1-1"], &["p:1-1"]);
        assert_eq!(
            checked(&[("src/lib.rs", "fn a() {}\n//= p:9-9\n")], &all),
            ["src/lib.rs:2: there is no requirement p:9-9"]
        );
        assert_eq!(
            checked(&[("src/lib.rs", "//= nonsense\n")], &all),
            ["src/lib.rs:1: not a citation; write `//= spec:id`"]
        );
    }

    #[test]
    fn an_exception_for_what_is_covered_is_a_problem() {
        let all = gaps(&["p:1-1"], &["p:1-1"]);
        let code = ("src/lib.rs", "//= p:1-3\n");
        let test = ("tests/it/main.rs", "//= p:1-3\n");
        assert_eq!(checked(&[code], &all), [""; 0]);
        assert_eq!(
            checked(&[code, test], &all),
            ["p:1-3: code and test cite it: remove its exception"]
        );
    }
}
