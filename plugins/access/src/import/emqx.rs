use core_model::Secret;
use serde::Deserialize;
use serde_json::Value;

use super::{Found, csv, reason};
use crate::hash::{self, DigestHash, Mac, PasswordHash, Pbkdf2Hash, Recipe};
use crate::users::User;

/// How EMQX has hashed passwords (`password_hash_algorithm` of its authenticator). Its `md5` cannot
/// be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmqxHash {
    /// Not at all.
    Plain,
    /// `sha`: SHA-1 once.
    Sha1(EmqxSalt),
    /// SHA-256 once.
    Sha256(EmqxSalt),
    /// SHA-512 once.
    Sha512(EmqxSalt),
    /// bcrypt.
    Bcrypt,
    /// PBKDF2.
    Pbkdf2 {
        /// `mac_fun`.
        mac: EmqxMac,
        /// Rounds.
        iterations: u32,
        /// Bytes of a hash (`dk_length`); if not given, as many as `mac` makes.
        hash_bytes: Option<usize>,
    },
}

/// Where EMQX has put the salt (`salt_position`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmqxSalt {
    /// Before the password.
    Prefix,
    /// Behind the password.
    Suffix,
    /// Nowhere.
    Disable,
}

/// EMQX's `mac_fun`, of which there are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmqxMac {
    /// `sha`.
    Sha1,
    /// `sha256`.
    Sha256,
    /// `sha512`.
    Sha512,
}

/// One user of an EMQX file. The salt's characters are hashed, not what they might encode.
#[derive(Deserialize)]
struct Entry {
    user_id: String,
    #[serde(default)]
    password_hash: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    salt: Option<String>,
    #[serde(default)]
    is_superuser: Option<Value>,
}

/// # Errors
/// When it is no array.
pub(super) fn parse_json(
    text: &str,
    hash: &EmqxHash,
    recipe: Recipe,
) -> Result<Vec<Found>, String> {
    let entries: Vec<Value> = serde_json::from_str(text)
        .map_err(|error| format!("must be a JSON array of users: {}", position(&error)))?;
    let take = |value: Value| {
        let entry = Entry::deserialize(value).map_err(|_| {
            "must have a user_id, and a password_hash or a password, as strings".to_owned()
        })?;
        take(entry, hash, recipe)
    };
    Ok((1..).zip(entries.into_iter().map(take)).collect())
}

/// Where JSON is wrong, without what stands there.
fn position(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// # Errors
/// When the line of names is missing.
pub(super) fn parse_csv(text: &str, hash: &EmqxHash, recipe: Recipe) -> Result<Vec<Found>, String> {
    let mut lines = text.lines();
    let names = csv::fields(lines.next().unwrap_or(""))?;
    let place = |name: &str| names.iter().position(|field| field.trim() == name);
    let (user_id, password_hash, password) =
        (place("user_id"), place("password_hash"), place("password"));
    let Some(user_id) = user_id.filter(|_| password_hash.or(password).is_some()) else {
        return Err("must name the columns user_id, and password_hash or password".to_owned());
    };
    let (salt, is_superuser) = (place("salt"), place("is_superuser"));
    let take = |line: &str| {
        let fields = csv::fields(line)?;
        if fields.len() != names.len() {
            return Err(format!("{} fields: must be {}", fields.len(), names.len()));
        }
        let field = |place: Option<usize>| place.and_then(|place| fields.get(place)).cloned();
        let entry = Entry {
            user_id: field(Some(user_id)).unwrap_or_default(),
            password_hash: field(password_hash),
            password: field(password),
            salt: field(salt),
            is_superuser: field(is_superuser).map(Value::String),
        };
        take(entry, hash, recipe)
    };
    let rows = (2..).zip(lines).filter(|(_, line)| !line.is_empty());
    Ok(rows.map(|(place, line)| (place, take(line))).collect())
}

fn take(entry: Entry, hash: &EmqxHash, recipe: Recipe) -> Result<User, String> {
    let is_superuser = match &entry.is_superuser {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => match text.trim() {
            "true" | "1" => true,
            "false" | "0" | "" => false,
            _ => return Err("is_superuser must be true or false".to_owned()),
        },
        Some(_) => return Err("is_superuser must be true or false".to_owned()),
    };
    let salt = entry.salt.unwrap_or_default();
    let hash = match (entry.password_hash, entry.password) {
        (Some(stored), _) if !stored.is_empty() => take_hash(hash, &stored, &salt, recipe)?,
        (_, Some(password)) if !password.is_empty() => plain(&password, recipe)?,
        _ => return Err("has neither password_hash nor password".to_owned()),
    };
    Ok(User { name: entry.user_id.into(), hash, is_superuser })
}

fn take_hash(
    hash: &EmqxHash,
    stored: &str,
    salt: &str,
    recipe: Recipe,
) -> Result<PasswordHash, String> {
    let text = match hash {
        EmqxHash::Plain => return plain(stored, recipe),
        EmqxHash::Bcrypt => {
            if !stored.starts_with("$2") {
                return Err("password_hash is no bcrypt hash".to_owned());
            }
            stored.to_owned()
        }
        EmqxHash::Sha1(position) => digest("sha1", *position, stored, salt)?,
        EmqxHash::Sha256(position) => digest("sha256", *position, stored, salt)?,
        EmqxHash::Sha512(position) => digest("sha512", *position, stored, salt)?,
        EmqxHash::Pbkdf2 { mac, iterations, hash_bytes } => {
            let mac = match mac {
                EmqxMac::Sha1 => Mac::Sha1,
                EmqxMac::Sha256 => Mac::Sha256,
                EmqxMac::Sha512 => Mac::Sha512,
            };
            let bytes = hex(stored)?;
            let due = hash_bytes.unwrap_or(mac.block_bytes());
            if bytes.len() != due {
                return Err(format!("password_hash has {} bytes: must be {due}", bytes.len()));
            }
            let salt = salt.as_bytes().to_vec();
            Pbkdf2Hash::new(mac, *iterations, salt, bytes).map_err(reason)?.to_text()
        }
    };
    PasswordHash::parse(&text).map_err(reason)
}

fn plain(password: &str, recipe: Recipe) -> Result<PasswordHash, String> {
    hash::make(recipe, &Secret::new(password.as_bytes())).map_err(reason)
}

fn digest(name: &str, position: EmqxSalt, stored: &str, salt: &str) -> Result<String, String> {
    let (is_prefix, salt) = match position {
        EmqxSalt::Prefix => (true, salt),
        EmqxSalt::Suffix => (false, salt),
        EmqxSalt::Disable => (true, ""),
    };
    let made = DigestHash::new(name, is_prefix, salt.as_bytes().to_vec(), hex(stored)?);
    Ok(made.map_err(reason)?.to_text())
}

/// Bytes of a hash in hexadecimal digits, of either case.
fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    bytes
        .filter(|_| rest.is_empty())
        .ok_or_else(|| "password_hash must be hexadecimal digits".to_owned())
}
