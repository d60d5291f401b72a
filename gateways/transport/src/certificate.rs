use core_model::CertificateFacts;

/// A field of a client's certificate that can serve as a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateField {
    /// Common name of the subject.
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
