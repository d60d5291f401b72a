use std::sync::Arc;

use core_model::{Identity, Reason, Timestamp, Verdict};
use serde::Deserialize;
use serde_json::Value;

use crate::acl::rules_of;

/// What a server says of a client.
#[derive(Clone, Debug)]
pub(super) enum Judgement {
    Accept(Identity),
    Refuse(Reason),
    Unknown,
}

impl From<Judgement> for Verdict {
    fn from(judgement: Judgement) -> Self {
        match judgement {
            Judgement::Accept(identity) => Verdict::Accept(identity),
            Judgement::Refuse(reason) => Verdict::Refuse(reason),
            Judgement::Unknown => Verdict::Unknown,
        }
    }
}

/// The body of an answer. Keys that are not known are passed over: they are for other servers.
#[derive(Deserialize)]
struct Text {
    result: Outcome,
    #[serde(default)]
    is_superuser: Option<bool>,
    #[serde(default)]
    acl: Option<Value>,
    /// Seconds since the Unix epoch.
    #[serde(default)]
    expire_at: Option<f64>,
    #[serde(default)]
    user: Option<Box<str>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Allow,
    Deny,
    Ignore,
}

/// Reads an answer with status 200.
///
/// # Errors
/// What is wrong with it. Nothing that it says is in the text.
pub(super) fn read(
    body: &[u8],
    now_ms: u64,
    authenticator: &str,
    user: Option<&str>,
) -> Result<Judgement, &'static str> {
    let text: Text =
        serde_json::from_slice(body).map_err(|_| "the answer is not JSON with a good result")?;
    match text.result {
        Outcome::Deny => return Ok(Judgement::Refuse(Reason::NOT_AUTHORIZED)),
        Outcome::Ignore => return Ok(Judgement::Unknown),
        Outcome::Allow => {}
    }
    let rules = text.acl.as_ref().map(rules_of).transpose();
    let rules = rules.map_err(|_| "the answer's rules cannot be understood")?;
    // Saturates; what is negative has been before the epoch.
    let expires_at = text.expire_at.map(|s| Timestamp::from_millis((s * 1_000.0) as u64));
    if expires_at.is_some_and(|end| end.as_millis() <= now_ms) {
        return Ok(Judgement::Refuse(Reason::NOT_AUTHORIZED));
    }
    let mut identity = allowed(authenticator, user);
    identity.user = text.user.or(identity.user);
    identity.is_superuser = text.is_superuser.unwrap_or(false);
    identity.rules = rules.map(|rules| Arc::new(rules) as _);
    identity.expires_at = expires_at;
    Ok(Judgement::Accept(identity))
}

/// An identity that nothing more is said of.
pub(super) fn allowed(authenticator: &str, user: Option<&str>) -> Identity {
    Identity {
        user: user.map(Box::from),
        authenticator: authenticator.into(),
        ..Identity::default()
    }
}
