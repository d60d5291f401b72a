use core_model::Secret;
use plugin_access::PasswordHash;
use plugin_access::hash::{HashError, Recipe, make};
use proptest::prelude::*;

const PASSWORD: &str = "correct horse";

/// Hashes of [`PASSWORD`] by other software, with the algorithm.
const FOREIGN: &[(&str, &str)] = &[
    // argon2-cffi 25.1.0
    (
        "$argon2id$v=19$m=1024,t=2,p=2$PcMLsFcseKibSJUsrKDdgA$\
         bz1UGfdhHgFq0dtAy3WvTkaoHD0vnszrVL6bzDUtwLE",
        "argon2id",
    ),
    (
        "$argon2i$v=19$m=512,t=3,p=1$jhJez6lJddNe36e1+5WXww$\
         fjrwJiH1eMmhU5uL0h+0GTmM3GpNFAl/gAKs/++8l6k",
        "argon2i",
    ),
    // bcrypt 5.0.0 (PyPI)
    ("$2b$05$W7CoF2p1/FiHzxTMMvuS.uqaAZS9HOBifzYzu6Ce/VlyvmPaLcm8O", "bcrypt"),
    ("$2a$04$kJY83idwJa3fDItPXOHdl.uKwEQRHZLUYq7AhQQSUfsj9ljmkOP3W", "bcrypt"),
    // passlib 1.7.4
    ("$pbkdf2$1200$41wLwThHyDmHcA5BiLF2jg$Bp8eqYo101oNjxmSWtFHa3nlgF0", "pbkdf2-sha1"),
    (
        "$pbkdf2-sha256$1200$ey8FACBkzJmzNoYwprSWsg$9p21XfG5ktx8KWDCKeq5iogeTD433XBYlATBu4lFmpo",
        "pbkdf2-sha256",
    ),
    (
        "$pbkdf2-sha512$1200$KKX0HqOUkrJ2zjnHeC8lBA$RwSYcw48DFFGU4TuGiSqwcD/\
         t6b46Z4/w0mkHm27k0CWrC8TVifz/JUYGGRkhKK/7KufdhQ3iFWnMHxt3Bd.Pg",
        "pbkdf2-sha512",
    ),
    // mosquitto_passwd 2.0.11
    (
        "$7$101$peF+GGxLHQyP58DX$BjODess/OHmPSQ+9NUYvUkkzofnm/\
         0Sp0Xaswmu+L2X0WW+rrsAZWVtBh8Q+ITGgIe3EVoUFz2fM5yjWVDaotQ==",
        "pbkdf2-sha512",
    ),
    (
        "$6$YIOqjfdcR4fRWjOS$TVdsASBwH6uGZ4MGpVdTgNmzmAfirW8UAMBu4o3lFW4\
         WERrea0F9LDvqvqGnjkjSOCc+NQSnilYy9dWCGp/8FQ==",
        "sha512",
    ),
];

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

#[test]
fn hashes_of_other_software_fit_their_password_only() {
    for (text, algorithm) in FOREIGN {
        let hash = PasswordHash::parse(text).unwrap();
        assert_eq!(hash.algorithm(), *algorithm);
        assert!(hash.verify(&secret(PASSWORD)), "{algorithm}");
        for wrong in ["", "Correct horse", "correct horse ", "correct hors"] {
            assert!(!hash.verify(&secret(wrong)), "{algorithm}: {wrong:?}");
        }
    }
}

