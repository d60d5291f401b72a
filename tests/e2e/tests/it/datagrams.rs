//! The transport of datagrams, with MQTT-SN on top: who is answered and from where, who is not,
//! and what a reload does to those who are there. Packets and headers are written by hand.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use serde_json::Value as Json;

use crate::operation::ask;
use crate::process::{LIMIT, wait_for};
use crate::server::Server;

const SHARDS: [u16; 2] = [1, 4];

const SEARCHGW: &[u8] = &[3, 0x01, 0];
/// The gateway's id is 1 where nothing else is said.
const GWINFO: &[u8] = &[3, 0x02, 1];
const ACCEPTED: &[u8] = &[3, 0x05, 0];
const CONGESTION: &[u8] = &[3, 0x05, 1];
const PINGREQ: &[u8] = &[2, 0x16];
const PINGRESP: &[u8] = &[2, 0x17];
const DISCONNECT: &[u8] = &[2, 0x18];

fn packet(kind: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let len = u8::try_from(body.len() + 2).expect("a short packet");
    [&[len, kind], &body[..]].concat()
}

/// A CONNECT with CleanSession and this Duration.
fn connect_for(client_id: &str, duration_s: u16) -> Vec<u8> {
    packet(0x04, &[&[0x04, 1], &duration_s.to_be_bytes(), client_id.as_bytes()])
}

fn connect(client_id: &str) -> Vec<u8> {
    connect_for(client_id, 600)
}

/// A server with one listener for MQTT-SN, called `sn`; `tables` are the rest of the file.
fn server(shards: u16, listener: &str, tables: &str) -> Server {
    let text = format!(
        "shards = {shards}\ndrain_timeout = \"1s\"\n[[listener]]\nname = \"sn\"\n\
         gateway = \"mqtt-sn\"\ntransport = \"udp\"\n{listener}\n{tables}"
    );
    Server::start_in(tempfile::tempdir().expect("a folder"), &text)
}

const LOOPBACK: &str = "bind = \"127.0.0.1:0\"";

/// One end of a conversation, which hears only the address that it speaks to.
struct Peer(UdpSocket);

impl Peer {
    /// On a free port of an address of this machine.
    fn at(ip: impl Into<IpAddr>, server: SocketAddr) -> Peer {
        let socket = UdpSocket::bind((ip.into(), 0)).expect("a free port");
        socket.connect(server).expect("a way to the server");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit of time");
        Peer(socket)
    }

    fn new(server: &Server) -> Peer {
        Peer::at(Ipv4Addr::LOCALHOST, server.address_of("sn"))
    }

    fn address(&self) -> String {
        self.0.local_addr().expect("it is bound").to_string()
    }

    fn send(&self, datagram: &[u8]) {
        self.0.send(datagram).expect("loopback takes it");
    }

    fn hear(&self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let len = self.0.recv(&mut buffer).expect("an answer");
        buffer[..len].to_vec()
    }

    #[track_caller]
    fn ask(&self, datagram: &[u8], answer: &[u8]) {
        self.send(datagram);
        assert_eq!(self.hear(), answer, "the answer to {datagram:x?}");
    }

    /// A connected client.
    fn client(server: &Server, client_id: &str) -> Peer {
        let peer = Peer::new(server);
        peer.ask(&connect(client_id), ACCEPTED);
        peer
    }
}

/// What is counted of the listener.
fn listener(server: &Server) -> Json {
    ask(server, &["listeners"]).remove(0)
}

/// Waits until a number of the listener is as it should be; counters are a moment old.
fn wait_until_listener(server: &Server, key: &str, wanted: u64) {
    wait_for(&format!("{key} = {wanted}"), || (listener(server)[key] == wanted).then_some(()));
}

fn datagram_counter(server: &Server, key: &str) -> u64 {
    ask(server, &["stats"])[0]["datagrams"][key].as_u64().expect("a number")
}

fn wait_until_counted(server: &Server, key: &str, wanted: u64) {
    wait_for(&format!("{wanted} datagrams {key}"), || {
        (datagram_counter(server, key) >= wanted).then_some(())
    });
    assert_eq!(datagram_counter(server, key), wanted, "{key}");
}

fn shown(server: &Server, client: &str) -> Json {
    ask(server, &["show", client]).remove(0)
}

