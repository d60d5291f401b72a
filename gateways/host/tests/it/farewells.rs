//! How links with filters end.

use std::io::{Read, Write};

use core_model::Reason;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::roads::{FILTERED, Framed, Keys, Road, Stream};
use crate::toy::{Client, Entry, PATIENCE, Server, Toy, config};

/// Reads to the end, which must have been announced.
fn end(client: &mut Client<Box<dyn Stream>>, code: CloseCode, road: Road) {
    // A TLS client without a close_notify gets an error here.
    client.expect_end();
    let expected = (road != Road::Tls).then_some(code);
    assert_eq!(client.0.close_code(), expected, "{road:?}");
}

/// After an exchange of frames, so that the handshake is over for the server, too.
fn served<S: Read + Write>(stream: S) -> S {
    let mut client = Client(stream);
    client.send("Ehello").expect("Ehello");
    client.0
}

#[test]
fn every_end_has_its_code() {
    let keys = Keys::new();
    for road in FILTERED {
        let server = Server::behind(config(1), Toy::default(), keys.entrance(road));
        let client = || keys.client(road, server.address);
        let mut told = client();
        told.send("X").expect("bye");
        end(&mut told, CloseCode::Policy, road);
        let mut broken = client();
        broken.raw(&[0xff; 5]).expect("broken");
        end(&mut broken, CloseCode::Protocol, road);
        let mut done = client();
        done.send("G");
        end(&mut done, CloseCode::Normal, road);
        // Even where nothing else is said.
        let mut now = client();
        now.send("N");
        end(&mut now, CloseCode::Normal, road);
        server.wait_counters(|c| c.host.input_refused == 1);
        drop((told, broken, done, now));
        server.wait_counters(|c| c.host.links == 0);
    }
}

#[test]
fn a_drained_node_goes_away() {
    let keys = Keys::new();
    for road in FILTERED {
        let server = Server::behind(config(2), Toy::default(), keys.entrance(road));
        let mut clients: Vec<_> = (0..4).map(|_| keys.client(road, server.address)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.connect(&format!("c{number}"));
        }
        let reader = std::thread::spawn(move || {
            for client in &mut clients {
                client.expect("draining");
                end(client, CloseCode::Away, road);
            }
        });
        assert_eq!(server.node.drain(PATIENCE).links_left, 0);
        reader.join().unwrap();
    }
}

#[test]
fn a_flushed_close_writes_everything_first() {
    let keys = Keys::new();
    for road in FILTERED {
        let server = Server::behind(config(1), Toy::default(), keys.entrance(road));
        let mut client = keys.client(road, server.address);
        client.send_all(&[b"B5000000", b"X"]);
        server.log.wait_for(Entry::Closed(Reason::ADMINISTRATIVE_ACTION));
        assert_eq!(client.receive().len(), 5_000_000);
        client.expect("bye");
        end(&mut client, CloseCode::Policy, road);
    }
}

#[test]
fn a_flushed_close_does_not_wait_for_ever() {
    let keys = Keys::new();
    let mut config = config(1);
    config.limits.close_timeout_s = 1;
    let server = Server::behind(config, Toy::default(), keys.entrance(Road::Tls));
    let mut client = keys.client(Road::Tls, server.address);
    client.send_all(&[b"B50000000", b"X"]);
    server.log.wait_for(Entry::Closed(Reason::ADMINISTRATIVE_ACTION));
    server.wait_counters(|c| c.host.links_opened == 1 && c.host.links == 0);
    let mut got = Vec::new();
    assert!(client.0.read_to_end(&mut got).is_err(), "cut off without a farewell");
}

#[test]
fn a_peer_that_says_goodbye_is_answered_and_gone() {
    let keys = Keys::new();
    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::Tls));
    let mut tls = served(keys.tls(server.address));
    // In one write, so that the server reads both at once.
    tls.conn.writer().write_all(&[0, 0, 0, 2, b'E', b'1']).unwrap();
    tls.conn.send_close_notify();
    tls.flush().unwrap();
    Client(tls).expect_end();
    server.log.wait_for(Entry::Closed(Reason::UNSPECIFIED));
    server.wait_counters(|c| c.host.frames == 2);

    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::WebSocket));
    let mut framed = served(Framed::upgrade(Client::new(server.address).0));
    framed.socket.write(Message::binary(vec![0, 0, 0, 2, b'E', b'1'])).unwrap();
    framed.socket.close(None).unwrap();
    Client(framed).expect_end();
    server.log.wait_for(Entry::Closed(Reason::UNSPECIFIED));
    server.wait_counters(|c| c.host.frames == 2 && c.host.links == 0);
}

#[test]
fn a_goodbye_behind_a_frame_that_waits_is_not_forgotten() {
    let keys = Keys::new();
    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::Tls));
    let mut tls = served(keys.tls(server.address));
    let frames = [&[0, 0, 0, 4][..], b"W150", &[0, 0, 0, 2], b"E1"].concat();
    tls.write_all(&frames).unwrap();
    tls.conn.send_close_notify();
    tls.flush().unwrap();
    Client(tls).expect_end();
    server.log.wait_for(Entry::Closed(Reason::UNSPECIFIED));
    server.wait_counters(|c| c.host.links == 0);
}

#[test]
fn a_peer_that_breaks_the_filters_rules_is_told() {
    let keys = Keys::new();
    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::WebSocket));
    let mut framed = Framed::upgrade(Client::new(server.address).0);
    framed.socket.write(Message::binary(vec![0, 0, 0, 2, b'E', b'1'])).unwrap();
    framed.socket.send(Message::text("not welcome")).unwrap();
    let mut client = Client(framed);
    client.expect_end();
    assert!(matches!(client.0.close_code(), Some(CloseCode::Unsupported | CloseCode::Protocol)));
    server.log.wait_for(Entry::Closed(Reason::MALFORMED));
    // What came before it counts.
    server.wait_counters(|c| c.host.input_refused == 1 && c.host.frames == 1);
    server.wait_counters(|c| c.listeners.of(0).input_refused == 1);
}

#[test]
fn a_broken_record_ends_a_tls_link() {
    let keys = Keys::new();
    let server = Server::behind(config(1), Toy::default(), keys.entrance(Road::Tls));
    let mut client = Client(keys.tls(server.address));
    client.send("E1").expect("E1");
    // Application data that nobody has encrypted.
    client.0.sock.write_all(&[23, 3, 3, 0, 20]).unwrap();
    client.0.sock.write_all(&[0; 20]).unwrap();
    let error = client.try_receive().unwrap_err();
    assert!(error.to_string().to_lowercase().contains("alert"), "{error}");
    server.log.wait_for(Entry::Closed(Reason::MALFORMED));
    server.wait_counters(|c| c.host.input_refused == 1);
}
