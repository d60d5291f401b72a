//! MQTT-SN 1.2 over UDP, seen by `py/mqttsn_client.py`, a client that was written from the
//! specification alone, and by clients that other people wrote.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, python, run};
use crate::server::{Server, executable};

/// A server with a listener for MQTT and one for MQTT-SN.
pub(crate) struct Gateway {
    pub(crate) server: Server,
    /// Where the datagrams of all cases are written.
    capture: Option<PathBuf>,
}

/// What a test wants to be otherwise in the file.
#[derive(Default)]
pub(crate) struct Config {
    /// Lines of the top table.
    top: &'static str,
    /// Lines of the MQTT-SN listener's own table.
    listener: &'static str,
    /// Lines of `[listener.mqtt-sn]`.
    sn: &'static str,
    /// Further tables, of that listener and of the file.
    tables: &'static str,
    /// What may be published without a connection, instead of `sn/pre/#` and `ok`.
    qos_minus_one: Option<&'static str>,
    /// Shards, where the test is about their number.
    shards: Option<u8>,
}

impl Config {
    pub(crate) fn text(&self) -> String {
        let shards = std::env::var("MANIFOLD_SHARDS").unwrap_or_else(|_| "1".into());
        let shards = self.shards.map_or(shards, |shards| shards.to_string());
        format!(
            "shards = {shards}\ndrain_timeout = \"1s\"\nlog.level = \"debug\"\n{}\n\
             [[listener]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n\
             [[listener]]\nname = \"sn\"\ngateway = \"mqtt-sn\"\ntransport = \"udp\"\n\
             bind = \"127.0.0.1:0\"\n{}\n[listener.mqtt-sn]\ngateway_id = 7\n{}\n\
             predefined = {{ 5 = \"sn/pre/five\", 6 = \"sn/pre/six\", 300 = \"sn/pre/large\" }}\n\
             qos_minus_one = [{}]\n{}\n",
            self.top,
            self.listener,
            self.sn,
            self.qos_minus_one.unwrap_or("\"sn/pre/#\", \"ok\""),
            self.tables
        )
    }
}

impl Gateway {
    fn start(config: &Config) -> Gateway {
        Gateway::start_in(tempfile::tempdir().expect("a folder"), config)
    }

    /// Starts it with files that are in the folder already.
    fn start_in(folder: TempDir, config: &Config) -> Gateway {
        Gateway::with_text(folder, &config.text())
    }

    /// Starts it with this file.
    pub(crate) fn with_text(folder: TempDir, text: &str) -> Gateway {
        Gateway { server: Server::start_in(folder, text), capture: None }
    }

    /// The command for cases of a script.
    fn command(&self, script: &str, cases: &[&str]) -> Command {
        let mut command = python(script);
        let port = self.server.address_of("sn").port().to_string();
        command.args([port, self.server.port()]).args(cases);
        if let Some(file) = &self.capture {
            command.env("MQTTSN_CAPTURE", file);
        }
        command
    }

    /// Runs cases of a script, one after another.
    fn run(&self, script: &str, cases: &[&str]) {
        run(&mut self.command(script, cases));
    }

    /// Runs cases that mostly wait, all at once.
    fn run_at_once(&self, script: &str, cases: &[&str]) {
        let start = |case: &&str| Process::start(&mut self.command(script, &[case]));
        let running: Vec<Process> = cases.iter().map(start).collect();
        for (case, mut process) in cases.iter().zip(running) {
            let status = process.wait();
            assert!(status.success(), "{script} {case} ({status}):\n{}", process.stderr());
        }
    }
}

/// Runs cases against a server with nothing special.
fn cases(script: &str, cases: &[&str]) {
    Gateway::start(&Config::default()).run(script, cases);
}

/// Runs cases that mostly wait, all at once, against a server with nothing special.
fn cases_at_once(script: &str, cases: &[&str]) {
    Gateway::start(&Config::default()).run_at_once(script, cases);
}

#[test]
fn the_client_reads_and_writes_the_packets_of_the_specification() {
    run(&mut python("mqttsn_vectors.py"));
}

