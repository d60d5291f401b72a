use std::path::Path;
use std::sync::Arc;

use core_model::{
    Action, Authorizer, CertificateFacts, ClientKey, GatewayId, Identity, Permissions, Principal,
    QoS, TransportFacts,
};
use plugin_access::{AclRule, AclRules, RuleError, RuleText, parse_rules, read_rules};
use proptest::prelude::*;

const PUBLISH: Action = Action::Publish { qos: QoS::AtMostOnce, retain: false };
const SUBSCRIBE: Action = Action::Subscribe { qos: QoS::AtMostOnce };

fn client(client_id: &str, user: Option<&str>) -> Principal {
    Principal {
        client: ClientKey { gateway: GatewayId(0), client_id: client_id.into() },
        gateway: "mqtt",
        listener: "public".into(),
        peer: Some("10.1.2.3:4000".parse().unwrap()),
        transport: None,
        identity: Identity { user: user.map(Box::from), ..Identity::default() },
    }
}

fn with_certificate(certificate: CertificateFacts) -> Principal {
    let certificate = Some(certificate);
    let facts = TransportFacts { certificate, ..TransportFacts::default() };
    Principal { transport: Some(Arc::new(facts)), ..client("c", None) }
}

fn rules(text: &str) -> AclRules {
    AclRules::new(parse_rules(Path::new("rules.toml"), text).unwrap())
}

fn rules_of(text: &str, who: &Principal) -> Arc<dyn Permissions> {
    rules(text).compile(who)
}

fn may(text: &str, who: &Principal, action: Action, topic: &str) -> bool {
    rules_of(text, who).permits(action, topic)
}

fn problem(text: &str) -> String {
    parse_rules(Path::new("rules.toml"), text).unwrap_err().to_string()
}

#[test]
fn no_rule_allows_everything_and_the_end_of_some_denies() {
    let open = AclRules::new(Vec::new()).compile(&client("c", None));
    assert!(open.permits(SUBSCRIBE, "$SYS/#") && open.permits(PUBLISH, "a"));
    let closed = AclRules::closed(Vec::new()).compile(&client("c", None));
    assert!(!closed.permits(SUBSCRIBE, "a") && !closed.permits(PUBLISH, "a"));
    let some = rules_of("[[acl]]\nallow = 'publish'\ntopics = 'a'", &client("c", None));
    assert!(some.permits(PUBLISH, "a"));
    assert!(!some.permits(PUBLISH, "b") && !some.permits(SUBSCRIBE, "a"));
}

#[test]
fn the_first_rule_that_decides_counts() {
    let text = "
        [[acl]]
        allow = 'publish'
        topics = 'a/open'
        [[acl]]
        deny = 'publish'
        topics = 'a/#'
        [[acl]]
        allow = 'all'
        topics = '#'";
    let rules = rules_of(text, &client("c", None));
    assert!(rules.permits(PUBLISH, "a/open") && rules.permits(PUBLISH, "b"));
    assert!(!rules.permits(PUBLISH, "a") && !rules.permits(PUBLISH, "a/closed"));
    assert!(rules.permits(SUBSCRIBE, "a/#"));
    assert!(!rules.permits(PUBLISH, "$SYS/x"));
}

#[test]
fn wildcards_do_not_reach_what_is_denied() {
    let text = "
        [[acl]]
        deny = 'subscribe'
        topics = ['plant/+/secret', '$SYS/#']
        [[acl]]
        allow = 'subscribe'
        topics = ['plant/#', '+/status', '$SYS/#']
        [[acl]]
        allow = 'publish'
        topics = '#'";
    let rules = rules_of(text, &client("c", None));
    for filter in ["plant/1/open", "plant/+/open", "plant", "x/status", "+/status"] {
        assert!(rules.permits(SUBSCRIBE, filter), "{filter}");
    }
    for filter in [
        "#",
        "+/#",
        "+",
        "plant/#",
        "plant/+/#",
        "plant/+/+",
        "plant/1/+",
        "+/1/secret",
        "+/+/secret",
        "plant/1/secret",
        "$SYS/#",
        "$SYS/a",
        "+/other",
    ] {
        assert!(!rules.permits(SUBSCRIBE, filter), "{filter}");
    }
    assert!(rules.permits(PUBLISH, "plant/1/secret"));
}

