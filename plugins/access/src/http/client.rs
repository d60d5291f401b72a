use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use thiserror::Error;

/// Why an HTTP server cannot be asked at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpClientError {
    /// Not a URL that can be used; the URL is not shown, as it may hold a secret.
    #[error("the URL {0}")]
    Url(&'static str),
    /// The file of certificate authorities is of no use.
    #[error("{}: {problem}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The system's certificate authorities, or TLS, are of no use.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The client cannot be made.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

/// Checks a URL that a server is asked by.
pub(crate) fn check_url(text: &str) -> Result<Url, HttpClientError> {
    let url = Url::parse(text).map_err(|_| HttpClientError::Url("cannot be understood"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(HttpClientError::Url("does not begin with http:// or https:// and a host"));
    }
    Ok(url)
}

/// A client that follows no redirects, asks no proxy and trusts the system's authorities, or those
/// in a file only.
pub(crate) fn client(
    url: &Url,
    ca_file: Option<&Path>,
    timeout: Duration,
    idle_max: usize,
) -> Result<Client, HttpClientError> {
    Client::builder()
        .tls_backend_preconfigured(tls(url.scheme() == "https", ca_file)?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .timeout(timeout)
        .connect_timeout(timeout)
        .pool_max_idle_per_host(idle_max)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("manifold/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| HttpClientError::Client(error.without_url().to_string()))
}

fn tls(is_used: bool, ca_file: Option<&Path>) -> Result<ClientConfig, HttpClientError> {
    let fault = |error: rustls::Error| HttpClientError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(fault)?;
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        // Plain HTTP must work on systems without any authority.
        None if !is_used => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_platform_verifier().map_err(fault)?,
    };
    Ok(builder.with_no_client_auth())
}

fn authorities(path: &Path) -> Result<RootCertStore, HttpClientError> {
    let fault = |problem| HttpClientError::CaFile { path: path.to_owned(), problem };
    let mut store = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        store.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(fault("has no certificate".into()));
    }
    Ok(store)
}

/// The body of an answer of at most `bytes_max`.
pub(crate) async fn body(mut answer: Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(describe)? {
        if body.len() + part.len() > bytes_max {
            return Err(format!("the answer is larger than {bytes_max} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// A fault with its causes and without the URL, which may hold a secret.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
