use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest token in bytes.
const TOKEN_BYTES_MAX: usize = 32 << 10;

/// A token whose parts were read, and nothing checked yet (RFC 7515, RFC 7519).
pub(crate) struct Token<'a> {
    /// What the signature is on.
    pub(crate) signed: &'a str,
    pub(crate) header: Header,
    /// `None` if they are no JSON object.
    pub(crate) claims: Option<Map<String, Value>>,
    /// `None` if it is not in base64url.
    pub(crate) signature: Option<Vec<u8>>,
}

/// What a token says of its signature.
#[derive(Deserialize)]
pub(crate) struct Header {
    #[serde(rename = "alg")]
    pub(crate) algorithm: String,
    #[serde(rename = "kid")]
    pub(crate) key_id: Option<String>,
    /// Extensions that whoever checks the token must know.
    #[serde(rename = "crit")]
    pub(crate) critical: Option<Value>,
}

impl<'a> Token<'a> {
    /// Takes a token apart; `None` for what is none: it has not three parts, or its first is no
    /// header.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        let header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok();
        let claims = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
        let signature = URL_SAFE_NO_PAD.decode(signature).ok();
        Some(Token { signed, header, claims, signature })
    }
}