//= mqttsn:GW-SN-06
//= mqttsn:GW-SN-07
//= mqttsn:GW-SN-23
//= mqttsn:GW-SN-24
#[test]
fn connecting_and_leaving() {
    let names = ["connect_and_disconnect", "another_protocol_version", "client_ids"];
    cases("mqttsn_sessions.py", &names);
}

//= mqttsn:GW-SN-02
#[test]
fn both_forms_of_length() {
    cases("mqttsn_sessions.py", &["both_forms_of_length"]);
}

//= mqttsn:GW-SN-08
//= mqttsn:GW-SN-13
//= mqttsn:GW-SN-19
#[test]
fn sessions_are_kept_or_deleted() {
    let names = ["connect_twice", "clean_session", "ids_of_a_kept_session"];
    cases("mqttsn_sessions.py", &names);
}

#[test]
fn kept_sessions_expire() {
    let config = Config { sn: "session_expiry = \"3s\"", ..Config::default() };
    Gateway::start(&config).run("mqttsn_sessions.py", &["session_expires"]);
}

//= mqttsn:GW-SN-30
#[test]
fn another_address_takes_over() {
    cases("mqttsn_sessions.py", &["another_address_takes_over"]);
}

//= mqttsn:GW-SN-26
#[test]
fn silent_clients_are_lost() {
    cases_at_once("mqttsn_sessions.py", &["silent_client_is_lost", "keep_alive_0_never_ends"]);
}

//= mqttsn:GW-SN-25
//= mqttsn:GW-SN-04
#[test]
fn strangers_are_answered() {
    cases("mqttsn_sessions.py", &["strangers_are_told", "search_for_gateways"]);
}

//= mqttsn:GW-SN-06
//= mqttsn:GW-SN-29
#[test]
fn wills_are_asked_for_and_published() {
    let names =
        ["will_of_each_qos", "retained_will", "farewell_publishes_no_will", "prompts_are_repeated"];
    cases_at_once("mqttsn_wills.py", &names);
}

//= mqttsn:GW-SN-08
//= mqttsn:GW-SN-09
//= mqttsn:GW-SN-10
#[test]
fn wills_of_kept_sessions() {
    let names = [
        "will_of_a_kept_session_stays",
        "will_of_a_kept_session_is_overwritten",
        "empty_will_topic_deletes_the_will",
        "clean_session_deletes_the_will",
        "bad_wills_are_refused",
    ];
    cases_at_once("mqttsn_wills.py", &names);
}

//= mqttsn:GW-SN-11
#[test]
fn wills_are_updated() {
    let names = [
        "updates_overwrite_separately",
        "an_update_outlives_the_connection",
        "an_empty_update_deletes_both",
    ];
    cases_at_once("mqttsn_wills.py", &names);
}

//= mqttsn:GW-SN-27
#[test]
fn only_those_that_oversleep_are_lost() {
    cases_at_once("mqttsn_wills.py", &["sleeping_keeps_the_will_quiet"]);
}

//= mqttsn:GW-SN-12
//= mqttsn:GW-SN-13
//= mqttsn:GW-SN-14
#[test]
fn topic_ids() {
    let names = [
        "register",
        "names_that_cannot_be_registered",
        "ids_are_the_clients_own",
        "unknown_ids",
        "a_name_of_two_octets_by_its_name",
    ];
    cases("mqttsn_topics.py", &names);
}

//= mqttsn:GW-SN-12
#[test]
fn no_topic_id_is_left() {
    let config = Config { sn: "max_topics = 10", ..Config::default() };
    let names = ["no_id_is_left", "wildcards_without_ids_left"];
    Gateway::start(&config).run("mqttsn_topics.py", &names);
}

//= mqttsn:GW-SN-18
//= mqttsn:GW-SN-19
//= mqttsn:GW-SN-20
//= mqttsn:GW-SN-21
#[test]
fn the_gateway_registers_topics() {
    let names =
        ["wildcard_subscription", "refused_registration_ends_the_topic", "refused_id_is_corrected"];
    cases("mqttsn_topics.py", &names);
}

//= mqttsn:GW-SN-31
#[test]
fn short_topic_names() {
    cases("mqttsn_topics.py", &["short_names", "short_names_that_are_none"]);
}

