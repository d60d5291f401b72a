use std::path::Path;

use core_model::Secret;
use plugin_access::hash::Recipe;
use plugin_access::import::{EmqxHash, EmqxMac, EmqxSalt, Imported, Source, parse};
use plugin_access::users::User;
use proptest::prelude::*;

const RECIPE: Recipe = Recipe::Pbkdf2 { iterations: 1 };

/// The example of EMQX's manual (`import_users`); the passwords are `mypassword3` and `mypassword4`.
const MANUAL_CSV: &str = "\
user_id,password_hash,salt,is_superuser
myuser3,b6c743545a7817ae8c8f624371d5f5f0373234bb0ff36b8ffbf19bce0e06ab75,de1024f462fb83910fd13151bd4bd235,true
myuser4,ee68c985a69208b6eda8c6c9b4c7c2d2b15ee2352cdd64a903171710a99182e8,ad773b5be9dd0613fe6c2f4d8c403139,false
";

/// Password `public`, salt `salt`, by Python 3.11's hashlib.
const DIGESTS: &[(EmqxHash, &str)] = &[
    (EmqxHash::Sha1(EmqxSalt::Prefix), "54625c8c5d22e86e9a3d2732bf48d0f43d343366"),
    (EmqxHash::Sha1(EmqxSalt::Suffix), "43e71834067d59d83ae934bb80670178b810b9be"),
    (EmqxHash::Sha1(EmqxSalt::Disable), "61c9b2b17db77a27841bbeeabff923448b0f6388"),
    (
        EmqxHash::Sha256(EmqxSalt::Prefix),
        "f2ef7f9aedb2c3b5040bc16691a1177758a92ad91e1ee77770215a332bf6099f",
    ),
    (
        EmqxHash::Sha256(EmqxSalt::Suffix),
        "f4a8615be301fbaf6213df33cfe5f22953aafc0c31beb8f2daef55b127444d27",
    ),
    (
        EmqxHash::Sha256(EmqxSalt::Disable),
        "efa1f375d76194fa51a3556a97e641e61685f914d446979da50a551a4333ffd7",
    ),
    (
        EmqxHash::Sha512(EmqxSalt::Prefix),
        "82112846414ba6fd95be5ac402188c3a7cf1a178485e937fded30f9e398c94094d2d742a41dd0982febd36484be12f19d3cf9130fe2d903d61b5c7ae9a327185",
    ),
    (
        EmqxHash::Sha512(EmqxSalt::Suffix),
        "7ffaf674fc0b94835d6cdba9f3e80b7d7dc8efe5fe7cfe9f01d38d309718cef339fc3014fb007d2133d65d6fea8e904817670aeb69ca47a74554804c15e1bd4f",
    ),
    (
        EmqxHash::Sha512(EmqxSalt::Disable),
        "d32997e9747b65a3ecf65b82533a4c843c4e16dd30cf371e8c81ab60a341de00051da422d41ff29c55695f233a1e06fac8b79aeb0a4d91ae5d3d18c8e09b8c73",
    ),
];

fn import(text: &str, source: &Source) -> Imported {
    parse(Path::new("users"), text, source, RECIPE).unwrap()
}

fn json(text: &str, hash: EmqxHash) -> Imported {
    import(text, &Source::EmqxJson(hash))
}

/// The only user, who must have been taken.
fn only(imported: Imported) -> User {
    assert_eq!(imported.refused, []);
    let [user] = imported.users.try_into().unwrap();
    user
}

fn fits(user: &User, password: &str) -> bool {
    user.hash.verify(&Secret::new(password.as_bytes()))
}

fn reasons(imported: &Imported) -> Vec<(usize, &str)> {
    imported.refused.iter().map(|refused| (refused.place, &*refused.reason)).collect()
}

