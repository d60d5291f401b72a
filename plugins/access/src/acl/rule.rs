use std::fmt;
use std::net::IpAddr;

use core_model::{Action, QoS};
use ipnet::IpNet;
use serde::de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::filter::{covers, overlaps};
use super::pattern::Pattern;
use super::topic::TopicRule;
use super::who::{Fact, Who};

/// A rule as it is written: in `[[acl]]`, in a file of rules, in a token's claim or in an answer by
/// HTTP. A list may be written as its only member; an empty list here is a key that was left out.
///
/// Under `user`, `client`, `listener`, `gateway` and in `certificate` a `*` stands for any
/// characters. All keys that are given must hold, each by one of its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleText {
    /// What is allowed: `publish`, `subscribe`, `all`. Either this or `deny`.
    #[serde(deserialize_with = "one_or_more")]
    pub allow: Vec<String>,
    /// What is denied: `publish`, `subscribe`, `all`.
    #[serde(deserialize_with = "one_or_more")]
    pub deny: Vec<String>,
    /// Only for messages of these QoS, or subscriptions that ask for them (0, 1, 2).
    #[serde(deserialize_with = "one_or_more")]
    pub qos: Vec<u8>,
    /// Only for messages with this retain flag; says nothing of subscriptions.
    pub retain: Option<bool>,
    /// User names. A client without one meets none, not even `*`.
    #[serde(deserialize_with = "one_or_more")]
    pub user: Vec<String>,
    /// Client identifiers.
    #[serde(deserialize_with = "one_or_more")]
    pub client: Vec<String>,
    /// Addresses and networks, such as `10.0.0.0/8`.
    #[serde(deserialize_with = "one_or_more")]
    pub address: Vec<String>,
    /// Names of listeners.
    #[serde(deserialize_with = "one_or_more")]
    pub listener: Vec<String>,
    /// Names of gateways.
    #[serde(deserialize_with = "one_or_more")]
    pub gateway: Vec<String>,
    /// What the client's certificate must say.
    pub certificate: CertificateText,
    /// Topic filters, with the placeholders `%c` client identifier, `%u` user, `%l` listener and
    /// `%cn` common name of the certificate (`%cn` only where no letter or digit follows). In a
    /// rule that allows, a filter does not count for a client whose value is missing or has a `/`,
    /// `+`, `#` or U+0000, or would lead into the topics that begin with `$`. With `eq ` in front,
    /// wildcards stand for themselves: `eq #` is the subscription to `#` and no other.
    #[serde(deserialize_with = "one_or_more")]
    pub topics: Vec<String>,
}

/// What a client's certificate must say, with `*` for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateText {
    /// Common name of the subject.
    #[serde(deserialize_with = "one_or_more")]
    pub common_name: Vec<String>,
    /// The whole subject (RFC 4514).
    #[serde(deserialize_with = "one_or_more")]
    pub subject: Vec<String>,
    /// The issuer (RFC 4514).
    #[serde(deserialize_with = "one_or_more")]
    pub issuer: Vec<String>,
    /// Serial number in lower-case hexadecimal.
    #[serde(deserialize_with = "one_or_more")]
    pub serial: Vec<String>,
    /// SHA-256 of the certificate in lower-case hexadecimal.
    #[serde(deserialize_with = "one_or_more")]
    pub fingerprint: Vec<String>,
    /// A host name among the alternative names.
    #[serde(deserialize_with = "one_or_more")]
    pub dns: Vec<String>,
    /// A mail address among the alternative names.
    #[serde(deserialize_with = "one_or_more")]
    pub email: Vec<String>,
    /// A URI among the alternative names.
    #[serde(deserialize_with = "one_or_more")]
    pub uri: Vec<String>,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Neither or both of `allow` and `deny`.
    #[error("needs either \"allow\" or \"deny\"")]
    Effect,
    /// A word that names no action.
    #[error("{key}: {word:?} is not one of \"publish\", \"subscribe\", \"all\"")]
    Action {
        /// `allow` or `deny`.
        key: &'static str,
        /// What was found.
        word: String,
    },
    /// A number that is no QoS.
    #[error("qos: {0} is not 0, 1 or 2")]
    QoS(u8),
    /// A text that is no address and no network.
    #[error("address: {0:?} is not an address or a network such as \"10.0.0.0/8\"")]
    Address(String),
    /// A rule about nothing.
    #[error("topics: none is given")]
    NoTopic,
    /// A filter that cannot be.
    #[error("topics: {filter:?} {problem}")]
    Topic {
        /// The filter as it is written.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A rule that was understood.
#[derive(Clone, Debug)]
pub struct AclRule {
    pub(crate) allows: bool,
    publish: bool,
    subscribe: bool,
    /// By number.
    qos: [bool; 3],
    retain: Option<bool>,
    pub(crate) who: Who,
    pub(crate) topics: Box<[TopicRule]>,
}

impl AclRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with its key.
    pub fn parse(text: &RuleText) -> Result<Self, RuleError> {
        let (key, words) = match (text.allow.as_slice(), text.deny.as_slice()) {
            (words @ [_, ..], []) => ("allow", words),
            ([], words @ [_, ..]) => ("deny", words),
            _ => return Err(RuleError::Effect),
        };
        let (mut publish, mut subscribe) = (false, false);
        for word in words {
            match word.as_str() {
                "publish" => publish = true,
                "subscribe" => subscribe = true,
                "all" => (publish, subscribe) = (true, true),
                _ => return Err(RuleError::Action { key, word: word.clone() }),
            }
        }
        if text.topics.is_empty() {
            return Err(RuleError::NoTopic);
        }
        let topic = |filter: &String| {
            TopicRule::parse(filter)
                .map_err(|problem| RuleError::Topic { filter: filter.clone(), problem })
        };
        Ok(AclRule {
            allows: key == "allow",
            publish,
            subscribe,
            qos: qos(&text.qos)?,
            retain: text.retain,
            who: who(text)?,
            topics: text.topics.iter().map(topic).collect::<Result<_, _>>()?,
        })
    }

    /// Whether the rule speaks of what the client does, whatever the topic.
    pub(crate) fn concerns(&self, action: Action) -> bool {
        let (kind, qos, flags) = match action {
            Action::Publish { qos, retain } => {
                (self.publish, qos, self.retain.is_none_or(|wanted| wanted == retain))
            }
            Action::Subscribe { qos } => (self.subscribe, qos, true),
        };
        kind && flags && self.qos.get(qos as usize).copied().unwrap_or(false)
    }

    /// Whether it decides about a topic, or about all topics of a filter, that one of its filters
    /// is compared with. A filter is allowed as a whole and denied for its smallest part.
    pub(crate) fn decides(&self, action: Action, written: &TopicRule, own: &str, of: &str) -> bool {
        match action {
            _ if written.literally => own == of,
            Action::Publish { .. } => core_model::filter_matches(own, of),
            Action::Subscribe { .. } if self.allows => covers(own, of),
            Action::Subscribe { .. } => overlaps(own, of),
        }
    }
}

