//! mosquitto_pub, mosquitto_sub and mosquitto_rr, MQTT 3.1.1 and 5.

use std::process::Command;

use crate::process::{Process, run, wait_for};
use crate::server::Server;

const V311: &str = "mqttv311";
const V5: &str = "mqttv5";
const BOTH: [&str; 2] = [V311, V5];
const FORMAT: &str = "MSG %t %q %r %p";

/// A client program with the server's address and a protocol version.
fn client(program: &str, server: &Server, version: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &server.port(), "-V", version]);
    command
}

fn publish(server: &Server, version: &str, args: &[&str]) {
    run(client("mosquitto_pub", server, version).args(args));
}

/// A running mosquitto_sub that has subscribed.
struct Subscriber {
    process: Process,
}

impl Subscriber {
    /// Starts it and waits for its SUBACK.
    fn start(server: &Server, version: &str, args: &[&str]) -> Subscriber {
        Subscriber::start_formatted(server, version, FORMAT, args)
    }

    fn start_formatted(server: &Server, version: &str, format: &str, args: &[&str]) -> Subscriber {
        // Its output goes to a file, so without this it would appear at the end only.
        let mut command = Command::new("stdbuf");
        let sub = client("mosquitto_sub", server, version);
        command.arg("-oL").arg(sub.get_program()).args(sub.get_args());
        let mut process = Process::start(command.args(["-d", "-F", format]).args(args));
        process.wait_for_line("Subscribed (mid: 1)");
        Subscriber { process }
    }

    fn messages(&self) -> Vec<String> {
        let said = self.process.stdout();
        // The last line may still be on its way.
        let whole = said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        whole.filter_map(|line| line.strip_prefix("MSG ")).map(str::to_owned).collect()
    }

    /// Waits until there are at least `n` messages, and returns all.
    fn wait_for(&self, n: usize) -> Vec<String> {
        wait_for(&format!("{n} messages"), || {
            let messages = self.messages();
            (messages.len() >= n).then_some(messages)
        })
    }

    /// Ends it with DISCONNECT.
    fn stop(mut self) {
        self.process.signal("INT");
        self.process.wait();
    }
}

//= mqtt5:3.8.4-8
//= mqtt311:4.3.1-1
#[test]
fn qos_both_ways() {
    let server = Server::start();
    for version in BOTH {
        for granted in ["0", "1", "2"] {
            let sub = Subscriber::start(&server, version, &["-t", "q/+", "-q", granted]);
            // Each is awaited: messages of different publishers have no order.
            for (n, qos) in ["0", "1", "2"].into_iter().enumerate() {
                publish(&server, version, &["-t", "q/x", "-q", qos, "-m", qos]);
                let delivered = qos.min(granted);
                assert_eq!(sub.wait_for(n + 1)[n], format!("q/x {delivered} 0 {qos}"), "{version}");
            }
        }
    }
}

//= mqtt5:3.3.1-5
//= mqtt5:3.3.1-6
//= mqtt311:3.3.1-5
//= mqtt311:3.3.1-10
#[test]
fn retained() {
    let server = Server::start();
    for version in BOTH {
        publish(&server, version, &["-t", "r/a", "-r", "-q", "1", "-m", "on"]);
        let sub = Subscriber::start(&server, version, &["-t", "r/#", "-q", "1"]);
        assert_eq!(sub.wait_for(1), ["r/a 1 1 on"]);
        // An empty retained message clears.
        publish(&server, version, &["-t", "r/a", "-r", "-n", "-q", "1"]);
        assert_eq!(sub.wait_for(2)[1], "r/a 1 0 ");
        let late = Subscriber::start(&server, version, &["-t", "r/#"]);
        publish(&server, version, &["-t", "r/end", "-m", "end"]);
        assert_eq!(late.wait_for(1), ["r/end 0 0 end"]);
    }
}

#[test]
fn retained_messages_are_removed_in_bulk() {
    let server = Server::start();
    for n in 0..20 {
        publish(&server, V311, &["-t", &format!("bulk/{n}"), "-r", "-q", "1", "-m", "x"]);
    }
    // It answers each retained message with an empty one, which comes back live.
    let remover = Subscriber::start(&server, V311, &["-t", "bulk/#", "--remove-retained"]);
    let messages = remover.wait_for(40);
    assert_eq!(messages.iter().filter(|m| m.ends_with(" 0 1 x")).count(), 20, "{messages:?}");
    wait_for("the end of all retained messages", || {
        let late = Subscriber::start(&server, V311, &["-t", "bulk/#"]);
        publish(&server, V311, &["-t", "bulk/end", "-m", "end"]);
        (late.wait_for(1)[0] == "bulk/end 0 0 end").then_some(())
    });
}

