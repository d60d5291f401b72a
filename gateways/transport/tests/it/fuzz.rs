//! Whatever comes in, nothing panics, and what is taken does not depend on how it is cut.
//!
//! `cargo test` runs a bounded number of random inputs and mutations of good ones;
//! `cargo bolero test fuzz::proxy` and the like go on from there.

use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use gateway_transport::{
    Entrance, Farewell, ProxyRules, ProxyVersion, TlsContext, read_datagram_header,
};
use rustls::{ClientConfig, ClientConnection};

use crate::authority::{Authority, Folder};
use crate::peer::{Server, V1_2, V1_3, client_config, pump};
use crate::websocket::{REQUEST, frame};

const PROXY: Option<&str> = Some("10.0.0.9:5555");

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    established: bool,
    over: bool,
    plain: Vec<u8>,
}

fn run(entrance: &Arc<Entrance>, before: &[u8], bytes: &[u8], step: usize) -> Outcome {
    let mut server = Server::begin(entrance, PROXY);
    server.feed(before);
    server.step = step;
    server.feed(bytes);
    let over = server.is_over();
    assert!(server.plain.len() <= before.len() + bytes.len());
    // A pong or close frame for a frame, an HTTP answer for a request, an alert for TLS.
    assert!(server.out.len() <= 1024 + before.len() + bytes.len());
    Outcome { established: server.established, over, plain: server.plain }
}

/// Feeds bytes whole and in pieces.
fn check(entrance: &Arc<Entrance>, before: &[u8], bytes: &[u8]) {
    let whole = run(entrance, before, bytes, usize::MAX);
    for step in [1, 3] {
        assert_eq!(run(entrance, before, bytes, step), whole, "in steps of {step}");
    }
}

/// Overwrites, drops and repeats bytes of `good` as the input says.
fn mutated(good: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for change in input.chunks(4) {
        let [act, high, low, value] = *change else { continue };
        if bytes.is_empty() {
            break;
        }
        let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
        match act % 4 {
            0 => bytes[at] = value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => drop(bytes.remove(at)),
            _ => bytes.insert(at, value),
        }
    }
    bytes
}

static WEBSOCKET: LazyLock<Arc<Entrance>> =
    LazyLock::new(|| Arc::new(crate::websocket::entrance()));

static TRUSTED_PROXY: LazyLock<Arc<Entrance>> =
    LazyLock::new(|| Arc::new(crate::proxy::entrance(ProxyVersion::Any)));

#[test]
fn proxy() {
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        check(&TRUSTED_PROXY, b"", input);
        let body: Vec<u8> = [&[192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 0, 2], input].concat();
        check(&TRUSTED_PROXY, b"", &crate::proxy::v2(0x21, 0x11, &body));
        if let Some((first, changes)) = input.split_first() {
            let name = crate::proxy::HAPROXY[usize::from(*first) % crate::proxy::HAPROXY.len()];
            check(&TRUSTED_PROXY, b"", &mutated(&crate::proxy::haproxy(name), changes));
        }
    });
}

#[test]
fn proxy_datagrams() {
    static RULES: LazyLock<ProxyRules> =
        LazyLock::new(|| crate::proxy_datagrams::rules(ProxyVersion::V2));
    let from = PROXY.unwrap().parse().unwrap();
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        let body: Vec<u8> = [&[192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 0, 2], input].concat();
        let good = crate::proxy::v2(0x21, 0x12, &body);
        for datagram in [input, &good, &mutated(&good, input)] {
            if let Ok(header) = read_datagram_header(&RULES, from, datagram) {
                assert!((16..=datagram.len()).contains(&header.len));
                // What follows the header does not change what it says.
                let alone = read_datagram_header(&RULES, from, &datagram[..header.len]);
                assert_eq!(alone.as_ref(), Ok(&header));
            }
        }
    });
}

#[test]
fn request() {
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        check(&WEBSOCKET, b"", &[b"G", input].concat());
        check(&WEBSOCKET, b"", &mutated(REQUEST.as_bytes(), input));
    });
}

#[test]
fn frames() {
    static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
        [
            frame(0x02, b"first "),
            frame(0x89, b"?"),
            frame(0x00, &[b'-'; 130]),
            frame(0x80, b""),
            frame(0x88, &[0x03, 0xe8]),
        ]
        .concat()
    });
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        check(&WEBSOCKET, REQUEST.as_bytes(), input);
        check(&WEBSOCKET, REQUEST.as_bytes(), &mutated(&GOOD, input));
    });
}

/// A listener with TLS, and a client's settings for both versions.
struct Tls {
    entrance: Arc<Entrance>,
    clients: [Arc<ClientConfig>; 2],
}

static TLS: LazyLock<Tls> = LazyLock::new(|| {
    let authority = Authority::new("servers");
    let folder = Folder::new();
    let files = folder.files(&authority.server("localhost"));
    let tls = Some(Arc::new(TlsContext::new(&files).unwrap()));
    Tls {
        entrance: Arc::new(Entrance { tls, ..Entrance::default() }),
        clients: [V1_2, V1_3].map(|version| Arc::new(client_config(&authority, version, None))),
    }
});

fn tls_client(version: u8) -> ClientConnection {
    let config = Arc::clone(&TLS.clients[usize::from(version % 2)]);
    ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap()
}

static HELLO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut hello = Vec::new();
    tls_client(1).write_tls(&mut hello).unwrap();
    hello
});

#[test]
fn hello() {
    bolero::check!().with_iterations(3_000).for_each(|input: &[u8]| {
        for bytes in [input.to_vec(), [b"\x16\x03\x01", input].concat(), mutated(&HELLO, input)] {
            let mut server = Server::begin(&TLS.entrance, PROXY);
            server.feed(&bytes);
            assert!(!server.established && server.plain.is_empty());
        }
    });
}

#[test]
fn records() {
    bolero::check!().with_iterations(500).for_each(|input: &[u8]| {
        let mut server = Server::begin(&TLS.entrance, PROXY);
        let mut client = tls_client(input.first().copied().unwrap_or_default());
        pump(&mut client, &mut server).unwrap();
        let mut wire = Vec::new();
        client.writer().write_all(b"content").unwrap();
        client.write_tls(&mut wire).unwrap();
        server.feed(&mutated(&wire, input));
        server.feed(input);
        assert!(server.plain.is_empty() || server.plain == b"content");
        let filter = server.filter.as_mut().unwrap();
        let answered = filter.outgoing(b"answer", &mut server.out);
        assert!(answered.is_ok() || server.fault.is_some());
        server.say_farewell(Farewell::Normal);
    });
}
