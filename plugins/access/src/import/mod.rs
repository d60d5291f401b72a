//! Users of other software, as lines for our files of users.
//!
//! Passwords stay unknown: what the other software has stored is kept, in a form of
//! [`crate::hash`]. Only passwords that were stored in the clear are hashed. What cannot be taken is
//! listed with its place and the reason; no reason has a password or a hash in it.

mod csv;
mod emqx;

use std::collections::HashSet;
use std::path::Path;

use crate::error::{AccessError, read_text};
use crate::hash::{HashError, Recipe};
use crate::users::{FILE_BYTES_MAX, User, check_name, parse_line};

pub use self::emqx::{EmqxHash, EmqxMac, EmqxSalt};

/// Where users come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of mosquitto_passwd: one `name:hash` a line.
    Mosquitto,
    /// An EMQX file in CSV with a line of names: `user_id`, `password_hash`, `salt`, `is_superuser`;
    /// or `password`, in the clear, instead of hash and salt.
    EmqxCsv(EmqxHash),
    /// An EMQX file in JSON: an array of objects with the same names.
    EmqxJson(EmqxHash),
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The users that were taken, in the order of the file.
    pub users: Vec<User>,
    /// What was not taken.
    pub refused: Vec<Refused>,
}

/// A user that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The line of the file, or in JSON the number of the array's entry, from 1.
    pub place: usize,
    /// Why.
    pub reason: String,
}

/// Reads the users of a file. Passwords in the clear are hashed by `recipe`, which takes time.
///
/// # Errors
/// When the file cannot be read, is too large, or is not of that kind at all.
pub fn read(path: &Path, source: &Source, recipe: Recipe) -> Result<Imported, AccessError> {
    parse(path, &read_text(path, FILE_BYTES_MAX)?, source, recipe)
}

/// Takes the text of a file; `path` is for errors.
///
/// # Errors
/// When the text is not of that kind at all.
pub fn parse(
    path: &Path,
    text: &str,
    source: &Source,
    recipe: Recipe,
) -> Result<Imported, AccessError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found =
        match source {
            Source::Mosquitto => mosquitto(text),
            Source::EmqxCsv(hash) => emqx::parse_csv(text, hash, recipe)
                .map_err(|what| AccessError::line(path, 1, what))?,
            Source::EmqxJson(hash) => emqx::parse_json(text, hash, recipe)
                .map_err(|what| AccessError::file(path, what))?,
        };
    Ok(sort_out(found))
}

/// A user and its place, or why there is none.
type Found = (usize, Result<User, String>);

fn mosquitto(text: &str) -> Vec<Found> {
    let lines = text.lines().zip(1..);
    lines.filter_map(|(line, place)| Some((place, parse_line(line).transpose()?))).collect()
}

fn sort_out(found: Vec<Found>) -> Imported {
    let mut names: HashSet<Box<str>> = HashSet::new();
    let mut imported = Imported::default();
    for (place, result) in found {
        let result = result.and_then(|user| {
            check_name(&user.name).map_err(|error| error.to_string())?;
            if !names.insert(user.name.clone()) {
                return Err("names a user who was named before".to_owned());
            }
            Ok(user)
        });
        match result {
            Ok(user) => imported.users.push(user),
            Err(reason) => imported.refused.push(Refused { place, reason }),
        }
    }
    imported
}

fn reason(error: HashError) -> String {
    error.to_string()
}
