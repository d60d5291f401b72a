//! `cargo xtask bench`: the release build beside mosquitto and beside the `null` relay of the load
//! generator, which is the least that a broker can cost.
//!
//! The figure is the server's CPU time for a delivery, which other work on the machine moves least;
//! its goals are ratios, which hold on any machine. Every run has a fresh server.

mod machine;
mod outcome;
mod report;
mod scenario;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::outcome::Outcome;
use self::scenario::{Method, SCENARIOS, Scenario};
use self::server::{Programs, Running, Server};
use crate::metadata::Metadata;

const HELP: &str = "\
cargo xtask bench [--only NAME] [--secs N] [--repeat N] [--quick] [--write]
    --only NAME   only scenarios whose name contains NAME (may be given again)
    --secs N      measured seconds of a run (default 3)
    --repeat N    runs of each server, in turn; medians are shown (default 3)
    --quick       one short run of each with fewer connections, to see that it works
    --write       write docs/performance.md
With MANIFOLD_BIN in the environment that server is measured instead of the built one.
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
struct Options {
    only: Vec<String>,
    secs: f64,
    repeat: usize,
    quick: bool,
    write: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options =
            Self { only: Vec::new(), secs: 3.0, repeat: 3, quick: false, write: false };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--only" => options.only.push(value()?.clone()),
                "--secs" => options.secs = value()?.parse().context("--secs takes a number")?,
                "--repeat" => {
                    options.repeat = value()?.parse().context("--repeat takes a whole number")?;
                }
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                other => bail!("bench does not know `{other}`\n\n{HELP}"),
            }
        }
        if options.quick {
            options.secs = options.secs.min(1.0);
            options.repeat = 1;
        }
        if options.repeat == 0 || options.secs <= 0.0 {
            bail!("nothing to measure in {} runs of {} s", options.repeat, options.secs);
        }
        if options.write && (options.quick || !options.only.is_empty()) {
            bail!("--write needs all scenarios in full: leave out --quick and --only");
        }
        Ok(options)
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| scenario.name.contains(name.as_str()))
    }
}

/// Runs the benchmarks that `arguments` name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|one| options.wants(one)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = SCENARIOS.iter().map(|one| one.name).collect();
        bail!("no such scenario; there are {}", names.join(", "));
    }
    let root = crate::workspace_root();
    let bench = Bench::build(&root, &options)?;
    let mut outcomes = Vec::new();
    for scenario in chosen {
        println!("bench: {}", scenario.name);
        let outcome = bench.measure(scenario)?;
        print!("{}", report::lines(&outcome));
        outcomes.push(outcome);
    }
    println!("\n{}", report::table(&outcomes));
    if options.write {
        let page = root.join("docs/performance.md");
        std::fs::write(&page, report::page(&outcomes, &options)?)
            .with_context(|| format!("cannot write {}", page.display()))?;
        println!("bench: wrote docs/performance.md");
    }
    Ok(())
}

/// The programs, and how to run them.
struct Bench<'a> {
    options: &'a Options,
    programs: Programs,
    cores: machine::Cores,
}

impl<'a> Bench<'a> {
    fn build(root: &Path, options: &'a Options) -> Result<Self> {
        println!("bench: building the server and the load generator");
        let other = std::env::var_os("MANIFOLD_BIN").map(PathBuf::from);
        let mut build = crate::cargo(root);
        build.args(["build", "--release", "--quiet", "--package", "mqttload"]);
        if other.is_none() {
            build.args(["--package", "manifold"]);
        }
        crate::command(&mut build)?;
        let target = Metadata::load(root)?.target_directory;
        let program = |name: &str| target.join("release").join(name);
        let programs = Programs {
            manifold: other.unwrap_or_else(|| program("manifold")),
            mqttload: program("mqttload"),
            folder: target.join("bench"),
        };
        Ok(Self { options, programs, cores: machine::Cores::choose()? })
    }

