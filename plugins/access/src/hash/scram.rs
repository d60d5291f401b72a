use std::num::NonZeroU32;

use base64::Engine as _;
use ring::digest::{SHA256, digest};
use ring::{hmac, pbkdf2};
use subtle::ConstantTimeEq as _;

use super::pbkdf2::check_rounds;
use super::{BASE64, HashError, decode, decode_salt, number};

pub(super) const FORM: &str = "scram-sha-256";
/// Fewest rounds (RFC 7677 section 4).
pub(crate) const ITERATIONS_MIN: NonZeroU32 = NonZeroU32::new(4_096).expect("not 0");
const KEY_BYTES: usize = 32;

/// A key or signature.
pub(crate) type Key = [u8; KEY_BYTES];

/// What a server keeps of a password for SCRAM-SHA-256 (RFC 5802 section 3).
///
/// The password's bytes are hashed as they are: of the preparation by SASLprep (RFC 4013), which
/// changes nothing about ASCII, nothing is done.
pub(crate) struct ScramKeys {
    pub(crate) iterations: NonZeroU32,
    pub(crate) salt: Vec<u8>,
    pub(crate) stored: Key,
    pub(crate) server: Key,
}

impl ScramKeys {
    /// What stands behind `$scram-sha-256$`.
    pub(super) fn parse(text: &str) -> Result<Self, HashError> {
        let mut parts = text.split('$');
        let (Some(iterations), Some(salt), Some(stored), Some(server), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HashError::malformed(FORM, "must have rounds, salt and two keys"));
        };
        let iterations = iterations.strip_prefix("i=").unwrap_or_default();
        let key = |what, text| {
            let key = Key::try_from(decode(FORM, what, text)?);
            key.map_err(|_| HashError::malformed(FORM, format!("{what} must have 32 bytes")))
        };
        Ok(ScramKeys {
            iterations: check_iterations(number(FORM, "i", iterations)?)?,
            salt: decode_salt(FORM, salt)?,
            stored: key("the stored key", stored)?,
            server: key("the server key", server)?,
        })
    }

    pub(super) fn make(iterations: u32, password: &[u8], salt: &[u8]) -> Result<Self, HashError> {
        let iterations = check_iterations(iterations)?;
        let (stored, server) = keys(iterations, password, salt);
        Ok(ScramKeys { iterations, salt: salt.to_vec(), stored, server })
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        keys(self.iterations, password, &self.salt).0.ct_eq(&self.stored).into()
    }

    pub(super) fn to_text(&self) -> String {
        let (salt, iterations) = (BASE64.encode(&self.salt), self.iterations);
        let (stored, server) = (BASE64.encode(self.stored), BASE64.encode(self.server));
        format!("${FORM}$i={iterations}${salt}${stored}${server}")
    }
}

fn check_iterations(iterations: u32) -> Result<NonZeroU32, HashError> {
    if iterations < ITERATIONS_MIN.get() {
        let what = format!("{iterations} rounds: at least {ITERATIONS_MIN} are needed");
        return Err(HashError::malformed(FORM, what));
    }
    check_rounds(FORM, iterations, 1)
}

/// Stored key and server key.
fn keys(iterations: NonZeroU32, password: &[u8], salt: &[u8]) -> (Key, Key) {
    let mut salted = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut salted);
    let client = sign(&salted, b"Client Key");
    (hash(&client), sign(&salted, b"Server Key"))
}

/// SHA-256.
pub(crate) fn hash(data: &[u8]) -> Key {
    key_bytes(digest(&SHA256, data).as_ref())
}

/// HMAC with SHA-256.
pub(crate) fn sign(key: &[u8], data: &[u8]) -> Key {
    key_bytes(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref())
}

fn key_bytes(bytes: &[u8]) -> Key {
    bytes.try_into().expect("SHA-256 has 32 bytes")
}
