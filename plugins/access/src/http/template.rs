use std::borrow::Cow;
use std::fmt::Write;

use core_model::{CertificateFacts, Evidence};

/// Text with placeholders of the form `${name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Value(Placeholder),
}

/// What is known of a client that wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    ClientId,
    Username,
    Password,
    PeerHost,
    PeerPort,
    Listener,
    Gateway,
    ServerName,
    CommonName,
    Subject,
    Issuer,
    Serial,
    Fingerprint,
}

const NAMES: [(&str, Placeholder); 13] = [
    ("clientid", Placeholder::ClientId),
    ("username", Placeholder::Username),
    ("password", Placeholder::Password),
    ("peerhost", Placeholder::PeerHost),
    ("peerport", Placeholder::PeerPort),
    ("listener", Placeholder::Listener),
    ("gateway", Placeholder::Gateway),
    ("server_name", Placeholder::ServerName),
    ("cert_common_name", Placeholder::CommonName),
    ("cert_subject", Placeholder::Subject),
    ("cert_issuer", Placeholder::Issuer),
    ("cert_serial", Placeholder::Serial),
    ("cert_fingerprint", Placeholder::Fingerprint),
];

/// A value is not UTF-8, where only text can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoText;

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with a placeholder.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, after) = behind.split_once('}').ok_or("has a \"${\" without its \"}\"")?;
            let known = NAMES.into_iter().find(|(own, _)| *own == name);
            let (_, placeholder) = known.ok_or_else(|| {
                let names = NAMES.map(|(own, _)| own).join(", ");
                format!("has the placeholder {name:?}, which is not one of {names}")
            })?;
            parts.push(Part::Text(before.into()));
            parts.push(Part::Value(placeholder));
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        parts.retain(|part| *part != Part::Text("".into()));
        Ok(Template { parts: parts.into() })
    }

    /// Whether it has the placeholder.
    pub(super) fn has(&self, placeholder: Placeholder) -> bool {
        self.parts.contains(&Part::Value(placeholder))
    }

    /// Where its first placeholder is, in bytes of its text.
    pub(super) fn first_placeholder(&self) -> Option<usize> {
        match &*self.parts {
            [Part::Text(text), Part::Value(_), ..] => Some(text.len()),
            [Part::Value(_), ..] => Some(0),
            _ => None,
        }
    }

    /// The text of a URL: values are percent-encoded, the rest is as it was written. A value that
    /// is missing is empty.
    pub(super) fn url(&self, client_id: &str, evidence: &Evidence) -> String {
        let mut url = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Value(placeholder) => {
                    let value = placeholder.value(client_id, evidence);
                    percent_encode(value.as_deref().unwrap_or(&[]), &mut url);
                }
            }
        }
        url
    }

    /// The bytes; a value that is missing is empty.
    pub(super) fn bytes(&self, client_id: &str, evidence: &Evidence) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                Part::Value(placeholder) => {
                    let value = placeholder.value(client_id, evidence);
                    bytes.extend_from_slice(value.as_deref().unwrap_or(&[]));
                }
            }
        }
        bytes
    }

    /// The text; `None` for a template that is nothing but a placeholder whose value is missing.
    pub(super) fn text(
        &self,
        client_id: &str,
        evidence: &Evidence,
    ) -> Result<Option<String>, NoText> {
        if let [Part::Value(only)] = &*self.parts
            && only.value(client_id, evidence).is_none()
        {
            return Ok(None);
        }
        let text = String::from_utf8(self.bytes(client_id, evidence));
        text.map(Some).map_err(|_| NoText)
    }
}

impl Placeholder {
    fn value<'a>(self, client_id: &'a str, evidence: &'a Evidence) -> Option<Cow<'a, [u8]>> {
        let text = |text: &'a str| Some(Cow::Borrowed(text.as_bytes()));
        let known = |field: fn(&CertificateFacts) -> &str| {
            evidence.certificate().map(field).filter(|text| !text.is_empty()).and_then(text)
        };
        match self {
            Placeholder::ClientId => text(client_id),
            Placeholder::Username => evidence.user.as_deref().and_then(text),
            Placeholder::Password => {
                evidence.password.as_ref().map(|password| Cow::Borrowed(password.expose()))
            }
            Placeholder::PeerHost => {
                let host = evidence.peer?.ip().to_canonical().to_string();
                Some(Cow::Owned(host.into_bytes()))
            }
            Placeholder::PeerPort => {
                Some(Cow::Owned(evidence.peer?.port().to_string().into_bytes()))
            }
            Placeholder::Listener => text(&evidence.listener),
            Placeholder::Gateway => text(evidence.gateway),
            Placeholder::ServerName => {
                evidence.transport.as_ref()?.server_name.as_deref().and_then(text)
            }
            Placeholder::CommonName => {
                evidence.certificate()?.common_name.as_deref().and_then(text)
            }
            Placeholder::Subject => known(|certificate| &certificate.subject),
            Placeholder::Issuer => known(|certificate| &certificate.issuer),
            Placeholder::Serial => known(|certificate| &certificate.serial),
            Placeholder::Fingerprint => known(|certificate| &certificate.fingerprint),
        }
    }
}

/// Appends `bytes` with all but the unreserved characters of RFC 3986 encoded.
pub(super) fn percent_encode(bytes: &[u8], to: &mut String) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                to.push(char::from(*byte));
            }
            _ => write!(to, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
}
