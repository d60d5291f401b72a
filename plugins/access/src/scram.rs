use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use core_model::{Authenticator, Evidence, Exchange, Identity, Reason, Step, Verdict};
use ring::rand::{self, SystemRandom};
use subtle::ConstantTimeEq as _;

use crate::hash::{NEW_SALT_BYTES, SCRAM_ITERATIONS, ScramKey, ScramKeys, scram_hash, scram_sign};
use crate::users::Users;

/// The method's name in SASL, and so in MQTT 5.
const METHOD: &str = "SCRAM-SHA-256";
/// Longest message of a client, in bytes.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Longest nonce of a client, in bytes.
const NONCE_BYTES_MAX: usize = 256;
/// Random bytes of a nonce of ours.
const OWN_NONCE_BYTES: usize = 18;

/// Believes clients that prove by SCRAM-SHA-256 (RFC 5802, RFC 7677) to know a password, which is
/// never sent. The keys for it are the `$scram-sha-256$` hashes of a file of users; users with
/// other hashes are unknown here.
///
/// There is no channel binding: a client that demands it is refused. A user who is unknown gets a
/// salt as others do, and is refused at the end as one with a wrong password is. A client that
/// gives a user name beside the exchange must prove to be that user.
pub struct Scram {
    name: Box<str>,
    users: Arc<Users>,
    /// What salts for unknown users are made of. It comes from all keys of the file, so that such
    /// a salt is the same after a restart.
    decoy_key: ScramKey,
    decoy_iterations: NonZeroU32,
}

impl Scram {
    /// Of these users; `name` is the authenticator's.
    #[must_use]
    pub fn new(name: &str, users: Arc<Users>) -> Self {
        let mut all: Vec<ScramKeys> =
            users.iter().filter_map(|(_, known)| known.hash.scram()).collect();
        // The order in the map is another one after each start.
        all.sort_by_key(|keys| keys.server);
        let secrets: Vec<u8> = all.iter().flat_map(|keys| keys.server).collect();
        Scram {
            name: name.into(),
            decoy_key: scram_hash(&secrets),
            decoy_iterations: all.first().map_or(SCRAM_ITERATIONS, |keys| keys.iterations),
            users,
        }
    }

    fn exchange(&self, evidence: &Evidence, own_nonce: String) -> ScramExchange {
        ScramExchange {
            name: self.name.clone(),
            users: Arc::clone(&self.users),
            decoy_key: self.decoy_key,
            decoy_iterations: self.decoy_iterations,
            user: evidence.user.clone(),
            own_nonce,
            state: State::First,
        }
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram")
            .field("name", &self.name)
            .field("users", &self.users.path())
            .finish_non_exhaustive()
    }
}

impl Authenticator for Scram {
    fn authenticate(&self, _client_id: &str, _evidence: &Evidence) -> Verdict {
        Verdict::Unknown
    }

    fn begin(
        &self,
        method: &str,
        _client_id: &str,
        evidence: &Evidence,
    ) -> Option<Box<dyn Exchange>> {
        if method != METHOD {
            return None;
        }
        let random = rand::generate::<[u8; OWN_NONCE_BYTES]>(&SystemRandom::new()).ok()?.expose();
        Some(Box::new(self.exchange(evidence, BASE64.encode(random))))
    }
}

/// The server's side of one exchange.
struct ScramExchange {
    name: Box<str>,
    users: Arc<Users>,
    decoy_key: ScramKey,
    decoy_iterations: NonZeroU32,
    /// The user whom the client must prove to be.
    user: Option<Box<str>>,
    own_nonce: String,
    state: State,
}

enum State {
    /// The client's first message is awaited.
    First,
    /// The client's proof is awaited.
    Proof(Box<Challenge>),
    /// It is over.
    Done,
}

/// What the proof is checked with.
struct Challenge {
    user: String,
    keys: ScramKeys,
    is_superuser: bool,
    /// The header of the first message, which the client has to repeat.
    header: String,
    /// Nonce of the client and of ours.
    nonce: String,
    /// The client's first message without its header, a comma, ours, a comma.
    signed: String,
}

impl Exchange for ScramExchange {
    fn step(&mut self, data: &[u8]) -> Step {
        let message = std::str::from_utf8(data).ok().filter(|_| data.len() <= MESSAGE_BYTES_MAX);
        let state = std::mem::replace(&mut self.state, State::Done);
        let result = match (state, message) {
            (State::First, Some(message)) => self.challenge(message),
            (State::Proof(challenge), Some(message)) => self.judge(&challenge, message),
            (State::First | State::Proof(_), None) | (State::Done, _) => {
                Err(Reason::PROTOCOL_ERROR)
            }
        };
        result.unwrap_or_else(Step::Refuse)
    }
}

impl ScramExchange {
    fn challenge(&mut self, message: &str) -> Result<Step, Reason> {
        let first = ClientFirst::parse(message)?;
        if self.user.as_deref().is_some_and(|user| user != first.user) {
            return Err(Reason::BAD_CREDENTIALS);
        }
        if first.authorization.as_ref().is_some_and(|other| *other != first.user) {
            return Err(Reason::NOT_AUTHORIZED);
        }
        let known = self.users.find(&first.user);
        let keys = known.and_then(|known| known.hash.scram());
        let keys = keys.unwrap_or_else(|| self.decoy(&first.user));
        let (salt, iterations) = (BASE64.encode(&keys.salt), keys.iterations);
        let nonce = format!("{}{}", first.nonce, self.own_nonce);
        let answer = format!("r={nonce},s={salt},i={iterations}");
        self.state = State::Proof(Box::new(Challenge {
            signed: format!("{},{answer},", first.bare),
            header: first.header.to_owned(),
            is_superuser: known.is_some_and(|known| known.is_superuser),
            user: first.user,
            keys,
            nonce,
        }));
        Ok(Step::Continue(answer.into_bytes()))
    }

