use core_model::Secret;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use ring::{hmac, signature};
use serde_json::Value;

/// Shortest secret in bytes (RFC 7518 section 3.2, for HS256).
const SECRET_BYTES_MIN: usize = 32;

/// Shortest modulus of an RSA key in bytes (RFC 7518 section 3.3).
const MODULUS_BYTES_MIN: usize = 256;

/// Keys of a set at most.
const KEYS_MAX: usize = 100;

/// How a token is signed (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// RSA PKCS #1 v1.5 with SHA-384.
    Rs384,
    /// RSA PKCS #1 v1.5 with SHA-512.
    Rs512,
    /// RSA PSS with SHA-256.
    Ps256,
    /// RSA PSS with SHA-384.
    Ps384,
    /// RSA PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    /// All of them.
    pub const ALL: [JwtAlgorithm; 12] = [
        JwtAlgorithm::Hs256,
        JwtAlgorithm::Hs384,
        JwtAlgorithm::Hs512,
        JwtAlgorithm::Rs256,
        JwtAlgorithm::Rs384,
        JwtAlgorithm::Rs512,
        JwtAlgorithm::Ps256,
        JwtAlgorithm::Ps384,
        JwtAlgorithm::Ps512,
        JwtAlgorithm::Es256,
        JwtAlgorithm::Es384,
        JwtAlgorithm::EdDsa,
    ];

    /// Its name in a token's header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            JwtAlgorithm::Hs256 => "HS256",
            JwtAlgorithm::Hs384 => "HS384",
            JwtAlgorithm::Hs512 => "HS512",
            JwtAlgorithm::Rs256 => "RS256",
            JwtAlgorithm::Rs384 => "RS384",
            JwtAlgorithm::Rs512 => "RS512",
            JwtAlgorithm::Ps256 => "PS256",
            JwtAlgorithm::Ps384 => "PS384",
            JwtAlgorithm::Ps512 => "PS512",
            JwtAlgorithm::Es256 => "ES256",
            JwtAlgorithm::Es384 => "ES384",
            JwtAlgorithm::EdDsa => "EdDSA",
        }
    }

    /// By its name in a token's header, `none` being no algorithm.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(crate) fn is_hmac(self) -> bool {
        matches!(self, JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512)
    }
}