//= mqtt5:3.1.2-8
//= mqtt311:3.1.2-8
//= mqtt311:3.14.4-3
#[test]
fn will() {
    let server = Server::start();
    for version in BOTH {
        let watcher = Subscriber::start(&server, version, &["-t", "will/#", "-q", "2"]);
        let args: Vec<&str> =
            "-i mortal -t last --will-topic will/a --will-payload gone --will-qos 2"
                .split(' ')
                .collect();
        let mut killed = Subscriber::start(&server, version, &args);
        killed.process.kill();
        assert_eq!(watcher.wait_for(1), ["will/a 2 0 gone"]);
        // With -C 1 it ends with a plain DISCONNECT after one message.
        let mut polite = Subscriber::start(&server, version, &[&args[..], &["-C", "1"]].concat());
        publish(&server, version, &["-t", "last", "-m", "x"]);
        polite.process.wait();
        // The will of another client comes a second later: by then this one's would have come.
        let clock = "-t x -x 600 --will-topic will/clock -D will will-delay-interval 1";
        let clock: Vec<&str> = clock.split(' ').collect();
        Subscriber::start(&server, V5, &clock).process.kill();
        assert_eq!(watcher.wait_for(2)[1], "will/clock 0 0 ", "{version}");
    }
}

#[test]
fn shared_subscription() {
    let server = Server::start();
    for version in BOTH {
        let filter = ["-t", "$share/group/job/+", "-q", "1"];
        let members: Vec<Subscriber> =
            (0..3).map(|_| Subscriber::start(&server, version, &filter)).collect();
        let count = 30;
        let lines: String = (0..count).map(|n| format!("{n}\n")).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("lines");
        std::fs::write(&file, lines).expect("the folder is ours");
        // -l sends each line as a message; a shell gives it the file as standard input.
        run(Command::new("sh").arg("-c").arg(format!(
            "mosquitto_pub -h 127.0.0.1 -p {} -V {version} -t job/x -q 1 -l < {}",
            server.port(),
            file.display()
        )));
        let all = || members.iter().flat_map(Subscriber::messages).collect::<Vec<_>>();
        let got = wait_for("all shared messages", || Some(all()).filter(|m| m.len() >= count));
        let mut numbers: Vec<usize> = got
            .iter()
            .map(|m| m.strip_prefix("job/x 1 0 ").and_then(|n| n.parse().ok()).expect(m))
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..count).collect::<Vec<_>>());
    }
}

//= mqtt5:3.1.2-5
//= mqtt5:3.1.2-23
//= mqtt311:3.1.2-4
//= mqtt311:3.1.2-5
#[test]
fn offline_queue() {
    let server = Server::start();
    for version in BOTH {
        let mut args = vec!["-c", "-i", "sleeper", "-t", "mail", "-q", "1"];
        if version == V5 {
            args.extend(["-x", "300"]);
        }
        Subscriber::start(&server, version, &args).stop();
        for n in ["1", "2", "3"] {
            publish(&server, version, &["-t", "mail", "-q", "1", "-m", n]);
        }
        let again = Subscriber::start(&server, version, &args);
        assert_eq!(again.wait_for(3), ["mail 1 0 1", "mail 1 0 2", "mail 1 0 3"]);
        again.stop();
        // A clean start ends the session for the next version.
        Subscriber::start(&server, version, &["-i", "sleeper", "-t", "mail"]).stop();
    }
}

//= mqtt5:3.1.4-3
//= mqtt311:3.1.4-2
#[test]
fn take_over() {
    let server = Server::start();
    for version in BOTH {
        let args = ["-i", "twin", "-t", "twin"];
        let mut old = Subscriber::start(&server, version, &args);
        let new = run(client("mosquitto_pub", &server, version)
            .args(["-d", "-i", "twin", "-t", "twin", "-m", "x", "-q", "1"]));
        assert!(new.contains("received PUBACK"), "{new}");
        if version == V5 {
            old.process.wait_for_line("Received DISCONNECT (142)");
        } else {
            // It connects again by itself, which proves that it was disconnected.
            wait_for("the old client's second CONNECT", || {
                (old.process.stdout().matches("sending CONNECT").count() > 1).then_some(())
            });
        }
    }
}

#[test]
fn large_payload() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("large");
    let line = "0123456789abcdef".repeat(64);
    let text = line.repeat(900);
    std::fs::write(&file, &text).expect("the folder is ours");
    let file = file.to_str().expect("the name is UTF-8");
    for version in BOTH {
        let sub = Subscriber::start(&server, version, &["-t", "big", "-q", "2"]);
        for (n, qos) in ["0", "1", "2"].into_iter().enumerate() {
            publish(&server, version, &["-t", "big", "-q", qos, "-f", file]);
            assert!(sub.wait_for(n + 1)[n] == format!("big {qos} 0 {text}"), "{version} QoS {qos}");
        }
    }
}

