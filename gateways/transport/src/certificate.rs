use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use core_model::CertificateFacts;
use ring::digest::{SHA256, digest};
use x509_parser::asn1_rs::ToDer as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The longest name that is taken from a certificate or a proxy. Host names end at 253 bytes,
/// common names (RFC 5280) at 64 characters.
const NAME_BYTES_MAX: usize = 1024;
/// The most alternative names of one kind that are kept.
const ALTERNATIVE_NAMES_MAX: usize = 64;

/// Whether text from outside may serve as a name: not endless, and without characters that make
/// it look like another one, such as NUL. Empty text is plain.
pub(crate) fn is_plain(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Reads a certificate that was verified.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(der: &[u8]) -> Result<CertificateFacts, &'static str> {
    let (rest, certificate) =
        parse_x509_certificate(der).map_err(|_| "a certificate that cannot be read")?;
    if !rest.is_empty() {
        return Err("a certificate with bytes after its end");
    }
    let mut facts = CertificateFacts {
        common_name: common_name(certificate.subject())?,
        subject: text(certificate.subject()).into(),
        issuer: text(certificate.issuer()).into(),
        serial: hex(certificate.raw_serial()).into(),
        fingerprint: hex(digest(&SHA256, der).as_ref()).into(),
        ..CertificateFacts::default()
    };
    read_alternative_names(&certificate, &mut facts)?;
    Ok(facts)
}

fn common_name(subject: &X509Name<'_>) -> Result<Option<Box<str>>, &'static str> {
    let mut names = subject.iter_common_name();
    // Of several names, tools disagree on which one counts.
    let (Some(name), None) = (names.next(), names.next()) else { return Ok(None) };
    let Ok(name) = name.as_str() else { return Ok(None) };
    if !is_plain(name) {
        return Err("a common name that is too long or holds control characters");
    }
    Ok(if name.is_empty() { None } else { Some(name.into()) })
}

fn read_alternative_names(
    certificate: &X509Certificate<'_>,
    facts: &mut CertificateFacts,
) -> Result<(), &'static str> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| "alternative names that cannot be read")?;
    let Some(names) = names else { return Ok(()) };
    for name in &names.value.general_names {
        match name {
            GeneralName::DNSName(name) => keep(&mut facts.dns_names, name)?,
            GeneralName::RFC822Name(name) => keep(&mut facts.emails, name)?,
            GeneralName::URI(name) => keep(&mut facts.uris, name)?,
            GeneralName::IPAddress(bytes) if facts.addresses.len() < ALTERNATIVE_NAMES_MAX => {
                facts.addresses.extend(address(bytes));
            }
            _ => {}
        }
    }
    Ok(())
}

fn keep(names: &mut Vec<Box<str>>, name: &str) -> Result<(), &'static str> {
    if !is_plain(name) {
        return Err("an alternative name that is too long or holds control characters");
    }
    if names.len() < ALTERNATIVE_NAMES_MAX && !name.is_empty() {
        names.push(name.into());
    }
    Ok(())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6)))
}

/// A name as text (RFC 4514): last part first, escaped so that no two names look the same.
fn text(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        if index > 0 {
            out.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                out.push('+');
            }
            push_attribute(attribute, &mut out);
        }
    }
    out
}

fn push_attribute(attribute: &AttributeTypeAndValue<'_>, out: &mut String) {
    let oid = attribute.attr_type().to_id_string();
    let short = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        other => other,
    };
    out.push_str(short);
    out.push('=');
    match attribute.as_str() {
        Ok(value) => push_escaped(value, out),
        Err(_) => {
            out.push('#');
            out.push_str(&hex(&attribute.attr_value().to_der_vec().unwrap_or_default()));
        }
    }
}

