//! Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 50000 1883`, CR, LF.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Malformed, Parsed, Report, Source};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line, CR and LF included.
const LINE_BYTES_MAX: usize = 107;

pub(super) fn parse(buffer: &[u8]) -> Result<Parsed, Malformed> {
    let within = buffer.get(..LINE_BYTES_MAX).unwrap_or(buffer);
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        if within.len() == LINE_BYTES_MAX {
            return Err("a version 1 header of more than 107 bytes");
        }
        return Ok(None);
    };
    let line = within.get(..end).and_then(|line| str::from_utf8(line).ok());
    let line = line.ok_or("a version 1 header that is no text")?;
    let source = source(line)?;
    Ok(Some((Report { source, ..Report::default() }, end + 2)))
}

fn source(line: &str) -> Result<Source, Malformed> {
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // What follows is to be ignored.
        return Ok(Source::Connection);
    }
    let mut next = || words.next().unwrap_or_default();
    let (source, destination, source_port, destination_port) = (next(), next(), next(), next());
    let ip = match family {
        "TCP4" => {
            address::<Ipv4Addr>(destination)?;
            IpAddr::V4(address(source)?)
        }
        "TCP6" => {
            address::<Ipv6Addr>(destination)?;
            IpAddr::V6(address(source)?)
        }
        _ => return Err("a version 1 header of another family than TCP4, TCP6, UNKNOWN"),
    };
    port(destination_port)?;
    let source = SocketAddr::new(ip, port(source_port)?);
    if words.next().is_some() {
        return Err("a version 1 header of more than six words");
    }
    Ok(Source::Address(source))
}

fn address<A: FromStr>(word: &str) -> Result<A, Malformed> {
    word.parse().map_err(|_| "a version 1 header with a bad address")
}

fn port(word: &str) -> Result<u16, Malformed> {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = word.len() > 1 && word.starts_with('0');
    if !is_number || has_leading_zero {
        return Err("a version 1 header with a bad port");
    }
    word.parse().map_err(|_| "a version 1 header with a bad port")
}
