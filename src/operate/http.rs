//! The HTTP listener for monitoring: metrics, and whether the server is alive and ready.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use core_model::Secret;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, Sleep};

use super::metrics;
use crate::config::Config;

/// Connections at once; more wait in the system's backlog.
const CONNECTIONS_MAX: usize = 32;
/// Time from a connection's beginning, or from the last byte that it took, to its next request. A
/// peer that sends its request byte by byte has no more.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pages made at once.
const PAGES_MAX: usize = 2;

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Where monitoring asks, and what it has to show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpConfig {
    /// Address; port 0 lets the system choose.
    pub(crate) bind: SocketAddr,
    /// What a request has to show; without it all are answered.
    pub(crate) token: Option<Secret>,
}

impl HttpConfig {
    /// As the configuration says; `None` for no listener.
    ///
    /// # Errors
    /// The file with the token cannot be read, or there is none in it.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, String> {
        let Some(http) = &config.node.http.0 else { return Ok(None) };
        let file = http.token_file.0.as_ref().map(|file| file.in_folder(config.folder()));
        let token = file.map(|file| read_token(&file)).transpose();
        let token = token.map_err(|fault| format!("http.token_file: {fault}"))?;
        Ok(Some(HttpConfig { bind: http.bind, token }))
    }
}

/// The token in a file, without white space around it.
///
/// # Errors
/// The file, and why there is no token in it.
pub(crate) fn read_token(file: &Path) -> Result<Secret, String> {
    let fault = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    let mut text = String::new();
    let opened = File::open(file).map(|file| file.take(TOKEN_BYTES_MAX + 1));
    opened.and_then(|mut f| f.read_to_string(&mut text)).map_err(|error| fault(&error))?;
    match text.trim() {
        "" => Err(fault(&"there is no token in it")),
        token if token.len() as u64 > TOKEN_BYTES_MAX => {
            Err(fault(&format!("the token has more than {TOKEN_BYTES_MAX} bytes")))
        }
        token => Ok(Secret::new(token.as_bytes())),
    }
}

/// What the pages say. The calls may wait for shards.
pub(crate) trait Pages: Send + Sync {
    /// The page of metrics.
    fn metrics(&self) -> String;

    /// Whether clients are served.
    ///
    /// # Errors
    /// Why not.
    fn readiness(&self) -> Result<(), String>;
}

/// The open listener. One thread serves it, beside everything else. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct HttpServer {
    bind: SocketAddr,
    address: SocketAddr,
    guard: Arc<Guard>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Opens it.
    pub(crate) fn open(config: HttpConfig, pages: Arc<dyn Pages>) -> io::Result<Self> {
        let HttpConfig { bind, token } = config;
        let socket = TcpListener::bind(bind)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let guard = Arc::new(Guard { token: RwLock::new(token) });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(PAGES_MAX)
            .build()?;
        let router = router(pages, Arc::clone(&guard));
        let (end, ended) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
                let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
                let serving = axum::serve(Bounded { socket, permits }, router);
                // Either may be dropped at any time: nobody waits for a page of a server that ends.
                tokio::select! {
                    _ = ended => {}
                    _ = serving => {}
                }
            });
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("http".into()).spawn(serve)?;
        Ok(HttpServer { bind, address, guard, end: Some(end), thread: Some(thread) })
    }

    /// Where it was to listen.
    pub(crate) fn bind(&self) -> SocketAddr {
        self.bind
    }

    /// Where it really listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for another token from now on.
    pub(crate) fn set_token(&self, token: Option<Secret>) {
        *self.guard.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn router(pages: Arc<dyn Pages>, guard: Arc<Guard>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(show_readiness))
        .with_state(pages)
        .layer(middleware::from_fn_with_state(guard, ask_for_token))
}

