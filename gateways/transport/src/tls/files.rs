use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{
    NoServerSessionStorage, ServerSessionMemoryCache, VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::names::Certificates;

/// Sessions that clients may resume which take no tickets; about 300 bytes each.
const RESUMABLE_SESSIONS_MAX: usize = 1024;

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
    /// client's chain must have one. A list counts beyond the date of its next update.
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

/// What is wrong with a file of a TLS listener.
#[derive(Debug, thiserror::Error)]
#[error("{}: {text}", path.display())]
pub struct TlsFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub text: Box<str>,
}

/// Reads the server's certificates and keys.
pub(super) fn certificates(files: &TlsFiles) -> Result<Certificates, TlsFileError> {
    let provider = ring::default_provider();
    let default = certified_key(&files.certificate, &files.key, &provider)?;
    let mut certificates = Certificates::new(default);
    for named in &files.names {
        let certificate = certified_key(&named.certificate, &named.key, &provider)?;
        if !certificates.add(&named.name, certificate) {
            let text = format!("its name {:?} is no server name, or is there twice", named.name);
            return Err(TlsFileError::new(&named.certificate, text));
        }
    }
    Ok(certificates)
}

/// What all connections share.
pub(super) fn config(
    files: &TlsFiles,
    certificates: Arc<Certificates>,
) -> Result<ServerConfig, TlsFileError> {
    // Given explicitly: no part of the process depends on which provider was installed first.
    let provider = Arc::new(ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match files.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("the provider has ciphers for both versions");
    let asks_clients = files.client_auth != ClientAuth::None;
    let builder = match &files.client_ca {
        Some(path) => {
            let verifier = client_verifier(files, path, provider)?;
            if asks_clients {
                builder.with_client_cert_verifier(verifier)
            } else {
                builder.with_no_client_auth()
            }
        }
        None if asks_clients => {
            let text = "clients are asked for certificates, but no file says of which authority";
            return Err(TlsFileError::new(&files.certificate, text));
        }
        None => builder.with_no_client_auth(),
    };
    let mut config =
        builder.with_cert_resolver(Arc::new(super::Listening::new(certificates, Arc::default())));
    config.alpn_protocols = files.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    if asks_clients {
        // A resumed session is not checked against dates and revocation lists.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS_MAX);
        config.ticketer =
            ring::Ticketer::new().map_err(|error| TlsFileError::new(&files.certificate, error))?;
        config.send_tls13_tickets = 1;
    }
    Ok(config)
}

fn certified_key(
    certificate_path: &Path,
    key_path: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsFileError> {
    let chain = pem_certificates(certificate_path)?;
    let key = private_key(key_path)?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| {
        TlsFileError::new(key_path, format_args!("its key cannot be used: {error}"))
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let text =
                format!("its key is not that of the certificate in {}", certificate_path.display());
            Err(TlsFileError::new(key_path, text))
        }
        Err(error) => {
            let text = format!("its first certificate cannot be used: {error}");
            Err(TlsFileError::new(certificate_path, text))
        }
    }
}

fn pem_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| not_pem(path, &error))?;
    if chain.is_empty() {
        return Err(TlsFileError::new(path, "holds no certificate (PEM)"));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
            let text = if is_encrypted {
                "holds an encrypted private key, which cannot be used"
            } else {
                "holds no private key (PEM: PKCS#8, PKCS#1 or SEC1)"
            };
            TlsFileError::new(path, text)
        }
        error => not_pem(path, &error),
    })
}

fn client_verifier(
    files: &TlsFiles,
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsFileError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in pem_certificates(path)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            let number = index + 1;
            let text = format!("its certificate {number} is no authority: {error}");
            TlsFileError::new(path, text)
        })?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    for crl_path in &files.crls {
        let crls = revocation_lists(crl_path)?;
        // Each file is tried alone first, since the final error does not name it.
        for crl in &crls {
            check_crl(crl).map_err(|text| TlsFileError::new(crl_path, text))?;
        }
        builder = builder.with_crls(crls);
    }
    if files.client_auth == ClientAuth::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        let path = match (&error, files.crls.as_slice()) {
            (VerifierBuilderError::InvalidCrl(_), [crl_path, ..]) => crl_path,
            _ => path,
        };
        TlsFileError::new(path, error)
    })
}

fn revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFileError> {
    let bytes = read(path)?;
    // DER begins with the tag of a sequence.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(bytes)]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = lists.map_err(|error| not_pem(path, &error))?;
    if lists.is_empty() {
        return Err(TlsFileError::new(path, "holds no revocation list (PEM or DER)"));
    }
    Ok(lists)
}

fn check_crl(crl: &CertificateRevocationListDer<'_>) -> Result<(), &'static str> {
    x509_parser::parse_x509_crl(crl)
        .map(|_| ())
        .map_err(|_| "holds a revocation list that cannot be read")
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    fs::read(path).map_err(|error| TlsFileError::new(path, error))
}

#[cold]
fn not_pem(path: &Path, error: &pem::Error) -> TlsFileError {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section has no proper beginning",
        pem::Error::Base64Decode(_) => "a section is no base64",
        _ => "it cannot be read",
    };
    TlsFileError::new(path, format_args!("is no good PEM file: {what}"))
}
