//! Files of users.
//!
//! One user a line, `name:hash`, so that a file of `mosquitto_passwd` is one as it is. Behind the
//! hash may stand `:superuser`: no rule on topics binds that user. The forms of hashes are those
//! of [`crate::hash`]; as each begins with `$` and none has a `:` in it, a name may well have
//! colons. Blanks around a line and its parts do not count, empty lines and lines that begin with
//! `#` are skipped.
//!
//! ```text
//! # name:hash[:superuser]
//! alice:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$...
//! 00:1a:2b:3c:4d:5e:$7$101$peF+GGxLHQyP58DX$...
//! admin:$2b$12$...:superuser
//! ```

mod authenticator;
pub mod edit;
mod line;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{AccessError, read_text};
use crate::hash::PasswordHash;

pub use self::authenticator::{UnknownUser, UserFrom, UsersFile, UsersFileSettings};
pub use self::line::{NameError, User, check_name};

pub(crate) use self::line::parse_line;

/// Largest file of users, in bytes.
pub const FILE_BYTES_MAX: u64 = 256 << 20;
/// Hashes that are kept to stand in for those of unknown users.
const DECOYS_MAX: usize = 64;

/// The users of a file.
#[derive(Debug, Default)]
pub struct Users {
    path: PathBuf,
    users: HashMap<Box<str>, Known, foldhash::fast::RandomState>,
    decoys: Vec<PasswordHash>,
}

/// What is known of a user beside the name.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) hash: PasswordHash,
    pub(crate) is_superuser: bool,
}

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is too large; the first line that is wrong, or that names a user
    /// again.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        Self::parse(path, &read_text(path, FILE_BYTES_MAX)?)
    }

    /// Takes the text of a file; `path` is for errors.
    ///
    /// # Errors
    /// The first line that is wrong, or that names a user again.
    pub fn parse(path: &Path, text: &str) -> Result<Self, AccessError> {
        let mut users = Users { path: path.to_owned(), ..Users::default() };
        for (line, number) in text.lines().zip(1..) {
            let wrong = |what| AccessError::line(path, number, what);
            let Some(user) = parse_line(line).map_err(wrong)? else { continue };
            if users.decoys.len() < DECOYS_MAX {
                users.decoys.push(user.hash.clone());
            }
            let known = Known { hash: user.hash, is_superuser: user.is_superuser };
            if users.users.insert(user.name, known).is_some() {
                return Err(AccessError::line(path, number, "names a user who was named before"));
            }
        }
        Ok(users)
    }

    /// Where they come from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Known> {
        self.users.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Known)> {
        self.users.iter().map(|(name, known)| (&**name, known))
    }

    /// Some hashes of the file.
    pub(crate) fn decoys(&self) -> &[PasswordHash] {
        &self.decoys
    }
}
