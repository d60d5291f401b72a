//! `manifold users`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

/// Runs `manifold users` with this on standard input.
fn users(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_manifold"))
        .arg("users")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that needs no password does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(arguments: &[&str], input: &str) -> String {
    let output = users(arguments, input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    assert!(!format!("{output:?}").contains("sesame"));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str], input: &str) -> String {
    let output = users(arguments, input);
    assert_eq!(output.status.code(), Some(1));
    assert!(!format!("{output:?}").contains("sesame"));
    String::from_utf8(output.stderr).unwrap()
}

fn list(file: &str) -> Vec<(String, String)> {
    let lines = done(&["list", file, "--json"], "");
    let pair = |line: &str| {
        let user: Json = serde_json::from_str(line).unwrap();
        let text = |key: &str| user[key].as_str().unwrap().to_owned();
        (text("user"), text("hash"))
    };
    lines.lines().map(pair).collect()
}

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn users_are_added_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.txt");
    let file = text_of(&path);
    assert_eq!(done(&["add", file, "meter-7", "--hash", "pbkdf2"], "open sesame\n"), "added\n");
    assert_eq!(done(&["add", file, "lamp", "--superuser"], "open sesame\r\n"), "added\n");
    assert_eq!(done(&["add", file, "meter-7", "--hash", "scram"], "other"), "changed\n");
    let pair = |user: &str, hash: &str| (user.to_owned(), hash.to_owned());
    assert_eq!(list(file), [pair("meter-7", "scram-sha-256"), pair("lamp", "argon2id")]);
    let text = done(&["list", file], "");
    assert!(text.starts_with("USER     HASH           WEAK  SUPERUSER\n"), "{text}");
    assert!(text.ends_with("lamp     argon2id       no    yes\n"), "{text}");
    assert_eq!(done(&["remove", file, "meter-7"], ""), "removed\n");
    assert!(refused(&["remove", file, "meter-7"], "").ends_with("no user meter-7\n"));
    assert_eq!(list(file).len(), 1);
}

#[test]
fn a_password_is_a_line_that_is_not_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.txt");
    let file = text_of(&path);
    assert_eq!(refused(&["add", file, "a"], "\n"), "the password is empty\n");
    let long = "sesame".repeat(200);
    assert_eq!(refused(&["add", file, "a"], &long), "the password has more than 1024 bytes\n");
    assert!(refused(&["add", file, "#a"], "open sesame").contains("begins with #"));
    assert!(!path.exists());
}

#[test]
fn a_hash_is_printed_each_time_with_another_salt() {
    let one = done(&["hash", "--hash", "pbkdf2"], "open sesame\n");
    let two = done(&["hash", "--hash", "pbkdf2"], "open sesame\n");
    assert!(one.starts_with("$pbkdf2-sha512$") && one.ends_with('\n'), "{one}");
    assert_ne!(one, two);
}

#[test]
fn users_of_other_software_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.txt");
    let file = text_of(&path);
    let from = folder.path().join("emqx.csv");
    let csv = "user_id,password_hash,salt,is_superuser\n\
               a,e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855,s,true\n\
               b,nonsense,s,false\n";
    std::fs::write(&from, csv).unwrap();
    let said = refused(&["import", file, text_of(&from), "--format", "emqx-csv"], "");
    assert!(said.starts_with("1 added, 0 changed, 0 kept\n"), "{said}");
    assert!(said.contains("emqx.csv: 3: ") && said.ends_with("1 not imported\n"), "{said}");
    assert_eq!(list(file).len(), 1);
    let mosquitto = folder.path().join("passwd");
    let hash = done(&["hash"], "open sesame");
    std::fs::write(&mosquitto, format!("a:{hash}c:{hash}")).unwrap();
    let import = ["import", file, text_of(&mosquitto), "--format", "mosquitto"];
    assert_eq!(done(&import, ""), "1 added, 0 changed, 1 kept\n");
    let replace = [import.as_slice(), &["--replace"]].concat();
    assert_eq!(done(&replace, ""), "0 added, 1 changed, 1 kept\n");
    assert_eq!(users(&["import", file, file], "").status.code(), Some(2));
}