//= mqttsn:GW-SN-17
//= mqttsn:GW-SN-18
#[test]
fn predefined_topics() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "# client, topic, id\nspecial, sn/pre/seven, 7\nspecial,sn/pre/own,5\n";
    std::fs::write(folder.path().join("topics.conf"), text).expect("the folder is ours");
    let config = Config { sn: "predefined_file = \"topics.conf\"", ..Config::default() };
    let gateway = Gateway::start_in(folder, &config);
    let names = [
        "predefined_topics",
        "predefined_topics_of_a_client",
        "without_connection",
        "without_connection_in_one",
    ];
    gateway.run("mqttsn_topics.py", &names);
}

//= mqttsn:GW-SN-17
#[test]
fn publishing_without_a_connection_is_off_by_default() {
    let config = Config { qos_minus_one: Some(""), ..Config::default() };
    Gateway::start(&config).run("mqttsn_topics.py", &["without_connection_switched_off"]);
}

//= mqttsn:GW-SN-16
#[test]
fn messages_of_each_qos_both_ways() {
    let names = ["to_mqtt", "from_mqtt", "between_clients", "many_in_order"];
    cases("mqttsn_messages.py", &names);
}

//= mqttsn:GW-SN-18
#[test]
fn subscriptions_and_retained_messages() {
    let names = ["retained", "unsubscribe", "subscribe_again_changes_the_qos"];
    cases("mqttsn_messages.py", &names);
}

//= mqttsn:GW-SN-16
//= mqttsn:GW-SN-29
#[test]
fn clients_repeat_themselves() {
    let names = [
        "lost_answers_of_qos_1",
        "lost_answers_of_qos_2",
        "qos_2_goes_on_after_a_reconnect",
        "two_at_once",
        "answers_to_nothing",
    ];
    cases("mqttsn_messages.py", &names);
}

//= mqttsn:GW-SN-22
#[test]
fn large_messages() {
    cases("mqttsn_messages.py", &["large_messages"]);
}

//= mqttsn:GW-SN-27
#[test]
fn messages_wait_for_sleepers() {
    let names = [
        "messages_wait",
        "clean_sessions_sleep_too",
        "nothing_is_sent_to_a_sleeper",
        "messages_while_awake",
        "lost_wake_ups",
        "publishing_while_asleep",
    ];
    cases("mqttsn_sleepers.py", &names);
}

//= mqttsn:GW-SN-27
#[test]
fn sleep_begins_and_ends() {
    let names = [
        "connecting_ends_the_sleep",
        "clean_connect_from_asleep_deletes",
        "farewell_of_a_sleeper",
        "a_new_duration",
        "waking_restarts_the_sleep",
        "keep_alive_does_not_end_a_sleep",
    ];
    cases_at_once("mqttsn_sleepers.py", &names);
}

//= mqttsn:GW-SN-27
#[test]
fn a_sleepers_queue_is_bounded() {
    let config = Config {
        top: "[limits]\nmax_queued_messages = 5\noverflow = \"drop-oldest\"",
        ..Config::default()
    };
    let names = ["old_messages_without_acknowledgement_go_first"];
    Gateway::start(&config).run("mqttsn_sleepers.py", &names);
}

//= mqttsn:GW-SN-27
#[test]
fn sleepers_come_back_from_other_ports() {
    cases("mqttsn_sleepers.py", &["back_from_another_port"]);
}

/// On four shards, so that datagrams arrive where the session is not.
//= mqttsn:GW-SN-29
#[test]
fn qos_2_is_exactly_once_over_fifty_ports() {
    let config = Config { sn: "retry_interval = \"1s\"", shards: Some(4), ..Config::default() };
    Gateway::start(&config).run("mqttsn_sleepers.py", &["qos_2_over_fifty_ports"]);
}

//= mqttsn:GW-SN-30
#[test]
fn clients_stay_with_their_address() {
    let names = [
        "no_adoption_from_another_host",
        "no_take_over_from_another_host",
        "another_client_on_the_same_address",
    ];
    cases("mqttsn_paths.py", &names);
}

#[test]
fn clients_move_anywhere_where_that_is_trusted() {
    let config = Config { tables: "[listener.udp]\nrebind = \"trust\"", ..Config::default() };
    let names = ["adoption_from_anywhere", "take_over_from_another_host"];
    Gateway::start(&config).run("mqttsn_paths.py", &names);
}

