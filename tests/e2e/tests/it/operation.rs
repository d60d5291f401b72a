//! The operator's commands, against clients that other people wrote.

use std::process::Command;

use serde_json::Value as Json;

use crate::access::{self, Outcome, folder, publish, refused};
use crate::process::{Process, finish, line_by_line, run, wait_for};
use crate::server::{Server, executable};

/// A server that knows two users, with two listeners.
fn server(tables: &str) -> Server {
    let folder = folder();
    let users = folder.path().join("users.txt");
    for (user, password, make) in
        [("ann", "first password", "-c"), ("bob", "second password", "-b")]
    {
        let mut command = Command::new("mosquitto_passwd");
        run(command.args([make, "-b"]).arg(&users).args([user, password]));
    }
    let policy = "authentication = [\"users\"]\nallow_anonymous = true\n";
    let tables = format!(
        "[[listener]]\nname = \"west\"\nbind = \"127.0.0.1:0\"\n{policy}\n\
         [authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n{tables}"
    );
    access::server(folder, policy, &tables)
}

/// A mosquitto_sub of version 5 at a listener that has subscribed.
pub(crate) fn subscriber(server: &Server, listener: &str, options: &[&str]) -> Process {
    let port = server.address_of(listener).port().to_string();
    let mut command = line_by_line("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port, "-V", "5", "-q", "1", "-d", "-v"]);
    let mut process = Process::start(command.args(options));
    process.wait_for_line("Subscribed");
    process
}

const ANN: [&str; 4] = ["-u", "ann", "-P", "first password"];
const BOB: [&str; 4] = ["-u", "bob", "-P", "second password"];

/// Options of a client: who it is, and what it subscribes to.
fn who<'a>(client_id: &'a str, user: &[&'a str], topics: &[&'a str]) -> Vec<&'a str> {
    let mut options = vec!["-i", client_id];
    options.extend(user);
    options.extend(topics.iter().flat_map(|topic| ["-t", *topic]));
    options
}

/// The lines of JSON that a command answers with.
pub(crate) fn ask(server: &Server, arguments: &[&str]) -> Vec<Json> {
    let said = server.operate(&[arguments, &["--json"]].concat());
    said.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// One member of all lines.
fn column<'a>(lines: &'a [Json], name: &str) -> Vec<&'a str> {
    lines.iter().map(|line| line[name].as_str().unwrap_or("-")).collect()
}

/// The row of a table that begins with a word, in words.
fn row(table: &str, first: &str) -> Vec<String> {
    let mut rows = table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect());
    let found = rows.find(|row: &Vec<String>| row.first().is_some_and(|word| word == first));
    found.unwrap_or_else(|| panic!("no row {first} in\n{table}"))
}

#[test]
fn clients_are_listed() {
    let server = server("");
    let _first = subscriber(&server, "mqtt", &who("lamp-1", &ANN, &["lamps/1"]));
    let _second = subscriber(&server, "west", &who("lamp-2", &BOB, &["lamps/2", "lamps/+/x"]));
    let stays = ["-c", "-x", "300"];
    let options = [&who("meter-7", &ANN, &["meters"])[..], &stays].concat();
    let mut away = subscriber(&server, "mqtt", &options);
    away.signal("INT");
    away.wait();
    wait_for("the client that leaves", || {
        (column(&ask(&server, &["clients", "--away"]), "client") == ["meter-7"]).then_some(())
    });
    publish(&server, "meters", &[]);

    let table = server.operate(&["clients"]);
    let header = table.lines().next().expect("a header");
    for title in ["CLIENT", "CONNECTED", "SINCE", "USER", "LISTENER", "ADDRESS", "QUEUED"] {
        assert!(header.contains(title), "{table}");
    }
    let lamp = row(&table, "lamp-2");
    assert_eq!(lamp[1..3], ["mqtt", "yes"], "{table}");
    assert_eq!(lamp[5..7], ["bob", "west"], "{table}");
    assert_eq!(lamp[8..], ["2", "0", "0"], "subscriptions, queued, in flight: {table}");
    let meter = row(&table, "meter-7");
    assert_eq!((&*meter[2], &*meter[9]), ("no", "1"), "away with a message: {table}");

    let named = |arguments: &[&str]| {
        let lines = ask(&server, &[&["clients"], arguments].concat());
        column(&lines, "client").join(" ")
    };
    assert_eq!(named(&[]), "lamp-1 lamp-2 meter-7");
    assert_eq!(named(&["--connected"]), "lamp-1 lamp-2");
    assert_eq!(named(&["--user", "ann"]), "lamp-1 meter-7");
    assert_eq!(named(&["--listener", "west"]), "lamp-2");
    assert_eq!(named(&["--prefix", "lamp-"]), "lamp-1 lamp-2");
    assert_eq!(named(&["--address", "127.0.0.0/8", "--connected"]), "lamp-1 lamp-2");
    assert_eq!(named(&["--address", "10.0.0.0/8"]), "");
    assert_eq!(named(&["--limit", "2"]), "lamp-1 lamp-2");
    let cut = server.operate(&["clients", "--limit", "2"]);
    assert!(cut.contains("there are more than these 2"), "{cut}");
    assert_eq!(server.operate(&["clients", "--user", "eve"]), "no clients\n");
}

