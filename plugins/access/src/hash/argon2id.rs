use argon2::password_hash::PasswordHash as PhcString;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use subtle::ConstantTimeEq as _;

use super::{BASE64, HashError, check_hash_length};

/// Most memory for one hash, in KiB.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes over the memory.
const PASSES_MAX: u32 = 64;
/// Most lanes.
const LANES_MAX: u32 = 16;
/// Most KiB that all passes together go through: about a second of one CPU.
const WORK_KIB_MAX: u64 = 1024 * 1024;
const NEW_HASH_BYTES: usize = 32;

pub(super) struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Argon2Hash {
    pub(super) fn parse(text: &str) -> Result<Self, HashError> {
        let phc = PhcString::new(text).map_err(|error| malformed(&error.to_string()))?;
        let algorithm =
            Algorithm::try_from(phc.algorithm).map_err(|e| malformed(&e.to_string()))?;
        let version = match phc.version {
            None => Version::V0x10,
            Some(version) => {
                Version::try_from(version).map_err(|_| malformed("v must be 16 or 19"))?
            }
        };
        let params = Params::try_from(&phc).map_err(|error| malformed(&error.to_string()))?;
        check_cost(params.m_cost(), params.t_cost(), params.p_cost())?;
        if !params.keyid().is_empty() || !params.data().is_empty() {
            return Err(malformed("keyid and data are not supported"));
        }
        let hash = phc.hash.ok_or_else(|| malformed("the hash is missing"))?;
        check_hash_length("argon2", hash.len())?;
        let salt = phc.salt.ok_or_else(|| malformed("the salt is missing"))?;
        let salt = BASE64
            .decode(salt.as_str())
            .ok()
            .filter(|salt| salt.len() >= argon2::MIN_SALT_LEN)
            .ok_or_else(|| malformed("the salt must be base64 of 8 bytes or more"))?;
        Ok(Argon2Hash { algorithm, version, params, salt, hash: hash.as_bytes().to_vec() })
    }

    pub(super) fn name(&self) -> &'static str {
        self.algorithm.as_str()
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let mut found = vec![0; self.hash.len()];
        Argon2::new(self.algorithm, self.version, self.params.clone())
            .hash_password_into(password, &self.salt, &mut found)
            .is_ok()
            && bool::from(found.ct_eq(&self.hash))
    }
}

pub(super) fn make(
    memory_kib: u32,
    passes: u32,
    password: &[u8],
    salt: &[u8],
) -> Result<String, HashError> {
    const FORM: &str = "argon2id";
    let not_made = |what: String| HashError::NotMade { form: FORM, what };
    check_cost(memory_kib, passes, 1)?;
    let params = Params::new(memory_kib, passes, 1, Some(NEW_HASH_BYTES))
        .map_err(|error| not_made(error.to_string()))?;
    let mut hash = [0; NEW_HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut hash)
        .map_err(|error| not_made(error.to_string()))?;
    let (salt, hash) = (BASE64.encode(salt), BASE64.encode(hash));
    Ok(format!("$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${hash}"))
}

fn malformed(what: &str) -> HashError {
    HashError::malformed("argon2", what)
}

fn check_cost(memory_kib: u32, passes: u32, lanes: u32) -> Result<(), HashError> {
    let too_costly = |what| Err(HashError::TooCostly { form: "argon2", what });
    if memory_kib > MEMORY_KIB_MAX {
        return too_costly(format!("m={memory_kib} KiB: at most {MEMORY_KIB_MAX} are allowed"));
    }
    if passes > PASSES_MAX {
        return too_costly(format!("t={passes}: at most {PASSES_MAX} are allowed"));
    }
    if lanes > LANES_MAX {
        return too_costly(format!("p={lanes}: at most {LANES_MAX} are allowed"));
    }
    let work = u64::from(memory_kib) * u64::from(passes);
    if work > WORK_KIB_MAX {
        return too_costly(format!("m times t is {work}: at most {WORK_KIB_MAX} is allowed"));
    }
    Ok(())
}
