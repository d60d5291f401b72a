use std::sync::Arc;

use gateway_transport::{
    Entrance, Farewell, FilterFaultKind, HandshakeFaultKind, TlsContext, WebSocketRules,
};
use rustls::StreamOwned;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::{Error, Message, WebSocket};

use crate::authority::{Authority, Folder};
use crate::peer::{Pipe, Server, V1_2, V1_3, client_config, connect};

pub(crate) const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

pub(crate) fn entrance() -> Entrance {
    Entrance { websocket: Some(WebSocketRules::default()), ..Entrance::default() }
}

fn request(protocol: Option<&'static str>) -> Request {
    let mut request = "ws://localhost/mqtt?token=x".into_client_request().unwrap();
    if let Some(protocol) = protocol {
        let value = HeaderValue::from_static(protocol);
        request.headers_mut().insert("Sec-WebSocket-Protocol", value);
    }
    request
}

fn open(server: &mut Server) -> WebSocket<Pipe<'_>> {
    tungstenite::client(request(Some("mqtt")), Pipe(server)).unwrap().0
}

/// A server after its upgrade.
fn upgraded() -> Server {
    let mut server = Server::new(entrance(), None);
    server.feed(REQUEST.as_bytes());
    assert!(server.established);
    server.out.clear();
    server
}

/// A frame of a client.
pub(crate) fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let mask = [0xa1, 0x02, 0xf3, 0x54];
    let mut bytes = vec![first];
    match content.len() {
        length @ ..126 => bytes.push(0x80 | length as u8),
        length @ ..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn close_frame(code: u16) -> Vec<u8> {
    [&[CLOSE, 2][..], &code.to_be_bytes()].concat()
}

/// Feeds what breaks a rule and expects the close frame with `code`.
fn assert_closes(bytes: &[u8], code: u16) {
    for step in [1, 2, usize::MAX] {
        let mut server = upgraded();
        server.step = step;
        server.feed(bytes);
        let fault = server.fault.as_ref().unwrap_or_else(|| panic!("{bytes:x?} were taken"));
        assert_eq!(fault.kind, FilterFaultKind::WebSocket);
        assert_eq!(server.out, close_frame(code), "{fault} by {bytes:x?}");
        server.out.clear();
        server.say_farewell(Farewell::ProtocolError);
        assert!(server.out.is_empty(), "it is said once");
    }
}

//= mqtt5:6.0.0-4
//= mqtt311:6.0.0-4
#[test]
fn a_foreign_client_gets_the_subprotocol_it_asks_for() {
    for (offer, chosen) in [
        ("mqtt", "mqtt"),
        ("mqttv3.1", "mqttv3.1"),
        ("wamp, mqttv3.1, mqtt", "mqttv3.1"),
        ("chat,mqtt", "mqtt"),
    ] {
        let mut server = Server::new(entrance(), None);
        let (_, response) = tungstenite::client(request(Some(offer)), Pipe(&mut server)).unwrap();
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], chosen);
        assert!(server.established && server.facts.is_none());
    }
}

//= mqtt5:6.0.0-3
//= mqtt311:6.0.0-3
#[test]
fn a_client_without_a_known_subprotocol_is_refused() {
    for offer in [None, Some("chat"), Some("MQTT"), Some("mqtt5")] {
        let mut server = Server::new(entrance(), None);
        let Err(tungstenite::HandshakeError::Failure(Error::Http(response))) =
            tungstenite::client(request(offer), Pipe(&mut server))
        else {
            panic!("{offer:?} was taken");
        };
        assert_eq!(response.status(), 400);
        assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::WebSocket);
    }
    let rules = WebSocketRules { protocols: Vec::new(), ..WebSocketRules::default() };
    let entrance = Entrance { websocket: Some(rules), ..Entrance::default() };
    let mut server = Server::new(entrance, None);
    let (_, response) = tungstenite::client(request(None), Pipe(&mut server)).unwrap();
    assert!(!response.headers().contains_key("Sec-WebSocket-Protocol"));
}

//= mqtt5:6.0.0-2
//= mqtt311:6.0.0-2
#[test]
fn data_of_a_foreign_client_comes_through_whole() {
    let mut server = Server::new(entrance(), None);
    let mut client = open(&mut server);
    let mut expected = Vec::new();
    for size in [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 200_000] {
        let content: Vec<u8> = (0..size).map(|at| (at * 31) as u8).collect();
        client.send(Message::binary(content.clone())).unwrap();
        expected.extend(content);
    }
    drop(client);
    assert_eq!(server.plain, expected);
}

