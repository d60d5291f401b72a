//! What happens when the system runs out of descriptors. It is tried in a process of its own, since
//! the limit holds for a whole process.

use std::process::Command;

use crate::toy::{Client, Server, Toy, config};

const CHILD: &str = "MANIFOLD_TEST_FEW_DESCRIPTORS";

#[test]
fn a_listener_rests_while_descriptors_are_out_and_comes_back() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "descriptors::with_few_descriptors", "--nocapture"]).env(CHILD, "1");
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn with_few_descriptors() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut config = config(1);
    config.limits.accept_pause_ms = 200;
    let server = Server::start(config, Toy::default());
    let mut first = server.client();
    first.send("E1").expect("E1");
    let (_, hard) = rlimit::Resource::NOFILE.get().unwrap();
    // Every client takes two: its own and the server's.
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    rlimit::Resource::NOFILE.set(used + 9, hard).unwrap();
    let mut clients: Vec<Client> = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect(server.address) {
        clients.push(Client(stream));
    }
    server.wait_counters(|c| c.host.accept_pauses > 0);
    first.send("E2").expect("E2");
    let turns = server.node.counters().host.turns;
    server.wait_counters(|c| c.host.accept_pauses > 2);
    let spent = server.node.counters().host.turns - turns;
    assert!(spent < 200, "{spent} turns while resting");
    rlimit::Resource::NOFILE.set(hard.min(1024), hard).unwrap();
    for client in &mut clients {
        client.send("Eback").expect("Eback");
    }
}
