use std::str::FromStr;

use bcrypt::{HashParts, Version};

use super::HashError;

/// Highest cost: about a second of one CPU.
const COST_MAX: u32 = 14;
/// What bcrypt looks at.
const PASSWORD_BYTES_MAX: usize = 72;

pub(super) struct BcryptHash {
    text: Box<str>,
}

impl BcryptHash {
    pub(super) fn parse(text: &str) -> Result<Self, HashError> {
        let parts = HashParts::from_str(text)
            .map_err(|_| HashError::malformed("bcrypt", "must be 60 characters of bcrypt's own"))?;
        check_cost(parts.get_cost())?;
        Ok(BcryptHash { text: text.into() })
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        bcrypt::verify(password, &self.text).unwrap_or(false)
    }
}

pub(super) fn make(cost: u32, password: &[u8], salt: &[u8; 16]) -> Result<String, HashError> {
    let not_made = |what: String| HashError::NotMade { form: "bcrypt", what };
    check_cost(cost)?;
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(not_made(format!(
            "a password of {} bytes: at most {PASSWORD_BYTES_MAX} are allowed",
            password.len()
        )));
    }
    let parts = bcrypt::hash_with_salt(password, cost, *salt)
        .map_err(|error| not_made(error.to_string()))?;
    Ok(parts.format_for_version(Version::TwoB))
}

fn check_cost(cost: u32) -> Result<(), HashError> {
    if cost > COST_MAX {
        let what = format!("a cost of {cost}: at most {COST_MAX} is allowed");
        return Err(HashError::TooCostly { form: "bcrypt", what });
    }
    Ok(())
}
