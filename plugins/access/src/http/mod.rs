//! An HTTP server that is asked about each client.
//!
//! The server answers with status 200 and a JSON object: `result` is `allow`, `deny` or `ignore`
//! (the next authenticator is asked); with `allow` there may be `is_superuser`, `user` (the user name
//! for rules instead of the client's own), `acl` (rules instead of the node's, as in a token) and
//! `expire_at` (seconds since the epoch at which the client is disconnected). Status 204 allows, 401
//! refuses as bad credentials, 403 as not authorized. Everything else is trouble: another status, an
//! answer that cannot be understood or does not come in time.

mod answer;
mod answers;
pub(crate) mod client;
mod request;
mod template;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use core_model::{Authenticator, Evidence, Reason, Verdict};
use reqwest::{Client, StatusCode};
use ring::rand::SystemRandom;
use ring::{hmac, rand};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::answer::Judgement;
use self::answers::{Answers, Digest};
use self::request::{Request, RequestTemplate};
use crate::error::AccessError;
use crate::jwt::now_ms;

/// Largest answer in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Failures in a row after which the server is left alone for a while.
const FAILURES_MAX: u32 = 5;

/// How a server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpMethod {
    /// With the fields in the query.
    Get,
    /// With the fields in the body.
    #[default]
    Post,
}

/// How fields stand in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpEncoding {
    /// A JSON object of texts; `null` for what is not known.
    #[default]
    Json,
    /// As a form's (`application/x-www-form-urlencoded`).
    Form,
}

/// What becomes of a client that could not be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTrouble {
    /// It is refused as "Server unavailable".
    #[default]
    Refuse,
    /// The next authenticator is asked.
    Next,
}

/// Which server is asked what.
///
/// In `url`, `headers` and `fields` these placeholders are replaced: `${clientid}`, `${username}`,
/// `${password}`, `${peerhost}`, `${peerport}`, `${listener}`, `${gateway}`, `${server_name}`,
/// `${cert_common_name}`, `${cert_subject}`, `${cert_issuer}`, `${cert_serial}`,
/// `${cert_fingerprint}`. What is not known is empty.
#[derive(Clone)]
pub struct HttpConfig {
    /// Name of the authenticator.
    pub name: Box<str>,
    /// How the server is asked.
    pub method: HttpMethod,
    /// `http://` or `https://`, with placeholders in path and query only. Redirects are not
    /// followed and the proxies of the environment not used.
    pub url: String,
    /// Header names and values. The values may be secrets.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// How the fields stand in the body of a POST.
    pub encoding: HttpEncoding,
    /// Names and values of what is sent.
    pub fields: Vec<(Box<str>, Box<str>)>,
    /// Certificate authorities in PEM that count instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Milliseconds for an answer; less than what the node allows for a look-up.
    pub timeout_ms: u64,
    /// What becomes of a client that could not be judged.
    pub on_trouble: OnTrouble,
    /// Milliseconds for which the server is not asked after five failures in a row.
    pub pause_ms: u64,
    /// Questions at once; a client more is refused as "Server busy".
    pub concurrency_max: usize,
    /// Milliseconds for which an answer that allows counts for the same question; 0 for none.
    pub allowed_ttl_ms: u64,
    /// The same for an answer that does not allow.
    pub denied_ttl_ms: u64,
    /// Answers that are remembered.
    pub answers_max: usize,
}

impl HttpConfig {
    /// What is usual: a POST of client, user, password, address, listener, gateway and common name
    /// as JSON; answers that allow are remembered for a minute.
    #[must_use]
    pub fn new(name: &str, url: &str) -> Self {
        let fields = [
            "clientid",
            "username",
            "password",
            "peerhost",
            "listener",
            "gateway",
            "cert_common_name",
        ];
        HttpConfig {
            name: name.into(),
            method: HttpMethod::default(),
            url: url.into(),
            headers: Vec::new(),
            encoding: HttpEncoding::default(),
            fields: fields.map(|name| (name.into(), format!("${{{name}}}").into())).into(),
            ca_file: None,
            timeout_ms: 5_000,
            on_trouble: OnTrouble::default(),
            pause_ms: 1_000,
            concurrency_max: 256,
            allowed_ttl_ms: 60_000,
            denied_ttl_ms: 0,
            answers_max: 100_000,
        }
    }
}

impl std::fmt::Debug for HttpConfig {
    /// Without URL, headers and fields, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Believes clients as an HTTP server says.
pub struct Http {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Http").field(&self.inner.config.name).finish()
    }
}

struct Inner {
    config: HttpConfig,
    template: RequestTemplate,
    client: Client,
    permits: Arc<Semaphore>,
    /// Hashes questions, which hold passwords.
    key: hmac::Key,
    answers: Mutex<Answers>,
    failures: AtomicU32,
    paused_until: Mutex<Option<Instant>>,
}

