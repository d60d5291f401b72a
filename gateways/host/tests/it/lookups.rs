//! Authenticators that need time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use core_model::{Authenticator, Evidence, Identity, Plugins, Reason, Verdict};
use gateway_host::NodeConfig;

use crate::toy::{Client, Entry, PATIENCE, Server, Toy, config};

/// Judges by the user's name.
#[derive(Default)]
struct Slow {
    /// How many look-ups have begun and how many were dropped.
    begun: AtomicUsize,
    dropped: Arc<AtomicUsize>,
    /// Whether those that wait may answer.
    released: Arc<(Mutex<bool>, Condvar)>,
}

struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Authenticator for Slow {
    fn authenticate(&self, _client_id: &str, evidence: &Evidence) -> Verdict {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let held = Dropped(Arc::clone(&self.dropped));
        let released = Arc::clone(&self.released);
        match evidence.user.as_deref() {
            Some("good") => Verdict::Later(Box::pin(async move {
                let _held = held;
                Verdict::Accept(Identity::of_user("good"))
            })),
            Some("hashed") => Verdict::Later(Box::pin(async move {
                let _held = held;
                let hash = move || {
                    let released = &*released;
                    let open = released.0.lock().unwrap();
                    drop(released.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap());
                };
                tokio::task::spawn_blocking(hash).await.unwrap();
                Verdict::Accept(Identity::of_user("hashed"))
            })),
            Some("bad") => Verdict::Later(Box::pin(async move {
                let _held = held;
                Verdict::Refuse(Reason::BAD_CREDENTIALS)
            })),
            Some("endless") => Verdict::Later(Box::pin(async move {
                let _held = held;
                std::future::pending().await
            })),
            Some("broken") => Verdict::Later(Box::pin(async move {
                let _held = held;
                panic!("on purpose")
            })),
            _ => Verdict::Unknown,
        }
    }
}

fn with(slow: &Arc<Slow>, shards: u16) -> NodeConfig {
    let authenticator: Arc<dyn Authenticator> = Arc::clone(slow) as _;
    let authenticators = vec![authenticator];
    let plugins = Arc::new(Plugins { authenticators, ..Plugins::default() });
    NodeConfig { plugins, ..config(shards) }
}

fn refusal(client: &mut Client, reason: Reason) {
    let answer = String::from_utf8(client.receive()).unwrap();
    let name = format!("{reason:?}");
    assert!(answer.contains("Refused") && answer.contains(&name), "{answer}");
}

#[test]
fn verdicts_reach_clients_of_all_shards() {
    let slow = Arc::default();
    let server = Server::start(with(&slow, 3), Toy::default());
    let mut clients: Vec<Client> = (0..12).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let user = if number % 2 == 0 { "good" } else { "bad" };
        // What follows waits for the verdict.
        client.send_all(&[format!("Cc{number}@{user}").as_bytes(), b"Ehello"]);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 2 == 0 {
            client.expect("connected").expect("Ehello");
        } else {
            refusal(client, Reason::BAD_CREDENTIALS);
        }
    }
    assert_eq!(slow.begun.load(Ordering::SeqCst), 12);
}

#[test]
fn a_shard_goes_on_while_somebody_computes() {
    let slow = Arc::<Slow>::default();
    let server = Server::start(with(&slow, 1), Toy::default());
    let mut waits: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for (number, client) in waits.iter_mut().enumerate() {
        client.send(format!("Cw{number}@hashed"));
    }
    let mut other = server.client();
    other.send("Cother@good").expect("connected").send("Ehello").expect("Ehello");
    *slow.released.0.lock().unwrap() = true;
    slow.released.1.notify_all();
    for client in &mut waits {
        client.expect("connected");
    }
}

#[test]
fn a_look_up_has_its_time_and_may_break() {
    let slow = Arc::<Slow>::default();
    let mut config = with(&slow, 2);
    config.limits.lookup_timeout_ms = 100;
    let server = Server::start(config, Toy::default());
    for user in ["endless", "broken"] {
        let mut client = server.client();
        client.send(format!("Cc@{user}"));
        refusal(&mut client, Reason::SERVER_UNAVAILABLE);
    }
    let start = std::time::Instant::now();
    while slow.dropped.load(Ordering::SeqCst) < 2 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    server.client().send("Cc@good").expect("connected");
}

#[test]
fn a_verdict_for_a_client_that_has_gone_is_ignored() {
    let slow = Arc::<Slow>::default();
    let server = Server::start(with(&slow, 1), Toy::default());
    let mut gone = server.client();
    gone.send("Cgone@hashed").send("Eunread");
    let start = std::time::Instant::now();
    while slow.begun.load(Ordering::SeqCst) < 1 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    drop(gone);
    *slow.released.0.lock().unwrap() = true;
    slow.released.1.notify_all();
    while slow.dropped.load(Ordering::SeqCst) < 1 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    let mut other = server.client();
    other.send("Cother@good").expect("connected").send("Ehello").expect("Ehello");
    drop(other);
    server.log.wait(|entries| entries.iter().any(|entry| matches!(entry, Entry::Closed(_))));
}

#[test]
fn a_node_that_stops_waits_for_no_look_up() {
    let slow = Arc::<Slow>::default();
    let server = Server::start(with(&slow, 1), Toy::default());
    let mut client = server.client();
    client.send("Cc@endless").send("Cd@hashed");
    let start = std::time::Instant::now();
    while slow.begun.load(Ordering::SeqCst) < 1 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    drop(server);
    while slow.dropped.load(Ordering::SeqCst) < 1 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}
