use std::time::Duration;

use gateway_host::{TraceFilter, TraceItem};
use ipnet::IpNet;

use crate::gateway::log::Log;
use crate::gateway::people::{has_password, password};
use crate::gateway::world::{HERE, Plan, World};
use crate::gateway::{Client, Login, Subject};

/// Passwords, right and wrong ones, are in no line of the log, no event and no trace.
pub fn secrets_are_shown_nowhere<S: Subject>(shards: u16) {
    let log = Log::keep();
    let world = World::<S>::start(Plan::new(shards));
    let control = world.node.control();
    let mut trace = control.trace(TraceFilter::Address(IpNet::from(HERE)), 10_000).unwrap();
    let mut alice = world.join("alice");
    alice.publish("t/1", b"seen in the trace", false).unwrap();
    let refused = world.client().connect(&Login::of("mallory")).unwrap_err();
    assert!(!has_password(&refused.0), "{refused:?}");
    // A connect that breaks off in the middle, and one with nonsense behind it.
    let login = Login { password: password("nobody"), ..Login::of("bob") };
    for cut in [1, 2, 5] {
        let mut client = world.client();
        let mut frame = client.connect_frame(&login);
        frame.truncate(frame.len() - cut);
        client.send(&frame);
        client.send(&[0xff; 64]);
    }
    alice.disconnect();
    world.wait_counters(|counters| counters.broker.clients_connected == 0);
    let mut shown = 0;
    let mut closed = 0;
    while closed == 0 || shown == 0 {
        let event = trace.next(Duration::from_secs(10)).expect("the trace goes on");
        let bytes = match &event.item {
            TraceItem::Received { bytes, .. } | TraceItem::Sent { bytes, .. } => &bytes[..],
            TraceItem::Closed { .. } => {
                closed += 1;
                continue;
            }
            _ => continue,
        };
        shown += 1;
        assert!(!has_password(&String::from_utf8_lossy(bytes)), "{event:?}");
    }
    while let Some(event) = trace.next(Duration::ZERO) {
        let text = match &event.item {
            TraceItem::Received { bytes, .. } | TraceItem::Sent { bytes, .. } => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            other => format!("{other:?}"),
        };
        assert!(!has_password(&text), "{event:?}");
    }
    let (events, log) = (world.witness.events(), log.text());
    assert!(events.contains("alice") && events.contains("mallory"), "{events}");
    assert!(!has_password(&events), "a password is in the events");
    assert!(log.contains("link opened"), "the log is not kept");
    if let Some(line) = log.lines().find(|line| has_password(line)) {
        panic!("a password is in the log: {line}");
    }
}
