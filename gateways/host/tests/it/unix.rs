//! Listeners at Unix sockets.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use gateway_host::{Bind, ListenerConfig, ListenerFacts, Node, NodeConfig, StartError};

use crate::toy::{Client, Entry, PATIENCE, Toy, config};

fn start(shards: u16, path: &Path, mode: Option<u32>, toy: &Toy) -> Result<Node, StartError> {
    let facts = ListenerFacts { name: "unix".into(), ..ListenerFacts::default() };
    let bind = Bind::Unix { path: path.to_owned(), mode };
    let listeners = vec![ListenerConfig::new(Arc::new(facts), bind, Arc::new(toy.clone()))];
    Node::start(NodeConfig { listeners, ..config(shards) })
}

fn connect(path: &Path) -> Client<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    Client(stream)
}

#[test]
fn clients_of_a_unix_socket_are_served_by_all_shards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.sock");
    let toy = Toy::default();
    let node = start(3, &path, Some(0o600), &toy).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Their sessions live on all shards, so that some of the links move.
    let mut clients: Vec<_> = (0..12).map(|_| connect(&path)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.connect(&format!("c{number}")).subscribe("room");
    }
    let large = "x".repeat(300_000);
    clients[0].publish("room", &large);
    for client in &mut clients {
        client.expect(format!("m room {large}"));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(node.drain(PATIENCE).links_left, 0));
        for client in &mut clients {
            client.expect("draining").expect_end();
        }
    });
    assert!(!path.exists());
}

#[test]
fn a_peer_that_goes_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.sock");
    let toy = Toy::default();
    let _node = start(1, &path, None, &toy).unwrap();
    let mut client = connect(&path);
    client.send("Ehello").expect("Ehello");
    drop(client);
    toy.log.wait_for(Entry::Closed(core_model::Reason::UNSPECIFIED));
}

#[test]
fn a_path_in_use_is_named_and_one_left_behind_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.sock");
    let toy = Toy::default();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let _node = start(1, &path, None, &toy).unwrap();
    connect(&path).send("Ehello").expect("Ehello");
    let error = start(1, &path, None, &toy).err().unwrap();
    let text = format!("listener unix: cannot listen on unix:{}", path.display());
    assert_eq!(error.to_string(), text);
    connect(&path).send("Ehello").expect("Ehello");
}

#[test]
fn a_listener_that_is_gone_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("toy.sock"), folder.path().join("other.sock"));
    let toy = Toy::default();
    let node = start(2, &path, None, &toy).unwrap();
    let mut client = connect(&path);
    client.connect("it");
    let listener = |name: &str, bind| {
        let facts = ListenerFacts { name: name.into(), ..ListenerFacts::default() };
        ListenerConfig::new(Arc::new(facts), bind, Arc::new(toy.clone()))
    };
    let unix = |path: &Path, mode| Bind::Unix { path: path.to_owned(), mode };
    let control = node.control();

    // Whatever was opened before an address that is not to be had.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = Bind::Tcp(taken.local_addr().unwrap());
    let wanted = vec![listener("new", unix(&other, None)), listener("taken", taken)];
    assert!(control.apply_listeners(wanted).is_err());
    assert!(path.exists() && !other.exists());

    let wanted = vec![listener("unix", unix(&path, Some(0o640)))];
    assert_eq!(control.apply_listeners(wanted).unwrap().kept.len(), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let wanted = vec![listener("unix", unix(&other, None)), listener("heir", unix(&path, None))];
    control.apply_listeners(wanted).unwrap();
    client.send("Estill here").expect("Estill here");
    for path in [&path, &other] {
        connect(path).send("Ehello").expect("Ehello");
    }
    control.apply_listeners(vec![listener("unix", unix(&other, None))]).unwrap();
    assert!(!path.exists() && other.exists());
    node.drain(PATIENCE);
    assert!(!other.exists());
}
