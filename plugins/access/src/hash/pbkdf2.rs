use std::num::NonZeroU32;

use base64::Engine as _;
use ring::pbkdf2::{self, Algorithm};
use subtle::ConstantTimeEq as _;

use super::{BASE64, HashError, check_hash_length, decode, decode_salt, number};

/// Most rounds, summed over the blocks of a long hash: about two seconds of one CPU.
const ROUNDS_MAX: u64 = 2_000_000;

/// The digest under PBKDF2's HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mac {
    Sha1,
    Sha256,
    Sha512,
}

impl Mac {
    /// By the name that stands in a hash; passlib's `pbkdf2` has SHA-1.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "pbkdf2" | "pbkdf2-sha1" => Some(Mac::Sha1),
            "pbkdf2-sha256" => Some(Mac::Sha256),
            "pbkdf2-sha512" => Some(Mac::Sha512),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Mac::Sha1 => "pbkdf2-sha1",
            Mac::Sha256 => "pbkdf2-sha256",
            Mac::Sha512 => "pbkdf2-sha512",
        }
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Mac::Sha1 => 20,
            Mac::Sha256 => 32,
            Mac::Sha512 => 64,
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Mac::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Mac::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Mac::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

pub(crate) struct Pbkdf2Hash {
    mac: Mac,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Pbkdf2Hash {
    pub(crate) fn new(
        mac: Mac,
        iterations: u32,
        salt: Vec<u8>,
        hash: Vec<u8>,
    ) -> Result<Self, HashError> {
        let form = mac.name();
        check_hash_length(form, hash.len())?;
        let iterations = check_rounds(form, iterations, hash.len().div_ceil(mac.block_bytes()))?;
        Ok(Pbkdf2Hash { mac, iterations, salt, hash })
    }

    /// What stands behind `$pbkdf2-..$`: parameters as `i=..` and `l=..`, or passlib's bare number
    /// of rounds.
    pub(super) fn parse(mac: Mac, text: &str) -> Result<Self, HashError> {
        let form = mac.name();
        let (parameters, salt, hash) = three(form, text)?;
        let Some(named) = parameters.strip_prefix("i=") else {
            let iterations = number(form, "the number of rounds", parameters)?;
            // passlib writes a dot where others have a plus.
            let salt = decode_salt(form, &salt.replace('.', "+"))?;
            let hash = decode(form, "the hash", &hash.replace('.', "+"))?;
            return Self::new(mac, iterations, salt, hash);
        };
        let (iterations, length) = match named.split_once(",l=") {
            Some((iterations, length)) => (iterations, Some(number(form, "l", length)?)),
            None => (named, None),
        };
        let hash = decode(form, "the hash", hash)?;
        if length.is_some_and(|length| length as usize != hash.len()) {
            return Err(HashError::malformed(form, "l is not the length of the hash"));
        }
        Self::new(mac, number(form, "i", iterations)?, decode_salt(form, salt)?, hash)
    }

    /// What stands behind mosquitto's `$7$`.
    pub(super) fn parse_mosquitto(text: &str) -> Result<Self, HashError> {
        const FORM: &str = "$7$";
        let (iterations, salt, hash) = three(FORM, text)?;
        let iterations = number(FORM, "the number of rounds", iterations)?;
        let hash = decode(FORM, "the hash", hash)?;
        Self::new(Mac::Sha512, iterations, decode_salt(FORM, salt)?, hash)
    }

    pub(super) fn make(
        mac: Mac,
        iterations: u32,
        password: &[u8],
        salt: &[u8],
    ) -> Result<Self, HashError> {
        let mut made = Self::new(mac, iterations, salt.to_vec(), vec![0; mac.block_bytes()])?;
        pbkdf2::derive(mac.algorithm(), made.iterations, salt, password, &mut made.hash);
        Ok(made)
    }

    pub(super) fn name(&self) -> &'static str {
        self.mac.name()
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let mut found = vec![0; self.hash.len()];
        pbkdf2::derive(self.mac.algorithm(), self.iterations, &self.salt, password, &mut found);
        found.ct_eq(&self.hash).into()
    }

    pub(crate) fn to_text(&self) -> String {
        let (name, iterations, length) = (self.mac.name(), self.iterations, self.hash.len());
        let (salt, hash) = (BASE64.encode(&self.salt), BASE64.encode(&self.hash));
        format!("${name}$i={iterations},l={length}${salt}${hash}")
    }
}

/// Three parts with `$` between them.
fn three<'a>(form: &'static str, text: &'a str) -> Result<(&'a str, &'a str, &'a str), HashError> {
    let mut parts = text.split('$');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(first), Some(second), Some(third), None) => Ok((first, second, third)),
        _ => Err(HashError::malformed(form, "must have rounds, salt and hash")),
    }
}

pub(super) fn check_rounds(
    form: &'static str,
    iterations: u32,
    blocks: usize,
) -> Result<NonZeroU32, HashError> {
    let rounds = u64::from(iterations) * blocks as u64;
    if rounds > ROUNDS_MAX {
        let what = format!("{rounds} rounds: at most {ROUNDS_MAX} are allowed");
        return Err(HashError::TooCostly { form, what });
    }
    NonZeroU32::new(iterations)
        .ok_or_else(|| HashError::malformed(form, "the number of rounds must be above 0"))
}
