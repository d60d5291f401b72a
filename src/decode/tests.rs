use std::net::SocketAddr;
use std::time::Duration;

use etherparse::PacketBuilder;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
use serde_json::json;

use super::*;

const CLIENT: &str = "192.0.2.1:4000";
const SERVER: &str = "192.0.2.2:1883";

/// CONNECT of 3.1.1 with client id "a".
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
const CONNACK: &[u8] = &[0x20, 2, 0, 0];
/// PUBLISH of 3.1.1, which is not one of 5.0.
const PUBLISH: &[u8] = b"\x30\x04\x00\x01th";

/// One packet of the network: time in microseconds, ends, and what is in it.
struct Seen {
    time_us: u64,
    ends: (SocketAddr, SocketAddr),
    /// Sequence number and SYN; none for UDP.
    tcp: Option<(u32, bool)>,
    payload: Vec<u8>,
}

fn udp(time_us: u64, from: &str, to: &str, payload: &[u8]) -> Seen {
    let ends = (from.parse().unwrap(), to.parse().unwrap());
    Seen { time_us, ends, tcp: None, payload: payload.to_vec() }
}

fn tcp(time_us: u64, from: &str, to: &str, sequence: u32, payload: &[u8]) -> Seen {
    Seen { tcp: Some((sequence, false)), ..udp(time_us, from, to, payload) }
}

fn syn(time_us: u64, from: &str, to: &str, sequence: u32) -> Seen {
    Seen { tcp: Some((sequence, true)), ..udp(time_us, from, to, &[]) }
}

impl Seen {
    fn ip(&self) -> Vec<u8> {
        let (SocketAddr::V4(from), SocketAddr::V4(to)) = self.ends else { panic!("IPv4") };
        let ip = PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64);
        let mut bytes = Vec::new();
        match self.tcp {
            Some((sequence, is_syn)) => {
                let tcp = ip.tcp(from.port(), to.port(), sequence, 1000);
                let tcp = if is_syn { tcp.syn() } else { tcp };
                tcp.write(&mut bytes, &self.payload).unwrap();
            }
            None => ip.udp(from.port(), to.port()).write(&mut bytes, &self.payload).unwrap(),
        }
        bytes
    }

    /// The same as an interface of this kind sees it.
    fn frame(&self, link: DataLink) -> Vec<u8> {
        let head: &[u8] = match link {
            DataLink::ETHERNET => &[2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 0],
            DataLink::LINUX_SLL => &[0, 0, 0, 1, 0, 6, 4, 4, 4, 4, 4, 4, 0, 0, 8, 0],
            DataLink::LINUX_SLL2 => &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 4, 4, 4, 4, 4, 4, 0, 0],
            DataLink::NULL => &[2, 0, 0, 0],
            DataLink::RAW => &[],
            other => panic!("{other:?}"),
        };
        [head, &self.ip()].concat()
    }
}

fn pcap(link: DataLink, seen: &[Seen]) -> Vec<u8> {
    let header = PcapHeader { datalink: link, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for one in seen {
        let frame = one.frame(link);
        let len = u32::try_from(frame.len()).unwrap();
        let time = Duration::from_micros(one.time_us);
        writer.write_packet(&PcapPacket::new(time, len, frame).unwrap()).unwrap();
    }
    writer.into_inner()
}

fn pcapng(seen: &[Seen]) -> Vec<u8> {
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: 0xffff,
        options: vec![],
    };
    writer.write_pcapng_block(interface).unwrap();
    for one in seen {
        let frame = one.frame(DataLink::ETHERNET);
        writer
            .write_pcapng_block(EnhancedPacketBlock {
                interface_id: 0,
                timestamp: Duration::from_micros(one.time_us),
                original_len: u32::try_from(frame.len()).unwrap(),
                data: frame.into(),
                options: vec![],
            })
            .unwrap();
    }
    writer.into_inner()
}

fn shown(gateway: &str, content: Vec<u8>, ports: &[u16]) -> Shown {
    let gateway = crate::gateways().iter().find(|known| known.name == gateway).unwrap();
    let decoder = gateway.decoder.unwrap();
    let input = Input::of_file(content).unwrap();
    Reading { gateway, decoder, version: None, ports }.show(input)
}

/// Packet, time, source and destination of each line.
fn summary(shown: &Shown) -> Vec<String> {
    let text = |line: &Json, key: &str| match &line[key] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = |line: &Json| {
        let what = match &line["error"] {
            Json::Null => text(line, "packet"),
            error => text(error, "kind"),
        };
        let (source, destination) = (text(line, "source"), text(line, "destination"));
        format!("{} {what} {source} {destination}", text(line, "time_us"))
    };
    shown.lines.iter().map(line).collect()
}

#[test]
fn streams_are_put_together_in_each_direction() {
    let seen = [
        syn(10, CLIENT, SERVER, 99),
        // CONNECT in two pieces that overtake each other, the first of which is sent again.
        tcp(12, CLIENT, SERVER, 105, &CONNECT[5..]),
        tcp(13, CLIENT, SERVER, 100, &CONNECT[..5]),
        tcp(14, CLIENT, SERVER, 100, &CONNECT[..7]),
        // The server's numbers wrap in the middle of its answer.
        tcp(15, SERVER, CLIENT, u32::MAX - 1, &[CONNACK, PUBLISH].concat()),
        tcp(16, CLIENT, SERVER, 115, &[0xc0, 0]),
        tcp(17, SERVER, CLIENT, 8, &[0xd0, 0]),
    ];
    for content in [pcap(DataLink::ETHERNET, &seen), pcapng(&seen)] {
        let shown = shown("mqtt", content, &[]);
        assert!(!shown.has_errors, "{shown:?}");
        let (up, down) = (format!("{CLIENT} {SERVER}"), format!("{SERVER} {CLIENT}"));
        let expected = [
            // Its last byte came with the segment that was late.
            format!("12 CONNECT {up}"),
            format!("15 CONNACK {down}"),
            format!("15 PUBLISH {down}"),
            format!("16 PINGREQ {up}"),
            format!("17 PINGRESP {down}"),
        ];
        assert_eq!(summary(&shown), expected);
        // The client has told the version that the server's packets are of.
        assert_eq!(shown.lines[2]["payload"], "h");
    }
}

