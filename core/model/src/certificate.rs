use std::str::FromStr;

use crate::CertificateFacts;

/// A field of a client's certificate that can serve as a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateField {
    /// Common name of the subject; there is none if the subject has several.
    CommonName,
    /// The whole subject as text.
    Subject,
    /// Serial number in lower-case hexadecimal. Unique for one issuer only.
    Serial,
    /// SHA-256 of the certificate in lower-case hexadecimal.
    Fingerprint,
    /// First alternative name that is a host name.
    Dns,
    /// First alternative name that is a mail address.
    Email,
    /// First alternative name that is a URI.
    Uri,
}

impl CertificateField {
    /// All fields with their names in configuration files.
    pub const NAMES: &[(&str, CertificateField)] = &[
        ("common-name", CertificateField::CommonName),
        ("subject", CertificateField::Subject),
        ("serial", CertificateField::Serial),
        ("fingerprint", CertificateField::Fingerprint),
        ("dns", CertificateField::Dns),
        ("email", CertificateField::Email),
        ("uri", CertificateField::Uri),
    ];

    /// What the certificate says there.
    #[must_use]
    pub fn of(self, facts: &CertificateFacts) -> Option<&str> {
        let text = match self {
            CertificateField::CommonName => facts.common_name.as_deref(),
            CertificateField::Subject => Some(&*facts.subject),
            CertificateField::Serial => Some(&*facts.serial),
            CertificateField::Fingerprint => Some(&*facts.fingerprint),
            CertificateField::Dns => facts.dns_names.first().map(|name| &**name),
            CertificateField::Email => facts.emails.first().map(|name| &**name),
            CertificateField::Uri => facts.uris.first().map(|name| &**name),
        };
        text.filter(|text| !text.is_empty())
    }
}

impl FromStr for CertificateField {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, field)| *field).ok_or(UnknownField)
    }
}

/// No field of a certificate has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a field of a certificate")]
pub struct UnknownField;
