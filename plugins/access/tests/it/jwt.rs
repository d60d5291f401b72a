use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core_model::{
    Action, Authenticator, CertificateFacts, ClientKey, Evidence, GatewayId, Identity, Principal,
    QoS, Reason, Secret, Timestamp, TransportFacts, Verdict,
};
use plugin_access::{JwksUrl, Jwt, JwtAlgorithm, JwtConfig, JwtKeys, TokenFrom};
use ring::hmac;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Answer, Server, settled};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// When the tokens of the file end, in seconds since the epoch.
const END_S: u64 = 4_102_444_800;

/// Keys and tokens made by other software; the file says which.
fn vectors() -> Value {
    serde_json::from_str(include_str!("data/jwt.json")).unwrap()
}

fn token(name: &str) -> String {
    vectors()["tokens"][name].as_str().unwrap().to_owned()
}

fn pem(name: &str) -> String {
    vectors()["pem"][name].as_str().unwrap().to_owned()
}

fn key_set(names: &[&str]) -> String {
    let vectors = vectors();
    let keys: Vec<&Value> = names.iter().map(|name| &vectors["jwk"][name]).collect();
    json!({ "keys": keys }).to_string()
}

/// A token of our own, signed by [`SECRET`].
fn signed(claims: &Value) -> String {
    signed_text(r#"{"alg":"HS256"}"#, &claims.to_string())
}

fn signed_text(header: &str, claims: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()));
    format!("{text}.{signature}")
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn path(&self, text: &str) -> PathBuf {
        let path = self.0.path().join("key");
        fs::write(&path, text).unwrap();
        path
    }

    fn secret(&self, text: &str) -> JwtKeys {
        JwtKeys::SecretFile { path: self.path(text), is_base64: false }
    }
}

fn config(algorithm: JwtAlgorithm, keys: JwtKeys) -> JwtConfig {
    JwtConfig::new("tokens", vec![algorithm], keys)
}

/// Believes tokens of [`signed`].
fn own(change: impl FnOnce(&mut JwtConfig)) -> Jwt {
    let files = Files::new();
    let mut config = config(JwtAlgorithm::Hs256, files.secret(SECRET));
    change(&mut config);
    Jwt::new(config, None).unwrap()
}

fn evidence(password: impl AsRef<[u8]>) -> Evidence {
    Evidence { password: Some(Secret::new(password.as_ref())), ..Evidence::default() }
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

async fn ask(jwt: &Jwt, password: &str) -> Verdict {
    settled(jwt.authenticate("c1", &evidence(password))).await
}

fn key_of(algorithm: JwtAlgorithm) -> &'static str {
    match algorithm.name().get(..2) {
        Some("RS" | "PS") => "rsa",
        Some("Ed") => "ed",
        _ if algorithm == JwtAlgorithm::Es384 => "p384",
        _ => "p256",
    }
}

