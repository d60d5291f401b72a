//! What all links hold together has a limit.

use std::cell::Cell;
use std::io::Write;

use gateway_host::{HostCounters, NodeConfig};

use crate::toy::{Client, Entry, Server, Toy, config};

/// Bytes of a large frame with its head.
const FRAME_BYTES: usize = 1_000_000;
/// How much of it is sent by a peer that stops in between.
const PART_BYTES: usize = 600_000;

fn limited(bytes: usize) -> NodeConfig {
    let mut config = config(1);
    config.limits.buffered_bytes_total_max = bytes;
    config
}

/// A server, and a client of it that sends whole frames and reads what it gets.
struct Scene {
    server: Server,
    reader: Client,
    /// Frames that the server has handled.
    frames: u64,
}

impl Scene {
    fn new(server: Server) -> Scene {
        let reader = server.client();
        Scene { server, reader, frames: 0 }
    }

    /// The reader is served; returns counters that are not older than that.
    fn serve(&mut self) -> HostCounters {
        self.reader.send("Ehello").expect("Ehello");
        self.frames += 1;
        let now = Cell::new(HostCounters::default());
        self.server.wait_counters(|c| {
            now.set(c.host);
            c.host.frames == self.frames
        });
        now.get()
    }

    /// Clients that have each sent a part of a frame, all of which was read.
    fn part_sent(&mut self, count: u64) -> Vec<Client> {
        let before = self.serve().bytes_read;
        let clients = (0..count).map(|_| part_sent(&self.server)).collect();
        self.server.wait_counters(|c| c.host.bytes_read == before + count * PART_BYTES as u64);
        clients
    }
}

/// The start of a frame that is larger than itself.
fn part() -> Vec<u8> {
    let mut part = (FRAME_BYTES as u32 - 4).to_be_bytes().to_vec();
    part.resize(PART_BYTES, b'E');
    part
}

fn part_sent(server: &Server) -> Client {
    let mut client = server.client();
    client.raw(&part());
    client
}

/// As [`part_sent`], with a server that may close the link in the middle of it.
fn part_sent_unless_closed(server: &Server) -> Client {
    let mut client = server.client();
    drop(client.0.write_all(&part()));
    client
}

#[test]
fn packets_that_are_not_complete_have_a_limit_together() {
    // A link holds at least what was sent, and never more than all.
    let mut scene = Scene::new(Server::start(limited(4 * FRAME_BYTES), Toy::default()));
    for round in 0..3 {
        let before = scene.serve();
        let mut whole = scene.part_sent(4);
        let now = scene.serve();
        assert_eq!((now.links, now.links_overrun), (5, before.links_overrun), "round {round}");
        for client in &mut whole {
            client.raw(&[b'E'; FRAME_BYTES - PART_BYTES]);
            assert_eq!(client.receive().len(), FRAME_BYTES - 4);
            scene.frames += 1;
        }
        // Whole frames are held no more, so there is room for as many again.
        let mut parts = scene.part_sent(4);
        let now = scene.serve();
        assert_eq!((now.links, now.links_overrun), (9, before.links_overrun), "round {round}");
        // Beyond the limit those are closed that send more; who holds nothing stays.
        parts.extend((0..5).map(|_| part_sent_unless_closed(&scene.server)));
        scene.server.wait_counters(|c| c.host.links_overrun > before.links_overrun);
        scene.serve();
        for client in &mut whole {
            client.send("Estill here").expect("Estill here");
            scene.frames += 1;
        }
        // What was counted for links goes with them.
        drop((whole, parts));
        scene.server.wait_counters(|c| c.host.links == 1);
    }
}

#[test]
fn clients_that_never_read_have_a_limit_together() {
    const ANSWER_BYTES: usize = 20_000_000;
    // The sockets in between take a part of each answer, but less than a third of it.
    let mut config = limited(2 * ANSWER_BYTES + 100);
    config.limits.write_overrun_bytes_max = ANSWER_BYTES;
    let mut scene = Scene::new(Server::start(config, Toy::default()));
    for round in 0..2 {
        let before = scene.serve();
        let ask = |scene: &mut Scene| {
            let mut client = scene.server.client();
            client.send(format!("B{ANSWER_BYTES}"));
            scene.frames += 1;
            client
        };
        let mut first = [ask(&mut scene), ask(&mut scene)];
        let now = scene.serve();
        assert_eq!((now.links, now.links_overrun), (3, before.links_overrun), "round {round}");
        for n in 1..4 {
            let _closed = ask(&mut scene);
            let now = scene.serve();
            let closed = now.links_overrun - before.links_overrun;
            assert_eq!((now.links, closed), (3, n), "round {round}");
        }
        // Those before them lose nothing.
        for client in &mut first {
            assert_eq!(client.receive().len(), ANSWER_BYTES);
            client.send("Efine").expect("Efine");
            scene.frames += 1;
        }
        drop(first);
        scene.server.wait_counters(|c| c.host.links == 1);
    }
}

#[test]
fn who_holds_little_stays_while_others_hold_much() {
    let mut scene = Scene::new(Server::start(limited(3 * FRAME_BYTES), Toy::default()));
    let before = scene.serve();
    // It is slow, but honest: a part of its packet waits, more than what is spared anyway.
    let mut honest = scene.server.client();
    let body = [b"E".as_slice(), &[1; 60_000]].concat();
    honest.raw(&(body.len() as u32).to_be_bytes()).raw(&body[..30_000]);
    let mut greedy = scene.part_sent(2);
    greedy.extend((0..4).map(|_| part_sent_unless_closed(&scene.server)));
    scene.server.wait_counters(|c| c.host.links_overrun > before.links_overrun);
    for piece in body[30_000..].chunks(10_000) {
        scene.serve();
        honest.raw(piece);
    }
    assert!(honest.receive() == body);
    scene.frames += 1;
    drop(greedy);
    scene.server.wait_counters(|c| c.host.links == 2);
}

#[test]
fn links_are_congested_early_when_buffers_get_scarce() {
    let mut config = limited(12 * FRAME_BYTES);
    config.limits.write_buffer_high_bytes = 100 * FRAME_BYTES;
    let server = Server::start(config, Toy { heeds_congestion: true, ..Toy::default() });
    let mut scene = Scene::new(server);
    // They hold more than half of the limit, but not all of it.
    let _parts = scene.part_sent(11);
    assert_eq!(scene.serve().links_overrun, 0);
    let mut flooded = scene.server.client();
    flooded.send("F");
    scene.frames += 1;
    // Far below its own mark.
    scene.server.log.wait_for(Entry::Congested(true));
    for _ in 0..2_000 {
        assert_eq!(flooded.receive().len(), 10_000);
    }
    // Nobody had to go, and with room again it may go on.
    scene.server.log.wait_for(Entry::Congested(false));
    assert_eq!(scene.serve().links_overrun, 0);
    assert_eq!(scene.server.log.closed(), 0);
}