#[test]
fn all_does_not_name_what_begins_with_dollar() {
    let who = client("c", None);
    let text = "[[acl]]\nallow = 'all'\ntopics = '#'";
    assert!(may(text, &who, SUBSCRIBE, "#") && may(text, &who, SUBSCRIBE, "+/#"));
    assert!(!may(text, &who, SUBSCRIBE, "$SYS/#") && !may(text, &who, PUBLISH, "$SYS/a"));
    let text = "[[acl]]\nallow = 'all'\ntopics = ['#', '$SYS/broker/#']";
    assert!(may(text, &who, SUBSCRIBE, "$SYS/broker/+"));
    assert!(!may(text, &who, SUBSCRIBE, "$SYS/#"));
}

#[test]
fn eq_means_the_filter_and_not_what_it_matches() {
    let text = "
        [[acl]]
        deny = 'subscribe'
        topics = 'eq #'
        [[acl]]
        allow = 'all'
        topics = ['a/#', 'eq +/state', 'eq #']";
    let rules = rules_of(text, &client("c", None));
    assert!(rules.permits(SUBSCRIBE, "+/state") && rules.permits(SUBSCRIBE, "a/#"));
    assert!(!rules.permits(SUBSCRIBE, "#") && !rules.permits(SUBSCRIBE, "b/state"));
    assert!(!rules.permits(PUBLISH, "b/state"));
}

#[test]
fn placeholders_are_the_clients_own_values() {
    let text = "
        [[acl]]
        allow = 'all'
        topics = ['c/%c/#', 'u/%u', '%l/x', 'n/%cn', 'p/%cnode', '100%/%x']";
    let who = Principal { identity: Identity::of_user("eve"), ..client("dev-1", None) };
    let rules = rules_of(text, &who);
    for topic in ["c/dev-1/a", "u/eve", "public/x", "p/dev-1node", "100%/%x"] {
        assert!(rules.permits(PUBLISH, topic), "{topic}");
    }
    for topic in ["c/dev-2/a", "u/adam", "n/dev-1n", "n/", "p/", "u/%u"] {
        assert!(!rules.permits(PUBLISH, topic), "{topic}");
    }
    assert!(rules.permits(SUBSCRIBE, "c/dev-1/#") && !rules.permits(SUBSCRIBE, "c/#"));
    let named = with_certificate(CertificateFacts {
        common_name: Some("meter".into()),
        ..CertificateFacts::default()
    });
    assert!(may(text, &named, PUBLISH, "n/meter") && may(text, &named, PUBLISH, "p/cnode"));
    assert!(!may(text, &named, PUBLISH, "u/"));
}

#[test]
fn a_name_is_no_way_into_other_topics() {
    let text = "[[acl]]\nallow = 'all'\ntopics = ['%c/#', 'd/%c']";
    for evil in ["+", "#", "a/b", "a/#", "", "x\0", "a+b"] {
        let rules = rules_of(text, &client(evil, None));
        for topic in ["a/b", "a/b/c", "x", "d/x", "d/a/b", "+/x", "d/", "/x"] {
            assert!(!rules.permits(PUBLISH, topic), "{evil:?} {topic}");
            assert!(!rules.permits(SUBSCRIBE, topic), "{evil:?} {topic}");
        }
        for filter in ["#", "+/#", "d/+", "d/#"] {
            assert!(!rules.permits(SUBSCRIBE, filter), "{evil:?} {filter}");
        }
    }
    let system = rules_of(text, &client("$SYS", None));
    assert!(!system.permits(SUBSCRIBE, "$SYS/#") && system.permits(PUBLISH, "d/$SYS"));
    let percent = rules_of(text, &client("%u", Some("eve")));
    assert!(percent.permits(PUBLISH, "d/%u") && !percent.permits(PUBLISH, "d/eve"));
}

#[test]
fn a_name_is_no_way_out_of_a_denial() {
    let text = "
        [[acl]]
        deny = 'all'
        topics = 'own/%c/admin'
        [[acl]]
        allow = 'all'
        topics = 'own/#'";
    for (client_id, topic) in [("x", "own/x/admin"), ("x/y", "own/x/y/admin")] {
        assert!(!may(text, &client(client_id, None), PUBLISH, topic));
        assert!(!may(text, &client(client_id, None), SUBSCRIBE, "own/#"));
    }
    assert!(may(text, &client("x", None), PUBLISH, "own/y/admin"));
}

