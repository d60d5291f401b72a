//! Authentications, rules and what else decides on access in configuration files.

use std::path::Path;

use manifold::config::{Authentication, Config};

fn read(text: &str) -> Result<Config, String> {
    Config::read(Path::new("city.toml"), text, manifold::gateways())
        .map_err(|complaints| complaints.to_string())
}

fn complaints(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("no complaint about:\n{text}"),
        Err(complaints) => complaints,
    }
}

#[test]
fn the_type_of_an_authentication_decides_on_its_keys() {
    let config = read(
        "[authentication.devices]\ntype = \"file\"\npath = \"users.txt\"\nuser_from = \"client-id\"\n\
         [authentication.tokens]\ntype = \"jwt\"\nalgorithms = [\"RS256\", \"ES256\"]\n\
         jwks_url = \"https://example.org/keys\"\n\
         [authentication.tokens.claims]\naud = \"city\"\n",
    )
    .unwrap();
    let Some(Authentication::File(file)) = config.node.authentication.find("devices") else {
        panic!("a file of users");
    };
    assert_eq!(file.path.in_folder(config.folder()), Path::new("users.txt"));
    let Some(Authentication::Jwt(jwt)) = config.node.authentication.find("tokens") else {
        panic!("tokens");
    };
    assert_eq!((jwt.algorithms.len(), jwt.claims.list.len()), (2, 1));
    let wrong = complaints("[authentication.a]\ntype = \"file\"\npath = \"u\"\nalgorithms = []\n");
    assert!(wrong.contains("authentication.a.algorithms: unknown key"), "{wrong}");
    assert!(wrong.contains("allowed: path, user_from, unknown_user, type"), "{wrong}");
}

#[test]
fn an_authentication_without_a_known_type_is_told_which_there_are() {
    let all = "allowed: \"file\", \"certificate\", \"jwt\", \"http\", \"scram\", \"client-ids\"";
    let near = complaints("[authentication.a]\ntype = \"fiel\"\n");
    assert!(near.starts_with("city.toml:2:8: authentication.a.type: value not allowed"), "{near}");
    assert!(near.contains(all) && near.ends_with("did you mean \"file\"?"), "{near}");
    let none = complaints("[authentication.a]\npath = \"u\"\n");
    assert!(none.contains("authentication.a.type: this key is missing"), "{none}");
    assert!(none.contains(all), "{none}");
    let missing = complaints("[authentication.a]\ntype = \"scram\"\n");
    assert!(missing.contains("authentication.a.path: this key is missing"), "{missing}");
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let file = Path::new("/etc/manifold/city.toml");
    let text = "acl_file = \"rules/a.toml\"\n";
    let config = Config::read(file, text, manifold::gateways()).unwrap_or_else(|c| panic!("{c}"));
    let acl = config.node.acl_file.0.as_ref().unwrap().in_folder(config.folder());
    assert_eq!(acl, Path::new("/etc/manifold/rules/a.toml"));
}

#[test]
fn a_token_is_checked_with_exactly_one_kind_of_key() {
    let jwt = |rest: &str| {
        format!("[authentication.a]\ntype = \"jwt\"\nalgorithms = [\"HS256\"]\n{rest}")
    };
    let none = complaints(&jwt(""));
    assert!(none.contains("authentication.a: there is no key to check tokens with"), "{none}");
    assert!(none.contains("set one of secret_file, public_key_file, jwks_file, jwks_url"));
    let two = complaints(&jwt("secret_file = \"s\"\njwks_file = \"j\"\n"));
    assert!(two.contains("authentication.a.jwks_file: `secret_file` is set as well"), "{two}");
    assert!(read(&jwt("secret_file = \"s\"\n")).is_ok());
    let algorithm = complaints(&jwt("secret_file = \"s\"\n").replace("HS256", "none"));
    assert!(algorithm.contains("authentication.a.algorithms: value not allowed"), "{algorithm}");
}

