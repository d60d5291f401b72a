use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use core_model::{
    Action, Authenticator, CertificateFacts, ClientKey, Evidence, GatewayId, Identity, Principal,
    QoS, Reason, Secret, Timestamp, TransportFacts, Verdict,
};
use plugin_access::{Http, HttpConfig, HttpEncoding, HttpMethod, OnTrouble};
use proptest::prelude::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::server::{Answer, Request, Server, settled};

/// A time that does not pass during a test.
const LONG_MS: u64 = 1_000_000_000;

fn evidence(user: &str, password: &str) -> Evidence {
    Evidence {
        listener: "public".into(),
        gateway: "mqtt",
        peer: Some("[::ffff:10.0.0.9]:4000".parse().unwrap()),
        user: Some(user.into()),
        password: Some(Secret::new(password.as_bytes())),
        ..Evidence::default()
    }
}

/// Asks `server` without remembering answers.
fn config(server: &Server) -> HttpConfig {
    HttpConfig {
        timeout_ms: 60_000,
        allowed_ttl_ms: 0,
        pause_ms: 0,
        ..HttpConfig::new("web", &server.url("/auth"))
    }
}

async fn ask(http: &Http, evidence: &Evidence) -> Verdict {
    settled(http.authenticate("c1", evidence)).await
}