#[test]
fn qos_and_retain_narrow_a_rule() {
    let text = "
        [[acl]]
        deny = 'publish'
        retain = true
        topics = '#'
        [[acl]]
        allow = 'all'
        qos = [0, 1]
        retain = false
        topics = '#'";
    let rules = rules_of(text, &client("c", None));
    let publish = |qos, retain| rules.permits(Action::Publish { qos, retain }, "a");
    assert!(publish(QoS::AtLeastOnce, false));
    assert!(!publish(QoS::AtLeastOnce, true) && !publish(QoS::ExactlyOnce, false));
    assert!(rules.permits(SUBSCRIBE, "a"));
    assert!(!rules.permits(Action::Subscribe { qos: QoS::ExactlyOnce }, "a"));
}

#[test]
fn a_rule_concerns_whom_all_its_keys_mean() {
    let rule = |who: &str| format!("[[acl]]\nallow = 'publish'\ntopics = '#'\n{who}");
    let certificate = CertificateFacts {
        common_name: Some("meter-7".into()),
        subject: "CN=meter-7,O=City".into(),
        issuer: "CN=Root".into(),
        serial: "0a".into(),
        dns_names: vec!["a.lab".into(), "b.city".into()],
        ..CertificateFacts::default()
    };
    let eve = Principal { identity: Identity::of_user("eve"), ..with_certificate(certificate) };
    for who in [
        "user = 'eve'",
        "user = ['adam', 'e*e']",
        "client = 'c'",
        "client = '*'",
        "address = ['192.168.0.0/16', '10.0.0.0/8']",
        "address = '10.1.2.3'",
        "listener = 'pub*'\ngateway = 'mqtt'",
        "certificate.common_name = 'meter-*'",
        "certificate = { subject = '*,O=City', issuer = 'CN=Root', serial = '0a' }",
        "certificate.dns = '*.city'",
    ] {
        assert!(may(&rule(who), &eve, PUBLISH, "a"), "{who}");
    }
    for who in [
        "user = 'Eve'",
        "user = 'eve'\nclient = 'd'",
        "address = '10.1.2.4'",
        "listener = 'private'",
        "gateway = 'coap'",
        "certificate.common_name = 'meter'",
        "certificate = { common_name = 'meter-7', dns = 'c.*' }",
        "certificate.email = '*'",
        "certificate.fingerprint = '*'",
    ] {
        assert!(!may(&rule(who), &eve, PUBLISH, "a"), "{who}");
    }
    let nobody = Principal { peer: None, ..client("c", None) };
    for who in ["user = '*'", "address = '0.0.0.0/0'", "certificate.common_name = '*'"] {
        assert!(!may(&rule(who), &nobody, PUBLISH, "a"), "{who}");
    }
    let mapped = Principal { peer: Some("[::ffff:10.1.2.3]:1".parse().unwrap()), ..nobody };
    assert!(may(&rule("address = '10.0.0.0/8'"), &mapped, PUBLISH, "a"));
}

#[test]
fn rules_keep_their_order_however_they_are_found() {
    let text = "
        [[acl]]
        deny = 'all'
        user = ['eve', 'eve']
        topics = 'a'
        [[acl]]
        allow = 'all'
        topics = '#'
        [[acl]]
        deny = 'all'
        client = 'c'
        topics = '#'";
    let set = rules(text);
    assert_eq!(set.len(), 3);
    let eve = set.compile(&client("c", Some("eve")));
    assert!(!eve.permits(PUBLISH, "a") && eve.permits(PUBLISH, "b"));
    let adam = set.compile(&client("c", Some("adam")));
    assert!(adam.permits(PUBLISH, "a"));
}

#[test]
fn clients_with_the_same_rules_share_them() {
    let set =
        rules("[[acl]]\nallow = 'all'\ntopics = 'a'\n[[acl]]\ndeny='all'\nuser='eve'\ntopics='#'");
    let [a, b] = ["a", "b"].map(|id| set.compile(&client(id, None)));
    assert!(Arc::ptr_eq(&a, &b));
    assert!(!Arc::ptr_eq(&a, &set.compile(&client("a", Some("eve")))));
    let set = rules("[[acl]]\nallow = 'all'\ntopics = '%c'");
    let [a, b] = ["a", "b"].map(|id| set.compile(&client(id, None)));
    assert!(a.permits(PUBLISH, "a") && !a.permits(PUBLISH, "b") && b.permits(PUBLISH, "b"));
}

