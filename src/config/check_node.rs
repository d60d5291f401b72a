use core_model::Filter;

use super::{AclRule, Authentication, JwtUsers, Listener, Node};
use crate::settings::{TableReader, nearest, quoted};

/// Complains about values beside the listeners that do not go together.
pub(super) fn check_node(top: &mut TableReader<'_, '_>, node: &Node, listeners: &[Listener]) {
    if let Some(http) = &node.http.0
        && !http.bind.ip().is_loopback()
        && http.token_file.0.is_none()
    {
        let place = top.place_below(&["http", "bind"]);
        let hint = "name a `token_file`, or bind it to a loopback address";
        let what = "without a token everybody who reaches this address would be served";
        top.complain(&place, what, None, Some(hint.into()));
    }
    for (name, authentication) in &node.authentication.list {
        if let Authentication::Jwt(jwt) = authentication {
            check_jwt(top, name, jwt);
        }
    }
    for (index, rule) in node.acl.0.iter().enumerate() {
        check_rule(top, &index.to_string(), rule, listeners);
    }
}

/// A token is checked with one kind of key.
fn check_jwt(top: &mut TableReader<'_, '_>, name: &str, jwt: &JwtUsers) {
    let keys = [
        ("secret_file", jwt.secret_file.0.is_some()),
        ("public_key_file", jwt.public_key_file.0.is_some()),
        ("jwks_file", jwt.jwks_file.0.is_some()),
        ("jwks_url", jwt.jwks_url.0.is_some()),
    ];
    let mut set = keys.iter().filter(|(_, is_set)| *is_set).map(|(key, _)| *key);
    let all = keys.map(|(key, _)| key).join(", ");
    match (set.next(), set.next()) {
        (None, _) => {
            let place = top.place_below(&["authentication", name]);
            let hint = format!("set one of {all}");
            top.complain(&place, "there is no key to check tokens with", None, Some(hint));
        }
        (Some(first), Some(second)) => {
            let place = top.place_below(&["authentication", name, second]);
            let hint = format!("set only one of {all}");
            top.complain(&place, &format!("`{first}` is set as well"), None, Some(hint));
        }
        (Some(_), None) => {}
    }
}

fn check_rule(top: &mut TableReader<'_, '_>, index: &str, rule: &AclRule, listeners: &[Listener]) {
    let place = |key| ["acl", index, key];
    let hint =
        || Some("write either `allow` or `deny`, with what: \"publish\", \"subscribe\"".into());
    match (rule.allow.0.is_empty(), rule.deny.0.is_empty()) {
        (true, true) => {
            let place = top.place_below(&["acl", index]);
            top.complain(&place, "the rule allows and denies nothing", None, hint());
        }
        (false, false) => {
            let place = top.place_below(&place("deny"));
            top.complain(&place, "the rule has `allow` as well", None, hint());
        }
        (true, false) | (false, true) => {}
    }
    for topic in rule.topics.iter() {
        if Filter::parse(topic).is_err() {
            let place = top.place_below(&place("topics"));
            top.complain(&place, &format!("\"{topic}\" is not a topic filter"), None, None);
        }
    }
    let names: Vec<_> = listeners.iter().map(|listener| listener.table.name.as_str()).collect();
    for name in rule.listener.0.iter().filter(|name| !names.contains(&name.as_str())) {
        let near = nearest(name, names.iter().copied());
        let hint = near.map(|near| format!("did you mean \"{near}\"?"));
        let place = top.place_below(&place("listener"));
        let what = format!("there is no listener \"{name}\"");
        top.complain(&place, &what, Some(quoted(&names)), hint);
    }
}

/// What is allowed but most likely not meant.
pub(super) fn warnings(node: &Node, listeners: &[Listener]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, _) in &node.authentication.list {
        if !listeners.iter().any(|listener| listener.table.authentication.0.contains(name)) {
            warnings.push(format!("authentication.{name}: no listener uses it"));
        }
    }
    for (name, _) in &node.zone.list {
        if !listeners.iter().any(|listener| listener.table.zone.0.as_ref() == Some(name)) {
            warnings.push(format!("zone.{name}: no listener uses it"));
        }
    }
    for listener in listeners {
        let table = &listener.table;
        if table.authentication.0.is_empty() && !listener.allows_anonymous() {
            warnings.push(format!(
                "listener {}: nobody is let in, since it has no authentication and does not allow \
                 anonymous clients",
                table.name
            ));
        }
    }
    warnings
}