fn push_escaped(value: &str, out: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, character) in value.char_indices() {
        let is_outer_space = character == ' ' && (at == 0 || at == last);
        let is_first_hash = character == '#' && at == 0;
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            _ if is_outer_space || is_first_hash => {
                out.push('\\');
                out.push(character);
            }
            _ if character.is_control() => {
                let mut utf8 = [0; 4];
                for byte in character.encode_utf8(&mut utf8).bytes() {
                    let _ = write!(out, "\\{byte:02x}");
                }
            }
            _ => out.push(character),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use core_model::{CertificateField, UnknownField};
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber};

    use super::*;

    fn certificate(fill: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        fill(&mut params);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn all_fields_are_read() {
        let der = certificate(|params| {
            params.distinguished_name.push(DnType::CountryName, "NL");
            params.distinguished_name.push(DnType::OrganizationName, "Water, Sons + Co");
            params.distinguished_name.push(DnType::CommonName, "pump-7");
            params.serial_number = Some(SerialNumber::from(vec![0x01, 0xab]));
            params.subject_alt_names = vec![
                SanType::DnsName("pump-7.example.org".try_into().unwrap()),
                SanType::DnsName("pump.example.org".try_into().unwrap()),
                SanType::Rfc822Name("pump@example.org".try_into().unwrap()),
                SanType::URI("urn:pump:7".try_into().unwrap()),
                SanType::IpAddress("192.0.2.7".parse().unwrap()),
                SanType::IpAddress("2001:db8::7".parse().unwrap()),
            ];
        });
        let facts = read(&der).unwrap();
        assert_eq!(facts.common_name.as_deref(), Some("pump-7"));
        assert_eq!(&*facts.subject, "CN=pump-7,O=Water\\, Sons \\+ Co,C=NL");
        assert_eq!(facts.issuer, facts.subject);
        assert_eq!(&*facts.serial, "01ab");
        assert_eq!(facts.fingerprint.len(), 64);
        assert_eq!(facts.dns_names, ["pump-7.example.org".into(), "pump.example.org".into()]);
        assert_eq!(facts.emails, ["pump@example.org".into()]);
        assert_eq!(facts.uris, ["urn:pump:7".into()]);
        let addresses: [IpAddr; 2] = ["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        assert_eq!(facts.addresses, addresses);
        for (name, field) in CertificateField::NAMES {
            assert_eq!(name.parse(), Ok(*field));
            assert!(field.of(&facts).is_some(), "{name}");
        }
        assert_eq!("cn".parse::<CertificateField>(), Err(UnknownField));
    }

    #[test]
    fn a_certificate_without_names_has_none() {
        let facts = read(&certificate(|_| ())).unwrap();
        assert_eq!(facts.common_name, None);
        assert_eq!(&*facts.subject, "");
        assert_eq!(CertificateField::Subject.of(&facts), None);
        assert_eq!(CertificateField::Dns.of(&facts), None);
    }

    #[test]
    fn a_common_name_with_nul_or_newline_is_refused() {
        for name in ["admin\0.example.org", "a\nb", "a\u{85}b"] {
            let der =
                certificate(|params| params.distinguished_name.push(DnType::CommonName, name));
            assert!(read(&der).unwrap_err().contains("common name"), "{name:?}");
        }
    }

    #[test]
    fn an_alternative_name_with_nul_is_refused() {
        let der = certificate(|params| {
            params.subject_alt_names = vec![SanType::URI("urn:a\0b".try_into().unwrap())];
        });
        assert!(read(&der).unwrap_err().contains("alternative name"));
    }

    #[test]
    fn a_very_long_common_name_is_refused() {
        let name = |bytes: usize| {
            certificate(|params| {
                params.distinguished_name.push(DnType::CommonName, "n".repeat(bytes));
            })
        };
        assert!(read(&name(NAME_BYTES_MAX)).is_ok());
        assert!(read(&name(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn of_several_common_names_none_counts() {
        let der = certificate(|params| {
            params.distinguished_name.push(DnType::CommonName, "device");
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "admin");
        });
        let facts = read(&der).unwrap();
        assert_eq!(facts.common_name, None);
        assert_eq!(&*facts.subject, "CN=admin,CN=device");
    }

    #[test]
    fn names_that_differ_never_look_the_same() {
        let subject = |organization: &str, name: &str| {
            let der = certificate(|params| {
                params.distinguished_name.push(DnType::OrganizationName, organization);
                params.distinguished_name.push(DnType::CommonName, name);
            });
            read(&der).unwrap().subject
        };
        assert_eq!(&*subject("b", "a,O=c"), "CN=a\\,O\\=c,O=b".replace("\\=", "=").as_str());
        assert_ne!(subject("b", "a,O=c"), subject("c,O=b", "a"));
        assert_eq!(&*subject("o", " #a "), "CN=\\ #a\\ ,O=o");
        assert_eq!(&*subject("o", "#a"), "CN=\\#a,O=o");
        assert_eq!(&*subject("o\\", "a"), "CN=a,O=o\\\\");
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        let der = certificate(|_| ());
        assert!(read(&[]).is_err());
        assert!(read(&der[..der.len() - 1]).is_err());
        let mut longer = der;
        longer.push(0);
        assert!(read(&longer).is_err());
    }
}
