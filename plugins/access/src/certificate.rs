use core_model::{Authenticator, CertificateField, Evidence, Exchange, Identity, Reason, Verdict};

use crate::acl::Pattern;
use crate::nobody::Refusal;

/// Settings of [`CertificateUsers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSettings {
    /// Name of the authenticator.
    pub name: Box<str>,
    /// The field that is the user name.
    pub user: CertificateField,
    /// User names that are let in, with `*` for any characters; empty for all.
    pub allow: Vec<String>,
    /// The client identifier must be this field.
    pub client_id: Option<CertificateField>,
    /// Whether a certificate counts that a trusted proxy reports: such a report says the common
    /// name only.
    pub from_proxy: bool,
}

impl Default for CertificateSettings {
    fn default() -> Self {
        CertificateSettings {
            name: Box::default(),
            user: CertificateField::CommonName,
            allow: Vec::new(),
            client_id: None,
            from_proxy: true,
        }
    }
}

/// Believes clients with a certificate that the transport has verified.
///
/// Who shows none, or one without the field that is the user name, is not known to it. A user name
/// that the client gives by itself does not count.
#[derive(Debug)]
pub struct CertificateUsers {
    settings: CertificateSettings,
    allow: Box<[Pattern]>,
}

impl CertificateUsers {
    /// With these settings.
    #[must_use]
    pub fn new(settings: CertificateSettings) -> Self {
        let allow = settings.allow.iter().map(|text| Pattern::parse(text)).collect();
        CertificateUsers { settings, allow }
    }
}

impl Authenticator for CertificateUsers {
    fn authenticate(&self, client_id: &str, evidence: &Evidence) -> Verdict {
        let reported = evidence.transport.as_ref().is_some_and(|facts| facts.proxy.is_some());
        let Some(certificate) =
            evidence.certificate().filter(|_| self.settings.from_proxy || !reported)
        else {
            return Verdict::Unknown;
        };
        let Some(user) = self.settings.user.of(certificate) else { return Verdict::Unknown };
        if !self.allow.is_empty() && !self.allow.iter().any(|pattern| pattern.matches(user)) {
            return Verdict::Refuse(Reason::NOT_AUTHORIZED);
        }
        if self.settings.client_id.is_some_and(|field| field.of(certificate) != Some(client_id)) {
            return Verdict::Refuse(Reason::CLIENT_ID_NOT_VALID);
        }
        Verdict::Accept(Identity {
            authenticator: self.settings.name.clone(),
            ..Identity::of_user(user)
        })
    }

    /// A certificate that is refused is so whatever else its client could prove; one that is
    /// believed does not do for the proof that the client offers.
    fn begin(
        &self,
        _method: &str,
        client_id: &str,
        evidence: &Evidence,
    ) -> Option<Box<dyn Exchange>> {
        match self.authenticate(client_id, evidence) {
            Verdict::Refuse(reason) => Some(Box::new(Refusal(reason))),
            _ => None,
        }
    }
}