#[test]
fn a_client_is_shown() {
    let server = server("");
    let will = ["--will-topic", "lamps/end", "--will-payload", "dark", "-k", "77", "-x", "90"];
    let options = [&who("lamp-1", &ANN, &["lamps/1", "$share/g/jobs"])[..], &will].concat();
    let client = subscriber(&server, "west", &options);
    let shown = &ask(&server, &["show", "lamp-1"])[0];
    for (key, wanted) in [
        ("client", "lamp-1"),
        ("gateway", "mqtt"),
        ("user", "ann"),
        ("listener", "west"),
        ("authenticator", "users"),
    ] {
        assert_eq!(shown[key], wanted, "{key} in {shown}");
    }
    assert_eq!(shown["connected"], true);
    assert_eq!(shown["session_expiry_s"], 90);
    assert_eq!(shown["subscriptions"], 2);
    assert_eq!(shown["link"]["transport"], "tcp", "{shown}");
    assert!(shown["link"]["read_bytes"].as_u64() > Some(50), "{shown}");
    assert!(shown["will"].to_string().contains("lamps/end"), "{shown}");
    assert!(!shown.to_string().contains("dark"), "payloads are not shown: {shown}");
    assert!(shown["subscribed"].to_string().contains("jobs"), "{shown}");
    let text = server.operate(&["show", "lamp-1"]);
    for words in [["user", "ann"], ["listener", "west"], ["connected", "yes"]] {
        assert_eq!(row(&text, words[0]), words);
    }
    assert!(server.operate_in_vain(&["show", "lamp-2"]).contains("no client lamp-2"));
    assert!(server.operate_in_vain(&["show", "lamp-1", "--gateway", "x"]).contains("no gateway x"));
    drop(client);
}

#[test]
fn subscriptions_and_retained_messages_are_listed() {
    let server = server("");
    let _first = subscriber(&server, "mqtt", &who("lamp-1", &[], &["city/+/a", "$share/g/jobs"]));
    let _second = subscriber(&server, "west", &who("lamp-2", &[], &["city/#"]));
    let table = server.operate(&["subscriptions"]);
    assert_eq!(row(&table, "lamp-2"), ["lamp-2", "mqtt", "city/#", "-", "1"]);
    let shared = table.lines().find(|line| line.contains("jobs")).expect("it is listed");
    let shared: Vec<_> = shared.split_whitespace().collect();
    assert_eq!(shared, ["lamp-1", "mqtt", "jobs", "g", "1"]);
    let filters = |arguments: &[&str]| {
        let lines = ask(&server, &[&["subscriptions"], arguments].concat());
        let mut filters = column(&lines, "filter");
        filters.sort_unstable();
        filters.join(" ")
    };
    assert_eq!(filters(&[]), "city/# city/+/a jobs");
    assert_eq!(filters(&["--client", "lamp-1"]), "city/+/a jobs");
    assert_eq!(filters(&["--topic", "city/x/a"]), "city/# city/+/a");
    assert_eq!(filters(&["--topic", "city/x/b"]), "city/#");
    assert_eq!(ask(&server, &["subscriptions", "--limit", "1"]).len(), 1);
    assert_eq!(server.operate(&["subscriptions", "--client", "x"]), "no subscriptions\n");

    for (topic, payload) in [("city/a", "21.5"), ("city/b", "22"), ("town", "wet")] {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &server.port(), "-q", "1", "-r"]);
        run(command.args(["-t", topic, "-m", payload]));
    }
    let topics = |arguments: &[&str]| {
        let lines = ask(&server, &[&["retained"], arguments].concat());
        column(&lines, "topic").join(" ")
    };
    assert_eq!(topics(&[]), "city/a city/b town");
    assert_eq!(topics(&["city/+"]), "city/a city/b");
    assert_eq!(topics(&["--limit", "1"]), "city/a");
    let table = server.operate(&["retained", "city/#", "--payload"]);
    assert_eq!(row(&table, "city/a"), ["city/a", "1", "4", "B", "21.5"]);
    assert!(!server.operate(&["retained"]).contains("21.5"), "payloads are shown when asked for");
    assert_eq!(ask(&server, &["retained", "town", "--payload"])[0]["payload"], "wet");
    assert_eq!(server.operate(&["retained", "x/#"]), "no retained messages\n");
    assert!(server.operate_in_vain(&["retained", "a/#/b"]).contains("filter"));
}

