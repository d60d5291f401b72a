//! The commands that change files of users.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use core_model::Secret;
use plugin_access::hash::{self, Recipe};
use plugin_access::import::{self, EmqxHash, EmqxMac, EmqxSalt, Imported, Refused, Source};
use plugin_access::users::edit::{self, Changes, Present};
use plugin_access::users::{User, check_name};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use super::table::{Column, Form, Table};
use super::{Exit, complain, print};

/// Longest password that is taken, in bytes.
const PASSWORD_BYTES_MAX: u64 = 1024;

#[derive(Subcommand)]
pub(super) enum Users {
    /// Add a user, or give one another password
    Add(AddArgs),
    /// Remove a user
    Remove(RemoveArgs),
    /// List the users with the form of their hash
    List(ListArgs),
    /// Take over users from a file of other software
    Import(ImportArgs),
    /// Print the hash of a password
    Hash(HashArgs),
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// File of users; it is made if there is none
    file: PathBuf,
    /// User name
    name: String,
    /// No rule on topics binds this user
    #[arg(long)]
    superuser: bool,
    #[command(flatten)]
    hash: HashArgs,
}

#[derive(Args)]
pub(super) struct RemoveArgs {
    /// File of users
    file: PathBuf,
    /// User name
    name: String,
}

#[derive(Args)]
pub(super) struct ListArgs {
    /// File of users
    file: PathBuf,
    /// Print JSON for programs, one object on each line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ImportArgs {
    /// File of users that they are added to; it is made if there is none
    file: PathBuf,
    /// The other software's file
    from: PathBuf,
    /// What it is
    #[arg(long)]
    format: ImportFormat,
    /// EMQX's `password_hash_algorithm`
    #[arg(long, value_name = "NAME", default_value = "sha256")]
    algorithm: EmqxAlgorithm,
    /// EMQX's `salt_position`
    #[arg(long, value_name = "WHERE", default_value = "prefix")]
    salt: SaltPosition,
    /// EMQX's `mac_fun`, for pbkdf2
    #[arg(long, value_name = "NAME", default_value = "sha256")]
    mac: MacFunction,
    /// EMQX's `iterations`, for pbkdf2
    #[arg(long, value_name = "COUNT", default_value_t = 4096)]
    iterations: u32,
    /// Replace users that are there already; without it they stay as they are
    #[arg(long)]
    replace: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ImportFormat {
    /// A file of mosquitto_passwd
    Mosquitto,
    /// EMQX's users as CSV
    EmqxCsv,
    /// EMQX's users as JSON
    EmqxJson,
}

#[derive(Clone, Copy, ValueEnum)]
enum EmqxAlgorithm {
    /// Passwords in the clear; they are hashed now
    Plain,
    Sha,
    Sha256,
    Sha512,
    Bcrypt,
    Pbkdf2,
}

#[derive(Clone, Copy, ValueEnum)]
enum SaltPosition {
    Prefix,
    Suffix,
    Disable,
}

#[derive(Clone, Copy, ValueEnum)]
enum MacFunction {
    Sha,
    Sha256,
    Sha512,
}

impl ImportArgs {
    fn source(&self) -> Source {
        match self.format {
            ImportFormat::Mosquitto => Source::Mosquitto,
            ImportFormat::EmqxCsv => Source::EmqxCsv(self.emqx_hash()),
            ImportFormat::EmqxJson => Source::EmqxJson(self.emqx_hash()),
        }
    }

