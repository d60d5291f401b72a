//! Hashes of passwords: those of other software are checked, new ones are made.
//!
//! | form | what | made by |
//! | --- | --- | --- |
//! | `$argon2id$v=19$m=..,t=..,p=..$salt$hash`, `$argon2i$..` | Argon2 (RFC 9106) | us by default, `argon2`, mosquitto 2.1 |
//! | `$2a$..`, `$2b$..`, `$2y$..` | bcrypt | htpasswd, EMQX |
//! | `$pbkdf2-sha256$i=..,l=..$salt$hash`, the same with `sha1`, `sha512` | PBKDF2 (RFC 8018) | EMQX by import |
//! | `$pbkdf2-sha256$ROUNDS$salt$hash`, `$pbkdf2-sha512$..`, `$pbkdf2$..` | PBKDF2 | passlib |
//! | `$7$iterations$salt$hash` | PBKDF2 with SHA-512 | mosquitto_passwd |
//! | `$6$salt$hash` | SHA-512 of password and salt | mosquitto_passwd of old |
//! | `$sha256$prefix$salt$hash`, also `sha1`, `sha512`, `suffix` | one digest of salt and password | EMQX by import |
//! | `$scram-sha-256$i=..$salt$stored key$server key` | SCRAM (RFC 7677) | us |
//!
//! Salts and hashes are in base64, but for bcrypt's. No form has a `:` in it.
//!
//! One digest alone is no protection for a password once the file is stolen: such hashes are
//! marked [`PasswordHash::is_weak`].

mod argon2id;
mod bcrypt;
mod digest;
mod pbkdf2;
mod scram;

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use core_model::Secret;
use ring::rand::{SecureRandom as _, SystemRandom};
use thiserror::Error;

pub(crate) use self::digest::DigestHash;
pub(crate) use self::pbkdf2::{Mac, Pbkdf2Hash};
pub(crate) use self::scram::{
    ITERATIONS_MIN as SCRAM_ITERATIONS, Key as ScramKey, ScramKeys, hash as scram_hash,
    sign as scram_sign,
};

/// Longest hash in its text form, in bytes.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// Shortest hash in bytes: a shorter one would match a wrong password now and then.
const HASH_BYTES_MIN: usize = 16;
/// Longest hash in bytes.
const HASH_BYTES_MAX: usize = 128;
/// Longest salt in bytes.
const SALT_BYTES_MAX: usize = 256;
/// Bytes of the salts that are made here.
pub(crate) const NEW_SALT_BYTES: usize = 16;

/// Base64 as we write it, without padding, and as it is read, with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a hash is not used. No text has the hash in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HashError {
    /// It is none of the known forms.
    #[error(
        "no known form of a password hash: allowed are $argon2id$, $argon2i$, $2a$, $2b$, $2y$, \
         $pbkdf2-sha1$, $pbkdf2-sha256$, $pbkdf2-sha512$, $pbkdf2$, $7$, $6$, $sha1$, $sha256$, \
         $sha512$ and $scram-sha-256$"
    )]
    UnknownForm,
    /// It is longer than any hash.
    #[error("a hash of {0} bytes: at most {TEXT_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Some part of it is wrong.
    #[error("not a {form} hash: {what}")]
    Malformed {
        /// The form that it seems to have.
        form: &'static str,
        /// What is wrong, and what is allowed.
        what: String,
    },
    /// It would take too long or too much memory to check.
    #[error("{form}: {what}")]
    TooCostly {
        /// Its form.
        form: &'static str,
        /// Which parameter has which value, and what is allowed.
        what: String,
    },
    /// It could not be made.
    #[error("{form}: a hash could not be made: {what}")]
    NotMade {
        /// Its form.
        form: &'static str,
        /// Why.
        what: String,
    },
}

impl HashError {
    fn malformed(form: &'static str, what: impl Into<String>) -> Self {
        HashError::Malformed { form, what: what.into() }
    }
}

/// The hash of a password, in a form that is known and with parameters within bounds.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

/// A hash taken apart.
enum Form {
    Argon2(argon2id::Argon2Hash),
    Bcrypt(bcrypt::BcryptHash),
    Pbkdf2(Pbkdf2Hash),
    Digest(DigestHash),
    Scram(ScramKeys),
}

impl PasswordHash {
    /// Takes a hash in one of the forms of this module.
    ///
    /// # Errors
    /// When the form is unknown, a part is wrong, or it would be too costly to check.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        Form::parse(text)?;
        Ok(PasswordHash(text.into()))
    }

    /// Its text form, as it stands in a file of users. Not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What it is: `argon2id`, `argon2i`, `bcrypt`, `pbkdf2-sha512`, `sha256`, `scram-sha-256`.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        Form::parse(&self.0).map_or("unknown", |form| form.algorithm())
    }

    /// Whether a stolen hash gives its password away quickly.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        matches!(Form::parse(&self.0), Ok(Form::Digest(_)))
    }

    /// Whether it is this password's. Takes time and memory: not for a shard. The comparison of
    /// the hashes takes equally long whatever they are.
    #[must_use]
    pub fn verify(&self, password: &Secret) -> bool {
        match Form::parse(&self.0) {
            Ok(Form::Argon2(hash)) => hash.verify(password.expose()),
            Ok(Form::Bcrypt(hash)) => hash.verify(password.expose()),
            Ok(Form::Pbkdf2(hash)) => hash.verify(password.expose()),
            Ok(Form::Digest(hash)) => hash.verify(password.expose()),
            Ok(Form::Scram(keys)) => keys.verify(password.expose()),
            Err(_) => false,
        }
    }

    /// The keys for SCRAM, if it is such a hash.
    pub(crate) fn scram(&self) -> Option<ScramKeys> {
        match Form::parse(&self.0) {
            Ok(Form::Scram(keys)) => Some(keys),
            _ => None,
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password hash]")
    }
}

