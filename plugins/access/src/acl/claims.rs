use serde::Deserialize;
use serde_json::Value;

use super::AclRules;
use super::rule::{AclRule, RuleError, RuleText, one_or_more};

/// Reads the rules that came with somebody's credentials: a list of rules as in `[[acl]]` or in the
/// form of EMQX (`permission`, `action`, `topic`), or one object with the topics by action (`pub`,
/// `sub`, `all`). What they do not allow is denied.
///
/// # Errors
/// The first thing that is wrong with them.
pub(crate) fn rules_of(value: &Value) -> Result<AclRules, String> {
    let rules = match value {
        Value::Array(list) => list.iter().map(rule).collect::<Result<_, _>>()?,
        Value::Object(_) => {
            let topics = TopicsByAction::deserialize(value).map_err(|error| error.to_string())?;
            topics.rules().map_err(|error| error.to_string())?
        }
        _ => return Err("neither a list of rules nor topics by action".into()),
    };
    Ok(AclRules::closed(rules))
}

fn rule(value: &Value) -> Result<AclRule, String> {
    let text = match value.get("permission") {
        Some(_) => EmqxRule::deserialize(value).map(RuleText::from),
        None => RuleText::deserialize(value),
    };
    let text = text.map_err(|error| error.to_string())?;
    AclRule::parse(&text).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct TopicsByAction {
    #[serde(rename = "pub")]
    publish: Vec<String>,
    #[serde(rename = "sub")]
    subscribe: Vec<String>,
    all: Vec<String>,
}

impl TopicsByAction {
    fn rules(self) -> Result<Vec<AclRule>, RuleError> {
        let lists = [("publish", self.publish), ("subscribe", self.subscribe), ("all", self.all)];
        let rule = |(action, topics): (&str, Vec<String>)| {
            AclRule::parse(&RuleText {
                allow: vec![action.into()],
                topics: topics.iter().map(|topic| own_placeholders(topic)).collect(),
                ..RuleText::default()
            })
        };
        lists.into_iter().filter(|(_, topics)| !topics.is_empty()).map(rule).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmqxRule {
    permission: Permission,
    #[serde(default = "EmqxRule::all")]
    action: String,
    #[serde(default, deserialize_with = "one_or_more", alias = "topics")]
    topic: Vec<String>,
    #[serde(default, deserialize_with = "one_or_more")]
    qos: Vec<u8>,
    #[serde(default)]
    retain: Option<Retain>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Permission {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Retain {
    Flag(bool),
    Word(RetainWord),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RetainWord {
    All,
    True,
    False,
}

impl EmqxRule {
    fn all() -> String {
        "all".into()
    }
}

impl From<EmqxRule> for RuleText {
    fn from(rule: EmqxRule) -> Self {
        let action = vec![rule.action];
        let (allow, deny) = match rule.permission {
            Permission::Allow => (action, Vec::new()),
            Permission::Deny => (Vec::new(), action),
        };
        let retain = match rule.retain {
            None | Some(Retain::Word(RetainWord::All)) => None,
            Some(Retain::Flag(flag)) => Some(flag),
            Some(Retain::Word(word)) => Some(matches!(word, RetainWord::True)),
        };
        let topics = rule.topic.iter().map(|topic| own_placeholders(topic)).collect();
        RuleText { allow, deny, qos: rule.qos, retain, topics, ..RuleText::default() }
    }
}

/// EMQX's placeholders are ours by other names.
fn own_placeholders(topic: &str) -> String {
    topic
        .replace("${clientid}", "%c")
        .replace("${username}", "%u")
        .replace("${cert_common_name}", "%cn")
}

#[cfg(test)]
mod tests {
    use core_model::{Action, Authorizer, ClientKey, Identity, Principal, QoS};
    use serde_json::json;

    use super::*;

    fn may(rules: Value, publish: bool, topic: &str) -> bool {
        let client = Principal {
            client: ClientKey { client_id: "c".into(), gateway: Default::default() },
            gateway: "mqtt",
            listener: "l".into(),
            peer: None,
            transport: None,
            identity: Identity::of_user("u"),
        };
        let qos = QoS::AtMostOnce;
        let action = match publish {
            true => Action::Publish { qos, retain: false },
            false => Action::Subscribe { qos },
        };
        rules_of(&rules).unwrap().compile(&client).permits(action, topic)
    }

    #[test]
    fn all_forms_are_understood() {
        let own = json!([
            {"deny": "publish", "topics": "a/b"},
            {"allow": ["all"], "topics": ["a/#"], "user": "u"},
        ]);
        assert!(may(own.clone(), true, "a/c") && !may(own, true, "a/b"));
        let list = json!([
            {"permission": "deny", "action": "publish", "topic": "a/b", "retain": "all"},
            {"permission": "allow", "topics": ["a/#", "${clientid}/${username}"], "qos": 0},
        ]);
        assert!(may(list.clone(), true, "a/c") && may(list.clone(), false, "c/u"));
        assert!(!may(list, true, "a/b"));
        let topics = json!({"pub": ["p/%c"], "sub": ["s/+"], "all": ["${clientid}"]});
        assert!(may(topics.clone(), true, "p/c") && !may(topics.clone(), false, "p/c"));
        assert!(may(topics.clone(), false, "s/+") && may(topics.clone(), true, "c"));
        assert!(!may(topics, true, "s/x"));
        assert!(!may(json!([]), true, "a") && !may(json!({}), false, "a"));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for value in [
            json!("all"),
            json!(null),
            json!([1]),
            json!([[]]),
            json!([{}]),
            json!([{"allow": "all"}]),
            json!([{"allow": "all", "topics": []}]),
            json!([{"allow": "all", "topics": "a", "if": 1}]),
            json!([{"allow": "all", "topics": {"a": 1}}]),
            json!([{"permission": "maybe", "topic": "a"}]),
            json!([{"permission": "allow"}]),
            json!([{"permission": "allow", "topic": "a", "ipaddr": "10.0.0.1"}]),
            json!({"pub": "a"}),
            json!({"pub": ["a/#/b"]}),
            json!({"publish": ["a"]}),
        ] {
            assert!(rules_of(&value).is_err(), "{value}");
        }
    }
}
