use std::sync::Arc;

use core_model::{Action, Permissions, Principal};

use super::rule::AclRule;

/// The rules that concern some clients, in order; shared by all of those.
#[derive(Debug)]
pub(crate) struct RuleList {
    rules: Box<[Arc<AclRule>]>,
    /// What is said when no rule decides.
    otherwise: bool,
}

/// The rules of one client.
#[derive(Debug)]
pub(crate) struct ClientRules {
    list: Arc<RuleList>,
    /// The filters with placeholders in the order of the rules, filled in for this client; `None`
    /// for one that does not count for him.
    filled: Box<[Option<Box<str>>]>,
}

impl RuleList {
    pub(crate) fn new(rules: Box<[Arc<AclRule>]>, otherwise: bool) -> Self {
        RuleList { rules, otherwise }
    }
}

impl ClientRules {
    pub(crate) fn new(list: Arc<RuleList>, client: &Principal) -> Self {
        let mut filled = Vec::new();
        for rule in &list.rules {
            let with_placeholder = rule.topics.iter().filter(|topic| topic.has_placeholder);
            filled.extend(with_placeholder.map(|topic| topic.fill(client, rule.allows)));
        }
        ClientRules { list, filled: filled.into() }
    }

    /// The same rules for another client.
    pub(crate) fn for_client(&self, client: &Principal) -> Self {
        Self::new(self.list.clone(), client)
    }

    /// Whether it is the same for all clients with these rules.
    pub(crate) fn is_common(&self) -> bool {
        self.filled.is_empty()
    }
}

impl Permissions for ClientRules {
    fn permits(&self, action: Action, topic: &str) -> bool {
        let mut filled = self.filled.iter();
        for rule in &self.list.rules {
            let concerns = rule.concerns(action);
            for written in &rule.topics {
                let own = match written.has_placeholder {
                    true => filled.next().and_then(Option::as_deref),
                    false => Some(&*written.text),
                };
                let Some(own) = own.filter(|_| concerns) else { continue };
                if rule.decides(action, written, own, topic) {
                    return rule.allows;
                }
            }
        }
        self.list.otherwise
    }
}