impl Http {
    /// Prepares to ask; the server need not be there yet.
    ///
    /// # Errors
    /// When the URL, a template, a header or the file of authorities is wrong.
    pub fn new(config: HttpConfig) -> Result<Self, AccessError> {
        let (template, url) = RequestTemplate::parse(&config)?;
        let timeout = Duration::from_millis(config.timeout_ms);
        let idle_max = config.concurrency_max.min(64);
        let client = client::client(&url, config.ca_file.as_deref(), timeout, idle_max)?;
        let key: [u8; 32] = rand::generate(&SystemRandom::new())
            .map_err(|_: ring::error::Unspecified| {
                AccessError::setting("url", "cannot be asked: the system gives no random numbers")
            })?
            .expose();
        let permits = config.concurrency_max.min(Semaphore::MAX_PERMITS);
        Ok(Http {
            inner: Arc::new(Inner {
                template,
                client,
                permits: Arc::new(Semaphore::new(permits)),
                key: hmac::Key::new(hmac::HMAC_SHA256, &key),
                answers: Mutex::default(),
                failures: AtomicU32::new(0),
                paused_until: Mutex::default(),
                config,
            }),
        })
    }
}

impl Authenticator for Http {
    fn authenticate(&self, client_id: &str, evidence: &Evidence) -> Verdict {
        let inner = &self.inner;
        let Some(request) = inner.template.fill(client_id, evidence) else {
            return Verdict::Refuse(Reason::BAD_CREDENTIALS);
        };
        let question = request.digest(&inner.key);
        if let Some(known) = inner.known(&question) {
            return known.into();
        }
        if inner.is_paused() {
            return inner.trouble();
        }
        let Ok(permit) = inner.permits.clone().try_acquire_owned() else {
            return Verdict::Refuse(Reason::SERVER_BUSY);
        };
        // A name that the server is not told is one that nobody has checked.
        let user = evidence.user.clone().filter(|_| inner.template.has_user);
        let inner = inner.clone();
        Verdict::Later(Box::pin(async move { inner.ask(request, question, user, permit).await }))
    }
}

impl Inner {
    /// What was answered lately, while it counts.
    fn known(&self, question: &Digest) -> Option<Judgement> {
        let judgement = self.answers().find(question, Instant::now()).cloned()?;
        let ends = match &judgement {
            Judgement::Accept(identity) => identity.expires_at,
            Judgement::Refuse(_) | Judgement::Unknown => None,
        };
        ends.is_none_or(|end| end.as_millis() > now_ms()).then_some(judgement)
    }

    async fn ask(
        &self,
        request: Request,
        question: Digest,
        user: Option<Box<str>>,
        _permit: OwnedSemaphorePermit,
    ) -> Verdict {
        match self.judge(request, user.as_deref()).await {
            Ok(judgement) => {
                self.failures.store(0, Ordering::Relaxed);
                self.keep(question, judgement.clone());
                judgement.into()
            }
            Err(error) => {
                self.count_failure(&error);
                self.trouble()
            }
        }
    }

    async fn judge(&self, request: Request, user: Option<&str>) -> Result<Judgement, String> {
        let answer = request.with(&self.client).send().await.map_err(client::describe)?;
        let name = &self.config.name;
        match answer.status() {
            StatusCode::OK => {
                let body = client::body(answer, ANSWER_BYTES_MAX).await?;
                Ok(answer::read(&body, now_ms(), name, user)?)
            }
            StatusCode::NO_CONTENT => Ok(Judgement::Accept(answer::allowed(name, user))),
            StatusCode::UNAUTHORIZED => Ok(Judgement::Refuse(Reason::BAD_CREDENTIALS)),
            StatusCode::FORBIDDEN => Ok(Judgement::Refuse(Reason::NOT_AUTHORIZED)),
            status => Err(format!("the answer has status {}", status.as_u16())),
        }
    }

    fn keep(&self, question: Digest, judgement: Judgement) {
        let ttl_ms = match judgement {
            Judgement::Accept(_) => self.config.allowed_ttl_ms,
            Judgement::Refuse(_) | Judgement::Unknown => self.config.denied_ttl_ms,
        };
        if ttl_ms > 0 {
            let until = Instant::now() + Duration::from_millis(ttl_ms);
            self.answers().keep(question, judgement, until, self.config.answers_max);
        }
    }

    fn trouble(&self) -> Verdict {
        match self.config.on_trouble {
            OnTrouble::Refuse => Verdict::Refuse(Reason::SERVER_UNAVAILABLE),
            OnTrouble::Next => Verdict::Unknown,
        }
    }

    fn is_paused(&self) -> bool {
        let until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn count_failure(&self, error: &str) {
        let authenticator = &*self.config.name;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < FAILURES_MAX {
            return tracing::debug!(authenticator, error, "HTTP server gave no judgement");
        }
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if paused.is_none_or(|until| until <= now) {
            *paused = Some(now + Duration::from_millis(self.config.pause_ms));
            tracing::warn!(authenticator, failures, error, "HTTP server is left alone for a while");
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
