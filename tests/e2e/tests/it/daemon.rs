//! The command line and the life of the process: exit codes, signals, drain.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::process::{finish, run, wait_for};
use crate::server::{Config, Server, executable};
use crate::wire::*;

fn check(file: &Path) -> Command {
    let mut command = Command::new(executable());
    command.arg("check").arg(file);
    command
}

fn serve(file: &Path, data_dir: &Path) -> Command {
    let mut command = Command::new(executable());
    command.arg("serve").arg("--config").arg(file).arg("--data-dir").arg(data_dir);
    command
}

#[test]
fn version_and_help() {
    let version = run(Command::new(executable()).arg("--version"));
    assert!(version.starts_with("manifold "), "{version}");
    let help = run(Command::new(executable()).arg("--help"));
    for command in ["serve", "check"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn check_accepts_a_good_configuration() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(&mut check(&Config::default().write(folder.path())));
}

#[test]
fn a_wrong_key_is_named_with_file_line_and_nearest_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "shards = 1\n\n[[listener]]\nname = \"mqtt\"\ngatway = \"mqtt\"\n")
        .expect("the folder is ours");
    for mut command in [check(&file), serve(&file, folder.path())] {
        let (status, said) = finish(&mut command);
        assert_eq!(status.code(), Some(1), "{command:?} on a bad configuration");
        for part in ["bad.toml", ":5", "gatway", "gateway"] {
            assert!(said.contains(part), "{command:?} does not mention {part:?}:\n{said}");
        }
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let (status, said) = finish(Command::new(executable()).arg("swerve"));
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("serve"), "{said}");
}

#[test]
fn serve_fails_when_the_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket").to_string();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = Config::default().text().replace("127.0.0.1:0", &address);
    let file = folder.path().join("manifold.toml");
    std::fs::write(&file, text).expect("the folder is ours");
    let data_dir = folder.path().join("data");
    let (status, said) = finish(&mut serve(&file, &data_dir));
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains(&address), "{said}");
    assert!(!data_dir.join("listeners.json").exists(), "listeners.json was written");
}

//= mqtt5:GW-MQTT-22
#[test]
fn signals_drain_and_end_with_success() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start_with(&Config::default());
        let (mut new, _) = Peer::connect(server.address(), 5, "new");
        let (mut old, _) = Peer::connect(server.address(), 4, "old");
        new.send(&subscribe(1, &[0], "t", 1));
        new.expect(SUBACK);
        old.send(&packet(0x32, &[&string("t")[..], &[0, 1], b"last"].concat()));
        old.expect(PUBACK);
        // The session ends with its link, so the PUBACK does not wait for the shard that has it.
        new.expect(PUBLISH);
        server.process().signal(signal);
        let packets = new.rest();
        let kinds: Vec<u8> = packets.iter().map(|(first, _)| first & 0xf0).collect();
        assert_eq!(kinds, [DISCONNECT], "{signal}");
        assert_eq!(packets[0].1.first(), Some(&0x8b), "reason of the DISCONNECT");
        assert_eq!(old.rest(), []);
        let status = server.process().wait();
        assert!(status.success(), "SIG{signal} ended it with {status}");
        server.ended();
    }
}

/// A server with a client that does not take what waits for it.
fn with_stuck_client(config: &Config) -> (Server, Peer) {
    let server = Server::start_with(config);
    let (mut hog, _) = Peer::connect(server.address(), 4, "hog");
    hog.send(&subscribe(1, &[], "t", 0));
    hog.expect(SUBACK);
    let (mut flooder, _) = Peer::connect(server.address(), 4, "flooder");
    for _ in 0..200 {
        flooder.send(&publish0("t", &[], &[b'x'; 64 << 10]));
    }
    flooder.ping();
    (server, hog)
}

#[test]
fn stops_although_clients_do_not_read() {
    let (mut server, _hog) = with_stuck_client(&Config::default());
    let status = server.stop();
    assert!(status.success(), "it ended with {status}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let config = Config { top: "drain_timeout = \"1h\"", ..Config::default() };
    let (mut server, _hog) = with_stuck_client(&config);
    server.process().signal("TERM");
    // The listener closes first, so the first signal has arrived.
    wait_for("the end of the listener", || {
        TcpStream::connect(server.address()).is_err().then_some(())
    });
    assert!(server.process().ended().is_none(), "it did not wait for its client");
    server.process().signal("TERM");
    assert_eq!(server.process().wait().code(), Some(128 + 15));
    server.ended();
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let server = Server::start_with(&Config::default());
    let data_dir = server.data_dir();
    let file = data_dir.parent().expect("the test's folder").join("manifold.toml");
    let (status, said) = finish(&mut serve(&file, &data_dir));
    assert_eq!(status.code(), Some(3), "{said}");
    // The first one goes on.
    let (mut peer, _) = Peer::connect(server.address(), 5, "still");
    peer.ping();
}