fn qos(numbers: &[u8]) -> Result<[bool; 3], RuleError> {
    let mut set = [numbers.is_empty(); 3];
    for number in numbers {
        let qos = QoS::from_u8(*number).and_then(|qos| set.get_mut(qos as usize));
        *qos.ok_or(RuleError::QoS(*number))? = true;
    }
    Ok(set)
}

fn who(text: &RuleText) -> Result<Who, RuleError> {
    let network = |written: &String| {
        let net = written
            .parse::<IpNet>()
            .or_else(|_| written.parse().map(<IpNet as From<IpAddr>>::from));
        net.map_err(|_| RuleError::Address(written.clone()))
    };
    let address = match text.address.as_slice() {
        [] => None,
        nets => Some(nets.iter().map(network).collect::<Result<_, _>>()?),
    };
    let certificate = &text.certificate;
    let facts = [
        (Fact::CommonName, &certificate.common_name),
        (Fact::Subject, &certificate.subject),
        (Fact::Issuer, &certificate.issuer),
        (Fact::Serial, &certificate.serial),
        (Fact::Fingerprint, &certificate.fingerprint),
        (Fact::Dns, &certificate.dns),
        (Fact::Email, &certificate.email),
        (Fact::Uri, &certificate.uri),
    ];
    Ok(Who {
        user: patterns(&text.user),
        client: patterns(&text.client),
        address,
        listener: patterns(&text.listener),
        gateway: patterns(&text.gateway),
        certificate: facts
            .into_iter()
            .filter_map(|(fact, texts)| Some((fact, patterns(texts)?)))
            .collect(),
    })
}

fn patterns(texts: &[String]) -> Option<Box<[Pattern]>> {
    (!texts.is_empty()).then(|| texts.iter().map(|text| Pattern::parse(text)).collect())
}

/// A value or a list of values. An empty list is refused: it would be taken for no condition at
/// all.
pub(super) fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct OneOrMore<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMore<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value or a list with at least one")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            let one = serde::de::value::StrDeserializer::new(text);
            Ok(vec![T::deserialize(one)?])
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Vec<T>, E> {
            let one = serde::de::value::I64Deserializer::new(number);
            Ok(vec![T::deserialize(one)?])
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Vec<T>, E> {
            let one = serde::de::value::U64Deserializer::new(number);
            Ok(vec![T::deserialize(one)?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            let values = Vec::deserialize(SeqAccessDeserializer::new(list))?;
            if values.is_empty() {
                return Err(A::Error::invalid_length(0, &self));
            }
            Ok(values)
        }
    }

    deserializer.deserialize_any(OneOrMore(std::marker::PhantomData))
}
