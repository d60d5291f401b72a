//! `cargo xtask test`: everything that must pass, as a row of steps.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::metadata::Metadata;
use crate::{arrows, cargo, command, deny, new_protocol, quiet, setup, trace};

/// A name, and what it does in the workspace.
type Step = (&'static str, fn(&Path) -> Result<()>);

/// In this order: what fails quickly comes first.
const STEPS: &[Step] = &[
    ("setup", setup::run),
    ("fmt", fmt),
    ("clippy", clippy),
    ("deny", deny::check),
    ("arrows", arrows::check),
    ("trace", trace::check),
    ("unit", unit),
    ("new-protocol", new_protocol::try_out),
    ("doc", doc),
    ("e2e", e2e),
];

/// How many shards the server of the end-to-end tests has, one run each.
const E2E_SHARDS: [&str; 2] = ["1", "4"];

/// Runs all steps, or those that `arguments` name; stops at the first failure unless told to go on.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let (keep_going, chosen) = choose(arguments)?;
    let all = chosen.len() == STEPS.len();
    let mut failed = Vec::new();
    for (name, step) in chosen {
        println!("== {name}");
        let begun = Instant::now();
        let done = step(root);
        let took_s = begun.elapsed().as_secs_f64();
        match done {
            Ok(()) => println!("== {name}: passed in {took_s:.1} s"),
            Err(error) => {
                println!("== {name}: FAILED in {took_s:.1} s: {error:#}");
                failed.push(name);
                if !keep_going {
                    break;
                }
            }
        }
    }
    if !failed.is_empty() {
        bail!("test: failed: {}", failed.join(", "));
    }
    println!("test: {} passed", if all { "all steps" } else { "the chosen steps" });
    Ok(())
}

/// Whether to go on after a failure, and the steps to run, in their fixed order.
fn choose(arguments: &[String]) -> Result<(bool, Vec<Step>)> {
    let mut keep_going = false;
    let mut names = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--keep-going" => keep_going = true,
            name if STEPS.iter().any(|(step, _)| *step == name) => names.push(name),
            other => {
                let known: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
                bail!("there is no step `{other}`; the steps are {}", known.join(" "));
            }
        }
    }
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    Ok((keep_going, STEPS.iter().copied().filter(|(name, _)| wanted(name)).collect()))
}

fn fmt(root: &Path) -> Result<()> {
    command(cargo(root).args(["fmt", "--all", "--check"]))
}

fn clippy(root: &Path) -> Result<()> {
    let mut clippy = cargo(root);
    command(clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn unit(root: &Path) -> Result<()> {
    command(test_runner(root).args(["--workspace", "--exclude", "tests-e2e"]))
}

fn doc(root: &Path) -> Result<()> {
    command(
        cargo(root)
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    // The examples; each crate that has none would say so at length.
    quiet(cargo(root).args(["test", "--workspace", "--doc", "--quiet"]))
}

/// The foreign clients against the built server, once for each number of shards.
fn e2e(root: &Path) -> Result<()> {
    command(cargo(root).args(["build", "--bin", "manifold"]))?;
    let target = Metadata::load(root)?.target_directory;
    for shards in E2E_SHARDS {
        println!("-- MANIFOLD_SHARDS={shards}");
        let mut tests = test_runner(root);
        tests
            .args(["--package", "tests-e2e"])
            .env("MANIFOLD_SHARDS", shards)
            .env("MANIFOLD_BIN", target.join("debug/manifold"))
            .env("MANIFOLD_VENV", setup::venv(root))
            .env("MANIFOLD_NPM", setup::npm(root));
        command(&mut tests).with_context(|| format!("with MANIFOLD_SHARDS={shards}"))?;
    }
    Ok(())
}

/// `cargo nextest run` where it is installed, else `cargo test`.
fn test_runner(root: &Path) -> Command {
    let mut probe = cargo(root);
    probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut runner = cargo(root);
    if probe.status().is_ok_and(|status| status.success()) {
        // Passed tests say nothing: what fails must be easy to find.
        runner.args(["nextest", "run", "--status-level", "fail", "--no-fail-fast"]);
    } else {
        runner.args(["test", "--no-fail-fast"]);
    }
    runner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arguments: &[&str]) -> Result<(bool, Vec<&'static str>)> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let (keep_going, steps) = choose(&arguments)?;
        Ok((keep_going, steps.into_iter().map(|(name, _)| name).collect()))
    }

    #[test]
    fn without_names_all_steps_run() {
        assert_eq!(chosen(&[]).unwrap().1.len(), STEPS.len());
        let (keep_going, steps) = chosen(&["--keep-going"]).unwrap();
        assert!(keep_going);
        assert_eq!(steps.len(), STEPS.len());
    }

    #[test]
    fn named_steps_run_in_the_fixed_order() {
        assert_eq!(chosen(&["unit", "fmt"]).unwrap(), (false, vec!["fmt", "unit"]));
    }

    #[test]
    fn unknown_steps_and_options_are_refused() {
        assert!(chosen(&["units"]).is_err());
        assert!(chosen(&["--keep"]).is_err());
    }
}