#[test]
fn a_health_check_is_answered_and_opens_nothing() {
    let table = "[listener.udp]\nhealth_request = \"hex:ff ff\"\nhealth_answer = \"lives\"\n";
    let proxied = "proxy_protocol = \"v2\"\nproxy_protocol_from = [\"127.0.0.0/8\"]\n\
                   allow_anonymous = true";
    for (shards, more) in [(1, ""), (4, ""), (1, proxied)] {
        let server = server(shards, &format!("{LOOPBACK}\n{more}"), table);
        for _ in 0..8 {
            Peer::new(&server).ask(&[0xff, 0xff], b"lives");
        }
        wait_until_counted(&server, "sent", 8);
        let listener = listener(&server);
        assert_eq!((&listener["connections"], &listener["accepted"]), (&0.into(), &0.into()));
        if more.is_empty() {
            Peer::new(&server).ask(SEARCHGW, GWINFO);
        }
    }
}

#[test]
fn clients_come_to_any_shard() {
    const CLIENTS: usize = 48;
    for shards in SHARDS {
        let server = server(shards, LOOPBACK, "");
        let clients: Vec<Peer> =
            (0..CLIENTS).map(|n| Peer::client(&server, &format!("sn{n}"))).collect();
        for _ in 0..2 {
            clients.iter().for_each(|client| client.send(PINGREQ));
            clients.iter().for_each(|client| assert_eq!(client.hear(), PINGRESP));
        }
        wait_until_listener(&server, "connections", CLIENTS as u64);
        wait_until_counted(&server, "received", 3 * CLIENTS as u64);
        let forwarded = datagram_counter(&server, "forwarded");
        assert_eq!(forwarded > 0, shards > 1, "{forwarded} with {shards} shards");
        let said = server.operate(&["clients", "--connected"]);
        for client in &clients {
            assert!(said.contains(&client.address()), "{} is not in\n{said}", client.address());
            client.ask(DISCONNECT, DISCONNECT);
        }
        wait_until_listener(&server, "connections", 0);
    }
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    for shards in SHARDS {
        for (bind, addresses) in [
            ("0.0.0.0", &["127.0.0.1", "127.0.0.2", "127.0.0.3"][..]),
            ("[::]", &["::1", "127.0.0.1", "127.0.0.2"]),
        ] {
            let bind = format!("bind = \"{bind}:0\"\nallow_anonymous = true");
            let server = server(shards, &bind, "");
            let port = server.address_of("sn").port();
            let mut clients = Vec::new();
            for (number, to) in addresses.iter().enumerate() {
                let to: IpAddr = to.parse().expect("an address");
                let from: IpAddr = if to.is_ipv4() { [127, 0, 0, 1].into() } else { to };
                let peer = Peer::at(from, SocketAddr::new(to, port));
                peer.ask(SEARCHGW, GWINFO);
                peer.ask(&connect(&format!("sn{number}")), ACCEPTED);
                // SUBSCRIBE to the short topic `ab`: SUBACK.
                peer.ask(&[7, 0x12, 0x02, 0, 9, b'a', b'b'], &[8, 0x13, 0, 0, 0, 0, 9, 0]);
                clients.push(peer);
            }
            // What comes without being asked for, to all of them.
            let publish = packet(0x0c, &[&[0x02], b"ab", &[0, 0], b"hi"]);
            clients[0].send(&publish);
            for client in &clients {
                assert_eq!(client.hear(), publish);
            }
        }
    }
}

/// A header of the PROXY protocol, version 2, with the command and family of a datagram over IPv4.
fn proxied(command: u8, family: u8, client: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    datagram.extend([0x20 | command, family, 0, 12]);
    datagram.extend(client);
    datagram.extend([127, 0, 0, 1]);
    datagram.extend(port.to_be_bytes());
    datagram.extend([0x07, 0x5c]);
    datagram.extend(payload);
    datagram
}

