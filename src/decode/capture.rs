//! Packets of pcap and pcapng files.

use std::net::SocketAddr;
use std::time::Duration;

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};

/// Where a packet comes from, and where it goes.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// A packet of a capture, without what is around its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Microseconds since 1970.
    pub(super) time_us: u64,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) carrier: Carrier,
    pub(super) payload: Vec<u8>,
}

/// What carries a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Udp,
    Tcp {
        sequence: u32,
        /// Whether it opens a connection.
        syn: bool,
    },
    /// A part of an IP packet, without ports.
    Fragment,
}

/// Whether `bytes` begin like a capture.
pub(super) fn is_capture(bytes: &[u8]) -> bool {
    /// Microseconds and nanoseconds in either order of bytes, and pcapng.
    const MAGIC: [[u8; 4]; 5] = [
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x4d, 0x3c, 0xb2, 0xa1],
        PCAPNG,
    ];
    bytes.first_chunk().is_some_and(|magic| MAGIC.contains(magic))
}

const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The TCP and UDP packets of a capture, in its order.
///
/// # Errors
/// It is broken, in words for people.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Packet>, String> {
    let mut packets = Vec::new();
    let mut take = |link, time: Duration, frame: &[u8]| {
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        packets.extend(packet(link, time_us, frame));
    };
    match bytes.starts_with(&PCAPNG) {
        true => read_pcapng(bytes, &mut take)?,
        false => read_pcap(bytes, &mut take)?,
    }
    Ok(packets)
}

type Take<'t> = &'t mut dyn FnMut(DataLink, Duration, &[u8]);

fn read_pcap(bytes: &[u8], take: Take<'_>) -> Result<(), String> {
    let mut reader = PcapReader::new(bytes).map_err(|error| format!("not a capture: {error}"))?;
    let link = reader.header().datalink;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| format!("broken capture: {error}"))?;
        take(link, packet.timestamp(), packet.data());
    }
    Ok(())
}

fn read_pcapng(bytes: &[u8], take: Take<'_>) -> Result<(), String> {
    let mut reader = PcapNgReader::new(bytes).map_err(|error| format!("not a capture: {error}"))?;
    while let Some(block) = reader.next_block() {
        let (block, state) = block.map_err(|error| format!("broken capture: {error}"))?;
        let interface = |id: usize| state.interfaces().get(id).map(|one| one.linktype);
        match block {
            Block::EnhancedPacket(packet) => {
                let id = usize::try_from(packet.interface_id).unwrap_or(usize::MAX);
                if let Some(link) = interface(id) {
                    take(link, packet.timestamp, &packet.data);
                }
            }
            // It has no time of its own.
            Block::SimplePacket(packet) => {
                if let Some(link) = interface(0) {
                    take(link, Duration::ZERO, &packet.data);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What of a frame of the network is for us, if anything.
fn packet(link: DataLink, time_us: u64, frame: &[u8]) -> Option<Packet> {
    let sliced = slice(link, frame)?;
    let (from, to, is_fragment) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            (from.into(), to.into(), ip.payload().fragmented)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            (from.into(), to.into(), ip.payload().fragmented)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let (ports, carrier, payload) = match sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            ((udp.source_port(), udp.destination_port()), Carrier::Udp, udp.payload())
        }
        Some(TransportSlice::Tcp(tcp)) => {
            let carrier = Carrier::Tcp { sequence: tcp.sequence_number(), syn: tcp.syn() };
            ((tcp.source_port(), tcp.destination_port()), carrier, tcp.payload())
        }
        None if is_fragment => ((0, 0), Carrier::Fragment, &[][..]),
        _ => return None,
    };
    let source = SocketAddr::new(from, ports.0);
    let destination = SocketAddr::new(to, ports.1);
    Some(Packet { time_us, source, destination, carrier, payload: payload.to_vec() })
}

fn slice(link: DataLink, frame: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    match link {
        DataLink::ETHERNET => LaxSlicedPacket::from_ethernet(frame).ok(),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => LaxSlicedPacket::from_ip(frame).ok(),
        // The family of addresses stands in front, in an order of bytes that varies.
        DataLink::NULL | DataLink::LOOP => LaxSlicedPacket::from_ip(frame.get(4..)?).ok(),
        // "Any interface" of Linux: the type of what follows is at the end of the header, or in the
        // second version at its start.
        DataLink::LINUX_SLL => {
            let (header, rest) = frame.split_first_chunk::<16>()?;
            let [.., high, low] = *header;
            Some(LaxSlicedPacket::from_ether_type(ether_type(high, low), rest))
        }
        DataLink::LINUX_SLL2 => {
            let (header, rest) = frame.split_first_chunk::<20>()?;
            let [high, low, ..] = *header;
            Some(LaxSlicedPacket::from_ether_type(ether_type(high, low), rest))
        }
        _ => None,
    }
}

fn ether_type(high: u8, low: u8) -> EtherType {
    EtherType(u16::from_be_bytes([high, low]))
}
