//! Who is let in, and what he may subscribe to.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use core_model::{
    Action, Authenticator, Authorizer, Evidence, Identity, Lookup, Permissions, Plugins, Principal,
    Reason, Verdict, filter_matches,
};

use crate::trace::Log;

/// Says what credentials are worth, at once or by a look-up; the first one of the chain does not
/// know who is wrong.
struct Doorkeeper {
    knows_all: bool,
}

impl Authenticator for Doorkeeper {
    fn authenticate(&self, _client_id: &str, evidence: &Evidence) -> Verdict {
        let verdict = match evidence.user.as_deref() {
            Some("right") => Verdict::Accept(Identity::of_user("right")),
            _ if self.knows_all => Verdict::Refuse(Reason::BAD_CREDENTIALS),
            _ => Verdict::Unknown,
        };
        match &evidence.password {
            Some(_) => Verdict::Later(Box::pin(std::future::ready(verdict))),
            None => verdict,
        }
    }
}

/// The verdict of a look-up of these authenticators.
#[must_use]
pub fn verdict_of(mut lookup: Lookup) -> Verdict {
    match Pin::as_mut(&mut lookup).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => unreachable!("no look-up of the simulation waits for anything"),
    }
}

/// Forbids to subscribe to some topics, and so to every filter that matches one of them.
struct Forbidding(Vec<&'static str>);

impl Authorizer for Forbidding {
    fn compile(&self, _client: &Principal) -> Arc<dyn Permissions> {
        Arc::new(Forbidding(self.0.clone()))
    }
}

impl Permissions for Forbidding {
    fn permits(&self, action: Action, topic: &str) -> bool {
        let forbidden = || self.0.iter().any(|forbidden| filter_matches(topic, forbidden));
        !matches!(action, Action::Subscribe { .. }) || !forbidden()
    }
}

/// The plug-ins of a guarded node on which nobody may subscribe to these topics.
#[must_use]
pub fn guards(log: &Log, forbidden: &[&'static str]) -> Plugins {
    let rules = || Arc::new(Forbidding(forbidden.to_vec())) as Arc<dyn Authorizer>;
    Plugins {
        authenticators: vec![
            Arc::new(Doorkeeper { knows_all: false }),
            Arc::new(Doorkeeper { knows_all: true }),
        ],
        authorizer: (!forbidden.is_empty()).then(rules),
        observers: vec![Arc::new(log.clone())],
        ..Plugins::default()
    }
}
