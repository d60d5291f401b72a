//! Version 2: a binary head, the addresses, and extensions as type, length, value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use core_model::{CertificateFacts, TransportFacts};

use super::crc32c::crc32c;
use super::{Malformed, Parsed, Report, Source};
use crate::certificate::is_plain;

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const HEAD_BYTES: usize = 16;
/// The most that may follow the head. The largest known extension is a client's certificate.
const BODY_BYTES_MAX: usize = 8 * 1024;

const VERSION_COMMAND_LOCAL: u8 = 0x20;
const VERSION_COMMAND_PROXY: u8 = 0x21;

const FAMILY_UNSPECIFIED: u8 = 0x00;
const FAMILY_TCP4: u8 = 0x11;
const FAMILY_TCP6: u8 = 0x21;
const FAMILY_UNIX: u8 = 0x31;
const FAMILY_UDP4: u8 = 0x12;
const FAMILY_UDP6: u8 = 0x22;

const TYPE_AUTHORITY: u8 = 0x02;
const TYPE_CRC32C: u8 = 0x03;
const TYPE_UNIQUE_ID: u8 = 0x05;
const TYPE_SSL: u8 = 0x20;
const TYPE_SSL_VERSION: u8 = 0x21;
const TYPE_SSL_COMMON_NAME: u8 = 0x22;
const TYPE_SSL_CIPHER: u8 = 0x23;

const UNIQUE_ID_BYTES_MAX: usize = 128;

/// The client spoke TLS to the proxy.
const CLIENT_TLS: u8 = 0x01;
/// It showed a certificate on this connection.
const CLIENT_CERTIFICATE_HERE: u8 = 0x02;
/// It showed a certificate when the TLS session was made that this connection resumes.
const CLIENT_CERTIFICATE_BEFORE: u8 = 0x04;
/// The certificate was verified; any other number says why not.
const VERIFIED: u32 = 0;

const TOO_SHORT: Malformed = "a version 2 header that is shorter than its addresses";

/// What a header stands before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// A connection.
    Stream,
    /// A datagram.
    Datagram,
}

pub(super) fn parse(buffer: &[u8], carrier: Carrier) -> Result<Parsed, Malformed> {
    let Some((head, after)) = buffer.split_first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let [.., version_command, family, length_high, length_low] = *head;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    if !matches!(version_command, VERSION_COMMAND_LOCAL | VERSION_COMMAND_PROXY) {
        return Err("a version 2 header with another version or command than it may have");
    }
    if length > BODY_BYTES_MAX {
        return Err("a version 2 header of more than 8 KiB");
    }
    let Some(body) = after.get(..length) else { return Ok(None) };
    // With LOCAL, and where the proxy does not know the client, the rest is to be ignored.
    let report = if version_command == VERSION_COMMAND_LOCAL || family == FAMILY_UNSPECIFIED {
        Report::default()
    } else {
        let (source, extensions) = source(carrier, family, body)?;
        report(source, extensions, head, body)?
    };
    Ok(Some((report, HEAD_BYTES + length)))
}

fn source(carrier: Carrier, family: u8, body: &[u8]) -> Result<(Source, &[u8]), Malformed> {
    match (carrier, family) {
        (Carrier::Stream, FAMILY_TCP4) | (Carrier::Datagram, FAMILY_UDP4) => {
            let (addresses, after) = body.split_first_chunk::<12>().ok_or(TOO_SHORT)?;
            let [a, b, c, d, _, _, _, _, port_high, port_low, _, _] = *addresses;
            let ip = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
            let port = u16::from_be_bytes([port_high, port_low]);
            Ok((Source::Address(SocketAddr::new(ip, port)), after))
        }
        (Carrier::Stream, FAMILY_TCP6) | (Carrier::Datagram, FAMILY_UDP6) => {
            let (ip, after) = body.split_first_chunk::<16>().ok_or(TOO_SHORT)?;
            let (_, after) = after.split_first_chunk::<16>().ok_or(TOO_SHORT)?;
            let (ports, after) = after.split_first_chunk::<4>().ok_or(TOO_SHORT)?;
            let [port_high, port_low, _, _] = *ports;
            let ip = IpAddr::V6(Ipv6Addr::from(*ip));
            let port = u16::from_be_bytes([port_high, port_low]);
            Ok((Source::Address(SocketAddr::new(ip, port)), after))
        }
        (Carrier::Stream, FAMILY_UNIX) => {
            let (_, after) = body.split_first_chunk::<216>().ok_or(TOO_SHORT)?;
            Ok((Source::Unix, after))
        }
        (Carrier::Stream, _) => Err("a version 2 header of a family that is no stream"),
        // A client on a Unix socket of the proxy would have no address to be told from others by.
        (Carrier::Datagram, _) => {
            Err("a version 2 header of a family that is neither UDP4 nor UDP6")
        }
    }
}

