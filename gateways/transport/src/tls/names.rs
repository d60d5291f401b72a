use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of a listener, by server name.
#[derive(Debug)]
pub(super) struct Certificates {
    default: Arc<CertifiedKey>,
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
}

impl Certificates {
    pub(super) fn new(default: CertifiedKey) -> Self {
        Certificates { default: Arc::new(default), exact: HashMap::new(), wildcard: HashMap::new() }
    }

    /// Adds the certificate for `name`; says whether the name makes sense and is new.
    pub(super) fn add(&mut self, name: &str, certificate: CertifiedKey) -> bool {
        let name = name.to_ascii_lowercase();
        let (names, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, name.as_str()),
        };
        if name.is_empty() || name.contains('*') {
            return false;
        }
        names.insert(name.into(), Arc::new(certificate)).is_none()
    }

    /// The certificate for `name`: of that name, else of its wildcard, else the default.
    fn find(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let found = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let wildcard = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name.as_str()).or_else(wildcard)
        });
        Arc::clone(found.unwrap_or(&self.default))
    }
}

/// Gets the server name that a client asks for, in lower case.
pub(crate) type AskedName = Arc<OnceLock<Box<str>>>;

/// Chooses the certificate of one connection and remembers the name that was asked for.
#[derive(Debug)]
pub(super) struct Listening {
    certificates: Arc<Certificates>,
    name: AskedName,
}

impl Listening {
    pub(super) fn new(certificates: Arc<Certificates>, name: AskedName) -> Self {
        Listening { certificates, name }
    }
}

impl ResolvesServerCert for Listening {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        if let Some(name) = name {
            // A second hello of the same connection has to ask for the same name.
            let _ = self.name.set(name.to_ascii_lowercase().into());
        }
        Some(self.certificates.find(name))
    }
}
