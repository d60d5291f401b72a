//! Commands and exit codes.

mod decode;
mod display;
mod operation;
mod table;
mod users;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config};
use crate::operate::{self, Source};
use crate::{Registration, find_conflict, memory_bound, serve, wiring};

/// How the program ended, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The configuration or the input is bad, or the server refused what was asked.
    BadInput = 1,
    /// The command line is bad.
    Usage = 2,
    /// The server could not start: an address is taken, a folder not writable, and the like. Or no
    /// server runs that could be asked.
    CannotStart = 3,
    /// The server failed while it ran; that is a bug.
    Failed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// One server for every device protocol of a city, on an MQTT core.
#[derive(Parser)]
#[command(name = "manifold", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "\
Without a command the server runs with its defaults: MQTT on 127.0.0.1:1883.

Exit codes: 0 done, 1 bad configuration or input, or the server refused, 2 bad command line,
3 the server could not start, or none runs, 4 the server failed while it ran.";

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGTERM or SIGINT; a second signal ends it at once
    Serve(ServeArgs),
    /// Name everything that is wrong with a configuration file, or sum it up
    Check(CheckArgs),
    /// Print the configuration file with every setting, its default and its meaning
    Config(ConfigArgs),
    /// Show packets as JSON, one on each line
    Decode(decode::DecodeArgs),
    #[command(flatten)]
    Operation(operation::Operation),
    /// Change files of users, or make hashes of passwords
    #[command(subcommand)]
    Users(users::Users),
}

#[derive(Args, Default)]
struct ServeArgs {
    /// Configuration file; without one all settings have their defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for what the server keeps, instead of the configuration's `data_dir`
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct CheckArgs {
    /// The file
    file: Option<PathBuf>,
    /// The same, as `serve` takes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct ConfigArgs {
    /// The annotated default file
    #[arg(long)]
    default: bool,
    /// The reference as it stands in docs/configuration.md
    #[arg(long, hide = true)]
    markdown: bool,
}

/// The whole program, with these gateways.
pub fn run(gateways: &[Registration]) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version are "errors" too, which belong on standard output.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    if let Some(conflict) = find_conflict(gateways) {
        complain(&conflict);
        return Exit::Failed.into();
    }
    match cli.command.unwrap_or(Command::Serve(ServeArgs::default())) {
        Command::Serve(args) => serve_command(args, gateways),
        Command::Check(args) => {
            let file = args.file.or(args.config).expect("clap asks for one of them");
            check_command(&file, gateways)
        }
        Command::Config(args) => {
            let text = match args.default {
                true => config::default_file(gateways),
                false => config::markdown(gateways),
            };
            print(&text)
        }
        Command::Decode(args) => decode::run(&args, gateways),
        Command::Operation(operation) => display::operate(operation, gateways),
        Command::Users(command) => users::run(command),
    }
    .into()
}

fn serve_command(args: ServeArgs, gateways: &[Registration]) -> Exit {
    let ServeArgs { config, data_dir } = args;
    let source = Source { file: config, data_dir, gateways: gateways.to_vec() };
    match source.load() {
        Ok(loaded) => serve::serve(source, loaded),
        Err(error) => complain(&error),
    }
}

fn check_command(file: &Path, gateways: &[Registration]) -> Exit {
    let config = match read_config(file, gateways) {
        Ok(config) => config,
        Err(error) => return complain(&error),
    };
    match wiring::check(&config) {
        Ok(warnings) => print(&summary(file, &config, &warnings)),
        Err(faults) => complain(&faults.to_string()),
    }
}

fn read_config(file: &Path, gateways: &[Registration]) -> Result<Config, String> {
    operate::read_config(file, gateways).map(|(config, _)| config)
}

/// What `check` says of a good file.
fn summary(file: &Path, config: &Config, warnings: &[String]) -> String {
    let mut text = format!("{}: no errors\n", file.display());
    for warning in warnings {
        text += &format!("warning: {warning}\n");
    }
    for listener in &config.listeners {
        let table = &listener.table;
        let anonymous = match listener.allows_anonymous() {
            true => "clients without credentials are let in",
            false => "clients without credentials are refused",
        };
        text += &format!(
            "listener {}: {} over {} on {}, at most {} connections; {anonymous}\n",
            table.name,
            table.gateway,
            table.transport.word(),
            table.bind,
            table.max_connections,
        );
    }
    text + &memory_bound(config).to_string()
}

fn print(text: &str) -> Exit {
    // A reader that has gone away (`| head`) has all that it wants.
    let _ = put(text);
    Exit::Done
}

/// Prints; whether somebody still reads.
fn put(text: &str) -> bool {
    io::stdout().lock().write_all(text.as_bytes()).is_ok()
}

fn complain(text: &str) -> Exit {
    let _ = writeln!(io::stderr().lock(), "{text}");
    Exit::BadInput
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