#[test]
fn clients_do_not_move_without_dtls() {
    let config = Config { tables: "[listener.udp]\nrebind = \"dtls-only\"", ..Config::default() };
    let names = ["no_adoption_from_another_port", "no_adoption_from_another_host"];
    Gateway::start(&config).run("mqttsn_paths.py", &names);
}

//= mqttsn:GW-SN-32
#[test]
fn nodes_behind_a_forwarder() {
    let names = [
        "forwarder",
        "forwarder_that_is_a_client_too",
        "sleeping_nodes",
        "wills_of_nodes",
        "a_node_moves_to_another_forwarder",
        "strangers_behind_a_forwarder",
    ];
    cases("mqttsn_paths.py", &names);
}

//= mqttsn:GW-SN-32
#[test]
fn many_nodes_behind_a_forwarder() {
    cases("mqttsn_paths.py", &["many_nodes"]);
    let config = Config { sn: "max_nodes = 8", ..Config::default() };
    Gateway::start(&config).run("mqttsn_paths.py", &["too_many_nodes"]);
}

const RETRIES: Config = Config {
    top: "",
    listener: "",
    sn: "retry_interval = \"1s\"\nmax_retries = 2",
    tables: "",
    qos_minus_one: None,
    shards: None,
};

//= mqttsn:GW-SN-28
#[test]
fn unanswered_packets_are_repeated() {
    let names = [
        "publish_is_repeated",
        "pubrel_is_repeated",
        "register_is_repeated",
        "a_late_answer_is_enough",
        "others_wait_for_an_answer",
    ];
    Gateway::start(&RETRIES).run_at_once("mqttsn_repeats.py", &names);
}

//= mqttsn:GW-SN-28
#[test]
fn sessions_outlive_lost_clients() {
    let names = [
        "a_kept_session_survives_the_loss",
        "a_sleeper_that_stops_answering",
        "a_will_that_never_comes",
    ];
    Gateway::start(&RETRIES).run_at_once("mqttsn_repeats.py", &names);
}

const BESIEGED: Config = Config {
    top: "",
    listener: "",
    sn: "max_topics = 100",
    tables: "[listener.limits]\nmessage_rate = \"1000/s\"",
    qos_minus_one: None,
    shards: None,
};

/// Runs cases of peers that mean harm; the server's memory does not grow by more than 64 MiB.
fn siege(names: &[&str]) {
    let mut gateway = Gateway::start(&BESIEGED);
    let before = gateway.server.rss();
    gateway.run("mqttsn_hostile.py", names);
    let grown = gateway.server.peak_rss().saturating_sub(before);
    assert!(grown < 64 << 20, "the server grew by {grown} bytes");
}

//= mqttsn:GW-SN-01
//= mqttsn:GW-SN-32
#[test]
fn what_is_no_packet_is_dropped() {
    siege(&[
        "wrong_lengths_are_dropped",
        "half_an_encapsulation_is_dropped",
        "nested_encapsulations_are_dropped",
        "reserved_types_and_values",
        "names_that_are_no_text",
        "noise",
    ]);
}

#[test]
fn identities_are_not_stolen() {
    siege(&["stolen_client_ids", "forged_sources"]);
}

#[test]
fn floods_harm_nobody() {
    siege(&["register_flood", "subscribe_flood", "connect_flood"]);
}

#[test]
fn strangers_get_no_more_than_they_send_three_times() {
    siege(&["answers_are_not_larger_than_requests_allow"]);
}

//= mqttsn:GW-SN-15
#[test]
fn publishers_over_their_rate_are_told() {
    let config = Config {
        tables: "[listener.limits]\nmessage_rate = \"10/s, burst 20\"",
        ..Config::default()
    };
    Gateway::start(&config).run("mqttsn_hostile.py", &["over_the_message_rate"]);
}

