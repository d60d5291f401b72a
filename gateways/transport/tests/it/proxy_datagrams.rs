use std::net::{IpAddr, SocketAddr};

use gateway_transport::{
    DatagramHeader, HandshakeFaultKind, ProxyRules, ProxyVersion, read_datagram_header,
};
use proptest::prelude::*;

use crate::proxy::{haproxy, tlv, v2};

const PROXY: &str = "10.0.0.9:5555";
const UDP4_BODY: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0x9c, 0x40, 0x07, 0x5b];

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn rules(version: ProxyVersion) -> ProxyRules {
    let trusted = vec!["10.0.0.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()];
    ProxyRules { version, trusted }
}

fn read(datagram: &[u8]) -> DatagramHeader {
    let header = read_datagram_header(&rules(ProxyVersion::V2), address(PROXY), datagram);
    header.unwrap_or_else(|fault| panic!("{fault} by {datagram:x?}"))
}

fn assert_refused(version: ProxyVersion, from: &str, datagram: &[u8], text: &str) {
    let fault = read_datagram_header(&rules(version), address(from), datagram).unwrap_err();
    assert_eq!(fault.kind, HandshakeFaultKind::Proxy);
    assert!(fault.text.contains(text), "{fault}");
}

/// A datagram of a client at 192.0.2.7:40000 with these extensions in its header.
fn with(extensions: &[Vec<u8>]) -> Vec<u8> {
    v2(0x21, 0x12, &[UDP4_BODY.to_vec(), extensions.concat()].concat())
}

/// The same with a checksum, computed bit by bit.
fn with_checksum() -> Vec<u8> {
    let mut header = with(&[tlv(0x03, &[0; 4])]);
    let mut crc = u32::MAX;
    for bit in header.iter().flat_map(|byte| (0..8).map(move |shift| u32::from(byte >> shift & 1)))
    {
        let is_odd = (crc ^ bit) & 1 == 1;
        crc = (crc >> 1) ^ if is_odd { 0x82f6_3b78 } else { 0 };
    }
    let at = header.len() - 4;
    header[at..].copy_from_slice(&(!crc).to_be_bytes());
    header
}

#[test]
fn each_datagram_names_its_client() {
    let datagram = [with(&[]), b"payload".to_vec()].concat();
    for version in [ProxyVersion::V2, ProxyVersion::Any] {
        let header = read_datagram_header(&rules(version), address(PROXY), &datagram).unwrap();
        assert_eq!((header.peer, header.len), (address("192.0.2.7:40000"), 28));
        let facts = header.into_facts().unwrap();
        assert_eq!(facts.proxy, Some(address(PROXY)));
        assert_eq!((&facts.server_name, &facts.tls_version), (&None, &None));
    }
    let mut body = [0; 36];
    body[0..16].copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    body[32..34].copy_from_slice(&40000u16.to_be_bytes());
    let header = read(&v2(0x21, 0x22, &body));
    assert_eq!((header.peer, header.len), (address("[2001:db8::7]:40000"), 52));
}

#[test]
fn a_proxy_that_speaks_for_itself_keeps_its_address() {
    for body in [b"".as_slice(), b"whatever this is", &UDP4_BODY] {
        for (version_command, family) in [(0x20, 0x00), (0x20, 0x12), (0x20, 0xff), (0x21, 0x00)] {
            let datagram = [v2(version_command, family, body), b"payload".to_vec()].concat();
            let header = read(&datagram);
            assert_eq!((header.peer, header.len), (address(PROXY), 16 + body.len()));
            assert_eq!(header.into_facts(), None);
        }
    }
}

#[test]
fn extensions_are_claims() {
    let tls = tlv(0x20, &[&[0x07, 0, 0, 0, 0], &tlv(0x22, b"pump-7")[..]].concat());
    let facts = read(&with(&[tlv(0x02, b"Gate.Example"), tls])).into_facts().unwrap();
    assert_eq!(facts.server_name.as_deref(), Some("gate.example"));
    assert_eq!(facts.proxy, Some(address(PROXY)));
    let certificate = facts.certificate.as_ref().unwrap();
    assert_eq!(certificate.common_name.as_deref(), Some("pump-7"));
    // Those of a network load balancer claim nothing that somebody asks for.
    let facts = read(&with(&[tlv(0xea, b"\x01vpce"), tlv(0x04, &[0; 9])])).into_facts().unwrap();
    assert_eq!((&facts.server_name, &facts.certificate), (&None, &None));
    assert_refused(ProxyVersion::V2, PROXY, &with(&[vec![0x02, 0, 1]]), "extension that is cut");
}

#[test]
fn checksums_are_checked() {
    let good = with_checksum();
    assert_eq!(read(&good).peer, address("192.0.2.7:40000"));
    for at in 16..28 {
        let mut damaged = good.clone();
        damaged[at] ^= 0x04;
        assert_refused(ProxyVersion::V2, PROXY, &damaged, "wrong checksum");
    }
}

#[test]
fn what_is_cut_off_is_refused() {
    let whole = with(&[tlv(0x04, &[0; 9])]);
    for len in 0..12 {
        let text = "without a header of version 2";
        assert_refused(ProxyVersion::V2, PROXY, &whole[..len], text);
    }
    for len in 12..whole.len() {
        assert_refused(ProxyVersion::V2, PROXY, &whole[..len], "cut off");
    }
    assert_eq!(read(&whole).len, whole.len());
    assert_refused(ProxyVersion::V2, PROXY, &v2(0x21, 0x12, &[0; 11]), "shorter than");
    assert_refused(ProxyVersion::V2, PROXY, &v2(0x21, 0x22, &[0; 35]), "shorter than");
}

#[test]
fn headers_of_connections_are_refused() {
    for family in [0x01, 0x10, 0x11, 0x21, 0x31, 0x32, 0x42] {
        let datagram = v2(0x21, family, &[0; 216]);
        assert_refused(ProxyVersion::V2, PROXY, &datagram, "neither UDP4 nor UDP6");
    }
    assert_refused(ProxyVersion::V2, PROXY, &haproxy("tcp4"), "neither UDP4 nor UDP6");
    assert_refused(ProxyVersion::V2, PROXY, &v2(0x11, 0x12, &UDP4_BODY), "version or command");
}

#[test]
fn a_trusted_source_has_to_send_version_2() {
    let text = "without a header of version 2";
    for version in [ProxyVersion::V1, ProxyVersion::V2, ProxyVersion::Any] {
        for datagram in [b"".as_slice(), b"\x03\x01\x00", b"PROXY TCP4 192.0.2.7 ::1 1 2\r\n"] {
            assert_refused(version, PROXY, datagram, text);
            assert_refused(version, "[::ffff:10.0.0.9]:1", datagram, text);
        }
    }
    assert_refused(ProxyVersion::V1, PROXY, &with(&[]), text);
}

#[test]
fn another_source_must_send_none() {
    for version in [ProxyVersion::V1, ProxyVersion::V2, ProxyVersion::Any] {
        for from in ["10.0.1.9:5555", "[fe80::1]:5555"] {
            assert_refused(version, from, &with(&[]), "not trusted");
            let own = b"\x03\x01\x00";
            let header = read_datagram_header(&rules(version), address(from), own).unwrap();
            assert_eq!((header.peer, header.len), (address(from), 0));
            assert_eq!(header.into_facts(), None);
        }
    }
    let off = read_datagram_header(&rules(ProxyVersion::Off), address(PROXY), &with(&[])).unwrap();
    assert_eq!((off.peer, off.len), (address(PROXY), 0));
}

proptest! {
    #[test]
    fn any_address_and_payload_come_through(
        source in any::<SocketAddr>(),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (family, octets) = match source.ip() {
            IpAddr::V4(ip) => (0x12, ip.octets().to_vec()),
            IpAddr::V6(ip) => (0x22, ip.octets().to_vec()),
        };
        let body = [&octets, &octets, &source.port().to_be_bytes()[..], &[7, 91]].concat();
        let datagram = [v2(0x21, family, &body), payload.clone()].concat();
        let header = read(&datagram);
        prop_assert_eq!(header.peer, SocketAddr::new(source.ip(), source.port()));
        prop_assert_eq!(&datagram[header.len..], &payload[..]);
    }
}