#[test]
fn a_foreign_client_reads_what_is_sent() {
    let mut server = Server::new(entrance(), None);
    let mut client = open(&mut server);
    for size in [1, 125, 126, 65_535, 65_536, 100_000] {
        let content = vec![0x5a; size];
        client.get_mut().0.send(&content);
        let Message::Binary(received) = client.read().unwrap() else { panic!("not binary") };
        assert_eq!(received, content);
    }
    client.get_mut().0.send(b"");
    assert!(client.get_mut().0.out.is_empty());
}

fn part(opcode: OpCode, is_last: bool, content: &'static [u8]) -> Message {
    let header = FrameHeader {
        is_final: is_last,
        opcode,
        mask: Some([1, 2, 3, 4]),
        ..FrameHeader::default()
    };
    Message::Frame(Frame::from_payload(header, content.into()))
}

#[test]
fn a_ping_between_fragments_is_answered() {
    let mut server = Server::new(entrance(), None);
    let mut client = open(&mut server);
    client.send(part(OpCode::Data(Data::Binary), false, b"one ")).unwrap();
    client.send(Message::Ping(b"are you there".as_slice().into())).unwrap();
    client.send(part(OpCode::Data(Data::Continue), false, b"two ")).unwrap();
    client.send(part(OpCode::Data(Data::Continue), false, b"")).unwrap();
    client.send(Message::Pong(b"nobody asked".as_slice().into())).unwrap();
    client.send(part(OpCode::Data(Data::Continue), true, b"three")).unwrap();
    client.send(Message::binary(b" four".as_slice())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong(b"are you there".as_slice().into()));
    drop(client);
    assert_eq!(server.plain, b"one two three four");
    assert!(!server.is_over());
}

#[test]
fn of_a_burst_of_pings_the_last_is_answered() {
    let mut server = upgraded();
    let burst: Vec<u8> = (0..100).flat_map(|number| frame(PING, &[number])).collect();
    server.feed(&burst);
    assert_eq!(server.out, [0x8a, 1, 99]);
    server.out.clear();
    server.feed(&frame(PING, &[7; 125]));
    assert_eq!(server.out, [&[0x8a, 125][..], &[7; 125]].concat());
}

#[test]
fn a_client_that_closes_gets_its_code_back() {
    let mut server = Server::new(entrance(), None);
    let mut client = open(&mut server);
    client.send(Message::binary(b"last".as_slice())).unwrap();
    let reason = CloseFrame { code: CloseCode::Away, reason: "page left".into() };
    client.close(Some(reason)).unwrap();
    let Message::Close(Some(answer)) = client.read().unwrap() else { panic!("no code") };
    assert_eq!(answer.code, CloseCode::Away);
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    drop(client);
    assert!(server.ended);
    assert_eq!(server.plain, b"last");
}

#[test]
fn close_codes_are_checked() {
    for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
        let mut server = upgraded();
        server.feed(&[frame(CLOSE, &u16::to_be_bytes(code)), frame(BINARY, b"late")].concat());
        assert!(server.ended && server.plain.is_empty());
        assert_eq!(server.out, close_frame(code));
        assert!(server.filter.unwrap().outgoing(b"late", &mut Vec::new()).is_err());
    }
    let mut server = upgraded();
    server.feed(&frame(CLOSE, b""));
    assert!(server.ended);
    assert_eq!(server.out, [CLOSE, 0]);
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535] {
        assert_closes(&frame(CLOSE, &code.to_be_bytes()), 1002);
    }
    assert_closes(&frame(CLOSE, &[3]), 1002);
    assert_closes(&frame(CLOSE, &[0x03, 0xe8, 0xff]), 1007);
}

#[test]
fn the_server_says_why_it_closes() {
    for (why, code) in [
        (Farewell::Normal, 1000),
        (Farewell::GoingAway, 1001),
        (Farewell::ProtocolError, 1002),
        (Farewell::Policy, 1008),
        (Farewell::TooLarge, 1009),
        (Farewell::Internal, 1011),
    ] {
        let mut server = upgraded();
        server.say_farewell(why);
        assert_eq!(server.out, close_frame(code));
        server.out.clear();
        server.feed(&[frame(BINARY, b"late"), frame(PING, b"late")].concat());
        assert!(server.plain.is_empty() && server.out.is_empty() && !server.is_over());
        server.feed(&frame(CLOSE, &code.to_be_bytes()));
        assert!(server.out.is_empty() && server.ended);
    }
}

