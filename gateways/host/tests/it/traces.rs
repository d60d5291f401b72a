//! Following clients while the node runs.

use std::time::Duration;

use core_model::{Filter, QoS, Reason};
use gateway_host::{ControlError, TraceEvent, TraceFilter, TraceItem, TraceStream};

use crate::toy::{PATIENCE, Server, Toy, config};

fn next(stream: &mut TraceStream) -> TraceEvent {
    stream.next(PATIENCE).expect("the trace goes on")
}

fn frame(body: &str) -> Box<[u8]> {
    [&(body.len() as u32).to_be_bytes(), body.as_bytes()].concat().into()
}

fn received(body: &str) -> TraceItem {
    TraceItem::Received { bytes: frame(body), len: body.len() + 4 }
}

fn sent(body: &str) -> TraceItem {
    TraceItem::Sent { bytes: frame(body), len: body.len() + 4 }
}

fn of_client(client_id: &str) -> TraceFilter {
    TraceFilter::Client(client_id.into())
}

#[test]
fn a_new_client_is_followed_from_its_connect_on() {
    for shards in [1, 3] {
        let server = Server::start(config(shards), Toy::default());
        let mut trace = server.node.control().trace(of_client("it"), 100).unwrap();
        let mut other = server.client();
        other.connect("another").send("Eunseen").expect("Eunseen");
        let mut client = server.client();
        client.send("Eearly").expect("Eearly");
        client.connect("it").send("Ehello").expect("Ehello");
        let opened = next(&mut trace);
        assert_eq!(opened.client_id.as_deref(), Some("it"));
        assert_eq!((opened.gateway, &*opened.listener), ("toy", "toy"));
        assert_eq!(opened.item, TraceItem::Opened);
        // What comes before the connect may be a secret, for all that the host knows.
        assert_eq!(next(&mut trace).item, TraceItem::Hidden { len: 7, received: true });
        assert_eq!(next(&mut trace).item, sent("connected"));
        let hello = next(&mut trace);
        assert_eq!(hello.client_id.as_deref(), Some("it"));
        assert_eq!((hello.item, next(&mut trace).item), (received("Ehello"), sent("Ehello")));
        drop(client);
        assert_eq!(next(&mut trace).item, TraceItem::Closed { reason: Reason::UNSPECIFIED });
    }
}

#[test]
fn an_address_is_followed_from_the_first_byte_on() {
    let server = Server::start(config(2), Toy::default());
    let net = |text: &str| TraceFilter::Address(text.parse().unwrap());
    let mut trace = server.node.control().trace(net("127.0.0.0/8"), 100).unwrap();
    let mut none = server.node.control().trace(net("192.0.2.0/24"), 100).unwrap();
    let mut client = server.client();
    client.send("Esecret").expect("Esecret");
    let opened = next(&mut trace);
    assert_eq!(opened.item, TraceItem::Opened);
    assert_eq!(opened.peer, client.0.local_addr().ok());
    assert_eq!(next(&mut trace).item, TraceItem::Hidden { len: 11, received: true });
    assert_eq!(next(&mut trace).item, TraceItem::Hidden { len: 11, received: false });
    client.raw(&[0, 0, 0, 0]).expect("broken").expect_end();
    assert_eq!(next(&mut trace).item, TraceItem::Hidden { len: 4, received: true });
    assert_eq!(next(&mut trace).item, TraceItem::Hidden { len: 10, received: false });
    assert_eq!(next(&mut trace).item, TraceItem::Closed { reason: Reason::MALFORMED });
    assert!(none.next(Duration::ZERO).is_none());
}