#[test]
fn listeners_and_numbers_are_shown() {
    let server = server("");
    let _client = subscriber(&server, "west", &who("lamp-1", &[], &["t"]));
    publish(&server, "t", &[]);
    let table = server.operate(&["listeners"]);
    let west = row(&table, "west");
    let address = server.address_of("west").to_string();
    assert_eq!(west[..5], ["west", "mqtt", "tcp", &address, "1"], "{table}");
    let listeners = ask(&server, &["listeners"]);
    assert_eq!(column(&listeners, "name"), ["mqtt", "west"]);
    wait_for("the counters, which are a second old at most", || {
        let stats = &ask(&server, &["stats"])[0];
        let numbers = [
            (&stats["clients"]["connected"], 1),
            (&stats["subscriptions"]["count"], 1),
            (&stats["messages"]["received"], 1),
            (&stats["messages"]["sent"], 1),
            (&stats["links"]["accepted"], 2),
        ];
        let pid = stats["pid"].as_u64().expect("a number");
        assert!(pid > 0 && stats["ready"] == true, "{stats}");
        numbers.iter().all(|(number, wanted)| **number == *wanted).then_some(())
    });
    let text = server.operate(&["stats"]);
    assert_eq!(row(&text, "ready"), ["ready", "yes"]);
    assert_eq!(row(&text, "connected"), ["connected", "1"]);
}

#[test]
fn who_is_kicked_is_told_and_may_come_back() {
    let server = server("");
    for (whom, wanted) in [
        (vec!["lamp-1"], "1 client disconnected\n"),
        (vec!["--client", "lamp-1"], "1 client disconnected\n"),
        (vec!["--user", "ann"], "1 client disconnected\n"),
        (vec!["--listener", "west"], "1 client disconnected\n"),
        (vec!["--address", "127.0.0.7"], "1 client disconnected\n"),
        (vec!["--address", "127.0.0.0/8"], "2 clients disconnected\n"),
    ] {
        let from = ["-A", "127.0.0.7"];
        let options = [&who("lamp-1", &ANN, &["t"])[..], &from].concat();
        let mut client = subscriber(&server, "west", &options);
        let other = subscriber(&server, "mqtt", &who("lamp-2", &BOB, &["t"]));
        assert_eq!(server.operate(&[&["kick"], &whom[..]].concat()), wanted, "{whom:?}");
        // Administrative action.
        client.wait_for_line("DISCONNECT (152)");
        drop(subscriber(&server, "west", &options));
        let is_told = other.stdout().contains("DISCONNECT (");
        assert!(whom[1..] == ["127.0.0.0/8"] || !is_told, "{whom:?}: {}", other.stdout());
    }
    let old = ["-i", "old", "-t", "t", "-V", "311"];
    let mut old = subscriber(&server, "mqtt", &old);
    server.operate(&["kick", "old"]);
    wait_for("its return", || (old.stdout().matches("CONNACK (0)").count() > 1).then_some(()));
    assert!(old.ended().is_none());
    let kicked = ask(&server, &["kick", "old"]);
    assert_eq!(kicked[0]["kicked"], 1);
    assert!(server.operate_in_vain(&["kick", "nobody"]).contains("no such client"));
}

/// "Banned" is a reason of CONNACK only: a DISCONNECT says "Administrative action".
const TOLD_OF_BAN: &str = "DISCONNECT (152)";