//= mqtt5:6.0.0-1
//= mqtt311:6.0.0-1
#[test]
fn a_text_frame_closes_the_link() {
    let mut server = Server::new(entrance(), None);
    let mut client = open(&mut server);
    client.send(Message::text("hello")).unwrap();
    let Message::Close(Some(answer)) = client.read().unwrap() else { panic!("no code") };
    assert_eq!(answer.code, CloseCode::Unsupported);
    drop(client);
    assert!(server.plain.is_empty());
    assert_closes(&frame(0x81, b"hello"), 1003);
    assert_closes(&frame(0x01, b""), 1003);
}

#[test]
fn broken_framing_closes_the_link() {
    let unmasked = [0x82, 2, 1, 2];
    assert_closes(&unmasked, 1002);
    for reserved_bit in [0x40, 0x20, 0x10] {
        assert_closes(&frame(BINARY | reserved_bit, b"x"), 1002);
    }
    for opcode in [0x3, 0x4, 0x7, 0xb, 0xf] {
        assert_closes(&frame(0x80 | opcode, b"x"), 1002);
    }
    for control in [CLOSE, PING, 0x8a] {
        assert_closes(&frame(control & 0x7f, b"x"), 1002);
        assert_closes(&frame(control, &[0; 126]), 1002);
    }
    assert_closes(&frame(0x80, b"continues nothing"), 1002);
    assert_closes(&[frame(0x02, b"begun"), frame(BINARY, b"again")].concat(), 1002);
    assert_closes(&[frame(BINARY, b"whole"), frame(0x80, b"more")].concat(), 1002);
    let long_length = [0x82, 0xfe, 0, 125, 0, 0, 0, 0];
    assert_closes(&long_length, 1002);
    let longer_length = [0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    assert_closes(&longer_length, 1002);
    let endless = [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_closes(&endless, 1002);
}

#[test]
fn a_huge_frame_is_passed_on_as_it_comes() {
    let mut server = upgraded();
    server.feed(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let idle = server.filter.as_ref().unwrap().held_bytes();
    for _ in 0..100 {
        server.feed(&[7; 1000]);
    }
    assert_eq!(server.plain.len(), 100_000);
    assert_eq!(server.filter.as_ref().unwrap().held_bytes(), idle);
}

#[test]
fn any_split_of_the_wire_is_the_same() {
    let wire = [
        REQUEST.as_bytes().to_vec(),
        frame(0x02, b"first "),
        frame(PING, b"?"),
        frame(0x00, &[b'-'; 300]),
        frame(0x80, b""),
        frame(BINARY, &[b'='; 70_000]),
        frame(CLOSE, &[0x03, 0xe8]),
    ]
    .concat();
    let run = |cut: &dyn Fn(usize) -> bool| {
        let mut server = Server::new(entrance(), None);
        let mut start = 0;
        for at in 1..=wire.len() {
            if at == wire.len() || cut(at) {
                server.feed(&wire[start..at]);
                start = at;
            }
        }
        assert!(server.ended);
        (server.plain, server.out)
    };
    // A client waits for the answer to its request before it sends frames.
    let whole = run(&|at| at == REQUEST.len());
    assert_eq!(whole.0.len(), 6 + 300 + 70_000);
    for at in 1..REQUEST.len() + 400 {
        assert_eq!(run(&|cut| cut == at || cut == REQUEST.len()), whole, "cut at {at}");
    }
    for step in [1, 2, 3, 5, 1000] {
        assert_eq!(run(&|cut| cut % step == 0), whole, "steps of {step}");
    }
}

#[test]
fn frames_may_come_with_the_request() {
    let mut server = Server::new(entrance(), None);
    server.feed(&[REQUEST.as_bytes(), &frame(BINARY, b"early"), &frame(PING, b"?")].concat());
    assert!(server.established);
    assert_eq!(server.plain, b"early");
    assert!(server.out.ends_with(b"\r\n\r\n\x8a\x01?"));
    let mut server = Server::new(entrance(), None);
    server.feed(&[REQUEST.as_bytes(), &frame(0x81, b"text")].concat());
    assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::WebSocket);
    assert!(server.out.ends_with(&close_frame(1003)));
}

/// Feeds a request and returns the answer.
fn answer_to(rules: WebSocketRules, request: &str) -> String {
    let entrance = Entrance { websocket: Some(rules), ..Entrance::default() };
    let mut server = Server::new(entrance, None);
    server.feed(request.as_bytes());
    let answer = String::from_utf8(server.out).unwrap();
    assert_eq!(server.established, answer.starts_with("HTTP/1.1 101 "), "{answer}");
    if !server.established {
        assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::WebSocket);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
        assert!(head.contains("close"), "{answer}");
    }
    answer
}

fn assert_answer(from: &str, to: &str, status: u16) -> String {
    assert!(REQUEST.contains(from));
    let answer = answer_to(WebSocketRules::default(), &REQUEST.replace(from, to));
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {answer}");
    answer
}

#[test]
fn requests_are_answered_precisely() {
    assert_answer("GET", "GET", 101);
    assert_answer("/mqtt", "/mqtt?x=y", 101);
    assert_answer("Connection: keep-alive, Upgrade", "connection:upgrade", 101);
    for path in ["/", "/mqtt/", "/mqtt2", "/MQTT", "*"] {
        assert_answer("/mqtt", path, 404);
    }
    for method in ["POST", "HEAD", "PUT"] {
        let answer = assert_answer("GET", method, 405);
        assert!(answer.contains("\r\nAllow: GET\r\n"));
    }
    let answer = assert_answer("Version: 13", "Version: 8", 426);
    assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"));
    assert_answer("Sec-WebSocket-Version: 13\r\n", "", 426);
    let answer = assert_answer("Upgrade: websocket\r\n", "", 426);
    assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
    assert_answer("keep-alive, Upgrade", "keep-alive", 426);
    assert_answer("Upgrade: websocket", "Upgrade: h2c", 426);
    assert_answer("dGhlIHNhbXBsZSBub25jZQ==", "short", 400);
    assert_answer("Sec-WebSocket-Key", "X-Key", 400);
    assert_answer("HTTP/1.1", "HTTP/1.0", 400);
    assert_answer("Host: localhost\r\n", "", 400);
    assert_answer("Host: localhost", "Host: a\r\nHost: b", 400);
    assert_answer(
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Version: 8",
        400,
    );
    assert_answer("Host", "Content-Length: 5\r\nHost", 400);
    assert_answer("Host", "Transfer-Encoding: chunked\r\nHost", 400);
    assert_answer("Host", "Content-Length: 0\r\nHost", 101);
    assert_answer("GET", "G\x01T", 400);
    assert_answer("Host:", "Host", 400);
}

#[test]
fn heads_beyond_the_limit_are_refused() {
    let padded = |bytes: usize| {
        let fill = bytes - REQUEST.len() - "X-Fill: \r\n".len();
        REQUEST.replace("Host", &format!("X-Fill: {}\r\nHost", "x".repeat(fill)))
    };
    let rules = WebSocketRules::default;
    assert_eq!(padded(8192).len(), 8192);
    assert!(answer_to(rules(), &padded(8192)).starts_with("HTTP/1.1 101 "));
    assert!(answer_to(rules(), &padded(8193)).starts_with("HTTP/1.1 431 "));
    let lines = REQUEST.replace("Host", &format!("{}Host", "a:b\r\n".repeat(200)));
    assert!(answer_to(rules(), &lines).starts_with("HTTP/1.1 431 "));
    let mut server = Server::new(entrance(), None);
    server.step = 1000;
    server.feed(&vec![b'G'; 9000]);
    assert!(server.out.starts_with(b"HTTP/1.1 431 "));
}

#[test]
fn what_is_no_request_is_refused_by_its_first_byte() {
    let mut server = Server::new(entrance(), None);
    server.feed(b"\x10");
    assert!(server.out.starts_with(b"HTTP/1.1 400 "));
    assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::WebSocket);
}

