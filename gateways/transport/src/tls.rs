use std::path::PathBuf;

/// Which files a listener's TLS is made of, and what it asks of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain, PEM, its own certificate first.
    pub certificate: PathBuf,
    /// Its private key, PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
    /// Other certificates for clients that ask for a server by name.
    pub names: Vec<NamedFiles>,
    /// Certificates of the authorities that client certificates must come from, PEM.
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to show a certificate. Needs `client_ca` unless `None`.
    pub client_auth: ClientAuth,
    /// Lists of revoked client certificates, PEM or DER. If there are any, each authority of a
    /// client's chain must have one.
    pub crls: Vec<PathBuf>,
    /// Lowest version that is spoken.
    pub min_version: TlsVersion,
    /// Application protocols, the best one first: a client that names some and none of these is
    /// refused. Empty: not looked at.
    pub alpn: Vec<Box<str>>,
}

/// A certificate for one server name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// `mqtt.example.org`, or `*.example.org` for all names with one label more.
    pub name: Box<str>,
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may show one, which must be valid.
    Optional,
    /// They must show a valid one.
    Required,
}

/// Version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// The certificates, keys and rules of a listener's TLS, ready to be used by any number of
/// connections.
#[derive(Debug)]
pub struct TlsContext {}

impl TlsContext {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is at fault, and why.
    pub fn new(_files: &TlsFiles) -> Result<Self, TlsFileError> {
        Ok(TlsContext {})
    }
}

/// What is wrong with a file of a TLS listener.
#[derive(Debug, thiserror::Error)]
#[error("{}: {text}", path.display())]
pub struct TlsFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub text: Box<str>,
}