//= mqtt5:3.3.2-15
//= mqtt5:3.3.2-16
#[test]
fn request_response() {
    let server = Server::start();
    let format = "MSG %t %R %D %p";
    let responder = Subscriber::start_formatted(&server, V5, format, &["-t", "request", "-q", "1"]);
    let mut requester = Process::start(client("mosquitto_rr", &server, V5).args([
        "-t",
        "request",
        "-e",
        "response/1",
        "-m",
        "2+2",
        "-q",
        "1",
        "-D",
        "publish",
        "correlation-data",
        "number-7",
        "-W",
        "15",
    ]));
    assert_eq!(responder.wait_for(1), ["request response/1 number-7 2+2"]);
    publish(
        &server,
        V5,
        &["-t", "response/1", "-m", "4", "-D", "publish", "correlation-data", "number-7"],
    );
    assert!(requester.wait().success(), "{}", requester.stderr());
    assert_eq!(requester.stdout().trim(), "4");
}

//= mqtt5:3.3.2-4
//= mqtt5:3.3.2-17
//= mqtt5:3.3.2-18
//= mqtt5:3.3.2-20
//= mqtt5:3.3.4-3
#[test]
fn message_properties() {
    let server = Server::start();
    let format = "MSG %C|%E|%F|%R|%D|%P|%S|%p";
    let sub = Subscriber::start_formatted(
        &server,
        V5,
        format,
        &["-t", "props", "-D", "subscribe", "subscription-identifier", "42"],
    );
    let mut args = vec!["-t", "props", "-m", "x"];
    for property in [
        ["content-type", "text/plain"],
        ["message-expiry-interval", "3600"],
        ["payload-format-indicator", "1"],
        ["response-topic", "r/t"],
        ["correlation-data", "c"],
    ] {
        args.extend(["-D", "publish"]);
        args.extend(property);
    }
    for user in [["b", "1"], ["a", "2"], ["b", "3"]] {
        args.extend(["-D", "publish", "user-property"]);
        args.extend(user);
    }
    publish(&server, V5, &args);
    let got = sub.wait_for(1);
    let expiry = got[0].split('|').nth(1).expect("a message expiry");
    assert!(["3600", "3599"].contains(&expiry), "message expiry {expiry}");
    let wanted = format!("text/plain|{expiry}|1|r/t|c|b:1 a:2 b:3|42|x");
    assert_eq!(got, [wanted]);
}

//= mqtt5:3.10.4-2
//= mqtt311:3.10.4-2
#[test]
fn unsubscribe_in_a_resumed_session() {
    let server = Server::start();
    for version in BOTH {
        let mut args = vec!["-c", "-i", "leaver", "-t", "keep", "-q", "1"];
        if version == V5 {
            args.extend(["-x", "300"]);
        }
        let mut both = args.clone();
        both.extend(["-t", "leave"]);
        Subscriber::start(&server, version, &both).stop();
        let mut leaving = args.clone();
        leaving.extend(["-U", "leave"]);
        let sub = Subscriber::start(&server, version, &leaving);
        // Its UNSUBSCRIBE goes out before its SUBSCRIBE is acknowledged.
        publish(&server, version, &["-t", "leave", "-q", "1", "-m", "no"]);
        publish(&server, version, &["-t", "keep", "-q", "1", "-m", "yes"]);
        assert_eq!(sub.wait_for(1), ["keep 1 0 yes"], "{version}");
        sub.stop();
        Subscriber::start(&server, version, &["-i", "leaver", "-t", "x"]).stop();
    }
}

//= mqtt5:4.7.2-1
//= mqtt311:4.7.2-1
#[test]
fn sys_topics() {
    let server = Server::start();
    for version in BOTH {
        let sub = Subscriber::start(&server, version, &["-t", "$SYS/#"]);
        assert!(sub.wait_for(1)[0].starts_with("$SYS/"));
    }
}

#[test]
fn versions_meet() {
    let server = Server::start();
    let old = Subscriber::start(&server, "mqttv31", &["-t", "mixed", "-q", "1"]);
    let middle = Subscriber::start(&server, V311, &["-t", "mixed", "-q", "1"]);
    let new = Subscriber::start(&server, V5, &["-t", "mixed", "-q", "1"]);
    let property = ["-D", "publish", "user-property", "k", "v"];
    let mut args = vec!["-t", "mixed", "-q", "1", "-m", "5"];
    args.extend(property);
    publish(&server, V5, &args);
    publish(&server, V311, &["-t", "mixed", "-q", "1", "-m", "4"]);
    publish(&server, "mqttv31", &["-t", "mixed", "-q", "1", "-m", "3"]);
    for sub in [old, middle, new] {
        let mut got = sub.wait_for(3);
        got.sort();
        assert_eq!(got, ["mixed 1 0 3", "mixed 1 0 4", "mixed 1 0 5"]);
    }
}