#[test]
fn paths_and_origins_are_kept_to() {
    let rules = WebSocketRules {
        paths: vec!["/a".into(), "/b/c".into()],
        origins: vec!["https://example.org".into(), "http://localhost:8080".into()],
        ..WebSocketRules::default()
    };
    let status = |path: &str, origin: Option<&str>| {
        let origin = origin.map(|origin| format!("Origin: {origin}\r\nHost"));
        let request = REQUEST.replace("/mqtt", path);
        let request = request.replace("Host", origin.as_deref().unwrap_or("Host"));
        answer_to(rules.clone(), &request)[9..12].parse::<u16>().unwrap()
    };
    assert_eq!(status("/a", None), 101);
    assert_eq!(status("/b/c", Some("https://example.org")), 101);
    assert_eq!(status("/a", Some("HTTPS://Example.org")), 101);
    assert_eq!(status("/a", Some("http://localhost:8080")), 101);
    assert_eq!(status("/mqtt", None), 404);
    for origin in [
        "http://example.org",
        "https://example.org.evil.example",
        "null",
        "https://example.org:444",
        "https://evil.example\r\nOrigin: https://example.org",
    ] {
        let expected = if origin.contains('\r') { 400 } else { 403 };
        assert_eq!(status("/a", Some(origin)), expected, "{origin}");
    }
}