/// Users meter and guest, and rules for them; see `mqttsn_access.py`.
const RULES: Config = Config {
    top: "",
    listener: "authentication = [\"users\"]",
    sn: "credentials_file = \"credentials.txt\"\npredefined_file = \"topics.conf\"",
    tables: "[authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n\
             [[acl]]\nallow = \"all\"\nlistener = \"mqtt\"\ntopics = \"#\"\n\
             [[acl]]\nallow = \"all\"\nuser = \"meter\"\ntopics = \"own/#\"\n\
             [[acl]]\nallow = \"all\"\ntopics = \"open/#\"\n",
    qos_minus_one: Some("\"sn/pre/#\", \"open/#\""),
    shards: None,
};

/// The folder of a server with users; `others` is a line of the credentials for all other clients.
fn folder_with_users(others: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("the folder is ours");
    };
    for (user, password) in [("meter", "first password"), ("guest", "second password")] {
        let mut add = Command::new("sh");
        add.arg("-c").arg("printf '%s\\n' \"$3\" | \"$1\" users add \"$2\" \"$4\"").arg("sh");
        add.arg(executable()).arg(folder.path().join("users.txt")).arg(password).arg(user);
        run(&mut add);
    }
    let of_clients = "known:meter:first password\nwrong:meter:second password\n\
                      qos-1:guest:second password\n";
    write("credentials.txt", &format!("{of_clients}{others}"));
    write("topics.conf", "*, open/pre, 8\n");
    folder
}

#[test]
fn credentials_and_rules() {
    let gateway = Gateway::start_in(folder_with_users(""), &RULES);
    let names = [
        "credentials_of_a_client",
        "without_credentials",
        "refused_with_a_will",
        "rules_on_topics",
        "rules_without_connection",
    ];
    gateway.run("mqttsn_access.py", &names);
}

#[test]
fn credentials_of_all_others() {
    let folder = folder_with_users("*:guest:second password\n");
    let gateway = Gateway::start_in(folder, &RULES);
    gateway.run("mqttsn_access.py", &["default_credentials", "forbidden_will"]);
}

#[test]
fn the_clients_of_mqtt_sn_12() {
    let names = ["mqtt_sn_pub", "mqtt_sn_sub", "mqtt_sn_12_publishes", "mqtt_sn_12_subscribes"];
    cases("mqttsn_foreign.py", &names);
}

#[test]
fn the_client_of_mqttsn() {
    cases("mqttsn_foreign.py", &["mqttsn_library"]);
}

#[test]
fn recorded_sessions_of_other_clients() {
    cases("mqttsn_replay.py", &["replay"]);
}

/// What Wireshark's dissector makes of every datagram of some cases.
#[test]
fn wireshark_finds_nothing_malformed() {
    let mut gateway = Gateway::start(&Config::default());
    let port = gateway.server.address_of("sn").port();
    for (script, names) in [
        ("mqttsn_sessions.py", &["connect_and_disconnect", "strangers_are_told"][..]),
        ("mqttsn_sessions.py", &["search_for_gateways", "ids_of_a_kept_session"]),
        ("mqttsn_wills.py", &["an_update_outlives_the_connection", "prompts_are_repeated"]),
        ("mqttsn_topics.py", &["wildcard_subscription", "unknown_ids", "short_names"]),
        ("mqttsn_messages.py", &["between_clients", "retained", "unsubscribe", "large_messages"]),
        ("mqttsn_sleepers.py", &["messages_wait"]),
        ("mqttsn_paths.py", &["sleeping_nodes", "strangers_behind_a_forwarder"]),
    ] {
        let file = gateway.server.folder().join("capture.pcap");
        gateway.capture = Some(file.clone());
        gateway.run(script, names);
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(file).args(["-d", &format!("udp.port=={port},mqttsn")]);
        tshark.args(["-T", "fields", "-e", "udp.srcport", "-e", "mqttsn.msg.type"]);
        let said = run(tshark.args(["-e", "_ws.malformed", "-e", "_ws.expert.message"]));
        let ours = format!("{port}\t");
        let answers: Vec<&str> = said.lines().filter_map(|l| l.strip_prefix(&ours)).collect();
        assert!(answers.len() > 10, "{script} {names:?}: {said}");
        for answer in answers {
            let (kind, fault) = answer.split_once('\t').expect("more fields");
            assert!(kind.starts_with("0x") && fault.trim().is_empty(), "{script}: {answer:?}");
        }
    }
}
