use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use core_model::{Reason, Secret, Verdict};
use ring::rand::SystemRandom;
use ring::{hmac, rand};
use tokio::sync::Semaphore;

use crate::error::AccessError;
use crate::hash::PasswordHash;
use crate::recent::{Digest, Recent};

/// Bounds of [`Hashing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingLimits {
    /// Hashes that are computed at once, 1 or more. Each takes a thread, and for Argon2 its memory.
    pub threads: usize,
    /// Clients that may wait for that beside them; whoever comes then is refused as busy.
    pub queue: usize,
    /// Recent successes that are remembered; 0 for none.
    pub cache: usize,
    /// How long one that is not used is remembered, at most.
    pub cache_time: Duration,
}

impl Default for HashingLimits {
    fn default() -> Self {
        HashingLimits {
            threads: 2,
            queue: 1_000,
            cache: 100_000,
            cache_time: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What [`Hashing`] has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashingCounters {
    /// Hashes that were computed.
    pub computed: u64,
    /// Clients that were remembered.
    pub remembered: u64,
    /// Clients that were refused since too many were waiting.
    pub refused: u64,
}

/// Computes password hashes for all authenticators of a node, away from the shards.
///
/// At most [`HashingLimits::threads`] at once; at most [`HashingLimits::queue`] clients wait. So a
/// fleet that comes back at once is not hashed anew, successes are remembered, by a keyed hash of
/// user, password and stored hash: an entry is of no use once the stored hash has changed. Failures
/// are not remembered.
///
/// It reads the monotonic clock for the age of what it remembers, and the system's randomness for
/// its key when it is made.
#[derive(Debug)]
pub struct Hashing {
    limits: HashingLimits,
    threads: Arc<Semaphore>,
    /// A place for each client that computes or waits.
    places: Arc<Semaphore>,
    recent: Mutex<Recent>,
    key: hmac::Key,
    computed: AtomicU64,
    remembered: AtomicU64,
    refused: AtomicU64,
}

impl Hashing {
    /// With these bounds. Made once for a node, and kept when its configuration is reloaded unless
    /// the bounds have changed.
    ///
    /// # Errors
    /// When `threads` is 0, or there is no randomness.
    pub fn new(limits: HashingLimits) -> Result<Self, AccessError> {
        if limits.threads == 0 {
            return Err(AccessError::setting("threads", "must be 1 or more"));
        }
        let places = limits.threads.saturating_add(limits.queue);
        if places > Semaphore::MAX_PERMITS {
            return Err(AccessError::setting("queue", "is too large"));
        }
        let key: [u8; 32] = rand::generate(&SystemRandom::new())
            .map_err(|_| AccessError::setting("hashing", "the system gives no randomness"))?
            .expose();
        Ok(Hashing {
            limits,
            threads: Arc::new(Semaphore::new(limits.threads)),
            places: Arc::new(Semaphore::new(places)),
            recent: Mutex::new(Recent::new(limits.cache, limits.cache_time)),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            computed: AtomicU64::new(0),
            remembered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Its bounds.
    #[must_use]
    pub fn limits(&self) -> HashingLimits {
        self.limits
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> HashingCounters {
        HashingCounters {
            computed: self.computed.load(Ordering::Relaxed),
            remembered: self.remembered.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Whether `password` is the one of `stored`: `conclude` makes the verdict of it, at once for a
    /// recent success, else in a look-up. Busy is [`Reason::SERVER_BUSY`].
    pub fn check(
        self: &Arc<Self>,
        user: &str,
        password: &Secret,
        stored: &PasswordHash,
        conclude: impl FnOnce(bool) -> Verdict + Send + 'static,
    ) -> Verdict {
        let entry = self.entry(user, password, stored);
        if self.recent().contains(&entry, Instant::now()) {
            self.remembered.fetch_add(1, Ordering::Relaxed);
            return conclude(true);
        }
        self.look_up(password, stored, move |hashing, matches| {
            if matches {
                hashing.recent().insert(entry, Instant::now());
            }
            conclude(matches)
        })
    }

    /// Takes as long as a [`Hashing::check`] that fails, and says `verdict`: for a user who is not
    /// known, so that the time does not tell.
    pub fn pretend(
        self: &Arc<Self>,
        user: &str,
        password: &Secret,
        decoy: &PasswordHash,
        verdict: Verdict,
    ) -> Verdict {
        let entry = self.entry(user, password, decoy);
        std::hint::black_box(self.recent().contains(&entry, Instant::now()));
        self.look_up(password, decoy, move |_, matches| {
            std::hint::black_box(matches);
            verdict
        })
    }

    fn look_up(
        self: &Arc<Self>,
        password: &Secret,
        stored: &PasswordHash,
        conclude: impl FnOnce(&Hashing, bool) -> Verdict + Send + 'static,
    ) -> Verdict {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Verdict::Refuse(Reason::SERVER_BUSY);
        };
        let (hashing, password, stored) = (Arc::clone(self), password.clone(), stored.clone());
        Verdict::Later(Box::pin(async move {
            let _place = place;
            let Ok(thread) = Arc::clone(&hashing.threads).acquire_owned().await else {
                return Verdict::Refuse(Reason::SERVER_UNAVAILABLE);
            };
            let computing = tokio::task::spawn_blocking(move || {
                // Held here, since the thread goes on when nobody waits for the look-up any more.
                let _thread = thread;
                stored.verify(&password)
            });
            let Ok(matches) = computing.await else {
                return Verdict::Refuse(Reason::SERVER_UNAVAILABLE);
            };
            hashing.computed.fetch_add(1, Ordering::Relaxed);
            conclude(&hashing, matches)
        }))
    }

    fn entry(&self, user: &str, password: &Secret, stored: &PasswordHash) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.as_bytes(), password.expose(), stored.expose().as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
