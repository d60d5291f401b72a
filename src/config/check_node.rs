use plugin_access::{CertificateText, RuleText};

use super::{
    AclAction, AclRule, Authentication, ClientAuth, HttpUsers, JwtUsers, Listener, ListenerTable,
    Node, ProxyProtocol,
};
use crate::settings::{OneOrMore, TableReader, nearest, quoted};

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
        match authentication {
            Authentication::Jwt(jwt) => check_jwt(top, name, jwt),
            Authentication::ClientIds(list) if list.ids.0.is_empty() && list.path.0.is_none() => {
                let place = top.place_below(&["authentication", name]);
                let hint = "name `ids`, or a file in `path`";
                top.complain(&place, "the list would refuse everybody", None, Some(hint.into()));
            }
            Authentication::Http(http) => check_http(top, name, http),
            Authentication::ClientIds(_)
            | Authentication::File(_)
            | Authentication::Certificate(_)
            | Authentication::Scram(_) => {}
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

/// A secret must not stand in the file.
fn check_http(top: &mut TableReader<'_, '_>, name: &str, http: &HttpUsers) {
    for (header, _) in &http.headers.list {
        if header.eq_ignore_ascii_case("authorization") {
            let place = top.place_below(&["authentication", name, "headers", header]);
            let hint = "write the token to a file and name that as `token_file`";
            top.complain(&place, "a secret does not belong here", None, Some(hint.into()));
        }
    }
}

fn check_rule(top: &mut TableReader<'_, '_>, index: &str, rule: &AclRule, listeners: &[Listener]) {
    // Without topics the key was complained about already.
    if let Err(error) = plugin_access::AclRule::parse(&rule.text())
        && !rule.topics.0.is_empty()
    {
        let place = top.place_below(&["acl", index]);
        top.complain(&place, &error.to_string(), None, None);
    }
    let names: Vec<_> = listeners.iter().map(|listener| listener.table.name.as_str()).collect();
    let is_unknown = |name: &&String| !name.contains('*') && !names.contains(&name.as_str());
    for name in rule.listener.0.iter().filter(is_unknown) {
        let near = nearest(name, names.iter().copied());
        let hint = near.map(|near| format!("did you mean \"{near}\"?"));
        let place = top.place_below(&["acl", index, "listener"]);
        let what = format!("there is no listener \"{name}\"");
        top.complain(&place, &what, Some(quoted(&names)), hint);
    }
}

impl AclRule {
    /// The rule as it would stand in a file of rules.
    pub(crate) fn text(&self) -> RuleText {
        let actions = |list: &OneOrMore<AclAction>| {
            list.0.iter().map(|action| action.word().to_owned()).collect()
        };
        let own = &self.certificate;
        RuleText {
            allow: actions(&self.allow),
            deny: actions(&self.deny),
            qos: self.qos.0.clone(),
            retain: self.retain.0,
            user: self.user.0.clone(),
            client: self.client.0.clone(),
            address: self.address.0.iter().map(|net| net.0.to_string()).collect(),
            listener: self.listener.0.clone(),
            gateway: self.gateway.0.clone(),
            certificate: CertificateText {
                common_name: own.common_name.0.clone(),
                subject: own.subject.0.clone(),
                issuer: own.issuer.0.clone(),
                serial: own.serial.0.clone(),
                fingerprint: own.fingerprint.0.clone(),
                dns: own.dns.0.clone(),
                email: own.email.0.clone(),
                uri: own.uri.0.clone(),
            },
            topics: self.topics.0.clone(),
        }
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
        let is_undecided = table.authentication.0.is_empty() && table.allow_anonymous.0.is_none();
        if is_undecided && table.proxy_protocol != ProxyProtocol::Off {
            warnings.push(format!(
                "listener {}: whoever its proxies pass on is let in, since it has no \
                 authentication; write `allow_anonymous = true` if that is meant",
                table.name
            ));
        }
        if let Some(name) = useless_certificate_check(node, table) {
            warnings.push(format!(
                "listener {}: authentication.{name} knows nobody, since clients are not asked for a \
                 certificate and no proxy reports one",
                table.name
            ));
        }
    }
    warnings
}

/// An authentication by certificates where there are none.
fn useless_certificate_check<'t>(node: &Node, table: &'t ListenerTable) -> Option<&'t str> {
    let asks = table.tls.0.as_ref().is_some_and(|tls| tls.client_auth != ClientAuth::None);
    if asks || table.proxy_protocol != ProxyProtocol::Off {
        return None;
    }
    let mut names = table.authentication.0.iter();
    let by_certificate = |name: &&String| {
        matches!(node.authentication.find(name), Some(Authentication::Certificate(_)))
    };
    names.find(by_certificate).map(String::as_str)
}