/// A key, which fits the algorithms of its own kind only: so a public key is never taken for the
/// secret of an HMAC.
#[derive(Clone)]
pub(crate) enum Key {
    Hmac(Secret),
    /// The public key as in PKCS #1.
    RsaDer(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Uncompressed points.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    pub(crate) fn from_secret(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("has a secret shorter than {SECRET_BYTES_MIN} bytes"));
        }
        Ok(Key::Hmac(Secret::new(secret)))
    }

    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        if String::from_utf8_lossy(pem).contains("PRIVATE KEY") {
            return Err("has a private key where the public one belongs".into());
        }
        let readers =
            [DecodingKey::from_rsa_pem, DecodingKey::from_ec_pem, DecodingKey::from_ed_pem];
        let key = readers.into_iter().find_map(|read| read(pem).ok());
        let key = key.ok_or("has no public key of RSA, P-256, P-384 or Ed25519 in PEM")?;
        Self::from_parts(&key)
    }

    fn from_jwk(jwk: &Jwk) -> Result<Self, String> {
        let curve = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => None,
            AlgorithmParameters::EllipticCurve(own) => Some(&own.curve),
            AlgorithmParameters::OctetKeyPair(own) => Some(&own.curve),
            _ => return Err("has a kind of key that is not for tokens".into()),
        };
        let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
        let key = Self::from_parts(&key)?;
        let fits = match &key {
            Key::P256(_) => curve == Some(&EllipticCurve::P256),
            Key::P384(_) => curve == Some(&EllipticCurve::P384),
            Key::Ed25519(_) => curve == Some(&EllipticCurve::Ed25519),
            _ => curve.is_none(),
        };
        if fits { Ok(key) } else { Err("has a key that is not of its curve".into()) }
    }

    fn from_parts(key: &DecodingKey) -> Result<Self, String> {
        use jsonwebtoken::AlgorithmFamily as Family;
        let key = match (key.family(), key.kind()) {
            (Family::Rsa, DecodingKeyKind::SecretOrDer(der)) => Key::RsaDer(der.clone()),
            (Family::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let modulus = n.iter().copied().skip_while(|byte| *byte == 0).collect();
                Key::Rsa { modulus, exponent: e.clone() }
            }
            (Family::Ec, DecodingKeyKind::SecretOrDer(point)) if point.len() == 65 => {
                Key::P256(point.clone())
            }
            (Family::Ec, DecodingKeyKind::SecretOrDer(point)) if point.len() == 97 => {
                Key::P384(point.clone())
            }
            (Family::Ed, DecodingKeyKind::SecretOrDer(point)) if point.len() == 32 => {
                Key::Ed25519(point.clone())
            }
            _ => return Err("has a key on a curve other than P-256, P-384 and Ed25519".into()),
        };
        match &key {
            Key::RsaDer(bytes) | Key::Rsa { modulus: bytes, .. }
                if bytes.len() < MODULUS_BYTES_MIN =>
            {
                Err("has an RSA key shorter than 2048 bits".into())
            }
            _ => Ok(key),
        }
    }

    /// Whether tokens may be signed by `algorithm` for this key.
    pub(crate) fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        use JwtAlgorithm as A;
        match self {
            Key::Hmac(_) => algorithm.is_hmac(),
            Key::RsaDer(_) | Key::Rsa { .. } => {
                matches!(algorithm, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512)
            }
            Key::P256(_) => algorithm == A::Es256,
            Key::P384(_) => algorithm == A::Es384,
            Key::Ed25519(_) => algorithm == A::EdDsa,
        }
    }

    /// Whether `bytes` are the key's signature on `signed`.
    pub(crate) fn verifies(&self, algorithm: JwtAlgorithm, signed: &[u8], bytes: &[u8]) -> bool {
        match self {
            Key::Hmac(secret) => hash(algorithm).is_some_and(|hash| {
                hmac::verify(&hmac::Key::new(hash, secret.expose()), signed, bytes).is_ok()
            }),
            Key::RsaDer(der) => rsa(algorithm).is_some_and(|parameters| {
                signature::UnparsedPublicKey::new(parameters, der).verify(signed, bytes).is_ok()
            }),
            Key::Rsa { modulus: n, exponent: e } => rsa(algorithm).is_some_and(|parameters| {
                signature::RsaPublicKeyComponents { n, e }.verify(parameters, signed, bytes).is_ok()
            }),
            Key::P256(point) => {
                let curve = &signature::ECDSA_P256_SHA256_FIXED;
                algorithm == JwtAlgorithm::Es256
                    && signature::UnparsedPublicKey::new(curve, point).verify(signed, bytes).is_ok()
            }
            Key::P384(point) => {
                let curve = &signature::ECDSA_P384_SHA384_FIXED;
                algorithm == JwtAlgorithm::Es384
                    && signature::UnparsedPublicKey::new(curve, point).verify(signed, bytes).is_ok()
            }
            Key::Ed25519(point) => {
                algorithm == JwtAlgorithm::EdDsa
                    && signature::UnparsedPublicKey::new(&signature::ED25519, point)
                        .verify(signed, bytes)
                        .is_ok()
            }
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Key::Hmac(_) => "Hmac",
            Key::RsaDer(_) | Key::Rsa { .. } => "Rsa",
            Key::P256(_) => "P256",
            Key::P384(_) => "P384",
            Key::Ed25519(_) => "Ed25519",
        })
    }
}

fn hash(algorithm: JwtAlgorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        JwtAlgorithm::Hs256 => Some(hmac::HMAC_SHA256),
        JwtAlgorithm::Hs384 => Some(hmac::HMAC_SHA384),
        JwtAlgorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa(algorithm: JwtAlgorithm) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        JwtAlgorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        JwtAlgorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        JwtAlgorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        JwtAlgorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        JwtAlgorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        JwtAlgorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

/// The public keys of one issuer (RFC 7517).
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<NamedKey>,
}

#[derive(Debug)]
struct NamedKey {
    id: Option<Box<str>>,
    /// The only algorithm that the issuer uses it with, if he says so.
    algorithm: Option<Box<str>>,
    key: Key,
}

impl KeySet {
    /// Reads a set. Keys that are not for signatures, or of a kind that is not known, are left out.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let set: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("has no list \"keys\"")?;
        if keys.len() > KEYS_MAX {
            return Err(format!("has more than {KEYS_MAX} keys"));
        }
        let keys: Vec<NamedKey> = keys.iter().filter_map(NamedKey::parse).collect();
        if keys.is_empty() {
            return Err("has no key that tokens can be checked by".into());
        }
        Ok(KeySet { keys })
    }

    /// The key that a token names. A token that names none is for the only key that fits.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|named| {
            let same = id.is_none_or(|id| named.id.as_deref() == Some(id));
            let own = named.algorithm.as_deref().is_none_or(|own| own == algorithm.name());
            same && own && named.key.fits(algorithm)
        });
        let first = fitting.next()?;
        (id.is_some() || fitting.next().is_none()).then_some(&first.key)
    }
}

impl NamedKey {
    fn parse(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|own| *own == PublicKeyUse::Signature);
        let algorithm = value.get("alg").and_then(Value::as_str).map(Box::from);
        let id = jwk.common.key_id.as_deref().map(Box::from);
        let key = Key::from_jwk(&jwk).ok().filter(|_| is_for_signatures)?;
        Some(NamedKey { id, algorithm, key })
    }
}
