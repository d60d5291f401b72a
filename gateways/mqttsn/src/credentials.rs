use std::collections::HashMap;

use core_model::{Evidence, Secret};
use gateway_host::LinkFacts;
use thiserror::Error;

use crate::GATEWAY_NAME;

/// What stands for all other clients in place of a client identifier.
const OTHERS: &str = "*";

/// The client identifier under which the file has those that publish without a connection.
pub(crate) const QOS_MINUS_ONE: &str = "qos-1";

/// A user name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: Box<str>,
    /// The password.
    pub password: Secret,
}

/// What clients log in with, since MQTT-SN's CONNECT has neither user name nor password. Others
/// than those that are listed, and not meant by `*`, come without.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    clients: HashMap<Box<str>, Login>,
}

impl Credentials {
    /// Reads a file with a line for each client: client identifier, user name and password between
    /// colons; or between tabs, where a client identifier has a colon in it. The client identifier
    /// `*` stands for all others, `qos-1` for those that publish without a connection. Empty lines
    /// and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// The first line that is none, or is about a client that had one.
    pub fn read(text: &str) -> Result<Self, CredentialsError> {
        let mut clients = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let line_number = index + 1;
            let (client_id, login) = split(line).ok_or(CredentialsError::Line(line_number))?;
            if clients.insert(client_id.into(), login).is_some() {
                return Err(CredentialsError::Twice(line_number));
            }
        }
        Ok(Credentials { clients })
    }

    /// What the client logs in with.
    pub(crate) fn of(&self, client_id: &str) -> Option<&Login> {
        self.clients.get(client_id).or_else(|| self.clients.get(OTHERS))
    }
}

/// Client identifier and login of a line. A password may have colons in it.
fn split(line: &str) -> Option<(&str, Login)> {
    let separator = if line.contains('\t') { '\t' } else { ':' };
    let mut parts = line.splitn(3, separator);
    let (client_id, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let login = Login { user: user.into(), password: Secret::new(password.as_bytes()) };
    (!client_id.is_empty() && !user.is_empty()).then_some((client_id, login))
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

/// What is wrong in a file of credentials. It never says what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A line, counted from 1, is not of the format.
    #[error("line {0}: not client id, user name and password with colons between them")]
    Line(usize),
    /// A line, counted from 1, is about a client that had one.
    #[error("line {0}: its client has a line above")]
    Twice(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_own_login_or_that_of_all_others() {
        let text = "# client:user:password\n\nsn1:ann:pa:ss\n00:1f:2e\tbob\tsecret\n*:city:rest\n";
        let credentials = Credentials::read(text).unwrap();
        for (client_id, user, password) in
            [("sn1", "ann", "pa:ss"), ("00:1f:2e", "bob", "secret"), ("else", "city", "rest")]
        {
            let login = credentials.of(client_id).unwrap();
            assert_eq!((&*login.user, login.password.expose()), (user, password.as_bytes()));
        }
        assert_eq!(Credentials::read("sn1:ann:p").unwrap().of("sn2"), None);
    }

    #[test]
    fn a_bad_line_is_named_and_not_shown() {
        let line = "line 2: not client id, user name and password with colons between them";
        for text in ["#\nsn1:hunter2", "\nhunter2", "\n:ann:hunter2", "\nsn1::hunter2"] {
            assert_eq!(Credentials::read(text).unwrap_err().to_string(), line);
        }
        let twice = Credentials::read("sn1:ann:hunter2\nsn1:bob:hunter2").unwrap_err();
        assert_eq!(twice.to_string(), "line 2: its client has a line above");
    }

    #[test]
    fn passwords_are_not_shown() {
        let credentials = Credentials::read("sn1:ann:hunter2").unwrap();
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
