//! Plug-ins of the tests.

use std::sync::{Arc, Mutex};

use core_model::{
    Action, Authenticator, Authorizer, BrokerEvent, ClientKey, Evidence, Exchange, Identity,
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

/// An authenticator chain.
pub(crate) fn chain() -> Vec<Arc<dyn Authenticator>> {
    vec![Arc::new(Users("a")), Arc::new(Users("b")), Arc::new(Rounds)]
}
