//! Who may connect and what it may do: the plug-ins of the core.

use std::sync::Arc;

use core_model::{Authorizer, Observer, Plugins};
use plugin_access::{
    AclRule, AclRules, BanList, Flapping, FlappingConfig, HashingCounters, Nobody, read_rules,
};

use super::Building;
use super::authentication::{self, Authenticators};
use crate::config::{Config, Listener};
use crate::operate::EventLog;

/// Bans at once.
const BANS_MAX: usize = 100_000;
/// The file of bans in the data directory.
const BANS_FILE: &str = "bans.json";

/// The plug-ins as they are made, for those who ask them more than the core does.
pub(super) struct Access {
    /// Who is kept out.
    pub(super) bans: Arc<BanList>,
    authenticators: Authenticators,
    rules: Option<Arc<dyn Authorizer>>,
    flapping: Option<Arc<Flapping>>,
    flapping_config: Option<FlappingConfig>,
    events: Arc<EventLog>,
}

/// The plug-ins; nothing if one of them is at fault.
pub(super) fn build(building: &mut Building<'_>, previous: Option<&Access>) -> Option<Access> {
    let authenticators =
        authentication::build(building, previous.map(|previous| &previous.authenticators));
    let rules = rules(building);
    let bans = match previous {
        Some(previous) => Arc::clone(&previous.bans),
        None => {
            let file = building.data_dir.map(|folder| folder.join(BANS_FILE));
            Arc::new(building.keep("data_dir", BanList::open(file, BANS_MAX))?)
        }
    };
    let flapping_config = flapping_config(building.config);
    let flapping = match previous {
        // It goes on counting where it was.
        Some(previous) if previous.flapping_config == flapping_config => previous.flapping.clone(),
        _ => flapping_config.clone().map(|c| Arc::new(Flapping::new(c, Arc::clone(&bans)))),
    };
    let events = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.events));
    let (authenticators, rules) = (authenticators?, rules?);
    Some(Access { bans, authenticators, rules, flapping, flapping_config, events })
}

/// The rules on topics; `Some(None)` if there are none.
fn rules(building: &mut Building<'_>) -> Option<Option<Arc<dyn Authorizer>>> {
    let node = &building.config.node;
    let mut rules = Vec::new();
    for (index, rule) in node.acl.0.iter().enumerate() {
        rules.push(building.keep(&format!("acl[{index}]"), AclRule::parse(&rule.text()))?);
    }
    if let Some(file) = &node.acl_file.0 {
        let file = file.in_folder(building.config.folder());
        rules.extend(building.keep("acl_file", read_rules(&file))?);
    }
    if rules.is_empty() && node.acl_file.0.is_none() {
        return Some(None);
    }
    // A file without a rule allows nothing: it may have been cut off.
    Some(Some(Arc::new(AclRules::closed(rules))))
}

fn flapping_config(config: &Config) -> Option<FlappingConfig> {
    let own = config.node.flapping.0.as_ref()?;
    Some(FlappingConfig {
        disconnects_max: own.max_disconnects,
        window_ms: own.window.ms,
        ban_ms: own.ban_time.0.map(|time| time.ms),
        ..FlappingConfig::default()
    })
}

impl Access {
    /// What hashing passwords has come to.
    pub(super) fn hashing_counters(&self) -> HashingCounters {
        self.authenticators.hashing_counters()
    }

    /// The plug-ins as the core takes them.
    pub(super) fn plugins(&self, config: &Config) -> Plugins {
        let mut observers: Vec<Arc<dyn Observer>> = vec![self.events.clone()];
        observers.extend(self.flapping.clone().map(|flapping| flapping as Arc<dyn Observer>));
        let chain = |listener: &Listener| {
            (listener.table.name.as_str().into(), self.authenticators.chain(listener))
        };
        Plugins {
            // A listener that is gone has no chain any more, and nobody comes in by it.
            authenticators: vec![Arc::new(Nobody)],
            chains: config.listeners.iter().map(chain).collect(),
            gates: vec![self.bans.clone()],
            authorizer: self.rules.clone(),
            observers,
            ..Plugins::default()
        }
    }
}
