use std::collections::HashMap;

use core_model::{Evidence, Secret};
use gateway_host::LinkFacts;

use crate::GATEWAY_NAME;

/// A user name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: Box<str>,
    /// The password.
    pub password: Secret,
}

/// What clients log in with, since MQTT-SN's CONNECT has neither user name nor password.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// By client identifier.
    clients: HashMap<Box<str>, Login>,
    /// For all other clients; without it they come without credentials.
    default: Option<Login>,
}

impl Credentials {
    /// What the client logs in with.
    pub(crate) fn of(&self, client_id: &str) -> Option<&Login> {
        self.clients.get(client_id).or(self.default.as_ref())
    }
}

/// What is known of a client before it is believed.
pub(crate) fn evidence(login: Option<&Login>, link: &LinkFacts) -> Evidence {
    Evidence {
        listener: link.listener.name.clone(),
        allow_anonymous: link.listener.allow_anonymous,
        gateway: GATEWAY_NAME,
        peer: link.peer,
        transport: link.transport.clone(),
        user: login.map(|login| login.user.clone()),
        password: login.map(|login| login.password.clone()),
        method: None,
        data: None,
    }
}
