//! TLS as openssl and GnuTLS see it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::pki::Authority;
use crate::process::{Process, finish, line_by_line};
use crate::server::Server;

/// CONNECT (MQTT 3.1.1, client id `s`) and DISCONNECT, after which the server closes.
const HELLO: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01s\xe0\x00";
/// CONNACK: accepted.
const WELCOME: &[u8] = b"\x20\x02\x00\x00";

/// A folder with an authority, the certificate `server` and a listener named `mqtt` over TLS, whose
/// table of certificates has `tls` in addition.
fn server(prepare: impl FnOnce(&Authority), listener: &str, tls: &str, tables: &str) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    authority.server("server", &["localhost", "127.0.0.1"]);
    prepare(&authority);
    let shards = std::env::var("MANIFOLD_SHARDS").unwrap_or_else(|_| "1".into());
    let text = format!(
        "shards = {shards}\ndrain_timeout = \"1s\"\n[[listener]]\nname = \"mqtt\"\n\
         transport = \"tls\"\nbind = \"127.0.0.1:0\"\n{listener}\n[listener.tls]\n\
         certificate = \"server.pem\"\nkey = \"server.key\"\n{tls}\n{tables}"
    );
    Server::start_in(folder, &text)
}

/// Says [`HELLO`] by `openssl s_client`; whether the server let it in, and all that openssl said.
fn hello(server: &Server, options: &[&str]) -> (bool, String) {
    let file = server.folder().join("hello");
    std::fs::write(&file, HELLO).expect("the folder is ours");
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &server.address().to_string(), "-ign_eof"])
        .args(["-verify_return_error", "-CAfile", "ca.pem"])
        .args(options)
        .current_dir(server.folder())
        .stdin(std::fs::File::open(file).expect("it was written"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.output().expect("openssl is installed");
    let welcome = output.stdout.windows(WELCOME.len()).any(|bytes| bytes == WELCOME);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (welcome, said.into_owned())
}

#[test]
fn openssl_speaks_both_versions_and_no_older_one() {
    let server = server(|_| {}, "", "", "");
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (welcome, said) = hello(&server, &[version]);
        assert!(welcome && said.contains(name), "{said}");
    }
    let (welcome, said) = hello(&server, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(!welcome, "{said}");
    assert!(said.contains("alert"), "it is told so: {said}");
}

#[test]
fn an_operator_may_ask_for_the_newest_version() {
    let server = server(|_| {}, "", "min_version = \"1.3\"", "");
    assert!(hello(&server, &["-tls1_3"]).0);
    assert!(!hello(&server, &["-tls1_2"]).0);
}

#[test]
fn gnutls_connects() {
    let server = server(|_| {}, "", "", "");
    let mut command = Command::new("gnutls-cli");
    command
        .args(["--x509cafile", "ca.pem", "--verify-hostname", "localhost", "--logfile", "log"])
        .args(["--port", &server.port(), "127.0.0.1"])
        .current_dir(server.folder());
    let (_, said) = finish(&mut command);
    let log = std::fs::read_to_string(server.folder().join("log")).unwrap_or_default();
    assert!(log.contains("Handshake was completed"), "{said}{log}");
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let prepare = |authority: &Authority| {
        authority.server("one", &["one.example"]);
        authority.server("many", &["*.many.example"]);
    };
    let sni = "[listener.tls.sni.\"one.example\"]\ncertificate = \"one.pem\"\nkey = \"one.key\"\n\
               [listener.tls.sni.\"*.many.example\"]\ncertificate = \"many.pem\"\n\
               key = \"many.key\"\n";
    let server = server(prepare, "", sni, "");
    for (name, subject) in [
        ("one.example", "CN = one"),
        ("a.many.example", "CN = many"),
        ("other.example", "CN = server"),
    ] {
        let (welcome, said) = hello(&server, &["-servername", name]);
        assert!(welcome && said.contains(&format!("subject={subject}")), "{name}: {said}");
    }
    let (welcome, said) = hello(&server, &["-noservername"]);
    assert!(welcome && said.contains("subject=CN = server"), "{said}");
}

#[test]
fn clients_prove_themselves_by_certificates() {
    let prepare = |authority: &Authority| {
        authority.client("good", 1);
        authority.client("revoked", 2);
        authority.revoke("clients.crl", &[2]);
    };
    let tls = "client_ca = \"ca.pem\"\nclient_auth = \"required\"\ncrl = [\"clients.crl\"]\n";
    let server = server(prepare, "", tls, "");
    let with = |name: &str| [format!("{name}.pem"), format!("{name}.key")];
    let hello_with =
        |[certificate, key]: [String; 2]| hello(&server, &["-cert", &certificate, "-key", &key]);
    let (welcome, said) = hello_with(with("good"));
    assert!(welcome, "{said}");
    let (welcome, said) = hello_with(with("revoked"));
    assert!(!welcome && said.contains("alert certificate revoked"), "{said}");
    let (welcome, said) = hello(&server, &[]);
    assert!(!welcome && said.contains("alert certificate required"), "{said}");
    let stranger = server.folder().join("stranger");
    std::fs::create_dir(&stranger).expect("the folder is ours");
    Authority::new(&stranger).client("good", 1);
    let file = |name: &str| stranger.join(name).display().to_string();
    let (welcome, said) = hello_with([file("good.pem"), file("good.key")]);
    assert!(!welcome && said.contains("alert"), "{said}");
}

#[test]
fn a_new_certificate_counts_for_new_connections_and_drops_no_old_one() {
    let server = server(|_| {}, "", "", "");
    let mut subscriber = line_by_line("mosquitto_sub");
    subscriber
        .args(["-h", "localhost", "-p", &server.port(), "--cafile", "ca.pem", "-d", "-t", "t"])
        .args(["-i", "stays", "-C", "1"])
        .current_dir(server.folder());
    let mut subscriber = Process::start(&mut subscriber);
    subscriber.wait_for_line("Subscribed");
    assert!(hello(&server, &[]).1.contains("subject=CN = server"));
    renew(server.folder());
    server.operate(&["reload"]);
    let (welcome, said) = hello(&server, &[]);
    assert!(welcome && said.contains("subject=CN = renewed"), "{said}");
    let mut publisher = Command::new("mosquitto_pub");
    publisher
        .args(["-h", "localhost", "-p", &server.port(), "--cafile", "ca.pem", "-t", "t", "-m", "m"])
        .current_dir(server.folder());
    assert!(finish(&mut publisher).0.success());
    assert!(subscriber.wait().success(), "the old connection is served");
    assert_eq!(subscriber.stdout().matches("sending CONNECT").count(), 1, "it never reconnected");
}

/// Another authority and certificate in the place of the old ones.
fn renew(folder: &Path) {
    let authority = Authority::new(folder);
    authority.server("renewed", &["localhost", "127.0.0.1"]);
    for kind in ["pem", "key"] {
        let (from, to) = (format!("renewed.{kind}"), format!("server.{kind}"));
        std::fs::rename(folder.join(from), folder.join(to)).expect("the folder is ours");
    }
}

#[test]
fn a_broken_certificate_keeps_the_old_configuration() {
    let server = server(|_| {}, "", "", "");
    std::fs::write(server.folder().join("server.pem"), "no certificate").expect("it is ours");
    let said = server.operate_in_vain(&["reload"]);
    assert!(said.contains("server.pem"), "the file is named: {said}");
    let (welcome, said) = hello(&server, &[]);
    assert!(welcome && said.contains("subject=CN = server"), "{said}");
}