fn report(
    source: Source,
    extensions: &[u8],
    head: &[u8],
    body: &[u8],
) -> Result<Report, Malformed> {
    let mut report = Report { source, ..Report::default() };
    let mut rest = extensions;
    let mut seen = Seen::default();
    while !rest.is_empty() {
        let (kind, value, after) = extension(rest)?;
        match kind {
            TYPE_AUTHORITY => {
                seen.once(kind)?;
                report.facts.server_name =
                    name(value)?.map(|name| name.to_ascii_lowercase().into());
            }
            TYPE_CRC32C => {
                seen.once(kind)?;
                let sum: [u8; 4] =
                    value.try_into().map_err(|_| "a CRC32C that is not 4 bytes long")?;
                // The sum is over the whole header with zeros in its own place.
                let before = body.get(..body.len() - after.len() - sum.len()).unwrap_or_default();
                if crc32c(&[head, before, &[0; 4], after]) != u32::from_be_bytes(sum) {
                    return Err("a version 2 header with a wrong checksum");
                }
            }
            TYPE_UNIQUE_ID if value.len() > UNIQUE_ID_BYTES_MAX => {
                return Err("a unique id of more than 128 bytes");
            }
            TYPE_SSL => {
                seen.once(kind)?;
                report.is_tls = tls(value, &mut report.facts)?;
            }
            // Application protocol, unique id, name space, padding, and what is not known: nobody
            // asks for them.
            _ => {}
        }
        rest = after;
    }
    Ok(report)
}

/// Reads the extension on TLS; says whether the client spoke it.
fn tls(value: &[u8], facts: &mut TransportFacts) -> Result<bool, Malformed> {
    let (fixed, mut rest) = value.split_first_chunk::<5>().ok_or("TLS facts that are too short")?;
    let [client, verify @ ..] = *fixed;
    let is_tls = client & CLIENT_TLS != 0;
    let has_certificate = client & (CLIENT_CERTIFICATE_HERE | CLIENT_CERTIFICATE_BEFORE) != 0;
    let is_verified = u32::from_be_bytes(verify) == VERIFIED;
    let (mut version, mut cipher, mut common_name) = (None, None, None);
    let mut seen = Seen::default();
    while !rest.is_empty() {
        let (kind, value, after) = extension(rest)?;
        match kind {
            TYPE_SSL_VERSION => {
                seen.once(kind)?;
                version = name(value)?;
            }
            TYPE_SSL_COMMON_NAME => {
                seen.once(kind)?;
                common_name = name(value)?;
            }
            TYPE_SSL_CIPHER => {
                seen.once(kind)?;
                cipher = name(value)?;
            }
            // Algorithms of the certificate, and what is not known.
            _ => {}
        }
        rest = after;
    }
    if is_tls {
        (facts.tls_version, facts.cipher) = (version, cipher);
    }
    if is_tls && has_certificate && is_verified {
        facts.certificate = Some(CertificateFacts { common_name, ..CertificateFacts::default() });
    }
    Ok(is_tls)
}

/// Type and value of the first extension, and what follows.
fn extension(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Malformed> {
    const CUT_OFF: Malformed = "an extension that is cut off";
    let (head, after) = bytes.split_first_chunk::<3>().ok_or(CUT_OFF)?;
    let [kind, length_high, length_low] = *head;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let (value, after) = after.split_at_checked(length).ok_or(CUT_OFF)?;
    Ok((kind, value, after))
}

/// A value that is shown and compared: text that cannot be mistaken for another one. An empty one
/// says nothing.
fn name(value: &[u8]) -> Result<Option<Box<str>>, Malformed> {
    let text = str::from_utf8(value).map_err(|_| "a name that is no text")?;
    if !is_plain(text) {
        return Err("a name that is too long or holds control characters");
    }
    Ok(if text.is_empty() { None } else { Some(text.into()) })
}

/// Which types have been seen: of two values one would have to be believed.
#[derive(Default)]
struct Seen(u64);

impl Seen {
    /// Marks a type below 64.
    fn once(&mut self, kind: u8) -> Result<(), Malformed> {
        let bit = 1u64 << (kind & 63);
        if self.0 & bit != 0 {
            return Err("an extension that comes twice");
        }
        self.0 |= bit;
        Ok(())
    }
}