#[test]
fn a_proxy_says_who_the_client_is() {
    const METER: [u8; 4] = [192, 0, 2, 7];
    let listener = format!(
        "{LOOPBACK}\nproxy_protocol = \"v2\"\nproxy_protocol_from = [\"127.0.0.9\"]\n\
         allow_anonymous = true"
    );
    for shards in SHARDS {
        let server = server(shards, &listener, "");
        let to = server.address_of("sn");
        let proxy = Peer::at([127, 0, 0, 9], to);
        proxy.ask(&proxied(1, 0x12, METER, 4711, SEARCHGW), GWINFO);
        proxy.ask(&proxied(1, 0x12, METER, 4711, &connect("meter")), ACCEPTED);
        proxy.ask(&proxied(1, 0x12, METER, 4712, &connect("other")), ACCEPTED);
        proxy.ask(&proxied(0, 0x00, [0; 4], 0, SEARCHGW), GWINFO);
        let meter = shown(&server, "meter");
        assert_eq!(meter["address"], "192.0.2.7:4711", "{meter}");
        assert_eq!(meter["transport"]["proxy"], proxy.address(), "{meter}");
        assert_eq!(shown(&server, "other")["address"], "192.0.2.7:4712");

        // Another port of the proxy: the client is the same, and is answered there.
        for _ in 0..8 {
            let port = Peer::at([127, 0, 0, 9], to);
            port.ask(&proxied(1, 0x12, METER, 4711, PINGREQ), PINGRESP);
        }
        proxy.ask(&proxied(1, 0x12, METER, 4712, PINGREQ), PINGRESP);
        wait_until_listener(&server, "connections", 2);

        // Whoever is no proxy speaks for himself.
        let stranger = Peer::new(&server);
        stranger.ask(&connect("stranger"), ACCEPTED);
        assert_eq!(shown(&server, "stranger")["address"], stranger.address());
        assert_eq!(shown(&server, "stranger")["transport"], Json::Null);

        // None of these is answered: a stranger's header, a proxy without one, one for TCP, one
        // that is cut off. The next one is.
        stranger.send(&proxied(1, 0x12, METER, 4711, SEARCHGW));
        stranger.ask(PINGREQ, PINGRESP);
        proxy.send(SEARCHGW);
        proxy.send(&proxied(1, 0x11, METER, 4711, SEARCHGW));
        proxy.send(&proxied(1, 0x12, METER, 4711, b"")[..27]);
        proxy.ask(&proxied(1, 0x12, METER, 4712, PINGREQ), PINGRESP);
        wait_until_counted(&server, "dropped_unproxied", 4);
    }
}

#[test]
fn there_are_no_more_peers_than_the_listener_may_have() {
    for shards in SHARDS {
        let server = server(shards, &format!("{LOOPBACK}\nmax_connections = 2"), "");
        let first = Peer::client(&server, "first");
        let second = Peer::client(&server, "second");
        let third = Peer::new(&server);
        third.ask(&connect("third"), CONGESTION);
        first.ask(PINGREQ, PINGRESP);
        first.ask(DISCONNECT, DISCONNECT);
        wait_until_listener(&server, "connections", 1);
        third.ask(&connect("third"), ACCEPTED);
        second.ask(PINGREQ, PINGRESP);
        wait_until_listener(&server, "refused", 1);
        let listener = listener(&server);
        assert_eq!((&listener["connections"], &listener["accepted"]), (&2.into(), &3.into()));
    }
}

#[test]
fn a_source_has_what_it_may_have() {
    let table = "[listener.sources]\nmax_connections = 1\nexempt = []\n";
    for shards in SHARDS {
        let server = server(shards, LOOPBACK, table);
        let to = server.address_of("sn");
        let first = Peer::client(&server, "first");
        Peer::new(&server).ask(&connect("second"), CONGESTION);
        let elsewhere = Peer::at([127, 0, 0, 2], to);
        elsewhere.ask(&connect("second"), ACCEPTED);
        first.ask(PINGREQ, PINGRESP);
        wait_until_listener(&server, "refused_by_source", 1);
    }
}

#[test]
fn strangers_who_ask_too_much_are_not_answered() {
    const ASKED: u64 = 100;
    let table = "[listener.sources]\nstray_rate = \"1/s\"\nexempt = []\n";
    for shards in SHARDS {
        let server = server(shards, LOOPBACK, table);
        let client = Peer::client(&server, "client");
        let loud = Peer::at([127, 0, 0, 3], server.address_of("sn"));
        for _ in 0..ASKED {
            loud.send(SEARCHGW);
        }
        assert_eq!(loud.hear(), GWINFO);
        wait_until_counted(&server, "received", ASKED + 1);
        assert!(datagram_counter(&server, "dropped_stray") > 0);
        Peer::at([127, 0, 0, 4], server.address_of("sn")).ask(SEARCHGW, GWINFO);
        client.ask(PINGREQ, PINGRESP);
    }
}