#[test]
fn the_published_scram_keys_fit_their_password() {
    // RFC 7677 section 3: user `user`, password `pencil`; the keys were derived by Python 3.11's
    // hashlib.
    let hash = PasswordHash::parse(
        "$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$\
         WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    )
    .unwrap();
    assert!(hash.verify(&secret("pencil")));
    assert!(!hash.verify(&secret("pencils")));
}

#[test]
fn only_one_digest_is_weak() {
    for (text, algorithm) in FOREIGN {
        let hash = PasswordHash::parse(text).unwrap();
        assert_eq!(hash.is_weak(), *algorithm == "sha512", "{algorithm}");
    }
}

#[test]
fn new_hashes_fit_their_password_and_are_salted() {
    let recipes = [
        (Recipe::Argon2id { memory_kib: 64, passes: 1 }, "argon2id"),
        (Recipe::Bcrypt { cost: 4 }, "bcrypt"),
        (Recipe::Pbkdf2 { iterations: 10 }, "pbkdf2-sha512"),
        (Recipe::SCRAM, "scram-sha-256"),
    ];
    for (recipe, algorithm) in recipes {
        let hash = make(recipe, &secret(PASSWORD)).unwrap();
        assert_eq!(hash.algorithm(), algorithm);
        assert!(hash.verify(&secret(PASSWORD)));
        assert!(!hash.verify(&secret("other")));
        assert_ne!(hash, make(recipe, &secret(PASSWORD)).unwrap());
    }
}

#[test]
fn the_default_recipe_is_within_bounds() {
    let hash = make(Recipe::default(), &secret(PASSWORD)).unwrap();
    assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(hash.verify(&secret(PASSWORD)));
}

#[test]
fn bcrypt_is_not_made_of_what_it_would_cut_off() {
    let recipe = Recipe::Bcrypt { cost: 4 };
    assert!(make(recipe, &secret(&"p".repeat(72))).is_ok());
    let error = make(recipe, &secret(&"p".repeat(73))).unwrap_err();
    assert!(error.to_string().contains("at most 72 are allowed"), "{error}");
}

#[test]
fn hashes_that_cost_too_much_are_refused() {
    let salted = |head: &str| format!("{head}$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g");
    let costly = [
        (salted("$argon2id$v=19$m=262145,t=1,p=1"), "m=262145 KiB: at most 262144 are allowed"),
        (salted("$argon2id$v=19$m=64,t=65,p=1"), "t=65: at most 64 are allowed"),
        (salted("$argon2id$v=19$m=1024,t=1,p=17"), "p=17: at most 16 are allowed"),
        (salted("$argon2id$v=19$m=262144,t=5,p=1"), "m times t is 1310720"),
        (salted("$pbkdf2-sha256$i=2000001"), "2000001 rounds: at most 2000000 are allowed"),
        (salted("$7$2000001"), "2000001 rounds"),
        (
            "$2b$15$W7CoF2p1/FiHzxTMMvuS.uqaAZS9HOBifzYzu6Ce/VlyvmPaLcm8O".to_owned(),
            "a cost of 15: at most 14 is allowed",
        ),
    ];
    for (text, what) in costly {
        let error = PasswordHash::parse(&text).unwrap_err();
        assert!(matches!(error, HashError::TooCostly { .. }), "{text}: {error}");
        assert!(error.to_string().contains(what), "{text}: {error}");
    }
    for text in ["$argon2id$v=19$m=262144,t=4,p=16", "$pbkdf2-sha256$i=2000000"] {
        PasswordHash::parse(&salted(text)).unwrap();
    }
}

#[test]
fn long_pbkdf2_hashes_count_by_their_blocks() {
    let text = |rounds: u32| format!("$pbkdf2-sha1$i={rounds}$c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2g3");
    // 21 bytes are two blocks of SHA-1.
    assert!(PasswordHash::parse(&text(1_000_000)).is_ok());
    assert!(PasswordHash::parse(&text(1_000_001)).is_err());
}

#[test]
fn malformed_hashes_are_refused_without_being_shown() {
    let wrong = [
        "",
        "secret",
        "$",
        "$secret",
        "$1$secret$secretsecret",
        "$5$rounds=1000$secret$secret",
        // SHA-512 of crypt(3) looks like mosquitto's.
        "$6$secretsecret$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEO\
         faS35inz1",
        "$7$0$c2FsdA==$BjODess/OHmPSQ+9NUYvUkkzofnm/0Sp0Xaswmu+L2X0WW+rrsAZWVtBh8Q+ITGgIe3EVoUFz2fM5y\
         jWVDaotQ==",
        "$7$+1$c2FsdA==$c2VjcmV0c2VjcmV0c2VjcmV0",
        "$7$1$c2FsdA==$c2VjcmV0",
        "$2b$secret",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0",
        "$argon2id$v=18$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$c2VjcmV0c2VjcmV0c2VjcmV0",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$c2VjcmV0c2VjcmV0",
        "$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$c2VjcmV0c2VjcmV0c2VjcmV0",
        "$sha256$prefix$c2FsdA$c2VjcmV0c2VjcmV0c2VjcmV0",
        "$sha256$secret$c2FsdA$9p21XfG5ktx8KWDCKeq5iogeTD433XBYlATBu4lFmpo",
        "$pbkdf2-sha256$i=10,l=31$c2FsdA$9p21XfG5ktx8KWDCKeq5iogeTD433XBYlATBu4lFmpo",
        "$pbkdf2-sha256$i=10,l=$c2FsdA$9p21XfG5ktx8KWDCKeq5iogeTD433XBYlATBu4lFmpo",
        "$scram-sha-256$i=4095$c2FsdA$9p21XfG5ktx8KWDCKeq5iogeTD433XBYlATBu4lFmpo$\
         9p21XfG5ktx8KWDCKeq5iogeTD433XBYlATBu4lFmpo",
        "$scram-sha-256$4096$c2FsdA$9p21XfG5ktx8KWDCKeq5iogeTD433XBYlATBu4lFmpo$\
         9p21XfG5ktx8KWDCKeq5iogeTD433XBYlATBu4lFmpo",
    ];
    for text in wrong {
        let error = PasswordHash::parse(text).unwrap_err().to_string();
        assert!(!error.contains("secret") && !error.contains("c2VjcmV0"), "{text}: {error}");
    }
    assert_eq!(
        PasswordHash::parse(&format!("$6${}", "a".repeat(1_022))),
        Err(HashError::TooLong(1_025))
    );
}

#[test]
fn a_hash_is_not_shown() {
    let hash = PasswordHash::parse(FOREIGN[0].0).unwrap();
    assert_eq!(format!("{hash:?}"), "[password hash]");
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in "\\$(argon2id|2b|6|7|sha1|pbkdf2|scram-sha-256|[a-z0-9]*)\
                                            [$a-zA-Z0-9+/=,.]{0,120}") {
        if let Ok(hash) = PasswordHash::parse(&text) {
            prop_assert_eq!(hash.expose(), text);
            prop_assert_ne!(hash.algorithm(), "unknown");
        }
    }
}