#[test]
fn a_wrong_rule_is_named() {
    let rule = |body: &str| problem(&format!("# rules\n[[acl]]\n{body}\n"));
    for (body, error) in [
        ("topics = 'a'", "rules.toml:2: needs either \"allow\" or \"deny\""),
        ("allow = 'all'\ndeny = 'all'\ntopics = 'a'", "needs either"),
        ("allow = 'read'\ntopics = 'a'", "allow: \"read\" is not one of"),
        ("deny = 'all'", "topics: none is given"),
        ("deny = 'all'\ntopics = 'a/#/b'", "topics: \"a/#/b\" has a wildcard"),
        ("deny = 'all'\ntopics = 'a/%c+'", "topics: \"a/%c+\" has a wildcard"),
        ("deny = 'all'\ntopics = '$share/g/a'", "topics: \"$share/g/a\" names a share"),
        ("deny = 'all'\ntopics = 'a'\nqos = 3", "qos: 3 is not 0, 1 or 2"),
        ("deny = 'all'\ntopics = 'a'\naddress = '10/8'", "address: \"10/8\" is not an address"),
    ] {
        assert!(rule(body).contains(error), "{}", rule(body));
    }
    for (body, line, word) in [
        ("deny = 'all'\ntopic = 'a'", "rules.toml:4: ", "topic"),
        ("deny = 'all'\ntopics = 'a'\nuser = []", "rules.toml:5: ", "at least one"),
        ("deny = 'all'\ntopics = 'a'\nqos = 'high'", "rules.toml:5: ", "u8"),
        ("deny = 'all'\ntopics = 'a'\ncertificate.cn = 'x'", "rules.toml:5: ", "cn"),
        ("deny = 'all'\ntopics = {}", "rules.toml:4: ", "at least one"),
        ("deny = ", "rules.toml:3: ", ""),
    ] {
        let error = rule(body);
        assert!(error.contains(line) && error.contains(word), "{error}");
    }
    let missing = read_rules(Path::new("/nowhere/rules.toml")).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/rules.toml"));
}

#[test]
fn rules_are_read_from_json_too() {
    let text = r#"{"allow": "publish", "topics": ["a"], "qos": 1}"#;
    let text: RuleText = serde_json::from_str(text).unwrap();
    assert_eq!((text.allow.len(), text.qos.as_slice()), (1, &[1][..]));
    assert!(AclRule::parse(&text).is_ok());
    assert!(serde_json::from_str::<RuleText>(r#"{"allow": 1, "topics": ["a"]}"#).is_err());
    assert_eq!(AclRule::parse(&RuleText::default()).unwrap_err(), RuleError::Effect);
}

/// Filters over a small alphabet.
fn filter() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "b", "$a", "+", "+"]);
    (prop::collection::vec(level, 1..4), any::<bool>())
        .prop_map(|(levels, all)| levels.join("/") + if all { "/#" } else { "" })
        .prop_filter("valid", |text| core_model::Filter::parse(text).is_ok())
}

proptest! {
    /// What a client may subscribe to never brings a topic that the rules deny for a subscription
    /// to that very topic.
    #[test]
    fn a_subscription_brings_only_what_is_allowed(
        list in prop::collection::vec((any::<bool>(), prop::collection::vec(filter(), 1..3)), 1..5),
        asked in filter(),
        topic in "[ab$]{0,2}(/[ab]{0,2}){0,3}",
    ) {
        let rule = |(allows, topics): &(bool, Vec<String>)| {
            let all = vec!["all".to_owned()];
            let (allow, deny) = if *allows { (all, Vec::new()) } else { (Vec::new(), all) };
            AclRule::parse(&RuleText { allow, deny, topics: topics.clone(), ..RuleText::default() })
        };
        let list = list.iter().map(rule).collect::<Result<_, _>>().unwrap();
        let rules = AclRules::new(list).compile(&client("c", None));
        prop_assume!(!topic.is_empty());
        if core_model::filter_matches(&asked, &topic) && rules.permits(SUBSCRIBE, &asked) {
            prop_assert!(rules.permits(SUBSCRIBE, &topic), "{asked} {topic}");
            prop_assert!(rules.permits(PUBLISH, &topic), "{asked} {topic}");
        }
    }
}
