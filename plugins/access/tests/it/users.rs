use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use core_model::{Authenticator as _, Evidence, Reason, Secret, Verdict};
use plugin_access::hash::{Recipe, make};
use plugin_access::users::edit::{self, Changes, Present};
use plugin_access::users::{User, check_name};
use plugin_access::{
    Hashing, HashingLimits, PasswordHash, UnknownUser, UserFrom, Users, UsersFile,
    UsersFileSettings,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::server::settled;

/// By mosquitto_passwd 2.0.11; the password is `correct horse`.
const MOSQUITTO: &str = "\
alice:$7$101$peF+GGxLHQyP58DX$BjODess/OHmPSQ+9NUYvUkkzofnm/0Sp0Xaswmu+L2X0WW+rrsAZWVtBh8Q+ITGg\
Ie3EVoUFz2fM5yjWVDaotQ==
bob:$6$YIOqjfdcR4fRWjOS$TVdsASBwH6uGZ4MGpVdTgNmzmAfirW8UAMBu4o3lFW4WERrea0F9LDvqvqGnjkjSOCc+NQ\
SnilYy9dWCGp/8FQ==
";
const PASSWORD: &str = "correct horse";
/// Another hash of it, by bcrypt 5.0.0 (PyPI).
const BCRYPT: &str = "$2a$04$kJY83idwJa3fDItPXOHdl.uKwEQRHZLUYq7AhQQSUfsj9ljmkOP3W";

fn users(text: &str) -> Result<Arc<Users>, String> {
    Users::parse(Path::new("users.txt"), text).map(Arc::new).map_err(|error| error.to_string())
}

fn authenticator(text: &str, settings: UsersFileSettings) -> UsersFile {
    let hashing = Arc::new(Hashing::new(HashingLimits::default()).unwrap());
    UsersFile::new(settings, users(text).unwrap(), hashing)
}

fn evidence(user: Option<&str>, password: Option<&str>) -> Evidence {
    Evidence {
        user: user.map(Box::from),
        password: password.map(|password| Secret::new(password.as_bytes())),
        ..Evidence::default()
    }
}

/// The verdict in short.
async fn judge(file: &UsersFile, client_id: &str, evidence: Evidence) -> String {
    match settled(file.authenticate(client_id, &evidence)).await {
        Verdict::Accept(identity) => {
            assert_eq!(&*identity.authenticator, "people");
            let user = identity.user.as_deref().unwrap_or("nobody").to_owned();
            if identity.is_superuser { format!("{user}, superuser") } else { user }
        }
        Verdict::Refuse(reason) => reason.to_string(),
        Verdict::Unknown => "unknown".to_owned(),
        Verdict::Later(_) => "later".to_owned(),
    }
}

fn people() -> UsersFileSettings {
    UsersFileSettings { name: "people".into(), ..UsersFileSettings::default() }
}

#[tokio::test]
async fn users_of_a_mosquitto_file_are_believed_by_their_password() {
    let file = authenticator(MOSQUITTO, people());
    for name in ["alice", "bob"] {
        assert_eq!(judge(&file, "c", evidence(Some(name), Some(PASSWORD))).await, name);
        let wrong = judge(&file, "c", evidence(Some(name), Some("wrong"))).await;
        assert_eq!(wrong, Reason::BAD_CREDENTIALS.to_string());
    }
    assert_eq!(judge(&file, "c", evidence(Some("carol"), Some(PASSWORD))).await, "unknown");
    assert_eq!(judge(&file, "c", evidence(Some("Alice"), Some(PASSWORD))).await, "unknown");
    assert_eq!(judge(&file, "c", evidence(Some("alice"), None)).await, "unknown");
    assert_eq!(judge(&file, "alice", evidence(None, Some(PASSWORD))).await, "unknown");
    assert_eq!(judge(&file, "c", evidence(None, None)).await, "unknown");
}

#[tokio::test]
async fn an_unknown_user_is_refused_where_that_is_said() {
    let settings = UsersFileSettings { unknown: UnknownUser::Refuse, ..people() };
    let bad = Reason::BAD_CREDENTIALS.to_string();
    let file = authenticator(MOSQUITTO, settings.clone());
    assert_eq!(judge(&file, "c", evidence(Some("carol"), Some(PASSWORD))).await, bad);
    assert_eq!(judge(&file, "c", evidence(None, None)).await, "unknown");
    let empty = authenticator("# nobody\n", settings);
    assert_eq!(judge(&empty, "c", evidence(Some("carol"), Some(PASSWORD))).await, bad);
}

/// The same hash is computed for both, and neither is answered at once.
#[tokio::test]
async fn an_unknown_user_costs_as_much_as_a_known_one() {
    let hashing = Arc::new(Hashing::new(HashingLimits::default()).unwrap());
    let file = UsersFile::new(people(), users(MOSQUITTO).unwrap(), Arc::clone(&hashing));
    for (times, name) in (1..).zip(["alice", "carol", "dave", "carol"]) {
        let verdict = file.authenticate("c", &evidence(Some(name), Some("wrong")));
        assert!(matches!(verdict, Verdict::Later(_)), "{name}");
        settled(verdict).await;
        assert_eq!(hashing.counters().computed, times, "{name}");
    }
}

#[tokio::test]
async fn the_client_identifier_may_be_the_user() {
    let settings = UsersFileSettings { user_from: UserFrom::ClientId, ..people() };
    let file = authenticator(MOSQUITTO, settings);
    assert_eq!(judge(&file, "alice", evidence(None, Some(PASSWORD))).await, "alice");
    // What is not proven is not believed.
    assert_eq!(judge(&file, "alice", evidence(Some("root"), Some(PASSWORD))).await, "alice");
    assert_eq!(judge(&file, "carol", evidence(Some("alice"), Some(PASSWORD))).await, "unknown");
}

#[tokio::test]
async fn names_with_colons_and_superusers_are_possible() {
    let text = format!(
        "# people\n\n 00:1a:2b : {BCRYPT} \na:$b:{BCRYPT}:superuser\r\n  # the end\nc::{BCRYPT}"
    );
    let file = authenticator(&text, people());
    let answer = judge(&file, "c", evidence(Some("00:1a:2b"), Some(PASSWORD))).await;
    assert_eq!(answer, "00:1a:2b");
    let answer = judge(&file, "c", evidence(Some("a:$b"), Some(PASSWORD))).await;
    assert_eq!(answer, "a:$b, superuser");
    assert_eq!(judge(&file, "c", evidence(Some("c:"), Some(PASSWORD))).await, "c:");
}

#[test]
fn a_wrong_line_is_named_without_its_secret() {
    let wrong = |line: String, what: &str| {
        let error = users(&format!("# people\nzoe:{BCRYPT}\n{line}\n")).unwrap_err();
        assert!(error.starts_with("users.txt:3: "), "{error}");
        assert!(error.contains(what), "{error}");
        assert!(!error.contains("secret") && !error.contains("kJY83"), "{error}");
    };
    wrong("alice:secret".to_owned(), "must be name:hash or name:hash:superuser");
    wrong("alice".to_owned(), "must be name:hash");
    wrong("alice:".to_owned(), "must be name:hash");
    wrong(format!(":{BCRYPT}"), "the name is empty");
    wrong(format!("a\tb:{BCRYPT}"), "the name has a control character");
    wrong(format!("{}:{BCRYPT}", "n".repeat(1_025)), "the name has more than 1024 bytes");
    wrong(format!("alice:{BCRYPT}:secret"), "behind the hash only superuser is allowed");
    wrong(format!("alice:{BCRYPT}:superuser:superuser"), "behind the hash only superuser");
    wrong("alice:$5$secret$secret".to_owned(), "no known form");
    wrong("alice:$2b$31$kJY83idwJa3fDItPXOHdl.uKwEQRHZLUYq7AhQQSUfsj9ljmkOP3W".to_owned(), "31");
    wrong(format!("zoe:{BCRYPT}"), "names a user who was named before");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("users.txt");
    let error = Users::read(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: cannot be read: ", path.display())), "{error}");
    std::fs::write(&path, b"alice:$2b$\nb\xff").unwrap();
    let error = Users::read(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{}:2: is no UTF-8 text", path.display()));
}

fn user(name: &str, hash: &str, is_superuser: bool) -> User {
    User { name: name.into(), hash: PasswordHash::parse(hash).unwrap(), is_superuser }
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("users.txt")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn mode(&self) -> u32 {
        self.path().metadata().unwrap().permissions().mode() & 0o777
    }

    /// Nothing is left beside the file.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn users_are_added_changed_and_removed() {
    let folder = Folder::new();
    let path = folder.path();
    let two = [user("alice", BCRYPT, false), user("a:b", BCRYPT, true)];
    let changes = edit::put(&path, &two, Present::Replace).unwrap();
    assert_eq!(changes, Changes { added: 2, changed: 0, kept: 0 });
    assert_eq!(folder.mode(), 0o600);
    assert_eq!(edit::list(&path).unwrap(), two);

    std::fs::write(&path, format!("# first\n{}\n# last", folder.text())).unwrap();
    let new = make(Recipe::Pbkdf2 { iterations: 1 }, &Secret::new(b"x")).unwrap();
    let changed = [User { hash: new.clone(), ..two[0].clone() }, user("carol", BCRYPT, false)];
    let changes = edit::put(&path, &changed, Present::Replace).unwrap();
    assert_eq!(changes, Changes { added: 1, changed: 1, kept: 0 });
    let expected = format!(
        "# first\nalice:{}\na:b:{BCRYPT}:superuser\n\n# last\ncarol:{BCRYPT}\n",
        new.expose()
    );
    assert_eq!(folder.text(), expected);

    let changes = edit::put(&path, &two, Present::Keep).unwrap();
    assert_eq!(changes, Changes { added: 0, changed: 0, kept: 2 });
    assert_eq!(folder.text(), expected);

    assert!(edit::remove(&path, "alice").unwrap());
    assert!(!edit::remove(&path, "alice").unwrap());
    let expected = format!("# first\na:b:{BCRYPT}:superuser\n\n# last\ncarol:{BCRYPT}\n");
    assert_eq!(folder.text(), expected);
    assert_eq!(folder.names(), ["users.txt"]);
}

#[test]
fn a_change_keeps_the_access_of_the_file_but_not_the_worlds() {
    let folder = Folder::new();
    std::fs::write(folder.path(), "").unwrap();
    for (before, after) in [(0o644, 0o640), (0o640, 0o640), (0o400, 0o600), (0o666, 0o660)] {
        let permissions = std::fs::Permissions::from_mode(before);
        std::fs::set_permissions(folder.path(), permissions).unwrap();
        let name = format!("{before:o}");
        edit::put(&folder.path(), &[user(&name, BCRYPT, false)], Present::Keep).unwrap();
        assert_eq!(folder.mode(), after);
    }
}

#[test]
fn a_symbolic_link_stays_one() {
    let folder = Folder::new();
    std::fs::write(folder.0.path().join("real"), "").unwrap();
    symlink("real", folder.path()).unwrap();
    edit::put(&folder.path(), &[user("alice", BCRYPT, false)], Present::Replace).unwrap();
    assert!(folder.path().is_symlink());
    assert_eq!(edit::list(&folder.0.path().join("real")).unwrap().len(), 1);
    assert_eq!(folder.names(), ["real", "users.txt"]);
}

#[test]
fn a_wrong_file_or_name_changes_nothing() {
    let folder = Folder::new();
    let path = folder.path();
    std::fs::write(&path, "alice:plain\n").unwrap();
    assert!(edit::put(&path, &[user("bob", BCRYPT, false)], Present::Keep).is_err());
    assert!(edit::remove(&path, "bob").is_err());
    assert_eq!(folder.text(), "alice:plain\n");

    std::fs::write(&path, "").unwrap();
    for name in ["", " a", "a ", "#a", "a\nb", "\u{7f}"] {
        let error = edit::put(&path, &[user(name, BCRYPT, false)], Present::Keep).unwrap_err();
        assert!(error.to_string().starts_with("name: the name "), "{error}");
    }
    assert_eq!(folder.text(), "");
    assert!(edit::remove(&folder.0.path().join("absent"), "a").is_err());
}

proptest! {
    #[test]
    fn any_name_that_is_allowed_comes_back(name in "[a-z:$# \\PC]{1,12}", is_superuser: bool) {
        prop_assume!(check_name(&name).is_ok());
        let folder = Folder::new();
        let one = [user(&name, BCRYPT, is_superuser)];
        edit::put(&folder.path(), &one, Present::Replace).unwrap();
        prop_assert_eq!(edit::list(&folder.path()).unwrap(), one);
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "([a-z:#$ ]{0,12}\\$2a\\$04\\$[a-zA-Z.:]{0,60}\n?){0,3}") {
        let _ = users(&text);
    }
}
