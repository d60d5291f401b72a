//! A configuration read again: what is applied, what is said beforehand, and what is refused.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::access::{self, Outcome, folder, publish, refused, write};
use crate::operation::{ask, subscriber};
use crate::process::{Process, run, wait_for};
use crate::server::Server;

const SECOND: &str = "[[listener]]\nname = \"second\"\nbind = \"127.0.0.1:0\"\n";
const THIRD: &str = "[[listener]]\nname = \"third\"\nbind = \"127.0.0.1:0\"\n";

/// Replaces a part of the configuration file.
fn edit(server: &Server, part: &str, by: &str) {
    let file = server.folder().join("manifold.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    assert!(text.contains(part), "{part:?} is not in {text}");
    std::fs::write(&file, text.replacen(part, by, 1)).expect("the folder is ours");
}

/// The names of the open listeners.
fn open(server: &Server) -> String {
    let listeners = ask(server, &["listeners"]);
    let names: Vec<_> = listeners.iter().filter_map(|listener| listener["name"].as_str()).collect();
    names.join(" ")
}

/// Sends a message with QoS 1 at a listener, which may be newer than the server.
fn publish_at(server: &Server, listener: &str, topic: &str) {
    let listeners = ask(server, &["listeners"]);
    let found = listeners.iter().find(|found| found["name"] == listener).expect("it is open");
    let address = found["address"].as_str().expect("an address");
    let (host, port) = address.rsplit_once(':').expect("address:port");
    let mut command = Command::new("mosquitto_pub");
    run(command.args(["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", listener]));
}

/// Sends SIGHUP and waits for the line that tells how the reload ended.
fn hang_up(server: &mut Server, end: &str) {
    let before = server.process().stderr().matches(end).count();
    server.process().signal("HUP");
    wait_for("the end of the reload", || {
        (server.process().stderr().matches(end).count() > before).then_some(())
    });
}

fn is_told_to_go(process: &Process) -> bool {
    process.stdout().contains("DISCONNECT")
}

#[test]
fn listeners_come_move_and_go() {
    let mut server = access::server(folder(), "", SECOND);
    let mut stays = subscriber(&server, "mqtt", &["-i", "stays", "-t", "t"]);
    let mut second = subscriber(&server, "second", &["-i", "second", "-t", "t"]);

    edit(&server, SECOND, &format!("{SECOND}{THIRD}"));
    let said = server.operate(&["reload"]);
    assert!(said.contains("listeners opened: third\n") && said.ends_with("applied\n"), "{said}");
    assert_eq!(open(&server), "mqtt second third");
    publish_at(&server, "third", "t");
    let listed = std::fs::read_to_string(server.data_dir().join("listeners.json"));
    assert!(listed.expect("the server writes it").contains("third"));

    // The address of the second changes: its client stays, others find it there.
    edit(&server, SECOND, &SECOND.replace("127.0.0.1", "127.0.0.2"));
    let said = server.operate(&["reload"]);
    assert!(said.contains("listeners moved: second\n"), "{said}");
    publish_at(&server, "second", "t");
    second.wait_for_line("t second");
    assert!(!is_told_to_go(&second));

    let old = server.address_of("second");
    wait_for("nobody at the old address", || TcpStream::connect(old).is_err().then_some(()));

    // It goes: that is said beforehand, and done only when it is insisted on.
    edit(&server, &SECOND.replace("127.0.0.1", "127.0.0.2"), "");
    let said = server.operate(&["reload", "--dry-run"]);
    assert!(said.contains("listeners closed: second (1 client disconnected)\n"), "{said}");
    assert!(said.contains("not applied"), "{said}");
    let plan = &ask(&server, &["reload", "--dry-run"])[0];
    assert_eq!((&plan["applied"], &plan["disconnects"]), (&false.into(), &1.into()), "{plan}");
    assert_eq!(plan["changes"]["listeners"]["closed"][0]["name"], "second", "{plan}");
    let said = server.operate_in_vain(&["reload"]);
    assert!(said.contains("this would disconnect 1 client: listener second with 1"), "{said}");
    assert_eq!(open(&server), "mqtt second third");
    assert!(!is_told_to_go(&second));
    server.operate(&["reload", "--yes"]);
    second.wait_for_line("DISCONNECT");
    assert_eq!(open(&server), "mqtt third");
    publish_at(&server, "third", "end");
    publish_at(&server, "mqtt", "t");
    stays.wait_for_line("t mqtt");
    assert!(!is_told_to_go(&stays), "{}", stays.stdout());
    assert_eq!(server.operate(&["reload"]), "nothing has changed\napplied\n");
    assert!(server.process().ended().is_none());
}

#[test]
fn a_signal_does_the_same() {
    let mut server = access::server(folder(), "", SECOND);
    let stays = subscriber(&server, "mqtt", &["-i", "stays", "-t", "t"]);
    let mut goes = subscriber(&server, "second", &["-i", "goes", "-t", "t"]);
    edit(&server, SECOND, THIRD);
    hang_up(&mut server, "reload applied");
    assert_eq!(open(&server), "mqtt third");
    goes.wait_for_line("DISCONNECT");
    edit(&server, THIRD, "[[listener]]\nname = 5\n");
    hang_up(&mut server, "reload refused");
    assert_eq!(open(&server), "mqtt third");
    assert!(!is_told_to_go(&stays));
}

#[test]
fn users_and_rules_change() {
    let folder = folder();
    let users = folder.path().join("users.txt");
    let mut command = Command::new("mosquitto_passwd");
    run(command.arg("-c").arg("-b").arg(users).args(["ann", "first password"]));
    write(&folder, "rules.toml", "[[acl]]\nallow = [\"all\"]\ntopics = [\"a/#\"]\n");
    let tables = "[authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n";
    let listener = "authentication = [\"users\"]";
    let mut server = access::server(folder, listener, tables);
    edit(&server, "shards", "acl_file = \"rules.toml\"\nshards");
    let users = server.folder().join("users.txt");
    let add = |user: &str, password: &str| {
        let mut command = Command::new("mosquitto_passwd");
        run(command.arg("-b").arg(&users).args([user, password]));
    };
    let ann = ["-u", "ann", "-P", "first password"];
    let bob = ["-u", "bob", "-P", "second password"];
    let bad = refused("Bad User Name or Password");
    assert_eq!(publish(&server, "b/1", &ann), Outcome::Taken, "there are no rules yet");
    assert_eq!(publish(&server, "a/1", &bob), bad);

    // A client that is there when the rules come.
    let mut there = subscriber(&server, "mqtt", &[&["-t", "a/#", "-t", "b/#"], &ann[..]].concat());
    add("bob", "second password");
    let said = server.operate(&["reload"]);
    assert!(said.contains("users.txt") && said.contains("rules.toml"), "{said}");
    assert_eq!(publish(&server, "a/1", &bob), Outcome::Taken);
    assert_eq!(publish(&server, "b/1", &bob), Outcome::Denied);
    there.wait_for_line("a/1 x");
    assert!(!is_told_to_go(&there));

    // Somebody else's password is forgotten, also where it was remembered.
    add("bob", "their password");
    hang_up(&mut server, "reload applied");
    assert_eq!(publish(&server, "a/1", &bob), bad);
    assert_eq!(publish(&server, "a/1", &["-u", "bob", "-P", "their password"]), Outcome::Taken);
    run(Command::new("mosquitto_passwd").arg("-D").arg(&users).arg("bob"));
    server.operate(&["reload"]);
    assert_eq!(publish(&server, "a/1", &["-u", "bob", "-P", "their password"]), bad);
    let rules = server.folder().join("rules.toml");
    std::fs::write(rules, "[[acl]]\nallow = [\"all\"]\ntopics = [\"b/#\"]\n").expect("it is ours");
    server.operate(&["reload"]);
    assert_eq!(publish(&server, "a/1", &ann), Outcome::Denied);
    assert_eq!(publish(&server, "b/1", &ann), Outcome::Taken);
}

/// Whatever is wrong, the command says it, fails, and all stays as it was.
#[test]
fn a_bad_file_changes_nothing() {
    let folder = folder();
    let mut command = Command::new("mosquitto_passwd");
    let users = folder.path().join("users.txt");
    run(command.arg("-c").arg("-b").arg(users).args(["ann", "first password"]));
    let tables = format!("[authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n{SECOND}");
    let mut server = access::server(folder, "authentication = [\"users\"]", &tables);
    let ann = ["-u", "ann", "-P", "first password"];
    let client = subscriber(&server, "second", &[&["-i", "stays", "-t", "t"], &ann[..]].concat());
    let file = server.folder().join("manifold.toml");
    let good = std::fs::read_to_string(&file).expect("the configuration");
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("it has an address").to_string();
    let elsewhere = SECOND.replace("127.0.0.1:0", &taken);
    let fourth = format!("[[listener]]\nname = \"fourth\"\nbind = \"{taken}\"\n");
    for (text, wanted) in [
        (good.replace("[[listener]]", "[[listener"), "manifold.toml"),
        (good.replace("drain_timeout", "drain_timeuot"), "drain_timeout"),
        (good.replace("\"1s\"", "\"soon\""), "soon"),
        (good.replace("users.txt", "user.txt"), "user.txt"),
        (good.replace("[\"users\"]", "[\"persons\"]"), "persons"),
        (good.replace("name = \"second\"", "name = \"mqtt\""), "mqtt"),
        (good.replace(SECOND, &(elsewhere + THIRD)), &taken),
        (good.clone() + THIRD + &fourth, &taken),
        (good.clone() + "[http]\nbind = \"0.0.0.0:0\"\n", "token_file"),
    ] {
        assert_ne!(text, good);
        std::fs::write(&file, text).expect("the folder is ours");
        let said = server.operate_in_vain(&["reload", "--yes"]);
        assert!(said.contains(wanted), "{wanted}: {said}");
        assert_eq!(open(&server), "mqtt second", "{wanted}");
        assert_eq!(publish(&server, "t", &ann), Outcome::Taken, "{wanted}");
    }
    let log = server.process().stderr();
    assert!(log.contains("reload refused") && log.contains("user.txt"), "the log says it too");
    assert!(!is_told_to_go(&client));
    std::fs::write(&file, &good).expect("the folder is ours");
    let said = server.operate(&["reload"]);
    assert!(said.starts_with("nothing has changed\n") && said.ends_with("applied\n"), "{said}");
}
