//! Who may connect and what it may do, as foreign clients and services see it.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::pki::Authority;
use crate::process::{Process, finish, line_by_line, node, python, run};
use crate::server::Server;

/// One listener on TCP with `listener` in its table; `tables` are the rest of the file.
pub(crate) fn server(folder: TempDir, listener: &str, tables: &str) -> Server {
    let shards = std::env::var("MANIFOLD_SHARDS").unwrap_or_else(|_| "1".into());
    let text = format!(
        "shards = {shards}\ndrain_timeout = \"1s\"\nlog.level = \"trace\"\n[[listener]]\n\
         name = \"mqtt\"\nbind = \"127.0.0.1:0\"\n{listener}\n{tables}"
    );
    Server::start_in(folder, &text)
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(crate) fn write(folder: &TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).expect("the folder is ours");
}

/// What became of a QoS 1 message of `mosquitto_pub`, MQTT 5.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    /// Connected, but the message was refused.
    Denied,
    /// Not let in, with this reason in words.
    Refused(String),
}

/// Publishes with the options of a client.
pub(crate) fn publish(server: &Server, topic: &str, options: &[&str]) -> Outcome {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &server.port(), "-V", "5", "-q", "1", "-d"]);
    let (_, said) = finish(command.args(["-t", topic, "-m", "x"]).args(options));
    if said.contains("received PUBACK") {
        // Success and "No matching subscribers".
        let taken = said.contains("RC:0)") || said.contains("RC:16)");
        return if taken { Outcome::Taken } else { Outcome::Denied };
    }
    let reason = said.lines().find_map(|line| line.split("Connection error: ").nth(1));
    let reason = reason.map(|reason| reason.trim_end_matches(['.', ' ']).to_owned());
    Outcome::Refused(reason.unwrap_or_else(|| panic!("mosquitto_pub: {said}")))
}

pub(crate) fn refused(reason: &str) -> Outcome {
    Outcome::Refused(reason.to_owned())
}

/// A token by PyJWT.
fn token(algorithm: &str, key: &Path, claims: &str, key_id: &[&str]) -> String {
    let mut command = python("make_token.py");
    run(command.arg(algorithm).arg(key).arg(claims).args(key_id)).trim().to_owned()
}

fn openssl(folder: &TempDir, arguments: &[&str]) {
    run(Command::new("openssl").args(arguments).current_dir(folder.path()));
}

const BAD: &str = "Bad User Name or Password";

