//! JSON Web Tokens (RFC 7519) as credentials.
//!
//! Signatures are checked by ring; `jsonwebtoken` reads keys. An HMAC costs some microseconds and is
//! checked on the shard. A signature by RSA, P-256 or Ed25519 costs nearly a tenth of a millisecond,
//! one on P-384 more than one: these are checked beside the shards, in the look-up that fetches keys
//! where that is due. Encrypted tokens are not read.

mod claims;
mod key;
mod remote;
mod token;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core_model::{Authenticator, Evidence, Reason, Verdict};

use self::key::{Key, KeySet};
use self::remote::{Found, RemoteKeys};
use self::token::Token;
use crate::error::{AccessError, read_bytes};
use crate::placeholder::Values;

pub use self::key::JwtAlgorithm;
pub use self::remote::JwksUrl;

/// Largest file of a key or of a set of keys, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 256 << 10;

/// Where a client sends its token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFrom {
    /// As password.
    #[default]
    Password,
    /// As user name.
    User,
}

/// What tokens are checked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// A file with the secret of HMAC algorithms, 32 bytes or more. One line end behind it is
    /// ignored.
    SecretFile {
        /// The file.
        path: PathBuf,
        /// Whether the secret is in base64.
        is_base64: bool,
    },
    /// A file with the public key in PEM: `PUBLIC KEY` or `RSA PUBLIC KEY`.
    PublicKeyFile(PathBuf),
    /// A file with a JSON Web Key Set (RFC 7517). Secrets in it are not used.
    JwksFile(PathBuf),
    /// A JSON Web Key Set to be fetched.
    JwksUrl(JwksUrl),
}

/// Which tokens are good, and for whom.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Name of the authenticator.
    pub name: Box<str>,
    /// Where a client sends its token.
    pub from: TokenFrom,
    /// Algorithms that are accepted; all must fit the kind of key.
    pub algorithms: Vec<JwtAlgorithm>,
    /// What signatures are checked by.
    pub keys: JwtKeys,
    /// Claims that must be there, with the value that they must have or, as a list, contain: such
    /// as `iss`, `aud`. In a value, `%c` stands for the client identifier, `%u` for the user name
    /// that the client sent, `%l` for the listener and `%cn` for the common name of its
    /// certificate.
    pub claims: Vec<(Box<str>, Box<str>)>,
    /// The claim that becomes the user name. Without it the client has none: a name that the client
    /// sends itself proves nothing.
    pub user_claim: Box<str>,
    /// The claim that makes a superuser by `true`.
    pub superuser_claim: Option<Box<str>>,
    /// The claim with rules that are asked instead of the node's.
    pub acl_claim: Option<Box<str>>,
    /// Whether a token must have an end.
    pub expiry_required: bool,
    /// How many seconds clocks may differ: a token counts that much longer, and earlier.
    pub leeway_s: u32,
}

impl JwtConfig {
    /// What is usual: in the password, `sub` is the user, `acl` the rules, with an end.
    #[must_use]
    pub fn new(name: &str, algorithms: Vec<JwtAlgorithm>, keys: JwtKeys) -> Self {
        JwtConfig {
            name: name.into(),
            from: TokenFrom::default(),
            algorithms,
            keys,
            claims: Vec::new(),
            user_claim: "sub".into(),
            superuser_claim: None,
            acl_claim: Some("acl".into()),
            expiry_required: true,
            leeway_s: 5,
        }
    }
}

/// Believes clients by their tokens.
///
/// What is no token is left to the next authenticator. A token that is not signed as it should be
/// is refused as bad credentials, one that is not good now or not for this client as not
/// authorized.
#[derive(Debug)]
pub struct Jwt {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: JwtConfig,
    keys: Keys,
}

#[derive(Clone, Debug)]
enum Keys {
    One(Key),
    Set(Arc<KeySet>),
    Remote(Arc<RemoteKeys>),
}

impl Jwt {
    /// Reads the keys. Keys that are to be fetched are so when the first token comes, and are taken
    /// over from `before` when that has fetched them from the same place.
    ///
    /// # Errors
    /// When a key cannot be read or does not fit the algorithms.
    pub fn new(config: JwtConfig, before: Option<&Jwt>) -> Result<Self, AccessError> {
        if config.algorithms.is_empty() {
            return Err(AccessError::setting("algorithms", "none is given"));
        }
        let keys = match &config.keys {
            JwtKeys::SecretFile { path, is_base64 } => Keys::One(secret(path, *is_base64)?),
            JwtKeys::PublicKeyFile(path) => Keys::One(from_file(path, Key::from_pem)?),
            JwtKeys::JwksFile(path) => Keys::Set(Arc::new(from_file(path, KeySet::parse)?)),
            JwtKeys::JwksUrl(remote) => match before.map(|before| &before.inner.keys) {
                Some(Keys::Remote(keys)) if keys.config == *remote => Keys::Remote(keys.clone()),
                _ => Keys::Remote(Arc::new(RemoteKeys::new(remote.clone())?)),
            },
        };
        for algorithm in &config.algorithms {
            let fits = match &keys {
                Keys::One(key) => key.fits(*algorithm),
                // A set is of public keys.
                Keys::Set(_) | Keys::Remote(_) => !algorithm.is_hmac(),
            };
            if !fits {
                let what = format!("{} does not fit the key", algorithm.name());
                return Err(AccessError::setting("algorithms", what));
            }
        }
        Ok(Jwt { inner: Arc::new(Inner { config, keys }) })
    }
}

