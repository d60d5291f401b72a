//! From a configuration to who gets in and what he may do, on a running server.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::server::{Client, Server};

const ACCEPTED: u8 = 0;
const BAD_CREDENTIALS: u8 = 4;
const REFUSED_FILTER: u8 = 0x80;

/// What CONNACK says.
fn answer(server: &Server, listener: &str, client: &str, who: Option<(&str, &str)>) -> u8 {
    let mut client = Client::begin(server.address(listener), client, who);
    let (first, body) = client.packet().expect("CONNACK");
    assert_eq!(first, 0x20);
    body[1]
}

fn entered(server: &Server, client: &str, who: (&str, &str)) -> Client {
    let mut client = Client::begin(server.address("mqtt"), client, Some(who));
    assert_eq!(client.packet(), Some((0x20, vec![0, ACCEPTED])));
    client
}

fn check(folder: &Path, text: &str) -> (Option<i32>, String) {
    let file = folder.join("checked.toml");
    std::fs::write(&file, text).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_manifold")).arg("check").arg(&file).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Adds a user to the file `users.txt`, or changes his password.
fn put_user(folder: &Path, user: &str, password: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_manifold"))
        .args(["users", "add", "users.txt", user, "--hash", "pbkdf2"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// A folder with the files that [`CONFIG`] names.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put_user(folder.path(), "meter", "sesame");
    put_user(folder.path(), "lamp", "aladdin");
    std::fs::write(folder.path().join("rules.toml"), RULES).unwrap();
    folder
}

const CONFIG: &str = r#"
acl_file = "rules.toml"
[authentication.devices]
type = "file"
path = "users.txt"
[[acl]]
deny = "subscribe"
topics = "city/secret/#"
[[listener]]
bind = "127.0.0.1:0"
authentication = ["devices"]
[[listener]]
name = "open"
bind = "127.0.0.1:0"
"#;

const RULES: &str = "[[acl]]\nallow = \"all\"\ntopics = \"city/%u/#\"\n";

#[test]
fn users_get_in_with_their_password_and_others_where_it_is_open() {
    let server = Server::start_in(folder(), CONFIG);
    let meter = |password| answer(&server, "mqtt", "a", Some(("meter", password)));
    assert_eq!(meter("sesame"), ACCEPTED);
    assert_eq!(meter("aladdin"), BAD_CREDENTIALS);
    let stranger = answer(&server, "mqtt", "a", Some(("stranger", "sesame")));
    assert_ne!(stranger, ACCEPTED);
    assert_ne!(answer(&server, "mqtt", "a", None), ACCEPTED);
    assert_eq!(answer(&server, "open", "b", None), ACCEPTED);
    let log = server.log();
    assert!(!log.contains("sesame") && !log.contains("aladdin"), "{log}");
}

#[test]
fn rules_of_the_configuration_and_its_file_count_together() {
    let server = Server::start_in(folder(), CONFIG);
    let mut meter = entered(&server, "a", ("meter", "sesame"));
    assert_eq!(meter.subscribe("city/meter/#"), 0);
    assert_eq!(meter.subscribe("city/secret/x"), REFUSED_FILTER);
    assert_eq!(meter.subscribe("city/lamp/x"), REFUSED_FILTER);
    assert_eq!(meter.subscribe("#"), REFUSED_FILTER);
    let mut nobody = Client::connect(server.address("open"), "b");
    assert_eq!(nobody.subscribe("city/meter/x"), REFUSED_FILTER);
}

#[test]
fn a_reload_takes_users_and_rules_from_their_files() {
    let server = Server::start_in(folder(), CONFIG);
    let mut meter = entered(&server, "a", ("meter", "sesame"));
    put_user(server.folder(), "meter", "changed");
    let rules = RULES.replace("city/%u/#", "land/#");
    std::fs::write(server.folder().join("rules.toml"), rules).unwrap();
    server.text(&["reload"]);
    assert_eq!(answer(&server, "mqtt", "b", Some(("meter", "sesame"))), BAD_CREDENTIALS);
    assert_eq!(answer(&server, "mqtt", "b", Some(("meter", "changed"))), ACCEPTED);
    assert_eq!(meter.subscribe("city/meter/#"), REFUSED_FILTER);
    assert_eq!(meter.subscribe("land/x"), 0);
}

#[test]
fn a_bad_file_keeps_the_old_users_and_rules() {
    let server = Server::start_in(folder(), CONFIG);
    std::fs::write(server.folder().join("rules.toml"), "[[acl]]\nallow = 3\n").unwrap();
    std::fs::remove_file(server.folder().join("users.txt")).unwrap();
    let (_, why) = server.refusal(&["reload"]);
    assert!(why.contains("acl_file: ") && why.contains("rules.toml"), "{why}");
    assert!(why.contains("authentication.devices.path: ") && why.contains("users.txt"), "{why}");
    let mut meter = entered(&server, "a", ("meter", "sesame"));
    assert_eq!(meter.subscribe("city/meter/#"), 0);
}

#[test]
fn check_reads_the_files_and_names_what_is_wrong_with_them() {
    let folder = folder();
    let (code, text) = check(folder.path(), CONFIG);
    assert_eq!(code, Some(0), "{text}");
    let bad = format!(
        "{CONFIG}[[listener]]\nname = \"tls\"\nbind = \"127.0.0.1:0\"\ntransport = \"tls\"\n\
         [listener.tls]\ncertificate = \"missing.pem\"\nkey = \"missing.key\"\n\
         [authentication.tokens]\ntype = \"jwt\"\nalgorithms = [\"HS256\"]\n\
         secret_file = \"short.txt\"\n"
    );
    std::fs::write(folder.path().join("short.txt"), "short").unwrap();
    let (code, text) = check(folder.path(), &bad);
    assert_eq!(code, Some(1), "{text}");
    for (key, file) in [("listener[2].tls", "missing.pem"), ("authentication.tokens", "short.txt")]
    {
        let line = text.lines().find(|line| line.contains(&format!("checked.toml: {key}: ")));
        assert!(line.is_some_and(|line| line.contains(file)), "{key}: {text}");
    }
    assert!(!text.contains("devices"), "{text}");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 4, "check has written something");
}

#[test]
fn secrets_that_everybody_can_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let users = folder.path().join("users.txt");
    let mode = |mode| {
        std::fs::set_permissions(&users, std::fs::Permissions::from_mode(mode)).unwrap();
        check(folder.path(), CONFIG).1
    };
    let warning = "warning: authentication.devices.path: ";
    assert!(mode(0o644).contains(warning));
    assert!(!mode(0o640).contains(warning));
}
