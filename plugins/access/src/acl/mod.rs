//! Rules on topics: who may publish and subscribe where.
//!
//! The first rule that decides counts. A publish is decided by the first rule with a filter that
//! matches its topic. A subscription is allowed as a whole: by the first rule that allows every
//! topic of its filter, unless a rule before that denies one of them. So `#` does not reach what is
//! denied, and topics that begin with `$` must be named.

mod claims;
mod compiled;
mod file;
mod filter;
mod pattern;
mod rule;
mod topic;
mod who;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use core_model::{Authorizer, Permissions, Principal};

pub(crate) use self::claims::rules_of;
pub use self::file::{parse_rules, read_rules};
pub(crate) use self::pattern::Pattern;
pub use self::rule::{AclRule, CertificateText, RuleError, RuleText};

use self::compiled::{ClientRules, RuleList};

/// Different choices of rules that are remembered to be shared between clients.
const LISTS_MAX: usize = 1_024;

/// Places in the list of rules, ascending.
type Places = Box<[u32]>;

/// The rules of a node, or of one client's credentials.
#[derive(Debug)]
pub struct AclRules {
    rules: Box<[Arc<AclRule>]>,
    otherwise: bool,
    index: Index,
    lists: Mutex<HashMap<Places, Arc<ClientRules>>>,
}

/// Where the rules are that may concern a client, so that a file with a rule for each of many users
/// costs a connect no walk through all of them.
#[derive(Debug, Default)]
struct Index {
    by_user: HashMap<Box<str>, Vec<u32>>,
    by_client: HashMap<Box<str>, Vec<u32>>,
    others: Vec<u32>,
}

impl AclRules {
    /// The rules of a node. With no rule at all everything is allowed; with rules, what none of
    /// them allows is denied.
    #[must_use]
    pub fn new(rules: Vec<AclRule>) -> Self {
        let otherwise = rules.is_empty();
        Self::with_end(rules, otherwise)
    }

    /// Rules that deny what none of them allows, even if there is none.
    #[must_use]
    pub fn closed(rules: Vec<AclRule>) -> Self {
        Self::with_end(rules, false)
    }

    fn with_end(rules: Vec<AclRule>, otherwise: bool) -> Self {
        let rules: Box<[Arc<AclRule>]> = rules.into_iter().map(Arc::new).collect();
        AclRules { otherwise, index: Index::of(&rules), rules, lists: Mutex::default() }
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Authorizer for AclRules {
    fn compile(&self, client: &Principal) -> Arc<dyn Permissions> {
        let mut places = self.index.candidates(client);
        let rule = |place: &u32| self.rules.get(*place as usize);
        places.retain(|place| rule(place).is_some_and(|rule| rule.who.is(client)));
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lists.get(places.as_slice()) {
            let known = known.clone();
            return if known.is_common() { known } else { Arc::new(known.for_client(client)) };
        }
        let chosen = places.iter().filter_map(rule).cloned().collect();
        let list = Arc::new(RuleList::new(chosen, self.otherwise));
        let made = Arc::new(ClientRules::new(list, client));
        if lists.len() < LISTS_MAX {
            lists.insert(places.into(), made.clone());
        }
        made
    }
}

impl Index {
    fn of(rules: &[Arc<AclRule>]) -> Self {
        let mut index = Index::default();
        for (rule, place) in rules.iter().zip(0..) {
            let (map, names) = match (rule.who.clients(), rule.who.users()) {
                (Some(clients), _) => (&mut index.by_client, clients),
                (None, Some(users)) => (&mut index.by_user, users),
                (None, None) => {
                    index.others.push(place);
                    continue;
                }
            };
            for name in names {
                let places = map.entry(name.into()).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        index
    }

    /// Ascending, each once.
    fn candidates(&self, client: &Principal) -> Vec<u32> {
        let by_user = client.identity.user.as_deref().and_then(|user| self.by_user.get(user));
        let by_client = self.by_client.get(&*client.client.client_id);
        let mut places = self.others.clone();
        places.extend(by_user.into_iter().chain(by_client).flatten());
        places.sort_unstable();
        places
    }
}