#[tokio::test]
async fn foreign_tokens_of_all_algorithms_are_good() {
    let files = Files::new();
    for algorithm in JwtAlgorithm::ALL {
        let name = algorithm.name();
        let own = match name.starts_with("HS") {
            true => files.secret(vectors()["secret"].as_str().unwrap()),
            false => JwtKeys::PublicKeyFile(files.path(&pem(key_of(algorithm)))),
        };
        let jwt = Jwt::new(config(algorithm, own), None).unwrap();
        let identity = accepted(ask(&jwt, &token(name)).await);
        assert_eq!(identity.user.as_deref(), Some("eve"), "{name}");
        assert_eq!(&*identity.authenticator, "tokens");
        assert_eq!(identity.expires_at, Some(Timestamp::from_millis((END_S + 5) * 1_000)));
        assert!(!identity.is_superuser && identity.rules.is_none());
        for other in JwtAlgorithm::ALL.map(JwtAlgorithm::name) {
            if other != name {
                let verdict = ask(&jwt, &token(other)).await;
                assert_eq!(refusal(verdict), Reason::BAD_CREDENTIALS, "{name} {other}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_set_is_searched_by_id_algorithm_and_curve() {
    let files = Files::new();
    let all = ["encryption", "weak", "p521", "rsa", "rsa-large", "p256", "p384", "ed"];
    let algorithms = JwtAlgorithm::ALL[3..].to_vec();
    let keys = JwtKeys::JwksFile(files.path(&key_set(&all)));
    let jwt = Jwt::new(JwtConfig::new("t", algorithms, keys), None).unwrap();
    // The set says of `rsa` that it is for RS256 alone, and two RSA keys fit a token without id.
    for (name, is_good) in [
        ("RS256", true),
        ("RS256-large", true),
        ("ES256", true),
        ("ES384", true),
        ("EdDSA", true),
        ("no-kid-ES256", true),
        ("no-kid-RS256", false),
        ("RS384", false),
        ("PS256", false),
        ("RS256-weak", false),
        ("kid-of-other", false),
        ("HS256", false),
    ] {
        match ask(&jwt, &token(name)).await {
            Verdict::Accept(_) => assert!(is_good, "{name}"),
            verdict => {
                assert!(!is_good && refusal(verdict) == Reason::BAD_CREDENTIALS, "{name}");
            }
        }
    }
}

#[test]
fn no_algorithm_confusion_and_no_none_are_let_through() {
    let files = Files::new();
    let keys = JwtKeys::PublicKeyFile(files.path(&pem("rsa")));
    let jwt = Jwt::new(config(JwtAlgorithm::Rs256, keys.clone()), None).unwrap();
    for name in ["none", "confusion"] {
        let verdict = jwt.authenticate("c1", &evidence(token(name)));
        assert_eq!(refusal(verdict), Reason::BAD_CREDENTIALS, "{name}");
    }
    let both = JwtConfig::new("t", vec![JwtAlgorithm::Rs256, JwtAlgorithm::Hs256], keys);
    let error = Jwt::new(both, None).unwrap_err().to_string();
    assert_eq!(error, "algorithms: HS256 does not fit the key");
    let secret = files.secret(vectors()["secret"].as_str().unwrap());
    let jwt = Jwt::new(config(JwtAlgorithm::Hs256, secret), None).unwrap();
    assert_eq!(refusal(jwt.authenticate("c1", &evidence(token("crit")))), Reason::BAD_CREDENTIALS);
    accepted(jwt.authenticate("c1", &evidence(token("HS256"))));
}

#[test]
fn what_is_no_token_is_left_to_the_next() {
    let jwt = own(|_| {});
    let good = signed(&json!({"exp": END_S}));
    for text in ["", "secret", "a.b", "a.b.c", "..", "e30.e30.e30", "a.b.c.d", "a.b.c.d.e"] {
        let verdict = jwt.authenticate("c1", &evidence(text));
        assert!(matches!(verdict, Verdict::Unknown), "{text}");
    }
    let not_utf8 = [good.as_bytes(), &[0xff]].concat();
    let deep = signed_text(&"[".repeat(10_000), "{}");
    let huge = signed(&json!({"exp": END_S, "x": "y".repeat(40_000)}));
    for text in [not_utf8.as_slice(), deep.as_bytes(), huge.as_bytes()] {
        assert!(matches!(jwt.authenticate("c1", &evidence(text)), Verdict::Unknown));
    }
    assert!(matches!(jwt.authenticate("c1", &Evidence::default()), Verdict::Unknown));
    let as_user = Evidence { user: Some(good.as_str().into()), ..Evidence::default() };
    assert!(matches!(jwt.authenticate("c1", &as_user), Verdict::Unknown));
    let jwt = own(|config| config.from = TokenFrom::User);
    accepted(jwt.authenticate("c1", &as_user));
    assert!(matches!(jwt.authenticate("c1", &evidence(&good)), Verdict::Unknown));
}

#[test]
fn a_changed_token_is_never_good() {
    let jwt = own(|_| {});
    let good = signed(&json!({"exp": END_S, "sub": "eve"}));
    accepted(jwt.authenticate("c1", &evidence(&good)));
    for at in 0..good.len() {
        for byte in [b'A', b'_', b'.', b'=', b' '] {
            let mut changed = good.clone().into_bytes();
            if std::mem::replace(&mut changed[at], byte) != byte {
                let verdict = jwt.authenticate("c1", &evidence(&changed));
                assert!(!matches!(verdict, Verdict::Accept(_)), "{at} {byte}");
            }
        }
        let verdict = jwt.authenticate("c1", &evidence(&good[..at]));
        assert!(!matches!(verdict, Verdict::Accept(_)), "{at}");
    }
}

#[test]
fn times_that_are_no_times_are_refused() {
    let jwt = own(|_| {});
    for (claims, reason) in [
        (json!({"sub": "eve"}), Reason::NOT_AUTHORIZED),
        (json!({"exp": 1_300_819_380}), Reason::NOT_AUTHORIZED),
        (json!({"exp": -1}), Reason::NOT_AUTHORIZED),
        (json!({"exp": "4102444800"}), Reason::NOT_AUTHORIZED),
        (json!({"exp": null}), Reason::NOT_AUTHORIZED),
        (json!({"exp": END_S, "nbf": END_S - 1}), Reason::NOT_AUTHORIZED),
        (json!({"exp": END_S, "iat": END_S - 1}), Reason::NOT_AUTHORIZED),
        (json!({"exp": END_S, "nbf": []}), Reason::NOT_AUTHORIZED),
        (json!([]), Reason::BAD_CREDENTIALS),
        (json!("exp"), Reason::BAD_CREDENTIALS),
    ] {
        let verdict = jwt.authenticate("c1", &evidence(signed(&claims)));
        assert_eq!(refusal(verdict), reason, "{claims}");
    }
    let far = accepted(jwt.authenticate("c1", &evidence(signed(&json!({"exp": 1e300})))));
    assert_eq!(far.expires_at, Some(Timestamp::from_millis(u64::MAX)));
    let deep = format!("{{\"exp\":{END_S},\"x\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let verdict = jwt.authenticate("c1", &evidence(signed_text(r#"{"alg":"HS256"}"#, &deep)));
    assert_eq!(refusal(verdict), Reason::BAD_CREDENTIALS);
    let jwt = own(|config| config.expiry_required = false);
    let endless = accepted(jwt.authenticate("c1", &evidence(signed(&json!({})))));
    assert_eq!((endless.expires_at, endless.user), (None, None));
}

#[test]
fn required_claims_must_be_there_and_equal() {
    let jwt = own(|config| {
        let claims = [("iss", "city"), ("aud", "manifold"), ("sub", "%u"), ("client", "dev-%c")];
        config.claims = claims.map(|(claim, value)| (claim.into(), value.into())).into();
    });
    let good = json!({
        "exp": END_S, "iss": "city", "aud": ["a", "manifold"], "sub": "eve", "client": "dev-c1",
    });
    let sent_by = |user: Option<&str>, claims: &Value| {
        let evidence = Evidence { user: user.map(Box::from), ..evidence(signed(claims)) };
        jwt.authenticate("c1", &evidence)
    };
    assert_eq!(accepted(sent_by(Some("eve"), &good)).user.as_deref(), Some("eve"));
    assert_eq!(refusal(sent_by(Some("adam"), &good)), Reason::NOT_AUTHORIZED);
    assert_eq!(refusal(sent_by(None, &good)), Reason::NOT_AUTHORIZED);
    for (claim, value) in [
        ("iss", json!("town")),
        ("iss", json!(null)),
        ("aud", json!(["a"])),
        ("aud", json!({"manifold": 1})),
        ("client", json!("dev-c2")),
        ("client", json!(["dev-%c"])),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        assert_eq!(refusal(sent_by(Some("eve"), &claims)), Reason::NOT_AUTHORIZED, "{claims}");
    }
    let by_name = own(|config| config.claims = vec![("sub".into(), "%cn".into())]);
    let certificate =
        Some(CertificateFacts { common_name: Some("meter".into()), ..CertificateFacts::default() });
    let facts = TransportFacts { certificate, ..TransportFacts::default() };
    let token = evidence(signed(&json!({"exp": END_S, "sub": "meter"})));
    assert_eq!(refusal(by_name.authenticate("c1", &token)), Reason::NOT_AUTHORIZED);
    let named = Evidence { transport: Some(facts.into()), ..token };
    accepted(by_name.authenticate("c1", &named));
}

#[test]
fn claims_say_who_the_client_is_and_what_it_may() {
    let jwt = own(|config| {
        config.user_claim = "name".into();
        config.superuser_claim = Some("root".into());
    });
    let claims = json!({
        "exp": END_S, "name": "eve", "root": true, "acl": {"pub": ["own/%u"], "sub": ["in/${clientid}/#"]},
    });
    // A name that the client sends itself proves nothing.
    let claimed = Evidence { user: Some("admin".into()), ..evidence(signed(&claims)) };
    let identity = accepted(jwt.authenticate("c1", &claimed));
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
    let qos = QoS::AtMostOnce;
    let publish = Action::Publish { qos, retain: false };
    let subscribe = Action::Subscribe { qos };
    assert!(permissions.permits(publish, "own/eve") && permissions.permits(subscribe, "in/c1/+"));
    assert!(!permissions.permits(publish, "own/admin") && !permissions.permits(subscribe, "#"));
    let nameless = accepted(jwt.authenticate(
        "c1",
        &Evidence { user: Some("admin".into()), ..evidence(signed(&json!({"exp": END_S}))) },
    ));
    assert_eq!(nameless.user, None);
    for (claim, value) in [
        ("name", json!(7)),
        ("root", json!("yes")),
        ("acl", json!("all")),
        ("acl", json!([{"allow": "all", "topics": "a/#/b"}])),
        ("acl", json!([{"allow": "all", "topics": "a", "users": "b"}])),
    ] {
        let mut claims = claims.clone();
        claims[claim] = value;
        let verdict = jwt.authenticate("c1", &evidence(signed(&claims)));
        assert_eq!(refusal(verdict), Reason::NOT_AUTHORIZED, "{claims}");
    }
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    let files = Files::new();
    let (hs, rs, es) = (JwtAlgorithm::Hs256, JwtAlgorithm::Rs256, JwtAlgorithm::Es256);
    let problem =
        |algorithm, keys| Jwt::new(config(algorithm, keys), None).unwrap_err().to_string();
    let public = |text: &str| JwtKeys::PublicKeyFile(files.path(text));
    let set = |text: &str| JwtKeys::JwksFile(files.path(text));
    let base64 = JwtKeys::SecretFile { path: files.path("!"), is_base64: true };
    assert!(problem(hs, base64).ends_with("key: is not in base64"));
    assert!(problem(hs, files.secret(&SECRET[1..])).contains("shorter than 32 bytes"));
    assert!(problem(rs, public("")).contains("has no public key"));
    assert!(problem(rs, public(&pem("weak"))).contains("shorter than 2048 bits"));
    assert!(problem(es, public(&pem("p521"))).contains("other than P-256"));
    let private = pem("rsa").replace("PUBLIC", "PRIVATE");
    assert!(problem(rs, public(&private)).contains("private key"));
    assert!(problem(es, public(&pem("rsa"))).contains("ES256 does not fit"));
    assert!(problem(rs, set("{")).contains("line 1"));
    assert!(problem(rs, set("[]")).contains("no list"));
    assert!(problem(rs, set(&key_set(&["weak", "p521", "encryption"]))).contains("has no key"));
    assert!(problem(hs, set(&key_set(&["rsa"]))).contains("HS256 does not fit"));
    assert!(problem(rs, set(&" ".repeat(300 << 10))).contains("larger than"));
    let missing = JwtKeys::JwksFile(Path::new("/nowhere/keys").into());
    assert!(problem(rs, missing).starts_with("/nowhere/keys"));
    let nothing = JwtConfig::new("t", Vec::new(), files.secret(SECRET));
    assert_eq!(Jwt::new(nothing, None).unwrap_err().to_string(), "algorithms: none is given");
    for url in ["", "ftp://127.0.0.1/", "keys?token=hush"] {
        let remote = JwtKeys::JwksUrl(JwksUrl { url: url.into(), ..JwksUrl::default() });
        let error = problem(rs, remote);
        assert!(error.starts_with("url: ") && !error.contains("hush"), "{error}");
    }
    let secret = files.secret(&format!("{SECRET}\r\n"));
    let jwt = Jwt::new(config(hs, secret), None).unwrap();
    accepted(jwt.authenticate("c1", &evidence(signed(&json!({"exp": END_S})))));
    assert!(!format!("{jwt:?}").contains(SECRET));
    let base64 = base64::engine::general_purpose::STANDARD.encode(SECRET);
    let base64 = JwtKeys::SecretFile { path: files.path(&base64), is_base64: true };
    let jwt = Jwt::new(config(hs, base64), None).unwrap();
    accepted(jwt.authenticate("c1", &evidence(signed(&json!({"exp": END_S})))));
}

/// A time that does not pass during a test.
const LONG_MS: u64 = 1_000_000_000;

fn remote(server: &Server, refresh_ms: u64, retry_ms: u64) -> JwtConfig {
    let url = server.url("/keys");
    let keys = JwksUrl { url, refresh_ms, retry_ms, timeout_ms: 60_000, ..JwksUrl::default() };
    let algorithms = vec![JwtAlgorithm::Rs256, JwtAlgorithm::Es256];
    JwtConfig::new("t", algorithms, JwtKeys::JwksUrl(keys))
}

#[tokio::test]
async fn keys_are_fetched_once_and_kept() {
    let server = Server::start(|_, _| Some(Answer::ok(key_set(&["rsa"])))).await;
    let jwt = Jwt::new(remote(&server, LONG_MS, LONG_MS), None).unwrap();
    assert!(server.requests().is_empty());
    let first = jwt.authenticate("c1", &evidence(token("RS256")));
    let second = jwt.authenticate("c1", &evidence(token("RS256")));
    assert!(matches!((&first, &second), (Verdict::Later(_), Verdict::Later(_))));
    let (first, second) = tokio::join!(settled(first), settled(second));
    assert_eq!(accepted(first).user, accepted(second).user);
    accepted(ask(&jwt, &token("RS256")).await);
    // A key that nobody knows is not asked for again at once.
    for _ in 0..3 {
        assert_eq!(refusal(ask(&jwt, &token("ES256")).await), Reason::BAD_CREDENTIALS);
    }
    // Nor by whoever comes after a reload.
    let next = Jwt::new(remote(&server, LONG_MS, LONG_MS), Some(&jwt)).unwrap();
    accepted(ask(&next, &token("RS256")).await);
    assert_eq!(server.requests().len(), 1);
    let other = Jwt::new(remote(&server, LONG_MS, 0), Some(&next)).unwrap();
    accepted(ask(&other, &token("RS256")).await);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for() {
    let server = Server::start(|_, before| {
        Some(Answer::ok(key_set(if before == 0 { &["rsa"] } else { &["rsa", "p256"] })))
    })
    .await;
    let jwt = Jwt::new(remote(&server, LONG_MS, 0), None).unwrap();
    accepted(ask(&jwt, &token("RS256")).await);
    accepted(ask(&jwt, &token("ES256")).await);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn keys_are_renewed_and_outlive_failures() {
    let server = Server::start(|request, before| match before {
        0 => Some(Answer {
            headers: "ETag: \"v1\"\r\nCache-Control: public, max-age=0\r\n".into(),
            ..Answer::ok(key_set(&["rsa"]))
        }),
        1 if request.header("if-none-match") == Some("\"v1\"") => Some(Answer::status(304)),
        2 => Some(Answer::status(500)),
        3 => Some(Answer::ok("{\"keys\": []}")),
        4 => Some(Answer::ok(" ".repeat(300 << 10))),
        5 => Some(Answer { headers: "Location: /elsewhere\r\n".into(), ..Answer::status(302) }),
        6 => None,
        _ => Some(Answer::ok(key_set(&["p256"]))),
    })
    .await;
    // With a `max-age` of 0 the second token asks again.
    let jwt = Jwt::new(remote(&server, LONG_MS, 0), None).unwrap();
    accepted(ask(&jwt, &token("RS256")).await);
    accepted(ask(&jwt, &token("RS256")).await);
    // The 304 says nothing of its age.
    accepted(ask(&jwt, &token("RS256")).await);
    assert_eq!(server.requests().len(), 2);
    // A key that is not there is asked for, without success.
    for answered in 3..=7 {
        assert_eq!(refusal(ask(&jwt, &token("ES256")).await), Reason::BAD_CREDENTIALS);
        accepted(ask(&jwt, &token("RS256")).await);
        assert_eq!(server.requests().len(), answered);
    }
    for request in server.requests() {
        assert_eq!((&*request.method, &*request.target, &*request.body), ("GET", "/keys", ""));
    }
    accepted(ask(&jwt, &token("ES256")).await);
    assert_eq!(refusal(ask(&jwt, &token("RS256")).await), Reason::BAD_CREDENTIALS);
}

#[tokio::test]
async fn without_keys_no_token_is_judged() {
    let server = Server::start(|_, before| match before {
        0 => Some(Answer::status(404)),
        _ => Some(Answer::ok(key_set(&["rsa"]))),
    })
    .await;
    let jwt = Jwt::new(remote(&server, LONG_MS, LONG_MS), None).unwrap();
    for _ in 0..2 {
        assert_eq!(refusal(ask(&jwt, &token("RS256")).await), Reason::SERVER_UNAVAILABLE);
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(refusal(ask(&jwt, &token("none")).await), Reason::BAD_CREDENTIALS);
    assert!(matches!(ask(&jwt, "plain").await, Verdict::Unknown));
    assert_eq!(server.requests().len(), 1);
}