fn refusal(verdict: Verdict) -> Reason {
    match verdict {
        Verdict::Refuse(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn accepted(verdict: Verdict) -> Identity {
    match verdict {
        Verdict::Accept(identity) => identity,
        other => panic!("{other:?}"),
    }
}

/// A server that always says the same, and what becomes of it.
async fn answered(answer: impl Fn() -> Option<Answer> + Send + Sync + 'static) -> Verdict {
    let server = Server::start(move |_, _| answer()).await;
    let http = Http::new(config(&server)).unwrap();
    ask(&http, &evidence("eve", "hush")).await
}

async fn said(body: Value) -> Verdict {
    answered(move || Some(Answer::ok(body.to_string()))).await
}

#[tokio::test]
async fn the_server_is_told_what_is_known() {
    let server = Server::start(|_, _| Some(Answer::status(204))).await;
    let http = Http::new(config(&server)).unwrap();
    let identity = accepted(ask(&http, &evidence("eve \"x\"", "hush\n")).await);
    assert_eq!(identity.user.as_deref(), Some("eve \"x\""));
    assert_eq!(&*identity.authenticator, "web");
    let request = server.requests().remove(0);
    assert_eq!((&*request.method, &*request.target), ("POST", "/auth"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        body,
        json!({
            "clientid": "c1", "username": "eve \"x\"", "password": "hush\n", "peerhost": "10.0.0.9",
            "listener": "public", "gateway": "mqtt", "cert_common_name": null,
        })
    );
}

#[tokio::test]
async fn queries_forms_and_headers_are_filled_in() {
    let server = Server::start(|_, _| Some(Answer::status(204))).await;
    let fields = [("u", "${username}"), ("p&", "<${password}>")];
    let fields: Vec<_> = fields.map(|(name, value)| (name.into(), value.into())).into();
    let get = HttpConfig {
        method: HttpMethod::Get,
        url: server.url("/auth/${clientid}?l=${listener}"),
        headers: vec![("X-Name".into(), "${cert_common_name}/${peerport}".into())],
        fields: fields.clone(),
        ..config(&server)
    };
    let certificate =
        Some(CertificateFacts { common_name: Some("meter".into()), ..CertificateFacts::default() });
    let facts = TransportFacts { certificate, ..TransportFacts::default() };
    let evidence = Evidence { transport: Some(facts.into()), ..evidence("a&b=ü", "/?#") };
    accepted(settled(Http::new(get.clone()).unwrap().authenticate("c/1", &evidence)).await);
    let post = HttpConfig { method: HttpMethod::Post, encoding: HttpEncoding::Form, ..get };
    accepted(settled(Http::new(post).unwrap().authenticate("c/1", &evidence)).await);
    let [get, post]: [Request; 2] = server.requests().try_into().unwrap();
    let form = "u=a%26b%3D%C3%BC&p%26=%3C%2F%3F%23%3E";
    assert_eq!(get.target, format!("/auth/c%2F1?l=public&{form}"));
    assert_eq!(get.header("x-name"), Some("meter/4000"));
    assert_eq!((&*post.target, &*post.body), ("/auth/c%2F1?l=public", form));
    assert_eq!(post.header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn a_client_cannot_change_the_question() {
    let server = Server::start(|_, _| Some(Answer::status(204))).await;
    let in_path = HttpConfig { url: server.url("/auth/${clientid}/ok"), ..config(&server) };
    let in_path = Http::new(in_path).unwrap();
    for id in [".", ".."] {
        let verdict = in_path.authenticate(id, &evidence("eve", "hush"));
        assert_eq!(refusal(verdict), Reason::BAD_CREDENTIALS);
    }
    let header = ("X-Name".into(), "${username}".into());
    let in_header = HttpConfig { headers: vec![header], ..config(&server) };
    let in_header = Http::new(in_header).unwrap();
    for user in ["a\r\nX-Root: 1", "a\nb", "a\0"] {
        let verdict = in_header.authenticate("c1", &evidence(user, "hush"));
        assert_eq!(refusal(verdict), Reason::BAD_CREDENTIALS, "{user:?}");
    }
    let password = Some(Secret::new(&[0xff]));
    let in_json = Http::new(config(&server)).unwrap();
    let verdict = in_json.authenticate("c1", &Evidence { password, ..Evidence::default() });
    assert_eq!(refusal(verdict), Reason::BAD_CREDENTIALS);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn what_the_server_says_counts() {
    let identity = accepted(said(json!({"result": "allow", "client_attrs": {"a": 1}})).await);
    assert_eq!(identity.user.as_deref(), Some("eve"));
    assert!(!identity.is_superuser && identity.rules.is_none() && identity.expires_at.is_none());
    let all = json!({
        "result": "allow", "is_superuser": true, "user": "adam", "expire_at": 4_102_444_800_u64,
        "acl": [{"permission": "allow", "action": "publish", "topic": "${username}/#"}],
    });
    let identity = accepted(said(all).await);
    assert_eq!(identity.user.as_deref(), Some("adam"));
    assert_eq!(identity.expires_at, Some(Timestamp::from_millis(4_102_444_800_000)));
    assert!(identity.is_superuser);
    let rules = identity.rules.clone().unwrap();
    let permissions = rules.compile(&Principal {
        client: ClientKey { gateway: GatewayId(0), client_id: "c1".into() },
        gateway: "mqtt",
        listener: "l".into(),
        peer: None,
        transport: None,
        identity,
    });
    let publish = Action::Publish { qos: QoS::AtMostOnce, retain: false };
    assert!(permissions.permits(publish, "adam/x") && !permissions.permits(publish, "eve/x"));
    assert_eq!(refusal(said(json!({"result": "deny"})).await), Reason::NOT_AUTHORIZED);
    assert!(matches!(said(json!({"result": "ignore"})).await, Verdict::Unknown));
    let over = json!({"result": "allow", "expire_at": 1_300_819_380});
    assert_eq!(refusal(said(over).await), Reason::NOT_AUTHORIZED);
    for (status, reason) in [
        (401, Reason::BAD_CREDENTIALS),
        (403, Reason::NOT_AUTHORIZED),
        (404, Reason::SERVER_UNAVAILABLE),
        (500, Reason::SERVER_UNAVAILABLE),
        (302, Reason::SERVER_UNAVAILABLE),
        (200, Reason::SERVER_UNAVAILABLE),
    ] {
        let verdict = answered(move || Some(Answer::status(status))).await;
        assert_eq!(refusal(verdict), reason, "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_lets_nobody_in() {
    for body in [
        "allow".to_owned(),
        "[]".to_owned(),
        r#"{"result": "allow""#.to_owned(),
        r#"{"result": true}"#.to_owned(),
        r#"{"result": "Allow"}"#.to_owned(),
        r#"{"is_superuser": true}"#.to_owned(),
        r#"{"result": "allow", "is_superuser": "yes"}"#.to_owned(),
        r#"{"result": "allow", "expire_at": "never"}"#.to_owned(),
        r#"{"result": "allow", "user": 7}"#.to_owned(),
        r#"{"result": "allow", "acl": "all"}"#.to_owned(),
        r#"{"result": "allow", "acl": [{"allow": "all", "topics": "a/#/b"}]}"#.to_owned(),
        format!(r#"{{"result": "allow", "x": {}"#, "[".repeat(60_000)),
        format!(r#"{{"result": "allow", "x": "{}"}}"#, "y".repeat(70_000)),
    ] {
        let start: String = body.chars().take(60).collect();
        let verdict = answered(move || Some(Answer::ok(body.clone()))).await;
        assert_eq!(refusal(verdict), Reason::SERVER_UNAVAILABLE, "{start}");
    }
}

#[tokio::test]
async fn a_name_that_the_server_was_not_told_proves_nothing() {
    let server = Server::start(|_, _| Some(Answer::status(204))).await;
    let fields = vec![("p".into(), "${password}".into())];
    let http =
        Http::new(HttpConfig { fields, allowed_ttl_ms: LONG_MS, ..config(&server) }).unwrap();
    for user in ["eve", "admin"] {
        assert_eq!(accepted(ask(&http, &evidence(user, "hush")).await).user, None);
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn answers_are_remembered_for_the_same_question() {
    let server = Server::start(|request, _| {
        Some(Answer::status(if request.body.contains("good") { 204 } else { 401 }))
    })
    .await;
    let remembering = HttpConfig { allowed_ttl_ms: LONG_MS, ..config(&server) };
    let http = Http::new(remembering.clone()).unwrap();
    for _ in 0..3 {
        accepted(ask(&http, &evidence("eve", "good")).await);
    }
    assert!(matches!(http.authenticate("c1", &evidence("eve", "good")), Verdict::Accept(_)));
    assert_eq!(server.requests().len(), 1);
    for asked in 2..4 {
        let verdict = ask(&http, &evidence("eve", "bad")).await;
        assert_eq!((refusal(verdict), server.requests().len()), (Reason::BAD_CREDENTIALS, asked));
    }
    let elsewhere = Evidence { peer: None, ..evidence("eve", "good") };
    accepted(ask(&http, &elsewhere).await);
    accepted(settled(http.authenticate("c2", &elsewhere)).await);
    assert_eq!(server.requests().len(), 5);
    let both = Http::new(HttpConfig { denied_ttl_ms: LONG_MS, ..remembering }).unwrap();
    for _ in 0..2 {
        assert_eq!(refusal(ask(&both, &evidence("eve", "bad")).await), Reason::BAD_CREDENTIALS);
    }
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn only_so_many_questions_are_asked_at_once() {
    let server = Server::start(|_, _| Some(Answer::status(204))).await;
    let http = Http::new(HttpConfig { concurrency_max: 1, ..config(&server) }).unwrap();
    let first = http.authenticate("c1", &evidence("eve", "hush"));
    let second = http.authenticate("c2", &evidence("eve", "hush"));
    assert_eq!(refusal(second), Reason::SERVER_BUSY);
    accepted(settled(first).await);
    let third = http.authenticate("c3", &evidence("eve", "hush"));
    drop(third);
    accepted(ask(&http, &evidence("eve", "hush")).await);
}

#[tokio::test]
async fn trouble_is_passed_on_or_refused_and_pauses_the_questions() {
    let server = Server::start(|_, before| (before >= 4).then(|| Answer::status(500))).await;
    let next = HttpConfig { on_trouble: OnTrouble::Next, pause_ms: LONG_MS, ..config(&server) };
    let http = Http::new(next).unwrap();
    for asked in [1, 2, 3, 4, 5, 5, 5] {
        assert!(matches!(ask(&http, &evidence("eve", "hush")).await, Verdict::Unknown));
        assert_eq!(server.requests().len(), asked);
    }
    let patient = Http::new(config(&server)).unwrap();
    for asked in 6..16 {
        let verdict = ask(&patient, &evidence("eve", "hush")).await;
        assert_eq!(
            (refusal(verdict), server.requests().len()),
            (Reason::SERVER_UNAVAILABLE, asked)
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let http = Http::new(HttpConfig { timeout_ms: 1, ..HttpConfig::new("web", &url) }).unwrap();
    let verdict = ask(&http, &evidence("eve", "hush")).await;
    assert_eq!(refusal(verdict), Reason::SERVER_UNAVAILABLE);
}

#[test]
fn a_wrong_setting_is_named_without_its_secret() {
    let good = HttpConfig::new("web", "http://127.0.0.1/");
    let url = |url: &str| HttpConfig { url: url.into(), ..good.clone() };
    let pair = |name: &str, value: &str| vec![(name.into(), value.into())];
    for (config, problem) in [
        (url("hush"), "url: cannot be understood"),
        (url("ftp://hush/"), "url: does not begin with"),
        (url("http://${clientid}.hush/"), "url: has a placeholder before its path"),
        (url("http://hush${clientid}/"), "url: has a placeholder before its path"),
        (url("http://hush/a/../b"), "\"..\" in its path"),
        (url("http://hush/#${clientid}"), "has \"#\""),
        (url("http://127.0.0.1/${client}"), "url: has the placeholder \"client\""),
        (url("http://127.0.0.1/${clientid"), "url: has a \"${\" without"),
        (HttpConfig { headers: pair("a b", "hush"), ..good.clone() }, "\"a b\" is not the name"),
        (HttpConfig { fields: pair("a", "${x}"), ..good.clone() }, "fields: has the placeholder"),
        (HttpConfig { ca_file: Some("/nowhere/ca".into()), ..good.clone() }, "/nowhere/ca: "),
    ] {
        let error = Http::new(config).unwrap_err().to_string();
        assert!(error.contains(problem) && !error.contains("hush"), "{error}");
    }
    let secret = HttpConfig { headers: pair("a", "hush"), ..url("http://127.0.0.1/?key=hush") };
    assert!(!format!("{secret:?} {:?}", Http::new(secret.clone()).unwrap()).contains("hush"));
}

/// Answers 204 over TLS, as often as it is asked; returns its URL.
fn tls_server(certified: &CertifiedKey<rcgen::KeyPair>) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, stream);
            // Who does not trust the certificate has gone.
            if stream.read(&mut [0; 4096]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    format!("https://localhost:{port}/")
}

#[tokio::test]
async fn only_servers_that_an_authority_knows_are_believed() {
    let folder = tempfile::tempdir().unwrap();
    let known = generate_simple_self_signed(["localhost".into()]).unwrap();
    let other = generate_simple_self_signed(["localhost".into()]).unwrap();
    let url = tls_server(&known);
    for (certified, is_good) in [(&known, true), (&other, false)] {
        let path = folder.path().join("ca.pem");
        fs::write(&path, certified.cert.pem()).unwrap();
        let config = HttpConfig { timeout_ms: 60_000, ..HttpConfig::new("web", &url) };
        let http = Http::new(HttpConfig { ca_file: Some(path), ..config }).unwrap();
        let verdict = ask(&http, &evidence("eve", "hush")).await;
        assert_eq!(matches!(verdict, Verdict::Accept(_)), is_good, "{verdict:?}");
    }
    let path = folder.path().join("empty.pem");
    fs::write(&path, "").unwrap();
    let empty = HttpConfig { ca_file: Some(path), ..HttpConfig::new("web", &url) };
    assert!(Http::new(empty).unwrap_err().to_string().ends_with("has no certificate"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever a client sends arrives as it is and in its place.
    #[test]
    fn values_arrive_as_they_are(id in "\\PC{1,20}", user in ".{0,20}", password in ".{0,20}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (target, body) = runtime.block_on(async {
            let server = Server::start(|_, _| Some(Answer::status(204))).await;
            let http = HttpConfig { url: server.url("/a/x${clientid}?i=${clientid}"), ..config(&server) };
            let http = Http::new(http).unwrap();
            accepted(settled(http.authenticate(&id, &evidence(&user, &password))).await);
            let request = server.requests().remove(0);
            (request.target, request.body)
        });
        let (path, query) = target.split_once('?').unwrap();
        prop_assert_eq!(decoded(path), format!("/a/x{id}"));
        prop_assert_eq!(decoded(query), format!("i={id}"));
        let body: Value = serde_json::from_str(&body).unwrap();
        prop_assert_eq!(&body["username"], &json!(user));
        prop_assert_eq!(&body["password"], &json!(password));
    }
}

/// Percent-decoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).filter(|_| *first == b'%');
        let hex = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).unwrap()
}
