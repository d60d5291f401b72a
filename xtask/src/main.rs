//! The project's chores: `cargo xtask help` lists them.
//!
//! Missing on purpose: nothing here is needed to build or run the server.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arrows;
mod bench;
mod deny;
mod metadata;
mod new_protocol;
mod setup;
mod test;
mod trace;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

const HELP: &str = "\
The project's chores.

cargo xtask test [--keep-going] [STEP...]
    Everything that must pass, or only the named steps:
    setup fmt clippy deny arrows trace unit new-protocol doc e2e
cargo xtask trace [--report | --write-gaps | SPEC:ID...]
    Check the requirement citations of code and tests.
    --report      write conformance/*/REPORT.md
    --write-gaps  take what is covered by now out of conformance/*/gaps.toml
    SPEC:ID       show where a requirement is cited, e.g. mqtt5:3.1.2-4
cargo xtask new-protocol NAME
    Write the crates of a new protocol, which work and are there to be changed.
cargo xtask bench [ARGUMENT...]
    Measure the release build.
cargo xtask fmt
    Format all code.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((chore, rest)) => run(chore, rest),
        None => run("help", &[]),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: &str, arguments: &[String]) -> Result<()> {
    let root = workspace_root();
    match chore {
        "test" => test::run(&root, arguments),
        "trace" => trace::run(&root, arguments),
        "new-protocol" => new_protocol::run(&root, arguments),
        "bench" => bench::run(arguments),
        "fmt" => command(cargo(&root).args(["fmt", "--all"])),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no chore `{other}`\n\n{HELP}"),
    }
}

/// The folder of the workspace that this program was built from.
fn workspace_root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package is a folder of the workspace").to_path_buf()
}

/// The cargo that runs us, in the workspace.
fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    cargo.current_dir(root);
    cargo
}

/// Runs a command with its output shown, and fails if it fails.
fn command(command: &mut Command) -> Result<()> {
    let shown = display(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// A command as one would type it, its program without folders.
fn display(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut shown = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}

/// Runs a command that says little of use: its output is shown only if it fails, without addresses.
fn quiet(command: &mut Command) -> Result<()> {
    let shown = display(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = without_addresses(&String::from_utf8_lossy(&said));
        bail!("`{shown}` failed ({})\n{said}", output.status);
    }
    Ok(())
}

/// The text without the words that hold an address: where packages come from is the machine's matter.
fn without_addresses(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for line in text.lines() {
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| {
                let address = word.contains("://") || word.contains("host=");
                if address { "<address>" } else { word }
            })
            .collect();
        clean.push_str(&words.join(" "));
        clean.push('\n');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_left_out_of_what_installers_say() {
        let said = "Looking in indexes: https://registry.example/simple\nERROR: no version";
        assert_eq!(without_addresses(said), "Looking in indexes: <address>\nERROR: no version\n");
    }
}