#[test]
fn websocket_over_tls_carries_bytes_both_ways() {
    for versions in [V1_2, V1_3] {
        let authority = Authority::new("servers");
        let folder = Folder::new();
        let files = folder.files(&authority.server("localhost"));
        let tls = Some(Arc::new(TlsContext::new(&files).unwrap()));
        for step in [1, 7, usize::MAX] {
            let mut server = Server::new(Entrance { tls: tls.clone(), ..entrance() }, None);
            server.step = step;
            let tls_client = connect(client_config(&authority, versions, None), "localhost");
            let stream = StreamOwned::new(tls_client, Pipe(&mut server));
            let (mut client, _) = tungstenite::client(request(Some("mqtt")), stream).unwrap();
            let content: Vec<u8> = (0..40_000u32).map(|at| (at * 7) as u8).collect();
            client.send(part(OpCode::Data(Data::Binary), false, b"head ")).unwrap();
            client.send(Message::Ping(b"?".as_slice().into())).unwrap();
            assert_eq!(client.read().unwrap(), Message::Pong(b"?".as_slice().into()));
            client.send(part(OpCode::Data(Data::Continue), true, b"tail ")).unwrap();
            client.send(Message::binary(content.clone())).unwrap();
            let ours = &mut *client.get_mut().sock.0;
            assert_eq!(ours.plain, [b"head tail ".to_vec(), content.clone()].concat());
            ours.send(&content);
            ours.send(b"x");
            assert_eq!(client.read().unwrap(), Message::binary(content.clone()));
            assert_eq!(client.read().unwrap(), Message::binary(b"x".as_slice()));
            client.get_mut().sock.0.say_farewell(Farewell::GoingAway);
            let Message::Close(Some(close)) = client.read().unwrap() else { panic!("no code") };
            assert_eq!(close.code, CloseCode::Away);
            assert_eq!(server.facts.unwrap().server_name.as_deref(), Some("localhost"));
        }
    }
}

#[test]
fn closing_over_tls_ends_both_layers() {
    let authority = Authority::new("servers");
    let folder = Folder::new();
    let files = folder.files(&authority.server("localhost"));
    let tls = Some(Arc::new(TlsContext::new(&files).unwrap()));
    let mut server = Server::new(Entrance { tls, ..entrance() }, None);
    let tls_client = connect(client_config(&authority, V1_3, None), "localhost");
    let stream = StreamOwned::new(tls_client, Pipe(&mut server));
    let (mut client, _) = tungstenite::client(request(Some("mqtt")), stream).unwrap();
    client.send(Message::text("text")).unwrap();
    let Message::Close(Some(close)) = client.read().unwrap() else { panic!("no code") };
    assert_eq!(close.code, CloseCode::Unsupported);
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)), "close_notify was sent");
    drop(client);
    assert_eq!(server.fault.unwrap().kind, FilterFaultKind::WebSocket);
}

#[test]
fn a_refusal_over_tls_can_be_read() {
    let authority = Authority::new("servers");
    let folder = Folder::new();
    let files = folder.files(&authority.server("localhost"));
    let tls = Some(Arc::new(TlsContext::new(&files).unwrap()));
    let mut server = Server::new(Entrance { tls, ..entrance() }, None);
    let tls_client = connect(client_config(&authority, V1_3, None), "localhost");
    let stream = StreamOwned::new(tls_client, Pipe(&mut server));
    let Err(tungstenite::HandshakeError::Failure(Error::Http(response))) =
        tungstenite::client(request(Some("chat")), stream)
    else {
        panic!("it was taken");
    };
    assert_eq!(response.status(), 400);
    assert_eq!(server.refused.unwrap().kind, HandshakeFaultKind::WebSocket);
}