#[test]
fn who_is_banned_goes_and_stays_away() {
    let server = server("");
    let banned = refused("Banned");
    let mut client = subscriber(&server, "mqtt", &who("lamp-1", &ANN, &["t"]));
    let said = server.operate(&["ban", "lamp-1", "--for", "2h", "--reason", "too bright"]);
    assert_eq!(said, "banned; 1 client disconnected\n");
    client.wait_for_line(TOLD_OF_BAN);
    assert_eq!(publish(&server, "t", &["-i", "lamp-1"]), banned);
    assert_eq!(publish(&server, "t", &["-i", "lamp-2"]), Outcome::Taken);
    let table = server.operate(&["bans"]);
    let row = row(&table, "client");
    assert_eq!(row[1], "lamp-1");
    assert!(row[2].starts_with("1h") && table.contains("too bright"), "{table}");

    let mut client = subscriber(&server, "mqtt", &who("lamp-3", &BOB, &["t"]));
    assert_eq!(server.operate(&["ban", "--user", "bob"]), "banned; 1 client disconnected\n");
    client.wait_for_line(TOLD_OF_BAN);
    assert_eq!(publish(&server, "t", &BOB), banned);
    assert_eq!(publish(&server, "t", &ANN), Outcome::Taken);

    let from = |address| publish(&server, "t", &["-A", address]);
    let mut client = subscriber(&server, "west", &["-A", "127.0.0.2", "-t", "t"]);
    assert_eq!(
        server.operate(&["ban", "--address", "127.0.0.2"]),
        "banned; 1 client disconnected\n"
    );
    client.wait_for_line(TOLD_OF_BAN);
    server.operate(&["ban", "--address", "127.0.0.8/29"]);
    assert_eq!(from("127.0.0.2"), banned);
    assert_eq!(from("127.0.0.9"), banned);
    assert_eq!((from("127.0.0.3"), from("127.0.0.16")), (Outcome::Taken, Outcome::Taken));

    let list = ask(&server, &["bans"]);
    let mut values = column(&list, "value");
    values.sort_unstable();
    assert_eq!(values, ["127.0.0.2", "127.0.0.8/29", "bob", "lamp-1"]);
    let endless = list.iter().filter(|ban| ban["until_at_ms"].is_null()).count();
    assert_eq!(endless, 3, "{list:?}");
    for target in [&["lamp-1"][..], &["--user", "bob"], &["--address", "127.0.0.8/29"]] {
        assert_eq!(server.operate(&[&["unban"], target].concat()), "no longer banned\n");
        let again = server.operate_in_vain(&[&["unban"], target].concat());
        assert!(again.contains("is not banned"), "{again}");
    }
    assert_eq!(publish(&server, "t", &["-i", "lamp-1"]), Outcome::Taken);
    assert_eq!(publish(&server, "t", &BOB), Outcome::Taken);
    assert_eq!((from("127.0.0.9"), from("127.0.0.2")), (Outcome::Taken, banned));
}

#[test]
fn bans_end_by_themselves_and_outlive_the_server() {
    let mut server = server("");
    server.operate(&["ban", "lamp-1", "--for", "1s"]);
    server.operate(&["ban", "lamp-2", "--for", "1h"]);
    wait_for("the end of the ban", || {
        (publish(&server, "t", &["-i", "lamp-1"]) == Outcome::Taken).then_some(())
    });
    assert!(!server.operate(&["bans"]).contains("lamp-1"));
    server.restart();
    assert_eq!(publish(&server, "t", &["-i", "lamp-2"]), refused("Banned"));
    server.operate(&["unban", "lamp-2"]);
    assert_eq!(server.operate(&["bans"]), "nothing is banned\n");
    server.restart();
    assert_eq!(publish(&server, "t", &["-i", "lamp-2"]), Outcome::Taken);
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let server = server("");
    let code = |arguments: &[&str]| {
        let mut command = Command::new(executable());
        command.args(arguments).arg("--data-dir").arg(server.data_dir());
        finish(&mut command).0.code()
    };
    assert_eq!(code(&["clients"]), Some(0));
    assert_eq!(code(&["kick", "nobody"]), Some(1));
    assert_eq!(code(&["ban", "--address", "127.0.0"]), Some(1));
    assert_eq!(code(&["kick"]), Some(2));
    assert_eq!(code(&["ban", "lamp", "--for", "soon"]), Some(2));
    let empty = folder();
    let mut command = Command::new(executable());
    let (status, said) = finish(command.arg("clients").arg("--data-dir").arg(empty.path()));
    assert_eq!(status.code(), Some(3), "{said}");
    // Nobody but the server's own user may ask.
    use std::os::unix::fs::PermissionsExt as _;
    let socket = server.data_dir().join("control.sock");
    let mode = std::fs::metadata(socket).expect("it is open").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
