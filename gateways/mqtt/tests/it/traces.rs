//! What an operator sees of a link that is followed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use codec_mqtt::{Connect, ConnectProperties, PINGREQ, Packet, Secret, Version, encode};
use gateway_host::{
    ListenerConfig, ListenerFacts, Node, NodeConfig, TraceEvent, TraceFilter, TraceItem,
};
use gateway_mqtt::{MqttConfig, MqttGateway};

const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &[u8] = b"open sesame";

fn node() -> Node {
    let facts =
        ListenerFacts { name: "it".into(), allow_anonymous: true, ..ListenerFacts::default() };
    let gateway = Arc::new(MqttGateway::new(MqttConfig::default()).unwrap());
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let listeners = vec![ListenerConfig::new(Arc::new(facts), bind, gateway)];
    Node::start(NodeConfig { shards: 2, listeners, ..NodeConfig::default() }).unwrap()
}

fn connect(version: Version, client_id: &str) -> Vec<u8> {
    let connect = Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive_s: 60,
        client_id,
        will: None,
        user_name: Some("somebody"),
        password: Some(Secret(PASSWORD)),
        properties: ConnectProperties::default(),
    };
    let mut bytes = Vec::new();
    encode(&Packet::Connect(Box::new(connect)), version, &mut bytes).unwrap();
    bytes
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn a_trace_shows_who_connects_and_not_the_password() {
    let node = node();
    let address = node.addresses()[0].1.address().unwrap();
    for (version, word) in [(Version::V311, "3.1.1"), (Version::V5, "5")] {
        let by_address = TraceFilter::Address("127.0.0.1/32".parse().unwrap());
        let by_client = TraceFilter::Client("thermometer".into());
        for filter in [by_address, by_client] {
            let mut trace = node.control().trace(filter, 100).unwrap();
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(&connect(version, "thermometer")).unwrap();
            let mut connack = [0; 2];
            client.read_exact(&mut connack).unwrap();
            let mut rest = vec![0; usize::from(connack[1])];
            client.read_exact(&mut rest).unwrap();
            client.write_all(&PINGREQ).unwrap();
            client.read_exact(&mut [0; 2]).unwrap();
            drop(client);
            let mut events: Vec<TraceEvent> = Vec::new();
            while !matches!(events.last().map(|e| &e.item), Some(TraceItem::Closed { .. })) {
                events.push(trace.next(PATIENCE).expect("the link is closed at last"));
            }
            let items: Vec<_> = events.iter().map(|event| &event.item).collect();
            let [TraceItem::Opened, TraceItem::Received { bytes, .. }, rest @ ..] = &items[..]
            else {
                panic!("{items:?}");
            };
            assert!(holds(bytes, b"somebody") && holds(bytes, b"***"), "{items:?}");
            let ping = TraceItem::Received { bytes: PINGREQ.into(), len: 2 };
            assert!(matches!(rest[0], TraceItem::Sent { .. }) && *rest[1] == ping, "{items:?}");
            let shown = format!("{events:?}");
            assert!(!shown.contains(&format!("{PASSWORD:?}").replace(['[', ']'], "")));
            assert!(events.iter().skip(1).all(|event| event.version == Some(word)), "{shown}");
            assert!(events.iter().all(|event| event.listener.as_ref() == "it"));
        }
    }
}