impl Authenticator for Jwt {
    fn authenticate(&self, client_id: &str, evidence: &Evidence) -> Verdict {
        let inner = &self.inner;
        let Some(token) = inner.token(evidence) else { return Verdict::Unknown };
        let Some(algorithm) = inner.algorithm(&token) else {
            return inner.refuse(Reason::BAD_CREDENTIALS, "it is not signed as it should be");
        };
        match &inner.keys {
            Keys::One(key @ Key::Hmac(_)) => {
                inner.judge(&token, algorithm, Some(key), client_id, evidence)
            }
            _ => inner.later(client_id, evidence),
        }
    }
}

impl Inner {
    /// The client's token, if it has sent one.
    fn token<'a>(&self, evidence: &'a Evidence) -> Option<Token<'a>> {
        Token::parse(match self.config.from {
            TokenFrom::Password => evidence.password.as_ref()?.expose(),
            TokenFrom::User => evidence.user.as_deref()?.as_bytes(),
        })
    }

    /// The token's algorithm, if it is one that is accepted.
    fn algorithm(&self, token: &Token<'_>) -> Option<JwtAlgorithm> {
        let algorithm = JwtAlgorithm::from_name(&token.header.algorithm)?;
        let is_accepted = self.config.algorithms.contains(&algorithm);
        (is_accepted && token.header.critical.is_none()).then_some(algorithm)
    }

    /// The same judgement beside the shards.
    fn later(self: &Arc<Self>, client_id: &str, evidence: &Evidence) -> Verdict {
        let (inner, client_id, evidence) =
            (self.clone(), Box::<str>::from(client_id), evidence.clone());
        Verdict::Later(Box::pin(async move { inner.look_up(&client_id, &evidence).await }))
    }

    async fn look_up(&self, client_id: &str, evidence: &Evidence) -> Verdict {
        let Some(token) = self.token(evidence) else { return Verdict::Unknown };
        let Some(algorithm) = self.algorithm(&token) else { return Verdict::Unknown };
        let id = token.header.key_id.as_deref();
        let key = match &self.keys {
            Keys::One(key) => Some(key.clone()),
            Keys::Set(set) => set.find(id, algorithm).cloned(),
            Keys::Remote(remote) => match remote.find(id, algorithm).await {
                Found::Fresh(key) | Found::Stale(key) => Some(key),
                Found::Missing => None,
                Found::NoSet => {
                    return self.refuse(Reason::SERVER_UNAVAILABLE, "there are no keys yet");
                }
            },
        };
        self.judge(&token, algorithm, key.as_ref(), client_id, evidence)
    }

    fn judge(
        &self,
        token: &Token<'_>,
        algorithm: JwtAlgorithm,
        key: Option<&Key>,
        client_id: &str,
        evidence: &Evidence,
    ) -> Verdict {
        let is_signed = key.zip(token.signature.as_ref()).is_some_and(|(key, signature)| {
            key.verifies(algorithm, token.signed.as_bytes(), signature)
        });
        let Some(claims) = token.claims.as_ref().filter(|_| is_signed) else {
            return self.refuse(Reason::BAD_CREDENTIALS, "its signature is not good");
        };
        let values = Values::claimed(client_id, evidence);
        match claims::identity(&self.config, now_ms(), claims, &values) {
            Ok(identity) => Verdict::Accept(identity),
            Err((reason, why)) => self.refuse(reason, why),
        }
    }

    fn refuse(&self, reason: Reason, why: &'static str) -> Verdict {
        tracing::debug!(authenticator = &*self.config.name, why, "token refused");
        Verdict::Refuse(reason)
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn secret(path: &Path, is_base64: bool) -> Result<Key, AccessError> {
    from_file(path, |text| {
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !is_base64 {
            return Key::from_secret(line);
        }
        Key::from_secret(&STANDARD.decode(line).map_err(|_| "is not in base64")?)
    })
}

fn from_file<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, AccessError> {
    let text = read_bytes(path, KEY_FILE_BYTES_MAX)?;
    parse(&text).map_err(|what| AccessError::file(path, what))
}
