use std::io::{Read, Write};

use crate::toy::{Client, Entry, FRAME_BYTES_MAX, Server, Toy, config};

#[test]
fn every_client_gets_its_echo_whatever_the_shard() {
    for shards in [1, 4] {
        let server = Server::start(config(shards), Toy::default());
        let mut clients: Vec<Client> = (0..40).map(|_| server.client()).collect();
        for round in 0..5 {
            for (number, client) in clients.iter_mut().enumerate() {
                client.send(format!("E{number} {round}"));
            }
            for (number, client) in clients.iter_mut().enumerate() {
                client.expect(format!("E{number} {round}"));
            }
        }
        server.wait_counters(|c| c.host.frames == 200 && c.host.links == 40);
        drop(clients);
        server.wait_counters(|c| c.host.links == 0);
        assert_eq!(server.node.stop().links_left, 0);
    }
}

#[test]
fn frames_may_come_in_any_pieces() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    let bytes: Vec<u8> = (0..10)
        .flat_map(|n| [&[0, 0, 0, 6][..], format!("Epart{n}").as_bytes()].concat())
        .collect();
    for piece in [1, 2, 3, 7, 64] {
        for chunk in bytes.chunks(piece) {
            client.raw(chunk);
        }
        for number in 0..10 {
            client.expect(format!("Epart{number}"));
        }
    }
}

#[test]
fn a_large_frame_is_read_whole_and_does_not_disturb_its_neighbours() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    let large = [b"E".as_slice(), &[7; 20_000_000]].concat();
    let mut sender = Client(client.0.try_clone().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                sender.send_all(&[b"Ebefore", &large, b"Eafter"]);
            }
        });
        for _ in 0..3 {
            client.expect("Ebefore");
            assert!(client.receive() == large);
            client.expect("Eafter");
        }
    });
}

#[test]
fn frames_around_the_size_of_the_read_buffer_pass() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    let mut sender = Client(client.0.try_clone().unwrap());
    let half = 32 * 1024_usize;
    let sizes: Vec<usize> = [half, 2 * half, 4 * half]
        .iter()
        .flat_map(|size| (size - 6..size + 3).collect::<Vec<_>>())
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for size in &sizes {
                sender.send([b"E".as_slice(), &vec![(size % 251) as u8; *size]].concat());
            }
        });
        for size in &sizes {
            let got = client.receive();
            assert_eq!((got.len(), got[1]), (size + 1, (size % 251) as u8));
        }
    });
}

#[test]
fn an_announced_length_alone_takes_no_memory() {
    let server = Server::start(config(1), Toy::default());
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let before = resident();
    let clients: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = server.client();
            client.raw(&(FRAME_BYTES_MAX as u32).to_be_bytes()).raw(&[b'E'; 1000]);
            client
        })
        .collect();
    server.wait_counters(|c| c.host.bytes_read == 20 * 1004);
    assert!(resident().saturating_sub(before) < FRAME_BYTES_MAX);
    drop(clients);
}

#[test]
fn input_that_is_no_frame_closes_the_link_after_its_answer() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    client.send("Efine").raw(&[0xff; 100]);
    client.expect("Efine").expect("broken").expect_end();
    server.log.wait_for(Entry::Closed(core_model::Reason::MALFORMED));
    server.wait_counters(|c| c.host.input_refused == 1);
}

#[test]
fn a_machine_that_is_not_ready_keeps_what_follows() {
    let server = Server::start(config(1), Toy::default());
    let mut client = server.client();
    client.send_all(&[b"E1", b"W150", b"E2", b"E3"]);
    client.expect("E1").expect("waited").expect("E2").expect("E3");
    client.send("W150");
    let mut sender = Client(client.0.try_clone().unwrap());
    let large = [b"E".as_slice(), &[1; 300_000]].concat();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sender.send(&large).send("Eend");
        });
        client.expect("waited");
        assert!(client.receive() == large);
        client.expect("Eend");
    });
}

#[test]
fn a_slow_reader_is_felt_by_its_machine_alone() {
    let mut config = config(1);
    config.limits.write_buffer_high_bytes = 100_000;
    let server = Server::start(config, Toy::default());
    let mut slow = server.client();
    slow.send("B30000000");
    server.log.wait_for(Entry::Congested(true));
    let mut other = server.client();
    other.send("Ehello").expect("Ehello");
    assert_eq!(server.log.count(|entry| matches!(entry, Entry::Congested(false))), 0);
    assert_eq!(slow.receive().len(), 30_000_000);
    server.log.wait_for(Entry::Congested(false));
    slow.send("Ehello").expect("Ehello");
    assert_eq!(server.log.count(|entry| matches!(entry, Entry::Congested(_))), 2);
}

#[test]
fn a_machine_that_heeds_congestion_stays_and_one_that_does_not_goes() {
    for heeds_congestion in [true, false] {
        let mut config = config(1);
        config.limits.write_buffer_high_bytes = 50_000;
        config.limits.write_overrun_bytes_max = 100_000;
        let server = Server::start(config, Toy { heeds_congestion, ..Toy::default() });
        let mut client = server.client();
        client.send("F");
        server.log.wait_for(Entry::Congested(true));
        if heeds_congestion {
            for _ in 0..2_000 {
                assert_eq!(client.receive().len(), 10_000);
            }
            assert_eq!(server.log.closed(), 0);
        } else {
            server.wait_counters(|c| c.host.links_overrun == 1);
            server.log.wait_for(Entry::Closed(core_model::Reason::SERVER_BUSY));
        }
    }
}

#[test]
fn a_reader_that_takes_nothing_is_closed_in_time() {
    let mut config = config(1);
    config.limits.write_buffer_high_bytes = 1_000;
    config.limits.write_stall_timeout_s = 1;
    let server = Server::start(config, Toy::default());
    let mut client = server.client();
    client.send("B30000000");
    server.log.wait_for(Entry::Congested(true));
    // It is alive, but does not read.
    for _ in 0..10 {
        client.send("E");
    }
    server.wait_counters(|c| c.host.links_stalled == 1 && c.host.links == 0);
    server.log.wait_for(Entry::Closed(core_model::Reason::SERVER_BUSY));
}

#[test]
fn a_reader_that_takes_little_by_little_stays() {
    let mut config = config(1);
    config.limits.write_stall_timeout_s = 3;
    let server = Server::start(config, Toy::default());
    let (mut slow, mut clock) = (server.client(), server.client());
    slow.send("B60000000");
    server.log.wait_for(Entry::Congested(true));
    let mut part = vec![0; 5_000_000];
    for _ in 0..11 {
        clock.send("W300").expect("waited");
        slow.0.read_exact(&mut part).unwrap();
    }
    let mut rest = vec![0; 60_000_004 - 11 * part.len()];
    slow.0.read_exact(&mut rest).unwrap();
    slow.send("Ehello").expect("Ehello");
}

#[test]
fn a_turn_with_much_output_writes_before_its_end() {
    let mut config = config(1);
    config.limits.output_per_turn_bytes_max = 10_000;
    let server = Server::start(config, Toy::default());
    let mut client = server.client();
    let frames: Vec<Vec<u8>> =
        (0..500).map(|n| [b"E".as_slice(), &vec![n as u8; 900]].concat()).collect();
    let mut sender = Client(client.0.try_clone().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let all: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            sender.send_all(&all).0.flush().unwrap();
        });
        for frame in &frames {
            assert_eq!(&client.receive(), frame);
        }
    });
}