#[test]
fn tokens_with_a_secret() {
    let folder = folder();
    write(&folder, "secret.txt", "a secret of tokens, long enough for HMAC");
    write(&folder, "other.txt", "another secret which the server does not know");
    let (key, other) = (folder.path().join("secret.txt"), folder.path().join("other.txt"));
    let tables = "[authentication.tokens]\ntype = \"jwt\"\nalgorithms = [\"HS256\"]\n\
                  secret_file = \"secret.txt\"\nclaims.iss = \"city\"\nleeway = \"0s\"\n\
                  [[acl]]\nallow = [\"publish\"]\nuser = \"ann\"\ntopics = [\"free/%u/#\"]\n";
    let server = server(folder, "authentication = [\"tokens\"]", tables);
    let with = |key: &Path, claims: &str| {
        let token = token("HS256", key, claims, &[]);
        publish(&server, "free/ann/a", &["-u", "any", "-P", &token])
    };
    let good = r#"{"sub": "ann", "iss": "city", "exp": 600}"#;
    assert_eq!(with(&key, good), Outcome::Taken);
    assert_eq!(with(&other, good), refused(BAD), "signed by another secret");
    for (claims, fault) in [
        (r#"{"sub": "ann", "iss": "city", "exp": -5}"#, "expired"),
        (r#"{"sub": "ann", "iss": "city", "exp": 600, "nbf": 300}"#, "not yet valid"),
        (r#"{"sub": "ann", "iss": "town", "exp": 600}"#, "another issuer"),
    ] {
        assert!(matches!(with(&key, claims), Outcome::Refused(_)), "{fault}");
    }
    assert_eq!(with(&key, r#"{"sub": "bob", "iss": "city", "exp": 600}"#), Outcome::Denied);
    let rules = r#"{"sub": "bob", "iss": "city", "exp": 600,
                    "acl": [{"allow": ["publish"], "topics": ["free/ann/a"]}]}"#;
    assert_eq!(with(&key, rules), Outcome::Taken, "rules of the token count");
    // A token without algorithm, by hand: {"alg":"none"}.{"sub":"ann","iss":"city"}.
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4iLCJpc3MiOiJjaXR5In0.";
    let outcome = publish(&server, "free/ann/a", &["-u", "any", "-P", none]);
    assert!(matches!(outcome, Outcome::Refused(_)), "a token without algorithm: {outcome:?}");
}

#[test]
fn tokens_with_public_keys() {
    let folder = folder();
    openssl(&folder, &["genrsa", "-out", "rsa.key", "2048"]);
    openssl(&folder, &["rsa", "-in", "rsa.key", "-pubout", "-out", "rsa.pem"]);
    openssl(&folder, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.key"]);
    let (rsa, ec) = (folder.path().join("rsa.key"), folder.path().join("ec.key"));
    let set = run(python("make_jwks.py").arg(&ec).arg("first"));
    write(&folder, "keys.json", &set);
    let tables = "[authentication.rsa]\ntype = \"jwt\"\nalgorithms = [\"RS256\"]\n\
                  public_key_file = \"rsa.pem\"\nfrom = \"user\"\n\
                  [authentication.set]\ntype = \"jwt\"\nalgorithms = [\"ES256\"]\n\
                  jwks_file = \"keys.json\"\n";
    let server = server(folder, "authentication = [\"rsa\", \"set\"]", tables);
    let claims = r#"{"sub": "ann", "exp": 600}"#;
    let as_user = token("RS256", &rsa, claims, &[]);
    assert_eq!(publish(&server, "t", &["-u", &as_user]), Outcome::Taken);
    let as_password = token("ES256", &ec, claims, &["first"]);
    assert_eq!(publish(&server, "t", &["-u", "x", "-P", &as_password]), Outcome::Taken);
    let unknown_key = token("ES256", &ec, claims, &["second"]);
    let outcome = publish(&server, "t", &["-u", "x", "-P", &unknown_key]);
    assert!(matches!(outcome, Outcome::Refused(_)), "a key that nobody knows: {outcome:?}");
}

//= mqtt5:GW-MQTT-17
#[test]
fn a_session_ends_with_its_token() {
    let folder = folder();
    write(&folder, "secret.txt", "a secret of tokens, long enough for HMAC");
    let key = folder.path().join("secret.txt");
    let tables = "[authentication.tokens]\ntype = \"jwt\"\nalgorithms = [\"HS256\"]\n\
                  secret_file = \"secret.txt\"\nleeway = \"0s\"\n";
    let server = server(folder, "authentication = [\"tokens\"]", tables);
    let token = token("HS256", &key, r#"{"sub": "ann", "exp": 3}"#, &[]);
    let mut subscriber = line_by_line("mosquitto_sub");
    subscriber.args(["-h", "127.0.0.1", "-p", &server.port(), "-V", "5", "-d", "-t", "t"]);
    let mut subscriber = Process::start(subscriber.args(["-u", "x", "-P", &token]));
    subscriber.wait_for_line("Subscribed");
    subscriber.wait_for_line("DISCONNECT (135)");
}

#[test]
fn an_http_service_decides() {
    let mut service = Process::start(&mut python("http_authenticator.py"));
    service.wait_for_line("\n");
    let port = service.stdout().trim().to_owned();
    let tables = format!(
        "[authentication.service]\ntype = \"http\"\nurl = \"http://127.0.0.1:{port}/auth\"\n\
         timeout = \"500ms\"\n[[acl]]\nallow = [\"publish\"]\ntopics = [\"all/#\"]\n"
    );
    let server = server(folder(), "authentication = [\"service\"]", &tables);
    let with = |user, password, topic| publish(&server, topic, &["-u", user, "-P", password]);
    assert_eq!(with("ann", "good", "http/ann/a"), Outcome::Taken);
    assert_eq!(with("ann", "good", "all/a"), Outcome::Denied, "the service's rules count");
    let questions = || service.stdout().lines().count() - 1;
    assert_eq!(questions(), 1, "the answer is remembered");
    assert_eq!(with("ann", "bad", "http/ann/a"), refused("Not authorized"));
    for user in ["deny", "ignore"] {
        let outcome = with(user, "x", "http/x");
        assert!(matches!(outcome, Outcome::Refused(_)), "{user}: {outcome:?}");
    }
    for user in ["slow", "broken", "garbage"] {
        let outcome = with(user, "x", "http/x");
        assert_eq!(outcome, refused("Server unavailable"), "{user}");
    }
    let said = service.stdout();
    assert!(said.contains("\"clientid\"") && said.contains("127.0.0.1"), "{said}");
}

#[test]
fn certificates_name_users() {
    let folder = folder();
    let authority = Authority::new(folder.path());
    authority.server("server", &["localhost", "127.0.0.1"]);
    authority.client("meter-7", 7);
    let listener = "transport = \"tls\"\nauthentication = [\"certificates\"]\n[listener.tls]\n\
                    certificate = \"server.pem\"\nkey = \"server.key\"\nclient_ca = \"ca.pem\"\n\
                    client_auth = \"optional\"\nclient_id = \"common-name\"\n";
    let tables = "[authentication.certificates]\ntype = \"certificate\"\n[[acl]]\n\
                  allow = [\"publish\"]\ncertificate.common_name = \"meter-*\"\n\
                  topics = [\"city/%u/%c\"]\n";
    let server = server(folder, listener, tables);
    let file = |name: &str| server.folder().join(name).display().to_string();
    let (ca, certificate, key) = (file("ca.pem"), file("meter-7.pem"), file("meter-7.key"));
    let with = ["--cafile", &ca, "--cert", &certificate, "--key", &key, "-i", "other"];
    assert_eq!(publish(&server, "city/meter-7/meter-7", &with), Outcome::Taken);
    assert_eq!(publish(&server, "city/meter-7/other", &with), Outcome::Denied, "the id is its");
    let without = publish(&server, "city/meter-7/meter-7", &with[..2]);
    assert!(matches!(without, Outcome::Refused(_)), "{without:?}");
}

#[test]
fn authenticators_are_asked_in_order() {
    let folder = folder();
    let passwords = |name: &str, user: &str, password: &str| {
        let file = folder.path().join(name);
        run(Command::new("mosquitto_passwd").arg("-c").arg("-b").arg(file).args([user, password]));
    };
    passwords("first.txt", "ann", "first password");
    passwords("second.txt", "bob", "second password");
    let tables = "[authentication.first]\ntype = \"file\"\npath = \"first.txt\"\n\
                  [authentication.second]\ntype = \"file\"\npath = \"second.txt\"\n";
    let listener = "authentication = [\"first\", \"second\"]\nallow_anonymous = true";
    let server = server(folder, listener, tables);
    let with = |user, password| publish(&server, "t", &["-u", user, "-P", password]);
    assert_eq!(with("ann", "first password"), Outcome::Taken);
    assert_eq!(with("bob", "second password"), Outcome::Taken, "the first does not know him");
    assert_eq!(with("ann", "second password"), refused(BAD));
    assert_eq!(with("eve", "any password"), refused(BAD), "nobody knows her");
    assert_eq!(publish(&server, "t", &[]), Outcome::Taken, "who claims nothing is anonymous");
}

#[test]
fn users_of_another_broker_are_imported() {
    let folder = folder();
    // SHA-256 of `salt` and the password, as EMQX exports it.
    let hash = run(Command::new("sh").args(["-c", "printf %s 'peppertheir password' | sha256sum"]));
    let hash = hash.split_whitespace().next().expect("a hash");
    let export = format!(
        r#"[{{"user_id": "ann", "password_hash": "{hash}", "salt": "pepper", "is_superuser": true}}]"#
    );
    write(&folder, "export.json", &export);
    let mut import = Command::new(crate::server::executable());
    import.args(["users", "import", "--format", "emqx-json", "--algorithm", "sha256"]);
    run(import.args(["--salt", "prefix", "users.txt", "export.json"]).current_dir(folder.path()));
    let tables = "[authentication.users]\ntype = \"file\"\npath = \"users.txt\"\n[[acl]]\n\
                  allow = [\"publish\"]\ntopics = [\"nothing\"]\n";
    let server = server(folder, "authentication = [\"users\"]", tables);
    let with = |password| publish(&server, "any/topic", &["-u", "ann", "-P", password]);
    assert_eq!(with("their password"), Outcome::Taken, "no rule binds a superuser");
    assert_eq!(with("any password"), refused(BAD));
}

//= mqtt5:4.12.0-2
//= mqtt5:4.12.0-4
//= mqtt5:4.12.1-2
#[test]
fn scram_proves_both_sides() {
    let folder = folder();
    let mut add = Command::new("sh");
    let program = crate::server::executable();
    add.arg("-c").arg("printf '%s\\n' \"$3\" | \"$1\" users add --hash scram \"$2\" ann");
    add.arg("sh").arg(program).arg(folder.path().join("users.txt")).arg("scram password");
    run(&mut add);
    let tables = "[authentication.scram]\ntype = \"scram\"\npath = \"users.txt\"\n";
    let server = server(folder, "authentication = [\"scram\"]", tables);
    let client = |user: &str, passwords: &[&str]| {
        let script = python("scram_client.py");
        let arguments: Vec<_> = script.get_args().map(std::ffi::OsStr::to_owned).collect();
        let mut command = node("scram_client.js");
        command.arg(server.port()).arg(script.get_program()).args(arguments);
        finish(command.arg(user).args(passwords)).1.trim().to_owned()
    };
    assert_eq!(client("ann", &["scram password"]), "connected");
    assert_eq!(client("ann", &["any password"]), "refused 134");
    assert_eq!(client("eve", &["any password"]), "refused 134");
    let twice = ["scram password", "scram password"];
    assert_eq!(client("ann", &twice), "authenticated again");
    let worse = client("ann", &["scram password", "any password"]);
    assert_eq!(worse, "disconnected 135", "not authorized any more");
}

/// There is no way around the rules: the cases of `py/rules_client.py`.
#[test]
fn no_way_leads_around_the_rules() {
    let tables = "[[acl]]\ndeny = [\"subscribe\"]\ntopics = [\"m/+/secret/#\"]\n\
                  [[acl]]\nallow = [\"publish\", \"subscribe\"]\nclient = \"writer\"\n\
                  topics = [\"m/writer/#\"]\n\
                  [[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"m/%c/free/#\"]\n";
    let listener = "mountpoint = \"m/%c/\"";
    let server = server(folder(), listener, tables);
    for case in
        ["wills", "aliases", "retained", "wildcards", "groups", "system_topics", "identities"]
    {
        run(python("rules_client.py").args([&server.port(), case]));
    }
}

#[test]
fn changed_rules_end_standing_subscriptions() {
    let rules = |topics: &str| {
        format!("[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [{topics}]\n")
    };
    let server = server(folder(), "", &rules("\"a/#\", \"b/#\""));
    let mut subscriber = line_by_line("mosquitto_sub");
    subscriber.args(["-h", "127.0.0.1", "-p", &server.port(), "-V", "5", "-d", "-v"]);
    subscriber.args(["-t", "a/+", "-t", "b/+", "-t", "$share/g/a/+", "-i", "listener"]);
    let mut subscriber = Process::start(&mut subscriber);
    subscriber.wait_for_line("Subscribed");
    let file = server.folder().join("manifold.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let text = text.replace("topics = [\"a/#\", \"b/#\"]", "topics = [\"b/#\"]");
    std::fs::write(&file, text).expect("the folder is ours");
    server.operate(&["reload"]);
    // Through the server's own eyes, since a client cannot ask.
    let standing = server.operate(&["subscriptions", "--json"]);
    assert!(standing.contains("b/+") && !standing.contains("a/+"), "{standing}");
    assert_eq!(publish(&server, "a/1", &[]), Outcome::Denied);
    assert_eq!(publish(&server, "b/1", &[]), Outcome::Taken);
    subscriber.wait_for_line("b/1 x");
    assert!(!subscriber.stdout().contains("a/1"));
}
