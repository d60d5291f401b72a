//! Plug-ins of the tests.

use std::sync::{Arc, Mutex};

use core_model::{
    Action, Authenticator, Authorizer, BrokerEvent, ClientKey, Evidence, Exchange, Gate, Identity,
    Interceptor, Message, Observer, Permissions, Principal, Reason, Step, Timestamp, Verdict,
};

/// Knows the users whose name begins with its prefix, and the password `good`.
pub(crate) struct Users(pub(crate) &'static str);

impl Authenticator for Users {
    fn authenticate(&self, _client_id: &str, evidence: &Evidence) -> Verdict {
        let (Some(user), Some(password)) = (&evidence.user, &evidence.password) else {
            return Verdict::Unknown;
        };
        if !user.starts_with(self.0) {
            return Verdict::Unknown;
        }
        match password.expose() {
            b"good" => Verdict::Accept(Identity::of_user(user)),
            b"banned" => Verdict::Refuse(Reason::BANNED),
            _ => Verdict::Refuse(Reason::BAD_CREDENTIALS),
        }
    }
}

/// Knows the method `rounds`: the client says `hello`, is asked `number?`, and must say `42`.
pub(crate) struct Rounds;

struct Round(u8);

impl Authenticator for Rounds {
    fn authenticate(&self, _client_id: &str, _evidence: &Evidence) -> Verdict {
        Verdict::Unknown
    }

    fn begin(
        &self,
        method: &str,
        client_id: &str,
        _evidence: &Evidence,
    ) -> Option<Box<dyn Exchange>> {
        (method == "rounds" && client_id != "stranger").then(|| Box::new(Round(0)) as _)
    }
}

impl Exchange for Round {
    fn step(&mut self, data: &[u8]) -> Step {
        self.0 += 1;
        match (self.0, data) {
            (1, b"hello") => Step::Continue(b"number?".to_vec()),
            (2, b"42") => {
                let identity = Identity::of_user("proved");
                Step::Accept(identity, Some(b"welcome".to_vec()))
            }
            _ => Step::Refuse(Reason::NOT_AUTHORIZED),
        }
    }
}

/// Forbids topics that contain `secret`, whoever asks; remembers what it was asked.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

struct Asking {
    client: Principal,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Authorizer for Rules {
    fn compile(&self, client: &Principal) -> Arc<dyn Permissions> {
        Arc::new(Asking { client: client.clone(), asked: Arc::clone(&self.asked) })
    }
}

impl Permissions for Asking {
    fn permits(&self, action: Action, topic: &str) -> bool {
        let who = self.client.identity.user.as_deref().unwrap_or("-");
        let action = match action {
            Action::Publish { qos, retain: false } => format!("publish {}", qos as u8),
            Action::Publish { qos, retain: true } => format!("retain {}", qos as u8),
            Action::Subscribe { qos } => format!("subscribe {}", qos as u8),
        };
        let asked = format!("{}/{who} {action} {topic}", self.client.client.client_id);
        self.asked.lock().unwrap().push(asked);
        !topic.contains("secret")
    }
}

impl Rules {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Drops what begins with `drop`, and changes what begins with `change`.
pub(crate) struct Filtering;

impl Interceptor for Filtering {
    fn on_publish(
        &self,
        client: Option<&ClientKey>,
        message: &mut Message<'_>,
    ) -> Result<(), Reason> {
        assert!(client.is_some());
        if message.topic.starts_with("drop") {
            return Err(Reason::PAYLOAD_FORMAT_INVALID);
        }
        if message.topic.starts_with("change") {
            message.topic = "changed";
            message.payload = b"changed";
            message.retain = false;
        }
        Ok(())
    }
}

/// Adds `!` to topics, to tell that it came after another.
pub(crate) struct Second;

impl Interceptor for Second {
    fn on_publish(
        &self,
        _client: Option<&ClientKey>,
        message: &mut Message<'_>,
    ) -> Result<(), Reason> {
        if message.topic == "changed" {
            message.payload = b"twice";
        }
        Ok(())
    }
}

/// Writes down what it hears.
#[derive(Default)]
pub(crate) struct Ear {
    heard: Mutex<Vec<String>>,
}

impl Observer for Ear {
    fn on_event(&self, _now: Timestamp, event: &BrokerEvent<'_>) {
        let text = match event {
            BrokerEvent::Connected { client, session_present, .. } => {
                format!("connected {} {session_present}", client.client_id)
            }
            BrokerEvent::Disconnected { client, reason, expiry } => {
                format!("disconnected {} 0x{:02X} {expiry:?}", client.client_id, reason.as_u8())
            }
            BrokerEvent::Refused { client_id, reason, .. } => {
                format!("refused {client_id} 0x{:02X}", reason.as_u8())
            }
            BrokerEvent::SessionEnded { client } => format!("ended {}", client.client_id),
            BrokerEvent::Denied { client, topic, times, .. } => {
                format!("denied {} {topic} {times}", client.client_id)
            }
            BrokerEvent::Dropped { client, reason, messages } => {
                format!("dropped {} 0x{:02X} {messages}", client.client_id, reason.as_u8())
            }
            BrokerEvent::SubscriptionRevoked { client, filter } => {
                format!("revoked {} {filter}", client.client_id)
            }
            other => format!("{other:?}"),
        };
        self.heard.lock().unwrap().push(text);
    }
}

impl Ear {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

type Judging = dyn Fn(&str, &Evidence) -> Verdict + Send + Sync;

/// Says what a test tells it to.
pub(crate) struct Judge(Box<Judging>);

/// An authenticator that judges so.
pub(crate) fn judge(
    how: impl Fn(&str, &Evidence) -> Verdict + Send + Sync + 'static,
) -> Arc<dyn Authenticator> {
    Arc::new(Judge(Box::new(how)))
}

impl Authenticator for Judge {
    fn authenticate(&self, client_id: &str, evidence: &Evidence) -> Verdict {
        (self.0)(client_id, evidence)
    }
}

/// An authenticator that has to look up everybody.
pub(crate) fn slow() -> Arc<dyn Authenticator> {
    judge(|_, _| Verdict::Later(Box::pin(std::future::pending())))
}

/// Refuses the clients and the users that it names.
#[derive(Default)]
pub(crate) struct Bans {
    pub(crate) clients: Vec<&'static str>,
    pub(crate) users: Vec<&'static str>,
}

impl Gate for Bans {
    fn admit(
        &self,
        _now: Timestamp,
        client_id: &str,
        _evidence: &Evidence,
        identity: Option<&Identity>,
    ) -> Result<(), Reason> {
        let user = identity.and_then(|identity| identity.user.as_deref());
        let is_banned = self.clients.contains(&client_id)
            || user.is_some_and(|user| self.users.contains(&user));
        if is_banned { Err(Reason::BANNED) } else { Ok(()) }
    }
}

/// Permits what its lists name: topics that match one of the filters, and filters that one of them
/// contains. `%u` is the user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    pub(crate) publish: Vec<&'static str>,
    pub(crate) subscribe: Vec<&'static str>,
}

/// Rules that permit publishing and subscribing so.
pub(crate) fn lists(
    publish: &[&'static str],
    subscribe: &[&'static str],
) -> Option<Arc<dyn Authorizer>> {
    Some(Arc::new(Lists { publish: publish.to_vec(), subscribe: subscribe.to_vec() }))
}

struct OwnLists {
    user: String,
    lists: Lists,
}

impl Authorizer for Lists {
    fn compile(&self, client: &Principal) -> Arc<dyn Permissions> {
        let user = client.identity.user.as_deref().unwrap_or("-").into();
        Arc::new(OwnLists { user, lists: self.clone() })
    }
}

impl Permissions for OwnLists {
    fn permits(&self, action: Action, topic: &str) -> bool {
        let list = match action {
            Action::Publish { .. } => &self.lists.publish,
            Action::Subscribe { .. } => &self.lists.subscribe,
        };
        list.iter().any(|filter| contains(&filter.replace("%u", &self.user), topic))
    }
}

/// Whether all topics of a filter are topics of another one.
fn contains(outer: &str, inner: &str) -> bool {
    if outer.starts_with(['#', '+']) && inner.starts_with('$') {
        return false;
    }
    let (mut outer, mut inner) = (outer.split('/'), inner.split('/'));
    loop {
        match (outer.next(), inner.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(a), Some(b)) if a == b => {}
            (None, Some("#")) | (_, None | Some(_)) => return false,
        }
    }
}

/// An authenticator chain.
pub(crate) fn chain() -> Vec<Arc<dyn Authenticator>> {
    vec![Arc::new(Users("a")), Arc::new(Users("b")), Arc::new(Rounds)]
}