#[test]
fn a_reader_that_is_too_slow_is_told_what_it_misses() {
    let server = Server::start(config(1), Toy::default());
    let mut trace = server.node.control().trace(of_client("it"), 2).unwrap();
    let mut client = server.client();
    client.connect("it");
    for _ in 0..10 {
        client.send("Ehello").expect("Ehello");
    }
    // Opened and the connect's frame are there; what was dropped comes before what comes later.
    assert_eq!(next(&mut trace).item, TraceItem::Dropped { events: 1 + 2 * 10 });
    assert_eq!(next(&mut trace).item, TraceItem::Opened);
    assert_eq!(next(&mut trace).item, TraceItem::Hidden { len: 7, received: true });
    client.send("Eagain").expect("Eagain");
    assert_eq!(
        (next(&mut trace).item, next(&mut trace).item),
        (received("Eagain"), sent("Eagain"))
    );
}

#[test]
fn a_long_frame_is_shown_by_its_beginning() {
    let server = Server::start(config(1), Toy::default());
    let mut trace = server.node.control().trace(of_client("it"), 100).unwrap();
    let mut client = server.client();
    client.connect("it").send("B200000");
    assert_eq!(client.receive().len(), 200_000);
    let events: Vec<_> = (0..5).map(|_| next(&mut trace).item).collect();
    assert_eq!(events[3], received("B200000"));
    let TraceItem::Sent { bytes, len } = &events[4] else { panic!("{events:?}") };
    assert_eq!(*len, 200_004);
    assert!(bytes.len() < *len && bytes[4..].iter().all(|byte| *byte == b'B'));
}

#[test]
fn only_so_many_traces_run_at_once() {
    let server = Server::start(config(2), Toy::default());
    let control = server.node.control();
    let mut traces: Vec<_> = (0..16).map(|_| control.trace(of_client("it"), 1).unwrap()).collect();
    let error = control.trace(of_client("it"), 1).unwrap_err();
    assert!(matches!(error, ControlError::TooManyTraces), "{error}");
    traces.pop();
    let mut last = control.trace(of_client("it"), 100).unwrap();
    drop(traces);
    server.client().connect("it");
    assert_eq!(next(&mut last).item, TraceItem::Opened);
}

#[test]
fn clients_that_are_there_are_followed_from_now_on() {
    let server = Server::start(config(3), Toy::default());
    let mut clients: Vec<_> = (0..6).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.connect(&format!("c{number}"));
    }
    let control = server.node.control();
    let mut one = control.trace(of_client("c4"), 100).unwrap();
    let net = TraceFilter::Address("127.0.0.1/32".parse().unwrap());
    let mut all = control.trace(net, 100).unwrap();
    for client in &mut clients {
        client.send("Ehello").expect("Ehello");
    }
    assert_eq!(next(&mut one).client_id.as_deref(), Some("c4"));
    assert_eq!((next(&mut one).item, next(&mut one).item), (received("Ehello"), sent("Ehello")));
    let events: Vec<_> = (0..18).map(|_| next(&mut all).item).collect();
    for item in [TraceItem::Opened, received("Ehello"), sent("Ehello")] {
        assert_eq!(events.iter().filter(|event| **event == item).count(), 6);
    }
    assert_eq!(one.next(Duration::ZERO).map(|event| event.item), None);
}

#[test]
fn a_topic_is_followed_whoever_publishes_to_it() {
    let server = Server::start(config(3), Toy::default());
    let filter = TraceFilter::Topic(Filter::parse("a/+").unwrap());
    let mut trace = server.node.control().trace(filter, 100).unwrap();
    for (client_id, topic) in [("one", "a/b"), ("two", "b/b"), ("three", "a/c")] {
        // The answer to a QoS 1 publish comes after the publish itself.
        let payload = format!("from {client_id}");
        server.client().connect(client_id).send(format!("Q{topic}\0{payload}")).expect("published");
    }
    for (client_id, topic) in [("one", "a/b"), ("three", "a/c")] {
        let event = next(&mut trace);
        assert_eq!(event.client_id.as_deref(), Some(client_id));
        let payload = format!("from {client_id}");
        assert_eq!(
            event.item,
            TraceItem::Published {
                topic: topic.into(),
                len: payload.len(),
                payload: payload.into_bytes().into(),
                qos: QoS::AtLeastOnce,
                retain: false,
            }
        );
    }
    assert!(trace.next(Duration::ZERO).is_none());
}
