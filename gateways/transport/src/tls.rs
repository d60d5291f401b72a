//! TLS: what a listener's files say, and the records of one connection.

mod files;
mod names;
mod stream;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;

pub use files::{ClientAuth, NamedFiles, TlsFileError, TlsFiles, TlsVersion};
pub(crate) use names::AskedName;
use names::{Certificates, Listening};
pub(crate) use stream::{TlsStream, is_about_certificate};

/// The certificates, keys and rules of a listener's TLS, ready to be used by any number of
/// connections. Sessions that one context has handed out are not resumed with another one, so a
/// reload ends them; where clients show certificates none are, so each connection is judged anew.
pub struct TlsContext {
    config: ServerConfig,
    certificates: Arc<Certificates>,
}

impl TlsContext {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is at fault, and why.
    pub fn new(files: &TlsFiles) -> Result<Self, TlsFileError> {
        let certificates = Arc::new(files::certificates(files)?);
        let config = files::config(files, Arc::clone(&certificates))?;
        Ok(TlsContext { config, certificates })
    }

    /// Begins the server's side of a connection.
    pub(crate) fn begin(&self) -> Result<(TlsStream, AskedName), rustls::Error> {
        let name = AskedName::default();
        // Nothing else tells which name was asked for. The copy is gone after the handshake.
        let mut config = self.config.clone();
        config.cert_resolver =
            Arc::new(Listening::new(Arc::clone(&self.certificates), Arc::clone(&name)));
        Ok((TlsStream::new(Arc::new(config))?, name))
    }
}

impl fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsContext").finish_non_exhaustive()
    }
}

impl TlsFileError {
    #[cold]
    pub(crate) fn new(path: impl Into<PathBuf>, text: impl fmt::Display) -> Self {
        TlsFileError { path: path.into(), text: text.to_string().into() }
    }
}
