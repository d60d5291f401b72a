use std::sync::Arc;
use std::time::Duration;

use core_model::{Identity, Reason, Secret, Verdict};
use plugin_access::hash::{Recipe, make};
use plugin_access::{Hashing, HashingCounters, HashingLimits, PasswordHash};

use crate::server::settled;

fn hashing(threads: usize, queue: usize) -> Arc<Hashing> {
    let cache_time = Duration::from_secs(3600);
    let limits = HashingLimits { threads, queue, cache: 10, cache_time };
    Arc::new(Hashing::new(limits).unwrap())
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

fn hash(password: &str) -> PasswordHash {
    make(Recipe::Pbkdf2 { iterations: 1 }, &secret(password)).unwrap()
}

fn check(hashing: &Arc<Hashing>, user: &str, password: &str, stored: &PasswordHash) -> Verdict {
    hashing.check(user, &secret(password), stored, |matches| match matches {
        true => Verdict::Accept(Identity::default()),
        false => Verdict::Refuse(Reason::BAD_CREDENTIALS),
    })
}

fn is_accepted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accept(_))
}

fn is_later(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Later(_))
}

fn is_busy(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Refuse(Reason::SERVER_BUSY))
}

#[tokio::test]
async fn a_recent_success_is_believed_at_once() {
    let hashing = hashing(1, 1);
    let stored = hash("good");
    let first = check(&hashing, "alice", "good", &stored);
    assert!(is_later(&first));
    assert!(is_accepted(&settled(first).await));
    assert!(is_accepted(&check(&hashing, "alice", "good", &stored)));
    assert_eq!(hashing.counters(), HashingCounters { computed: 1, remembered: 1, refused: 0 });
}

#[tokio::test]
async fn a_success_says_nothing_of_another_user_password_or_hash() {
    let hashing = hashing(1, 9);
    let stored = hash("good");
    settled(check(&hashing, "alice", "good", &stored)).await;
    assert!(is_later(&check(&hashing, "bob", "good", &stored)));
    assert!(is_later(&check(&hashing, "alice", "goo", &stored)));
    assert!(is_later(&check(&hashing, "aliceg", "ood", &stored)));
    // The same password, stored anew with another salt.
    assert!(is_later(&check(&hashing, "alice", "good", &hash("good"))));
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let hashing = hashing(1, 1);
    let stored = hash("good");
    for _ in 0..2 {
        let verdict = settled(check(&hashing, "alice", "bad", &stored)).await;
        assert!(matches!(verdict, Verdict::Refuse(Reason::BAD_CREDENTIALS)));
    }
    assert_eq!(hashing.counters(), HashingCounters { computed: 2, remembered: 0, refused: 0 });
}

#[tokio::test]
async fn what_is_pretended_is_not_remembered() {
    let hashing = hashing(1, 1);
    let decoy = hash("good");
    for _ in 0..2 {
        let verdict = hashing.pretend("nobody", &secret("good"), &decoy, Verdict::Unknown);
        assert!(is_later(&verdict));
        assert!(matches!(settled(verdict).await, Verdict::Unknown));
    }
    assert!(is_later(&check(&hashing, "nobody", "good", &decoy)));
}

#[tokio::test]
async fn more_than_may_wait_are_refused_as_busy() {
    let hashing = hashing(2, 3);
    let stored = hash("good");
    let mut waiting: Vec<Verdict> =
        (0..5).map(|n| check(&hashing, &n.to_string(), "good", &stored)).collect();
    assert!(waiting.iter().all(is_later));
    assert!(is_busy(&check(&hashing, "one more", "good", &stored)));
    assert!(is_busy(&hashing.pretend("x", &secret("x"), &stored, Verdict::Unknown)));
    assert_eq!(hashing.counters(), HashingCounters { computed: 0, remembered: 0, refused: 2 });
    // A look-up that nobody waits for any more gives its place back, one that is done too.
    waiting.pop();
    let next = check(&hashing, "next", "good", &stored);
    assert!(is_later(&next) && is_busy(&check(&hashing, "one more", "good", &stored)));
    for verdict in waiting.into_iter().chain([next]) {
        assert!(is_accepted(&settled(verdict).await));
    }
    let places: Vec<Verdict> =
        (10..15).map(|n| check(&hashing, &n.to_string(), "good", &stored)).collect();
    assert!(places.iter().all(is_later));
}

/// With one thread for hashes, each waits for the one before, though all run at once.
#[tokio::test(flavor = "multi_thread")]
async fn all_who_wait_are_answered() {
    let hashing = hashing(1, 100);
    let stored = hash("good");
    let running: Vec<_> = (0..100)
        .map(|n| {
            let password = if n % 2 == 0 { "good" } else { "bad" };
            tokio::spawn(settled(check(&hashing, &n.to_string(), password, &stored)))
        })
        .collect();
    let mut accepted = 0;
    for task in running {
        accepted += usize::from(is_accepted(&task.await.unwrap()));
    }
    assert_eq!(accepted, 50);
    assert_eq!(hashing.counters().computed, 100);
}

#[test]
fn bounds_that_make_no_sense_are_refused() {
    let limits = HashingLimits { threads: 0, ..HashingLimits::default() };
    assert_eq!(Hashing::new(limits).unwrap_err().to_string(), "threads: must be 1 or more");
    let limits = HashingLimits { queue: usize::MAX, ..HashingLimits::default() };
    assert_eq!(Hashing::new(limits).unwrap_err().to_string(), "queue: is too large");
}
