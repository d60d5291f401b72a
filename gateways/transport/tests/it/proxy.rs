use std::net::SocketAddr;
use std::sync::Arc;

use core_model::CertificateFacts;
use gateway_transport::{
    CertificateField, ClientAuth, Entrance, HandshakeFaultKind, ProxyRules, ProxyVersion,
    TlsContext,
};
use proptest::prelude::*;

use crate::authority::{Authority, Folder};
use crate::peer::{Server, V1_3, client_config, connect, pump};

const PROXY: &str = "10.0.0.9:5555";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

pub(crate) fn entrance(version: ProxyVersion) -> Entrance {
    let trusted = vec!["10.0.0.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()];
    Entrance { proxy: Some(ProxyRules { version, trusted }), ..Entrance::default() }
}

fn server(version: ProxyVersion) -> Server {
    Server::new(entrance(version), Some(PROXY))
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

/// Feeds bytes and returns where the client is said to be and what came after the header.
fn taken(version: ProxyVersion, bytes: &[u8]) -> Server {
    let mut server = server(version);
    server.feed(bytes);
    assert!(server.established, "{:?} by {bytes:x?}", server.refused);
    assert!(server.out.is_empty());
    server
}

fn assert_refused(version: ProxyVersion, bytes: &[u8], text: &str) {
    for step in [1, usize::MAX] {
        let mut server = server(version);
        server.step = step;
        server.feed(bytes);
        let fault = server.refused.unwrap_or_else(|| panic!("taken: {bytes:x?}"));
        assert_eq!(fault.kind, HandshakeFaultKind::Proxy);
        assert!(fault.text.contains(text), "{fault}");
        assert!(server.out.is_empty());
    }
}

/// A header of version 2 with a block of addresses and extensions.
pub(crate) fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([version_command, family]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

const TCP4_BODY: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0x9c, 0x40, 0x07, 0x5b];

pub(crate) fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &(value.len() as u16).to_be_bytes()[..], value].concat()
}

/// A header for a client at 192.0.2.7:40000 with these extensions.
fn with(extensions: &[Vec<u8>]) -> Vec<u8> {
    v2(0x21, 0x11, &[TCP4_BODY.to_vec(), extensions.concat()].concat())
}

fn tls(client: u8, verify: u32, inner: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x20, &[&[client], &verify.to_be_bytes()[..], &inner.concat()].concat())
}

pub(crate) const HAPROXY: [&str; 7] =
    ["tls-certificate", "tls-stranger", "tls-no-certificate", "tcp4", "tcp6", "v1", "unix"];

