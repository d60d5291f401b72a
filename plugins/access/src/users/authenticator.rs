use std::hash::BuildHasher as _;
use std::sync::Arc;

use core_model::{Authenticator, Evidence, Identity, Reason, Verdict};

use super::Users;
use crate::hashing::Hashing;

/// Where the name comes from that is looked up in a file of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserFrom {
    /// The user name.
    #[default]
    UserName,
    /// The client identifier; a user name that is given beside it is not believed.
    ClientId,
}

/// What is said of a client that no line of the file is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownUser {
    /// Somebody else may know it: the next authenticator is asked.
    #[default]
    GoOn,
    /// It is refused as one with a wrong password is.
    Refuse,
}

/// Settings of [`UsersFile`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsersFileSettings {
    /// Name of the authenticator.
    pub name: Box<str>,
    /// Which name is looked up.
    pub user_from: UserFrom,
    /// What is said of those who are not in the file.
    pub unknown: UnknownUser,
}

/// Believes clients with a password from a file of users.
///
/// Without a name or a password it does not know the client. An unknown user costs the same hash
/// as a known one, so that names cannot be found out by time; where several authenticators follow
/// each other, one that costs nothing goes in front.
#[derive(Debug)]
pub struct UsersFile {
    settings: UsersFileSettings,
    users: Arc<Users>,
    hashing: Arc<Hashing>,
    /// Chooses the same decoy for a name whenever it comes.
    decoy_key: foldhash::quality::RandomState,
}

impl UsersFile {
    /// Of these users.
    #[must_use]
    pub fn new(settings: UsersFileSettings, users: Arc<Users>, hashing: Arc<Hashing>) -> Self {
        UsersFile { settings, users, hashing, decoy_key: foldhash::quality::RandomState::default() }
    }
}

impl Authenticator for UsersFile {
    fn authenticate(&self, client_id: &str, evidence: &Evidence) -> Verdict {
        let name = match self.settings.user_from {
            UserFrom::UserName => evidence.user.as_deref(),
            UserFrom::ClientId => Some(client_id),
        };
        let (Some(name), Some(password)) = (name, &evidence.password) else {
            return Verdict::Unknown;
        };
        let Some(known) = self.users.find(name) else {
            let verdict = match self.settings.unknown {
                UnknownUser::GoOn => Verdict::Unknown,
                UnknownUser::Refuse => Verdict::Refuse(Reason::BAD_CREDENTIALS),
            };
            let decoys = self.users.decoys();
            let chosen = self.decoy_key.hash_one(name) % decoys.len().max(1) as u64;
            return match decoys.get(chosen as usize) {
                Some(decoy) => self.hashing.pretend(name, password, decoy, verdict),
                None => verdict,
            };
        };
        let identity = Identity {
            user: Some(name.into()),
            authenticator: self.settings.name.clone(),
            is_superuser: known.is_superuser,
            ..Identity::default()
        };
        self.hashing.check(name, password, &known.hash, move |matches| {
            if matches {
                Verdict::Accept(identity)
            } else {
                Verdict::Refuse(Reason::BAD_CREDENTIALS)
            }
        })
    }
}
