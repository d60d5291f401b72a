use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::error::{AccessError, read_bytes};

/// Largest file of certificate authorities, in bytes.
const CA_FILE_BYTES_MAX: u64 = 4 << 20;

/// Checks a URL that a server is asked by. No error shows it, as it may hold a secret.
pub(crate) fn check_url(text: &str) -> Result<Url, AccessError> {
    let url = Url::parse(text).map_err(|_| AccessError::setting("url", "cannot be understood"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        let what = "does not begin with http:// or https:// and a host";
        return Err(AccessError::setting("url", what));
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
) -> Result<Client, AccessError> {
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
        .map_err(|error| AccessError::setting("url", describe(error)))
}

fn tls(is_used: bool, ca_file: Option<&Path>) -> Result<ClientConfig, AccessError> {
    let fault = |error: rustls::Error| AccessError::setting("ca_file", error.to_string());
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

fn authorities(path: &Path) -> Result<RootCertStore, AccessError> {
    let fault = |what: &dyn std::fmt::Display| AccessError::file(path, what.to_string());
    let pem = read_bytes(path, CA_FILE_BYTES_MAX)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| fault(&error))?;
        store.add(certificate).map_err(|error| fault(&error))?;
    }
    if store.is_empty() {
        return Err(fault(&"has no certificate"));
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
