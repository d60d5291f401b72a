//! Changes of files of users, for the command line.
//!
//! A file is written whole beside the old one, readable for its owner (and who could read the old
//! one, the world excepted), and then takes its place, so that a reader never sees half of it.
//! Comments and the order of lines stay. Two changes at the same time are not guarded against each
//! other.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{FILE_BYTES_MAX, User, Users, check_name, parse_line};
use crate::error::{AccessError, read_text};

/// How many users a change concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// They are new.
    pub added: usize,
    /// They were there, and have another hash or other flags now.
    pub changed: usize,
    /// They were there and stay as they were.
    pub kept: usize,
}

/// What happens to users who are in the file already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// They get the new hash and flags.
    Replace,
    /// They stay as they are.
    Keep,
}

/// The users of a file in the order of its lines.
///
/// # Errors
/// As [`Users::read`].
pub fn list(path: &Path) -> Result<Vec<User>, AccessError> {
    let text = read_text(path, FILE_BYTES_MAX)?;
    Users::parse(path, &text)?;
    Ok(text.lines().filter_map(user_of).collect())
}

/// Puts users into a file, which is made if there is none. Of two with one name in `users` the
/// later one counts.
///
/// # Errors
/// When a name cannot stand in a file, the file is wrong, or it cannot be read or written.
pub fn put(path: &Path, users: &[User], present: Present) -> Result<Changes, AccessError> {
    for user in users {
        check_name(&user.name)
            .map_err(|error| AccessError::Setting { setting: "name", what: error.to_string() })?;
    }
    let text = read_or_new(path)?;
    let mut new: HashMap<&str, &User> = users.iter().map(|user| (&*user.name, user)).collect();
    let mut changes = Changes::default();
    let mut lines = String::with_capacity(text.len());
    for line in text.lines() {
        let old = user_of(line);
        match old.as_ref().and_then(|old| Some((old, new.remove(&*old.name)?))) {
            Some((old, user)) if present == Present::Replace && old != user => {
                changes.changed += 1;
                lines.push_str(&user.to_line());
            }
            Some(_) => {
                changes.kept += 1;
                lines.push_str(line);
            }
            None => lines.push_str(line),
        }
        lines.push('\n');
    }
    for user in users {
        let Some(user) = new.remove(&*user.name) else { continue };
        changes.added += 1;
        lines.push_str(&user.to_line());
        lines.push('\n');
    }
    if changes.added + changes.changed > 0 {
        replace(path, &lines)?;
    }
    Ok(changes)
}

/// Takes a user out of a file. Says whether it was there.
///
/// # Errors
/// When the file is wrong, or it cannot be read or written.
pub fn remove(path: &Path, name: &str) -> Result<bool, AccessError> {
    let text = read_text(path, FILE_BYTES_MAX)?;
    if Users::parse(path, &text)?.find(name).is_none() {
        return Ok(false);
    }
    let mut lines = String::with_capacity(text.len());
    for line in text.lines().filter(|line| user_of(line).is_none_or(|user| *user.name != *name)) {
        lines.push_str(line);
        lines.push('\n');
    }
    replace(path, &lines)?;
    Ok(true)
}

fn user_of(line: &str) -> Option<User> {
    parse_line(line).ok().flatten()
}

/// The text of a file that is right; none if there is no file.
fn read_or_new(path: &Path) -> Result<String, AccessError> {
    let text = match read_text(path, FILE_BYTES_MAX) {
        Err(AccessError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(String::new());
        }
        text => text?,
    };
    Users::parse(path, &text)?;
    Ok(text)
}

fn replace(path: &Path, text: &str) -> Result<(), AccessError> {
    if text.len() as u64 > FILE_BYTES_MAX {
        let what = format!("would be larger than {FILE_BYTES_MAX} bytes");
        return Err(AccessError::file(path, what));
    }
    let unwritten = |source| AccessError::Write { path: path.to_owned(), source };
    // Of a symbolic link, what it points to is replaced.
    let target = match path.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(unwritten(error)),
    };
    let beside = name_beside(&target).map_err(unwritten)?;
    let done = write_new(&beside, &target, text).and_then(|()| std::fs::rename(&beside, &target));
    if let Err(error) = done {
        // What went wrong before is what counts.
        let _ = std::fs::remove_file(&beside);
        return Err(unwritten(error));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all()).map_err(unwritten)
}

fn name_beside(target: &Path) -> io::Result<PathBuf> {
    let mut name = target.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    Ok(target.with_file_name(name))
}

fn write_new(beside: &Path, target: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    match target.metadata() {
        Ok(old) => take_access(&file, &old)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Gives a new file the owner and the access of the old one, but none to the world.
fn take_access(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    let mode = old.mode() & 0o660 | 0o600;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}
