//! Commands and exit codes.

mod display;
mod operation;
mod table;
mod users;

use std::io::{self, Read as _, Write as _};
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
    Decode(DecodeArgs),
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

#[derive(Args)]
struct DecodeArgs {
    /// Protocol, such as mqtt
    gateway: String,
    /// The bytes in hexadecimal, white space allowed, or `-` to read that from standard input
    #[arg(value_name = "HEX|-", required = true)]
    bytes: Vec<String>,
    /// Version of the protocol (mqtt: 3.1, 3.1.1, 5); without it a CONNECT at the start tells it,
    /// and anything else is taken for the newest
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
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
        Command::Decode(args) => decode_command(&args, gateways),
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

fn decode_command(args: &DecodeArgs, gateways: &[Registration]) -> Exit {
    let decoders = || gateways.iter().filter_map(|known| Some((known.name, known.decoder?)));
    let Some((_, decoder)) = decoders().find(|(name, _)| *name == args.gateway) else {
        let names: Vec<_> = decoders().map(|(name, _)| name).collect();
        complain(&format!("no decoder for {}; there is: {}", args.gateway, names.join(", ")));
        return Exit::Usage;
    };
    let version = args.version.as_deref();
    if version.is_some_and(|version| !decoder.versions.contains(&version)) {
        complain(&format!("no such version; there is: {}", decoder.versions.join(", ")));
        return Exit::Usage;
    }
    let text = match read_hex(&args.bytes.join(" ")) {
        Ok(text) => text,
        Err(error) => return complain(&format!("standard input: {error}")),
    };
    let bytes = match codec_wire::hex::decode(&text) {
        Ok(bytes) => bytes,
        Err(error) => return complain(&format!("not hexadecimal: {error}")),
    };
    let decoded = (decoder.decode)(&bytes, version);
    let mut lines = String::new();
    for json in decoded.frames.iter().map(|frame| &frame.json).chain(&decoded.error) {
        lines += &format!("{json}\n");
    }
    match (print(&lines), decoded.error) {
        (Exit::Done, Some(_)) => Exit::BadInput,
        (exit, _) => exit,
    }
}

/// The argument, or standard input for `-`.
fn read_hex(argument: &str) -> io::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    /// Twice the largest MQTT packet in hexadecimal, so that a wrong file does not fill the memory.
    const INPUT_BYTES_MAX: u64 = 1 << 30;
    let mut text = String::new();
    io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
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
