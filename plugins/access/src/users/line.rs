use thiserror::Error;

use crate::hash::PasswordHash;

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 1_024;
/// What stands behind the hash of a user whom no rule binds.
const SUPERUSER: &str = "superuser";

/// A user of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name; [`check_name`] says which are allowed.
    pub name: Box<str>,
    /// The hash of the password.
    pub hash: PasswordHash,
    /// Whether no rule on topics binds the user.
    pub is_superuser: bool,
}

/// Why a name cannot stand in a file of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    #[error("the name is empty")]
    Empty,
    /// It is too long.
    #[error("the name has more than {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// It begins or ends with a blank.
    #[error("the name begins or ends with a blank")]
    Blank,
    /// It begins as a comment does.
    #[error("the name begins with #")]
    Comment,
    /// It has a control character.
    #[error("the name has a control character")]
    Control,
}

/// Whether a name can stand in a file of users: 1 to 1 024 bytes, no control characters, no blank
/// at either end, no `#` at the beginning.
///
/// # Errors
/// Why it cannot.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        Err(NameError::Empty)
    } else if name.len() > NAME_BYTES_MAX {
        Err(NameError::TooLong)
    } else if name.trim() != name {
        Err(NameError::Blank)
    } else if name.starts_with('#') {
        Err(NameError::Comment)
    } else if name.chars().any(char::is_control) {
        Err(NameError::Control)
    } else {
        Ok(())
    }
}

/// The user of one line of a file; `None` for a comment or an empty line.
///
/// # Errors
/// What is wrong, without the password or hash.
pub(crate) fn parse_line(line: &str) -> Result<Option<User>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let Some((name, hash)) = split_name(line) else {
        let what = "must be name:hash or name:hash:superuser, with a hash that begins with $";
        return Err(what.to_owned());
    };
    let name = name.trim_end();
    check_name(name).map_err(|error| error.to_string())?;
    let (hash, is_superuser) = match hash.split_once(':') {
        None => (hash, false),
        Some((hash, word)) if word.trim() == SUPERUSER => (hash, true),
        Some(_) => return Err(format!("behind the hash only {SUPERUSER} is allowed")),
    };
    let hash = PasswordHash::parse(hash.trim()).map_err(|error| error.to_string())?;
    Ok(Some(User { name: name.into(), hash, is_superuser }))
}

/// Name and what follows: a hash begins with `$` and has no colon, so the last `:$` is between
/// them, whatever the name is. Blanks may stand in front of the `$`.
fn split_name(line: &str) -> Option<(&str, &str)> {
    let mut end = line.len();
    while let Some((before, _)) = line.get(..end)?.rsplit_once(':') {
        let rest = line.get(before.len() + 1..)?.trim_start();
        if rest.starts_with('$') {
            return Some((before, rest));
        }
        end = before.len();
    }
    None
}

impl User {
    /// Its line in a file, with the hash: not for logs.
    pub(crate) fn to_line(&self) -> String {
        let (name, hash) = (&self.name, self.hash.expose());
        if self.is_superuser {
            format!("{name}:{hash}:{SUPERUSER}")
        } else {
            format!("{name}:{hash}")
        }
    }
}