#[test]
fn the_manuals_users_keep_their_passwords() {
    let source = Source::EmqxCsv(EmqxHash::Sha256(EmqxSalt::Prefix));
    for text in [MANUAL_CSV.to_owned(), format!("\u{feff}{}", MANUAL_CSV.replace('\n', "\r\n"))] {
        let imported = import(&text, &source);
        assert_eq!(reasons(&imported), []);
        let [three, four] = &*imported.users else { panic!() };
        assert_eq!((&*three.name, three.is_superuser), ("myuser3", true));
        assert_eq!((&*four.name, four.is_superuser), ("myuser4", false));
        assert!(fits(three, "mypassword3") && !fits(three, "mypassword4"));
        assert!(fits(four, "mypassword4") && !fits(four, "mypassword3"));
    }
    let wrong = import(MANUAL_CSV, &Source::EmqxCsv(EmqxHash::Sha256(EmqxSalt::Suffix)));
    assert!(!fits(&wrong.users[0], "mypassword3"));
}

#[test]
fn each_way_of_hashing_is_taken() {
    let one = |hash: &str, salt: &str| {
        format!(r#"[{{"user_id":"u","password_hash":"{hash}","salt":"{salt}"}}]"#)
    };
    for (hash, text) in DIGESTS {
        let user = only(json(&one(text, "salt"), hash.clone()));
        assert!(fits(&user, "public") && !fits(&user, "publi"), "{hash:?}");
        let user = only(json(&one(&text.to_uppercase(), "salt"), hash.clone()));
        assert!(fits(&user, "public"), "{hash:?}");
    }
    // From the test-suite of EMQX 5 (emqx_passwd_SUITE); also in RFC 3962 appendix B.
    let pbkdf2 = EmqxHash::Pbkdf2 { mac: EmqxMac::Sha1, iterations: 2, hash_bytes: Some(32) };
    let text = "01dbee7f4a9e243e988b62c73cda935da05378b93244ec8f48a99e61ad799d86";
    let user = only(json(&one(text, "ATHENA.MIT.EDUraeburn"), pbkdf2));
    assert!(fits(&user, "password"));
    // bcrypt 5.0.0 (PyPI); EMQX writes the hash as salt too.
    let text = "$2a$04$kJY83idwJa3fDItPXOHdl.uKwEQRHZLUYq7AhQQSUfsj9ljmkOP3W";
    assert!(fits(&only(json(&one(text, text), EmqxHash::Bcrypt)), "correct horse"));
    let user = only(json(&one("public", ""), EmqxHash::Plain));
    assert!(fits(&user, "public"));
    assert_eq!(user.hash.algorithm(), "pbkdf2-sha512");
}

#[test]
fn passwords_in_the_clear_are_hashed() {
    let sha256 = EmqxHash::Sha256(EmqxSalt::Prefix);
    let text = r#"[{"user_id":"u","password":"public","is_superuser":true}]"#;
    let user = only(json(text, sha256.clone()));
    assert!(user.is_superuser && fits(&user, "public"));
    let text = "user_id,password,is_superuser\n\"a,b\",\"say \"\"hi\"\"\",1\n";
    let user = only(import(text, &Source::EmqxCsv(sha256)));
    assert_eq!(&*user.name, "a,b");
    assert!(user.is_superuser && fits(&user, "say \"hi\""));
}

#[test]
fn what_cannot_be_taken_is_listed_without_its_secret() {
    let sha256 = EmqxHash::Sha256(EmqxSalt::Prefix);
    let good = "b6c743545a7817ae8c8f624371d5f5f0373234bb0ff36b8ffbf19bce0e06ab75";
    let text = format!(
        "salt,user_id,password_hash,is_superuser,note\n\
         s,a,{good},,\n\
         s,,{good},,\n\
         s,b,secret,false,\n\
         s,c,abcd,false,\n\
         \n\
         s,d,{good},maybe,\n\
         s,a,{good},false,\n\
         s,#e,{good},false,\n\
         s,f,{good}\n\
         s,\"g,{good},false,\n\
         s,h,,false,\n\
         s,i,{good},0,x\n"
    );
    let imported = import(&text, &Source::EmqxCsv(sha256.clone()));
    let names: Vec<&str> = imported.users.iter().map(|user| &*user.name).collect();
    assert_eq!(names, ["a", "i"]);
    assert_eq!(
        reasons(&imported),
        [
            (3, "the name is empty"),
            (4, "password_hash must be hexadecimal digits"),
            (5, "not a sha256 hash: 2 bytes: must be 32"),
            (7, "is_superuser must be true or false"),
            (8, "names a user who was named before"),
            (9, "the name begins with #"),
            (10, "3 fields: must be 5"),
            (11, "a quote is not closed on its line"),
            (12, "has neither password_hash nor password"),
        ]
    );

    let text = format!(
        r#"[{{"user_id":"a","password_hash":"{good}"}}, {{"user_id":7}}, "secret",
            {{"user_id":"b","password_hash":"secret"}},
            {{"user_id":"c","password_hash":"{good}","is_superuser":2}}]"#
    );
    let imported = json(&text, sha256);
    assert_eq!(imported.users.len(), 1);
    let what = "must have a user_id, and a password_hash or a password, as strings";
    assert_eq!(
        reasons(&imported),
        [
            (2, what),
            (3, what),
            (4, "password_hash must be hexadecimal digits"),
            (5, "is_superuser must be true or false"),
        ]
    );

    let imported = json(r#"[{"user_id":"a","password_hash":"secret"}]"#, EmqxHash::Bcrypt);
    assert_eq!(reasons(&imported), [(1, "password_hash is no bcrypt hash")]);
    let pbkdf2 = EmqxHash::Pbkdf2 { mac: EmqxMac::Sha512, iterations: 9, hash_bytes: None };
    let imported = json(&format!(r#"[{{"user_id":"a","password_hash":"{good}"}}]"#), pbkdf2);
    assert_eq!(reasons(&imported), [(1, "password_hash has 32 bytes: must be 64")]);
}

#[test]
fn files_of_another_kind_are_refused() {
    let plain = EmqxHash::Plain;
    let refused = |text: &str, source: Source| {
        parse(Path::new("users"), text, &source, RECIPE).unwrap_err().to_string()
    };
    let columns = "users:1: must name the columns user_id, and password_hash or password";
    assert_eq!(refused("", Source::EmqxCsv(plain.clone())), columns);
    assert_eq!(refused("alice:secret\n", Source::EmqxCsv(plain.clone())), columns);
    assert_eq!(refused("user_id,salt\na,b\n", Source::EmqxCsv(plain.clone())), columns);
    let array = refused("{\"secret\": 1}", Source::EmqxJson(plain.clone()));
    assert!(array.starts_with("users: must be a JSON array of users: line 1, column "), "{array}");
    let array = refused("[\n \"secret\",", Source::EmqxJson(plain));
    assert!(array.starts_with("users: must be a JSON array of users: line 2, column "), "{array}");
}

#[test]
fn a_mosquitto_file_is_taken_line_by_line() {
    // mosquitto_passwd 2.0.11; the password is `correct horse`.
    let hash = "$7$101$peF+GGxLHQyP58DX$BjODess/OHmPSQ+9NUYvUkkzofnm/0Sp0Xaswmu+L2X0WW+rrsAZWVtBh8Q+\
                ITGgIe3EVoUFz2fM5yjWVDaotQ==";
    let text = format!("alice:{hash}\n# comment\n\nbob:secret\nalice:{hash}\ncarol:{hash}");
    let imported = import(&text, &Source::Mosquitto);
    let names: Vec<&str> = imported.users.iter().map(|user| &*user.name).collect();
    assert_eq!(names, ["alice", "carol"]);
    assert!(fits(&imported.users[1], "correct horse"));
    assert_eq!(
        reasons(&imported),
        [
            (4, "must be name:hash or name:hash:superuser, with a hash that begins with $"),
            (5, "names a user who was named before"),
        ]
    );
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC{0,60}", rows in "([a-f0-9\",]{0,70}\n){0,4}") {
        let sources = [
            Source::Mosquitto,
            Source::EmqxJson(EmqxHash::Sha256(EmqxSalt::Prefix)),
            Source::EmqxCsv(EmqxHash::Sha256(EmqxSalt::Prefix)),
        ];
        for source in &sources {
            let _ = parse(Path::new("users"), &text, source, RECIPE);
            let text = format!("user_id,password_hash,salt,is_superuser\n{rows}");
            let _ = parse(Path::new("users"), &text, source, RECIPE);
        }
    }
}
