use base64::Engine as _;
use ring::digest::{self, Algorithm, Context};
use subtle::ConstantTimeEq as _;

use super::{BASE64, HashError, decode, decode_salt};

/// One digest of salt and password.
pub(crate) struct DigestHash {
    name: &'static str,
    algorithm: &'static Algorithm,
    /// Whether the salt stands before the password, not behind it.
    is_prefix: bool,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// The digests with their names in a hash.
const DIGESTS: [(&str, &Algorithm); 3] = [
    ("sha1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
    ("sha256", &digest::SHA256),
    ("sha512", &digest::SHA512),
];

impl DigestHash {
    /// By a digest's name.
    pub(crate) fn new(
        name: &str,
        is_prefix: bool,
        salt: Vec<u8>,
        hash: Vec<u8>,
    ) -> Result<Self, HashError> {
        let known = DIGESTS.into_iter().find(|(known, _)| *known == name);
        let (name, algorithm) = known.ok_or(HashError::UnknownForm)?;
        if hash.len() != algorithm.output_len() {
            let what = format!("{} bytes: must be {}", hash.len(), algorithm.output_len());
            return Err(HashError::malformed(name, what));
        }
        Ok(DigestHash { name, algorithm, is_prefix, salt, hash })
    }

    /// What stands behind `$sha256$`.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, HashError> {
        const FORM: &str = "salted";
        if !DIGESTS.iter().any(|(known, _)| *known == name) {
            return Err(HashError::UnknownForm);
        }
        let mut parts = text.split('$');
        let (Some(position), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HashError::malformed(FORM, "must have position, salt and hash"));
        };
        if !matches!(position, "prefix" | "suffix") {
            let what = "the position of the salt must be prefix or suffix";
            return Err(HashError::malformed(FORM, what));
        }
        let (salt, hash) = (decode_salt(FORM, salt)?, decode(FORM, "the hash", hash)?);
        Self::new(name, position == "prefix", salt, hash)
    }

    /// What stands behind mosquitto's `$6$`.
    pub(super) fn parse_mosquitto(text: &str) -> Result<Self, HashError> {
        const FORM: &str = "$6$";
        let (salt, hash) = text
            .split_once('$')
            .ok_or_else(|| HashError::malformed(FORM, "must have salt and hash"))?;
        let hash = decode(FORM, "the hash", hash)?;
        Self::new("sha512", false, decode_salt(FORM, salt)?, hash)
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let (first, second) =
            if self.is_prefix { (&*self.salt, password) } else { (password, &*self.salt) };
        let mut context = Context::new(self.algorithm);
        context.update(first);
        context.update(second);
        context.finish().as_ref().ct_eq(&self.hash).into()
    }

    pub(crate) fn to_text(&self) -> String {
        let position = if self.is_prefix { "prefix" } else { "suffix" };
        let (salt, hash) = (BASE64.encode(&self.salt), BASE64.encode(&self.hash));
        format!("${}${position}${salt}${hash}", self.name)
    }
}
