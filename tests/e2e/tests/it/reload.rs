//! A configuration that changes under a thousand publishing clients: no link is lost.
//!
//! The clients are rumqttc's, half of them over TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, QoS, Transport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::oneshot;

use crate::pki::Authority;
use crate::process::wait_for;
use crate::roads;
use crate::server::Server;

const CLIENTS: u32 = 1000;
/// Time between two messages of a client.
const PAUSE: Duration = Duration::from_millis(200);
/// Time that the slowest machine may take for everything.
const WHOLE_LIMIT: Duration = Duration::from_secs(60);

/// What all clients have done, and what they are to do.
#[derive(Default)]
struct Counts {
    connected: AtomicU32,
    acknowledged: AtomicU32,
    lost: AtomicU32,
}

fn tls(server: &Server) -> Transport {
    let mut roots = RootCertStore::empty();
    let file = server.folder().join("ca.pem");
    for certificate in CertificateDer::pem_file_iter(file).expect("the authority's file") {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Transport::tls_with_config(config.into())
}

fn client(server: &Server, number: u32, tls: &Transport) -> (AsyncClient, EventLoop) {
    let road = if number.is_multiple_of(2) { "tcp" } else { "tls" };
    let port = server.address_of(road).port();
    let mut options = MqttOptions::new(format!("fleet-{number}"), "localhost", port);
    options.set_credentials(roads::USER, roads::PASSWORD);
    if road == "tls" {
        options.set_transport(tls.clone());
    }
    let (client, mut events) = AsyncClient::new(options, 10);
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(WHOLE_LIMIT.as_secs());
    events.set_network_options(network);
    (client, events)
}

/// Counts what comes back, until told to stop. The event loop must not be dropped while it connects,
/// so nothing else is awaited beside it.
async fn listen(mut events: EventLoop, number: u32, counts: Arc<Counts>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                counts.connected.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(error) => {
                eprintln!("client {number}: {error}");
                counts.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}

/// Publishes for ever.
async fn publish(client: AsyncClient, number: u32) {
    let topic = format!("free/fleet/{number}");
    let mut due = tokio::time::interval(PAUSE);
    loop {
        due.tick().await;
        // A full queue is a client that waits for its acknowledgements.
        let _ = client.try_publish(&topic, QoS::AtLeastOnce, false, "x");
    }
}

#[test]
fn certificates_and_rules_change_under_a_thousand_publishers() {
    rlimit::increase_nofile_limit(u64::from(CLIENTS) + 1_000).expect("more open files");
    let rule = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"free/#\"]\n";
    // A slow machine may need its time for so many handshakes.
    let tables = format!("[handshakes]\ntimeout = \"60s\"\n{rule}");
    let server = roads::guarded("", &tables);
    let counts = Arc::new(Counts::default());
    let (stop, stopped) = oneshot::channel();
    let tls = tls(&server);
    let clients: Vec<_> = (0..CLIENTS).map(|number| client(&server, number, &tls)).collect();
    let fleet = {
        let counts = Arc::clone(&counts);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                for (number, (client, events)) in (0..).zip(clients) {
                    tokio::spawn(listen(events, number, Arc::clone(&counts)));
                    tokio::spawn(publish(client, number));
                }
                // What is left ends with the runtime.
                let _ = stopped.await;
            });
        })
    };
    let begun = Instant::now();
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    let sound = || {
        assert_eq!(count(&counts.lost), 0, "links were lost");
        assert!(begun.elapsed() < WHOLE_LIMIT, "it takes too long");
    };
    wait_for("all clients", || {
        sound();
        (count(&counts.connected) == CLIENTS).then_some(())
    });
    for round in 0..3 {
        change(&server, round);
        server.operate(&["reload"]);
        let target = count(&counts.acknowledged) + 2 * CLIENTS;
        wait_for("two more messages of each client", || {
            sound();
            (count(&counts.acknowledged) >= target).then_some(())
        });
    }
    stop.send(()).expect("they listen");
    fleet.join().expect("no client panics");
    assert_eq!(count(&counts.connected), CLIENTS, "nobody connected again");
    assert_eq!(count(&counts.lost), 0, "links were lost");
}

/// A new certificate of the same name, and rules that still allow what the clients do.
fn change(server: &Server, round: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    Authority::new(folder.path()).server("server", &["localhost", "127.0.0.1"]);
    for name in ["server.pem", "server.key"] {
        std::fs::copy(folder.path().join(name), server.folder().join(name)).expect("a copy");
    }
    let file = server.folder().join("manifold.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let rule = format!("[[acl]]\ndeny = [\"subscribe\"]\ntopics = [\"hidden/{round}/#\"]\n");
    let place = text.find("[[acl]]").expect("there are rules");
    let text = format!("{}{rule}{}", &text[..place], &text[place..]);
    std::fs::write(&file, text).expect("the folder is ours");
}