    /// All runs of a scenario, the servers in turn.
    fn measure(&self, scenario: &'static Scenario) -> Result<Outcome> {
        let mut outcome = Outcome::new(scenario);
        for _ in 0..self.options.repeat {
            for &kind in scenario.servers {
                let road = scenario.road;
                let server = Server::start(kind, road, &self.programs, &self.cores)?;
                let run = match scenario.method {
                    Method::Load => vec![self.load(scenario, &server)?],
                    Method::Neighbours => self.neighbours(scenario, &server)?,
                    Method::Handshakes => self.handshakes(scenario, &server)?,
                };
                outcome.add(kind, run);
            }
        }
        Ok(outcome)
    }

    /// One run of the load generator; returns what it printed.
    fn load(&self, scenario: &Scenario, server: &Server) -> Result<Value> {
        let mut load = self.mqttload(scenario.mode, server);
        load.args(scenario.arguments).args(["--road", scenario.road]);
        load.args(["--conns", &self.connections(19_000).to_string()]);
        load.args(["--secs", &self.options.secs.to_string()]);
        if self.options.quick {
            load.args(["--warm", "0.3", "--hold", "1", "--filters", "10000", "--count", "10000"]);
            load.args(["--clients", "20000"]);
        }
        let output =
            load.stderr(Stdio::inherit()).output().context("cannot start the load generator")?;
        if !output.status.success() {
            bail!("{} against {}: {}", scenario.name, server.kind.name(), output.status);
        }
        serde_json::from_slice(&output.stdout).context("cannot read what the load generator says")
    }

    /// The load alone, then beside bad neighbours.
    fn neighbours(&self, scenario: &Scenario, server: &Server) -> Result<Vec<Value>> {
        let alone = self.load(scenario, server)?;
        let mut command = self.mqttload("neighbours", server);
        command.args(["--silent", &self.connections(5000).to_string()]);
        // Longer than the load beside it; it is ended after that.
        command.args(["--secs", &(self.options.secs + 60.0).to_string()]);
        let neighbours = Running::start_until_ready(&mut command)?;
        let beside = self.load(scenario, server)?;
        drop(neighbours);
        Ok(vec![alone, beside])
    }

    /// The load alone, then beside handshakes, whose clients give way to it.
    fn handshakes(&self, scenario: &Scenario, server: &Server) -> Result<Vec<Value>> {
        let alone = self.load(scenario, server)?;
        let parallel = if self.options.quick { "100" } else { "1000" };
        let mut command = self.cores.for_load_that_yields(&self.programs.mqttload);
        command.args(["storm", "--port", &server.port.to_string(), "--road", scenario.road]);
        // More than it can make; it is ended after the load.
        command.args(["--churn", "1000000", "--parallel", parallel, "--limit", "600"]);
        let neighbours = Running::start(command.stdout(Stdio::null()))?;
        let beside = self.load(scenario, server)?;
        drop(neighbours);
        Ok(vec![alone, beside])
    }

    /// As many connections as the limit of open files allows, a tenth for a quick run.
    fn connections(&self, wanted: usize) -> usize {
        let possible = machine::open_files_max().saturating_sub(1000).min(wanted);
        if self.options.quick { possible / 10 } else { possible }
    }

    fn mqttload(&self, mode: &str, server: &Server) -> Command {
        let mut command = self.cores.for_load(&self.programs.mqttload);
        command.arg(mode);
        command.args(["--port", &server.port.to_string(), "--pid", &server.id().to_string()]);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let options = parse(&["--only", "pairs", "--secs", "5", "--repeat", "2"]).unwrap();
        assert_eq!((options.secs, options.repeat, options.quick), (5.0, 2, false));
        let chosen: Vec<_> = SCENARIOS.iter().filter(|one| options.wants(one)).collect();
        assert!(!chosen.is_empty() && chosen.iter().all(|one| one.name.contains("pairs")));
        assert_eq!(parse(&["--quick"]).unwrap().repeat, 1);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for arguments in [
            &["--repeat", "0"][..],
            &["--secs", "0"],
            &["--secs"],
            &["--quick", "--write"],
            &["--only", "pairs", "--write"],
            &["--fast"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
