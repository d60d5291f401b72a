use core_model::{Identity, Reason, Timestamp};
use serde_json::{Map, Value};

use super::JwtConfig;
use crate::acl::rules_of;
use crate::placeholder::{Values, fill};

/// Why a token with a good signature is refused, in words for a log.
pub(super) type Refusal = (Reason, &'static str);

/// Who the claims say that the client is.
pub(super) fn identity(
    config: &JwtConfig,
    now_ms: u64,
    claims: &Map<String, Value>,
    client: &Values<'_>,
) -> Result<Identity, Refusal> {
    let expires_at = check_times(config, now_ms, claims)?;
    for (claim, template) in &config.claims {
        let wanted = fill(template, |placeholder| client.value(placeholder));
        let has = |wanted: &str| match claims.get(&**claim) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(wanted)),
            _ => false,
        };
        if !wanted.as_deref().is_some_and(has) {
            return Err((Reason::NOT_AUTHORIZED, "a required claim is missing or different"));
        }
    }
    let user = match claims.get(&*config.user_claim) {
        None | Some(Value::Null) => None,
        Some(Value::String(user)) => Some(user.as_str().into()),
        Some(_) => return Err((Reason::NOT_AUTHORIZED, "the claim for the user is no text")),
    };
    let superuser = config.superuser_claim.as_deref().and_then(|claim| claims.get(claim));
    let is_superuser = match superuser {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err((Reason::NOT_AUTHORIZED, "the claim for superusers is no flag")),
    };
    let acl = config.acl_claim.as_deref().and_then(|claim| claims.get(claim));
    let rules = match acl.map(rules_of).transpose() {
        Ok(rules) => rules.map(|rules| std::sync::Arc::new(rules) as _),
        Err(_) => return Err((Reason::NOT_AUTHORIZED, "the rules cannot be understood")),
    };
    Ok(Identity { user, authenticator: config.name.clone(), expires_at, is_superuser, rules })
}

/// Checks `exp`, `nbf` and `iat` (RFC 7519 section 4.1); says when the token ends.
fn check_times(
    config: &JwtConfig,
    now_ms: u64,
    claims: &Map<String, Value>,
) -> Result<Option<Timestamp>, Refusal> {
    let time = |claim: &str| match claims.get(claim) {
        None => Ok(None),
        // Rounds towards zero and saturates; what is negative has been before the epoch.
        Some(value) => value
            .as_f64()
            .map(|seconds| Some((seconds * 1_000.0) as u64))
            .ok_or((Reason::NOT_AUTHORIZED, "a time is no number")),
    };
    let leeway_ms = u64::from(config.leeway_s) * 1_000;
    let ends = time("exp")?.map(|exp| exp.saturating_add(leeway_ms));
    if ends.is_none() && config.expiry_required {
        return Err((Reason::NOT_AUTHORIZED, "it has no expiry"));
    }
    if ends.is_some_and(|ends| ends <= now_ms) {
        return Err((Reason::NOT_AUTHORIZED, "it has expired"));
    }
    let latest_ms = now_ms.saturating_add(leeway_ms);
    if time("nbf")?.is_some_and(|nbf| nbf > latest_ms) {
        return Err((Reason::NOT_AUTHORIZED, "it is not good yet"));
    }
    if time("iat")?.is_some_and(|iat| iat > latest_ms) {
        return Err((Reason::NOT_AUTHORIZED, "it was issued in the future"));
    }
    Ok(ends.map(Timestamp::from_millis))
}

#[cfg(test)]
mod tests {
    use core_model::Evidence;
    use serde_json::json;

    use super::super::{JwtAlgorithm, JwtKeys};
    use super::*;

    fn at(now_ms: u64, claims: Value) -> Result<Identity, Refusal> {
        let keys = JwtKeys::PublicKeyFile("key".into());
        let config = JwtConfig::new("t", vec![JwtAlgorithm::Es256], keys);
        let evidence = Evidence::default();
        identity(&config, now_ms, claims.as_object().unwrap(), &Values::claimed("c", &evidence))
    }

    #[test]
    fn times_count_to_the_millisecond_with_leeway() {
        let exp = json!({"exp": 1_000});
        assert_eq!(
            at(1_004_999, exp.clone()).unwrap().expires_at,
            Some(Timestamp::from_millis(1_005_000))
        );
        assert!(at(1_005_000, exp).is_err());
        for claim in ["nbf", "iat"] {
            let claims = json!({"exp": 2_000, claim: 1_000.5});
            assert!(at(995_500, claims.clone()).is_ok());
            assert!(at(995_499, claims).is_err());
        }
    }
}
