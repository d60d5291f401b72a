use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use core_model::{Authenticator as _, Evidence, Exchange, Reason, Secret, Step, Verdict};
use plugin_access::hash::{Recipe, make};
use plugin_access::{Scram, Users};
use proptest::prelude::*;
use ring::{digest, hmac, pbkdf2};

/// A hash of another kind, by bcrypt 5.0.0 (PyPI); the password is `correct horse`.
const BCRYPT: &str = "$2a$04$kJY83idwJa3fDItPXOHdl.uKwEQRHZLUYq7AhQQSUfsj9ljmkOP3W";

fn file() -> String {
    let keys = make(Recipe::SCRAM, &Secret::new(b"pencil")).unwrap();
    let keys = keys.expose();
    format!("user:{keys}\na,b=c:{keys}:superuser\nother:{BCRYPT}\n")
}

fn scram(text: &str) -> Scram {
    Scram::new("scram", Arc::new(Users::parse(Path::new("users.txt"), text).unwrap()))
}

fn begin(scram: &Scram, user: Option<&str>) -> Box<dyn Exchange> {
    let evidence = Evidence { user: user.map(Box::from), ..Evidence::default() };
    scram.begin("SCRAM-SHA-256", "c", &evidence).unwrap()
}

fn text(step: Step) -> Result<String, Reason> {
    match step {
        Step::Continue(data) => Ok(String::from_utf8(data).unwrap()),
        Step::Accept(identity, data) => {
            assert_eq!(&*identity.authenticator, "scram");
            let user = identity.user.unwrap();
            let flag = if identity.is_superuser { " superuser" } else { "" };
            Ok(format!("{user}{flag} {}", String::from_utf8(data.unwrap()).unwrap()))
        }
        Step::Refuse(reason) => Err(reason),
    }
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

/// What a client makes of a challenge: its last message, and the answer that proves the server.
fn prove(header: &str, bare: &str, challenge: &str, password: &str) -> (String, String) {
    let mut parts = challenge.splitn(3, ',');
    let nonce = parts.next().unwrap().strip_prefix("r=").unwrap();
    let salt = BASE64.decode(parts.next().unwrap().strip_prefix("s=").unwrap()).unwrap();
    let iterations: NonZeroU32 = parts.next().unwrap().strip_prefix("i=").unwrap().parse().unwrap();
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let without_proof = format!("c={},r={nonce}", BASE64.encode(header));
    let signed = format!("{bare},{challenge},{without_proof}");
    let signature = hmac(stored_key.as_ref(), signed.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let server = BASE64.encode(hmac(&hmac(&salted, b"Server Key"), signed.as_bytes()));
    (format!("{without_proof},p={}", BASE64.encode(proof)), format!("v={server}"))
}

/// A whole exchange; the answer to the proof, and whether it proves the server.
fn whole(
    scram: &Scram,
    header: &str,
    name: &str,
    password: &str,
) -> Result<(String, bool), Reason> {
    let mut exchange = begin(scram, None);
    let bare = format!("n={name},r=abcdef");
    let challenge = text(exchange.step(format!("{header}{bare}").as_bytes()))?;
    assert!(challenge.starts_with("r=abcdef") && challenge.len() > 40);
    let (last, server) = prove(header, &bare, &challenge, password);
    let answer = text(exchange.step(last.as_bytes()))?;
    let (user, proof) = answer.rsplit_once(' ').unwrap();
    Ok((user.to_owned(), proof == server))
}

#[test]
fn who_knows_the_password_is_believed_and_told_that_the_server_does() {
    let scram = scram(&file());
    for header in ["n,,", "y,,", "n,a=user,"] {
        assert_eq!(whole(&scram, header, "user", "pencil"), Ok(("user".to_owned(), true)));
    }
    let escaped = whole(&scram, "n,a=a=2Cb=3Dc,", "a=2Cb=3Dc", "pencil");
    assert_eq!(escaped, Ok(("a,b=c superuser".to_owned(), true)));
}

#[test]
fn others_are_refused_at_the_end() {
    let scram = scram(&file());
    for (name, password) in [("user", "pen"), ("nobody", "pencil"), ("other", "correct horse")] {
        assert_eq!(whole(&scram, "n,,", name, password), Err(Reason::BAD_CREDENTIALS), "{name}");
    }
}

#[test]
fn an_unknown_user_looks_like_a_known_one() {
    let text_of = file();
    let challenge = |scram: &Scram, name: &str| {
        let first = format!("n,,n={name},r=abcdef");
        let challenge = text(begin(scram, None).step(first.as_bytes())).unwrap();
        let (nonce, rest) = challenge.split_once(',').unwrap();
        (nonce.len(), rest.to_owned())
    };
    let once = scram(&text_of);
    let known = challenge(&once, "user");
    let unknown = challenge(&once, "nobody");
    assert_eq!(known.0, unknown.0);
    assert_eq!(known.1.len(), unknown.1.len());
    assert_ne!(unknown.1, challenge(&once, "nobody2").1);
    // After a restart too.
    assert_eq!(unknown, challenge(&scram(&text_of), "nobody"));
    assert_ne!(unknown.1, challenge(&scram(&file()), "nobody").1);
}

#[test]
fn an_exchange_is_never_the_same_twice() {
    let scram = scram(&file());
    let mut first = begin(&scram, None);
    let challenge = text(first.step(b"n,,n=user,r=abc")).unwrap();
    let (last, _) = prove("n,,", "n=user,r=abc", &challenge, "pencil");
    let mut second = begin(&scram, None);
    text(second.step(b"n,,n=user,r=abc")).unwrap();
    assert_eq!(text(second.step(last.as_bytes())), Err(Reason::BAD_CREDENTIALS));
    assert!(text(first.step(last.as_bytes())).is_ok());
    assert_eq!(text(first.step(last.as_bytes())), Err(Reason::PROTOCOL_ERROR));
}

#[test]
fn a_user_name_beside_the_exchange_must_be_the_same() {
    let scram = scram(&file());
    let first = b"n,,n=user,r=abc";
    assert!(text(begin(&scram, Some("user")).step(first)).is_ok());
    assert_eq!(text(begin(&scram, Some("root")).step(first)), Err(Reason::BAD_CREDENTIALS));
}

#[test]
fn first_messages_that_are_wrong_are_refused() {
    let scram = scram(&file());
    let wrong = [
        ("p=tls-unique,,n=user,r=abc", Reason::NOT_AUTHORIZED),
        ("n,a=root,n=user,r=abc", Reason::NOT_AUTHORIZED),
        ("n,,m=ext,n=user,r=abc", Reason::PROTOCOL_ERROR),
        ("x,,n=user,r=abc", Reason::PROTOCOL_ERROR),
        ("n,user,n=user,r=abc", Reason::PROTOCOL_ERROR),
        ("n,,n=,r=abc", Reason::PROTOCOL_ERROR),
        ("n,,n=us=er,r=abc", Reason::PROTOCOL_ERROR),
        ("n,,n=user,r=", Reason::PROTOCOL_ERROR),
        ("n,,n=user,r=a c", Reason::PROTOCOL_ERROR),
        ("n,,n=user", Reason::PROTOCOL_ERROR),
        ("n=user,r=abc", Reason::PROTOCOL_ERROR),
        ("", Reason::PROTOCOL_ERROR),
    ];
    for (first, reason) in wrong {
        assert_eq!(text(begin(&scram, None).step(first.as_bytes())), Err(reason), "{first}");
    }
    let nonce = |length| format!("n,,n=user,r={}", "x".repeat(length));
    assert!(text(begin(&scram, None).step(nonce(256).as_bytes())).is_ok());
    assert!(text(begin(&scram, None).step(nonce(257).as_bytes())).is_err());
    let extended = |length: usize| {
        let mut first = "n,,n=user,r=abc,x=".to_owned();
        first.push_str(&"x".repeat(length - first.len()));
        first
    };
    assert!(text(begin(&scram, None).step(extended(4_096).as_bytes())).is_ok());
    assert!(text(begin(&scram, None).step(extended(4_097).as_bytes())).is_err());
}

#[test]
fn last_messages_that_are_wrong_are_refused() {
    let scram = scram(&file());
    let answer = |change: &dyn Fn(&str) -> String| {
        let mut exchange = begin(&scram, None);
        let challenge = text(exchange.step(b"n,,n=user,r=abc")).unwrap();
        let (last, _) = prove("n,,", "n=user,r=abc", &challenge, "pencil");
        text(exchange.step(change(&last).as_bytes()))
    };
    assert!(answer(&|last| last.to_owned()).is_ok());
    // Another header than at first: somebody in between has changed it.
    let other = answer(&|last| last.replace("c=biws", "c=eSws"));
    assert_eq!(other, Err(Reason::BAD_CREDENTIALS));
    let other = answer(&|last| last.replace("r=abc", "r=abd"));
    assert_eq!(other, Err(Reason::BAD_CREDENTIALS));
    assert_eq!(answer(&|last| last.replace(",p=", ",q=")), Err(Reason::PROTOCOL_ERROR));
    assert_eq!(answer(&|last| format!("{last}AAAA")), Err(Reason::PROTOCOL_ERROR));
    assert_eq!(answer(&|last| last.replace("c=", "m=")), Err(Reason::PROTOCOL_ERROR));
    assert_eq!(answer(&|_| String::new()), Err(Reason::PROTOCOL_ERROR));
}

#[test]
fn other_methods_are_not_known() {
    let scram = scram(&file());
    for method in ["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "scram-sha-256", ""] {
        assert!(scram.begin(method, "c", &Evidence::default()).is_none(), "{method}");
    }
    assert!(matches!(scram.authenticate("c", &Evidence::default()), Verdict::Unknown));
}

proptest! {
    #[test]
    fn any_message_is_taken_or_refused(
        first in "(n,,)?(n=user,)?[rnmc=,a-z0-9]{0,20}",
        last in "(c=biws,)?(r=)?\\PC{0,20}",
        junk: Vec<u8>,
    ) {
        let scram = scram("");
        for messages in [[first.as_bytes(), last.as_bytes()], [first.as_bytes(), &*junk]] {
            let mut exchange = begin(&scram, None);
            for message in messages {
                prop_assert!(!matches!(exchange.step(message), Step::Accept(..)));
            }
        }
    }
}