/// A header of HAProxy, with `END` after it.
pub(crate) fn haproxy(name: &str) -> Vec<u8> {
    let lines = include_str!("files/haproxy-2.6.txt").lines();
    let mut vectors = lines.filter_map(|line| line.split_once(' '));
    let (_, hex) = vectors.find(|(found, _)| *found == name).unwrap();
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn version_1_names_the_client() {
    for version in [ProxyVersion::V1, ProxyVersion::Any] {
        let server = taken(version, b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\n\x10\x00");
        assert_eq!(server.peer, address("192.0.2.7:40000"));
        assert_eq!(server.plain, b"\x10\x00");
        let facts = server.facts.unwrap();
        assert_eq!(facts.proxy, address(PROXY));
        assert_eq!((&facts.server_name, &facts.certificate), (&None, &None));
        let server = taken(version, b"PROXY TCP6 2001:db8::7 ::1 40000 1883\r\n");
        assert_eq!(server.peer, address("[2001:db8::7]:40000"));
        let server = taken(version, b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n");
        assert_eq!(server.peer, address("0.0.0.0:0"));
        let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
            ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        assert_eq!(longest.len(), 107);
        for unknown in ["PROXY UNKNOWN\r\n", longest, "PROXY UNKNOWN any thing\r\n"] {
            let server = taken(version, unknown.as_bytes());
            assert_eq!(server.peer, address(PROXY));
            assert!(server.facts.is_none());
        }
    }
}

#[test]
fn malformed_lines_of_version_1_are_refused() {
    for line in [
        "PROXY TCP4 192.0.2.7 192.0.2.1 40000\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883 \r\n",
        "PROXY TCP4  192.0.2.7 192.0.2.1 40000 1883\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 040000 1883\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 65536 1883\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 +1 1883\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 40000 x\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1  1883\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.1 40000 1883\r\n",
        "PROXY TCP4 2001:db8::7 ::1 40000 1883\r\n",
        "PROXY TCP6 192.0.2.7 192.0.2.1 40000 1883\r\n",
        "PROXY TCP4 192.0.2.7 ::1 40000 1883\r\n",
        "PROXY UDP4 192.0.2.7 192.0.2.1 40000 1883\r\n",
        "PROXY \r\n",
        "PROXY unknown\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\n\r\n",
        "PROXY TCP4\t192.0.2.7 192.0.2.1 40000 1883\r\n",
    ] {
        assert_refused(ProxyVersion::Any, line.as_bytes(), "version 1 header");
    }
    assert_refused(ProxyVersion::V1, b"PROXY TCP4 \xff\r\n", "no text");
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_refused(ProxyVersion::V1, endless.as_bytes(), "107 bytes");
    let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(too_long.len(), 108);
    assert_refused(ProxyVersion::V1, too_long.as_bytes(), "107 bytes");
}

#[test]
fn version_2_names_the_client() {
    for version in [ProxyVersion::V2, ProxyVersion::Any] {
        let mut server = taken(version, &[with(&[]), b"rest".to_vec()].concat());
        assert_eq!(server.peer, address("192.0.2.7:40000"));
        assert_eq!(server.plain, b"rest");
        server.feed(b" and more");
        assert_eq!(server.plain, b"rest and more");
        assert_eq!(server.facts.unwrap().proxy, address(PROXY));
        let mut body = [0; 36];
        body[0..16].copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
        body[32..34].copy_from_slice(&40000u16.to_be_bytes());
        let server = taken(version, &v2(0x21, 0x21, &body));
        assert_eq!(server.peer, address("[2001:db8::7]:40000"));
        let server = taken(version, &v2(0x21, 0x31, &[0; 216]));
        assert_eq!(server.peer, None);
        assert_eq!(server.facts.unwrap().proxy, address(PROXY));
    }
}

#[test]
fn a_proxy_that_speaks_for_itself_keeps_its_address() {
    for header in [
        v2(0x20, 0x00, b""),
        v2(0x20, 0x11, &TCP4_BODY),
        v2(0x20, 0xff, b"whatever this is"),
        v2(0x21, 0x00, b""),
        v2(0x21, 0x00, b"whatever this is"),
    ] {
        let server = taken(ProxyVersion::V2, &header);
        assert_eq!(server.peer, address(PROXY));
        assert!(server.facts.is_none());
    }
}

#[test]
fn malformed_heads_of_version_2_are_refused() {
    for version_command in [0x11, 0x01, 0x22, 0x2f, 0x31] {
        let header = v2(version_command, 0x11, &TCP4_BODY);
        assert_refused(ProxyVersion::V2, &header, "version or command");
    }
    for family in [0x01, 0x10, 0x12, 0x22, 0x32, 0x41] {
        assert_refused(ProxyVersion::V2, &v2(0x21, family, &[0; 216]), "no stream");
    }
    for (family, bytes) in [(0x11, 11), (0x21, 35), (0x31, 215)] {
        let header = v2(0x21, family, &vec![0; bytes]);
        assert_refused(ProxyVersion::V2, &header, "shorter than its addresses");
    }
}

#[test]
fn the_size_of_version_2_is_limited() {
    let padding = |bytes: usize| with(&[tlv(0x04, &vec![0; bytes - TCP4_BODY.len() - 3])]);
    taken(ProxyVersion::V2, &padding(8 * 1024));
    // The head is enough to be refused.
    let header = padding(8 * 1024 + 1);
    assert_refused(ProxyVersion::V2, &header[..16], "8 KiB");
}

#[test]
fn a_trusted_source_has_to_send_its_header() {
    for bytes in
        [b"\x10\x0e\0\x04MQTT".as_slice(), b"GET /", b"PROXZ", b"\x16\x03\x01", b"\r\n\r\r"]
    {
        assert_refused(ProxyVersion::Any, bytes, "no header");
    }
    let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\n";
    assert_refused(ProxyVersion::V2, v1, "no header");
    assert_refused(ProxyVersion::V1, &with(&[]), "no header");
}

#[test]
fn another_source_must_not_send_one() {
    for version in [ProxyVersion::V1, ProxyVersion::V2, ProxyVersion::Any] {
        for header in [b"PROXY UNKNOWN\r\n".to_vec(), with(&[])] {
            for step in [1, usize::MAX] {
                let mut server = Server::new(entrance(version), Some("10.0.1.9:5555"));
                server.step = step;
                server.feed(&header);
                let fault = server.refused.unwrap();
                assert_eq!(fault.kind, HandshakeFaultKind::Proxy);
                assert!(fault.text.contains("not trusted"), "{fault}");
            }
        }
        for bytes in [b"\x10\x0e\0\x04MQTT".as_slice(), b"PROXZ", b"\r\n\r\n\x01"] {
            let mut server = Server::new(entrance(version), Some("10.0.1.9:5555"));
            server.step = 1;
            server.feed(bytes);
            assert!(server.established);
            assert_eq!(server.plain, bytes);
            assert_eq!(server.peer, address("10.0.1.9:5555"));
            assert!(server.facts.is_none());
        }
    }
}

#[test]
fn trust_knows_both_families() {
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\n";
    for peer in [Some("[::ffff:10.0.0.9]:1"), Some("[fd00::1]:1"), None] {
        let mut server = Server::new(entrance(ProxyVersion::Any), peer);
        server.feed(header);
        assert!(server.established, "{peer:?}");
        assert_eq!(server.peer, address("192.0.2.7:40000"));
        assert_eq!(server.facts.unwrap().proxy, peer.map(|peer| peer.parse().unwrap()));
    }
    let mut server = Server::new(entrance(ProxyVersion::Any), Some("[fe80::1]:1"));
    server.feed(header);
    assert!(server.refused.is_some());
}

#[test]
fn without_a_version_nothing_is_read() {
    let mut server = server(ProxyVersion::Off);
    server.feed(b"PROXY UNKNOWN\r\n");
    assert_eq!(server.plain, b"PROXY UNKNOWN\r\n");
    assert!(server.established && server.facts.is_none());
}

fn certificate(common_name: &str) -> Option<CertificateFacts> {
    let common_name = Some(common_name.into());
    Some(CertificateFacts { common_name, ..CertificateFacts::default() })
}

#[test]
fn haproxy_is_understood() {
    let known = taken(ProxyVersion::V2, &haproxy("tls-certificate"));
    assert_eq!(known.peer, address("127.0.0.1:56604"));
    assert_eq!(known.plain, b"END");
    let facts = known.facts.unwrap();
    assert_eq!(facts.server_name.as_deref(), Some("mqtt.example.org"));
    assert_eq!(facts.tls_version.as_deref(), Some("TLSv1.3"));
    assert_eq!(facts.cipher.as_deref(), Some("TLS_AES_256_GCM_SHA384"));
    assert_eq!(facts.certificate, certificate("pump-7"));
    // HAProxy says that it could not verify this one.
    let stranger = taken(ProxyVersion::V2, &haproxy("tls-stranger")).facts.unwrap();
    assert_eq!(stranger.tls_version.as_deref(), Some("TLSv1.3"));
    assert_eq!(stranger.certificate, None);
    let without = taken(ProxyVersion::V2, &haproxy("tls-no-certificate")).facts.unwrap();
    assert_eq!(without.tls_version.as_deref(), Some("TLSv1.2"));
    assert_eq!(without.certificate, None);
    let tcp4 = taken(ProxyVersion::Any, &haproxy("tcp4"));
    assert_eq!(tcp4.peer, address("127.0.0.1:52674"));
    assert_eq!(tcp4.facts.unwrap().tls_version, None);
    assert_eq!(taken(ProxyVersion::V2, &haproxy("tcp6")).peer, address("[::1]:50070"));
    assert_eq!(taken(ProxyVersion::V1, &haproxy("v1")).peer, address("127.0.0.1:47062"));
    assert_eq!(taken(ProxyVersion::V2, &haproxy("unix")).peer, address(PROXY));
}

#[test]
fn a_wrong_checksum_is_refused() {
    let header = haproxy("tls-certificate");
    let bytes = header.len() - b"END".len();
    // Signature, version and length have errors of their own.
    for at in 16..bytes {
        let mut damaged = header.clone();
        damaged[at] ^= 0x20;
        let mut server = server(ProxyVersion::V2);
        server.feed(&damaged);
        // Where the damage hits the type or the length of the checksum, it is not found as one.
        let hides_checksum = (28..31).contains(&at);
        assert!(server.refused.is_some() || hides_checksum, "byte {at}");
    }
    assert_refused(ProxyVersion::V2, &with(&[tlv(0x03, &[0; 4])]), "wrong checksum");
    assert_refused(ProxyVersion::V2, &with(&[tlv(0x03, &[0; 3])]), "4 bytes");
}

#[test]
fn extensions_are_evidence_only_where_they_may_be() {
    let name = || tlv(0x22, b"pump-7");
    let facts = |extensions: &[Vec<u8>]| {
        (*taken(ProxyVersion::V2, &with(extensions)).facts.unwrap()).clone()
    };
    for client in [0x03, 0x05, 0x07] {
        assert_eq!(facts(&[tls(client, 0, &[name()])]).certificate, certificate("pump-7"));
        assert_eq!(facts(&[tls(client, 1, &[name()])]).certificate, None);
        assert_eq!(facts(&[tls(client, u32::MAX, &[name()])]).certificate, None);
    }
    for client in [0x00, 0x01, 0x02, 0x04, 0x06, 0x80] {
        assert_eq!(facts(&[tls(client, 0, &[name()])]).certificate, None, "{client:#x}");
    }
    let unnamed = facts(&[tls(0x07, 0, &[])]).certificate.unwrap();
    assert_eq!(unnamed, CertificateFacts::default());
    let untold = facts(&[tls(0x00, 0, &[tlv(0x21, b"TLSv1.3"), tlv(0x23, b"X")])]);
    assert_eq!((untold.tls_version, untold.cipher), (None, None));
    assert_eq!(facts(&[tlv(0x02, b"MQTT.Example")]).server_name.as_deref(), Some("mqtt.example"));
    assert_eq!(facts(&[tlv(0x02, b"")]).server_name, None);
    // Application protocol, unique id, padding, name space, unknown and private ones.
    facts(&[
        tlv(0x01, b"mqtt"),
        tlv(0x05, &[0; 128]),
        tlv(0x04, b""),
        tlv(0x30, b"ns"),
        tlv(0x99, b"?"),
        tlv(0xea, b"\x01vpce"),
        tlv(0x04, &[0; 9]),
    ]);
}

#[test]
fn malformed_extensions_are_refused() {
    let refused = |extensions: &[Vec<u8>], text| {
        assert_refused(ProxyVersion::V2, &with(extensions), text);
    };
    refused(&[vec![0x02]], "cut off");
    refused(&[vec![0x02, 0]], "cut off");
    refused(&[vec![0x02, 0, 1]], "cut off");
    refused(&[tls(0x07, 0, &[vec![0x22, 0, 9, b'x']])], "cut off");
    refused(&[tlv(0x20, &[0; 4])], "too short");
    refused(&[tlv(0x05, &[0; 129])], "128 bytes");
    refused(&[tlv(0x02, b"a"), tlv(0x02, b"b")], "twice");
    refused(&[tls(0x07, 0, &[]), tls(0x07, 0, &[])], "twice");
    refused(&[tls(0x07, 0, &[tlv(0x22, b"a"), tlv(0x22, b"b")])], "twice");
    for name in [b"ad\0min".as_slice(), b"a\nb", &[b'n'; 1025]] {
        refused(&[tls(0x07, 0, &[tlv(0x22, name)])], "control characters");
        refused(&[tlv(0x02, name)], "control characters");
    }
    refused(&[tls(0x07, 0, &[tlv(0x22, b"\xff")])], "no text");
}

#[test]
fn a_reported_certificate_gives_the_client_id() {
    let with_id =
        || Entrance { client_id: Some(CertificateField::CommonName), ..entrance(ProxyVersion::V2) };
    let mut server = Server::new(with_id(), Some(PROXY));
    server.feed(&haproxy("tls-certificate"));
    assert_eq!(server.client_id.as_deref(), Some("pump-7"));
    let mut server = Server::new(with_id(), Some(PROXY));
    server.feed(&haproxy("tls-stranger"));
    assert!(server.established && server.client_id.is_none());
    let mut server = Server::new(with_id(), Some(PROXY));
    server.feed(&with(&[tls(0x07, 0, &[])]));
    assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::Certificate);
}

#[test]
fn tls_and_websocket_follow_the_header() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let folder = Folder::new();
    let files = folder.mutual_files(&servers.server("localhost"), &clients, ClientAuth::Required);
    let tls_context = Some(Arc::new(TlsContext::new(&files).unwrap()));
    let certified = clients.client("inner", 1);
    let run = |header: &[u8]| {
        let entrance = Entrance { tls: tls_context.clone(), ..entrance(ProxyVersion::V2) };
        let mut server = Server::new(entrance, Some(PROXY));
        server.step = 10;
        server.feed(header);
        let mut client = connect(client_config(&servers, V1_3, Some(&certified)), "localhost");
        pump(&mut client, &mut server).unwrap();
        assert_eq!(server.peer, address("192.0.2.7:40000"));
        (*server.facts.unwrap()).clone()
    };
    // The proxy passes TLS on: it is the client's.
    let passed_on = run(&with(&[tlv(0x02, b"ignored.example")]));
    assert_eq!(passed_on.server_name.as_deref(), Some("localhost"));
    assert_eq!(passed_on.certificate.unwrap().common_name.as_deref(), Some("inner"));
    assert_eq!(passed_on.proxy, address(PROXY));
    // The proxy has ended the client's TLS: ours is its own.
    let inner = [tlv(0x21, b"TLSv1.2"), tlv(0x22, b"outer")];
    let ended = run(&with(&[tls(0x07, 0, &inner)]));
    assert_eq!(ended.tls_version.as_deref(), Some("TLSv1.2"));
    assert_eq!(ended.certificate, certificate("outer"));
    let ended = run(&with(&[tls(0x01, 0, &[])]));
    assert_eq!(ended.certificate, None);

    let websocket = crate::websocket::entrance().websocket;
    let mut server = Server::new(Entrance { websocket, ..entrance(ProxyVersion::V2) }, Some(PROXY));
    let request = crate::websocket::REQUEST.as_bytes();
    server.feed(&[&with(&[])[..], request, &crate::websocket::frame(0x82, b"x")].concat());
    assert_eq!(server.peer, address("192.0.2.7:40000"));
    assert_eq!(server.plain, b"x");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_split_and_any_address_is_the_same(
        source in any::<SocketAddr>(),
        cuts in prop::collection::vec(0usize..200, 0..6),
        speaks_v1 in any::<bool>(),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let ip = source.ip();
        let mut wire = if speaks_v1 {
            let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {ip} {ip} {} 1883\r\n", source.port()).into_bytes()
        } else {
            let (family, octets) = match ip {
                std::net::IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
                std::net::IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
            };
            let body = [&octets, &octets, &source.port().to_be_bytes()[..], &[7, 91]].concat();
            v2(0x21, family, &body)
        };
        wire.extend(&rest);
        let mut server = server(ProxyVersion::Any);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
        cuts.push(wire.len());
        cuts.sort_unstable();
        let mut start = 0;
        for cut in cuts {
            server.feed(&wire[start..cut]);
            start = cut;
        }
        prop_assert_eq!(server.peer, Some(SocketAddr::new(ip, source.port())));
        prop_assert_eq!(server.plain, rest);
    }
}
