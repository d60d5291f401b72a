//! The program as somebody at a terminal sees it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn manifold(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_manifold");
    Command::new(program).args(arguments).output().expect("the program was built")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("output is UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("output is UTF-8")
}

fn file(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("city.toml");
    std::fs::write(&path, text).expect("a temporary folder can be written");
    path_text(&path)
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("a temporary path is UTF-8").to_owned()
}

#[test]
fn the_version_goes_to_standard_output() {
    let output = manifold(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), format!("manifold {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_bad_command_line_ends_with_2() {
    let output = manifold(&["serve", "--colour", "blue"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    assert_eq!(manifold(&["config"]).status.code(), Some(2));
}

#[test]
fn check_sums_up_a_good_file() {
    let folder = tempfile::tempdir().unwrap();
    let name = file(&folder, "[[listener]]\nname = \"west\"\nmax_connections = 3\n");
    let output = manifold(&["check", &name]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("listener west: mqtt over tcp on 127.0.0.1:1883, at most 3 connections"));
    assert!(text.lines().any(|line| line.starts_with("memory bound: ")), "{text}");
    assert_eq!(stderr(&output), "");
    assert_eq!(manifold(&["check", "--config", &name]).stdout, output.stdout);
    assert_eq!(manifold(&["check"]).status.code(), Some(2));
}

#[test]
fn check_names_all_errors_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let name = file(&folder, "shards = \"many\"\n[log]\nlevle = \"info\"\n");
    let output = manifold(&["check", &name]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    let text = stderr(&output);
    assert!(text.contains(&format!("{name}:1:10: shards: value not allowed")), "{text}");
    assert!(text.contains("did you mean `level`?"), "{text}");
    assert!(text.ends_with("city.toml: 2 errors\n"), "{text}");
}

#[test]
fn a_missing_file_is_bad_input() {
    let output = manifold(&["check", "no/such/file.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("no/such/file.toml: "));
}

#[test]
fn serve_refuses_a_bad_file_before_it_touches_anything() {
    let folder = tempfile::tempdir().unwrap();
    let name = file(&folder, "listeners = 1\n");
    let data = path_text(&folder.path().join("data"));
    let output = manifold(&["serve", "--config", &name, "--data-dir", &data]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("did you mean `listener`?"), "{}", stderr(&output));
    assert!(!Path::new(&data).exists());
}

#[test]
fn serve_ends_with_3_when_its_address_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let name = file(&folder, &format!("shards = 1\n[[listener]]\nbind = \"{address}\"\n"));
    let data = path_text(&folder.path().join("data"));
    let output = manifold(&["serve", "--config", &name, "--data-dir", &data]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains(&format!("cannot listen on {address}")),
        "{}",
        stderr(&output)
    );
    assert!(!Path::new(&data).join("listeners.json").exists());
}

#[test]
fn the_default_file_passes_check() {
    let folder = tempfile::tempdir().unwrap();
    let output = manifold(&["config", "--default"]);
    assert_eq!(output.status.code(), Some(0));
    let name = file(&folder, stdout(&output));
    let output = manifold(&["check", &name]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn decode_shows_one_packet_on_each_line() {
    let output = manifold(&["decode", "mqtt", "c000 d000"]);
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines, [r#"{"packet":"PINGREQ"}"#, r#"{"packet":"PINGRESP"}"#]);
    assert_eq!(manifold(&["decode", "mqtt", "c0", "00d0", "00"]).stdout, output.stdout);
}

#[test]
fn decode_reads_standard_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_manifold"))
        .args(["decode", "mqtt", "-", "--version", "3.1.1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"30 04 00 01\n74 68\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((&json["topic"], &json["payload"]), (&"t".into(), &"h".into()));
}

#[test]
fn decode_reads_files() {
    let folder = tempfile::tempdir().unwrap();
    let name = file(&folder, "c0:00\nd0:00\n");
    let output = manifold(&["decode", "mqtt", &format!("@{name}")]);
    assert_eq!((output.status.code(), stdout(&output).lines().count()), (Some(0), 2));
    let output = manifold(&["decode", "mqtt", &format!("@{name}.gone")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(".gone: "), "{}", stderr(&output));
}

#[test]
fn decode_ends_with_1_at_a_bad_packet_and_2_at_a_bad_argument() {
    let output = manifold(&["decode", "mqtt", "c000 c100"]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines[0], r#"{"packet":"PINGREQ"}"#);
    let json: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(json["error"]["requirement"], "mqtt5:2.1.3-1");
    assert_eq!(manifold(&["decode", "mqtt", "xy"]).status.code(), Some(1));
    assert_eq!(manifold(&["decode", "mqtt", "c000", "--version", "6"]).status.code(), Some(2));
    assert_eq!(manifold(&["decode", "smoke", "c000"]).status.code(), Some(2));
}
