use std::sync::Arc;

use crate::toy::{Client, Entry, Server, Toy, config};

#[test]
fn a_chat_reaches_everybody_on_every_shard() {
    for (shards, ring_capacity) in [(1, 64), (4, 64), (4, 1)] {
        let mut config = config(shards);
        config.ring_capacity = ring_capacity;
        let server = Server::start(config, Toy::default());
        let mut clients: Vec<Client> = (0..12).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.connect(&format!("client{number}")).subscribe("room/+");
        }
        for number in 0..12 {
            clients[number].publish("room/1", &format!("from {number}"));
            for client in &mut clients {
                client.expect(format!("m room/1 from {number}"));
            }
        }
        server.wait_counters(|c| c.broker.sessions == 12 && c.broker.messages_sent == 144);
    }
}

#[test]
fn a_publisher_is_heard_in_order_through_rings_of_one() {
    const MESSAGES: usize = 3_000;
    let mut config = config(4);
    config.ring_capacity = 1;
    let server = Server::start(config, Toy::default());
    let mut readers: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for (number, reader) in readers.iter_mut().enumerate() {
        reader.connect(&format!("reader{number}")).subscribe("#");
    }
    let mut writers: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for (number, writer) in writers.iter_mut().enumerate() {
        writer.connect(&format!("writer{number}"));
    }
    std::thread::scope(|scope| {
        for (number, writer) in writers.iter_mut().enumerate() {
            scope.spawn(move || {
                for message in 0..MESSAGES {
                    // With QoS 1, so that nothing may be dropped for a slow reader.
                    writer.send(format!("Qfrom/{number}\0{message}"));
                }
                for _ in 0..MESSAGES {
                    writer.expect("published");
                }
            });
        }
        for reader in &mut readers {
            scope.spawn(move || {
                let mut next = [0; 4];
                for _ in 0..4 * MESSAGES {
                    let body = String::from_utf8(reader.receive()).unwrap();
                    let (topic, payload) = body[2..].split_once(' ').unwrap();
                    let writer: usize = topic["from/".len()..].parse().unwrap();
                    assert_eq!(payload, next[writer].to_string());
                    next[writer] += 1;
                }
            });
        }
    });
    server.wait_counters(|c| c.host.ring_full > 0);
}

#[test]
fn nothing_is_read_while_another_shard_cannot_take_more() {
    const PUBLISHERS: usize = 10;
    const EACH: usize = 10_000_000;
    let toy = Toy { heeds_congestion: true, ..Toy::default() };
    let gate = Arc::clone(&toy.gate);
    let mut config = config(2);
    config.ring_capacity = 1;
    let server = Server::start(config, toy);
    // Links without a session stay where they are put, on one shard and the other in turn.
    let (mut stopped, mut running) = (server.client(), server.client());
    let mut clients: Vec<Client> = (0..PUBLISHERS).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.connect(&format!("c{number}")).subscribe("to/all");
    }
    stopped.send("Z");
    server.log.wait_for(Entry::AtGate);
    running.send("F");
    std::thread::scope(|scope| {
        for client in &clients {
            let mut sender = Client(client.0.try_clone().unwrap());
            scope.spawn(move || {
                let message = [b"Pto/all\0".as_slice(), &[7; 1000]].concat();
                for _ in 0..EACH / message.len() {
                    sender.send(&message);
                }
                sender.half_close();
            });
        }
        server.wait_counters(|c| c.host.ring_full > 0);
        // Many turns later still nothing more was read than what two turns can read.
        for _ in 0..3_000 {
            running.receive();
        }
        let read = server.node.counters().host.bytes_read as usize;
        assert!(read < PUBLISHERS * 3 * 65_536, "{read} bytes were read");
        gate.open();
        for client in &clients {
            let mut receiver = Client(client.0.try_clone().unwrap());
            scope.spawn(move || while receiver.try_receive().is_ok() {});
        }
        drop(running);
    });
    server.wait_counters(|c| c.host.bytes_read as usize > PUBLISHERS * EACH);
}

#[test]
fn a_link_moves_to_its_session_with_all_that_it_has() {
    let server = Server::start(config(4), Toy::default());
    let mut clients: Vec<Client> = (0..40).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let (connect, large) = (format!("Cmover{number}"), vec![b'E'; 100_000]);
        // Output of before, input of behind, and the start of a large frame travel along.
        client.send_all(&[b"Ebefore", connect.as_bytes(), b"Ebehind", &large]);
        client.send("Elast");
    }
    for client in &mut clients {
        client.expect("Ebefore").expect("connected").expect("Ebehind");
        assert_eq!(client.receive().len(), 100_000);
        client.expect("Elast");
    }
    server.wait_counters(|c| c.host.links_moved > 10 && c.host.links_moved < 40);
    server.wait_counters(|c| c.host.links == 40 && c.broker.clients_connected == 40);
    server.wait_connections(40);
    assert_eq!(server.log.closed(), 0, "a move is not an end");
}

#[test]
fn a_second_link_takes_the_session_over_inside_its_shard() {
    let server = Server::start(config(4), Toy::default());
    for number in 0..8 {
        let id = format!("twin{number}");
        let mut first = server.client();
        first.connect(&id).subscribe("to/twin");
        let mut second = server.client();
        second.connect(&id);
        first.expect("kicked").expect_end();
        second.subscribe("to/twin").publish("to/twin", "hi").expect("m to/twin hi");
        drop(second);
        server.wait_counters(|c| c.host.accepted == 2 * (number + 1) && c.broker.sessions == 0);
    }
}
