use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, StatusCode, Url};

use super::key::{JwtAlgorithm, Key, KeySet};
use crate::error::AccessError;
use crate::http::client;

/// Largest set of keys that is taken, in bytes.
const SET_BYTES_MAX: usize = 256 << 10;

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    /// `https://` or `http://`; redirects are not followed.
    pub url: String,
    /// Certificate authorities in PEM that count instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Milliseconds after which the set is fetched again, or sooner if the answer's `max-age` says so.
    pub refresh_ms: u64,
    /// Least milliseconds between two attempts, whatever tokens name keys that are not known.
    pub retry_ms: u64,
    /// Milliseconds for an attempt.
    pub timeout_ms: u64,
}

impl Default for JwksUrl {
    fn default() -> Self {
        JwksUrl {
            url: String::new(),
            ca_file: None,
            refresh_ms: 300_000,
            retry_ms: 10_000,
            timeout_ms: 5_000,
        }
    }
}

/// An issuer's keys, fetched when they are wanted. What was fetched last stays good while later
/// attempts fail.
#[derive(Debug)]
pub(super) struct RemoteKeys {
    pub(super) config: JwksUrl,
    url: Url,
    client: Client,
    state: Mutex<State>,
    /// Held by whoever fetches.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    set: Option<Arc<KeySet>>,
    etag: Option<HeaderValue>,
    fresh_until: Option<Instant>,
    next_attempt: Option<Instant>,
}

/// What the node knows of a key.
pub(super) enum Found {
    /// It is this one.
    Fresh(Key),
    /// It was this one when the set was last fetched, which is long ago.
    Stale(Key),
    /// It is not in the set.
    Missing,
    /// There is no set yet.
    NoSet,
}

impl RemoteKeys {
    pub(super) fn new(config: JwksUrl) -> Result<Self, AccessError> {
        let url = client::check_url(&config.url)?;
        let timeout = Duration::from_millis(config.timeout_ms);
        let client = client::client(&url, config.ca_file.as_deref(), timeout, 1)?;
        let (state, fetching) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(RemoteKeys { config, url, client, state, fetching })
    }

    /// What is known without asking.
    fn known(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> Found {
        let state = self.state();
        let Some(set) = &state.set else { return Found::NoSet };
        match set.find(id, algorithm).cloned() {
            None => Found::Missing,
            Some(key) if state.fresh_until.is_some_and(|until| Instant::now() < until) => {
                Found::Fresh(key)
            }
            Some(key) => Found::Stale(key),
        }
    }

    /// What is known after asking, where that is due. May be dropped at any time.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> Found {
        let known = self.known(id, algorithm);
        let _turn = match &known {
            Found::Fresh(_) => return known,
            // One look-up renews the set; the others go on with what there is.
            Found::Stale(_) => match self.fetching.try_lock() {
                Ok(turn) => turn,
                Err(_) => return known,
            },
            Found::Missing | Found::NoSet => self.fetching.lock().await,
        };
        let known = self.known(id, algorithm);
        if matches!(known, Found::Fresh(_)) || !self.begin_attempt() {
            return known;
        }
        if let Err(error) = self.fetch().await {
            tracing::warn!(error, "key set could not be fetched");
        }
        self.known(id, algorithm)
    }

    /// Whether another attempt is due; it is counted as begun then.
    fn begin_attempt(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        if state.next_attempt.is_some_and(|next| now < next) {
            return false;
        }
        state.next_attempt = Some(now + Duration::from_millis(self.config.retry_ms));
        true
    }

    async fn fetch(&self) -> Result<(), String> {
        let mut request = self.client.get(self.url.clone());
        if let Some(etag) = self.state().etag.clone() {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = request.send().await.map_err(client::describe)?;
        let fresh_ms = self.fresh_ms(answer.headers());
        let etag = answer.headers().get(ETAG).cloned();
        let status = answer.status();
        let set = match status {
            StatusCode::NOT_MODIFIED => None,
            StatusCode::OK => {
                let text = client::body(answer, SET_BYTES_MAX).await?;
                let set = KeySet::parse(&text).map_err(|error| format!("the set {error}"))?;
                Some(Arc::new(set))
            }
            _ => return Err(format!("the answer is {}", status.as_u16())),
        };
        let mut state = self.state();
        if set.is_some() {
            (state.set, state.etag) = (set, etag);
        }
        state.fresh_until = Some(Instant::now() + Duration::from_millis(fresh_ms));
        Ok(())
    }

    /// How long a set is good that came with these headers.
    fn fresh_ms(&self, headers: &HeaderMap) -> u64 {
        let JwksUrl { refresh_ms, retry_ms, .. } = self.config;
        let control = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let mut fresh_ms = refresh_ms;
        for directive in control.unwrap_or("").split(',').map(str::trim) {
            let max_age = directive.strip_prefix("max-age=").and_then(|age| age.parse().ok());
            match (directive, max_age) {
                ("no-cache" | "no-store", _) => fresh_ms = 0,
                (_, Some(seconds)) => fresh_ms = fresh_ms.min(u64::saturating_mul(seconds, 1_000)),
                _ => {}
            }
        }
        fresh_ms.max(retry_ms)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