    fn emqx_hash(&self) -> EmqxHash {
        let salt = match self.salt {
            SaltPosition::Prefix => EmqxSalt::Prefix,
            SaltPosition::Suffix => EmqxSalt::Suffix,
            SaltPosition::Disable => EmqxSalt::Disable,
        };
        match self.algorithm {
            EmqxAlgorithm::Plain => EmqxHash::Plain,
            EmqxAlgorithm::Sha => EmqxHash::Sha1(salt),
            EmqxAlgorithm::Sha256 => EmqxHash::Sha256(salt),
            EmqxAlgorithm::Sha512 => EmqxHash::Sha512(salt),
            EmqxAlgorithm::Bcrypt => EmqxHash::Bcrypt,
            EmqxAlgorithm::Pbkdf2 => EmqxHash::Pbkdf2 {
                mac: match self.mac {
                    MacFunction::Sha => EmqxMac::Sha1,
                    MacFunction::Sha256 => EmqxMac::Sha256,
                    MacFunction::Sha512 => EmqxMac::Sha512,
                },
                iterations: self.iterations,
                hash_bytes: None,
            },
        }
    }
}

/// The password comes from the terminal, or as the first line of standard input.
#[derive(Args)]
pub(super) struct HashArgs {
    /// How the password is hashed
    #[arg(long = "hash", value_name = "FORM", default_value = "argon2id")]
    form: HashForm,
}

#[derive(Clone, Copy, ValueEnum)]
enum HashForm {
    Argon2id,
    Bcrypt,
    Pbkdf2,
    /// Keys for SCRAM-SHA-256
    Scram,
}

impl HashForm {
    fn recipe(self) -> Recipe {
        match self {
            HashForm::Argon2id => Recipe::default(),
            HashForm::Bcrypt => Recipe::Bcrypt { cost: 12 },
            HashForm::Pbkdf2 => Recipe::Pbkdf2 { iterations: 210_000 },
            HashForm::Scram => Recipe::SCRAM,
        }
    }
}

/// Does what is asked.
pub(super) fn run(command: Users) -> Exit {
    let done = match command {
        Users::Add(args) => add(args),
        Users::Remove(args) => remove(&args),
        Users::List(args) => list(&args),
        Users::Import(args) => import(&args),
        Users::Hash(args) => hash_password(&args),
    };
    match done {
        Ok(text) => print(&text),
        Err(error) => complain(&error),
    }
}

fn add(args: AddArgs) -> Result<String, String> {
    check_name(&args.name).map_err(|error| error.to_string())?;
    let password = read_password()?;
    let hash = hash::make(args.hash.form.recipe(), &password).map_err(|error| error.to_string())?;
    let user = User { name: args.name.into(), hash, is_superuser: args.superuser };
    let changes = edit::put(&args.file, &[user], Present::Replace);
    let changes = changes.map_err(|error| error.to_string())?;
    Ok(if changes.added > 0 { "added\n" } else { "changed\n" }.into())
}

fn remove(args: &RemoveArgs) -> Result<String, String> {
    match edit::remove(&args.file, &args.name) {
        Ok(true) => Ok("removed\n".into()),
        Ok(false) => Err(format!("{}: no user {}", args.file.display(), args.name)),
        Err(error) => Err(error.to_string()),
    }
}

fn list(args: &ListArgs) -> Result<String, String> {
    const COLUMNS: &[Column] = &[
        Column { title: "USER", path: "user", form: Form::Text },
        Column { title: "HASH", path: "hash", form: Form::Text },
        Column { title: "WEAK", path: "weak", form: Form::YesNo },
        Column { title: "SUPERUSER", path: "superuser", form: Form::YesNo },
    ];
    let mut table = Table::new(COLUMNS);
    let mut text = String::new();
    for user in edit::list(&args.file).map_err(|error| error.to_string())? {
        let item = json!({
            "user": user.name,
            "hash": user.hash.algorithm(),
            "weak": user.hash.is_weak(),
            "superuser": user.is_superuser,
        });
        match args.json {
            true => text += &format!("{item}\n"),
            false => text += &table.row(&item),
        }
    }
    Ok(text + &table.rest())
}

fn import(args: &ImportArgs) -> Result<String, String> {
    let imported = import::read(&args.from, &args.source(), Recipe::default());
    let Imported { users, refused } = imported.map_err(|error| error.to_string())?;
    let present = if args.replace { Present::Replace } else { Present::Keep };
    let changes = edit::put(&args.file, &users, present).map_err(|error| error.to_string())?;
    let Changes { added, changed, kept } = changes;
    let summary = format!("{added} added, {changed} changed, {kept} kept\n");
    if refused.is_empty() {
        return Ok(summary);
    }
    let mut text = summary;
    for Refused { place, reason } in &refused {
        text += &format!("{}: {place}: {reason}\n", args.from.display());
    }
    Err(text + &format!("{} not imported", refused.len()))
}

fn hash_password(args: &HashArgs) -> Result<String, String> {
    let password = read_password()?;
    let hash = hash::make(args.form.recipe(), &password).map_err(|error| error.to_string())?;
    Ok(format!("{}\n", hash.expose()))
}

/// Asks for a password at the terminal, twice; otherwise takes the first line of standard input.
fn read_password() -> Result<Secret, String> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let first = ask("Password: ")?;
    let second = ask("The same again: ")?;
    if first != second {
        return Err("these are not the same".into());
    }
    Ok(first)
}

/// Asks at the terminal, without showing what is typed.
fn ask(prompt: &str) -> Result<Secret, String> {
    let terminal = io::stdin();
    let error = |error: rustix::io::Errno| format!("terminal: {error}");
    let before = tcgetattr(&terminal).map_err(error)?;
    let mut silent = before.clone();
    silent.local_modes -= LocalModes::ECHO;
    silent.local_modes |= LocalModes::ECHONL;
    // Whoever cannot see the prompt sees that the program waits.
    let _ = write!(io::stderr().lock(), "{prompt}");
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(error)?;
    let line = read_line();
    tcsetattr(&terminal, OptionalActions::Now, &before).map_err(error)?;
    line
}

fn read_line() -> Result<Secret, String> {
    let mut line = Vec::new();
    let mut input = io::stdin().lock().take(PASSWORD_BYTES_MAX + 2);
    input.read_until(b'\n', &mut line).map_err(|error| format!("standard input: {error}"))?;
    let password = line.strip_suffix(b"\n").unwrap_or(&line);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    match password.len() as u64 {
        0 => Err("the password is empty".into()),
        1..=PASSWORD_BYTES_MAX => Ok(Secret::new(password)),
        _ => Err(format!("the password has more than {PASSWORD_BYTES_MAX} bytes")),
    }
}
