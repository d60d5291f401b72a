//! What can be asked over the control socket, and what is answered.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// One request: a line of JSON, such as `{"command":"show","client":"meter-7"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Sessions, one item each, by client id.
    Clients(Clients),
    /// Everything about one client id.
    Show(Show),
    /// Disconnects clients.
    Kick(Kick),
    /// Keeps clients out, and disconnects those that are there.
    Ban(Ban),
    /// Lets them in again.
    Unban(Unban),
    /// Bans, one item each.
    Bans(Nothing),
    /// Listeners, one item each.
    Listeners(Nothing),
    /// Subscriptions, one item each.
    Subscriptions(Subscriptions),
    /// Retained messages, one item each.
    Retained(Retained),
    /// What the server counts.
    Stats(Nothing),
    /// Reads the configuration again.
    Reload(Reload),
    /// Frames as they pass, one item each.
    Trace(Trace),
}

/// Of a request without anything more to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Which sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Clients {
    /// Only with a link, or only without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connected: Option<bool>,
    /// Only of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Only those that came through this listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<String>,
    /// Only from this address, or from one of this network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Only client ids that begin like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}

/// Which client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Show {
    /// Its client id.
    pub(crate) client: String,
    /// Its gateway, when several have that client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<String>,
}

/// Whom a command is about: exactly one of these is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kick {
    /// The client with this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// All clients of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// All clients from this address or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// All clients of this listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<String>,
}

/// Whom to keep out: exactly one of `client`, `user` and `address` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ban {
    /// The client with this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// This user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// This address or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// For so long; for good without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<u64>,
    /// Why, for whoever reads the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Whom to let in again: exactly one of these is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Unban {
    /// The client with this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// This user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// This address or network, as it was banned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

/// Which subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Subscriptions {
    /// Only of this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// Only those that match this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}

/// Which retained messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retained {
    /// Only topics that match this filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
    /// Whether the payloads are shown.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) payload: bool,
}

/// How to reload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reload {
    /// Only say what would change.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) dry_run: bool,
    /// Go on even if clients are disconnected by it.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) disconnect: bool,
}

/// What to trace: exactly one of `client`, `address` and `topic` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Trace {
    /// Frames of the client with this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// Frames of links from this address or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Messages of topics that match this filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    /// For so long; until the connection is closed without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<u64>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What sort of refusal it is.
    pub(crate) kind: RefusalKind,
    /// For people.
    pub(crate) message: String,
}

/// Sorts of refusals; the words are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// The request cannot be understood.
    BadRequest,
    /// There is nothing of that name.
    NotFound,
    /// It must not or cannot be done now.
    Refused,
    /// It would disconnect clients, and was not told to.
    WouldDisconnect,
    /// Too many connections to the control socket.
    Busy,
}

impl RefusalKind {
    /// The word for programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            RefusalKind::BadRequest => "bad-request",
            RefusalKind::NotFound => "not-found",
            RefusalKind::Refused => "refused",
            RefusalKind::WouldDisconnect => "would-disconnect",
            RefusalKind::Busy => "busy",
        }
    }
}

impl Refusal {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Refusal { kind: RefusalKind::BadRequest, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Refusal { kind: RefusalKind::NotFound, message: message.into() }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Refusal { kind: RefusalKind::Refused, message: message.into() }
    }

    pub(crate) fn would_disconnect(message: impl Into<String>) -> Self {
        Refusal { kind: RefusalKind::WouldDisconnect, message: message.into() }
    }

    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Refusal { kind: RefusalKind::Busy, message: message.into() }
    }

    /// As the last line of an answer.
    pub(crate) fn line(&self) -> Json {
        json!({ "error": { "kind": self.kind.word(), "message": self.message } })
    }
}

/// Where the items of an answer go.
pub(crate) trait Items {
    /// Hands one over; waits while the reader is slow.
    ///
    /// # Errors
    /// The reader is gone: nothing more need be found for it.
    fn item(&mut self, item: Json) -> Result<(), Gone>;

    /// Whether the reader is gone; for those who have nothing to hand over for a while.
    fn is_gone(&mut self) -> bool;
}

/// The reader of an answer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// What ends an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// Done, with a summary for the last line.
    Done(Json),
    /// Not done.
    Refused(Refusal),
    /// Nobody wants to know.
    Gone,
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        End::Gone
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        End::Refused(refusal)
    }
}

/// An address, or addresses that begin alike.
pub(super) fn parse_net(text: &str) -> Result<IpNet, Refusal> {
    // An IPv4 address in the clothes of IPv6 is what clients of such an address are known by.
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.or_else(|_| text.parse::<IpNet>()).map(|net| net.trunc()).map_err(|_| {
        Refusal::bad_request(format!(
            "address: {text:?} is neither an address nor a network such as \"10.0.0.0/8\""
        ))
    })
}

/// Text as it is, anything else as `{"hex": ".."}`.
pub(super) fn payload_json(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.into(),
        _ => json!({ "hex": codec_wire::hex::encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Request, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_is_one_object_with_its_command() {
        let show = Request::Show(Show { client: "a".into(), gateway: None });
        assert_eq!(parse(r#"{"command":"show","client":"a"}"#), Ok(show.clone()));
        assert_eq!(serde_json::to_string(&show).unwrap(), r#"{"command":"show","client":"a"}"#);
        assert_eq!(parse(r#"{"command":"clients"}"#), Ok(Request::Clients(Clients::default())));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        assert!(parse(r#"{"command":"clients","usr":"a"}"#).unwrap_err().contains("usr"));
        assert!(parse(r#"{"command":"stats","user":"a"}"#).unwrap_err().contains("user"));
        assert!(parse(r#"{"command":"stop"}"#).unwrap_err().contains("stop"));
        assert!(parse("[]").is_err());
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        assert_eq!(parse_net("10.1.2.3"), Ok("10.1.2.3/32".parse().unwrap()));
        assert_eq!(parse_net("10.1.2.3/8"), Ok("10.0.0.0/8".parse().unwrap()));
        assert_eq!(parse_net("::1"), Ok("::1/128".parse().unwrap()));
        assert_eq!(parse_net("10.1").unwrap_err().kind, RefusalKind::BadRequest);
    }
}