#[test]
fn who_is_silent_for_too_long_is_gone() {
    let table = "[listener.udp]\nidle_timeout = \"1s\"\n";
    for shards in SHARDS {
        let server = server(shards, LOOPBACK, table);
        let silent = Peer::new(&server);
        silent.ask(&connect_for("silent", 0), ACCEPTED);
        // It has agreed on a longer silence.
        let patient = Peer::client(&server, "patient");
        wait_until_listener(&server, "connections", 1);
        patient.ask(PINGREQ, PINGRESP);
        silent.ask(PINGREQ, DISCONNECT);
    }
}

#[test]
fn what_is_no_frame_harms_nobody() {
    for shards in SHARDS {
        let server = server(shards, LOOPBACK, "");
        let client = Peer::client(&server, "client");
        for garbage in [&[][..], &[0], &[9, 0x16], &[2, 0x03], &[3, 0x05], &[0xff; 1400]] {
            client.send(garbage);
            client.ask(PINGREQ, PINGRESP);
        }
        assert_eq!(listener(&server)["connections"], 1);
    }
}

/// Replaces a part of the configuration file.
fn edit(server: &Server, part: &str, by: &str) {
    let file = server.folder().join("manifold.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    assert!(text.contains(part), "{part:?} is not in {text}");
    std::fs::write(&file, text.replacen(part, by, 1)).expect("the folder is ours");
}

fn address_now(server: &Server, name: &str) -> SocketAddr {
    let listeners = ask(server, &["listeners"]);
    let found = listeners.iter().find(|found| found["name"] == name).expect("it is open");
    found["address"].as_str().expect("an address").parse().expect("address:port")
}

#[test]
fn a_reload_leaves_clients_alone_and_tells_those_whose_listener_goes() {
    const OTHER: &str = "[[listener]]\nname = \"other\"\ngateway = \"mqtt-sn\"\n\
                         transport = \"udp\"\nbind = \"127.0.0.1:0\"\n";
    for shards in SHARDS {
        let server = server(shards, LOOPBACK, "[listener.udp]\nrebind = \"trust\"\n#end\n");
        let clients: Vec<Peer> =
            (0..16).map(|n| Peer::client(&server, &format!("sn{n}"))).collect();
        let all_are_there = || {
            clients.iter().for_each(|client| client.send(PINGREQ));
            clients.iter().for_each(|client| assert_eq!(client.hear(), PINGRESP));
        };
        // In the middle of traffic.
        clients.iter().for_each(|client| client.send(PINGREQ));
        edit(&server, "rebind = \"trust\"", "rebind = \"same-ip\"\nidle_timeout = \"5min\"");
        let said = server.operate(&["reload"]);
        assert!(said.contains("listener.sn.udp.rebind") && said.ends_with("applied\n"), "{said}");
        clients.iter().for_each(|client| assert_eq!(client.hear(), PINGRESP));
        all_are_there();

        edit(&server, "#end\n", OTHER);
        let said = server.operate(&["reload"]);
        assert!(said.contains("listeners opened: other\n"), "{said}");
        let other = Peer::at([127, 0, 0, 1], address_now(&server, "other"));
        other.ask(SEARCHGW, GWINFO);
        other.ask(&connect("other"), ACCEPTED);
        all_are_there();

        edit(&server, OTHER, "");
        let said = server.operate_in_vain(&["reload"]);
        assert!(said.contains("listener other with 1"), "{said}");
        other.ask(PINGREQ, PINGRESP);
        server.operate(&["reload", "--yes"]);
        assert_eq!(other.hear(), DISCONNECT);
        all_are_there();
        assert_eq!(address_now(&server, "sn"), server.address_of("sn"));
    }
}

#[test]
fn tcp_and_udp_share_a_port() {
    let server = server(1, LOOPBACK, "");
    let port = server.address_of("sn").port();
    let both = format!("[[listener]]\nname = \"mqtt\"\nbind = \"127.0.0.1:{port}\"\n");
    let file = server.folder().join("manifold.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, text + &both).expect("the folder is ours");
    let client = Peer::client(&server, "client");
    server.operate(&["reload"]);
    std::net::TcpStream::connect(("127.0.0.1", port)).expect("MQTT is there");
    client.ask(PINGREQ, PINGRESP);
    let named: HashSet<_> =
        ask(&server, &["listeners"]).iter().map(|l| l["address"].to_string()).collect();
    assert_eq!(named.len(), 1, "{named:?}");
}
