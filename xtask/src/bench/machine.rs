//! The machine that is measured on: cores to pin to, limits, and what it is called.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// The cores of the server and of the load generator; none where there is only one, or no
/// `taskset`.
pub(crate) struct Cores {
    server: Option<u32>,
    load: Option<u32>,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn choose() -> Result<Self> {
        let status = read("/proc/self/status")?;
        let list = field(&status, "Cpus_allowed_list").unwrap_or_default();
        let mut allowed = numbers(&list).into_iter();
        let silent = |command: &mut Command| command.stdout(Stdio::null()).status();
        let pinnable = silent(Command::new("taskset").arg("--version")).is_ok_and(|s| s.success());
        let cores = match (allowed.next(), allowed.next()) {
            (Some(server), Some(load)) if pinnable => {
                Self { server: Some(server), load: Some(load) }
            }
            _ => {
                println!("bench: one core or no taskset: server and load share what there is");
                Self { server: None, load: None }
            }
        };
        Ok(cores)
    }

    pub(crate) fn for_server(&self, program: impl AsRef<Path>) -> Command {
        pinned(self.server, program.as_ref())
    }

    pub(crate) fn for_load(&self, program: impl AsRef<Path>) -> Command {
        pinned(self.load, program.as_ref())
    }

    /// The same for work that gives way to the load that is measured.
    pub(crate) fn for_load_that_yields(&self, program: impl AsRef<Path>) -> Command {
        let mut command = pinned(self.load, Path::new("nice"));
        command.args(["-n", "19"]).arg(program.as_ref());
        command
    }
}

/// The program on a core. `taskset` becomes the program, so the process id is the program's.
fn pinned(core: Option<u32>, program: &Path) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// The numbers of a list such as `0-2,5`.
fn numbers(list: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.trim().parse(), to.trim().parse::<u32>()) {
            numbers.extend(from..=to);
        }
    }
    numbers
}

/// Files that this process may have open at once.
pub(crate) fn open_files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1024)
}

/// Processor, number of cores, kernel and date, as lines of a Markdown list.
pub(crate) fn description() -> Result<String> {
    let cpu = field(&read("/proc/cpuinfo")?, "model name").unwrap_or_else(|| "unknown".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease")?;
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("no `date`")?;
    Ok(format!(
        "- processor: {cpu}, {cores} cores\n- kernel: Linux {}\n- date: {}\n",
        kernel.trim(),
        String::from_utf8_lossy(&date.stdout).trim()
    ))
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))
}

/// The first value behind `name:` in a file of /proc.
fn field(text: &str, name: &str) -> Option<String> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(numbers("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(numbers("7"), [7]);
        assert!(numbers("").is_empty());
    }
}