#[test]
fn every_kind_of_interface_is_read() {
    let links = [
        DataLink::ETHERNET,
        DataLink::LINUX_SLL,
        DataLink::LINUX_SLL2,
        DataLink::NULL,
        DataLink::RAW,
    ];
    for link in links {
        let content = pcap(link, &[tcp(1, CLIENT, SERVER, 1, CONNECT)]);
        assert_eq!(summary(&shown("mqtt", content, &[])).len(), 1, "{link:?}");
    }
}

#[test]
fn a_gap_is_told_and_ends_its_direction() {
    let seen = [
        tcp(1, CLIENT, SERVER, 100, CONNECT),
        tcp(2, CLIENT, SERVER, 117, &[0xc0, 0]),
        tcp(3, SERVER, CLIENT, 1, CONNACK),
    ];
    let shown = shown("mqtt", pcap(DataLink::ETHERNET, &seen), &[]);
    assert!(shown.has_errors);
    let lines = summary(&shown);
    let expected = [
        format!("1 CONNECT {CLIENT} {SERVER}"),
        format!("1 gap {CLIENT} {SERVER}"),
        format!("3 CONNACK {SERVER} {CLIENT}"),
    ];
    assert_eq!(lines, expected);
    assert_eq!(shown.lines[1]["error"]["offset"], CONNECT.len());
}

#[test]
fn another_connection_between_the_same_ends_begins_anew() {
    let seen = [
        syn(1, CLIENT, SERVER, 99),
        tcp(2, CLIENT, SERVER, 100, CONNECT),
        syn(3, CLIENT, SERVER, 4999),
        tcp(4, CLIENT, SERVER, 5000, CONNECT),
    ];
    let shown = shown("mqtt", pcap(DataLink::ETHERNET, &seen), &[]);
    let expected = [format!("2 CONNECT {CLIENT} {SERVER}"), format!("4 CONNECT {CLIENT} {SERVER}")];
    assert_eq!(summary(&shown), expected);
}

#[test]
fn only_the_ports_asked_for_are_decoded() {
    let other = "192.0.2.2:80";
    let seen = [tcp(1, CLIENT, SERVER, 1, CONNECT), tcp(2, CLIENT, other, 1, b"GET / HTTP/1.1")];
    let content = pcap(DataLink::ETHERNET, &seen);
    assert!(shown("mqtt", content.clone(), &[]).has_errors);
    let some = shown("mqtt", content, &[7, 1883]);
    assert_eq!((some.lines.len(), some.has_errors), (1, false));
}

#[test]
fn a_bad_datagram_does_not_end_the_capture() {
    let (node, gateway) = ("192.0.2.1:5000", "192.0.2.2:10000");
    let seen = [
        // CONNECT of client "sn1", a datagram that is too short, and PINGRESP.
        udp(1, node, gateway, &[9, 4, 4, 1, 0, 60, b's', b'n', b'1']),
        udp(2, node, gateway, &[9, 4, 4]),
        udp(3, gateway, node, &[2, 0x17]),
        tcp(4, CLIENT, SERVER, 1, CONNECT),
    ];
    let shown = shown("mqtt-sn", pcapng(&seen), &[]);
    assert!(shown.has_errors);
    let expected = [
        format!("1 CONNECT {node} {gateway}"),
        format!("2 malformed {node} {gateway}"),
        format!("3 PINGRESP {gateway} {node}"),
    ];
    assert_eq!(summary(&shown), expected);
    assert_eq!(shown.lines[1]["error"]["requirement"], "mqttsn:GW-SN-01");
}

#[test]
fn fragments_are_told() {
    let mut frame = udp(1, CLIENT, SERVER, &[2, 0x17]).ip();
    // "More fragments", and the checksum, which nobody looks at.
    frame[6] |= 0x20;
    let header = PcapHeader { datalink: DataLink::RAW, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    let len = u32::try_from(frame.len()).unwrap();
    writer.write_packet(&PcapPacket::new(Duration::ZERO, len, frame).unwrap()).unwrap();
    let shown = shown("mqtt-sn", writer.into_inner(), &[]);
    assert_eq!(summary(&shown), ["0 fragment 192.0.2.1:0 192.0.2.2:0"]);
}

#[test]
fn a_broken_capture_is_refused() {
    let mut content = pcap(DataLink::ETHERNET, &[tcp(1, CLIENT, SERVER, 1, CONNECT)]);
    content.truncate(content.len() - 1);
    assert!(Input::of_file(content).unwrap_err().contains("broken capture"));
    for magic in [[0xd4, 0xc3, 0xb2, 0xa1], [0x0a, 0x0d, 0x0d, 0x0a]] {
        assert!(Input::of_file(magic.into()).unwrap_err().contains("capture"));
    }
}

#[test]
fn a_file_is_hexadecimal_or_the_bytes_themselves() {
    for content in [&b"c0:00 d0:00\n"[..], &[0xc0, 0, 0xd0, 0]] {
        let shown = shown("mqtt", content.to_vec(), &[]);
        assert_eq!(shown.lines, [json!({ "packet": "PINGREQ" }), json!({ "packet": "PINGRESP" })]);
        assert!(!shown.has_errors);
    }
    assert!(Input::of_text("c0:0").is_err());
}
