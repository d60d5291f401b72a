use core_model::{CertificateFacts, Principal};
use ipnet::IpNet;

use super::pattern::Pattern;

/// Whom a rule concerns: every list that is there must hold, by one of its members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    pub(crate) user: Option<Box<[Pattern]>>,
    pub(crate) client: Option<Box<[Pattern]>>,
    pub(crate) address: Option<Box<[IpNet]>>,
    pub(crate) listener: Option<Box<[Pattern]>>,
    pub(crate) gateway: Option<Box<[Pattern]>>,
    pub(crate) certificate: Box<[(Fact, Box<[Pattern]>)]>,
}

/// A field of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    CommonName,
    Subject,
    Issuer,
    Serial,
    Fingerprint,
    Dns,
    Email,
    Uri,
}

impl Who {
    /// Whether the client is meant. Who has no user, address or certificate meets no condition on
    /// it.
    pub(crate) fn is(&self, client: &Principal) -> bool {
        let certificate = client.transport.as_ref().and_then(|t| t.certificate.as_ref());
        holds(self.client.as_deref(), Some(&client.client.client_id))
            && holds(self.user.as_deref(), client.identity.user.as_deref())
            && holds(self.listener.as_deref(), Some(&client.listener))
            && holds(self.gateway.as_deref(), Some(client.gateway))
            && self.address.as_deref().is_none_or(|nets| {
                let address = client.peer.map(|peer| peer.ip().to_canonical());
                address.is_some_and(|address| nets.iter().any(|net| net.contains(&address)))
            })
            && self.certificate.iter().all(|(fact, patterns)| {
                certificate.is_some_and(|certificate| fact.holds(certificate, patterns))
            })
    }

    /// The users that are meant, if they are named without `*`.
    pub(crate) fn users(&self) -> Option<Vec<&str>> {
        names(self.user.as_deref()?)
    }

    /// The client identifiers that are meant, if they are named without `*`.
    pub(crate) fn clients(&self) -> Option<Vec<&str>> {
        names(self.client.as_deref()?)
    }
}

impl Fact {
    fn holds(self, certificate: &CertificateFacts, patterns: &[Pattern]) -> bool {
        let known = |text: &str| !text.is_empty() && fits(patterns, text);
        let one_of = |texts: &[Box<str>]| texts.iter().any(|text| fits(patterns, text));
        match self {
            Fact::CommonName => certificate.common_name.as_deref().is_some_and(known),
            Fact::Subject => known(&certificate.subject),
            Fact::Issuer => known(&certificate.issuer),
            Fact::Serial => known(&certificate.serial),
            Fact::Fingerprint => known(&certificate.fingerprint),
            Fact::Dns => one_of(&certificate.dns_names),
            Fact::Email => one_of(&certificate.emails),
            Fact::Uri => one_of(&certificate.uris),
        }
    }
}

fn fits(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

fn holds(patterns: Option<&[Pattern]>, text: Option<&str>) -> bool {
    patterns.is_none_or(|patterns| text.is_some_and(|text| fits(patterns, text)))
}

fn names(patterns: &[Pattern]) -> Option<Vec<&str>> {
    patterns.iter().map(Pattern::name).collect()
}