#[test]
fn a_secret_in_the_file_is_refused() {
    let text = "[authentication.a]\ntype = \"http\"\nurl = \"http://127.0.0.1/\"\n\
                [authentication.a.headers]\nauthorization = \"Bearer 12\"\n";
    let complaint = complaints(text);
    assert!(complaint.contains("headers.authorization: a secret does not belong here"));
    assert!(complaint.contains("name that as `token_file`"), "{complaint}");
}

#[test]
fn rules_say_what_they_allow_or_deny() {
    let rule = |rest: &str| format!("[[acl]]\ntopics = \"city/#\"\n{rest}");
    assert!(read(&rule("allow = \"publish\"\n")).is_ok());
    let config =
        read(&rule("deny = [\"publish\", \"subscribe\"]\nqos = 2\nuser = [\"a\", \"b*\"]\n"));
    assert_eq!(config.unwrap().node.acl.0[0].user.0, ["a", "b*"]);
    let neither = complaints(&rule(""));
    assert!(neither.starts_with("city.toml:1:1: acl[0]: "), "{neither}");
    assert!(read(&rule("allow = \"all\"\ndeny = \"all\"\n")).is_err());
    let word = complaints(&rule("allow = \"pubish\"\n"));
    assert!(word.contains("acl[0].allow: value not allowed"), "{word}");
    assert!(word.contains("did you mean \"publish\"?"), "{word}");
    let qos = complaints(&rule("allow = \"all\"\nqos = [1, 3]\n"));
    assert!(qos.contains("acl[0].qos: value not allowed"), "{qos}");
    let topics = complaints("[[acl]]\nallow = \"all\"\n");
    assert!(topics.contains("acl[0].topics: this key is missing"), "{topics}");
    assert_eq!(topics.matches("city.toml:").count(), 1, "{topics}");
    let filter = complaints("[[acl]]\nallow = \"all\"\ntopics = \"a/#/b\"\n");
    assert!(filter.contains("acl[0]: ") && filter.contains("a/#/b"), "{filter}");
}

#[test]
fn a_rule_names_listeners_that_there_are() {
    let rule = |name: &str| {
        format!(
            "[[acl]]\nallow = \"all\"\ntopics = \"#\"\n[[acl]]\nallow = \"all\"\ntopics = \"#\"\n\
             listener = \"{name}\"\n[[listener]]\nname = \"west\"\n"
        )
    };
    assert!(read(&rule("west")).is_ok() && read(&rule("w*")).is_ok());
    let unknown = complaints(&rule("wset"));
    assert!(unknown.contains("acl[1].listener: there is no listener \"wset\""), "{unknown}");
    assert!(unknown.ends_with("did you mean \"west\"?"), "{unknown}");
}

#[test]
fn tables_and_lists_of_tables_are_not_mixed_up() {
    let acl = complaints("[acl]\nallow = \"all\"\n");
    assert!(acl.contains("acl: not a list of tables"), "{acl}");
    assert!(acl.contains("write [[acl]], once for each"), "{acl}");
    let authentication = complaints("[[authentication]]\ntype = \"file\"\n");
    assert!(authentication.contains("write [authentication.NAME], once for each"));
    let flapping = complaints("flapping = true\n");
    assert!(flapping.contains("flapping: not a table"), "{flapping}");
}

#[test]
fn flapping_is_looked_for_only_where_its_table_is() {
    assert!(read("").unwrap().node.flapping.0.is_none());
    let config = read("[flapping]\nban_time = \"never\"\n").unwrap();
    let flapping = config.node.flapping.0.unwrap();
    assert_eq!((flapping.max_disconnects, flapping.ban_time.0), (15, None));
}

#[test]
fn monitoring_off_this_machine_needs_a_token() {
    assert!(read("").unwrap().node.http.0.is_none());
    assert!(read("[http]\n").unwrap().node.http.0.is_some());
    let open = complaints("[http]\nbind = \"0.0.0.0:9883\"\n");
    assert!(open.starts_with("city.toml:2:8: http.bind: without a token"), "{open}");
    assert!(read("[http]\nbind = \"0.0.0.0:9883\"\ntoken_file = \"t\"\n").is_ok());
}
