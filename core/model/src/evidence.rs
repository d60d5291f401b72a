use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::{Authorizer, ClientKey, Timestamp};

/// What is known of a client before it is believed.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Name of the listener that it came through.
    pub listener: Box<str>,
    /// Name of the gateway, such as `mqtt`.
    pub gateway: &'static str,
    /// Whether that listener lets clients without credentials in.
    pub allow_anonymous: bool,
    /// Its address, as seen or as a trusted proxy reports it; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// What the transport, or a trusted proxy in front of it, has found out; `None` for plain
    /// connections.
    pub transport: Option<Arc<TransportFacts>>,
    /// User name.
    pub user: Option<Box<str>>,
    /// Password.
    pub password: Option<Secret>,
    /// Method of enhanced authentication.
    pub method: Option<Box<str>>,
    /// First data of enhanced authentication.
    pub data: Option<Vec<u8>>,
}

impl Evidence {
    /// The client's certificate, if it has shown one that was verified.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateFacts> {
        self.transport.as_ref()?.certificate.as_ref()
    }
}

/// What the transport has found out about a connection, or what a trusted proxy reports of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportFacts {
    /// Name of the server that the client asked for: TLS server name, or the proxy's authority.
    pub server_name: Option<Box<str>>,
    /// Version of TLS, such as `TLSv1.3`; `None` without TLS.
    pub tls_version: Option<Box<str>>,
    /// Cipher suite by its standard name.
    pub cipher: Option<Box<str>>,
    /// The client's certificate, verified.
    pub certificate: Option<CertificateFacts>,
    /// Address of the proxy that reported the rest.
    pub proxy: Option<SocketAddr>,
}

/// What a verified client certificate says. A proxy reports the common name only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Common name of the subject.
    pub common_name: Option<Box<str>>,
    /// The whole subject as text (RFC 4514); empty if unknown.
    pub subject: Box<str>,
    /// The issuer as text (RFC 4514); empty if unknown.
    pub issuer: Box<str>,
    /// Serial number in lower-case hexadecimal; empty if unknown.
    pub serial: Box<str>,
    /// SHA-256 of the certificate in lower-case hexadecimal; empty if unknown.
    pub fingerprint: Box<str>,
    /// Alternative names: host names.
    pub dns_names: Vec<Box<str>>,
    /// Alternative names: mail addresses.
    pub emails: Vec<Box<str>>,
    /// Alternative names: URIs.
    pub uris: Vec<Box<str>>,
    /// Alternative names: addresses.
    pub addresses: Vec<IpAddr>,
}

/// A user name as it may be shown in logs and traces: some clients send a token in its place, which
/// is a secret.
#[must_use]
pub fn shown_user(user: &str) -> &str {
    // The header of a JSON Web Token begins with `{"`, here in base64.
    let is_token =
        user.starts_with("eyJ") && user.bytes().filter(|byte| *byte == b'.').count() >= 2;
    if is_token { "[token]" } else { user }
}

/// Bytes that are never shown in a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Wraps `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Secret(bytes.into())
    }

    /// The bytes, for comparing and hashing only.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Who a client turned out to be.
#[derive(Clone, Default)]
pub struct Identity {
    /// User name for rules and mountpoints.
    pub user: Option<Box<str>>,
    /// Name of the authenticator that believed it; empty for an anonymous client.
    pub authenticator: Box<str>,
    /// When the credentials expire: the client is disconnected then.
    pub expires_at: Option<Timestamp>,
    /// Whether no rule on topics binds it.
    pub is_superuser: bool,
    /// Rules that came with the credentials, such as the claims of a token. They are asked instead
    /// of the node's.
    pub rules: Option<Arc<dyn Authorizer>>,
}

impl Identity {
    /// An identity with a user name and nothing else.
    #[must_use]
    pub fn of_user(user: &str) -> Self {
        Identity { user: Some(user.into()), ..Identity::default() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("user", &self.user)
            .field("authenticator", &self.authenticator)
            .field("expires_at", &self.expires_at)
            .field("is_superuser", &self.is_superuser)
            .field("has_rules", &self.rules.is_some())
            .finish()
    }
}

/// A connected client as rules see it: who it is and by which road it came.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The session.
    pub client: ClientKey,
    /// Name of the gateway.
    pub gateway: &'static str,
    /// Name of the listener.
    pub listener: Box<str>,
    /// Its address, as seen or as a trusted proxy reports it.
    pub peer: Option<SocketAddr>,
    /// What the transport has found out.
    pub transport: Option<Arc<TransportFacts>>,
    /// Who it turned out to be.
    pub identity: Identity,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_place_of_a_user_name_is_not_shown() {
        for token in
            ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "eyJhIjoxfQ..sig", "eyJh.b.c.d.e"]
        {
            assert_eq!(shown_user(token), "[token]");
        }
        for name in ["", "ann", "eyJ", "a.b.c", "eyJack.smith"] {
            assert_eq!(shown_user(name), name);
        }
    }
}
