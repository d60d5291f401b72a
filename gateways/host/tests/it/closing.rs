use std::io::Read;

use core_model::Reason;

use crate::toy::{Client, Entry, Server, Toy, config};

#[test]
fn a_farewell_arrives_although_the_peer_had_more_to_say() {
    let server = Server::start(config(1), Toy::default());
    for _ in 0..20 {
        let mut client = server.client();
        let junk = [b"E".as_slice(), &[0; 40_000]].concat();
        client.send_all(&[b"X", &junk]);
        // It goes on sending after the server has said goodbye.
        client.send(&junk);
        client.expect("bye").expect_end();
    }
    server.log.wait(|entries| entries.len() == 40);
    assert_eq!(
        server.log.count(|e| *e == Entry::Closed(Reason::ADMINISTRATIVE_ACTION)),
        20,
        "every link is closed once"
    );
    server.wait_counters(|c| c.host.frames == 20 && c.host.links == 0);
}

#[test]
fn a_flushed_close_writes_everything_first() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    client.send_all(&[b"B5000000", b"X"]);
    server.log.wait_for(Entry::Closed(Reason::ADMINISTRATIVE_ACTION));
    assert_eq!(client.receive().len(), 5_000_000);
    client.expect("bye").expect_end();
}

#[test]
fn a_flushed_close_does_not_wait_for_ever() {
    let mut config = config(1);
    config.limits.close_timeout_s = 1;
    let server = Server::start(config, Toy::default());
    let mut client = server.client();
    client.send_all(&[b"B50000000", b"X"]);
    server.log.wait_for(Entry::Closed(Reason::ADMINISTRATIVE_ACTION));
    server.wait_counters(|c| c.host.accepted == 1 && c.host.links == 0);
    assert!(client.0.read_to_end(&mut Vec::new()).is_ok_and(|read| read < 50_000_000));
}

#[test]
fn a_peer_that_never_closes_does_not_keep_a_link() {
    let mut config = config(1);
    config.limits.linger_timeout_s = 1;
    let server = Server::start(config, Toy::default());
    let mut client = server.client();
    client.send("X").expect("bye").expect_end();
    server.wait_counters(|c| c.host.accepted == 1 && c.host.links == 0);
}

#[test]
fn closing_now_throws_the_output_away() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    client.send("N");
    client.expect_end();
    server.log.wait_for(Entry::Closed(Reason::SUCCESS));
}

#[test]
fn a_peer_that_sends_no_more_still_gets_its_answers() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    client.send_all(&[b"E1", b"E2"]).half_close();
    client.expect("E1").expect("E2").expect_end();
    server.log.wait_for(Entry::Closed(Reason::UNSPECIFIED));
    server.wait_counters(|c| c.host.accepted == 1 && c.host.links == 0);
}

#[test]
fn a_lost_link_is_closed_once_whatever_ended_it() {
    let server = Server::start(config(2), Toy::default());
    for number in 0..30 {
        let mut client = server.client();
        client.connect(&format!("c{number}"));
        match number % 3 {
            0 => drop(client),
            1 => client.send("G").expect_end(),
            _ => reset(client),
        }
    }
    server.log.wait(|entries| entries.len() == 60);
    assert_eq!(server.log.closed(), 30);
    server.wait_counters(|c| c.host.accepted == 30 && c.host.links == 0);
    server.wait_counters(|c| c.broker.sessions == 0);
    server.wait_connections(0);
}

/// Closes with a reset: unread input makes the system send one.
fn reset(mut client: Client) {
    client.send("Eunread");
    while client.0.peek(&mut [0]).unwrap() == 0 {}
}

#[test]
fn a_deadline_is_kept() {
    let toy = Toy { connect_deadline_ms: Some(200), ..Toy::default() };
    let server = Server::start(config(1), toy);
    let mut quick = server.client();
    quick.connect("quick");
    server.client().expect("late").expect_end();
    quick.send("Ehere").expect("Ehere");
    server.log.wait_for(Entry::Closed(Reason::MAXIMUM_CONNECT_TIME));
    assert_eq!(server.log.closed(), 1);
}