    /// Keys for an unknown user, always the same for a name. No proof fits to them: it would have to
    /// be what the stored key is the hash of.
    fn decoy(&self, user: &str) -> ScramKeys {
        let sign = |what: &str| scram_sign(&self.decoy_key, format!("{what} {user}").as_bytes());
        ScramKeys {
            iterations: self.decoy_iterations,
            salt: sign("salt").into_iter().take(NEW_SALT_BYTES).collect(),
            stored: sign("stored"),
            server: sign("server"),
        }
    }

    fn judge(&self, challenge: &Challenge, message: &str) -> Result<Step, Reason> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Reason::PROTOCOL_ERROR)?;
        let proof = BASE64.decode(proof).map_err(|_| Reason::PROTOCOL_ERROR)?;
        let proof = ScramKey::try_from(proof).map_err(|_| Reason::PROTOCOL_ERROR)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|text| text.strip_prefix("c="));
        let nonce = attributes.next().and_then(|text| text.strip_prefix("r="));
        let (Some(binding), Some(nonce)) = (binding, nonce) else {
            return Err(Reason::PROTOCOL_ERROR);
        };
        if binding != BASE64.encode(&challenge.header) || nonce != challenge.nonce {
            return Err(Reason::BAD_CREDENTIALS);
        }
        let signed = format!("{}{without_proof}", challenge.signed);
        let keys = &challenge.keys;
        let signature = scram_sign(&keys.stored, signed.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        if !bool::from(scram_hash(&client_key).ct_eq(&keys.stored)) {
            return Err(Reason::BAD_CREDENTIALS);
        }
        let answer = BASE64.encode(scram_sign(&keys.server, signed.as_bytes()));
        let identity = Identity {
            authenticator: self.name.clone(),
            is_superuser: challenge.is_superuser,
            ..Identity::of_user(&challenge.user)
        };
        Ok(Step::Accept(identity, Some(format!("v={answer}").into_bytes())))
    }
}

/// A client's first message (RFC 5802 section 7, `client-first-message`).
struct ClientFirst<'a> {
    /// `gs2-header`, with its comma at the end.
    header: &'a str,
    /// Everything behind the header.
    bare: &'a str,
    /// Whom the client wants to act as.
    authorization: Option<String>,
    user: String,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    fn parse(message: &'a str) -> Result<Self, Reason> {
        let wrong = Reason::PROTOCOL_ERROR;
        let mut parts = message.splitn(3, ',');
        let (Some(binding), Some(authorization), Some(bare)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong);
        };
        // `y`: the client could bind but believes that we cannot, which is so.
        if !matches!(binding, "n" | "y") {
            return Err(if binding.starts_with("p=") { Reason::NOT_AUTHORIZED } else { wrong });
        }
        let authorization = match authorization {
            "" => None,
            text => Some(text.strip_prefix("a=").and_then(unescape).ok_or(wrong)?),
        };
        let header = message.get(..message.len() - bare.len()).ok_or(wrong)?;
        // An extension that must be understood would stand first, as `m=`: there the name is due.
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|text| text.strip_prefix("n="));
        let nonce = attributes.next().and_then(|text| text.strip_prefix("r="));
        let (Some(user), Some(nonce)) = (user, nonce) else { return Err(wrong) };
        let printable = nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX || !printable {
            return Err(wrong);
        }
        let user = unescape(user).filter(|user| !user.is_empty()).ok_or(wrong)?;
        Ok(ClientFirst { header, bare, authorization, user, nonce })
    }
}

/// A name in which `=2C` stands for a comma and `=3D` for an equals sign; `None` if another `=` is
/// in it.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = part.split_at_checked(2)?;
        name.push(match sign {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The exchange that RFC 7677 section 3 prints: user `user`, password `pencil`.
    #[test]
    fn the_published_exchange_is_followed() {
        let line = "user:$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$\
                    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$\
                    wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        let users = Users::parse(Path::new("users.txt"), line).unwrap();
        let scram = Scram::new("scram", Arc::new(users));
        let own_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
        let mut exchange = scram.exchange(&Evidence::default(), own_nonce);

        let Step::Continue(challenge) = exchange.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") else {
            panic!("refused")
        };
        assert_eq!(
            String::from_utf8(challenge).unwrap(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let proof = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let Step::Accept(identity, Some(answer)) = exchange.step(proof) else { panic!("refused") };
        assert_eq!(identity.user.as_deref(), Some("user"));
        assert_eq!(answer, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn names_are_unescaped() {
        assert_eq!(unescape("a=2Cb=3D=3d").as_deref(), None);
        assert_eq!(unescape("a=2Cb=3D").as_deref(), Some("a,b="));
        assert_eq!(unescape("=3D2C").as_deref(), Some("=2C"));
        for wrong in ["=", "a=2", "a=41", "=é"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }
}