impl Form {
    fn parse(text: &str) -> Result<Self, HashError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(HashError::TooLong(text.len()));
        }
        let rest = text.strip_prefix('$').ok_or(HashError::UnknownForm)?;
        let (name, rest) = rest.split_once('$').ok_or(HashError::UnknownForm)?;
        match name {
            "argon2id" | "argon2i" => argon2id::Argon2Hash::parse(text).map(Form::Argon2),
            "2a" | "2b" | "2y" => bcrypt::BcryptHash::parse(text).map(Form::Bcrypt),
            "7" => Pbkdf2Hash::parse_mosquitto(rest).map(Form::Pbkdf2),
            "6" => DigestHash::parse_mosquitto(rest).map(Form::Digest),
            "scram-sha-256" => ScramKeys::parse(rest).map(Form::Scram),
            _ => match Mac::named(name) {
                Some(mac) => Pbkdf2Hash::parse(mac, rest).map(Form::Pbkdf2),
                None => DigestHash::parse(name, rest).map(Form::Digest),
            },
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Form::Argon2(hash) => hash.name(),
            Form::Bcrypt(_) => "bcrypt",
            Form::Pbkdf2(hash) => hash.name(),
            Form::Digest(hash) => hash.name(),
            Form::Scram(_) => scram::FORM,
        }
    }
}

/// How a new hash is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Argon2id with one lane.
    Argon2id {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
    },
    /// bcrypt; it looks at the first 72 bytes of a password only, so longer ones are refused.
    Bcrypt {
        /// Binary logarithm of the number of rounds.
        cost: u32,
    },
    /// PBKDF2 with SHA-512.
    Pbkdf2 {
        /// Rounds.
        iterations: u32,
    },
    /// Keys for SCRAM-SHA-256, which also serve for passwords that come in the clear.
    Scram {
        /// Rounds, which the client has to go through for each connect.
        iterations: u32,
    },
}

impl Default for Recipe {
    /// Argon2id with 19 MiB and 2 passes, the least that OWASP's cheat sheet on password storage
    /// recommends.
    fn default() -> Self {
        Recipe::Argon2id { memory_kib: 19 * 1024, passes: 2 }
    }
}

impl Recipe {
    /// The usual one for SCRAM: RFC 7677's 4 096 rounds, which small devices can go through.
    pub const SCRAM: Recipe = Recipe::Scram { iterations: scram::ITERATIONS_MIN.get() };
}

/// Makes the hash of a password, with a new salt. Takes time and memory.
///
/// # Errors
/// When the recipe's numbers are out of bounds, or there is no randomness.
pub fn make(recipe: Recipe, password: &Secret) -> Result<PasswordHash, HashError> {
    let mut salt = [0; NEW_SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| HashError::NotMade {
        form: "salt",
        what: "the system gives no randomness".to_owned(),
    })?;
    make_with(recipe, password, &salt)
}

fn make_with(
    recipe: Recipe,
    password: &Secret,
    salt: &[u8; NEW_SALT_BYTES],
) -> Result<PasswordHash, HashError> {
    let password = password.expose();
    let text = match recipe {
        Recipe::Argon2id { memory_kib, passes } => {
            argon2id::make(memory_kib, passes, password, salt)?
        }
        Recipe::Bcrypt { cost } => bcrypt::make(cost, password, salt)?,
        Recipe::Pbkdf2 { iterations } => {
            Pbkdf2Hash::make(Mac::Sha512, iterations, password, salt)?.to_text()
        }
        Recipe::Scram { iterations } => ScramKeys::make(iterations, password, salt)?.to_text(),
    };
    PasswordHash::parse(&text)
}

/// Decodes a salt or hash.
fn decode(form: &'static str, what: &str, text: &str) -> Result<Vec<u8>, HashError> {
    BASE64.decode(text).map_err(|_| HashError::malformed(form, format!("{what} is not base64")))
}

fn decode_salt(form: &'static str, text: &str) -> Result<Vec<u8>, HashError> {
    let salt = decode(form, "the salt", text)?;
    if salt.len() > SALT_BYTES_MAX {
        let what = format!("a salt of {} bytes: at most {SALT_BYTES_MAX} are allowed", salt.len());
        return Err(HashError::malformed(form, what));
    }
    Ok(salt)
}

fn check_hash_length(form: &'static str, length: usize) -> Result<(), HashError> {
    if (HASH_BYTES_MIN..=HASH_BYTES_MAX).contains(&length) {
        return Ok(());
    }
    let what = format!("{length} bytes: {HASH_BYTES_MIN} to {HASH_BYTES_MAX} are allowed");
    Err(HashError::malformed(form, what))
}

/// A number as it is written in hashes: digits only.
fn number(form: &'static str, what: &str, text: &str) -> Result<u32, HashError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| HashError::malformed(form, format!("{what} must be a number")))
}
