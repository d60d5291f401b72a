//! Who may connect, and what is seen of the core.

use std::sync::{Arc, Condvar, Mutex};

use core_model::{
    Authenticator, BrokerEvent, ClientKey, Evidence, Identity, Interceptor, Message, Observer,
    Reason, Timestamp, Verdict,
};

use super::PATIENCE;

/// All who appear in cases. Mallory's password is wrong.
pub(crate) const NAMES: [&str; 8] =
    ["alice", "bob", "carol", "dave", "erin", "watcher", "mallory", "slow"];

/// How many more there are: `c0`, `c1` and so on.
pub(crate) const CROWD: usize = 24;

/// What a password looks like nobody else's text does.
const MARK: &str = "hunter2-";

/// The password with which a client connects.
pub(crate) fn password(client_id: &str) -> String {
    format!("{MARK}{client_id}")
}

/// Whether there is a password in `text`, in whatever way bytes are shown.
pub(crate) fn has_password(text: &str) -> bool {
    let bytes = MARK.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>();
    let hex = |between: &str| {
        MARK.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
    };
    let is_in = |what: &str| text.contains(what);
    is_in(MARK) || is_in(&bytes.join(", ")) || is_in(&hex("")) || is_in(&hex(" "))
}

/// Something shut that is opened once.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_timeout_while(is_open, PATIENCE, |is_open| !*is_open).unwrap());
    }
}

/// Believes everybody who has the right password, but Mallory.
#[derive(Debug, Default)]
pub(crate) struct Doorkeeper {
    /// What it waits for before it says so.
    pub(crate) latch: Option<Arc<Latch>>,
}

impl Authenticator for Doorkeeper {
    fn authenticate(&self, _client_id: &str, evidence: &Evidence) -> Verdict {
        let Some(user) = evidence.user.clone() else { return Verdict::Unknown };
        let given = evidence.password.as_ref().map(|password| password.expose());
        let is_right = given == Some(password(&user).as_bytes()) && &*user != "mallory";
        let verdict = move || match is_right {
            true => Verdict::Accept(Identity::of_user(&user)),
            false => Verdict::Refuse(Reason::BAD_CREDENTIALS),
        };
        match self.latch.clone() {
            None => verdict(),
            Some(latch) => Verdict::Later(Box::pin(async move {
                latch.wait();
                verdict()
            })),
        }
    }
}

/// Sees each message that the core has let in, and whatever it tells observers.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    topics: Mutex<Vec<String>>,
    events: Mutex<String>,
}

impl Witness {
    /// Whether a message on `topic` came into the core.
    pub(crate) fn saw(&self, topic: &str) -> bool {
        self.topics.lock().unwrap().iter().any(|seen| seen == topic)
    }

    /// The topics of all messages that came into the core.
    pub(crate) fn topics(&self) -> Vec<String> {
        self.topics.lock().unwrap().clone()
    }

    /// All events as text.
    pub(crate) fn events(&self) -> String {
        self.events.lock().unwrap().clone()
    }
}

impl Interceptor for Witness {
    fn on_publish(
        &self,
        _client: Option<&ClientKey>,
        message: &mut Message<'_>,
    ) -> Result<(), Reason> {
        self.topics.lock().unwrap().push(message.topic.to_owned());
        Ok(())
    }
}

impl Observer for Witness {
    fn on_event(&self, _now: Timestamp, event: &BrokerEvent<'_>) {
        self.events.lock().unwrap().push_str(&format!("{event:?}\n"));
    }
}