async fn show_metrics(State(pages): State<Arc<dyn Pages>>) -> Response {
    match tokio::task::spawn_blocking(move || pages.metrics()).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn show_readiness(State(pages): State<Arc<dyn Pages>>) -> Response {
    match tokio::task::spawn_blocking(move || pages.readiness()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(why)) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Debug)]
struct Guard {
    token: RwLock<Option<Secret>>,
}

impl Guard {
    fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = &*token else { return true };
        let shown = authorization.and_then(|value| {
            let (scheme, shown) = value.split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(shown)
        });
        shown.is_some_and(|shown| bool::from(shown.ct_eq(token.expose())))
    }
}

async fn ask_for_token(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    if guard.admits(authorization.map(|value| value.as_bytes())) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

/// Accepts no more connections than there are permits.
struct Bounded {
    socket: tokio::net::TcpListener,
    permits: Arc<Semaphore>,
}

impl axum::serve::Listener for Bounded {
    type Io = Patient;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Patient, SocketAddr) {
        /// A rest when the system is out of descriptors.
        const PAUSE: Duration = Duration::from_millis(500);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("nobody closes the semaphore");
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => return (Patient::new(stream, permit), peer),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A connection that ends when it has taken nothing for too long.
struct Patient {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Patient {
    fn new(stream: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        Patient { stream, end: Box::pin(tokio::time::sleep(PATIENCE)), _permit: permit }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(1..)) = written {
            self.end.as_mut().reset(Instant::now() + PATIENCE);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    struct Fixed(Result<(), String>);

    impl Pages for Fixed {
        fn metrics(&self) -> String {
            "# EOF\n".into()
        }

        fn readiness(&self) -> Result<(), String> {
            self.0.clone()
        }
    }

    fn open(token: Option<&str>, readiness: Result<(), String>) -> HttpServer {
        let token = token.map(|token| Secret::new(token.as_bytes()));
        let bind = "127.0.0.1:0".parse().unwrap();
        HttpServer::open(HttpConfig { bind, token }, Arc::new(Fixed(readiness))).unwrap()
    }

    fn fetch(server: &HttpServer, path: &str, headers: &str) -> String {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn pages_are_served() {
        let server = open(None, Ok(()));
        let metrics = fetch(&server, "/metrics", "");
        assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
        let type_line = format!("content-type: {}\r\n", metrics::CONTENT_TYPE);
        assert!(metrics.contains(&type_line), "{metrics}");
        assert!(metrics.ends_with("# EOF\n"));
        assert!(fetch(&server, "/healthz", "").ends_with("alive\n"));
        assert!(fetch(&server, "/readyz", "").ends_with("ready\n"));
        assert!(fetch(&server, "/other", "").starts_with("HTTP/1.1 404 "));
    }

    #[test]
    fn a_server_that_is_not_ready_says_why() {
        let server = open(None, Err("it ends".into()));
        let answer = fetch(&server, "/readyz", "");
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("it ends\n"), "{answer}");
        assert!(fetch(&server, "/healthz", "").starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn without_the_token_nothing_is_said() {
        let server = open(Some("open sesame"), Ok(()));
        for path in ["/metrics", "/healthz", "/readyz", "/other"] {
            for headers in
                ["", "Authorization: Bearer open\r\n", "Authorization: Basic open sesame\r\n"]
            {
                let answer = fetch(&server, path, headers);
                assert!(answer.starts_with("HTTP/1.1 401 "), "{path} {headers}: {answer}");
                assert!(!answer.contains("sesame"));
            }
        }
        let good = "Authorization: Bearer open sesame\r\n";
        assert!(fetch(&server, "/metrics", good).starts_with("HTTP/1.1 200 "));
        server.set_token(Some(Secret::new(b"other")));
        assert!(fetch(&server, "/metrics", good).starts_with("HTTP/1.1 401 "));
        let good = "Authorization: bearer other\r\n";
        assert!(fetch(&server, "/metrics", good).starts_with("HTTP/1.1 200 "));
    }
}
